//! The request-head parser: bytes in, an index of offsets out.
//!
//! It takes whatever has arrived, goes on where it stopped, looks at no octet twice and allocates nothing. It
//! knows the grammar of RFC 9112 §2–§5 and nothing of what fields mean: that is `framing`'s.
//!
//! ```text
//! Start ─► Method ─► Target ─► Version ─┐
//!   │ CRLF                              ▼
//!   └──◄                    ┌──────► LineStart ─ CRLF ─► Done
//!                           │           ▼
//!                         Value ◄── BeforeValue ◄── Name
//! ```

use super::span::Span;
use crate::types::{chars, error::ParseError, limits::Limits, method::Method, version::Version};

/// The most field lines that an index can hold, whatever [`Limits::fields`] says.
pub const MAX_FIELDS: usize = 128;

/// Longer than any registered method (the longest, `BASELINE-CONTROL`, has 16 octets).
const MAX_METHOD: usize = 32;

/// How many empty lines before a request line are forgiven (RFC 9112 §2.2).
pub(crate) const MAX_LEADING_CRLF: usize = 4;

/// A field line: its name, and its value without the white space around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSpans {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// In the order in which they come; behind `Value`, `LineStart` comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Start,
    Method,
    Target,
    Version,
    LineStart,
    Name,
    BeforeValue,
    Value,
    Done,
}

/// Whether the head is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Partial,
    /// The head, with its empty line, is this many bytes long.
    Complete(usize),
}

/// Where everything in a head stands, and how far the parser has come.
#[derive(Clone, Debug)]
pub struct HeadIndex {
    phase: Phase,
    /// Everything before this is parsed.
    at: usize,
    /// Where the element begins that `at` is in.
    mark: usize,
    pub(crate) method: Span,
    pub(crate) target: Span,
    /// The minor version; `b'0'` or above.
    minor: u8,
    count: usize,
    fields: [FieldSpans; MAX_FIELDS],
}

impl Default for HeadIndex {
    fn default() -> HeadIndex {
        HeadIndex {
            phase: Phase::Start,
            at: 0,
            mark: 0,
            method: Span::default(),
            target: Span::default(),
            minor: 0,
            count: 0,
            fields: [FieldSpans::default(); MAX_FIELDS],
        }
    }
}

impl HeadIndex {
    /// An index of field lines alone, which begin at `at`: for a head whose start line is no request line.
    pub(crate) fn of_fields(at: usize) -> HeadIndex {
        HeadIndex { phase: Phase::LineStart, at, mark: at, ..HeadIndex::default() }
    }

    /// Forgets the head, for the next one.
    #[inline]
    pub fn reset(&mut self) {
        self.phase = Phase::Start;
        self.at = 0;
        self.mark = 0;
        self.method = Span::default();
        self.target = Span::default();
        self.count = 0;
    }

