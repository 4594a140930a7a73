//! The client's response reader: valid and invalid responses are read alike, however they are split.
//!
//! A response that is misread becomes a row here before the reader is fixed.

use crate::split::cases;
use ResponseError::Malformed;
use http_core::{
    Limits, Method, ParseError,
    client::{ClientRequest, ClientResponse, ReadStatus, ResponseError, ResponseReader},
};
use proptest::{collection::vec, prelude::*, sample::select};

/// Simulates the owner of the socket: receives pieces of these sizes, repeated, and then the end. If bytes are left
/// when the response is complete, the connection is not reusable.
pub fn read(
    method: Method,
    limits: &Limits,
    mut bytes: &[u8],
    sizes: &[usize],
) -> Result<ClientResponse, ResponseError> {
    let mut reader = ResponseReader::new(method, limits.clone());
    for &size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(size.clamp(1, bytes.len()));
        bytes = rest;
        if let ReadStatus::Complete(mut response) = reader.receive(piece)? {
            assert_eq!(reader.receive(b""), Err(ResponseError::Finished));
            response.reusable &= rest.is_empty();
            assert_eq!(response.is_success(), response.status / 100 == 2);
            return Ok(response);
        }
    }
    let outcome = reader.receive_eof();
    assert_eq!(reader.receive(b"HTTP/1.1 200 OK\r\n\r\n"), Err(ResponseError::Finished));
    outcome
}

