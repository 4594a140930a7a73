//! The reference reader of HTTP/1.1 responses: strict, incremental, without I/O.
//!
//! [`ResponseReader`] reads the bytes of a connection in any pieces, and reports the head, the body and the end of each
//! response. It accepts what RFC 9112 allows a server to send, and nothing else:
//!
//! | rule | RFC 9112 |
//! |---|---|
//! | A line ends with CRLF. A bare CR or a bare LF is an error. | §2.2 |
//! | The status line is `HTTP/1.0` or `HTTP/1.1`, a space, three digits from 100, a space, and a reason that may be empty. | §4 |
//! | A header line is a token, a colon directly after it, and a value; white space around the value is not part of it. A folded line is an error, and so is a control character other than a tab. | §5 |
//! | A response to HEAD has no body, nor has a response 1xx, 204 or 304, whatever its headers say. | §6.3 |
//! | Content-Length is one decimal number in one header line. Content-Length beside Transfer-Encoding is an error. | §6.2, §6.3 |
//! | Transfer-Encoding is `chunked`, once: no tool of this crate sends TE, so a server may use no other coding. | §6.1, §7.4 |
//! | A chunk is a hexadecimal size, perhaps extensions, CRLF, the data, CRLF. Trailers are header lines. | §7.1 |
//! | Without either header, the body ends with the connection. A connection that ends inside a response is an error. | §6.3, §8 |
//!
//! It never guesses: bytes that two readers could understand in two ways are an error. It never looks at what a
//! response means: [`rules`](crate::rules) does that. How the bytes are cut into pieces never changes the result.
//!
//! A head, the trailers and each line of the chunked coding have at most [`HEAD_MAX`] bytes. Bodies are not stored, so
//! that once the buffer for the head has its size, no response causes an allocation.

use std::ops::Range;

/// The longest head that the reader accepts, in bytes. It also limits the trailers, and each line between chunks.
pub const HEAD_MAX: usize = 64 * 1024;

/// The first bytes of every response.
const START: &[u8] = b"HTTP/1.";

/// The properties of a request that its response depends on: whether the method is HEAD, and the version HTTP/1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestKind {
    /// Whether the method is HEAD, so that the response has no body, whatever its headers say.
    pub head: bool,
    /// Whether the version is HTTP/1.0, so that the response must not be chunked.
    pub http10: bool,
}

impl RequestKind {
    /// The kind of a request in HTTP/1.1 with any method but HEAD.
    pub const GET: RequestKind = RequestKind { head: false, http10: false };

    /// The kind of a HEAD request in HTTP/1.1.
    pub const HEAD: RequestKind = RequestKind { head: true, http10: false };
}

/// How the end of a response's body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body: the request is HEAD, or the status is 1xx, 204 or 304.
    #[default]
    NoBody,
    /// The body has this number of bytes, by Content-Length.
    Length(u64),
    /// The body is chunked: it ends with the last chunk and the trailers.
    Chunked,
    /// The body ends when the connection ends.
    UntilClose,
}

/// What [`ResponseReader::read`] found next in the bytes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// All of the input is read, and the response is not complete: more bytes are needed.
    Incomplete,
    /// The head is complete: the status, the headers and the framing are known.
    Head,
    /// These bytes belong to the body. There is at least one.
    Body(&'a [u8]),
    /// The response is complete, interim or final.
    Complete,
}

