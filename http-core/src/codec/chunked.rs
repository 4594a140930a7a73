//! The chunked coding (RFC 9112 §7.1): a decoder that works in place, and the encoder.
//!
//! The decoder moves the data of all chunks to the front of the buffer, over the framing. It is strict where two
//! parsers could disagree: lines end with CRLF only, sizes are plain hexadecimal numbers, and extensions follow the
//! grammar of §7.1.1, quoted strings included. It checks, counts and drops extensions and trailers.

use crate::types::{chars, error::ParseError, limits::Limits};

/// The maximum number of hexadecimal digits of a chunk size, leading zeros included: those of a 64-bit number.
const MAX_SIZE_DIGITS: u8 = 16;

/// The bytes after the data of a chunk.
pub(crate) const CHUNK_END: &[u8] = b"\r\n";

/// What the decoder expects next. The phases from `TrailerStart` on follow the last chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ChunkPhase {
    /// A digit of a chunk size. After at least one digit, also the byte after the size. `digits` is the number of
    /// digits so far.
    Size { digits: u8 },
    /// White space before an extension, or its semicolon.
    BeforeExtension,
    /// White space after a semicolon, or the first byte of the name of an extension.
    BeforeName,
    /// Another byte of the name, or what may follow it: white space, `=`, a semicolon or CR.
    Name,
    /// White space after the name, `=`, or the semicolon of the next extension.
    AfterName,
    /// White space after the `=`, the first byte of a token, or the quote that opens a quoted string.
    BeforeValue,
    /// Another byte of a token, or what may follow it: white space, a semicolon or CR.
    TokenValue,
    /// A byte of a quoted string, a backslash, or the closing quote.
    QuotedValue,
    /// The byte after a backslash in a quoted string.
    QuotedPair,
    /// What may follow a quoted string: white space, a semicolon or CR.
    AfterQuotedValue,
    /// The LF of the line with the size.
    SizeLf,
    /// Data of a chunk.
    Data,
    /// The CR after the data.
    DataCr,
    /// The LF after the data.
    DataLf,
    /// The first byte of a trailer line, or the CR of the empty line that ends the body.
    TrailerStart,
    /// Another byte of the name of a trailer, or the colon.
    TrailerName,
    /// A byte of the value of a trailer, or CR.
    TrailerValue,
    /// The LF of a trailer line.
    TrailerLf,
    /// The LF of the empty line that ends the body.
    LastLf,
    /// Nothing: the body is complete.
    Done,
}

impl ChunkPhase {
    /// Returns the phase after `byte`, a byte of the extensions behind a chunk size (RFC 9112 §7.1.1). Fails if the
    /// grammar does not allow `byte` here.
    fn after_extension_byte(self, byte: u8) -> Result<ChunkPhase, ParseError> {
        use ChunkPhase::*;
        Ok(match (self, byte) {
            (Size { digits: 1.. } | BeforeExtension | TokenValue | AfterQuotedValue, b' ' | b'\t') => {
                BeforeExtension
            }
            (Name | AfterName, b' ' | b'\t') => AfterName,
            (BeforeName | BeforeValue, b' ' | b'\t') => self,
            (
                Size { digits: 1.. } | BeforeExtension | Name | AfterName | TokenValue | AfterQuotedValue,
                b';',
            ) => BeforeName,
            (BeforeName | Name, _) if chars::is_token(byte) => Name,
            (Name | AfterName, b'=') => BeforeValue,
            (BeforeValue | TokenValue, _) if chars::is_token(byte) => TokenValue,
            (BeforeValue, b'"') => QuotedValue,
            (QuotedValue, b'"') => AfterQuotedValue,
            (QuotedValue, b'\\') => QuotedPair,
            (QuotedValue | QuotedPair, _) if chars::is_header_value(byte) => QuotedValue,
            _ => return Err(ParseError::Chunk),
        })
    }
}

/// Whether a body is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeStatus {
    /// More bytes are needed.
    Partial,
    /// The body is complete. The bytes of the buffer from this offset on follow the message.
    Complete(usize),
}

/// The decoder of one chunked body, which is received into one buffer.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    phase: ChunkPhase,
    /// The number of bytes of the current chunk not received yet; 0 between two chunks. While a chunk size is received,
    /// the value of its digits so far.
    remaining: u64,
    /// The number of decoded bytes, which are at the front of the buffer.
    body_len: usize,
    /// The number of bytes of extensions and trailers so far.
    overhead: usize,
}