/// Status, body, and whether the connection is reusable.
type Expected = Result<(u16, &'static str, bool), ResponseError>;

/// Reads the response to this method at once and byte by byte.
fn check_for(method: Method, bytes: impl AsRef<[u8]>, expected: Expected) {
    let limits =
        Limits { head_bytes: 200, headers: 4, body_bytes: 12, chunk_overhead_bytes: 8, ..Limits::default() };
    let bytes = bytes.as_ref();
    for size in [usize::MAX, 1] {
        let outcome = read(method, &limits, bytes, &[size]);
        let outcome = outcome
            .map(|read| (read.status, String::from_utf8_lossy(&read.body).into_owned(), read.reusable));
        let expected = expected.map(|(status, body, reusable)| (status, body.to_owned(), reusable));
        assert_eq!(outcome, expected, "by {size}: {}", bytes.escape_ascii());
    }
}

fn check(bytes: impl AsRef<[u8]>, expected: Expected) {
    check_for(Method::Get, bytes, expected);
}

#[test]
fn a_request_has_the_headers_that_were_added() {
    let request = ClientRequest::new(Method::Get, "test", "/").expect("a request");
    let request = request.with_header("Accept", "text/plain").expect("a header");
    assert_eq!((request.header("accept"), request.header("Host")), (Some(&b"text/plain"[..]), None));
}

#[test]
fn parses_status_lines() {
    for (line, expected) in [
        ("HTTP/1.1 200 OK", Ok((200, "", true))),
        ("HTTP/1.1 200 ", Ok((200, "", true))),
        ("HTTP/1.1 200", Ok((200, "", true))),
        ("HTTP/1.1 200 \tcaf\u{e9} au lait", Ok((200, "", true))),
        ("HTTP/1.7 200 OK", Ok((200, "", true))),
        ("HTTP/1.0 200 OK", Ok((200, "", false))),
        ("HTTP/1.1 299 Whatever", Ok((299, "", true))),
        ("HTTP/1.1 999 Whatever", Ok((999, "", true))),
        ("HTTP/2.0 200 OK", Err(Malformed(ParseError::VersionUnsupported))),
        ("HTTP/0.9 200 OK", Err(Malformed(ParseError::VersionUnsupported))),
        ("HTTP/1 200 OK", Err(ResponseError::StatusLine)),
        ("HTTP/1.10 200 OK", Err(ResponseError::StatusLine)),
        ("http/1.1 200 OK", Err(ResponseError::StatusLine)),
        ("ICY 200 OK", Err(ResponseError::StatusLine)),
        ("<html>", Err(ResponseError::StatusLine)),
        ("", Err(ResponseError::StatusLine)),
        (" HTTP/1.1 200 OK", Err(ResponseError::StatusLine)),
        ("HTTP/1.1  200 OK", Err(ResponseError::StatusLine)),
        ("HTTP/1.1\t200 OK", Err(ResponseError::StatusLine)),
        ("HTTP/1.1 20 OK", Err(ResponseError::StatusLine)),
        ("HTTP/1.1 2000 OK", Err(ResponseError::StatusLine)),
        ("HTTP/1.1 099 OK", Err(ResponseError::StatusLine)),
        ("HTTP/1.1 +20 OK", Err(ResponseError::StatusLine)),
        ("HTTP/1.1 200\tOK", Err(ResponseError::StatusLine)),
        ("HTTP/1.1 200 O\0K", Err(ResponseError::StatusLine)),
        ("HTTP/1.1 200 OK\r", Err(Malformed(ParseError::LineEnding))),
        ("HTTP/1.1 200 O\rK", Err(Malformed(ParseError::LineEnding))),
        ("HTTP/1.1 200 O\nK", Err(Malformed(ParseError::LineEnding))),
        ("HTTP/1.1 200\nX: y", Err(Malformed(ParseError::LineEnding))),
    ] {
        check(format!("{line}\r\nContent-Length: 0\r\n\r\n"), expected);
    }
}

#[test]
fn header_lines_follow_the_rules_for_requests() {
    for (line, error) in [
        ("A : b", ParseError::HeaderName),
        (": b", ParseError::HeaderName),
        ("A", ParseError::HeaderName),
        ("A: b\0", ParseError::HeaderValue),
        (" folded", ParseError::ObsFold),
        ("A: b\r\n\tfolded", ParseError::ObsFold),
        ("A: b\nC: d", ParseError::LineEnding),
        ("A: b\rC: d", ParseError::LineEnding),
        ("A: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b", ParseError::TooManyHeaders),
    ] {
        check(format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n"), Err(Malformed(error)));
    }
    check(
        "HTTP/1.1 200 OK\r\nHost: a\r\nHost: b\r\nExpect: c\r\nContent-Length: 0\r\n\r\n",
        Ok((200, "", true)),
    );
    check(b"HTTP/1.1 200 OK\r\nA: caf\xe9\r\nContent-Length: 0\r\n\r\n", Ok((200, "", true)));
}

#[test]
fn parses_content_lengths() {
    let with = |headers: &str, rest: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n{rest}");
    check(with("Content-Length: 5\r\n", "Hello"), Ok((200, "Hello", true)));
    check(with("content-length:005\r\n", "Hello"), Ok((200, "Hello", true)));
    check(with("Content-Length: 5\r\n", "Hello, you"), Ok((200, "Hello", false)));
    check(with("Content-Length: 0\r\n", "H"), Ok((200, "", false)));
    check(with("Content-Length: 5\r\n", "Hell"), Err(ResponseError::Truncated));
    for value in
        ["5\r\nContent-Length: 5", "5\r\nContent-Length: 6", "", "+5", "-5", "5, 5", "0x5", "5 5", "five"]
    {
        check(
            with(&format!("Content-Length: {value}\r\n"), "Hello"),
            Err(Malformed(ParseError::ContentLength)),
        );
    }
}

#[test]
fn parses_transfer_codings() {
    let with = |headers: &str, rest: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n{rest}");
    let chunked = "Transfer-Encoding: chunked\r\n";
    check(with(chunked, "5\r\nHello\r\n0\r\n\r\n"), Ok((200, "Hello", true)));
    check(with(chunked, "2;a=b\r\nHe\r\n03\r\nllo\r\n0\r\nA: b\r\n\r\n"), Ok((200, "Hello", true)));
    check(with(chunked, "5\r\nHello\r\n0\r\n\r\nHTTP/1.1"), Ok((200, "Hello", false)));
    for rest in ["", "5\r\nHel", "5\r\nHello\r\n", "5\r\nHello\r\n0\r\n", "0\r\n\r"] {
        check(with(chunked, rest), Err(ResponseError::Truncated));
    }
    for rest in
        ["\r\n", "g\r\n", "5\nHello", "5 \r\nHello", "5\r\nHello!\r\n", "-1\r\n", "5;\r\n", "5;a=\"\r\n"]
    {
        check(with(chunked, rest), Err(Malformed(ParseError::Chunk)));
    }
    check(with(chunked, "0\r\nA b\r\n\r\n"), Err(Malformed(ParseError::Trailer)));
    check(with("Transfer-Encoding: gzip, chunked\r\n", ""), Err(Malformed(ParseError::CodingUnknown)));
    for value in ["gzip", "identity", "chunked, gzip", "chunked, chunked", "", ", chunked"] {
        check(
            with(&format!("Transfer-Encoding: {value}\r\n"), ""),
            Err(Malformed(ParseError::TransferEncoding)),
        );
    }
    let both = with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n");
    check(both, Err(Malformed(ParseError::BothLengths)));
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check(old, Err(Malformed(ParseError::TransferEncoding)));
}

#[test]
fn without_framing_the_body_ends_with_the_connection() {
    check("HTTP/1.1 200 OK\r\n\r\nHello", Ok((200, "Hello", false)));
    check("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", Ok((200, "", false)));
    check("HTTP/1.0 404 Not Found\r\n\r\nHello", Ok((404, "Hello", false)));
    for bytes in ["", "H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.1 200 OK\r\n\r"] {
        check(bytes, Err(ResponseError::Truncated));
    }
}

#[test]
fn responses_that_cannot_have_a_body_have_none() {
    for headers in ["", "Content-Length: 99999\r\n", "Transfer-Encoding: chunked\r\n"] {
        for status in [204, 304] {
            check(format!("HTTP/1.1 {status} X\r\n{headers}\r\n"), Ok((status, "", true)));
        }
        check_for(Method::Head, format!("HTTP/1.1 200 OK\r\n{headers}\r\n"), Ok((200, "", true)));
        check_for(Method::Connect, format!("HTTP/1.1 200 OK\r\n{headers}\r\n"), Ok((200, "", false)));
    }
    check("HTTP/1.1 204 No Content\r\n\r\nHello", Ok((204, "", false)));
    check_for(Method::Head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello", Ok((200, "", false)));
    check_for(Method::Connect, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", Ok((403, "no", true)));
}

#[test]
fn skips_interim_responses() {
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello";
    let with = |interims: &str| format!("{interims}{last}");
    check(with("HTTP/1.1 100 Continue\r\n\r\n"), Ok((200, "Hello", true)));
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\nConnection: close\r\n\r\n";
    check(with(hints), Ok((200, "Hello", true)));
    check(with(&"HTTP/1.1 102 X\r\n\r\n".repeat(8)), Ok((200, "Hello", true)));
    check(with(&"HTTP/1.1 102 X\r\n\r\n".repeat(9)), Err(ResponseError::TooManyInterims));
    check(with("HTTP/1.1 101 Switching Protocols\r\n\r\n"), Err(ResponseError::SwitchedProtocols));
    check(with("HTTP/1.1 100 Continue\r\nA : b\r\n\r\n"), Err(Malformed(ParseError::HeaderName)));
    check("HTTP/1.1 100 Continue\r\n\r\n", Err(ResponseError::Truncated));
    check(with("\r\n"), Err(ResponseError::StatusLine));
}

#[test]
fn the_server_decides_whether_the_connection_is_reusable() {
    let check = |version: &str, connection: &str, expected: bool| {
        let head = format!("HTTP/{version} 200 OK\r\nConnection: {connection}\r\nContent-Length: 1\r\n\r\n!");
        check(head, Ok((200, "!", expected)));
    };
    check("1.1", "keep-alive", true);
    check("1.1", "x, CLOSE", false);
    check("1.0", "x", false);
    check("1.0", "Keep-Alive", true);
    check("1.0", "keep-alive, close", false);
}

#[test]
fn limits_are_exact() {
    let length = |n: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n0123456789ab");
    check(length(12), Ok((200, "0123456789ab", true)));
    check(length(13), Err(Malformed(ParseError::BodyTooLarge)));
    check(length(usize::MAX), Err(Malformed(ParseError::BodyTooLarge)));
    check("HTTP/1.1 200 OK\r\n\r\n0123456789ab", Ok((200, "0123456789ab", false)));
    check("HTTP/1.1 200 OK\r\n\r\n0123456789abc", Err(Malformed(ParseError::BodyTooLarge)));
    let coded = |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
    check(coded("c\r\n0123456789ab\r\n0\r\n\r\n"), Ok((200, "0123456789ab", true)));
    check(coded("d\r\n0123456789ab"), Err(Malformed(ParseError::BodyTooLarge)));
    check(coded("0;1234567\r\n\r\n"), Ok((200, "", true)));
    check(coded("0;12345678\r\n\r\n"), Err(Malformed(ParseError::ChunkOverhead)));
    let reason = |n: usize| format!("HTTP/1.1 200 {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(n));
    check(reason(168), Ok((200, "", true)));
    check(reason(169), Err(Malformed(ParseError::HeadTooLarge)));
    check(reason(1_000), Err(Malformed(ParseError::HeadTooLarge)));
    let broken = |n: usize| format!("HTTP/1.1 200 {}\n", "x".repeat(n));
    check(broken(187), Err(Malformed(ParseError::LineEnding)));
    check(broken(188), Err(Malformed(ParseError::HeadTooLarge)));
    let unlimited = Limits { head_bytes: usize::MAX, ..Limits::default() };
    let long = format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(70_000));
    let outcome = read(Method::Get, &unlimited, long.as_bytes(), &[usize::MAX]);
    assert_eq!(outcome, Err(Malformed(ParseError::HeadTooLarge)));
}

#[test]
fn keeps_the_headers_as_received() {
    let bytes = b"HTTP/1.1 200 OK\r\nX-A: \t padded \t\r\nx-a:caf\xe9\r\nEmpty:\r\nContent-Length: 0\r\n\r\n";
    let response = read(Method::Get, &Limits::default(), bytes, &[7]).unwrap();
    assert_eq!(
        response.headers.as_bytes(),
        b"X-A: padded\r\nx-a: caf\xe9\r\nEmpty: \r\nContent-Length: 0\r\n"
    );
    assert!(response.is_success());
    assert_eq!((response.header("x-A"), response.header("empty")), (Some(&b"padded"[..]), Some(&b""[..])));
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_response_does_not_depend_on_the_split(
        method in select(&[Method::Get, Method::Head, Method::Connect][..]),
        limits in limits(),
        line in select(STATUS_LINES),
        headers in vec(select(HEADERS), 0..3),
        body in select(BODIES),
        elements in vec(select(ELEMENTS), 0..4),
        damage in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
        sizes in vec(1usize..50, 1..8),
    ) {
        let mut bytes = [line, &headers.concat(), body, &elements.concat()].concat();
        if let Some((index, byte)) = damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let whole = read(method, &limits, &bytes, &[usize::MAX]);
        prop_assert_eq!(&read(method, &limits, &bytes, &[1]), &whole);
        prop_assert_eq!(&read(method, &limits, &bytes, &sizes), &whole);
        prop_assert!(!whole.is_ok_and(|response| response.body.len() > limits.body_bytes));
    }
}

/// The default limits, and some that ordinary responses exceed.
fn limits() -> impl Strategy<Value = Limits> {
    let narrow =
        Limits { head_bytes: 100, headers: 3, body_bytes: 10, chunk_overhead_bytes: 8, ..Limits::default() };
    select(vec![Limits::default(), narrow])
}

const STATUS_LINES: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 304\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\n",
];

const HEADERS: &[&[u8]] = &[
    b"Content-Length: 3\r\n",
    b"Content-Length: 11\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"X-Y: \t some words \r\n",
];

/// The empty line and a body, which may contradict the headers.
const BODIES: &[&[u8]] =
    &[b"\r\n", b"\r\nabc", b"\r\n0123456789a", b"\r\n3;x\r\nabc\r\n0\r\n\r\n", b"\r\n3\r\nabc\r\n", b""];

/// What may follow, and what is often wrong there.
const ELEMENTS: &[&[u8]] =
    &[b"\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"3\r\nabc\r\n", b"abc", b"\r", b"\n", b" ", b"\0"];