/// Reads the responses of one connection, one after the other.
///
/// Call [`read`](ResponseReader::read) until it returns [`Event::Incomplete`], then receive more bytes. The other
/// methods describe the current response, which begins with the first byte after the previous response.
///
/// ```
/// use http_test_suite::reader::{Event, RequestKind, ResponseReader};
///
/// let mut reader = ResponseReader::default();
/// let mut rest = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..];
/// let mut body = Vec::new();
/// loop {
///     let (len, event) = reader.read(rest, RequestKind::GET)?;
///     rest = &rest[len..];
///     match event {
///         Event::Head => assert_eq!((reader.status(), reader.header("content-length")), (200, Some(&b"5"[..]))),
///         Event::Body(bytes) => body.extend_from_slice(bytes),
///         Event::Complete | Event::Incomplete => break,
///     }
/// }
/// assert_eq!((body.as_slice(), reader.keeps_alive()), (&b"hello"[..], true));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Default)]
pub struct ResponseReader {
    /// What the next byte belongs to.
    state: State,
    /// The status line, the header lines, the trailer lines, and the start of a line whose end has not arrived.
    lines: Vec<u8>,
    /// Where in `lines` the current line starts.
    line_start: usize,
    /// Where in `lines` the head ends; 0 until it is complete.
    head_end: usize,
    /// The number of bytes of lines since the start of the response or the last byte of the body; at most [`HEAD_MAX`].
    lines_len: usize,
    /// Where in `lines` each name and its value stand, of headers and then of trailers.
    headers: Vec<(Range<usize>, Range<usize>)>,
    /// How many of `headers` belong to the head; the others are trailers.
    head_headers: usize,
    /// The digit after `HTTP/1.` in the status line: 0 or 1.
    minor_version: u8,
    /// The status code, 100 to 999.
    status: u16,
    /// How the end of the body is found; set when the head is complete.
    framing: BodyFraming,
    /// The value of Content-Length, if the head has it.
    content_length: Option<u64>,
    /// Whether Transfer-Encoding is `chunked`.
    is_chunked: bool,
    /// Whether Connection lists `close`.
    says_close: bool,
    /// Whether Connection lists `keep-alive`.
    says_keep_alive: bool,
    /// Whether a chunk size had an extension, a leading zero or an upper-case digit, which are valid but unusual.
    has_unusual_chunks: bool,
}

/// The state of a [`ResponseReader`]: what the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The next byte starts a response.
    #[default]
    Between,
    /// The status line, the first line of a response.
    StatusLine,
    /// A header line, or the empty line that ends the head.
    HeaderLine,
    /// A body with this many bytes left, at least one.
    Body(u64),
    /// The body of a response that ends with the connection.
    UntilClose,
    /// The line with the size of a chunk.
    ChunkSize,
    /// The data of a chunk with this many bytes left, at least one.
    Chunk(u64),
    /// The CRLF after the data of a chunk.
    ChunkEnd,
    /// A trailer line, or the empty line that ends the response.
    TrailerLine,
    /// The response is complete; [`Event::Complete`] has not been returned yet.
    Complete,
}

