//! Body decoding: finds the end of a request's or a response's body, and removes its chunk framing.

use super::{
    chunked::{ChunkedDecoder, DecodeStatus},
    framing::BodyLength,
};
use crate::types::{error::ParseError, limits::Limits};

/// The decoder of one body, which is received into one buffer.
#[derive(Clone, Debug)]
pub(crate) enum BodyDecoder {
    /// The body has this number of bytes.
    Exact(usize),
    /// The body is in the chunked coding.
    Chunked(ChunkedDecoder),
    /// The end of the connection is the end of the body.
    UntilClose,
}

impl BodyDecoder {
    /// Creates the decoder of a body whose end is determined by `length`.
    ///
    /// # Errors
    ///
    /// [`ParseError::BodyTooLarge`] if `length` is a number of bytes above the limit.
    pub(crate) fn new(length: BodyLength, limits: &Limits) -> Result<BodyDecoder, ParseError> {
        match length {
            BodyLength::Chunked => Ok(BodyDecoder::Chunked(ChunkedDecoder::default())),
            BodyLength::UntilClose => Ok(BodyDecoder::UntilClose),
            BodyLength::Exact(length) => match usize::try_from(length) {
                Ok(length) if length <= limits.max_body() => Ok(BodyDecoder::Exact(length)),
                _ => Err(ParseError::BodyTooLarge),
            },
        }
    }

    /// Decodes `bytes` in place, and returns whether the body is complete. `bytes` are the bytes that earlier calls
    /// have decoded, followed by all bytes received since.
    ///
    /// After [`DecodeStatus::Partial`], truncate the buffer to [`body_len`](BodyDecoder::body_len) bytes, and append
    /// the next received bytes. After [`DecodeStatus::Complete`], the first `body_len` bytes are the body.
    ///
    /// # Errors
    ///
    /// If the chunked coding is malformed, or the body, or its chunk extensions and trailers, exceed a limit.
    pub(crate) fn decode(&mut self, bytes: &mut [u8], limits: &Limits) -> Result<DecodeStatus, ParseError> {
        match self {
            BodyDecoder::Exact(length) if bytes.len() >= *length => Ok(DecodeStatus::Complete(*length)),
            BodyDecoder::Exact(_) => Ok(DecodeStatus::Partial),
            BodyDecoder::Chunked(decoder) => decoder.decode(bytes, limits),
            BodyDecoder::UntilClose if bytes.len() > limits.max_body() => Err(ParseError::BodyTooLarge),
            BodyDecoder::UntilClose => Ok(DecodeStatus::Partial),
        }
    }

    /// Forgets the decoded bytes, because the caller removes them from the buffer, and returns their number. The bytes
    /// that the next call of [`decode`](BodyDecoder::decode) decodes are then at the front of the buffer. The forgotten
    /// bytes no longer count against [`Limits::body_bytes`]. `buffer_len` is as for
    /// [`body_len`](BodyDecoder::body_len).
    pub(crate) fn forget(&mut self, buffer_len: usize) -> usize {
        let count = self.body_len(buffer_len);
        match self {
            BodyDecoder::Exact(length) => *length -= count,
            BodyDecoder::Chunked(decoder) => decoder.forget(),
            BodyDecoder::UntilClose => {}
        }
        count
    }

    /// Returns the number of decoded bytes at the front of the buffer. The bytes after them are chunk framing, or
    /// follow the message. `buffer_len` must be the length of the slice that was last passed to
    /// [`decode`](BodyDecoder::decode), or 0 before the first call of `decode`.
    pub(crate) fn body_len(&self, buffer_len: usize) -> usize {
        match self {
            BodyDecoder::Exact(length) => buffer_len.min(*length),
            BodyDecoder::Chunked(decoder) => decoder.body_len(),
            BodyDecoder::UntilClose => buffer_len,
        }
    }
}
