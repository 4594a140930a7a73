//! A response's content on its way in: what belongs to it, and when it is all here.

use crate::{
    codec::{
        chunked::{Decoded, Decoder},
        delimiting::BodyLength,
    },
    types::{error::ParseError, limits::Limits},
};

/// Content of which something may still be to come.
#[derive(Clone, Debug)]
pub(super) struct Content {
    length: Length,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Length {
    Exact(usize),
    Chunked(Decoder),
    /// Whatever comes before the connection ends.
    UntilClose,
}

impl Content {
    /// Expects content of this length; none is what only the end of the connection delimits (RFC 9112 §6.3, rule 8).
    ///
    /// # Errors
    ///
    /// When it is announced to be larger than it may be.
    pub(super) fn of(length: Option<BodyLength>, limits: &Limits) -> Result<Content, ParseError> {
        let length = match length {
            None => Length::UntilClose,
            Some(BodyLength::Chunked) => Length::Chunked(Decoder::default()),
            Some(BodyLength::Exact(length)) => match usize::try_from(length) {
                Ok(length) if length <= limits.body_bytes => Length::Exact(length),
                _ => return Err(ParseError::BodyTooLarge),
            },
        };
        Ok(Content { length, bytes: Vec::new() })
    }

    /// Takes in a piece. Complete, it says how many bytes at the piece's end do not belong to it.
    ///
    /// # Errors
    ///
    /// When the chunked coding is broken, or the content larger than it may be.
    pub(super) fn receive(&mut self, piece: &[u8], limits: &Limits) -> Result<Option<usize>, ParseError> {
        match &mut self.length {
            Length::Exact(length) => {
                let (ours, excess) = piece.split_at(piece.len().min(*length - self.bytes.len()));
                self.bytes.extend_from_slice(ours);
                Ok((self.bytes.len() == *length).then_some(excess.len()))
            }
            Length::Chunked(decoder) => {
                self.bytes.extend_from_slice(piece);
                let excess = match decoder.decode(&mut self.bytes, limits)? {
                    Decoded::Complete(end) => Some(self.bytes.len() - end),
                    Decoded::Partial => None,
                };
                self.bytes.truncate(decoder.content_len());
                Ok(excess)
            }
            Length::UntilClose => {
                self.bytes.extend_from_slice(piece);
                if self.bytes.len() > limits.body_bytes { Err(ParseError::BodyTooLarge) } else { Ok(None) }
            }
        }
    }

    /// Whether the end of the connection is the end of the content.
    pub(super) fn ends_with_connection(&self) -> bool {
        matches!(self.length, Length::UntilClose)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
