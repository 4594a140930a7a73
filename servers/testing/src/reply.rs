//! A strict reader of responses, written from the RFCs. It shares no code with the servers.
//!
//! It accepts none of the deviations that RFC 9112 allows a recipient to accept. Responses must also have the form that
//! our servers give them, which is stricter than the RFCs: see `check_general_headers`.

use std::{
    fmt,
    io::{self, Read},
};

/// The interim response 100, which has no headers.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A final response, read to its end.
pub struct Reply {
    pub status: u16,
    /// Names and values, in the order in which they were received.
    pub headers: Vec<(String, String)>,
    /// How the response says where its body ends. The response to a HEAD request may have a length but no body.
    pub framing: BodyFraming,
    /// The body without chunk sizes.
    pub body: Vec<u8>,
    /// Whether the Connection header is `close` and not `keep-alive`.
    pub close: bool,
}

/// How a recipient finds the end of a response's body (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// After the number of bytes in Content-Length.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// At the end of the connection.
    UntilClose,
    /// At the end of the head: the status is 204 or 304, or the response to a HEAD request does not say how long its body
    /// would be.
    NoBody,
}

impl Reply {
    /// Returns the value of the header with this name in any case, or `None` if there is none. Panics if there are
    /// several.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.header_values(name)[..] {
            [] => None,
            [value] => Some(value),
            _ => panic!("several {name} headers: {:?}", self.headers),
        }
    }

    /// Returns all headers but Date, which may differ between two otherwise equal responses.
    pub fn headers_without_date(&self) -> Vec<&(String, String)> {
        self.headers.iter().filter(|(name, _)| name != "Date").collect()
    }

    /// Returns the body as text. Bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the values of all headers with this name in any case.
    fn header_values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}, {:?}, ", self.status, self.framing, self.headers)?;
        write!(f, "{}", self.body[..self.body.len().min(100)].escape_ascii())
    }
}

/// Reads the responses on one connection. Its errors say how the server broke the protocol, or why reading failed.
pub struct ReplyReader<R> {
    source: R,
    /// Bytes read from `source`.
    buffer: Vec<u8>,
    /// How many of the first bytes of `buffer` the methods have already returned.
    consumed: usize,
}

impl<R: Read> ReplyReader<R> {
    /// Makes a reader of the bytes that `source` yields from now on.
    pub fn new(source: R) -> ReplyReader<R> {
        ReplyReader { source, buffer: Vec::new(), consumed: 0 }
    }

    /// Reads the response to a request whose method is not HEAD and whose version is not HTTP/1.0. An interim response
    /// (1xx) is an error.
    pub fn reply(&mut self) -> Result<Reply, String> {
        self.reply_to(b"")
    }

    /// Reads the response to `request`. An interim response (1xx) is an error. The method and the version of `request`
    /// decide whether a body follows, and which framing is allowed.
    pub fn reply_to(&mut self, request: &[u8]) -> Result<Reply, String> {
        let request_line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let status = parse_status_line(&self.line()?)?;
        let mut headers = Vec::new();
        loop {
            match self.line()? {
                line if line.is_empty() => break,
                line => headers.push(parse_header(&line)?),
            }
        }
        let framing = BodyFraming::NoBody;
        let mut reply = Reply { status, headers, framing, body: Vec::new(), close: false };
        reply.close = check_general_headers(&reply)?;
        let is_head = request_line.starts_with(b"HEAD ");
        // RFC 9112 §7.1: HTTP/1.0 has no chunked coding.
        reply.framing = find_framing(&reply, is_head, !request_line.ends_with(b" HTTP/1.0"))?;
        if !is_head {
            reply.body = self.body(reply.framing)?;
        }
        Ok(reply)
    }

    /// Reads an interim response `100 Continue`. Any other bytes are an error.
    pub fn read_continue(&mut self) -> Result<(), String> {
        let read = self.exactly(CONTINUE.len() as u64)?;
        if read == CONTINUE { Ok(()) } else { Err(format!("not 100 Continue: {}", read.escape_ascii())) }
    }

    /// Waits until the server closes the connection. It is an error if bytes arrive before that.
    pub fn expect_eof(&mut self) -> Result<(), String> {
        if self.unread().is_empty() && !self.fill()? {
            return Ok(());
        }
        Err(format!("stray bytes: {}", self.unread()[..self.unread().len().min(200)].escape_ascii()))
    }

    /// Returns the bytes that were read from the source and not yet returned.
    fn unread(&self) -> &[u8] {
        &self.buffer[self.consumed..]
    }

