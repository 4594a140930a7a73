//! Plays the client: a strict reader of answers, written from the RFCs and sharing no code with the core.
//!
//! It forgives nothing that RFC 9112 allows a recipient to forgive: what a server sends must be exact.

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What an answer's framing depends on besides itself (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Head,
    /// Any other method in HTTP/1.1.
    Http11,
    /// Any other method in HTTP/1.0, which knows no chunks.
    Http10,
    /// Nothing that was understood. Whether it was a HEAD cannot be known, so its answer, the last, may lack
    /// its content.
    Refused,
}

impl Asked {
    pub fn of(method: &str, http11: bool) -> Asked {
        match (method, http11) {
            ("HEAD", _) => Asked::Head,
            (_, true) => Asked::Http11,
            (_, false) => Asked::Http10,
        }
    }
}

/// How an answer's content is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    Length(usize),
    Chunked,
    UntilClose,
    /// There cannot be any, and no field says otherwise.
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Interim answers in front of it.
    pub interims: usize,
    pub status: u16,
    pub fields: Vec<(String, Vec<u8>)>,
    pub framed: Framed,
    pub content: Vec<u8>,
    pub close: bool,
    /// The whole of it as it came, interim answers left out.
    pub raw: Vec<u8>,
}

impl Reply {
    pub fn values<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        self.fields
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// It in short words: `100 200 keep-alive length=5 content=5`.
    pub fn words(&self) -> String {
        let framed = match self.framed {
            Framed::Length(length) => format!("length={length}"),
            Framed::Chunked => "chunked".to_owned(),
            Framed::UntilClose => "until-close".to_owned(),
            Framed::Never => "never".to_owned(),
        };
        let connection = if self.close { "close" } else { "keep-alive" };
        let interims = "100 ".repeat(self.interims);
        format!("{interims}{} {connection} {framed} content={}", self.status, self.content.len())
    }
}

/// Reads all answers to these requests out of all that came. `closed` says that nothing more will come.
pub fn read(output: &[u8], asked: &[Asked], closed: bool) -> Result<Vec<Reply>, String> {
    let mut reader = Reader { rest: output };
    let mut replies: Vec<Reply> = Vec::new();
    while !reader.rest.is_empty() {
        if replies.last().is_some_and(|last| last.close) {
            return Err("something behind the last answer".to_owned());
        }
        let Some(asked) = asked.get(replies.len()) else {
            if reader.rest == CONTINUE {
                // Its peer was asked for content and ended instead.
                break;
            }
            return Err("an answer that nobody asked for".to_owned());
        };
        replies.push(reader.reply(*asked, closed)?);
    }
    Ok(replies)
}

struct Reader<'o> {
    rest: &'o [u8],
}

impl<'o> Reader<'o> {
    fn reply(&mut self, asked: Asked, closed: bool) -> Result<Reply, String> {
        let mut interims = 0;
        while let Some(rest) = self.rest.strip_prefix(CONTINUE) {
            if asked == Asked::Http10 {
                return Err("an interim answer to HTTP/1.0".to_owned());
            }
            self.rest = rest;
            interims += 1;
        }
        let all = self.rest;
        let status = status(self.line()?)?;
        let mut fields = Vec::new();
        loop {
            match self.line()? {
                [] => break,
                line => fields.push(field(line)?),
            }
        }
        let mut reply = Reply {
            interims,
            status,
            fields,
            framed: Framed::Never,
            content: Vec::new(),
            close: false,
            raw: Vec::new(),
        };
        reply.close = connection(&reply)?;
        reply.framed = framing(&reply, asked)?;
        reply.content = self.content(&reply, asked, closed)?;
        reply.raw = all[..all.len() - self.rest.len()].to_vec();
        Ok(reply)
    }