impl Default for ChunkedDecoder {
    fn default() -> ChunkedDecoder {
        ChunkedDecoder { phase: ChunkPhase::Size { digits: 0 }, remaining: 0, body_len: 0, overhead: 0 }
    }
}

impl ChunkedDecoder {
    /// Returns the number of decoded bytes, which are at the front of the buffer.
    pub fn body_len(&self) -> usize {
        self.body_len
    }

    /// Forgets the decoded bytes, because the caller removes them from the front of the buffer. They no longer count
    /// against [`Limits::body_bytes`].
    pub(crate) fn forget(&mut self) {
        self.body_len = 0;
    }

    /// Decodes `bytes` in place, and returns whether the body is complete. The first
    /// [`body_len`](ChunkedDecoder::body_len) bytes of `bytes` are decoded already; all others are coded.
    ///
    /// After [`DecodeStatus::Partial`], truncate the buffer to `body_len()` bytes, and append the next received bytes.
    ///
    /// # Errors
    ///
    /// [`ParseError::Chunk`] or [`ParseError::Trailer`] if the coding is malformed. [`ParseError::BodyTooLarge`] or
    /// [`ParseError::ChunkOverhead`] if a limit is exceeded.
    pub fn decode(&mut self, bytes: &mut [u8], limits: &Limits) -> Result<DecodeStatus, ParseError> {
        let mut at = self.body_len;
        while self.phase != ChunkPhase::Done {
            let Some(&byte) = bytes.get(at) else { return Ok(DecodeStatus::Partial) };
            if self.phase == ChunkPhase::Data {
                at += self.take_data(bytes, at);
            } else {
                self.phase = self.phase_after(byte, limits)?;
                at += 1;
            }
        }
        Ok(DecodeStatus::Complete(at))
    }

    /// Moves the data of the current chunk, which begins at `bytes[at]`, to the end of the decoded bytes. Returns the
    /// number of bytes moved. If the chunk is complete, sets the phase to `DataCr`.
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

    /// Processes `byte`, which is framing and not chunk data, and returns the next phase, which the caller must set.
    /// Adds a digit of a size to `remaining`, and counts a byte of an extension or a trailer in `overhead`.
    ///
    /// Fails if the current phase does not allow `byte`, or a limit is exceeded.
    fn phase_after(&mut self, byte: u8, limits: &Limits) -> Result<ChunkPhase, ParseError> {
        use ChunkPhase::*;
        Ok(match (self.phase, byte) {
            (Size { digits }, _) if byte.is_ascii_hexdigit() => self.add_size_digit(digits, byte, limits)?,
            (Size { digits: 1.. } | Name | TokenValue | AfterQuotedValue, b'\r') => SizeLf,
            (phase, _) if phase < SizeLf => self.count_overhead(phase.after_extension_byte(byte)?, limits)?,
            (SizeLf, b'\n') if self.remaining == 0 => TrailerStart,
            (SizeLf, b'\n') => Data,
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size { digits: 0 },
            (TrailerStart, b'\r') => LastLf,
            (TrailerStart | TrailerName, _) if chars::is_token(byte) => {
                self.count_overhead(TrailerName, limits)?
            }
            (TrailerName, b':') => self.count_overhead(TrailerValue, limits)?,
            (TrailerValue, b'\r') => TrailerLf,
            (TrailerValue, _) if chars::is_header_value(byte) => self.count_overhead(TrailerValue, limits)?,
            (TrailerLf, b'\n') => TrailerStart,
            (LastLf, b'\n') => Done,
            (phase, _) if phase >= TrailerStart => return Err(ParseError::Trailer),
            _ => return Err(ParseError::Chunk),
        })
    }

