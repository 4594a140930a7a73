//! The response writer. No other code writes status lines or the headers that delimit a body.
//!
//! How a body is delimited depends only on the body, the status and the request (RFC 9112 §6). A handler cannot set
//! Content-Length, Transfer-Encoding or Connection: [`Headers`](crate::Headers) rejects them.

use super::framing::BodyLength;
use crate::types::{
    clock::Clock,
    method::{Method, Version},
    status::Status,
};

/// The interim response that asks the client for the body (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The parts of a response's head. [`response_head`] adds the headers that the library sets.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: Status,
    /// The header lines of [`SharedHeaders`](crate::SharedHeaders), which several responses use, each with its CRLF.
    pub shared_headers: &'a [u8],
    /// The header lines of this response alone, each with its CRLF.
    pub headers: &'a [u8],
    /// How the body is delimited.
    pub body: BodyLength,
    /// Whether the connection stays open after this response.
    pub keep_alive: bool,
}

/// Returns how to delimit a response body for a client of this version (RFC 9112 §6.1): by its length in bytes or, if
/// `length` is `None`, by the chunked coding. HTTP/1.0 has no chunked coding: the end of the connection ends such a
/// body.
pub fn body_length(length: Option<u64>, version: Version) -> BodyLength {
    match length {
        Some(length) => BodyLength::Exact(length),
        None if version == Version::Http11 => BodyLength::Chunked,
        None => BodyLength::UntilClose,
    }
}

/// Returns whether a response with this status to a request with this method has a body (RFC 9110 §9.3.2, §6.4.1).
pub fn carries_body(status: Status, method: Method) -> bool {
    method != Method::Head && status.has_body()
}

/// Appends a response's head to `text`: the status line, Server and Date from `clock`, `head.shared_headers`,
/// `head.headers`, Content-Length or Transfer-Encoding, Connection, and the empty line. Leaves out Content-Length and
/// Transfer-Encoding for a 204, a 304 and a body of [`BodyLength::UntilClose`].
pub fn response_head(text: &mut Vec<u8>, head: &ResponseHead<'_>, clock: &Clock) {
    text.extend_from_slice(head.status.line().as_bytes());
    text.extend_from_slice(clock.headers());
    text.extend_from_slice(head.shared_headers);
    text.extend_from_slice(head.headers);
    match head.body {
        // RFC 9110 §8.6: a 204 must not have a framing header, and a 304 needs none.
        _ if !head.status.has_body() => {}
        BodyLength::Exact(length) => {
            text.extend_from_slice(b"Content-Length: ");
            append_decimal(text, length);
            text.extend_from_slice(b"\r\n");
        }
        BodyLength::Chunked => text.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        BodyLength::UntilClose => {}
    }
    text.extend_from_slice(if head.keep_alive {
        b"Connection: keep-alive\r\n\r\n"
    } else {
        b"Connection: close\r\n\r\n"
    });
}

/// Appends `number` to `text` in decimal digits. Faster than `write!`.
fn append_decimal(text: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Instant, SystemTime};

    #[test]
    fn writes_heads() {
        let clock = Clock::new("s", Instant::now(), SystemTime::UNIX_EPOCH);
        let check = |status, body, keep_alive, expected: &str| {
            let mut text = Vec::new();
            let head =
                ResponseHead { status, shared_headers: b"A: b\r\n", headers: b"C: d\r\n", body, keep_alive };
            response_head(&mut text, &head, &clock);
            let constant = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nA: b\r\nC: d\r\n";
            let expected = format!("HTTP/1.1 {status}\r\n{constant}{expected}\r\n");
            assert_eq!(String::from_utf8_lossy(&text), expected);
        };
        let (keep, close) = ("Connection: keep-alive\r\n", "Connection: close\r\n");
        let max = format!("Content-Length: 18446744073709551615\r\n{close}");
        check(Status::OK, BodyLength::Exact(0), true, &format!("Content-Length: 0\r\n{keep}"));
        check(Status::OK, BodyLength::Exact(u64::MAX), false, &max);
        check(Status::OK, BodyLength::Chunked, true, &format!("Transfer-Encoding: chunked\r\n{keep}"));
        check(Status::OK, BodyLength::UntilClose, false, close);
        check(Status::NO_CONTENT, BodyLength::Exact(5), true, keep);
        check(Status::NOT_MODIFIED, BodyLength::Chunked, true, keep);
    }
}