    /// Reads a line up to its LF, and returns it without its CRLF. A bare CR or LF is an error.
    fn line(&mut self) -> Result<Vec<u8>, String> {
        let mut searched = 0;
        let end = loop {
            if let Some(end) = self.unread()[searched..].iter().position(|&byte| byte == b'\n') {
                break searched + end;
            }
            searched = self.unread().len();
            if !self.fill()? {
                return Err(format!("an unfinished line: {}", self.unread().escape_ascii()));
            }
        };
        let line = self.exactly(end as u64 + 1)?;
        let line = line.strip_suffix(b"\r\n").ok_or("a bare LF")?;
        if line.contains(&b'\r') { Err("a bare CR".to_owned()) } else { Ok(line.to_vec()) }
    }

    /// Reads a body with this framing to its end.
    fn body(&mut self, framing: BodyFraming) -> Result<Vec<u8>, String> {
        match framing {
            BodyFraming::NoBody => Ok(Vec::new()),
            BodyFraming::Length(length) => self.exactly(length),
            BodyFraming::Chunked => self.chunks(),
            BodyFraming::UntilClose => {
                while self.fill()? {}
                self.exactly(self.unread().len() as u64)
            }
        }
    }

    /// Reads chunks and returns their data. Chunk extensions, trailers and leading zeros of a size are errors.
    fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8_lossy(&self.line()?).into_owned();
            let size = u64::from_str_radix(&line, 16).map_err(|_| format!("chunk size {line}"))?;
            if line != format!("{size:x}") {
                return Err(format!("chunk size {line}, not in its shortest form"));
            }
            body.extend(self.exactly(size)?);
            if self.exactly(2)? != b"\r\n" {
                return Err("a chunk without CRLF at its end".to_owned());
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads exactly `count` bytes. An earlier end of the connection is an error.
    fn exactly(&mut self, count: u64) -> Result<Vec<u8>, String> {
        while (self.unread().len() as u64) < count {
            if !self.fill()? {
                return Err(format!("body cut short: {} of {count} bytes", self.unread().len()));
            }
        }
        let bytes = self.unread()[..count as usize].to_vec();
        self.consumed += bytes.len();
        Ok(bytes)
    }

    /// Reads from the source once, into the buffer. Returns true if bytes were read, and false at the end of the
    /// connection.
    fn fill(&mut self) -> Result<bool, String> {
        self.buffer.drain(..std::mem::take(&mut self.consumed));
        let known = self.buffer.len();
        self.buffer.resize(known + 64 * 1024, 0);
        let count = retry_on_eintr(|| self.source.read(&mut self.buffer[known..]));
        self.buffer.truncate(known + *count.as_ref().unwrap_or(&0));
        match count {
            Ok(count) => Ok(count > 0),
            Err(error) => Err(format!("reading failed after {known} bytes: {error}")),
        }
    }
}

/// Calls `operation`, and again as long as a signal interrupts it (EINTR). Returns its result.
pub fn retry_on_eintr<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Returns the status code in a status line `HTTP/1.1 CODE REASON`. An interim code (1xx) and a code above 599 are
/// errors, as is any other form of the line. The reason may be empty (RFC 9112 §4).
fn parse_status_line(line: &[u8]) -> Result<u16, String> {
    let error = || format!("status line {}", line.escape_ascii());
    let rest = line.strip_prefix(b"HTTP/1.1 ").ok_or_else(error)?;
    let [code @ .., b' '] = rest.get(..4).ok_or_else(error)? else { return Err(error()) };
    let reason = &rest[4..];
    if !reason.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return Err(error());
    }
    let code = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()).ok_or_else(error)?;
    if (200..600).contains(&code) { Ok(code) } else { Err(error()) }
}

