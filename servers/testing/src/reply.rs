//! A strict reader of answers, written from the RFCs and sharing no code with the core.
//!
//! It forgives nothing that RFC 9112 allows a recipient to forgive: what a server sends must be exact.

use std::{
    fmt,
    io::{self, Read},
};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What an answer's framing depends on besides itself (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Head,
    /// Any other method in HTTP/1.1, or nothing that was understood.
    Http11,
    /// Any other method in HTTP/1.0, which knows no chunks.
    Http10,
}

impl Asked {
    /// What the answer to this request depends on.
    pub fn by(request: &[u8]) -> Asked {
        let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
        if line.starts_with(b"HEAD ") {
            Asked::Head
        } else if line.ends_with(b" HTTP/1.0") {
            Asked::Http10
        } else {
            Asked::Http11
        }
    }
}

/// How an answer's content is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    Length(u64),
    Chunked,
    UntilClose,
    /// There cannot be any, and no field says otherwise.
    Never,
}

/// A final answer that was read to its end.
pub struct Reply {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub framed: Framed,
    pub content: Vec<u8>,
    pub close: bool,
}

impl Reply {
    /// The value of the field with this name, in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = values.next();
        assert!(values.next().is_none(), "{name} stands there twice: {:?}", self.fields);
        value.map(|(_, value)| value.as_str())
    }

    /// All fields but Date, which may differ from one answer to the next.
    pub fn lasting_fields(&self) -> Vec<&(String, String)> {
        self.fields.iter().filter(|(name, _)| name != "Date").collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}, {:?}, ", self.status, self.framed, self.fields)?;
        write!(f, "{}", self.content[..self.content.len().min(100)].escape_ascii())
    }
}

/// Reads answers, one behind the other, and knows when there should be no more.
pub struct Reader<R> {
    source: R,
    bytes: Vec<u8>,
    taken: usize,
}

impl<R: Read> Reader<R> {
    pub fn new(source: R) -> Reader<R> {
        Reader { source, bytes: Vec::new(), taken: 0 }
    }

    /// The next answer, which must be a final one.
    pub fn reply(&mut self, asked: Asked) -> Result<Reply, String> {
        let status = status(&self.line()?)?;
        let mut fields = Vec::new();
        loop {
            match self.line()? {
                line if line.is_empty() => break,
                line => fields.push(field(&line)?),
            }
        }
        let mut reply = Reply { status, fields, framed: Framed::Never, content: Vec::new(), close: false };
        reply.close = ends_connection(&reply)?;
        reply.framed = framing(&reply, asked)?;
        if asked != Asked::Head {
            reply.content = self.content(reply.framed)?;
        }
        Ok(reply)
    }

    /// The interim answer that asks for the content.
    pub fn interim(&mut self) -> Result<(), String> {
        let seen = self.exactly(CONTINUE.len() as u64)?;
        if seen == CONTINUE { Ok(()) } else { Err(format!("no interim answer: {}", seen.escape_ascii())) }
    }

    /// The end of the connection, with nothing in front of it.
    pub fn end(&mut self) -> Result<(), String> {
        if self.taken == self.bytes.len() && !self.fill()? {
            return Ok(());
        }
        let stray = &self.bytes[self.taken..];
        Err(format!("stray bytes: {}", stray[..stray.len().min(200)].escape_ascii()))
    }

    /// A line up to its CRLF, which is the only CR and the only LF in it.
    fn line(&mut self) -> Result<Vec<u8>, String> {
        let mut seen = 0;
        let end = loop {
            let rest = &self.bytes[self.taken..];
            match rest[seen..].iter().position(|&byte| byte == b'\n') {
                Some(at) => break seen + at,
                None => seen = rest.len(),
            }
            if !self.fill()? {
                return Err(format!("an unfinished line: {}", self.bytes[self.taken..].escape_ascii()));
            }
        };
        let line = self.bytes[self.taken..self.taken + end].to_vec();
        self.taken += end + 1;
        let line = line.strip_suffix(b"\r").ok_or("a bare LF")?;
        if line.contains(&b'\r') { Err("a bare CR".to_owned()) } else { Ok(line.to_vec()) }
    }

