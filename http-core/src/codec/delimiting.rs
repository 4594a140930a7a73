//! Where a message ends and whether another may follow it: what Content-Length, Transfer-Encoding and Connection
//! say, in requests and responses alike (RFC 9112 §6, §9.3).
//!
//! It judges what these fields say together, never what a message without them means: there the two differ.

use crate::types::{chars, error::ParseError, version::Version};

/// How the content that follows a head is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// This many bytes; 0 when a request declares none.
    Exact(u64),
    /// As many as the chunked coding says.
    Chunked,
}

/// What the fields that delimit a message have said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delimiting {
    length: Option<u64>,
    coding: Option<Coding>,
    close: bool,
    keep_alive: bool,
}

impl Delimiting {
    /// Takes a field line in, if it is one of these.
    #[inline]
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), ParseError> {
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"Connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"Content-Length") => {
                let length = decimal(value)?;
                // RFC 9112 §6.3: equal repetitions say one thing, different ones are smuggling; refuse.
                if self.length.replace(length).is_some_and(|before| before != length) {
                    return Err(ParseError::ContentLength);
                }
            }
            17 if name.eq_ignore_ascii_case(b"Transfer-Encoding") => {
                let before = self.coding.unwrap_or(Coding::None);
                self.coding = Some(list(value).fold(before, Coding::followed_by));
            }
            _ => {}
        }
        Ok(())
    }

    /// The content's length, if any field tells it.
    #[inline]
    pub(crate) fn body_length(self, version: Version) -> Result<Option<BodyLength>, ParseError> {
        match (self.coding, self.length) {
            (None, length) => Ok(length.map(BodyLength::Exact)),
            // RFC 9112 §6.3, rule 3: both present is how messages are smuggled; refuse.
            (Some(_), Some(_)) => Err(ParseError::BothLengths),
            // RFC 9112 §6.1: a coding from HTTP/1.0 means that someone on the way did not know it; refuse.
            (Some(_), None) if version == Version::Http10 => Err(ParseError::TransferEncoding),
            (Some(Coding::Chunked), None) => Ok(Some(BodyLength::Chunked)),
            (Some(Coding::UnknownThenChunked), None) => Err(ParseError::CodingUnknown),
            // RFC 9112 §6.3, rule 4: without chunked at the end a request's length cannot be told, and a response
            // would end with the connection, in a coding that is not understood.
            (Some(Coding::None | Coding::Unknown | Coding::Wrong), None) => Err(ParseError::TransferEncoding),
        }
    }

    /// Whether the peer would keep the connection behind this message (RFC 9112 §9.3).
    #[inline]
    pub(crate) fn keeps_alive(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// What the Transfer-Encoding elements seen so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// The field is there and says nothing.
    None,
    /// `chunked` alone.
    Chunked,
    /// Codings that are not implemented.
    Unknown,
    /// `chunked`, at the end, behind codings that are not implemented.
    UnknownThenChunked,
    /// Something stands behind `chunked`, itself perhaps.
    Wrong,
}

impl Coding {
    fn followed_by(self, element: &[u8]) -> Coding {
        match (self, element.eq_ignore_ascii_case(b"chunked")) {
            // RFC 9110 §5.6.1.2: empty elements of a list are ignored.
            _ if element.is_empty() => self,
            (Coding::None, true) => Coding::Chunked,
            (Coding::Unknown, true) => Coding::UnknownThenChunked,
            (Coding::None | Coding::Unknown, false) => Coding::Unknown,
            _ => Coding::Wrong,
        }
    }
}

/// The elements of a comma-separated list, without the white space around them (RFC 9110 §5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(chars::trim_ows)
}

/// `1*DIGIT`: no sign, no list, no white space. What does not fit 64 bits is too large by any limit.
fn decimal(text: &[u8]) -> Result<u64, ParseError> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(ParseError::ContentLength);
    }
    Ok(text.iter().fold(0u64, |sum, &digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}
