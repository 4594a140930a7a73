//! The response writer: the one place that writes a status line or a framing field.
//!
//! What delimits an answer follows from its body and from the request alone (RFC 9112 §6), never from a field
//! that an application has set: [`Fields`](crate::Fields) refuses those.

use crate::buffer::send_queue::SendQueue;
use crate::types::{clock::Clock, method::Method, status::Status, version::Version};

/// The interim answer that asks for the content (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How an answer's content is delimited on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// By a known length.
    Length(u64),
    /// By the chunked coding.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// An answer's head, but for the framing fields.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The status.
    pub status: Status,
    /// Field lines made ready beforehand.
    pub ready: &'a [u8],
    /// Field lines of this answer.
    pub fields: &'a [u8],
}

/// The delimiter for content of this length; `None` is a length not known yet.
pub fn delimiter(length: Option<u64>, version: Version) -> Delimiter {
    match length {
        Some(length) => Delimiter::Length(length),
        None if version == Version::Http11 => Delimiter::Chunked,
        None => Delimiter::Close,
    }
}

/// Whether the answer to such a request carries its content (RFC 9110 §9.3.2, §6.4.1).
#[inline]
pub fn carries_content(status: Status, method: Method) -> bool {
    method != Method::Head && status.has_content()
}

/// Writes a head: status line, Server, Date, the answer's fields, what delimits the content, Connection.
#[inline]
pub fn head(out: &mut SendQueue, head: Head<'_>, delimiter: Delimiter, keep_alive: bool, clock: &Clock) {
    out.write(|text| {
        text.extend_from_slice(head.status.line().as_bytes());
        text.extend_from_slice(clock.stamp());
        text.extend_from_slice(head.ready);
        text.extend_from_slice(head.fields);
        match delimiter {
            // RFC 9110 §8.6: neither field may stand in a 204, and a 304 needs none.
            _ if !head.status.has_content() => {}
            Delimiter::Length(length) => {
                text.extend_from_slice(b"Content-Length: ");
                decimal(text, length);
                text.extend_from_slice(b"\r\n");
            }
            Delimiter::Chunked => text.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Delimiter::Close => {}
        }
        text.extend_from_slice(if keep_alive {
            b"Connection: keep-alive\r\n\r\n"
        } else {
            b"Connection: close\r\n\r\n"
        });
    });
}

/// Appends `number` in decimal digits, without the formatting machinery.
#[inline]
fn decimal(text: &mut Vec<u8>, mut number: u64) {
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
    use crate::buffer::send_queue::Transmit;
    use std::time::{Instant, SystemTime};

    fn check(status: Status, delimiter: Delimiter, keep_alive: bool, expected: &str) {
        let clock = Clock::new("s", Instant::now(), SystemTime::UNIX_EPOCH);
        let mut out = SendQueue::default();
        head(
            &mut out,
            Head { status, ready: b"A: b\r\n", fields: b"C: d\r\n" },
            delimiter,
            keep_alive,
            &clock,
        );
        let Transmit::Bytes { slices, .. } = out.transmit() else { panic!("a head") };
        let stamp = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
        let expected = format!("HTTP/1.1 {status}\r\n{stamp}A: b\r\nC: d\r\n{expected}\r\n");
        assert_eq!(String::from_utf8_lossy(&slices[0]), expected);
    }

    #[test]
    fn heads() {
        use Delimiter::*;
        check(Status::OK, Length(0), true, "Content-Length: 0\r\nConnection: keep-alive\r\n");
        check(
            Status::OK,
            Length(u64::MAX),
            false,
            "Content-Length: 18446744073709551615\r\nConnection: close\r\n",
        );
        check(Status::OK, Chunked, true, "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n");
        check(Status::OK, Close, false, "Connection: close\r\n");
        check(Status::NO_CONTENT, Length(5), true, "Connection: keep-alive\r\n");
        check(Status::NOT_MODIFIED, Chunked, true, "Connection: keep-alive\r\n");
    }

    #[test]
    fn unknown_lengths_are_chunked_only_where_chunks_are_known() {
        assert_eq!(delimiter(Some(3), Version::Http10), Delimiter::Length(3));
        assert_eq!(delimiter(None, Version::Http11), Delimiter::Chunked);
        assert_eq!(delimiter(None, Version::Http10), Delimiter::Close);
    }

    #[test]
    fn content_is_carried_but_for_head_204_and_304() {
        assert!(carries_content(Status::OK, Method::Get));
        assert!(!carries_content(Status::OK, Method::Head));
        assert!(!carries_content(Status::NOT_FOUND, Method::Head));
        assert!(!carries_content(Status::NO_CONTENT, Method::Get));
        assert!(!carries_content(Status::NOT_MODIFIED, Method::Get));
    }
}