    fn content(&mut self, framed: Framed) -> Result<Vec<u8>, String> {
        match framed {
            Framed::Never => Ok(Vec::new()),
            Framed::Length(length) => self.exactly(length),
            Framed::Chunked => self.chunks(),
            Framed::UntilClose => {
                while self.fill()? {}
                self.exactly((self.bytes.len() - self.taken) as u64)
            }
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        loop {
            let line = String::from_utf8_lossy(&self.line()?).into_owned();
            let size = u64::from_str_radix(&line, 16).map_err(|_| format!("chunk size {line}"))?;
            if line != format!("{size:x}") {
                return Err(format!("chunk size {line}, not in its plainest form"));
            }
            content.extend(self.exactly(size)?);
            if self.exactly(2)? != b"\r\n" {
                return Err("a chunk without its end".to_owned());
            }
            if size == 0 {
                return Ok(content);
            }
        }
    }

    fn exactly(&mut self, count: u64) -> Result<Vec<u8>, String> {
        let here = |reader: &Reader<R>| (reader.bytes.len() - reader.taken) as u64;
        while here(self) < count {
            if !self.fill()? {
                return Err(format!("content cut short: {} of {count} bytes", here(self)));
            }
        }
        let end = self.taken + count as usize;
        let bytes = self.bytes[self.taken..end].to_vec();
        self.taken = end;
        Ok(bytes)
    }

    /// Reads once more. Whether something came.
    fn fill(&mut self) -> Result<bool, String> {
        self.bytes.drain(..std::mem::take(&mut self.taken));
        let known = self.bytes.len();
        self.bytes.resize(known + 64 * 1024, 0);
        let count = uninterrupted(|| self.source.read(&mut self.bytes[known..]));
        self.bytes.truncate(known + *count.as_ref().unwrap_or(&0));
        match count {
            Ok(count) => Ok(count > 0),
            Err(error) => Err(format!("reading failed after {known} bytes: {error}")),
        }
    }
}

/// Tries again what a signal has interrupted: with a timeout set, the system does not do that by itself.
pub fn uninterrupted<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match act() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn status(line: &[u8]) -> Result<u16, String> {
    let fault = || format!("status line {}", line.escape_ascii());
    let rest = line.strip_prefix(b"HTTP/1.1 ").ok_or_else(fault)?;
    let [code @ .., b' '] = rest.get(..4).ok_or_else(fault)? else { return Err(fault()) };
    let reason = &rest[4..];
    if reason.is_empty() || !reason.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return Err(fault());
    }
    let code = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()).ok_or_else(fault)?;
    if (200..600).contains(&code) { Ok(code) } else { Err(fault()) }
}

