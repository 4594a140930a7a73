//! The chunked coding (RFC 9112 §7.1), decoded in place: content moves down over the framing it came in.
//!
//! Strict where two parsers could disagree: CRLF only, plain hexadecimal sizes, no white space but before an
//! extension. Extensions and trailers are checked, counted and dropped.

use crate::types::{chars, error::ParseError, limits::Limits};

/// More digits than a 64-bit size has are refused, leading zeros included.
const MAX_SIZE_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
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

/// Where a message's content ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// All was content so far; everything given is used up.
    Partial,
    /// The content is complete, and what follows the message begins at this offset.
    Complete(usize),
}

/// A decoder for one message.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// Bytes of the current chunk still to come, or its size as far as it is read.
    remaining: u64,
    content: usize,
    overhead: usize,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { state: State::Size { digits: 0 }, remaining: 0, content: 0, overhead: 0 }
    }
}

impl Decoder {
    /// Bytes of content decoded so far; they stand at the front of the body.
    pub fn content_len(&self) -> usize {
        self.content
    }

    /// Decodes a `body` whose first [`content_len`](Decoder::content_len) bytes are content and whose others
    /// are still coded. On [`Decoded::Partial`] only the content is worth keeping.
    ///
    /// # Errors
    ///
    /// The first fault in the coding, or a limit exceeded.
    pub fn decode(&mut self, body: &mut [u8], limits: &Limits) -> Result<Decoded, ParseError> {
        let mut at = self.content;
        while self.state != State::Done {
            let Some(&byte) = body.get(at) else { return Ok(Decoded::Partial) };
            if self.state == State::Data {
                at += self.take_data(body, at);
            } else {
                self.state = self.next(byte, limits)?;
                at += 1;
            }
        }
        Ok(Decoded::Complete(at))
    }

    /// Moves chunk data that begins at `at` behind the content before it; returns how much.
    fn take_data(&mut self, body: &mut [u8], at: usize) -> usize {
        let here = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(body.len() - at);
        body.copy_within(at..at + here, self.content);
        self.content += here;
        self.remaining -= here as u64;
        if self.remaining == 0 {
            self.state = State::DataCr;
        }
        here
    }

    /// The state behind one octet of framing.
    fn next(&mut self, byte: u8, limits: &Limits) -> Result<State, ParseError> {
        Ok(match (self.state, byte) {
            (State::Size { digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.size_digit(digits, byte, limits)?
            }
            (State::Size { digits: 1.. } | State::Extension, b'\r') => State::SizeLf,
            (State::Size { digits: 1.. } | State::BeforeExtension, b';') => {
                self.overhead(State::Extension, limits)?
            }
            (State::Size { digits: 1.. } | State::BeforeExtension, b' ' | b'\t') => {
                self.overhead(State::BeforeExtension, limits)?
            }
            (State::Extension, _) if chars::is_field_content(byte) => {
                self.overhead(State::Extension, limits)?
            }
            (State::SizeLf, b'\n') if self.remaining == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { digits: 0 },
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::TrailerStart | State::TrailerName, _) if chars::is_token(byte) => {
                self.overhead(State::TrailerName, limits)?
            }
            (State::TrailerName, b':') => self.overhead(State::TrailerValue, limits)?,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if chars::is_field_content(byte) => {
                self.overhead(State::TrailerValue, limits)?
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            (
                State::TrailerStart
                | State::TrailerName
                | State::TrailerValue
                | State::TrailerLf
                | State::LastLf,
                _,
            ) => {
                return Err(ParseError::Trailer);
            }
            _ => return Err(ParseError::Chunk),
        })
    }

    fn size_digit(&mut self, digits: u8, digit: u8, limits: &Limits) -> Result<State, ParseError> {
        if digits == MAX_SIZE_DIGITS {
            return Err(ParseError::Chunk);
        }
        let before = if digits == 0 { 0 } else { self.remaining };
        // Sixteen digits fill 64 bits exactly, so the shift loses nothing.
        self.remaining = before << 4 | u64::from((digit as char).to_digit(16).unwrap_or(0));
        let room = limits.body_bytes.saturating_sub(self.content) as u64;
        if self.remaining > room {
            Err(ParseError::BodyTooLarge)
        } else {
            Ok(State::Size { digits: digits + 1 })
        }
    }

    fn overhead(&mut self, next: State, limits: &Limits) -> Result<State, ParseError> {
        self.overhead += 1;
        if self.overhead > limits.chunk_overhead_bytes { Err(ParseError::ChunkOverhead) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { body_bytes: 32, chunk_overhead_bytes: 24, ..Limits::default() }
    }

    /// Decodes in one piece and byte by byte; yields the content and what follows it.
    fn check(coded: &[u8], expected: Result<(&[u8], &[u8]), ParseError>) {
        let whole = decode(&mut Decoder::default(), &mut coded.to_vec());
        assert_eq!(
            whole,
            expected.map(|(a, b)| Some((a.to_vec(), b.to_vec()))),
            "whole: {}",
            coded.escape_ascii()
        );
        let (mut decoder, mut body, mut outcome) = (Decoder::default(), Vec::new(), Ok(None));
        for (place, &byte) in coded.iter().enumerate() {
            body.push(byte);
            outcome = decode(&mut decoder, &mut body);
            match &mut outcome {
                Ok(None) => body.truncate(decoder.content_len()),
                Ok(Some((_, rest))) => {
                    rest.extend(&coded[place + 1..]);
                    break;
                }
                Err(_) => break,
            }
        }
        assert_eq!(outcome, whole, "dripped: {}", coded.escape_ascii());
    }

    type Outcome = Result<Option<(Vec<u8>, Vec<u8>)>, ParseError>;

    fn decode(decoder: &mut Decoder, body: &mut [u8]) -> Outcome {
        Ok(match decoder.decode(body, &limits())? {
            Decoded::Partial => None,
            Decoded::Complete(rest) => Some((body[..decoder.content_len()].to_vec(), body[rest..].to_vec())),
        })
    }

    #[test]
    fn content_is_joined_and_the_rest_is_left() {
        check(b"0\r\n\r\nGET /", Ok((b"", b"GET /")));
        check(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nnext", Ok((b"abc0123456789", b"next")));
        check(b"0003;name=value\r\nabc\r\n0;last\r\n\r\n", Ok((b"abc", b"")));
        check(b"3 \t;n=\"\\\"q;\"\r\nabc\r\n0\r\n\r\n", Ok((b"abc", b"")));
        check(b"2\r\n\r\n\r\n0\r\n\r\n", Ok((b"\r\n", b"")));
        check(b"0\r\nA: b\r\nC:\r\n\r\n!", Ok((b"", b"!")));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for coded in [
            "\r\n",
            ";x\r\n",
            "g\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\nx",
            "1\rx",
            "1;a\nb",
            "1;a\0",
            "1 2\r\n",
            "1\r\nxy\r\n",
            "1\r\nx\n",
            "1\r\nx\rz",
            "1\r\nx1\r\n",
            "00000000000000000\r\n",
        ] {
            check(coded.as_bytes(), Err(ParseError::Chunk));
        }
        for trailer in
            [" a: b\r\n", "a b: c\r\n", ": c\r\n", "a\r\n", "a: b\n", "a: b\rc", "a: \0\r\n", "\n", "\rx"]
        {
            check(format!("0\r\n{trailer}\r\n").as_bytes(), Err(ParseError::Trailer));
        }
    }

    #[test]
    fn each_ceiling_holds_to_the_byte() {
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