impl ResponseReader {
    /// Reads from the start of `input` to the next event. Returns how many bytes were read, and the event. `request` is
    /// the request that the response belongs to; it matters when the head is complete.
    ///
    /// # Errors
    ///
    /// Describes what is wrong with the bytes, at the latest at the end of the line that is wrong. After an error
    /// nothing more can be read from the connection.
    #[inline]
    pub fn read<'a>(&mut self, input: &'a [u8], request: RequestKind) -> Result<(usize, Event<'a>), String> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            match self.state {
                State::Complete => {
                    self.state = State::Between;
                    return Ok((at, Event::Complete));
                }
                _ if rest.is_empty() => return Ok((at, Event::Incomplete)),
                State::Between => self.begin(),
                State::Body(_) | State::Chunk(_) | State::UntilClose => {
                    let body = self.read_body(rest);
                    return Ok((at + body.len(), Event::Body(body)));
                }
                _ => {
                    let (len, is_whole) = self.read_line(rest)?;
                    at += len;
                    if is_whole && self.end_line(request)? {
                        return Ok((at, Event::Head));
                    }
                }
            }
        }
    }

    /// Tells the reader that the connection has ended. Returns true if this completes a response whose body ends with
    /// the connection, and false if no response had begun.
    ///
    /// # Errors
    ///
    /// If the connection ended inside a response (RFC 9112 §8).
    pub fn end(&mut self) -> Result<bool, String> {
        let place = match self.state {
            State::Between | State::Complete => return Ok(false),
            State::UntilClose => {
                self.state = State::Between;
                return Ok(true);
            }
            State::StatusLine | State::HeaderLine => "head",
            _ => "body",
        };
        Err(format!("the connection ended inside the {place} of a response (RFC 9112 §8)"))
    }

    /// Makes the reader ready for another connection; it forgets an incomplete response.
    pub fn reset(&mut self) {
        self.state = State::Between;
    }

    /// The status code, 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The digit after `HTTP/1.` in the status line: 0 or 1.
    pub fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// The reason phrase in the status line; may be empty.
    pub fn reason(&self) -> &[u8] {
        let end = self.lines.iter().position(|&byte| byte == b'\r').unwrap_or(0);
        self.lines.get("HTTP/1.1 200 ".len()..end).unwrap_or_default()
    }

    /// How the end of the body is found. Known once the head is complete.
    pub fn framing(&self) -> BodyFraming {
        self.framing
    }

    /// Whether the server keeps the connection open after this response (RFC 9112 §9.3). Known once the head is
    /// complete.
    pub fn keeps_alive(&self) -> bool {
        let persists = self.minor_version == 1 || self.says_keep_alive;
        persists && !self.says_close && self.framing != BodyFraming::UntilClose
    }

    /// Whether a chunk size had an extension, a leading zero or an upper-case digit. All three are valid.
    pub fn has_unusual_chunks(&self) -> bool {
        self.has_unusual_chunks
    }

    /// The status line and the header lines as received, with the empty line. Known once the head is complete.
    pub fn head(&self) -> &[u8] {
        &self.lines[..self.head_end]
    }

    /// The name and the value of each header line, in order. Values are without the white space around them.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs(0..self.head_headers)
    }

    /// The value of the first header with this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The name and the value of each trailer line after the last chunk, in order.
    pub fn trailers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs(self.head_headers..self.headers.len())
    }

    /// The names and values of the header and trailer lines with these indexes.
    fn pairs(&self, range: Range<usize>) -> impl Iterator<Item = (&[u8], &[u8])> {
        let bytes = |range: &Range<usize>| &self.lines[range.clone()];
        self.headers[range].iter().map(move |(name, value)| (bytes(name), bytes(value)))
    }

    /// Prepares the fields for the first byte of a response. Keeps the buffers, for their capacity.
    fn begin(&mut self) {
        let (mut lines, mut headers) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.headers));
        lines.clear();
        headers.clear();
        *self = ResponseReader { state: State::StatusLine, lines, headers, ..ResponseReader::default() };
    }

    /// Returns the bytes at the start of `input` that belong to the body, at least one.
    fn read_body<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let (State::Body(left) | State::Chunk(left)) = self.state else { return input };
        let body = &input[..usize::try_from(left).unwrap_or(usize::MAX).min(input.len())];
        self.lines_len = 0;
        self.state = match (self.state, left - body.len() as u64) {
            (State::Body(_), 0) => State::Complete,
            (State::Body(_), left) => State::Body(left),
            (_, 0) => State::ChunkEnd,
            (_, left) => State::Chunk(left),
        };
        body
    }

    /// Appends the bytes of `input` up to the first LF to the current line. Returns how many there are, and whether the
    /// last is the LF.
    fn read_line(&mut self, input: &[u8]) -> Result<(usize, bool), String> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let len = end.map_or(input.len(), |at| at + 1);
        self.lines_len += len;
        if self.lines_len > HEAD_MAX {
            return Err(format!("a head, trailers or a chunk-size line of more than {HEAD_MAX} bytes"));
        }
        self.lines.extend_from_slice(&input[..len]);
        // A server of another protocol may never send an LF.
        let start = &self.lines[..self.lines.len().min(START.len())];
        if self.state == State::StatusLine && start != &START[..start.len()] {
            return Err(format!("these bytes are not the start of a response: {}", preview(input, 60)));
        }
        Ok((len, end.is_some()))
    }

    /// Parses the current line, which has its LF. Returns whether it completes the head.
    fn end_line(&mut self, request: RequestKind) -> Result<bool, String> {
        let range = self.line_start..self.lines.len();
        let Some(line) = self.lines[range.clone()].strip_suffix(b"\r\n") else {
            return Err(format!("a bare LF after {} (RFC 9112 §2.2)", quoted(&self.lines[range])));
        };
        self.line_start = range.end;
        match (self.state, line) {
            (State::StatusLine, _) => {
                (self.minor_version, self.status) = status_line(line)?;
                self.state = State::HeaderLine;
            }
            (State::HeaderLine, []) => {
                self.head_end = range.end;
                self.framing = self.find_framing(request)?;
                self.state = match self.framing {
                    BodyFraming::NoBody | BodyFraming::Length(0) => State::Complete,
                    BodyFraming::Length(length) => State::Body(length),
                    BodyFraming::Chunked => State::ChunkSize,
                    BodyFraming::UntilClose => State::UntilClose,
                };
                return Ok(true);
            }
            (State::HeaderLine | State::TrailerLine, [_, ..]) => {
                self.push_header(range.start..range.end - 2)?;
            }
            (State::ChunkSize, _) => {
                let (size, is_unusual) = chunk_size(line)?;
                self.has_unusual_chunks |= is_unusual;
                self.state = if size == 0 { State::TrailerLine } else { State::Chunk(size) };
                self.forget_line(range.start);
            }
            (State::ChunkEnd, []) => {
                self.state = State::ChunkSize;
                self.forget_line(range.start);
            }
            (State::ChunkEnd, _) => return Err("no CRLF after a chunk (RFC 9112 §7.1)".into()),
            (State::TrailerLine, []) => self.state = State::Complete,
            (State::Between | State::Body(_) | State::UntilClose | State::Chunk(_) | State::Complete, _) => {}
        }
        Ok(false)
    }

    /// Removes a line of the chunked coding from `lines`: only header and trailer lines are kept.
    fn forget_line(&mut self, start: usize) {
        self.lines.truncate(start);
        self.line_start = start;
    }

    /// Parses the header or trailer line at `range` in `lines`, without its CRLF, and stores where its name and value
    /// stand. Notes what the headers say about the body and the connection.
    fn push_header(&mut self, range: Range<usize>) -> Result<(), String> {
        let line = &self.lines[range.clone()];
        let (name, value) = header_line(line)?;
        if self.state == State::HeaderLine {
            self.head_headers += 1;
            let is_named = |known: &str| line[name.clone()].eq_ignore_ascii_case(known.as_bytes());
            let value = &line[value.clone()];
            if is_named("Connection") {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    self.says_close |= option.eq_ignore_ascii_case(b"close");
                    self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if is_named("Content-Length") {
                if self.content_length.replace(content_length(value)?).is_some() {
                    return Err("two Content-Length headers in a response (RFC 9112 §6.3)".into());
                }
            } else if is_named("Transfer-Encoding") {
                if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    let why = "a transfer coding that no request asks for";
                    return Err(format!("{why}: {} (RFC 9112 §7.4)", quoted(value)));
                }
                self.is_chunked = true;
            }
        }
        let shift = |part: Range<usize>| range.start + part.start..range.start + part.end;
        self.headers.push((shift(name), shift(value)));
        Ok(())
    }

    /// Decides by the request, the status and the headers how the body ends (RFC 9112 §6.3).
    fn find_framing(&self, request: RequestKind) -> Result<BodyFraming, String> {
        match (self.content_length, self.is_chunked) {
            (Some(_), true) => {
                Err("Content-Length and Transfer-Encoding in one response (RFC 9112 §6.2)".into())
            }
            _ if request.head || matches!(self.status, 100..=199 | 204 | 304) => Ok(BodyFraming::NoBody),
            (_, true) => Ok(BodyFraming::Chunked),
            (Some(length), _) => Ok(BodyFraming::Length(length)),
            (None, _) => Ok(BodyFraming::UntilClose),
        }
    }
}

