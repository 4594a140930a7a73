//! The chunked coding (RFC 9112 §7.1): a decoder that works in place, and the encoder.
//!
//! The decoder moves the content over the framing it arrived in. It is strict where two parsers could disagree: CRLF
//! only, plain hexadecimal sizes, no white space except before an extension. It checks, counts and drops extensions and
//! trailers.

use crate::types::{chars, error::ParseError, limits::Limits};

/// The most digits of a chunk size, leading zeros included: those of a 64-bit number.
const MAX_SIZE_DIGITS: u8 = 16;

/// What the decoder expects next, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ChunkPhase {
    Size { digits: u8 },
    BeforeExtension,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Done,
}

/// Whether a body is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeStatus {
    /// More bytes are needed.
    Partial,
    /// The body is complete. The bytes from this offset on follow the message.
    Complete(usize),
}

/// The decoder of one chunked body.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    phase: ChunkPhase,
    /// Bytes of the current chunk not received yet; within a chunk size, the value of the digits so far.
    remaining: u64,
    body_len: usize,
    overhead: usize,
}

impl Default for ChunkedDecoder {
    fn default() -> ChunkedDecoder {
        ChunkedDecoder { phase: ChunkPhase::Size { digits: 0 }, remaining: 0, body_len: 0, overhead: 0 }
    }
}

impl ChunkedDecoder {
    /// Returns the number of bytes decoded so far. They are at the front of the buffer.
    pub fn body_len(&self) -> usize {
        self.body_len
    }

    /// Decodes in place. The first [`body_len`](ChunkedDecoder::body_len) bytes of `bytes` are decoded already; the
    /// others are coded. After [`DecodeStatus::Partial`], keep only the decoded bytes.
    ///
    /// # Errors
    ///
    /// The first error in the coding, or [`ParseError::BodyTooLarge`] or [`ParseError::ChunkOverhead`] when a limit is
    /// exceeded.
    pub fn decode(&mut self, bytes: &mut [u8], limits: &Limits) -> Result<DecodeStatus, ParseError> {
        let mut at = self.body_len;
        while self.phase != ChunkPhase::Done {
            let Some(&byte) = bytes.get(at) else { return Ok(DecodeStatus::Partial) };
            if self.phase == ChunkPhase::Data {
                at += self.take_data(bytes, at);
            } else {
                self.phase = self.next(byte, limits)?;
                at += 1;
            }
        }
        Ok(DecodeStatus::Complete(at))
    }

    /// Moves the chunk data at `at` to the end of the decoded bytes, and returns its length.
    fn take_data(&mut self, bytes: &mut [u8], at: usize) -> usize {
        let count = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(bytes.len() - at);
        bytes.copy_within(at..at + count, self.body_len);
        self.body_len += count;
        self.remaining -= count as u64;
        if self.remaining == 0 {
            self.phase = ChunkPhase::DataCr;
        }
        count
    }

    /// Returns the phase after one byte of framing.
    fn next(&mut self, byte: u8, limits: &Limits) -> Result<ChunkPhase, ParseError> {
        use ChunkPhase::*;
        Ok(match (self.phase, byte) {
            (Size { digits }, _) if byte.is_ascii_hexdigit() => self.size_digit(digits, byte, limits)?,
            (Size { digits: 1.. } | Extension, b'\r') => SizeLf,
            (Size { digits: 1.. } | BeforeExtension, b';') => self.overhead(Extension, limits)?,
            (Size { digits: 1.. } | BeforeExtension, b' ' | b'\t') => {
                self.overhead(BeforeExtension, limits)?
            }
            (Extension, _) if chars::is_header_value(byte) => self.overhead(Extension, limits)?,
            (SizeLf, b'\n') if self.remaining == 0 => TrailerStart,
            (SizeLf, b'\n') => Data,
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size { digits: 0 },
            (TrailerStart, b'\r') => LastLf,
            (TrailerStart | TrailerName, _) if chars::is_token(byte) => self.overhead(TrailerName, limits)?,
            (TrailerName, b':') => self.overhead(TrailerValue, limits)?,
            (TrailerValue, b'\r') => TrailerLf,
            (TrailerValue, _) if chars::is_header_value(byte) => self.overhead(TrailerValue, limits)?,
            (TrailerLf, b'\n') => TrailerStart,
            (LastLf, b'\n') => Done,
            (phase, _) if phase >= TrailerStart => return Err(ParseError::Trailer),
            _ => return Err(ParseError::Chunk),
        })
    }

    fn size_digit(&mut self, digits: u8, digit: u8, limits: &Limits) -> Result<ChunkPhase, ParseError> {
        if digits == MAX_SIZE_DIGITS {
            return Err(ParseError::Chunk);
        }
        let previous = if digits == 0 { 0 } else { self.remaining };
        // 16 digits have exactly 64 bits: the shift loses none.
        self.remaining = previous << 4 | u64::from((digit as char).to_digit(16).unwrap_or(0));
        let room = limits.body_bytes.saturating_sub(self.body_len) as u64;
        if self.remaining > room {
            Err(ParseError::BodyTooLarge)
        } else {
            Ok(ChunkPhase::Size { digits: digits + 1 })
        }
    }

