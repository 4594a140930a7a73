//! The response writer. No other code writes status lines or the headers that delimit a body.
//!
//! How a body is delimited depends only on the body, the status and the request (RFC 9112 §6). A handler can state
//! Content-Length, Transfer-Encoding and Connection, but only as they are sent anyway.

use super::framing::BodyLength;
use crate::types::{
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
    /// The Server and Date header lines, each with its CRLF.
    pub server_and_date: &'a [u8],
    /// The header lines of [`SharedHeaders`](crate::SharedHeaders), which several responses use, each with its CRLF.
    pub shared_headers: &'a [u8],
    /// The header lines of this response alone, each with its CRLF.
    pub headers: &'a [u8],
    /// How the body is delimited. `None` if the head must not say it: the status is 204 or 304, or the method is HEAD
    /// and the length unknown (RFC 9110 §8.6).
    pub body: Option<BodyLength>,
    /// Whether the connection stays open after this response.
    pub keep_alive: bool,
    /// Whether the response has the header Upgrade, which Connection must list (RFC 9110 §7.8).
    pub upgrade: bool,
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
#[inline]
pub fn carries_body(status: Status, method: Method) -> bool {
    method != Method::Head && status.has_body()
}

/// Appends a response's head to `text`: the status line, `head.server_and_date`, `head.shared_headers`, `head.headers`,
/// Content-Length or Transfer-Encoding, Connection, and the empty line. Leaves out Content-Length and Transfer-Encoding
/// if `head.body` is `None` or [`BodyLength::UntilClose`].
pub fn response_head(text: &mut Vec<u8>, head: &ResponseHead<'_>) {
    match head.status.line() {
        "" => append_status_line(text, head.status),
        line => text.extend_from_slice(line.as_bytes()),
    }
    text.extend_from_slice(head.server_and_date);
    text.extend_from_slice(head.shared_headers);
    text.extend_from_slice(head.headers);
    match head.body {
        Some(BodyLength::Exact(length)) => {
            text.extend_from_slice(b"Content-Length: ");
            append_decimal(text, length);
            text.extend_from_slice(b"\r\n");
        }
        Some(BodyLength::Chunked) => text.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Some(BodyLength::UntilClose) | None => {}
    }
    text.extend_from_slice(match (head.keep_alive, head.upgrade) {
        (true, false) => b"Connection: keep-alive\r\n\r\n",
        (false, false) => b"Connection: close\r\n\r\n",
        // After a 101, the connection is not one of HTTP any more.
        (_, true) if head.status == Status::SWITCHING_PROTOCOLS => b"Connection: upgrade\r\n\r\n",
        (true, true) => b"Connection: keep-alive, upgrade\r\n\r\n",
        (false, true) => b"Connection: close, upgrade\r\n\r\n",
    });
}

/// Appends the status line of a status that has no constant one. The space before an empty reason phrase is required
/// (RFC 9112 §4).
#[cold]
fn append_status_line(text: &mut Vec<u8>, status: Status) {
    text.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
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

    #[test]
    fn writes_heads() {
        let check = |status, body, keep_alive, expected: &str| {
            let (shared_headers, headers, server_and_date) =
                (b"A: b\r\n", b"C: d\r\n", b"Server: s\r\nDate: d\r\n");
            let upgrade = expected.contains("upgrade");
            let head =
                ResponseHead { status, server_and_date, shared_headers, headers, body, keep_alive, upgrade };
            let mut text = Vec::new();
            response_head(&mut text, &head);
            let expected =
                format!("HTTP/1.1 {status}\r\nServer: s\r\nDate: d\r\nA: b\r\nC: d\r\n{expected}\r\n");
            assert_eq!(String::from_utf8_lossy(&text), expected);
        };
        let (keep, close) = ("Connection: keep-alive\r\n", "Connection: close\r\n");
        let max = format!("Content-Length: 18446744073709551615\r\n{close}");
        check(Status::OK, Some(BodyLength::Exact(0)), true, &format!("Content-Length: 0\r\n{keep}"));
        check(Status::OK, Some(BodyLength::Exact(u64::MAX)), false, &max);
        check(Status::OK, Some(BodyLength::Chunked), true, &format!("Transfer-Encoding: chunked\r\n{keep}"));
        check(Status::OK, Some(BodyLength::UntilClose), false, close);
        check(Status::NO_CONTENT, None, true, keep);
        check(Status::new(507), None, true, keep);
        check(Status::new(299), None, true, keep);
        let empty = Some(BodyLength::Exact(0));
        check(Status::SWITCHING_PROTOCOLS, None, false, "Connection: upgrade\r\n");
        let required = Status::UPGRADE_REQUIRED;
        check(required, empty, true, "Content-Length: 0\r\nConnection: keep-alive, upgrade\r\n");
        check(required, empty, false, "Content-Length: 0\r\nConnection: close, upgrade\r\n");
    }
}
