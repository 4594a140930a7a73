//! What a handler says in a response, and what is sent: status, headers, length, body.

use crate::app::Chunks;
use http_core::{
    Body, Buffers, Clock, Connection, FileSlice, HeaderError, Headers, Method, Misuse, Response, SetCookie,
    Status, Step, Transmit,
};
use std::{
    borrow::Cow,
    fs::File,
    sync::Arc,
    time::{Instant, SystemTime},
};

/// Responds to a request with this method. Returns the bytes sent, with `|` for each CRLF, and `~` for the Server and
/// Date headers of the library.
fn respond(method: &str, response: Response) -> Result<String, Misuse> {
    let clock = Clock::new("test", Instant::now(), SystemTime::UNIX_EPOCH);
    let mut conn = Connection::new(Arc::default(), clock.now());
    let Buffers { mut input, mut out } = Buffers::default();
    input.extend(format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    assert_eq!(conn.poll(&mut input, &mut out, clock.now()), Step::Request);
    conn.respond(response, &mut out, &clock)?;
    let mut sent = Vec::new();
    while let Transmit::Bytes { slices, .. } = out.transmit() {
        let bytes = slices.concat();
        out.sent(bytes.len());
        sent.extend(bytes);
    }
    let text = String::from_utf8(sent).unwrap().replace("\r\n", "|");
    Ok(text.replace("Server: test|Date: Thu, 01 Jan 1970 00:00:00 GMT|", "~|"))
}

/// Expects these bytes after `HTTP/1.1 `.
fn check(method: &str, response: Response, expected: &str) {
    assert_eq!(respond(method, response), Ok(format!("HTTP/1.1 {expected}")));
}

/// Expects that the response is not sent, and this description of the reason.
fn check_misuse(response: Response, expected: &str) {
    assert_eq!(respond("GET", response).map_err(|misuse| misuse.to_string()), Err(expected.to_owned()));
}

fn ok() -> Response {
    Response::new(Status::OK)
}

fn stream() -> Body {
    Body::Stream(Box::new(Chunks(vec![b"two", b"one"])))
}

#[test]
fn setting_a_header_replaces_and_appending_adds() {
    let end = "Content-Length: 1|Connection: keep-alive||x";
    let csv = Response::text("x").with_header("content-type", "text/csv");
    check("GET", csv, &format!("200 OK|~|content-type: text/csv|{end}"));
    let response = Response::text("x").with_typed_body("text/csv", "x").with_typed_body("a/b", "x");
    check("GET", response, &format!("200 OK|~|Content-Type: a/b|{end}"));
    let response = ok().with_body("x").append_header("Set-Cookie", "a=1").append_header("set-cookie", "b=2");
    assert_eq!(response.header("Set-Cookie"), Some(&b"a=1"[..]));
    check("GET", response, &format!("200 OK|~|Set-Cookie: a=1|set-cookie: b=2|{end}"));
    let response = Response::text("x").append_header("A", "1").append_header("a", "2");
    check("GET", response.remove_header("A").remove_header("CONTENT-type"), &format!("200 OK|~|{end}"));
    let response =
        ok().with_body("x").with_allow(&[Method::Get, Method::Extension]).with_allow(&[Method::Put]);
    check("GET", response, &format!("200 OK|~|Allow: PUT|{end}"));
}

#[test]
fn appending_a_header_that_occurs_once_replaces_it() {
    let end = "Content-Length: 1|Connection: keep-alive||x";
    let response = Response::text("x").append_header("content-type", "text/csv");
    check("GET", response, &format!("200 OK|~|content-type: text/csv|{end}"));
    let mut shared = Headers::default();
    shared.append("ETag", "\"a\"").and_then(|()| shared.append("Vary", "A")).unwrap();
    let response = ok().with_body("x").with_shared_headers(shared.into_shared());
    let response = response.append_header("etag", "\"b\"").append_header("vary", "B");
    check("GET", response, &format!("200 OK|~|Vary: A|etag: \"b\"|vary: B|{end}"));
}

#[test]
fn iterates_over_own_and_shared_headers() {
    let mut shared = Headers::default();
    shared.append("A", "1").and_then(|()| shared.append("B", "2")).unwrap();
    let response = ok().with_shared_headers(shared.into_shared()).with_header("Server", "s");
    let response = response.append_header("b", "3").with_header("C", "a: b");
    let headers = [("A", &b"1"[..]), ("B", b"2"), ("b", b"3"), ("C", b"a: b"), ("Server", b"s")];
    assert_eq!(response.headers().collect::<Vec<_>>(), headers);
}

#[test]
fn sends_cookies_and_the_name_of_a_download() {
    let end = "Content-Length: 1|Connection: keep-alive||x";
    let response = ok().with_body("x").with_attachment("a b.txt").with_attachment("c.txt");
    check("GET", response, &format!("200 OK|~|Content-Disposition: attachment; filename=\"c.txt\"|{end}"));
    let response = ok().with_body("x").with_cookie(SetCookie::new("a", "1").with_path("/"));
    let response = response.with_cookie(SetCookie::new("a", "2").with_http_only());
    check("GET", response, &format!("200 OK|~|Set-Cookie: a=1; Path=/|Set-Cookie: a=2; HttpOnly|{end}"));
    let reason = "a cookie's name must be a token";
    check_misuse(ok().with_cookie(SetCookie::new("a=", "")), &format!("header \"Set-Cookie\": {reason}"));
}

#[test]
fn setting_a_header_replaces_a_shared_one() {
    let mut shared = Headers::default();
    shared.append("Content-Type", "a/b").and_then(|()| shared.append("ETag", "\"c\"")).unwrap();
    let shared = shared.into_shared();
    let end = "Content-Length: 1|Connection: keep-alive||x";
    let response = ok().with_shared_headers(shared.clone()).with_header("Content-Type", "c/d").with_body("x");
    check("GET", response, &format!("200 OK|~|ETag: \"c\"|Content-Type: c/d|{end}"));
    let response = Response::text("x").append_header("X", "y").with_shared_headers(shared.clone());
    check("GET", response, &format!("200 OK|~|Content-Type: a/b|ETag: \"c\"|X: y|{end}"));
    let response = ok().with_shared_headers(shared).remove_header("etag").with_body("x");
    assert_eq!((response.header("ETag"), response.header("content-type")), (None, Some(&b"a/b"[..])));
    check("GET", response, &format!("200 OK|~|Content-Type: a/b|{end}"));
}

#[test]
fn an_extension_method_is_no_element_of_allow() {
    let allowed = [Method::Extension, Method::Get, Method::Extension, Method::Head];
    let response = Response::method_not_allowed(Method::Post, &allowed).with_body("");
    let start = "405 Method Not Allowed|~|Content-Type: text/html; charset=utf-8";
    let end = "Content-Length: 0|Connection: keep-alive||";
    check("GET", response, &format!("{start}|Allow: GET, HEAD|{end}"));
    let response = Response::method_not_allowed(Method::Post, &[Method::Extension]).with_body("");
    check("GET", response, &format!("{start}|Allow: |{end}"));
}

#[test]
fn accepts_statements_that_agree() {
    let body = "Content-Length: 5|Connection: keep-alive||hello";
    let hello = || ok().with_body("hello");
    check("GET", hello().with_header("content-length", "5"), &format!("200 OK|~|{body}"));
    check("GET", hello().with_header("Content-Length", "005"), &format!("200 OK|~|{body}"));
    check(
        "GET",
        hello().append_header("Content-Length", "5").with_content_length(5),
        &format!("200 OK|~|{body}"),
    );
    // The order of the calls does not matter.
    check("GET", ok().with_content_length(5).with_body("hello"), &format!("200 OK|~|{body}"));
    check("GET", hello().with_content_length(6).remove_header("Content-Length"), &format!("200 OK|~|{body}"));
    let rewritten = hello().with_content_length(5).with_typed_body("a/b", "x");
    check("GET", rewritten, "200 OK|~|Content-Type: a/b|Content-Length: 1|Connection: keep-alive||x");
    check("GET", hello().with_header("Connection", "keep-alive"), &format!("200 OK|~|{body}"));
    let closed = "200 OK|~|Content-Length: 5|Connection: close||hello";
    for value in ["close", "Close", "keep-alive, close"] {
        check("GET", hello().with_header("Connection", value), closed);
    }
    check("GET", hello().with_close().with_header("Connection", "keep-alive"), closed);
    let chunked = "200 OK|~|Transfer-Encoding: chunked|Connection: keep-alive||3|one|3|two|0||";
    check("GET", ok().with_body(stream()).with_header("Transfer-Encoding", "Chunked"), chunked);
    let trailer = chunked.replace("~", "~|Trailer: Sum");
    check("GET", ok().with_body(stream()).with_header("Trailer", "Sum"), &trailer);
    check("GET", hello().with_header("Trailer", "Sum"), &format!("200 OK|~|{body}"));
    let date = "Date: Thu, 01 Jan 1970 00:00:00 GMT";
    check("GET", hello().with_header("Server", "mine"), &format!("200 OK|Server: mine|{date}|{body}"));
    let mine = "Sun, 06 Nov 1994 08:49:37 GMT";
    check("GET", hello().with_header("date", mine), &format!("200 OK|Server: test|Date: {mine}|{body}"));
    let both = hello().with_header("Date", mine).append_header("Server", "mine");
    assert_eq!(both.header("SERVER"), Some(&b"mine"[..]));
    check("GET", both, &format!("200 OK|Server: mine|Date: {mine}|{body}"));
    check("GET", hello().with_header("Server", "a").remove_header("Server"), &format!("200 OK|~|{body}"));
}

#[test]
fn reports_statements_that_disagree() {
    let header = |name: &str, value: &str| ok().with_body("hello").with_header(name, value);
    let reserved = "only the library sets this header, or this value of it";
    let protocols = "Upgrade must be a list of protocols, as name or name/version";
    for (name, value, reason) in [
        ("Content-Length", "", "Content-Length must be a decimal number"),
        ("Content-Length", "+5", "Content-Length must be a decimal number"),
        ("Content-Length", "5, 5", "Content-Length must be a decimal number"),
        ("Transfer-Encoding", "gzip", reserved),
        ("Connection", "Upgrade", reserved),
        ("Connection", "close, X", reserved),
        ("Keep-Alive", "timeout=5", reserved),
        ("upgrade", "", protocols),
        ("Upgrade", "h2c,", protocols),
        ("Upgrade", "h2 c", protocols),
        ("Upgrade", "IRC/6/9", protocols),
        ("Trailer", "X Y", reserved),
        ("Date", "now", "Date must have the format of Sun, 06 Nov 1994 08:49:37 GMT"),
        (
            "Date",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Date must have the format of Sun, 06 Nov 1994 08:49:37 GMT",
        ),
        ("Server", "a\r\nb: c", "a header value must not contain control characters"),
        ("X", "a\nb", "a header value must not contain control characters"),
        ("X Y", "a", "a header name must be a token"),
        ("", "a", "a header name must be a token"),
    ] {
        check_misuse(header(name, value), &format!("header {name:?}: {reason}"));
        check_misuse(ok().append_header(name, value), &format!("header {name:?}: {reason}"));
        assert_eq!(header(name, value).status(), Status::INTERNAL_SERVER_ERROR);
    }
    // Nothing that is set later hides the first error.
    let later =
        header("X", "\n").with_header("Y", "\0").with_status(Status::OK).remove_header("X").with_body("y");
    check_misuse(later, "header \"X\": a header value must not contain control characters");
    check_misuse(
        Response::redirect(Status::FOUND, "/\r\n"),
        "header \"Location\": a header value must not contain control characters",
    );
    let length = "header \"Content-Length\": is 4, but the";
    check_misuse(header("Content-Length", "4"), &format!("{length} body has 5 bytes"));
    check_misuse(ok().with_content_length(4), &format!("{length} body has 0 bytes"));
    check_misuse(
        ok().with_content_length(4).with_body(stream()),
        &format!("{length} length of the body is unknown"),
    );
    check_misuse(
        header("Transfer-Encoding", "chunked"),
        "header \"Transfer-Encoding\": is chunked, but the length of the body is known",
    );
    assert_eq!(ok().try_with_header("Upgrade", "").err(), Some(HeaderError::Upgrade));
    assert_eq!(ok().try_with_header("Content-Length", "x").err(), Some(HeaderError::ContentLength));
}

#[test]
fn a_response_to_head_states_a_length_that_is_known() {
    let end = "Connection: keep-alive||";
    check("HEAD", ok(), &format!("200 OK|~|{end}"));
    check("HEAD", ok().with_content_length(1234), &format!("200 OK|~|Content-Length: 1234|{end}"));
    check(
        "HEAD",
        ok().with_header("Content-Length", "1234"),
        &format!("200 OK|~|Content-Length: 1234|{end}"),
    );
    check("HEAD", ok().with_body("hello"), &format!("200 OK|~|Content-Length: 5|{end}"));
    check("HEAD", ok().with_body(""), &format!("200 OK|~|Content-Length: 0|{end}"));
    check("HEAD", ok().with_body(stream()), &format!("200 OK|~|Transfer-Encoding: chunked|{end}"));
    check(
        "HEAD",
        ok().with_body(stream()).with_content_length(6),
        &format!("200 OK|~|Content-Length: 6|{end}"),
    );
    assert!(respond("HEAD", ok().with_body("hello").with_content_length(6)).is_err());
    check("GET", ok(), &format!("200 OK|~|Content-Length: 0|{end}"));
}

#[test]
fn statuses_without_a_body_drop_it() {
    let end = "Connection: keep-alive||";
    for method in ["GET", "HEAD"] {
        for body in [Body::from("hello"), Body::Empty, stream()] {
            let response = Response::new(Status::RESET_CONTENT).with_body(body);
            // RFC 9110 §15.3.6.
            check(method, response, &format!("205 Reset Content|~|Content-Length: 0|{end}"));
        }
        for (status, line) in [(204, "204 No Content"), (304, "304 Not Modified")] {
            for body in [Body::from("hello"), Body::Empty, stream()] {
                let response = Response::new(Status::new(status)).with_body(body);
                check(method, response.with_content_length(5), &format!("{line}|~|{end}"));
            }
        }
    }
}

#[test]
fn sends_every_status_but_interim_ones() {
    for code in 100..=999 {
        let status = Status::new(code);
        let sent = respond("GET", Response::error(status));
        if code == 101 {
            assert_eq!(sent, Err(Misuse::UpgradeNotRequested));
        } else if code < 200 {
            assert_eq!(sent, Err(Misuse::InterimStatus(status)));
        } else {
            assert!(sent.unwrap().starts_with(&format!("HTTP/1.1 {code} {}|~|", status.reason())), "{code}");
        }
    }
    check("GET", Response::new(Status::new(299)), "299 |~|Content-Length: 0|Connection: keep-alive||");
    check(
        "GET",
        Response::new(Status::new(451)),
        "451 Unavailable For Legal Reasons|~|Content-Length: 0|Connection: keep-alive||",
    );
    check_misuse(Response::new(Status::new(103)), "status 103: only the library sends interim responses");
}

#[test]
fn the_length_of_a_body_does_not_overflow() {
    let file = Arc::new(File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap());
    let huge = || Body::File(FileSlice { file: Arc::clone(&file), offset: 0, len: u64::MAX });
    assert_eq!(Body::Parts(vec![huge(), Body::from("x"), huge()]).len(), Some(u64::MAX));
    assert_eq!(Body::Parts(vec![huge(), stream(), huge()]).len(), None);
}

#[test]
fn accepts_every_usual_type_of_body() {
    let text: Arc<str> = "abc".into();
    let bytes: Arc<[u8]> = Arc::from(*b"abc");
    for response in [
        Response::bytes(b"abc"),
        Response::bytes(&b"abc"[..]),
        Response::bytes(b"abc".to_vec()),
        Response::bytes(Box::<[u8]>::from(*b"abc")),
        Response::bytes(bytes),
        Response::bytes(Cow::Borrowed(&b"abc"[..])),
        Response::bytes(Cow::<[u8]>::Owned(b"abc".to_vec())),
        Response::bytes("abc"),
        Response::bytes("abc".to_owned()),
        Response::bytes(Box::<str>::from("abc")),
        Response::bytes(text),
        Response::bytes(Cow::Borrowed("abc")),
        Response::bytes(Cow::<str>::Owned("abc".to_owned())),
    ] {
        let head = "200 OK|~|Content-Type: application/octet-stream";
        check("GET", response, &format!("{head}|Content-Length: 3|Connection: keep-alive||abc"));
    }
    let included = Response::bytes(include_bytes!("responses.rs"));
    assert_eq!(included.body().len(), Some(include_str!("responses.rs").len() as u64));
}
