//! A response's head. The status line is read here (RFC 9112 §4), the field lines by the parser of requests.

use super::error::ResponseError;
use crate::{
    codec::{
        delimiting::Delimiting,
        head::{HeadIndex, Progress},
    },
    message::headers::Fields,
    types::{chars, error::ParseError, limits::Limits, version::Version},
};

/// A head, as far as it has come, and what came with its last piece behind it.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
    /// Octets of the status line that have been looked at.
    at: usize,
    /// Where the field lines stand, once the status line is complete.
    index: Option<HeadIndex>,
}

impl Head {
    /// Takes in a piece of the head. Complete, it says at which offset of all its pieces it ends.
    pub(super) fn receive(&mut self, piece: &[u8], limits: &Limits) -> Result<Progress, ResponseError> {
        self.bytes.extend_from_slice(piece);
        if self.index.is_none() && !self.status_line(limits.head_bytes)? {
            return Ok(Progress::Partial);
        }
        let index = self.index.get_or_insert_with(|| HeadIndex::of_fields(self.at));
        // RFC 9112 §5.2 would have a user agent unfold folded lines; as a gateway may, this refuses them.
        Ok(index.parse(&self.bytes, limits)?)
    }

    /// Goes on with the status line, octet by octet; says whether it is complete.
    fn status_line(&mut self, ceiling: usize) -> Result<bool, ResponseError> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.at > ceiling {
                return Err(ParseError::HeadTooLarge.into());
            }
            match (self.at, byte) {
                (place @ 0..5, _) if byte == b"HTTP/"[place] => {}
                (5 | 7, b'0'..=b'9') | (6, b'.') => {}
                (8, _) if self.bytes[5] != b'1' => return Err(ParseError::VersionUnsupported.into()),
                (8, b' ') | (9, b'1'..=b'9') | (10 | 11, b'0'..=b'9') => {}
                (13.., b'\n') if self.bytes[self.at - 1] == b'\r' => {
                    self.at += 1;
                    return Ok(true);
                }
                (13.., _) if self.bytes[self.at - 1] == b'\r' => return Err(ParseError::LineEnding.into()),
                // RFC 9112 §4 wants a space even where no reason follows it; not every server writes one.
                (12, b' ') | (12.., b'\r') => {}
                (12.., b'\n') => return Err(ParseError::LineEnding.into()),
                (13.., _) if chars::is_field_content(byte) => {}
                _ => return Err(ResponseError::StatusLine),
            }
            self.at += 1;
        }
        Ok(false)
    }

    /// The version, once the status line is complete.
    pub(super) fn version(&self) -> Version {
        if self.bytes.get(7) == Some(&b'0') { Version::Http10 } else { Version::Http11 }
    }

    /// The status code, from 100 to 999, once the status line is complete.
    pub(super) fn status(&self) -> u16 {
        let digits = self.bytes.get(9..12).unwrap_or_default();
        digits.iter().fold(0, |code, &digit| code * 10 + u16::from(digit - b'0'))
    }

    /// What its fields say about the framing.
    pub(super) fn delimiting(&self) -> Result<Delimiting, ParseError> {
        let mut delimiting = Delimiting::default();
        for (name, value) in self.lines() {
            delimiting.field(name, value)?;
        }
        Ok(delimiting)
    }

    /// Its fields, without the white space around their values.
    pub(super) fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in self.lines() {
            // The parser lets only tokens pass for names, and they are ASCII.
            fields.append(std::str::from_utf8(name).unwrap_or_default(), value);
        }
        fields
    }

    fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let spans = self.index.as_ref().map(HeadIndex::field_spans).unwrap_or_default();
        spans.iter().map(|field| (field.name.of(&self.bytes), field.value.of(&self.bytes)))
    }

    /// What came behind the head, which is `head_len` bytes long.
    pub(super) fn rest(&self, head_len: usize) -> &[u8] {
        self.bytes.get(head_len..).unwrap_or_default()
    }
}