    /// Goes on parsing `bytes`, which must begin with those of the last call.
    ///
    /// # Errors
    ///
    /// The first fault, in the order of the bytes, wherever they were cut on their way here.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<Progress, ParseError> {
        let ceiling = limits.head_bytes.min(usize::from(u16::MAX));
        if self.phase < Phase::LineStart && !self.request_line(bytes, limits.target_bytes.min(ceiling))? {
            return Ok(Progress::Partial);
        }
        self.field_lines(bytes, ceiling, limits.fields.min(MAX_FIELDS))
    }

    /// Enters the phase that it is in, and falls through those behind it. Whether the line is complete.
    #[inline]
    fn request_line(&mut self, bytes: &[u8], ceiling: usize) -> Result<bool, ParseError> {
        Ok((self.phase > Phase::Start || self.start(bytes)?)
            && (self.phase > Phase::Method || self.method(bytes)?)
            && (self.phase > Phase::Target || self.target(bytes, ceiling)?)
            && (self.phase > Phase::Version || self.version(bytes)?))
    }

    #[inline]
    fn field_lines(&mut self, bytes: &[u8], ceiling: usize, most: usize) -> Result<Progress, ParseError> {
        loop {
            let more = (self.phase > Phase::LineStart || self.line_start(bytes)?)
                && (self.phase > Phase::Name || self.name(bytes, ceiling)?)
                && (self.phase > Phase::BeforeValue || self.before_value(bytes, ceiling)?)
                && (self.phase > Phase::Value || self.value(bytes, ceiling, most)?);
            if self.phase == Phase::Done {
                return Ok(Progress::Complete(self.at));
            }
            if !more {
                return Ok(Progress::Partial);
            }
        }
    }

    #[inline]
    fn enter(&mut self, phase: Phase, at: usize) -> bool {
        self.phase = phase;
        self.at = at;
        self.mark = at;
        true
    }

    #[inline]
    fn start(&mut self, bytes: &[u8]) -> Result<bool, ParseError> {
        loop {
            match bytes.get(self.at..).unwrap_or_default() {
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] if self.at < MAX_LEADING_CRLF * 2 => self.at += 2,
                [b'\r' | b'\n', ..] => return Err(ParseError::LineEnding),
                _ => return Ok(self.enter(Phase::Method, self.at)),
            }
        }
    }

    fn method(&mut self, bytes: &[u8]) -> Result<bool, ParseError> {
        self.at = chars::token_end(bytes, self.at);
        if self.at - self.mark > MAX_METHOD {
            return Err(ParseError::MethodTooLong);
        }
        match bytes.get(self.at) {
            None => Ok(false),
            Some(b' ') if self.at > self.mark => {
                self.method = Span::new(self.mark, self.at);
                Ok(self.enter(Phase::Target, self.at + 1))
            }
            Some(_) => Err(ParseError::Method),
        }
    }

    fn target(&mut self, bytes: &[u8], ceiling: usize) -> Result<bool, ParseError> {
        self.at = chars::target_end(bytes, self.at);
        if self.at - self.mark > ceiling || self.at > usize::from(u16::MAX) {
            return Err(ParseError::TargetTooLong);
        }
        match bytes.get(self.at) {
            None => Ok(false),
            Some(b' ') if self.at > self.mark => {
                self.target = Span::new(self.mark, self.at);
                Ok(self.enter(Phase::Version, self.at + 1))
            }
            Some(_) => Err(ParseError::Target),
        }
    }

    fn version(&mut self, bytes: &[u8]) -> Result<bool, ParseError> {
        let rest = bytes.get(self.mark..).unwrap_or_default();
        if let Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', b'\r', b'\n']) =
            rest.first_chunk::<10>()
        {
            self.minor = *minor;
            return Ok(self.enter(Phase::LineStart, self.mark + 10));
        }
        // Rare: cut in the middle, or wrong. A fault must show with its own octet, not ten octets later.
        while let Some(&byte) = bytes.get(self.at) {
            match self.at - self.mark {
                place @ 0..5 if byte == b"HTTP/"[place] => {}
                5 | 7 if byte.is_ascii_digit() => {}
                6 if byte == b'.' => {}
                8 if rest[5] != b'1' => return Err(ParseError::VersionUnsupported),
                8 if byte == b'\r' => {}
                8 | 9 if matches!(byte, b'\n') || rest[8] == b'\r' => return Err(ParseError::LineEnding),
                _ => return Err(ParseError::Version),
            }
            self.at += 1;
        }
        Ok(false)
    }

    #[inline]
    fn line_start(&mut self, bytes: &[u8]) -> Result<bool, ParseError> {
        match bytes.get(self.at..).unwrap_or_default() {
            [] | [b'\r'] => Ok(false),
            [b'\r', b'\n', ..] => Ok(self.enter(Phase::Done, self.at + 2)),
            [b'\r' | b'\n', ..] => Err(ParseError::LineEnding),
            // RFC 9112 §5.2: a server may refuse folded lines. Peers disagree on their meaning; refuse.
            [b' ' | b'\t', ..] => Err(ParseError::ObsFold),
            _ => Ok(self.enter(Phase::Name, self.at)),
        }
    }

    #[inline]
    fn name(&mut self, bytes: &[u8], ceiling: usize) -> Result<bool, ParseError> {
        self.at = chars::token_end(bytes, self.at);
        self.below(ceiling)?;
        match bytes.get(self.at) {
            None => Ok(false),
            Some(b':') if self.at > self.mark => {
                // The value's place is kept free by `value`, which checks the count before it writes.
                if let Some(field) = self.fields.get_mut(self.count) {
                    field.name = Span::new(self.mark, self.at);
                }
                Ok(self.enter(Phase::BeforeValue, self.at + 1))
            }
            // RFC 9112 §5.1: white space between name and colon has been used to smuggle; refuse.
            Some(_) => Err(ParseError::FieldName),
        }
    }

    #[inline]
    fn before_value(&mut self, bytes: &[u8], ceiling: usize) -> Result<bool, ParseError> {
        while bytes.get(self.at).is_some_and(|&byte| chars::is_ows(byte)) {
            self.at += 1;
        }
        self.below(ceiling)?;
        Ok(self.at < bytes.len() && self.enter(Phase::Value, self.at))
    }

    #[inline]
    fn value(&mut self, bytes: &[u8], ceiling: usize, most: usize) -> Result<bool, ParseError> {
        self.at = chars::field_content_end(bytes, self.at);
        self.below(ceiling)?;
        match bytes.get(self.at..).unwrap_or_default() {
            [] | [b'\r'] => Ok(false),
            [b'\r', b'\n', ..] => {
                let Some(field) = self.fields[..most].get_mut(self.count) else {
                    return Err(ParseError::TooManyFields);
                };
                let value = &bytes[self.mark..self.at];
                let trailing = value.iter().rev().take_while(|&&byte| chars::is_ows(byte)).count();
                field.value = Span::new(self.mark, self.at - trailing);
                self.count += 1;
                Ok(self.enter(Phase::LineStart, self.at + 2))
            }
            [b'\r' | b'\n', ..] => Err(ParseError::LineEnding),
            _ => Err(ParseError::FieldValue),
        }
    }

    #[inline]
    fn below(&self, ceiling: usize) -> Result<(), ParseError> {
        if self.at > ceiling { Err(ParseError::HeadTooLarge) } else { Ok(()) }
    }

    /// The version, once the request line is parsed.
    #[inline]
    pub(crate) fn version_spoken(&self) -> Version {
        if self.minor == b'0' { Version::Http10 } else { Version::Http11 }
    }

    /// The method, as far as it is known; a head that broke before its method ended has none.
    #[inline]
    pub(crate) fn method_in(&self, bytes: &[u8]) -> Method {
        Method::of(self.method.of(bytes))
    }

    /// The field lines parsed so far.
    #[inline]
    pub(crate) fn field_spans(&self) -> &[FieldSpans] {
        &self.fields[..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Progress::{Complete, Partial};

    /// Parses `input` in one piece and byte by byte; both must agree.
    fn check(input: &[u8], expected: Result<Progress, ParseError>) -> HeadIndex {
        check_within(input, &Limits::default(), expected)
    }

    fn check_within(input: &[u8], limits: &Limits, expected: Result<Progress, ParseError>) -> HeadIndex {
        let mut whole = HeadIndex::default();
        assert_eq!(whole.parse(input, limits), expected, "whole: {}", input.escape_ascii());
        let mut dripped = HeadIndex::default();
        let mut outcome = Ok(Partial);
        for end in 0..=input.len() {
            outcome = dripped.parse(&input[..end], limits);
            if outcome != Ok(Partial) {
                break;
            }
        }
        assert_eq!(outcome, expected, "dripped: {}", input.escape_ascii());
        whole
    }

    #[test]
    fn a_head_is_indexed() {
        let head = b"\r\n\r\nGET /a?b HTTP/1.1\r\nHost: x\r\nEmpty:\r\nX-Y: \t two words\xff \t\r\n\r\nrest";
        let index = check(head, Ok(Complete(head.len() - 4)));
        assert_eq!(index.method.of(head), b"GET");
        assert_eq!(index.target.of(head), b"/a?b");
        assert_eq!(index.version_spoken(), Version::Http11);
        let fields: Vec<_> =
            index.field_spans().iter().map(|field| (field.name.of(head), field.value.of(head))).collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"Host", b"x"), (b"Empty", b""), (b"X-Y", b"two words\xff")];
        assert_eq!(fields, expected);
    }

    #[test]
    fn request_lines() {
        for (line, expected) in [
            ("GET / HTTP/1.0", Ok(())),
            ("GET / HTTP/1.2", Ok(())),
            ("PROPFIND * HTTP/1.1", Ok(())),
            ("G\"T / HTTP/1.1", Err(ParseError::Method)),
            (" GET / HTTP/1.1", Err(ParseError::Method)),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1", Err(ParseError::MethodTooLong)),
            ("GET  / HTTP/1.1", Err(ParseError::Target)),
            ("GET\t/ HTTP/1.1", Err(ParseError::Method)),
            ("GET /\x7f HTTP/1.1", Err(ParseError::Target)),
            ("GET /\u{e9} HTTP/1.1", Err(ParseError::Target)),
            ("GET /a b HTTP/1.1", Err(ParseError::Version)),
            ("GET /a#b HTTP/1.1", Err(ParseError::Target)),
            ("GET /", Err(ParseError::Target)),
            ("GET / ", Err(ParseError::Version)),
            ("GET / http/1.1", Err(ParseError::Version)),
            ("GET / HTTP/1.1 ", Err(ParseError::Version)),
            ("GET / HTTP/11", Err(ParseError::Version)),
            ("GET / HTTP/1.10", Err(ParseError::Version)),
            ("GET / HTTP/2.0", Err(ParseError::VersionUnsupported)),
            ("GET / HTTP/0.9", Err(ParseError::VersionUnsupported)),
            ("GET / HTTP/1.1\r", Err(ParseError::LineEnding)),
        ] {
            let head = format!("{line}\r\nHost: x\r\n\r\n");
            check(head.as_bytes(), expected.map(|()| Complete(head.len())));
        }
    }

    #[test]
    fn field_lines() {
        for (line, expected) in [
            (&b"A:b"[..], Ok(())),
            (b"A: \t b \t ", Ok(())),
            (b"A: caf\xe9 \x80", Ok(())),
            (b"A : b", Err(ParseError::FieldName)),
            (b"A\t: b", Err(ParseError::FieldName)),
            (b": b", Err(ParseError::FieldName)),
            (b"A", Err(ParseError::FieldName)),
            (b"\xe9: b", Err(ParseError::FieldName)),
            (b" folded", Err(ParseError::ObsFold)),
            (b"\tfolded", Err(ParseError::ObsFold)),
            (b"A: b\0c", Err(ParseError::FieldValue)),
            (b"A: b\x01", Err(ParseError::FieldValue)),
            (b"A: b\x7f", Err(ParseError::FieldValue)),
            (b"A: b\rc", Err(ParseError::LineEnding)),
            (b"A: b\nC: d", Err(ParseError::LineEnding)),
            (b"A: b\r\r", Err(ParseError::LineEnding)),
            (b"\nA: b", Err(ParseError::LineEnding)),
            (b"\rA: b", Err(ParseError::LineEnding)),
        ] {
            let head = [b"GET / HTTP/1.1\r\nHost: x\r\n", line, b"\r\n\r\n"].concat();
            check(&head, expected.map(|()| Complete(head.len())));
        }
    }

    #[test]
    fn empty_lines_before_a_request_are_forgiven_up_to_four() {
        check(b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", Ok(Complete(26)));
        check(b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", Err(ParseError::LineEnding));
        check(b"\nGET / HTTP/1.1\r\n\r\n", Err(ParseError::LineEnding));
    }

    #[test]
    fn each_ceiling_holds_to_the_byte() {
        let limits = Limits { target_bytes: 10, head_bytes: 60, fields: 2, ..Limits::default() };
        let target = |n: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "t".repeat(n - 1)).into_bytes();
        check_within(&target(10), &limits, Ok(Complete(27)));
        check_within(&target(11), &limits, Err(ParseError::TargetTooLong));
        check_within(&target(90), &limits, Err(ParseError::TargetTooLong));
        let fields = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(n)).into_bytes();
        check_within(&fields(2), &limits, Ok(Complete(28)));
        check_within(&fields(3), &limits, Err(ParseError::TooManyFields));
        let value = |n: usize| format!("GET / HTTP/1.1\r\na:{}\r\n\r\n", "v".repeat(n)).into_bytes();
        check_within(&value(42), &limits, Ok(Complete(64)));
        check_within(&value(43), &limits, Err(ParseError::HeadTooLarge));
        let name = |n: usize| format!("GET / HTTP/1.1\r\n{}:v\r\n\r\n", "a".repeat(n)).into_bytes();
        check_within(&name(45), &limits, Err(ParseError::HeadTooLarge));
    }

    #[test]
    fn no_limit_however_large_overflows_an_offset() {
        let limits =
            Limits { target_bytes: usize::MAX, head_bytes: usize::MAX, fields: 10_000, ..Limits::default() };
        let long = |n: usize| format!("GET / HTTP/1.1\r\na:{}\r\n\r\n", "v".repeat(n)).into_bytes();
        assert_eq!(HeadIndex::default().parse(&long(65_517), &limits), Ok(Complete(65_539)));
        assert_eq!(HeadIndex::default().parse(&long(65_518), &limits), Err(ParseError::HeadTooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(HeadIndex::default().parse(many.as_bytes(), &limits), Err(ParseError::TooManyFields));
    }
}