fn field(line: &[u8]) -> Result<(String, String), String> {
    let fault = || format!("field line {}", line.escape_ascii());
    let text = std::str::from_utf8(line).map_err(|_| fault())?;
    let (name, value) = text.split_once(": ").ok_or_else(fault)?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let padded = value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']);
    if name.is_empty() || !name.bytes().all(token) || padded || value.chars().any(|c| c.is_ascii_control()) {
        return Err(fault());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Checks the fields that every answer has once, and says whether it is the last.
fn ends_connection(reply: &Reply) -> Result<bool, String> {
    let one = |name: &str| match values(reply, name)[..] {
        [value] => Ok(value),
        ref values => Err(format!("{} times {name}", values.len())),
    };
    if one("Server")?.is_empty() {
        return Err("an empty Server".to_owned());
    }
    // RFC 9110 §5.6.7: a sender writes IMF-fixdate, which has one length and one end.
    let date = one("Date")?;
    if date.len() != 29 || !date.ends_with(" GMT") {
        return Err(format!("Date {date}"));
    }
    match one("Connection")? {
        "close" => Ok(true),
        "keep-alive" => Ok(false),
        other => Err(format!("Connection {other}")),
    }
}

fn framing(reply: &Reply, asked: Asked) -> Result<Framed, String> {
    let never = matches!(reply.status, 204 | 304);
    match (&values(reply, "Content-Length")[..], &values(reply, "Transfer-Encoding")[..]) {
        ([], []) if never => Ok(Framed::Never),
        ([text], []) if !never => match text.parse::<u64>() {
            Ok(length) if *text == length.to_string() => Ok(Framed::Length(length)),
            _ => Err(format!("Content-Length {text}")),
        },
        ([], ["chunked"]) if !never && asked != Asked::Http10 => Ok(Framed::Chunked),
        ([], []) if reply.close => Ok(Framed::UntilClose),
        (lengths, codings) => {
            Err(format!("{} lengths and {} codings for {}", lengths.len(), codings.len(), reply.status))
        }
    }
}

fn values<'r>(reply: &'r Reply, name: &str) -> Vec<&'r str> {
    let named = reply.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    /// Reads one answer to a GET and the end behind it; `rest` follows Server and Date.
    fn check(line: &str, rest: &str, expected: Result<(Framed, &str), &str>) {
        let output = format!("HTTP/1.1 {line}\r\n{STAMP}{rest}");
        let mut reader = Reader::new(output.as_bytes());
        let outcome = reader.reply(Asked::Http11).and_then(|reply| reader.end().map(|()| reply));
        match (outcome, expected) {
            (Ok(reply), Ok(expected)) => assert_eq!((reply.framed, &*reply.text()), expected),
            (Err(fault), Err(expected)) => assert!(fault.contains(expected), "{fault}, not {expected}"),
            (outcome, _) => panic!("{outcome:?}, not {expected:?}, for {output}"),
        }
    }

    #[test]
    fn it_reads_what_is_right() {
        let keep = "Connection: keep-alive\r\n";
        check("200 OK", &format!("{keep}Content-Length: 2\r\n\r\nab"), Ok((Framed::Length(2), "ab")));
        let chunks = "a\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n";
        let coded = format!("{keep}Transfer-Encoding: chunked\r\n\r\n{chunks}");
        check("200 OK", &coded, Ok((Framed::Chunked, "0123456789a")));
        check("200 OK", "Connection: close\r\n\r\nabc", Ok((Framed::UntilClose, "abc")));
        check("304 Not Modified", &format!("{keep}\r\n"), Ok((Framed::Never, "")));
    }

    #[test]
    fn it_refuses_what_is_not() {
        let keep = "Connection: keep-alive\r\n";
        let empty = format!("{keep}Content-Length: 0\r\n\r\n");
        for line in ["200", "200 ", "099 Odd", "100 Continue", "2000 OK", " 200 OK"] {
            check(line, &empty, Err("status line"));
        }
        for (rest, fault) in [
            (format!("{keep}Content-Length: 0\r\n\n"), "a bare LF"),
            (format!("{keep}X: a\rb\r\n\r\n"), "a bare CR"),
            (format!("{keep}X : a\r\n\r\n"), "field line"),
            (format!("{keep}X:a\r\n\r\n"), "field line"),
            (format!("{keep}X: a \r\n\r\n"), "field line"),
            (format!("{keep}X: a\0\r\n\r\n"), "field line"),
            (format!("{keep}{empty}"), "2 times Connection"),
            ("Content-Length: 0\r\n\r\n".to_owned(), "0 times Connection"),
            (format!("{STAMP}{empty}"), "2 times Server"),
            (format!("{keep}\r\n"), "0 lengths and 0 codings"),
            (format!("{keep}Content-Length: 00\r\n\r\n"), "Content-Length 00"),
            (format!("Content-Length: 0\r\n{empty}"), "2 lengths and 0 codings"),
            (format!("{keep}Content-Length: 3\r\n\r\nab"), "content cut short"),
            (format!("{keep}Content-Length: 1\r\n\r\nab"), "stray bytes: b"),
            (format!("{keep}Transfer-Encoding: chunked\r\n\r\n01\r\na\r\n"), "chunk size 01"),
            (format!("{keep}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"), "without its end"),
            (format!("{keep}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"), "an unfinished line"),
            (format!("{keep}Transfer-Encoding: chunked\r\n\r\n0\r\n"), "content cut short"),
        ] {
            check("200 OK", &rest, Err(fault));
        }
        check("304 Not Modified", &empty, Err("1 lengths and 0 codings"));
    }
}
