//! Client and server: each reads what the other one writes.

use crate::{
    app::{AppReply, echo},
    client::read,
    drive::{Drive, SeenRequest},
    roundtrip::{body, content, header_name, header_value, target},
    split::cases,
};
use http_core::{
    Config, Limits, Method, Response, Status, Version,
    client::{ClientRequest, RequestError, ResponseError},
    testing::ReceivedRequest,
};
use proptest::{collection::vec, prelude::*, sample::select};
use std::time::Instant;

#[test]
fn writes_requests() {
    let check = |request: ClientRequest, expected: &str| {
        assert_eq!(String::from_utf8_lossy(&request.to_bytes()), expected);
    };
    let new = |method| ClientRequest::new(method, "a:1", "/b?c").unwrap();
    check(new(Method::Get), "GET /b?c HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n");
    check(new(Method::Delete).with_keep_alive(), "DELETE /b?c HTTP/1.1\r\nHost: a:1\r\n\r\n");
    for method in [Method::Post, Method::Put, Method::Patch] {
        let line = format!("{} /b?c HTTP/1.1\r\nHost: a:1\r\n", method.as_str());
        check(new(method).with_keep_alive(), &format!("{line}Content-Length: 0\r\n\r\n"));
        let full = new(method).with_header("A", "b").unwrap().with_body("c/d", "e").unwrap();
        let headers = "A: b\r\nContent-Type: c/d\r\nContent-Length: 1\r\nConnection: close\r\n";
        check(full, &format!("{line}{headers}\r\ne"));
    }
    let empty = new(Method::Get).with_keep_alive().with_body("c/d", "").unwrap();
    check(empty, "GET /b?c HTTP/1.1\r\nHost: a:1\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n");
    let set = |request: ClientRequest, value| request.with_header("A", value).unwrap();
    let replaced = set(set(new(Method::Get).with_keep_alive(), "b"), "c").append_header("a", "d").unwrap();
    check(replaced, "GET /b?c HTTP/1.1\r\nHost: a:1\r\nA: c\r\na: d\r\n\r\n");
    let typed =
        new(Method::Get).with_keep_alive().with_body("a/b", "x").unwrap().with_body("c/d", "").unwrap();
    check(typed, "GET /b?c HTTP/1.1\r\nHost: a:1\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n");
    let asterisk = ClientRequest::new(Method::Options, "a", "*").unwrap().with_keep_alive();
    check(asterisk, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn rejects_what_could_break_a_request() {
    let check = |method, authority: &str, target: &str, expected: RequestError| {
        let outcome = ClientRequest::new(method, authority, target).map(|request| request.to_bytes());
        assert_eq!(outcome, Err(expected), "{authority:?} {target:?}");
    };
    for method in [Method::Connect, Method::Trace, Method::Extension] {
        check(method, "a", "/", RequestError::Method);
    }
    for authority in ["", "a b", "a/b", "u@a", "a:x", "a\r\nB: c", "\u{e9}", "[::1", "[1::2::3]"] {
        check(Method::Get, authority, "/", RequestError::Authority);
    }
    for target in ["", "*", "a", "http://a/", "?b", "/a b", "/a#b", "/a\tb", "/a\r\nB: c", "/\u{e9}", "/\0"] {
        check(Method::Get, "a", target, RequestError::Target);
    }
    let request = ClientRequest::new(Method::Post, "a", "/").unwrap();
    for name in
        ["Host", "TE", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade", "Trailer", "A B", ""]
    {
        assert!(request.clone().with_header(name, "b").is_err(), "{name}");
        assert!(request.clone().append_header(name, "b").is_err(), "{name}");
    }
    assert!(request.clone().with_header("A", "b\r\nC: d").is_err());
    assert!(request.with_body("a/b\r\nC: d", "").is_err());
}

#[test]
fn a_truncated_response_is_an_error() {
    let mut drive = Drive::new(Config::default(), echo);
    drive.send(&request(Method::Get, "/broken", false, true));
    drive.run();
    let outcome = read(Method::Get, &Limits::default(), &drive.output, &[usize::MAX]);
    assert_eq!(outcome, Err(ResponseError::Truncated));
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn the_server_reads_what_the_client_writes(
        method in select(&[Method::Get, Method::Head, Method::Post, Method::Put, Method::Delete, Method::Patch][..]),
        authority in select(&["example.org", "localhost:8001", "127.0.0.1", "[::1]:80"][..]),
        target in target(),
        headers in vec((header_name(), header_value()), 0..8),
        content in prop::option::of(content(300)),
        keep_alive in any::<bool>(),
    ) {
        let mut request = ClientRequest::new(method, authority, &target).unwrap();
        for (name, value) in &headers {
            request = request.append_header(name, value).unwrap();
        }
        if let Some(content) = &content {
            request = request.with_body("application/octet-stream", content.clone()).unwrap();
        }
        if keep_alive {
            request = request.with_keep_alive();
        }
        let bytes = request.to_bytes();
        let mut drive = Drive::new(Config::default(), |_| AppReply::Now(Response::new(Status::OK)));
        drive.send(&bytes);
        drive.run();
        prop_assert_eq!(drive.seen.len(), 1);
        prop_assert_eq!(drive.responses()[0].close, !keep_alive);
        let received = ReceivedRequest::new(&bytes, Instant::now());
        let received = received.map(|received| SeenRequest::of(&received.as_request()));
        prop_assert_eq!(received.as_ref(), Ok(&drive.seen[0]));

        let seen = &drive.seen[0];
        prop_assert_eq!((seen.method.as_str(), &seen.target, seen.version), (method.as_str(), &target, Version::Http11));
        prop_assert_eq!(seen.host.as_deref(), Some(authority));
        prop_assert_eq!(&seen.body, &content.unwrap_or_default());
        let added = |(name, _): &&(String, Vec<u8>)| name.starts_with('x');
        prop_assert!(seen.headers.iter().filter(added).eq(&headers), "{:?}", seen.headers);
    }

    #[test]
    fn the_client_reads_what_the_server_writes(
        method in select(&[Method::Get, Method::Head, Method::Post][..]),
        status in select(&[200u16, 204, 205, 206, 299, 304, 404, 500, 999][..]),
        headers in vec((header_name(), header_value()), 0..8),
        content in content(9_000),
        kind in 0..5u8,
        old in any::<bool>(),
        keep_alive in any::<bool>(),
        sizes in vec(1usize..3_000, 1..4),
    ) {
        let mut drive = Drive::new(Config::default(), move |_| {
            let response = Response::new(Status::from_code(status).unwrap()).with_body(body(kind, content.clone()));
            AppReply::Now(headers.iter().fold(response, |response, (name, value)| response.append_header(name, value)))
        });
        drive.send(&request(method, "/", old, keep_alive));
        drive.run();
        check_response(method, &drive, &sizes)?;
    }

    #[test]
    fn the_client_reads_every_kind_of_response(
        method in select(&[Method::Get, Method::Head, Method::Post][..]),
        target in select(&["/", "/stream", "/file", "/big", "/parts", "/none", "/same", "/close", "/later"][..]),
        old in any::<bool>(),
        keep_alive in any::<bool>(),
        sizes in vec(1usize..3_000, 1..4),
    ) {
        let mut drive = Drive::new(Config::default(), echo);
        drive.send(&request(method, target, old, keep_alive));
        drive.run();
        check_response(method, &drive, &sizes)?;
    }
}

/// Writes a request as the client does, in HTTP/1.0 if `old`.
fn request(method: Method, target: &str, old: bool, keep_alive: bool) -> Vec<u8> {
    let request = ClientRequest::new(method, "example.org", target).unwrap();
    let mut bytes = if keep_alive { request.with_keep_alive() } else { request }.to_bytes();
    let minor = bytes.iter().position(|&byte| byte == b'\r').unwrap() - 1;
    bytes[minor] = if old { b'0' } else { b'1' };
    bytes
}

/// Compares what the client reads with what the strict reader of these tests reads.
fn check_response(method: Method, drive: &Drive, sizes: &[usize]) -> Result<(), TestCaseError> {
    let responses = drive.responses();
    prop_assert_eq!(responses.len(), 1);
    let response = read(method, &Limits::default(), &drive.output, sizes);
    let lines =
        responses[0].headers.iter().map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"].concat());
    let headers = lines.collect::<Vec<_>>().concat();
    prop_assert_eq!(
        response.map(|read| (read.status, read.headers.as_bytes().to_vec(), read.body, read.reusable)),
        Ok((responses[0].status, headers, responses[0].body.clone(), !responses[0].close))
    );
    Ok(())
}