/// Returns the name and the value of a header line `Name: value`. The value may be empty, and may contain spaces. It is
/// an error if there is not exactly one space before the value, if white space follows the value, or if the value
/// contains a control character.
fn parse_header(line: &[u8]) -> Result<(String, String), String> {
    let error = || format!("header line {}", line.escape_ascii());
    let text = std::str::from_utf8(line).map_err(|_| error())?;
    let (name, value) = text.split_once(": ").ok_or_else(error)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let padded = value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']);
    if name.is_empty() || !name.bytes().all(is_token) || padded || value.chars().any(|c| c.is_ascii_control())
    {
        return Err(error());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Checks the headers that every response of our servers has exactly once: Server, Date and Connection. Returns whether
/// Connection is `close`; the other legal value is `keep-alive`.
fn check_general_headers(reply: &Reply) -> Result<bool, String> {
    let only_value = |name: &str| match reply.header_values(name)[..] {
        [value] => Ok(value),
        ref values => Err(format!("{} times {name}", values.len())),
    };
    if only_value("Server")?.is_empty() {
        return Err("an empty Server".to_owned());
    }
    // RFC 9110 §5.6.7: a sender writes IMF-fixdate, which has a fixed length.
    let date = only_value("Date")?;
    if date.len() != 29 || !date.ends_with(" GMT") {
        return Err(format!("Date {date}"));
    }
    match only_value("Connection")? {
        "close" => Ok(true),
        "keep-alive" => Ok(false),
        other => Err(format!("Connection {other}")),
    }
}

/// Returns how the end of a response's body is found. Headers that contradict each other or the status are an error. So
/// is `Transfer-Encoding: chunked` without `may_be_chunked`, which says that the request has the version HTTP/1.1.
/// `is_head`: whether the method of the request is HEAD.
fn find_framing(reply: &Reply, is_head: bool, may_be_chunked: bool) -> Result<BodyFraming, String> {
    let no_body = matches!(reply.status, 204 | 304);
    let values = |name| reply.header_values(name);
    match (&values("Content-Length")[..], &values("Transfer-Encoding")[..]) {
        ([], []) if no_body || is_head => Ok(BodyFraming::NoBody),
        ([text], []) if !no_body => match text.parse::<u64>() {
            Ok(length) if *text == length.to_string() => Ok(BodyFraming::Length(length)),
            _ => Err(format!("Content-Length {text}")),
        },
        ([], ["chunked"]) if !no_body && may_be_chunked => Ok(BodyFraming::Chunked),
        ([], []) if reply.close => Ok(BodyFraming::UntilClose),
        (lengths, codings) => {
            Err(format!("{} lengths and {} codings for {}", lengths.len(), codings.len(), reply.status))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header lines that every response needs.
    const SERVER_AND_DATE: &str = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    /// Reads a response to a GET, then the end of the connection. Expects this framing and body, or an error that
    /// contains this text. `status` is the status line without its version, and `rest` is what follows the Server and
    /// Date headers.
    fn check(status: &str, rest: &str, expected: Result<(BodyFraming, &str), &str>) {
        let output = format!("HTTP/1.1 {status}\r\n{SERVER_AND_DATE}{rest}");
        let mut reader = ReplyReader::new(output.as_bytes());
        let result = reader.reply().and_then(|reply| reader.expect_eof().map(|()| reply));
        match (result, expected) {
            (Ok(reply), Ok(expected)) => assert_eq!((reply.framing, &*reply.text()), expected),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}, not {expected}"),
            (result, _) => panic!("{result:?}, not {expected:?}, for {output}"),
        }
    }

    #[test]
    fn reads_valid_responses() {
        let keep = "Connection: keep-alive\r\n";
        check("200 OK", &format!("{keep}Content-Length: 2\r\n\r\nab"), Ok((BodyFraming::Length(2), "ab")));
        let chunks = "a\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n";
        let coded = format!("{keep}Transfer-Encoding: chunked\r\n\r\n{chunks}");
        check("200 OK", &coded, Ok((BodyFraming::Chunked, "0123456789a")));
        check("200 OK", "Connection: close\r\n\r\nabc", Ok((BodyFraming::UntilClose, "abc")));
        check("304 Not Modified", &format!("{keep}\r\n"), Ok((BodyFraming::NoBody, "")));
    }

    #[test]
    fn rejects_invalid_responses() {
        let keep = "Connection: keep-alive\r\n";
        let empty = format!("{keep}Content-Length: 0\r\n\r\n");
        for line in ["200", "099 Odd", "100 Continue", "2000 OK", " 200 OK"] {
            check(line, &empty, Err("status line"));
        }
        for (rest, error) in [
            (format!("{keep}Content-Length: 0\r\n\n"), "a bare LF"),
            (format!("{keep}X: a\rb\r\n\r\n"), "a bare CR"),
            (format!("{keep}X : a\r\n\r\n"), "header line"),
            (format!("{keep}X:a\r\n\r\n"), "header line"),
            (format!("{keep}X: a \r\n\r\n"), "header line"),
            (format!("{keep}X: a\0\r\n\r\n"), "header line"),
            (format!("{keep}{empty}"), "2 times Connection"),
            ("Content-Length: 0\r\n\r\n".to_owned(), "0 times Connection"),
            (format!("{SERVER_AND_DATE}{empty}"), "2 times Server"),
            (format!("{keep}\r\n"), "0 lengths and 0 codings"),
            (format!("{keep}Content-Length: 00\r\n\r\n"), "Content-Length 00"),
            (format!("Content-Length: 0\r\n{empty}"), "2 lengths and 0 codings"),
            (format!("{keep}Content-Length: 3\r\n\r\nab"), "body cut short"),
            (format!("{keep}Content-Length: 1\r\n\r\nab"), "stray bytes: b"),
            (format!("{keep}Transfer-Encoding: chunked\r\n\r\n01\r\na\r\n"), "chunk size 01"),
            (format!("{keep}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"), "without CRLF"),
            (format!("{keep}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"), "an unfinished line"),
            (format!("{keep}Transfer-Encoding: chunked\r\n\r\n0\r\n"), "body cut short"),
        ] {
            check("200 OK", &rest, Err(error));
        }
        check("304 Not Modified", &empty, Err("1 lengths and 0 codings"));
    }
}