/// Shows bytes in a message: printable ASCII as it is, everything else and backslashes as in a Rust string. After `max`
/// bytes, it says how many were left out.
pub fn preview(bytes: &[u8], max: usize) -> String {
    let (shown, rest) = bytes.split_at(max.min(bytes.len()));
    let text = shown.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'");
    if rest.is_empty() { text } else { format!("{text} … {} bytes more", rest.len()) }
}

/// The first 100 bytes of a line, in quotation marks, for a message.
fn quoted(line: &[u8]) -> String {
    format!("\"{}\"", preview(line, 100))
}

/// Parses a status line into the digit of the minor version and the status code: `HTTP/1.1 SP 3DIGIT SP [reason]`. The
/// second space is required (RFC 9112 §4).
fn status_line(line: &[u8]) -> Result<(u8, u16), String> {
    let wrong = |what: &str| Err(format!("{what} in the status line {} (RFC 9112 §4)", quoted(line)));
    let [minor @ (b'0' | b'1'), b' ', rest @ ..] = &line[START.len().min(line.len())..] else {
        return wrong("no version HTTP/1.0 or HTTP/1.1");
    };
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = rest else {
        return wrong("no status code of three digits");
    };
    let [b' ', reason @ ..] = rest else {
        return wrong("no space after the three digits of the status code");
    };
    if !reason.iter().all(is_text) {
        return wrong("a control character");
    }
    let status = [a, b, c].into_iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    Ok((minor - b'0', status))
}