    fn overhead(&mut self, next: ChunkPhase, limits: &Limits) -> Result<ChunkPhase, ParseError> {
        self.overhead += 1;
        if self.overhead > limits.chunk_overhead_bytes { Err(ParseError::ChunkOverhead) } else { Ok(next) }
    }
}

/// Appends `chunk` in the chunked coding. An empty chunk ends the body.
pub(crate) fn encode_chunk(chunk: &[u8], out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{:x}\r\n", chunk.len());
    out.extend_from_slice(chunk);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { body_bytes: 32, chunk_overhead_bytes: 24, ..Limits::default() }
    }

    /// Decodes at once and byte by byte, and compares the body and the bytes after it.
    fn check(coded: &[u8], expected: Result<(&[u8], &[u8]), ParseError>) {
        let whole = decode(&mut ChunkedDecoder::default(), &mut coded.to_vec());
        assert_eq!(
            whole,
            expected.map(|(a, b)| Some((a.to_vec(), b.to_vec()))),
            "whole: {}",
            coded.escape_ascii()
        );
        let (mut decoder, mut body, mut outcome) = (ChunkedDecoder::default(), Vec::new(), Ok(None));
        for (index, &byte) in coded.iter().enumerate() {
            body.push(byte);
            outcome = decode(&mut decoder, &mut body);
            match &mut outcome {
                Ok(None) => body.truncate(decoder.body_len()),
                Ok(Some((_, rest))) => {
                    rest.extend(&coded[index + 1..]);
                    break;
                }
                Err(_) => break,
            }
        }
        assert_eq!(outcome, whole, "byte by byte: {}", coded.escape_ascii());
    }

    type Outcome = Result<Option<(Vec<u8>, Vec<u8>)>, ParseError>;

    fn decode(decoder: &mut ChunkedDecoder, body: &mut [u8]) -> Outcome {
        Ok(match decoder.decode(body, &limits())? {
            DecodeStatus::Partial => None,
            DecodeStatus::Complete(rest) => {
                Some((body[..decoder.body_len()].to_vec(), body[rest..].to_vec()))
            }
        })
    }

    #[test]
    fn joins_chunks_and_keeps_the_bytes_after_the_body() {
        check(b"0\r\n\r\nGET /", Ok((b"", b"GET /")));
        check(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nnext", Ok((b"abc0123456789", b"next")));
        check(b"0003;name=value\r\nabc\r\n0;last\r\n\r\n", Ok((b"abc", b"")));
        check(b"3 \t;n=\"\\\"q;\"\r\nabc\r\n0\r\n\r\n", Ok((b"abc", b"")));
        check(b"2\r\n\r\n\r\n0\r\n\r\n", Ok((b"\r\n", b"")));
        check(b"0\r\nA: b\r\nC:\r\n\r\n!", Ok((b"", b"!")));
    }

    #[test]
    fn rejects_malformed_chunks() {
        for size in ["", ";x", "g", "-1", "+1", "0x1", " 1", "1 ", "1\nx", "1\rx", "1;a\nb", "1;a\0", "1 2"] {
            check(format!("{size}\r\n").as_bytes(), Err(ParseError::Chunk));
        }
        check(b"00000000000000000\r\n", Err(ParseError::Chunk));
        for data in ["xy\r\n", "x\n", "x\rz", "x1\r\n"] {
            check(format!("1\r\n{data}").as_bytes(), Err(ParseError::Chunk));
        }
        for trailer in
            [" a: b\r\n", "a b: c\r\n", ": c\r\n", "a\r\n", "a: b\n", "a: b\rc", "a: \0\r\n", "\n", "\rx"]
        {
            check(format!("0\r\n{trailer}\r\n").as_bytes(), Err(ParseError::Trailer));
        }
    }

    #[test]
    fn limits_are_exact() {
        let full = [b"20\r\n", &[b'x'; 32][..], b"\r\n0\r\n\r\n"].concat();
        check(&full, Ok((&[b'x'; 32], b"")));
        check(b"21\r\n", Err(ParseError::BodyTooLarge));
        check(b"ffffffffffffffff\r\n", Err(ParseError::BodyTooLarge));
        check(&[b"20\r\n", &[b'x'; 32][..], b"\r\n1\r\n"].concat(), Err(ParseError::BodyTooLarge));
        let extended = |n: usize| format!("0;{}\r\n\r\n", "e".repeat(n));
        check(extended(23).as_bytes(), Ok((b"", b"")));
        check(extended(24).as_bytes(), Err(ParseError::ChunkOverhead));
        let trailer = |n: usize| format!("0\r\nt:{}\r\n\r\n", "e".repeat(n));
        check(trailer(22).as_bytes(), Ok((b"", b"")));
        check(trailer(23).as_bytes(), Err(ParseError::ChunkOverhead));
    }
}
