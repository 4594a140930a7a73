//! The simulated client: a strict reader of responses, written from the RFCs. It shares no code with http-core.
//!
//! It does not use the leniency that RFC 9112 allows a recipient: what a server sends must be exact.

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The request that a response belongs to, as far as the framing of the response depends on it (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    Head,
    /// Any other method in HTTP/1.1.
    Http11,
    /// Any other method in HTTP/1.0, which has no chunked coding.
    Http10,
    /// A rejected request. It may have been a HEAD, so that its response, the last one, may have no body.
    Unknown,
}

impl RequestKind {
    pub fn of(method: &str, http11: bool) -> RequestKind {
        match (method, http11) {
            ("HEAD", _) => RequestKind::Head,
            (_, true) => RequestKind::Http11,
            (_, false) => RequestKind::Http10,
        }
    }
}

/// How the body of a response is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedFraming {
    Length(usize),
    Chunked,
    UntilClose,
    /// There is no body, and no header announces one.
    NoBody,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedResponse {
    /// The number of interim responses before it.
    pub interims: usize,
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub framing: ReceivedFraming,
    pub body: Vec<u8>,
    pub close: bool,
    /// The whole response as received, without interim responses.
    pub raw: Vec<u8>,
}

impl ReceivedResponse {
    pub fn values<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// Returns a summary: `100 200 keep-alive length=5 body=5`.
    pub fn summary(&self) -> String {
        let framing = match self.framing {
            ReceivedFraming::Length(length) => format!("length={length}"),
            ReceivedFraming::Chunked => "chunked".to_owned(),
            ReceivedFraming::UntilClose => "until-close".to_owned(),
            ReceivedFraming::NoBody => "no-body".to_owned(),
        };
        let connection = if self.close { "close" } else { "keep-alive" };
        let interims = "100 ".repeat(self.interims);
        format!("{interims}{} {connection} {framing} body={}", self.status, self.body.len())
    }
}

/// Reads all responses to these requests. `closed`: the output is complete.
pub fn read(output: &[u8], requests: &[RequestKind], closed: bool) -> Result<Vec<ReceivedResponse>, String> {
    let mut reader = Reader { rest: output };
    let mut responses: Vec<ReceivedResponse> = Vec::new();
    while !reader.rest.is_empty() {
        if responses.last().is_some_and(|last| last.close) {
            return Err("bytes after the last response".to_owned());
        }
        let Some(request) = requests.get(responses.len()) else {
            if reader.rest == CONTINUE {
                // The client closed the connection after it was asked for a body.
                break;
            }
            return Err("a response without a request".to_owned());
        };
        responses.push(reader.response(*request, closed)?);
    }
    Ok(responses)
}

struct Reader<'o> {
    rest: &'o [u8],
}

impl<'o> Reader<'o> {
    fn response(&mut self, request: RequestKind, closed: bool) -> Result<ReceivedResponse, String> {
        let mut interims = 0;
        while let Some(rest) = self.rest.strip_prefix(CONTINUE) {
            if request == RequestKind::Http10 {
                return Err("an interim response to HTTP/1.0".to_owned());
            }
            self.rest = rest;
            interims += 1;
        }
        let all = self.rest;
        let status = status(self.line()?)?;
        let mut headers = Vec::new();
        loop {
            match self.line()? {
                [] => break,
                line => headers.push(header(line)?),
            }
        }
        let mut response = ReceivedResponse {
            interims,
            status,
            headers,
            framing: ReceivedFraming::NoBody,
            body: Vec::new(),
            close: false,
            raw: Vec::new(),
        };
        response.close = connection(&response)?;
        response.framing = framing(&response, request)?;
        response.body = self.body(&response, request, closed)?;
        response.raw = all[..all.len() - self.rest.len()].to_vec();
        Ok(response)
    }