/// Finds the ranges of name and value in a header line: a token, a colon directly after it, and a value with optional
/// white space around it (RFC 9112 §5).
fn header_line(line: &[u8]) -> Result<(Range<usize>, Range<usize>), String> {
    let wrong = |what: &str| Err(format!("{what} in the header line {} (RFC 9112 §5)", quoted(line)));
    let name_len = line.iter().take_while(|byte| is_token(byte)).count();
    match line.get(name_len) {
        Some(b':') if name_len > 0 => {}
        Some(b' ' | b'\t') if name_len == 0 => return wrong("a folded value"),
        None => return wrong("no colon"),
        Some(_) => return wrong("a name that is not a token"),
    }
    let value = &line[name_len + 1..];
    if !value.iter().all(is_text) {
        return wrong(if value.contains(&b'\r') { "a bare CR" } else { "a control character" });
    }
    let start = line.len() - value.trim_ascii_start().len();
    Ok((0..name_len, start..start + value.trim_ascii().len()))
}

/// Parses the value of Content-Length: digits and nothing else, no sign, no list (RFC 9110 §8.6).
fn content_length(value: &[u8]) -> Result<u64, String> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let length = str::from_utf8(value).ok().filter(|_| digits).and_then(|value| value.parse().ok());
    length.ok_or_else(|| format!("a Content-Length that is not a number: {} (RFC 9110 §8.6)", quoted(value)))
}

/// Parses a chunk-size line. Returns the size, and whether the line is anything but the shortest lower-case number.
/// Extensions have no meaning for the reader (RFC 9112 §7.1.1).
fn chunk_size(line: &[u8]) -> Result<(u64, bool), String> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
    let is_number = digits.iter().all(u8::is_ascii_hexdigit) && line.iter().all(is_text);
    let size = str::from_utf8(digits).ok().filter(|_| is_number);
    let size = size.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let size =
        size.ok_or_else(|| format!("a chunk size that is not a number: {} (RFC 9112 §7.1)", quoted(line)))?;
    let has_upper_case = digits.iter().any(u8::is_ascii_uppercase);
    Ok((size, has_upper_case || digits.len() < line.len() || (digits[0] == b'0' && digits.len() > 1)))
}

