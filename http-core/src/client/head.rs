//! The head of a response: parses the status line (RFC 9112 §4), and the header lines with the parser for requests.

use super::error::ResponseError;
use crate::{
    codec::{
        framing::BodyFraming,
        head::{HeadIndex, ParseStatus},
    },
    types::{chars, error::ParseError, headers::Headers, limits::Limits, method::Version},
};

/// The head of one response while it arrives.
#[derive(Clone, Debug, Default)]
pub(super) struct ReceivingHead {
    /// All bytes received since the head began. They may include bytes after the head.
    bytes: Vec<u8>,
    /// The number of bytes of the status line parsed so far.
    at: usize,
    /// The index of the header lines; `None` until the status line is complete.
    index: Option<HeadIndex>,
}

impl ReceivingHead {
    /// Adds received bytes and continues to parse. Returns [`ParseStatus::Partial`] while the head is incomplete, and
    /// [`ParseStatus::Complete`] with the length of the head when it is complete. Do not call this method after
    /// `Complete` or an error.
    ///
    /// # Errors
    ///
    /// The first error in the head. It does not depend on how the bytes are split into calls.
    pub(super) fn receive(&mut self, bytes: &[u8], limits: &Limits) -> Result<ParseStatus, ResponseError> {
        self.bytes.extend_from_slice(bytes);
        if self.index.is_none() && !self.parse_status_line(limits.head_bytes.min(usize::from(u16::MAX)))? {
            return Ok(ParseStatus::Partial);
        }
        let index = self.index.get_or_insert_with(|| HeadIndex::of_headers(self.at));
        // RFC 9112 §5.2 asks user agents to unfold folded lines. The client rejects them, as gateways may.
        Ok(index.parse(&self.bytes, limits)?)
    }

    /// Continues to parse the status line. Returns whether it is complete. Fails if the line is malformed, or longer
    /// than `max_bytes`.
    fn parse_status_line(&mut self, max_bytes: usize) -> Result<bool, ResponseError> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.at > max_bytes {
                return Err(ParseError::HeadTooLarge.into());
            }
            match (self.at, byte) {
                (index @ 0..5, _) if byte == b"HTTP/"[index] => {}
                (5 | 7, b'0'..=b'9') | (6, b'.') => {}
                (8, _) if self.bytes[5] != b'1' => return Err(ParseError::VersionUnsupported.into()),
                (8, b' ') | (9, b'1'..=b'9') | (10 | 11, b'0'..=b'9') => {}
                (13.., b'\n') if self.bytes[self.at - 1] == b'\r' => {
                    self.at += 1;
                    return Ok(true);
                }
                (13.., _) if self.bytes[self.at - 1] == b'\r' => return Err(ParseError::LineEnding.into()),
                // RFC 9112 §4 requires a space even if no reason phrase follows. Some servers omit it.
                (12, b' ') | (12.., b'\r') => {}
                (12.., b'\n') => return Err(ParseError::LineEnding.into()),
                (13.., _) if chars::is_header_value(byte) => {}
                _ => return Err(ResponseError::StatusLine),
            }
            self.at += 1;
        }
        Ok(false)
    }

    /// Returns the version. Call this only when the head is complete.
    pub(super) fn version(&self) -> Version {
        if self.bytes.get(7) == Some(&b'0') { Version::Http10 } else { Version::Http11 }
    }

    /// Returns the status code, from 100 to 999. Call this only when the head is complete.
    pub(super) fn status(&self) -> u16 {
        let digits = self.bytes.get(9..12).unwrap_or_default();
        digits.iter().fold(0, |code, &digit| code * 10 + u16::from(digit - b'0'))
    }

    /// Returns what Content-Length, Transfer-Encoding and Connection say. Fails if Content-Length is malformed or
    /// contradictory. Call this only when the head is complete.
    pub(super) fn framing(&self) -> Result<BodyFraming, ParseError> {
        let mut framing = BodyFraming::default();
        self.lines().try_for_each(|(name, value)| framing.add(name, value))?;
        Ok(framing)
    }

    /// Copies the headers, without the white space around their values. Call this only when the head is complete.
    pub(super) fn headers(&self) -> Headers {
        let mut headers = Headers::default();
        self.lines().for_each(|(name, value)| headers.append_unchecked(name, value));
        headers
    }

    /// Returns the name and the value of each complete header line; nothing before the status line is complete.
    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let spans = self.index.as_ref().map(HeadIndex::header_spans).unwrap_or_default();
        spans.iter().map(|header| (header.name.of(&self.bytes), header.value.of(&self.bytes)))
    }

    /// Returns the bytes received after the head. `head_len` is the length of the head.
    pub(super) fn rest(&self, head_len: usize) -> &[u8] {
        self.bytes.get(head_len..).unwrap_or_default()
    }
}
