//! A judge: which responses a client finds in the output of a server. Imports nothing.
//!
//! It does not use the leniency that RFC 9112 allows a recipient, and it knows what each response must contain.

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A response that the client expects.
#[derive(Debug)]
pub struct ExpectedResponse {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: BodyRule,
    /// Whether it must be the last one. Others may be as well.
    pub last: bool,
    /// Whether the client supports the chunked coding.
    pub http11: bool,
    /// Whether an interim response may come before it.
    pub interim: bool,
}

/// The body that a response must have.
#[derive(Debug)]
pub enum BodyRule {
    /// These bytes, or none if the status allows none.
    Exactly(Vec<u8>),
    /// No body, though the headers announce one: the response to a HEAD.
    None,
    /// The body that the headers announce.
    Any,
    /// The same, or no body if the output ends: it may be the response to a HEAD.
    AnyOrNone,
}

/// Well-formed output.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadResponses<'o> {
    /// The complete responses as received, without interim ones.
    pub complete: Vec<&'o [u8]>,
    /// Whether the output ends within a response.
    pub truncated: bool,
}

/// The reason why there is no next response.
enum Stop {
    /// The output ends within it.
    Truncated,
    Wrong(String),
}

/// Reads all output up to the end of the connection. `interim`: after the expected responses, an interim one may ask for a
/// body that never arrived.
///
/// # Errors
///
/// A description of the first error.
pub fn read<'o>(
    output: &'o [u8],
    expected: &[ExpectedResponse],
    interim: bool,
) -> Result<ReadResponses<'o>, String> {
    let mut reader = Reader { rest: output };
    let mut complete = Vec::new();
    let mut last = false;
    while !reader.rest.is_empty() {
        let Some(expected) = expected.get(complete.len()).filter(|_| !last) else {
            if interim && !last && CONTINUE.starts_with(reader.rest) {
                return Ok(ReadResponses { complete, truncated: reader.rest != CONTINUE });
            }
            return Err(format!("after the last response: {}", reader.rest.escape_ascii()));
        };
        match reader.response(expected) {
            Ok((response, is_last)) => {
                complete.push(response);
                last = is_last;
            }
            Err(Stop::Truncated) => return Ok(ReadResponses { complete, truncated: true }),
            Err(Stop::Wrong(error)) => return Err(format!("response {}: {error}", complete.len())),
        }
    }
    Ok(ReadResponses { complete, truncated: false })
}

/// How a body is delimited.
enum ReceivedFraming {
    Length(usize),
    Chunked,
    UntilClose,
    NoBody,
}

struct Reader<'o> {
    rest: &'o [u8],
}

impl<'o> Reader<'o> {
    /// Reads a response. Returns its bytes, and whether it is the last.
    fn response(&mut self, expected: &ExpectedResponse) -> Result<(&'o [u8], bool), Stop> {
        if expected.interim
            && let Some(rest) = self.rest.strip_prefix(CONTINUE)
        {
            self.rest = rest;
        } else if expected.interim && CONTINUE.starts_with(self.rest) {
            return Err(Stop::Truncated);
        }
        let start = self.rest;
        check_status(self.line()?, expected.status)?;
        let mut headers = Vec::new();
        loop {
            match self.line()? {
                [] => break,
                line => headers.push(header(line)?),
            }
        }
        let last = check_connection(&headers)?;
        wrong_unless(last || !expected.last, || "must be the last response".to_owned())?;
        if expected.status == 405 {
            once(&headers, "Allow")?;
        }
        let framing = framing(&headers, expected, last)?;
        self.body(&framing, &expected.body)?;
        Ok((&start[..start.len() - self.rest.len()], last))
    }

