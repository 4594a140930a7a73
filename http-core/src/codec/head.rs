//! The head parser: bytes in, an index of offsets out.
//!
//! The parser is called with the bytes received so far, and continues where it stopped. It implements the grammar of
//! RFC 9112 §2–§5. It never allocates, and never interprets headers: [`framing`](crate::framing) does. Its phases:
//!
//! ```text
//! Start ─► Method ─► Target ─► Version ─┐
//!   │ CRLF                              ▼
//!   └──◄                    ┌──────► LineStart ─ CRLF ─► Done
//!                           │           ▼
//!                         Value ◄── BeforeValue ◄── Name
//! ```

use crate::types::{
    chars,
    error::ParseError,
    limits::Limits,
    method::{Method, Version},
    path::DecodedPath,
};

/// The maximum number of header lines in a [`HeadIndex`]. A head with more is rejected with 431, even if
/// [`Limits::headers`] is larger.
pub const MAX_HEADERS: usize = 128;

/// The maximum length of a method in bytes. The longest registered one, `BASELINE-CONTROL`, has 16.
const MAX_METHOD: usize = 32;

/// The maximum number of empty lines before a request line (RFC 9112 §2.2).
pub(crate) const MAX_LEADING_CRLF: usize = 4;

/// A range of bytes, as offsets from the start of the head. It stays valid when the buffer moves the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// Creates the span `start..end`. Both offsets must fit in 16 bits, as all offsets in a head do.
    pub(crate) fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= usize::from(u16::MAX));
        Span { start: start as u16, end: end as u16 }
    }

    /// Returns the bytes of `bytes` in this range; an empty slice if `bytes` ends before the range does.
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }

    /// Returns the range in `bytes` of `part`, a part of them.
    pub(crate) fn of_part(part: &[u8], bytes: &[u8]) -> Option<Span> {
        let start = part.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
        let span = (u16::try_from(start).ok()?, u16::try_from(start + part.len()).ok()?);
        Some(Span { start: span.0, end: span.1 }).filter(|span| span.of(bytes).len() == part.len())
    }

    /// Splits the range after its first `length` bytes.
    pub(crate) fn split_at(self, length: usize) -> (Span, Span) {
        let (start, end) = (usize::from(self.start), usize::from(self.end));
        (Span::new(start, start + length), Span::new(start + length, end))
    }
}

/// The name of a header line, and its value without the white space around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderSpans {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// The element that the parser expects next. The variants are in the order of the elements in a head. After the `Value`
/// of a header line, the `LineStart` of the next line follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum HeadPhase {
    /// The empty lines before the request line.
    Start,
    Method,
    Target,
    Version,
    /// The first byte of a header line, or the empty line that ends the head.
    LineStart,
    Name,
    /// The white space before a value.
    BeforeValue,
    Value,
    /// Nothing: the head is complete.
    Done,
}

/// What the parser has found in a target so far. Most targets are a normalised path and perhaps a query: the scan for
/// the end of the target finds that out. [`framing`](crate::framing) looks at the others again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TargetScan {
    /// Only a path of characters that a URI allows, without escapes, empty segments and segments that begin with a dot.
    Path,
    /// Such a path, and a query of characters that a URI allows, without escapes. The query begins at this offset,
    /// after its `?`.
    Query(u16),
    /// Something else, or it is not known.
    Other,
}

/// Whether a head is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseStatus {
    /// More bytes are needed.
    Partial,
    /// The head is complete, and has this length in bytes, with the empty line at its end.
    Complete(usize),
}

/// The parser of a head, and its result: the offsets of all elements.
#[derive(Clone)]
pub struct HeadIndex {
    phase: HeadPhase,
    /// All bytes before this offset are parsed.
    at: usize,
    /// The offset at which the element of `phase` begins.
    mark: usize,
    /// The method; empty until it is parsed.
    pub(crate) method: Span,
    /// The request target; empty until it is parsed.
    pub(crate) target: Span,
    /// What the target consists of, as far as it is parsed.
    target_scan: TargetScan,
    /// The path of the target, if [`framing`](crate::framing) had to normalise it.
    pub(crate) decoded_path: DecodedPath,
    /// The minor version as an ASCII digit.
    minor: u8,
    /// The number of header lines parsed.
    count: usize,
    /// The header lines; only the first `count` are valid.
    headers: [HeaderSpans; MAX_HEADERS],
}