/// Whether the byte is a character of a token (RFC 9110 §5.6.2).
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Whether the byte is valid in a header value or a reason: tab, space, a visible character, or a byte beyond ASCII
/// (RFC 9110 §5.5).
fn is_text(byte: &u8) -> bool {
    *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::response::{Response, ResponseCollector};

    /// The head of a chunked response.
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Reads the responses in `pieces`, then the end of the connection. Returns the complete responses, and the error.
    fn read(pieces: &[&[u8]], request: RequestKind) -> (Vec<Response>, Option<String>) {
        let (mut collector, mut responses) = (ResponseCollector::default(), Vec::new());
        let mut read_all = || {
            for piece in pieces {
                let mut rest = *piece;
                while let (len, Some(response)) = collector.take(rest, request)? {
                    rest = &rest[len..];
                    responses.push(response);
                }
            }
            responses.extend(collector.end(request)?);
            Ok(())
        };
        let error = read_all().err();
        (responses, error)
    }

    /// Reads `input` at once, cut in two at every offset, and byte by byte. Expects one response with this body, or an
    /// error that contains this text.
    fn check(input: &str, request: RequestKind, expected: Result<&str, &str>) {
        let bytes = input.as_bytes();
        let cuts = (0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]);
        for pieces in cuts.chain([bytes.chunks(1).collect()]) {
            match (read(&pieces, request), expected) {
                ((responses, None), Ok(expected)) if responses.len() == 1 => {
                    assert_eq!(responses[0].text(), expected);
                }
                ((responses, Some(error)), Err(expected))
                    if responses.is_empty() && error.contains(expected) => {}
                (actual, expected) => panic!("{actual:?}, not {expected:?}, for {input:?} as {pieces:?}"),
            }
        }
    }

    /// Checks that each of `texts` after `start` is rejected with an error that contains `expected`.
    fn check_rejected(start: &str, expected: &str, texts: &[&str]) {
        for text in texts {
            check(&format!("{start}{text}"), RequestKind::GET, Err(expected));
        }
    }

    #[test]
    fn finds_the_end_of_every_body() {
        for (input, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"),
            ("HTTP/1.1 404 \r\ncontent-length:003\t\r\n\r\nabc", "abc"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
            ("HTTP/1.1 200 OK\r\n\r\nabc", "abc"),
            ("HTTP/1.1 204 No\r\n\r\n", ""),
            ("HTTP/1.0 304 No\r\nContent-Length: 3\r\n\r\n", ""),
            ("HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n", ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n00\r\nT: u\r\n\r\n",
                "abc",
            ),
        ] {
            check(input, RequestKind::GET, Ok(expected));
        }
        check(
            &format!("{CHUNKED}1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n"),
            RequestKind::GET,
            Ok("a0123456789"),
        );
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", RequestKind::HEAD, Ok(""));
        check("HTTP/1.1 200 OK\r\n\r\n", RequestKind::HEAD, Ok(""));
        assert_eq!(ResponseReader::default().end(), Ok(false));
    }

    #[test]
    fn rejects_a_malformed_status_line() {
        let no_start = ["hello", "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n"];
        check_rejected("", "not the start of a response", &no_start);
        check_rejected("HTTP/1.", "no version", &["2 200 OK\r\n\r\n", "1\r\n\r\n", "\r\n\r\n"]);
        check_rejected("HTTP/1.1 ", "three digits", &[" 200 OK\r\n\r\n", "20 OK\r\n\r\n", "099 OK\r\n\r\n"]);
        check_rejected("HTTP/1.1 ", "no space after", &["200\r\n\r\n", "2000 OK\r\n\r\n"]);
        check_rejected("HTTP/1.1 200 O", "control", &["\x01K\r\n\r\n", "\rK\r\n\r\n"]);
        check_rejected("HTTP/1.1 200 OK", "bare LF", &["\n", "\r\nA: b\n", "\r\nA: b\r\n\n"]);
        check_rejected("HTTP/1.1 2", "inside the head", &["", "00 OK\r\nContent-Length: 3\r\n"]);
    }

    #[test]
    fn rejects_a_malformed_header_line() {
        let check_rejected = |expected, lines: &[&str]| {
            check_rejected("HTTP/1.1 200 OK\r\n", expected, lines);
        };
        check_rejected("folded", &["A: b\r\n c\r\n\r\n", " A: b\r\n\r\n"]);
        check_rejected("not a token", &["A : b\r\n\r\n", ": b\r\n\r\n"]);
        check_rejected("no colon", &["A\r\n\r\n"]);
        check_rejected("control", &["A: \0\r\n\r\n"]);
        check_rejected("bare CR", &["A: b\rc\r\n\r\n"]);
        check_rejected("inside the body", &["Content-Length: 4\r\n\r\nabc"]);
    }

    #[test]
    fn rejects_framing_with_two_meanings() {
        for (expected, headers) in [
            ("two Content-Length", &["Content-Length: 1\r\nContent-Length: 1"][..]),
            ("in one response", &["Content-Length: 1\r\nTransfer-Encoding: chunked"]),
            ("not a number", &["Content-Length: 1, 1", "Content-Length: +1", "Content-Length: "]),
            ("not a number", &["Content-Length: 1a", "Content-Length: 99999999999999999999"]),
            ("no request asks for", &["Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity"]),
            ("no request asks for", &["Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"]),
        ] {
            for headers in headers {
                let input = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\na");
                check(&input, RequestKind::GET, Err(expected));
                check(&input, RequestKind::HEAD, Err(expected));
            }
        }
    }

    #[test]
    fn rejects_malformed_chunks() {
        let check_rejected = |expected, chunks: &[&str]| check_rejected(CHUNKED, expected, chunks);
        check_rejected("chunk size", &["x\r\n", "\r\n", "3 \r\nabc\r\n", "+3\r\nabc\r\n", "0x3\r\nabc\r\n"]);
        check_rejected("chunk size", &["3;\0\r\nabc\r\n", "11111111111111111\r\n"]);
        check_rejected("bare LF", &["3\nabc\r\n", "3\r\nabc\n", "0\r\n\n"]);
        check_rejected("no CRLF after a chunk", &["3\r\nabcd\r\n"]);
        check_rejected("no colon", &["0\r\nx\r\n"]);
        check_rejected("inside the body", &["", "3", "3\r\nab", "3\r\nabc", "3\r\nabc\r\n", "0\r\nT: u\r\n"]);
    }

    #[test]
    fn limits_heads_and_lines() {
        let (long, lines) = ("x".repeat(HEAD_MAX), "A: b\r\n".repeat(HEAD_MAX / 6));
        for input in [
            format!("HTTP/1.1 200 {long}"),
            format!("HTTP/1.1 200 OK\r\n{lines}"),
            format!("{CHUNKED}1\r\na\r\n1;{long}"),
            format!("{CHUNKED}0\r\n{lines}"),
        ] {
            let (_, error) = read(&[input.as_bytes()], RequestKind::GET);
            assert!(error.unwrap().contains("more than 65536 bytes"));
        }
    }

    #[test]
    fn reads_one_response_after_the_other() {
        let input = "HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 204 No\r\nConnection: x, Close\r\n\r\nHTTP/1.0 200 OK\r\n\
            Connection: Keep-Alive\r\nContent-Length: 1\r\n\r\naHTTP/1.0 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\nHTTP";
        let (responses, _) = read(&[input.as_bytes()], RequestKind::GET);
        let actual = responses.iter().map(|r| (r.status, r.framing, r.text(), r.keeps_alive));
        let expected = [
            (100, BodyFraming::NoBody, String::new(), true),
            (204, BodyFraming::NoBody, String::new(), false),
            (200, BodyFraming::Length(1), "a".into(), true),
            (204, BodyFraming::NoBody, String::new(), false),
            (200, BodyFraming::UntilClose, "HTTP".into(), false),
        ];
        assert_eq!(actual.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn describes_the_current_response() {
        let mut reader = ResponseReader::default();
        let head = b"HTTP/1.1 200 All right\r\nA:  b \r\nETag:\"\xfc\"\r\na: c\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(reader.read(head, RequestKind::GET), Ok((head.len(), Event::Head)));
        assert_eq!((reader.minor_version(), reader.status(), reader.reason()), (1, 200, &b"All right"[..]));
        assert_eq!((reader.header("a"), reader.header("eTAG")), (Some(&b"b"[..]), Some(&b"\"\xfc\""[..])));
        assert_eq!((reader.header("b"), reader.headers().count(), reader.head()), (None, 4, &head[..]));
        assert_eq!(reader.read(b"1\r\na", RequestKind::GET), Ok((4, Event::Body(b"a"))));
        assert!(!reader.has_unusual_chunks());
        read_all(&mut reader, b"\r\n0a;x\r\n0123456789\r\n0\r\nT:u\r\n\r\n");
        assert!(reader.has_unusual_chunks());
        assert_eq!(reader.trailers().collect::<Vec<_>>(), [(&b"T"[..], &b"u"[..])]);
    }

    /// Reads all of `input`, which must be well-formed.
    fn read_all(reader: &mut ResponseReader, mut input: &[u8]) {
        while let (len @ 1.., _) = reader.read(input, RequestKind::GET).unwrap() {
            input = &input[len..];
        }
    }

    #[test]
    fn allocates_nothing_for_later_responses() {
        let mut reader = ResponseReader::default();
        let input = format!("{CHUNKED}3\r\nabc\r\n0\r\nT: u\r\n\r\n");
        let mut read = || read_all(&mut reader, input.as_bytes());
        read();
        assert_eq!(allocation_counter::measure(|| (0..100).for_each(|_| read())).count_total, 0);
    }

    #[test]
    fn shows_every_byte() {
        assert_eq!(preview(b"a \"b'\r\n\t\\\x00\xff\\\"", 99), "a \"b'\\r\\n\\t\\\\\\x00\\xff\\\\\"");
        assert_eq!(preview(b"abcdef", 2), "ab … 4 bytes more");
    }

    /// Parts of responses, right and wrong, separated by bars.
    const PARTS: &str = "HTTP/1.1 200 OK\r\n|HTTP/1.0 404 \r\n|HTTP/1.1 100 Go\r\n\r\n|HTTP/1.1 204 No\r\n|HTTP/1.|hello|\
        Content-Length: 3\r\n|Content-Length: 0\r\n|Content-Length: x\r\n|Transfer-Encoding: chunked\r\n|A: b\r\n| c\r\n|\
        Connection: close\r\n|\r\n|\r\n|\r\n|abc|abc|3\r\nabc\r\n|3;x\r\nabc\r\n|0\r\n|0\r\n\r\n|\n|\r|\0";

    proptest! {
        /// Any cut of any bytes, well-formed or not, gives the same result.
        #[test]
        fn pieces_do_not_change_the_result(
            parts in prop::collection::vec(prop::sample::select(PARTS.split('|').collect::<Vec<_>>()), 0..12),
            cuts in prop::collection::vec(0_usize..400, 0..6),
            head in any::<bool>(),
        ) {
            let (input, request) = (parts.concat().into_bytes(), RequestKind { head, http10: false });
            let ends = cuts.into_iter().map(|cut| cut.min(input.len()));
            let mut cuts: Vec<usize> = ends.chain([0, input.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]).collect();
            let [whole, cut, bytes] = [vec![input.as_slice()], pieces, input.chunks(1).collect()]
                .map(|pieces| read(&pieces, request))
                // How much of the input an error quotes depends on the pieces.
                .map(|(responses, error)| (responses, error.is_some()));
            prop_assert_eq!(&whole, &cut);
            prop_assert_eq!(&whole, &bytes);
        }
    }
}
