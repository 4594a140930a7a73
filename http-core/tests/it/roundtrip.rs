//! Reading returns what was written, for requests and for responses.

use crate::{
    app::{AppReply, Chunks},
    drive::{Drive, SeenRequest},
    received::ReceivedResponse,
    split::cases,
};
use http_core::{Body, Config, Headers, Response, Status, Version, testing::ReceivedRequest};
use proptest::{collection::vec, prelude::*, sample::select};
use std::time::Instant;

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn reading_a_request_returns_what_was_written(
        method in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}".prop_filter("CONNECT has another target form", |m| m != "CONNECT"),
        target in target(),
        minor in 0..=9u8,
        headers in vec((header_name(), header_value()), 0..10),
        blanks in ("[ \t]{0,3}", "[ \t]{0,3}"),
        body in content(300),
        chunk in prop::option::of(1usize..100),
    ) {
        let expected = SeenRequest {
            method: method.clone(),
            target: target.clone(),
            version: if minor == 0 { Version::Http10 } else { Version::Http11 },
            host: Some("host:8080".to_owned()),
            headers: Vec::new(),
            body: body.clone(),
        };
        // RFC 9112 §6.1: HTTP/1.0 has no chunked coding.
        let chunk = chunk.filter(|_| minor > 0);
        let framing = match chunk {
            Some(_) => ("Transfer-Encoding".to_owned(), b"chunked".to_vec()),
            None => ("Content-Length".to_owned(), body.len().to_string().into_bytes()),
        };
        let headers = [headers, vec![("Host".to_owned(), b"host:8080".to_vec()), framing]].concat();
        let mut head = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
        for (name, value) in &headers {
            let line = [name.as_bytes(), b":", blanks.0.as_bytes(), value, blanks.1.as_bytes(), b"\r\n"];
            head.extend(line.concat());
        }
        head.extend(b"\r\n");
        let coded = match chunk {
            None => body.clone(),
            Some(size) => {
                let chunks = body.chunks(size);
                let coded = chunks.map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat());
                [coded.collect::<Vec<_>>().concat(), b"0\r\n\r\n".to_vec()].concat()
            }
        };
        let expected = SeenRequest { headers, ..expected };

        let mut drive = Drive::new(Config::default(), |_| AppReply::Now(Response::new(Status::OK)));
        let whole = [head, coded].concat();
        drive.send(&whole);
        drive.end();
        drive.run();
        prop_assert_eq!(&drive.seen, std::slice::from_ref(&expected));

        let received = ReceivedRequest::new(&whole, Instant::now());
        prop_assert_eq!(received.map(|received| SeenRequest::of(&received.as_request())), Ok(expected));
    }

    #[test]
    fn reading_a_response_returns_what_was_written(
        status in select(&[200u16, 201, 206, 299, 301, 404, 405, 416, 500, 503, 999][..]),
        shared in vec((header_name(), header_value()), 0..4),
        own in vec((header_name(), header_value()), 0..8),
        content in content(9_000),
        kind in 0..5u8,
        old in any::<bool>(),
        writes in vec(1usize..9_000, 1..4),
    ) {
        let mut shared_headers = Headers::default();
        shared.iter().for_each(|(name, value)| shared_headers.append(name, value).unwrap());
        let shared_headers = shared_headers.into_shared();
        let (sent, sent_headers) = (content.clone(), own.clone());
        let mut drive = Drive::new(Config::default(), move |_| {
            let response = Response::new(Status::from_code(status).unwrap()).with_shared_headers(shared_headers.clone());
            let mut response = response.with_body(body(kind, sent.clone()));
            for (name, value) in &sent_headers {
                response = response.append_header(name, value);
            }
            AppReply::Now(response)
        })
        .writing(&writes);
        let response = exchange(&mut drive, old);
        prop_assert_eq!(response.status, status);
        prop_assert_eq!(&response.body, &if kind == 4 { b"onetwo".to_vec() } else { content });
        // The reader checks the headers that the library adds, except Allow, which every 405 must have.
        let added = ["Server", "Date", "Content-Length", "Transfer-Encoding", "Connection", "Allow"];
        let read = response.headers.iter().filter(|(name, _)| !added.contains(&name.as_str()));
        let expected = shared.iter().chain(&own);
        prop_assert!(read.eq(expected), "{:?}", response.headers);
    }

    /// Whether it is sent in pieces by a channel, or read by a reader of known length or not, with sends of any size.
    #[test]
    fn a_streamed_body_arrives_as_it_was_sent(
        pieces in vec(content(5_000), 0..8),
        kind in 0..3u8,
        old in any::<bool>(),
        writes in vec(1usize..9_000, 1..4),
    ) {
        let content = pieces.concat();
        let (sent, length) = (content.clone(), content.len() as u64);
        let mut drive = Drive::new(Config::default(), move |_| {
            let (sender, channel) = Body::channel(usize::MAX);
            pieces.iter().for_each(|piece| sender.try_send(piece.as_slice()).unwrap());
            sender.finish();
            let reader = std::io::Cursor::new(sent.clone());
            AppReply::Now(Response::new(Status::OK).with_body(match kind {
                0 => channel,
                1 => Body::reader(reader, None),
                _ => Body::reader(reader, Some(length)),
            }))
        })
        .writing(&writes);
        let response = exchange(&mut drive, old);
        prop_assert_eq!(&response.body, &content);
        let stated = (kind == 2).then(|| length.to_string().into_bytes());
        prop_assert_eq!(response.values("Content-Length").next(), stated.as_deref());
    }
}

