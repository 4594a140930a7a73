//! Body decoding: finds the end of a body and removes its chunk framing, in requests and in responses alike.

use super::{
    chunked::{ChunkedDecoder, DecodeStatus},
    framing::BodyLength,
};
use crate::types::{error::ParseError, limits::Limits};

/// The decoder of one body.
#[derive(Clone, Debug)]
pub(crate) enum BodyDecoder {
    /// A body of this many bytes.
    Exact(usize),
    Chunked(ChunkedDecoder),
    /// A body that ends when the connection does.
    UntilClose,
}

impl BodyDecoder {
    /// Creates a decoder for a body of this length.
    ///
    /// # Errors
    ///
    /// [`ParseError::BodyTooLarge`] if the announced length exceeds the limit.
    pub(crate) fn new(length: BodyLength, limits: &Limits) -> Result<BodyDecoder, ParseError> {
        match length {
            BodyLength::Chunked => Ok(BodyDecoder::Chunked(ChunkedDecoder::default())),
            BodyLength::UntilClose => Ok(BodyDecoder::UntilClose),
            BodyLength::Exact(length) => match usize::try_from(length) {
                Ok(length) if length <= limits.body_bytes => Ok(BodyDecoder::Exact(length)),
                _ => Err(ParseError::BodyTooLarge),
            },
        }
    }

    /// Decodes in place. `bytes` are the first [`body_len`](BodyDecoder::body_len) bytes left by the last call, and all
    /// bytes received since.
    ///
    /// # Errors
    ///
    /// If the chunked coding is malformed, or the body exceeds the limit.
    pub(crate) fn decode(&mut self, bytes: &mut [u8], limits: &Limits) -> Result<DecodeStatus, ParseError> {
        match self {
            BodyDecoder::Exact(length) if bytes.len() >= *length => Ok(DecodeStatus::Complete(*length)),
            BodyDecoder::Exact(_) => Ok(DecodeStatus::Partial),
            BodyDecoder::Chunked(decoder) => decoder.decode(bytes, limits),
            BodyDecoder::UntilClose if bytes.len() > limits.body_bytes => Err(ParseError::BodyTooLarge),
            BodyDecoder::UntilClose => Ok(DecodeStatus::Partial),
        }
    }

    /// Returns how many bytes at the front are decoded, after a call of [`decode`](BodyDecoder::decode) with `received`
    /// bytes. The others are still coded, or follow the message.
    pub(crate) fn body_len(&self, received: usize) -> usize {
        match self {
            BodyDecoder::Exact(length) => received.min(*length),
            BodyDecoder::Chunked(decoder) => decoder.body_len(),
            BodyDecoder::UntilClose => received,
        }
    }
}