impl Default for HeadIndex {
    fn default() -> HeadIndex {
        HeadIndex {
            phase: HeadPhase::Start,
            at: 0,
            mark: 0,
            method: Span::default(),
            target: Span::default(),
            target_scan: TargetScan::Path,
            decoded_path: DecodedPath::default(),
            minor: 0,
            count: 0,
            headers: [HeaderSpans::default(); MAX_HEADERS],
        }
    }
}

impl HeadIndex {
    /// Creates an index that parses only header lines. The first one begins at the offset `at` of the bytes that
    /// [`parse`](HeadIndex::parse) receives. The HTTP client of this crate uses it for responses, after it has parsed
    /// the status line itself.
    pub(crate) fn of_headers(at: usize) -> HeadIndex {
        HeadIndex { phase: HeadPhase::LineStart, at, ..HeadIndex::default() }
    }

    /// Removes the parsed head, so that the index can parse another one.
    pub fn reset(&mut self) {
        self.enter(HeadPhase::Start, 0);
        self.method = Span::default();
        self.target = Span::default();
        self.target_scan = TargetScan::Path;
        self.count = 0;
    }

    /// Removes the parsed head as [`reset`](HeadIndex::reset) does, and all bytes that were copied from it.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.reset();
        self.decoded_path.clear();
    }

    /// Parses the head at the front of `bytes`, and returns whether it is complete. `bytes` must begin with the bytes
    /// of the last call, which are not parsed again.
    ///
    /// # Errors
    ///
    /// If the head is malformed or exceeds a limit: the error at the earliest byte. The error does not depend on how
    /// many bytes each call receives.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<ParseStatus, ParseError> {
        let max_bytes = limits.head_bytes.min(usize::from(u16::MAX));
        if self.phase < HeadPhase::LineStart {
            if !self.parse_request_line(bytes, limits.target_bytes.min(max_bytes))? {
                return Ok(ParseStatus::Partial);
            }
            // The last CRLF is not counted: it may be part of the end of the head.
            self.check_size(max_bytes.saturating_add(2))?;
        }
        self.parse_header_lines(bytes, max_bytes, limits.headers.min(MAX_HEADERS))
    }

    /// Parses the request line: continues with the element that `phase` names. Returns whether the line is complete.
    /// Fails if the line is malformed, or the target has more than `max_target_bytes` bytes.
    fn parse_request_line(&mut self, bytes: &[u8], max_target_bytes: usize) -> Result<bool, ParseError> {
        Ok((self.phase > HeadPhase::Start || self.parse_start(bytes)?)
            && (self.phase > HeadPhase::Method || self.parse_method(bytes)?)
            && (self.phase > HeadPhase::Target || self.parse_target(bytes, max_target_bytes)?)
            && self.parse_version(bytes)?)
    }

    /// Parses the header lines: continues with the element that `phase` names. Returns whether the head is complete.
    /// Fails if a line is malformed, or the whole head has more than `max_bytes` bytes or `max_lines` header lines.
    fn parse_header_lines(
        &mut self,
        bytes: &[u8],
        max_bytes: usize,
        max_lines: usize,
    ) -> Result<ParseStatus, ParseError> {
        loop {
            let more = (self.phase > HeadPhase::LineStart || self.parse_line_start(bytes)?)
                && (self.phase > HeadPhase::Name || self.parse_name(bytes, max_bytes)?)
                && (self.phase > HeadPhase::BeforeValue || self.parse_before_value(bytes, max_bytes)?)
                && (self.phase > HeadPhase::Value || self.parse_value(bytes, max_bytes, max_lines)?);
            if self.phase == HeadPhase::Done {
                return Ok(ParseStatus::Complete(self.at));
            }
            if !more {
                return Ok(ParseStatus::Partial);
            }
        }
    }

    /// Begins `phase`, whose element starts at the offset `at`. Always returns true: a parse function whose element is
    /// complete returns this value.
    fn enter(&mut self, phase: HeadPhase, at: usize) -> bool {
        self.phase = phase;
        self.at = at;
        self.mark = at;
        true
    }

    /// Skips the empty lines before the request line. Returns whether the request line has begun.
    fn parse_start(&mut self, bytes: &[u8]) -> Result<bool, ParseError> {
        loop {
            match bytes.get(self.at..).unwrap_or_default() {
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] if self.at < MAX_LEADING_CRLF * 2 => self.at += 2,
                [b'\r' | b'\n', ..] => return Err(ParseError::LineEnding),
                _ => return Ok(self.enter(HeadPhase::Method, self.at)),
            }
        }
    }

    /// Parses the method and the space after it. Returns whether both are complete.
    fn parse_method(&mut self, bytes: &[u8]) -> Result<bool, ParseError> {
        self.at = chars::token_end(bytes, self.at);
        if self.at - self.mark > MAX_METHOD {
            return Err(ParseError::MethodTooLong);
        }
        match bytes.get(self.at) {
            None => Ok(false),
            Some(b' ') if self.at > self.mark => {
                self.method = Span::new(self.mark, self.at);
                Ok(self.enter(HeadPhase::Target, self.at + 1))
            }
            Some(_) => Err(ParseError::Method),
        }
    }

    /// Parses the target and the space after it. Returns whether both are complete. Fails as soon as more than
    /// `max_target_bytes` bytes of the target have arrived.
    fn parse_target(&mut self, bytes: &[u8], max_target_bytes: usize) -> Result<bool, ParseError> {
        self.scan_target(bytes);
        if self.at - self.mark > max_target_bytes || self.at > usize::from(u16::MAX) {
            return Err(ParseError::TargetTooLong);
        }
        match bytes.get(self.at) {
            None => Ok(false),
            Some(b' ') if self.at > self.mark => {
                self.target = Span::new(self.mark, self.at);
                Ok(self.enter(HeadPhase::Version, self.at + 1))
            }
            Some(_) => Err(ParseError::Target),
        }
    }

    /// Moves `at` to the end of the target, or to the end of `bytes`. Sets `target_scan`.
    #[inline]
    fn scan_target(&mut self, bytes: &[u8]) {
        if self.target_scan == TargetScan::Path {
            let mut at = self.at;
            let end = loop {
                match bytes.get(at) {
                    Some(&byte) if chars::is_segment(byte) => at += 1,
                    // No empty segment begins after this slash, and none that begins with a dot.
                    Some(b'/') if bytes.get(at + 1).is_some_and(|next| !b"/.".contains(next)) => at += 1,
                    end => break end,
                }
            };
            self.at = at;
            match end {
                None | Some(b' ') => return,
                Some(b'?') => {
                    self.at += 1;
                    self.target_scan = TargetScan::Query(self.at as u16);
                }
                // Includes a slash at the end of the bytes received so far.
                Some(_) => self.target_scan = TargetScan::Other,
            }
        }
        if let TargetScan::Query(_) = self.target_scan {
            self.at = chars::query_end(bytes, self.at);
            if matches!(bytes.get(self.at), None | Some(b' ')) {
                return;
            }
            self.target_scan = TargetScan::Other;
        }
        self.at = chars::target_end(bytes, self.at);
    }

    /// Returns the path and the query of a target that is a normalised path, perhaps with a valid query without
    /// escapes. Returns `None` for any other target, and for some of these.
    #[inline]
    pub(crate) fn plain_target(&self) -> Option<(Span, Option<Span>)> {
        match self.target_scan {
            TargetScan::Path => Some((self.target, None)),
            TargetScan::Query(at) => {
                let Span { start, end } = self.target;
                Some((Span { start, end: at - 1 }, Some(Span { start: at, end })))
            }
            TargetScan::Other => None,
        }
    }

    /// Parses the version and its CRLF. Returns whether both are complete.
    fn parse_version(&mut self, bytes: &[u8]) -> Result<bool, ParseError> {
        let rest = bytes.get(self.mark..).unwrap_or_default();
        if let Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', b'\r', b'\n']) =
            rest.first_chunk::<10>()
        {
            self.minor = *minor;
            return Ok(self.enter(HeadPhase::LineStart, self.mark + 10));
        }
        // Rare: the version is incomplete or malformed. Check each byte, so that an error is found when its byte
        // arrives.
        while let Some(&byte) = bytes.get(self.at) {
            match self.at - self.mark {
                index @ 0..5 if byte == b"HTTP/"[index] => {}
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

    /// Parses the start of a line. Sets `phase` to `Name` if a header line begins here, or to `Done` after the empty
    /// line that ends the head. Returns true in both cases, and false if more bytes are needed to decide.
    fn parse_line_start(&mut self, bytes: &[u8]) -> Result<bool, ParseError> {
        match bytes.get(self.at..).unwrap_or_default() {
            [] | [b'\r'] => Ok(false),
            [b'\r', b'\n', ..] => Ok(self.enter(HeadPhase::Done, self.at + 2)),
            [b'\r' | b'\n', ..] => Err(ParseError::LineEnding),
            // RFC 9112 §5.2 allows a server to reject folded lines. Parsers disagree on what they mean.
            [b' ' | b'\t', ..] => Err(ParseError::ObsFold),
            _ => Ok(self.enter(HeadPhase::Name, self.at)),
        }
    }

    /// Parses the name of a header and the colon after it. Returns whether both are complete. Fails if the whole head
    /// so far has more than `max_bytes` bytes.
    fn parse_name(&mut self, bytes: &[u8], max_bytes: usize) -> Result<bool, ParseError> {
        self.at = chars::token_end(bytes, self.at);
        self.check_size(max_bytes)?;
        match bytes.get(self.at) {
            None => Ok(false),
            Some(b':') if self.at > self.mark => {
                // `parse_value` checks the count before it stores the value.
                if let Some(header) = self.headers.get_mut(self.count) {
                    header.name = Span::new(self.mark, self.at);
                }
                Ok(self.enter(HeadPhase::BeforeValue, self.at + 1))
            }
            // RFC 9112 §5.1: white space between name and colon has been used to smuggle requests.
            Some(_) => Err(ParseError::HeaderName),
        }
    }

    /// Skips the white space before a value. Returns whether the byte after it has arrived. Fails if the whole head so
    /// far has more than `max_bytes` bytes.
    fn parse_before_value(&mut self, bytes: &[u8], max_bytes: usize) -> Result<bool, ParseError> {
        while bytes.get(self.at).is_some_and(|&byte| chars::is_ows(byte)) {
            self.at += 1;
        }
        self.check_size(max_bytes)?;
        Ok(self.at < bytes.len() && self.enter(HeadPhase::Value, self.at))
    }

    /// Parses a value and its CRLF. Returns whether both are complete. Fails if the whole head so far has more than
    /// `max_bytes` bytes, or this is one header line more than `max_lines`.
    fn parse_value(&mut self, bytes: &[u8], max_bytes: usize, max_lines: usize) -> Result<bool, ParseError> {
        self.at = chars::header_value_end(bytes, self.at);
        self.check_size(max_bytes)?;
        match bytes.get(self.at..).unwrap_or_default() {
            [] | [b'\r'] => Ok(false),
            [b'\r', b'\n', ..] => {
                let Some(header) = self.headers[..max_lines].get_mut(self.count) else {
                    return Err(ParseError::TooManyHeaders);
                };
                let value = &bytes[self.mark..self.at];
                let trailing = value.iter().rev().take_while(|&&byte| chars::is_ows(byte)).count();
                header.value = Span::new(self.mark, self.at - trailing);
                self.count += 1;
                Ok(self.enter(HeadPhase::LineStart, self.at + 2))
            }
            [b'\r' | b'\n', ..] => Err(ParseError::LineEnding),
            _ => Err(ParseError::HeaderValue),
        }
    }

    /// Fails if more than `max_bytes` bytes of the whole head are parsed. The last four bytes of the head, CRLF CRLF,
    /// are never counted.
    fn check_size(&self, max_bytes: usize) -> Result<(), ParseError> {
        if self.at > max_bytes { Err(ParseError::HeadTooLarge) } else { Ok(()) }
    }

    /// Returns the length of the parsed part of the head in bytes: of the whole head, if it is complete.
    pub(crate) fn head_len(&self) -> usize {
        self.at
    }

    /// Returns the version; HTTP/1.1 if it is not parsed yet.
    pub(crate) fn version(&self) -> Version {
        if self.minor == b'0' { Version::Http10 } else { Version::Http11 }
    }

    /// Returns the method; [`Method::Extension`] if it is not parsed yet. `bytes` begin with the head.
    pub(crate) fn method(&self, bytes: &[u8]) -> Method {
        Method::of(self.method.of(bytes))
    }

    /// Returns the names and values of the header lines parsed so far.
    pub(crate) fn header_spans(&self) -> &[HeaderSpans] {
        &self.headers[..self.count]
    }
}

impl std::fmt::Debug for HeadIndex {
    /// Writes the number of headers, and nothing that a client has sent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeadIndex({:?}, {} headers)", self.phase, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ParseStatus::{Complete, Partial};

    /// Parses `input` at once and byte by byte, with the default limits. Both must have the expected result.
    fn check(input: &[u8], expected: Result<ParseStatus, ParseError>) -> HeadIndex {
        check_within(input, &Limits::default(), expected)
    }

    /// As `check`, with these limits. Returns the index of the input parsed at once.
    fn check_within(input: &[u8], limits: &Limits, expected: Result<ParseStatus, ParseError>) -> HeadIndex {
        let mut whole = HeadIndex::default();
        assert_eq!(whole.parse(input, limits), expected, "whole: {}", input.escape_ascii());
        let mut bytewise = HeadIndex::default();
        let mut outcomes = (0..=input.len()).map(|end| bytewise.parse(&input[..end], limits));
        let outcome = outcomes.find(|outcome| *outcome != Ok(Partial)).unwrap_or(Ok(Partial));
        assert_eq!(outcome, expected, "byte by byte: {}", input.escape_ascii());
        whole
    }

    #[test]
    fn indexes_all_elements_of_a_head() {
        let head = b"\r\n\r\nGET /a?b HTTP/1.1\r\nHost: x\r\nEmpty:\r\nX-Y: \t two words\xff \t\r\n\r\nrest";
        let index = check(head, Ok(Complete(head.len() - 4)));
        assert_eq!(index.method.of(head), b"GET");
        assert_eq!(index.target.of(head), b"/a?b");
        assert_eq!(index.version(), Version::Http11);
        let headers: Vec<_> =
            index.header_spans().iter().map(|header| (header.name.of(head), header.value.of(head))).collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"Host", b"x"), (b"Empty", b""), (b"X-Y", b"two words\xff")];
        assert_eq!(headers, expected);
    }

    /// An error is found when its byte arrives.
    #[test]
    fn rejects_the_first_wrong_byte_of_a_version() {
        for version in ["h", "HTTX", "HTTP/x", "HTTP/1x", "HTTP/1.x", "HTTP/1.1x"] {
            let line = format!("GET / {version}");
            check(&line.as_bytes()[..line.len() - 1], Ok(Partial));
            check(line.as_bytes(), Err(ParseError::Version));
        }
    }

    #[test]
    fn the_end_of_a_target_has_16_bits() {
        let limits = Limits { target_bytes: usize::MAX, head_bytes: usize::MAX, ..Limits::default() };
        let line = "GET /".to_owned() + &"a".repeat(65_531);
        check_within(&line.as_bytes()[..65_535], &limits, Ok(Partial));
        check_within(line.as_bytes(), &limits, Err(ParseError::TargetTooLong));
        let index = check(b"GET", Ok(Partial));
        assert_eq!(format!("{index:?}"), "HeadIndex(Method, 0 headers)");
    }

    #[test]
    fn parses_request_lines() {
        for (lines, expected) in [
            ("GET / HTTP/1.0|GET / HTTP/1.2|PROPFIND * HTTP/1.1", Ok(())),
            ("G\"T / HTTP/1.1| GET / HTTP/1.1|GET\t/ HTTP/1.1", Err(ParseError::Method)),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1", Err(ParseError::MethodTooLong)),
            ("GET  / HTTP/1.1|GET /\x7f HTTP/1.1|GET /\u{e9} HTTP/1.1", Err(ParseError::Target)),
            ("GET /a#b HTTP/1.1|GET /", Err(ParseError::Target)),
            ("GET /a b HTTP/1.1|GET / |GET / http/1.1|GET / HTTP/1.1 ", Err(ParseError::Version)),
            ("GET / HTTP/11|GET / HTTP/1.10", Err(ParseError::Version)),
            ("GET / HTTP/2.0|GET / HTTP/0.9", Err(ParseError::VersionUnsupported)),
            ("GET / HTTP/1.1\r", Err(ParseError::LineEnding)),
            ("\r\nABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1", Ok(())),
        ] {
            for line in lines.split('|') {
                let head = format!("{line}\r\nHost: x\r\n\r\n");
                check(head.as_bytes(), expected.map(|()| Complete(head.len())));
            }
        }
    }

    #[test]
    fn finds_path_and_query_of_plain_targets_in_one_scan() {
        for (targets, plain) in [
            ("/ /a /a/b.c/ /a_~!$&'()*+,;=:@ /a? /a?/../?:@ /?a=b", true),
            ("// /. /a/.b /a%41 /a| /a?% /a?a[] /a?q?| http://a/b", false),
        ] {
            for target in targets.split(' ') {
                let head = format!("GET {target} HTTP/1.1\r\n\r\n");
                let index = check(head.as_bytes(), Ok(Complete(head.len())));
                let text = |span: Span| str::from_utf8(span.of(head.as_bytes())).expect("ASCII");
                let found = index.plain_target().map(|(path, query)| (text(path), query.map(text)));
                let (path, query) =
                    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
                assert_eq!(found, plain.then_some((path, query)), "{target}");
            }
        }
    }

    #[test]
    fn parses_header_lines() {
        for (lines, expected) in [
            (&b"A:b|A: \t b \t |A: caf\xe9 \x80"[..], Ok(())),
            (b"A : b|A\t: b|: b|A|\xe9: b", Err(ParseError::HeaderName)),
            (b" folded|\tfolded", Err(ParseError::ObsFold)),
            (b"A: b\0c|A: b\x01|A: b\x7f", Err(ParseError::HeaderValue)),
            (b"A: b\rc|A: b\nC: d|A: b\r\r|\nA: b|\rA: b", Err(ParseError::LineEnding)),
        ] {
            for line in lines.split(|&byte| byte == b'|') {
                let head = [b"GET / HTTP/1.1\r\nHost: x\r\n", line, b"\r\n\r\n"].concat();
                check(&head, expected.map(|()| Complete(head.len())));
            }
        }
    }

    #[test]
    fn accepts_up_to_four_empty_lines_before_a_request() {
        check(b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", Ok(Complete(26)));
        check(b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", Err(ParseError::LineEnding));
        check(b"\nGET / HTTP/1.1\r\n\r\n", Err(ParseError::LineEnding));
    }

    #[test]
    fn limits_are_exact() {
        let limits = Limits { target_bytes: 10, head_bytes: 60, headers: 2, ..Limits::default() };
        let target = |n: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "t".repeat(n - 1)).into_bytes();
        check_within(&target(10), &limits, Ok(Complete(27)));
        check_within(&target(11), &limits, Err(ParseError::TargetTooLong));
        check_within(&target(90), &limits, Err(ParseError::TargetTooLong));
        let headers = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(n)).into_bytes();
        check_within(&headers(2), &limits, Ok(Complete(28)));
        check_within(&headers(3), &limits, Err(ParseError::TooManyHeaders));
        let value = |n: usize| format!("GET / HTTP/1.1\r\na:{}\r\n\r\n", "v".repeat(n)).into_bytes();
        check_within(&value(42), &limits, Ok(Complete(64)));
        check_within(&value(43), &limits, Err(ParseError::HeadTooLarge));
        // A head without header lines has the same limit.
        let limits = Limits { target_bytes: 60, ..limits };
        check_within(&target(47), &limits, Ok(Complete(64)));
        check_within(&target(48), &limits, Err(ParseError::HeadTooLarge));
        let name = |n: usize| format!("GET / HTTP/1.1\r\n{}:v\r\n\r\n", "a".repeat(n)).into_bytes();
        check_within(&name(45), &limits, Err(ParseError::HeadTooLarge));
    }

    #[test]
    fn large_limits_do_not_overflow_the_offsets() {
        let limits =
            Limits { target_bytes: usize::MAX, head_bytes: usize::MAX, headers: 10_000, ..Limits::default() };
        let long = |n: usize| format!("GET / HTTP/1.1\r\na:{}\r\n\r\n", "v".repeat(n)).into_bytes();
        assert_eq!(HeadIndex::default().parse(&long(65_517), &limits), Ok(Complete(65_539)));
        assert_eq!(HeadIndex::default().parse(&long(65_518), &limits), Err(ParseError::HeadTooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(HeadIndex::default().parse(many.as_bytes(), &limits), Err(ParseError::TooManyHeaders));
    }
}