    /// A line up to its CRLF, which is the only CR and the only LF in it.
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
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("content cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn content(&mut self, reply: &Reply, asked: Asked, closed: bool) -> Result<Vec<u8>, String> {
        if asked == Asked::Head || asked == Asked::Refused && self.rest.is_empty() {
            return Ok(Vec::new());
        }
        match reply.framed {
            Framed::Never => Ok(Vec::new()),
            Framed::Length(length) => self.exactly(length).map(<[u8]>::to_vec),
            Framed::UntilClose if closed => self.exactly(self.rest.len()).map(<[u8]>::to_vec),
            Framed::UntilClose => Err("content until close, and no close".to_owned()),
            Framed::Chunked => self.chunks(),
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        loop {
            let line = String::from_utf8_lossy(self.line()?);
            let size = usize::from_str_radix(&line, 16).map_err(|_| format!("chunk size {line}"))?;
            if line != format!("{size:x}") {
                return Err(format!("chunk size {line}, not in its plainest form"));
            }
            content.extend_from_slice(self.exactly(size)?);
            if self.exactly(2)? != b"\r\n" {
                return Err("a chunk without its end".to_owned());
            }
            if size == 0 {
                return Ok(content);
            }
        }
    }
}

fn status(line: &[u8]) -> Result<u16, String> {
    let fault = || format!("status line {}", line.escape_ascii());
    let rest = line.strip_prefix(b"HTTP/1.1 ").ok_or_else(fault)?;
    let [hundreds @ b'2'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' ', reason @ ..] = rest else {
        return Err(fault());
    };
    if reason.is_empty() || !reason.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return Err(fault());
    }
    Ok([hundreds, tens, ones].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0')))
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let fault = || format!("field line {}", line.escape_ascii());
    let colon = line.iter().position(|&byte| byte == b':').ok_or_else(fault)?;
    let (name, value) = (&line[..colon], line[colon + 1..].strip_prefix(b" ").ok_or_else(fault)?);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let legal = |byte: &u8| *byte >= b' ' && *byte != 0x7f || *byte == b'\t';
    if name.is_empty() || !name.iter().all(token) || !value.iter().all(legal) {
        return Err(fault());
    }
    if blank(value.first()) || blank(value.last()) {
        return Err(fault());
    }
    Ok((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}

/// Checks the fields that every answer has once, and says whether it is the last.
fn connection(reply: &Reply) -> Result<bool, String> {
    let one = |name: &str| match reply.values(name).collect::<Vec<_>>()[..] {
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

fn framing(reply: &Reply, asked: Asked) -> Result<Framed, String> {
    let lengths: Vec<_> = reply.values("Content-Length").collect();
    let codings: Vec<_> = reply.values("Transfer-Encoding").collect();
    let never = matches!(reply.status, 204 | 304);
    match (&lengths[..], &codings[..]) {
        ([], []) if never => Ok(Framed::Never),
        ([length], []) if !never => {
            let text = String::from_utf8_lossy(length);
            let length: usize = text.parse().map_err(|_| format!("Content-Length {text}"))?;
            if text == length.to_string() {
                Ok(Framed::Length(length))
            } else {
                Err(format!("Content-Length {text}"))
            }
        }
        ([], [coding]) if !never && asked != Asked::Http10 && *coding == b"chunked" => Ok(Framed::Chunked),
        ([], []) if reply.close => Ok(Framed::UntilClose),
        _ => Err(format!("{} lengths and {} codings for {}", lengths.len(), codings.len(), reply.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    /// Reads one answer to a GET; `text` is what stands around Server and Date.
    fn check(line: &str, text: &str, expected: Result<&str, &str>) {
        let output = format!("HTTP/1.1 {line}\r\n{STAMP}{text}");
        let words = read(output.as_bytes(), &[Asked::Http11, Asked::Http11], true)
            .map(|replies| replies.iter().map(Reply::words).collect::<Vec<_>>().join(", "));
        match (&words, expected) {
            (Ok(words), Ok(expected)) => assert_eq!(words, expected),
            (Err(fault), Err(expected)) => assert!(fault.contains(expected), "{fault}, not {expected}"),
            _ => panic!("{words:?}, not {expected:?}, for {output}"),
        }
    }

    #[test]
    fn it_reads_what_is_right_and_refuses_what_is_not() {
        let keep = "Connection: keep-alive\r\n";
        let close = "Connection: close\r\n";
        check(
            "200 OK",
            &format!("{keep}Content-Length: 2\r\n\r\nab"),
            Ok("200 keep-alive length=2 content=2"),
        );
        check(
            "200 OK",
            &format!("{keep}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"),
            Ok("200 keep-alive chunked content=10"),
        );
        check("200 OK", &format!("{close}\r\nabc"), Ok("200 close until-close content=3"));
        check("204 No Content", &format!("{keep}\r\n"), Ok("204 keep-alive never content=0"));
        for (line, text, fault) in [
            ("200", format!("{keep}Content-Length: 0\r\n\r\n"), "status line"),
            ("099 Odd", format!("{keep}Content-Length: 0\r\n\r\n"), "status line"),
            ("200 OK", format!("{keep}Content-Length: 0\r\n\n"), "a bare LF"),
            ("200 OK", format!("{keep}X: a\rb\r\n\r\n"), "a bare CR"),
            ("200 OK", format!("{keep}X : a\r\n\r\n"), "field line"),
            ("200 OK", format!("{keep}X:a\r\n\r\n"), "field line"),
            ("200 OK", format!("{keep}X: a \r\n\r\n"), "field line"),
            ("200 OK", format!("{keep}X: a\0\r\n\r\n"), "field line"),
            ("200 OK", format!("{keep}{keep}Content-Length: 0\r\n\r\n"), "2 times Connection"),
            ("200 OK", "Content-Length: 0\r\n\r\n".to_owned(), "0 times Connection"),
            ("200 OK", format!("{keep}{STAMP}Content-Length: 0\r\n\r\n"), "2 times Server"),
            ("200 OK", format!("{keep}\r\n"), "0 lengths and 0 codings"),
            ("200 OK", format!("{keep}Content-Length: 00\r\n\r\n"), "Content-Length 00"),
            (
                "200 OK",
                format!("{keep}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
                "2 lengths and 0 codings",
            ),
            ("204 No Content", format!("{keep}Content-Length: 0\r\n\r\n"), "1 lengths and 0 codings"),
            ("200 OK", format!("{keep}Content-Length: 3\r\n\r\nab"), "content cut short"),
            ("200 OK", format!("{keep}Content-Length: 1\r\n\r\nab"), "an unfinished line"),
            ("200 OK", format!("{close}Content-Length: 1\r\n\r\nab"), "something behind the last answer"),
            ("200 OK", format!("{keep}Transfer-Encoding: chunked\r\n\r\n01\r\na\r\n"), "chunk size 01"),
            ("200 OK", format!("{keep}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"), "without its end"),
            ("200 OK", format!("{keep}Transfer-Encoding: chunked\r\n\r\n0\r\n"), "content cut short"),
        ] {
            check(line, &text, Err(fault));
        }
    }
}