    /// Reads a line. Its CRLF must be the only CR and the only LF in it.
    fn line(&mut self) -> Result<&'o [u8], Stop> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or(Stop::Truncated)?;
        let line = self.rest[..end].strip_suffix(b"\r").ok_or_else(|| wrong("a bare LF"))?;
        wrong_unless(!line.contains(&b'\r'), || "a bare CR".to_owned())?;
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    fn exactly(&mut self, count: usize) -> Result<&'o [u8], Stop> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Stop::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn body(&mut self, framing: &ReceivedFraming, expected: &BodyRule) -> Result<(), Stop> {
        let no_body = match expected {
            BodyRule::None => true,
            BodyRule::AnyOrNone => self.rest.is_empty(),
            BodyRule::Exactly(_) | BodyRule::Any => false,
        };
        let body = match framing {
            _ if no_body => return Ok(()),
            ReceivedFraming::NoBody => return Ok(()),
            ReceivedFraming::Length(length) => self.exactly(*length)?.to_vec(),
            ReceivedFraming::Chunked => self.chunks()?,
            ReceivedFraming::UntilClose => self.exactly(self.rest.len())?.to_vec(),
        };
        match expected {
            BodyRule::Exactly(expected) if body != *expected => {
                let truncated = matches!(framing, ReceivedFraming::UntilClose) && expected.starts_with(&body);
                let error = || format!("{} instead of {}", body.escape_ascii(), expected.escape_ascii());
                Err(if truncated { Stop::Truncated } else { Stop::Wrong(error()) })
            }
            _ => Ok(()),
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Stop> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.iter().all(u8::is_ascii_hexdigit).then_some(line);
            let size = digits.and_then(|digits| usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
            let size = size.ok_or_else(|| Stop::Wrong(format!("chunk size {}", line.escape_ascii())))?;
            body.extend_from_slice(self.exactly(size)?);
            wrong_unless(self.exactly(2)? == b"\r\n", || "a chunk without its end".to_owned())?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

type Header<'o> = (&'o [u8], &'o [u8]);

/// RFC 9112 §4: the version, three digits, a reason phrase.
fn check_status(line: &[u8], expected: u16) -> Result<(), Stop> {
    let reason = line.strip_prefix(format!("HTTP/1.1 {expected} ").as_bytes());
    let valid = reason.is_some_and(|reason| reason.iter().all(|byte| matches!(byte, b' '..=b'~')));
    wrong_unless(valid, || format!("status line {}, not of {expected}", line.escape_ascii()))
}

fn header(line: &[u8]) -> Result<Header<'_>, Stop> {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let legal = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    let colon = line.iter().position(|&byte| byte == b':').unwrap_or(0);
    let (name, value) = line.split_at(colon);
    let valid = colon > 0 && name.iter().all(token) && value.starts_with(b": ") && value.iter().all(legal);
    wrong_unless(valid, || format!("header line {}", line.escape_ascii()))?;
    Ok((name, &value[2..]))
}

fn values<'o>(headers: &[Header<'o>], name: &str) -> Vec<&'o [u8]> {
    let named = |header: &&Header<'o>| header.0.eq_ignore_ascii_case(name.as_bytes());
    headers.iter().filter(named).map(|header| header.1).collect()
}

fn once<'o>(headers: &[Header<'o>], name: &str) -> Result<&'o [u8], Stop> {
    match values(headers, name)[..] {
        [value] => Ok(value),
        ref values => Err(Stop::Wrong(format!("{} times {name}", values.len()))),
    }
}