/// Sends a GET, in HTTP/1.0 if `old`, and returns the only response.
fn exchange(drive: &mut Drive, old: bool) -> ReceivedResponse {
    drive.send(format!("GET / HTTP/1.{}\r\nHost: x\r\n\r\n", u8::from(!old)).as_bytes());
    drive.end();
    drive.run();
    let [response] = <[ReceivedResponse; 1]>::try_from(drive.responses()).expect("one response");
    response
}

/// Bytes of which each depends on its position. Their length is below `end`.
pub fn content(end: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = |first: u8, at: usize| first ^ (at.wrapping_mul(0x9e37_79b9) >> 16) as u8;
    (any::<u8>(), 0..end).prop_map(move |(first, len)| (0..len).map(|at| byte(first, at)).collect())
}

/// Any target in origin form that handlers may see. Its path does not lead above the root.
pub fn target() -> impl Strategy<Value = String> {
    let path = "(/|//|/\\.|%2[fF]|%[3-9A-Fa-f][0-9A-Fa-f]|[!$&'()*+,;=:@_~0-9A-Za-z-]){0,60}";
    (path, "(\\?(%[0-9A-Fa-f]{2}|[/?!$&'()*+,;=:@._~0-9A-Za-z-]){0,60})?")
        .prop_map(|(path, query)| format!("/{path}{query}"))
}

/// Any header name that does not affect framing and that a handler may set.
pub fn header_name() -> impl Strategy<Value = String> {
    "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}".prop_map(|name| format!("x{name}"))
}

/// Any header value. White space at its ends does not belong to it (RFC 9110 §5.5).
pub fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![5 => b' '..=b'~', 1 => 0x80..=0xffu8, 1 => Just(b'\t')];
    vec(byte, 0..40).prop_map(|value| {
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let start = value.iter().position(|byte| !blank(byte)).unwrap_or(0);
        let end = value.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
        value[start..end].to_vec()
    })
}

/// Creates a body of one of five kinds with this content; the stream has a content of its own.
pub fn body(kind: u8, content: Vec<u8>) -> Body {
    let middle = content.len() / 2;
    match kind {
        0 => Body::Bytes(content),
        1 => {
            let all = 3..content.len() + 3;
            Body::Shared([b"xxx", &content[..], b"yyy"].concat().into(), all)
        }
        2 => Body::Parts(vec![
            Body::Bytes(content[..middle].to_vec()),
            Body::Bytes(content[middle..].to_vec()),
        ]),
        3 => Body::Parts(vec![Body::Empty, Body::Parts(vec![Body::Bytes(content)]), Body::Static(b"")]),
        _ => Body::Stream(Box::new(Chunks(vec![b"two", b"one"]))),
    }
}