    /// Reads a line. Its CRLF must be the only CR and the only LF in it.
    fn line(&mut self) -> Result<&'o [u8], String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or("an unfinished line")?;
        let line = self.rest[..end].strip_suffix(b"\r").ok_or("a bare LF")?;
        if line.contains(&b'\r') {
            return Err("a bare CR".to_owned());
        }
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    fn exactly(&mut self, count: usize) -> Result<&'o [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("body cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn body(
        &mut self,
        response: &ReceivedResponse,
        request: RequestKind,
        closed: bool,
    ) -> Result<Vec<u8>, String> {
        if request == RequestKind::Head || request == RequestKind::Unknown && self.rest.is_empty() {
            return Ok(Vec::new());
        }
        match response.framing {
            ReceivedFraming::NoBody => Ok(Vec::new()),
            ReceivedFraming::Length(length) => self.exactly(length).map(<[u8]>::to_vec),
            ReceivedFraming::UntilClose if closed => self.exactly(self.rest.len()).map(<[u8]>::to_vec),
            ReceivedFraming::UntilClose => Err("a body until close, and no close".to_owned()),
            ReceivedFraming::Chunked => self.chunks(),
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8_lossy(self.line()?);
            let size = usize::from_str_radix(&line, 16).map_err(|_| format!("chunk size {line}"))?;
            if line != format!("{size:x}") {
                return Err(format!("chunk size {line}, not in its shortest form"));
            }
            body.extend_from_slice(self.exactly(size)?);
            if self.exactly(2)? != b"\r\n" {
                return Err("a chunk without its end".to_owned());
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

fn status(line: &[u8]) -> Result<u16, String> {
    let error = || format!("status line {}", line.escape_ascii());
    let rest = line.strip_prefix(b"HTTP/1.1 ").ok_or_else(error)?;
    let [hundreds @ b'2'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' ', reason @ ..] = rest else {
        return Err(error());
    };
    if !reason.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return Err(error());
    }
    Ok([hundreds, tens, ones].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0')))
}

fn header(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let error = || format!("header line {}", line.escape_ascii());
    let colon = line.iter().position(|&byte| byte == b':').ok_or_else(error)?;
    let (name, value) = (&line[..colon], line[colon + 1..].strip_prefix(b" ").ok_or_else(error)?);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let legal = |byte: &u8| *byte >= b' ' && *byte != 0x7f || *byte == b'\t';
    if name.is_empty() || !name.iter().all(token) || !value.iter().all(legal) {
        return Err(error());
    }
    if blank(value.first()) || blank(value.last()) {
        return Err(error());
    }
    Ok((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}

/// Checks the headers that every response has once. Returns whether the response is the last.
fn connection(response: &ReceivedResponse) -> Result<bool, String> {
    let one = |name: &str| match response.values(name).collect::<Vec<_>>()[..] {
        [value] => Ok(value),
        ref values => Err(format!("{} times {name}", values.len())),
    };
    one("Server")?;
    let date = one("Date")?;
    // RFC 9110 §5.6.7: IMF-fixdate has one length.
    if date.len() != 29 || !date.ends_with(b" GMT") {
        return Err(format!("Date {}", date.escape_ascii()));
    }
    match one("Connection")? {
        b"close" => Ok(true),
        b"keep-alive" => Ok(false),
        other => Err(format!("Connection {}", other.escape_ascii())),
    }
}

fn framing(response: &ReceivedResponse, request: RequestKind) -> Result<ReceivedFraming, String> {
    let lengths: Vec<_> = response.values("Content-Length").collect();
    let codings: Vec<_> = response.values("Transfer-Encoding").collect();
    let no_body = matches!(response.status, 204 | 304);
    match (&lengths[..], &codings[..]) {
        ([], []) if no_body || request == RequestKind::Head => Ok(ReceivedFraming::NoBody),
        ([length], []) if !no_body => {
            let text = String::from_utf8_lossy(length);
            let length: usize = text.parse().map_err(|_| format!("Content-Length {text}"))?;
            if text == length.to_string() {
                Ok(ReceivedFraming::Length(length))
            } else {
                Err(format!("Content-Length {text}"))
            }
        }
        ([], [coding]) if !no_body && request != RequestKind::Http10 && *coding == b"chunked" => {
            Ok(ReceivedFraming::Chunked)
        }
        ([], []) if response.close => Ok(ReceivedFraming::UntilClose),
        _ => Err(format!("{} lengths and {} codings for {}", lengths.len(), codings.len(), response.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER_AND_DATE: &str = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    /// Reads one response to a GET: the status line, then Server and Date, then `text`.
    fn check(line: &str, text: &str, expected: Result<&str, &str>) {
        let output = format!("HTTP/1.1 {line}\r\n{SERVER_AND_DATE}{text}");
        let summaries = read(output.as_bytes(), &[RequestKind::Http11, RequestKind::Http11], true)
            .map(|responses| responses.iter().map(ReceivedResponse::summary).collect::<Vec<_>>().join(", "));
        match (&summaries, expected) {
            (Ok(summaries), Ok(expected)) => assert_eq!(summaries, expected),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}, not {expected}"),
            _ => panic!("{summaries:?}, not {expected:?}, for {output}"),
        }
    }

    #[test]
    fn accepts_valid_responses_and_rejects_others() {
        let keep = "Connection: keep-alive\r\n";
        let close = "Connection: close\r\n";
        check("200 OK", &format!("{keep}Content-Length: 2\r\n\r\nab"), Ok("200 keep-alive length=2 body=2"));
        check(
            "200 OK",
            &format!("{keep}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"),
            Ok("200 keep-alive chunked body=10"),
        );
        check("200 OK", &format!("{close}\r\nabc"), Ok("200 close until-close body=3"));
        check("204 No Content", &format!("{keep}\r\n"), Ok("204 keep-alive no-body body=0"));
        for (line, text, error) in [
            ("200", format!("{keep}Content-Length: 0\r\n\r\n"), "status line"),
            ("099 Odd", format!("{keep}Content-Length: 0\r\n\r\n"), "status line"),
            ("200 OK", format!("{keep}Content-Length: 0\r\n\n"), "a bare LF"),
            ("200 OK", format!("{keep}X: a\rb\r\n\r\n"), "a bare CR"),
            ("200 OK", format!("{keep}X : a\r\n\r\n"), "header line"),
            ("200 OK", format!("{keep}X:a\r\n\r\n"), "header line"),
            ("200 OK", format!("{keep}X: a \r\n\r\n"), "header line"),
            ("200 OK", format!("{keep}X: a\0\r\n\r\n"), "header line"),
            ("200 OK", format!("{keep}{keep}Content-Length: 0\r\n\r\n"), "2 times Connection"),
            ("200 OK", "Content-Length: 0\r\n\r\n".to_owned(), "0 times Connection"),
            ("200 OK", format!("{keep}{SERVER_AND_DATE}Content-Length: 0\r\n\r\n"), "2 times Server"),
            ("200 OK", format!("{keep}\r\n"), "0 lengths and 0 codings"),
            ("200 OK", format!("{keep}Content-Length: 00\r\n\r\n"), "Content-Length 00"),
            (
                "200 OK",
                format!("{keep}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
                "2 lengths and 0 codings",
            ),
            ("204 No Content", format!("{keep}Content-Length: 0\r\n\r\n"), "1 lengths and 0 codings"),
            ("200 OK", format!("{keep}Content-Length: 3\r\n\r\nab"), "body cut short"),
            ("200 OK", format!("{keep}Content-Length: 1\r\n\r\nab"), "an unfinished line"),
            ("200 OK", format!("{close}Content-Length: 1\r\n\r\nab"), "bytes after the last response"),
            ("200 OK", format!("{keep}Transfer-Encoding: chunked\r\n\r\n01\r\na\r\n"), "chunk size 01"),
            ("200 OK", format!("{keep}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"), "without its end"),
            ("200 OK", format!("{keep}Transfer-Encoding: chunked\r\n\r\n0\r\n"), "body cut short"),
        ] {
            check(line, &text, Err(error));
        }
    }
}