/// Checks the headers that each response has once. Returns whether the response is the last.
fn check_connection(headers: &[Header<'_>]) -> Result<bool, Stop> {
    once(headers, "Server")?;
    let date = once(headers, "Date")?;
    // RFC 9110 §5.6.7: an IMF-fixdate has one length.
    wrong_unless(date.len() == 29 && date.ends_with(b" GMT"), || format!("Date {}", date.escape_ascii()))?;
    match once(headers, "Connection")? {
        b"close" => Ok(true),
        b"keep-alive" => Ok(false),
        other => Err(Stop::Wrong(format!("Connection {}", other.escape_ascii()))),
    }
}

/// RFC 9112 §6.3, for a strict recipient.
fn framing(headers: &[Header<'_>], expected: &ExpectedResponse, last: bool) -> Result<ReceivedFraming, Stop> {
    let (lengths, codings) = (values(headers, "Content-Length"), values(headers, "Transfer-Encoding"));
    let no_body = matches!(expected.status, 204 | 304);
    match (&lengths[..], &codings[..]) {
        // RFC 9110 §8.6: a response to HEAD need not say how long its body would be.
        ([], []) if no_body || matches!(expected.body, BodyRule::None) => Ok(ReceivedFraming::NoBody),
        ([length], []) if !no_body => {
            let digits = length.iter().all(u8::is_ascii_digit).then_some(length);
            let length = digits.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
            length.map(ReceivedFraming::Length).ok_or_else(|| wrong("malformed Content-Length"))
        }
        ([], [b"chunked"]) if !no_body && expected.http11 => Ok(ReceivedFraming::Chunked),
        ([], []) if last => Ok(ReceivedFraming::UntilClose),
        _ => {
            let error =
                format!("{} lengths, {} codings for {}", lengths.len(), codings.len(), expected.status);
            Err(Stop::Wrong(error))
        }
    }
}

fn wrong(error: &str) -> Stop {
    Stop::Wrong(error.to_owned())
}

fn wrong_unless(right: bool, error: impl FnOnce() -> String) -> Result<(), Stop> {
    if right { Ok(()) } else { Err(Stop::Wrong(error())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER_AND_DATE: &str = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    const KEEP: &str = "Connection: keep-alive\r\n";
    const CLOSE: &str = "Connection: close\r\n";

    /// Reads one response. Expects the number of complete ones and whether one is truncated, or a part of the error.
    fn check_response(
        response: ExpectedResponse,
        start: &str,
        text: &str,
        expected: Result<(usize, bool), &str>,
    ) {
        let output = start.replacen("\r\n", &format!("\r\n{SERVER_AND_DATE}"), 1) + text;
        match (read(output.as_bytes(), &[response], false), expected) {
            (Ok(read), Ok(expected)) => {
                assert_eq!((read.complete.len(), read.truncated), expected, "{output}");
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}, not {expected}"),
            (read, _) => panic!("{read:?} instead of {expected:?} for {output}"),
        }
    }

    fn response(status: u16, body: BodyRule) -> ExpectedResponse {
        ExpectedResponse { status, body, last: false, http11: true, interim: false }
    }

    fn check(text: &str, expected: Result<(usize, bool), &str>) {
        check_response(
            response(200, BodyRule::Exactly(b"ab".to_vec())),
            "HTTP/1.1 200 OK\r\n",
            text,
            expected,
        );
    }

    #[test]
    fn accepts_valid_responses() {
        check(&format!("{KEEP}Content-Length: 2\r\n\r\nab"), Ok((1, false)));
        check(&format!("{KEEP}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"), Ok((1, false)));
        check(&format!("{CLOSE}\r\nab"), Ok((1, false)));
        let head = format!("{KEEP}Content-Length: 2\r\n\r\n");
        check_response(response(200, BodyRule::None), "HTTP/1.1 200 OK\r\n", &head, Ok((1, false)));
        let head = format!("{KEEP}\r\n");
        check_response(response(200, BodyRule::None), "HTTP/1.1 200 OK\r\n", &head, Ok((1, false)));
        let empty = format!("{KEEP}\r\n");
        check_response(response(204, BodyRule::Any), "HTTP/1.1 204 No Content\r\n", &empty, Ok((1, false)));
    }

    #[test]
    fn detects_truncated_responses() {
        for text in [
            String::new(),
            format!("{KEEP}Content-Le"),
            format!("{KEEP}Content-Length: 2\r\n\r\na"),
            format!("{KEEP}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"),
            format!("{CLOSE}\r\na"),
        ] {
            check(&text, Ok((0, true)));
        }
    }

    #[test]
    fn describes_errors() {
        let length = "Content-Length: 2\r\n";
        for (text, error) in [
            (format!("{KEEP}{length}\r\nabHTTP/1.1"), "after the last response"),
            (format!("{CLOSE}{length}\r\nabHTTP/1.1"), "after the last response"),
            (format!("{KEEP}{length}\r\nac"), "instead of ab"),
            (format!("{CLOSE}\r\nabc"), "instead of ab"),
            (format!("{KEEP}{length}\n"), "a bare LF"),
            (format!("{KEEP}{length}X: a\rb\r\n\r\n"), "a bare CR"),
            (format!("{KEEP}{length}X : a\r\n\r\n"), "header line"),
            (format!("{KEEP}{length}X: \0\r\n\r\n"), "header line"),
            (format!("{KEEP}{KEEP}{length}\r\nab"), "2 times Connection"),
            (format!("{length}\r\nab"), "0 times Connection"),
            (format!("{KEEP}{SERVER_AND_DATE}{length}\r\nab"), "2 times Server"),
            (format!("{KEEP}\r\nab"), "0 lengths, 0 codings"),
            (format!("{KEEP}{length}{length}\r\nab"), "2 lengths, 0 codings"),
            (format!("{KEEP}{length}Transfer-Encoding: chunked\r\n\r\nab"), "1 lengths, 1 codings"),
            (format!("{KEEP}Content-Length: +2\r\n\r\nab"), "malformed Content-Length"),
            (format!("{KEEP}Transfer-Encoding: chunked\r\n\r\n2;\r\nab\r\n0\r\n\r\n"), "chunk size 2;"),
            (format!("{KEEP}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"), "without its end"),
        ] {
            check(&text, Err(error));
        }
        let empty = format!("{KEEP}Content-Length: 0\r\n\r\n");
        check_response(response(304, BodyRule::Any), "HTTP/1.1 304 N\r\n", &empty, Err("1 lengths"));
        check_response(response(405, BodyRule::Any), "HTTP/1.1 405 M\r\n", &empty, Err("0 times Allow"));
        check_response(response(200, BodyRule::Any), "HTTP/1.1 201 C\r\n", &empty, Err("not of 200"));
        let last = ExpectedResponse { last: true, ..response(200, BodyRule::Any) };
        check_response(last, "HTTP/1.1 200 OK\r\n", &empty, Err("must be the last"));
    }
}