    /// Adds `digit` to the size of the current chunk, which has `digits` digits so far. `digit` is the ASCII character
    /// of a hexadecimal digit. Returns the next phase: [`ChunkPhase::Size`] with one digit more.
    ///
    /// Fails if the size has more than 16 digits, or the chunk exceeds the limit of the body.
    fn add_size_digit(&mut self, digits: u8, digit: u8, limits: &Limits) -> Result<ChunkPhase, ParseError> {
        if digits == MAX_SIZE_DIGITS {
            return Err(ParseError::Chunk);
        }
        // 16 digits have exactly 64 bits: the shift loses none.
        self.remaining = self.remaining << 4 | u64::from((digit as char).to_digit(16).unwrap_or(0));
        let room = limits.max_body().saturating_sub(self.body_len) as u64;
        if self.remaining > room {
            return Err(ParseError::BodyTooLarge);
        }
        Ok(ChunkPhase::Size { digits: digits + 1 })
    }

    /// Counts one byte of an extension or a trailer, and returns `next`. Fails if the number of these bytes exceeds
    /// [`Limits::chunk_overhead_bytes`].
    fn count_overhead(&mut self, next: ChunkPhase, limits: &Limits) -> Result<ChunkPhase, ParseError> {
        self.overhead += 1;
        if self.overhead > limits.chunk_overhead_bytes { Err(ParseError::ChunkOverhead) } else { Ok(next) }
    }
}

/// Appends `chunk`, which must not be empty, to `out` in the chunked coding.
pub(crate) fn encode_chunk(chunk: &[u8], out: &mut Vec<u8>) {
    encode_size(chunk.len() as u64, out);
    out.extend_from_slice(chunk);
    out.extend_from_slice(CHUNK_END);
}

/// Appends the line before the data of a chunk of `size` bytes. [`CHUNK_END`] must follow the data.
pub(crate) fn encode_size(size: u64, out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{size:x}\r\n");
}

/// Appends the last chunk and `trailers`, which are lines with their CRLF.
pub(crate) fn encode_end(trailers: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `coded` at once, then byte by byte: both must yield this body and the bytes after it.
    fn check(coded: &[u8], expected: Result<(&[u8], &[u8]), ParseError>) {
        let limits = Limits { body_bytes: 32, chunk_overhead_bytes: 24, ..Limits::default() };
        for size in [coded.len(), 1] {
            let (mut decoder, mut buffer) = (ChunkedDecoder::default(), Vec::new());
            let mut pieces = coded.chunks(size);
            let outcome = loop {
                buffer.extend_from_slice(pieces.next().expect("a body that ends"));
                match decoder.decode(&mut buffer, &limits) {
                    Ok(DecodeStatus::Partial) => buffer.truncate(decoder.body_len()),
                    Ok(DecodeStatus::Complete(end)) => {
                        buffer.extend(pieces.flatten());
                        break Ok((&buffer[..decoder.body_len()], &buffer[end..]));
                    }
                    Err(error) => break Err(error),
                }
            };
            assert_eq!(outcome, expected, "{} in pieces of {size} bytes", coded.escape_ascii());
        }
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
        for line in
            [" a: b\r\n", "a b: c\r\n", ": c\r\n", "a\r\n", "a: b\n", "a: b\rc", "a: \0\r\n", "\n", "\rx"]
        {
            check(format!("0\r\n{line}\r\n").as_bytes(), Err(ParseError::Trailer));
        }
    }

    #[test]
    fn extensions_follow_the_grammar() {
        let accepted =
            ";a/;a=b/;a=\"\"/;a;b=c;d/ \t;\ta =\t\"b\" ; c/;a=\"\t;=\\\"\\\\\\\t\u{e9}\"/;!#=|~/;a;a";
        for extensions in accepted.split('/') {
            check(format!("3{extensions}\r\nabc\r\n0\r\n\r\n").as_bytes(), Ok((b"abc", b"")));
            check(format!("0{extensions}\r\n\r\nnext").as_bytes(), Ok((b"", b"next")));
        }
        let rejected = ";/; /;a /;a=/;a= /;a=b /;a=\"b\" /;=b/;;a/;a;/;a b/;a=b c/;a==b/;a=b=c/;a,b/;[=}/;\"a\"=b/;a=\"b/\
            ;a=\"b\\\"/;a=\"b\"c/;a=b\"c\"/;a=\"\0\"/;a=\"\x7f\"/;a=\"\\\0\"/;a=\"\n\"/;a=\"\r\n\"/;a=\"\\\r\n\"/;a=\u{e9}/\
            ;\u{e9}/a;/ a/=a";
        for extensions in rejected.split('/') {
            check(format!("0{extensions}\r\n\r\n").as_bytes(), Err(ParseError::Chunk));
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
