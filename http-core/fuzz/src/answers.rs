//! A judge: what a client makes of a server's output. Imports nothing.
//!
//! It forgives nothing that RFC 9112 allows a recipient to forgive, and it knows what each answer must say.

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// An answer that the peer has coming.
#[derive(Debug)]
pub struct Owed {
    /// Its status.
    pub status: u16,
    /// Its content.
    pub content: Content,
    /// Whether it must be the last on its connection. Others may be.
    pub last: bool,
    /// Whether the peer knows chunks.
    pub http11: bool,
    /// Whether one interim answer may stand before it.
    pub interim: bool,
}

/// The content that an answer must have.
#[derive(Debug)]
pub enum Content {
    /// These bytes, or none if its status has none.
    Exactly(Vec<u8>),
    /// None, though its fields announce some: it answers a HEAD.
    Withheld,
    /// Whatever its fields announce.
    Any,
    /// Whatever its fields announce, or none if the output ends: it may answer a HEAD.
    AnyOrWithheld,
}

/// Output that was well-formed.
#[derive(Debug, PartialEq, Eq)]
pub struct Answers<'o> {
    /// Each complete answer as it came, without interim answers.
    pub complete: Vec<&'o [u8]>,
    /// Whether the output ends within an answer.
    pub cut: bool,
}

/// Why there is no next answer.
enum Stop {
    /// The output ends within it.
    Cut,
    Wrong(String),
}

/// Reads all output up to the end of the connection. `asking` says that, behind what is owed, an interim answer may
/// ask for content that never came.
///
/// # Errors
///
/// The first thing that is wrong, in words.
pub fn read<'o>(output: &'o [u8], owed: &[Owed], asking: bool) -> Result<Answers<'o>, String> {
    let mut reader = Reader { rest: output };
    let mut complete = Vec::new();
    let mut last = false;
    while !reader.rest.is_empty() {
        let Some(owed) = owed.get(complete.len()).filter(|_| !last) else {
            if asking && !last && CONTINUE.starts_with(reader.rest) {
                return Ok(Answers { complete, cut: reader.rest != CONTINUE });
            }
            return Err(format!("behind the last answer: {}", reader.rest.escape_ascii()));
        };
        match reader.answer(owed) {
            Ok((answer, is_last)) => {
                complete.push(answer);
                last = is_last;
            }
            Err(Stop::Cut) => return Ok(Answers { complete, cut: true }),
            Err(Stop::Wrong(fault)) => return Err(format!("answer {}: {fault}", complete.len())),
        }
    }
    Ok(Answers { complete, cut: false })
}

/// How content is delimited.
enum Delimiter {
    Length(usize),
    Chunked,
    Close,
    Never,
}

struct Reader<'o> {
    rest: &'o [u8],
}

impl<'o> Reader<'o> {
    /// An answer as it came, and whether it is the last.
    fn answer(&mut self, owed: &Owed) -> Result<(&'o [u8], bool), Stop> {
        if owed.interim
            && let Some(rest) = self.rest.strip_prefix(CONTINUE)
        {
            self.rest = rest;
        } else if owed.interim && CONTINUE.starts_with(self.rest) {
            return Err(Stop::Cut);
        }
        let start = self.rest;
        check_status(self.line()?, owed.status)?;
        let mut fields = Vec::new();
        loop {
            match self.line()? {
                [] => break,
                line => fields.push(field(line)?),
            }
        }
        let last = check_connection(&fields)?;
        wrong_unless(last || !owed.last, || "not the last, but must be".to_owned())?;
        if owed.status == 405 {
            once(&fields, "Allow")?;
        }
        let delimiter = delimiter(&fields, owed, last)?;
        self.content(&delimiter, &owed.content)?;
        Ok((&start[..start.len() - self.rest.len()], last))
    }

    /// A line up to its CRLF, which is the only CR and the only LF in it.
    fn line(&mut self) -> Result<&'o [u8], Stop> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or(Stop::Cut)?;
        let line = self.rest[..end].strip_suffix(b"\r").ok_or_else(|| wrong("a bare LF"))?;
        wrong_unless(!line.contains(&b'\r'), || "a bare CR".to_owned())?;
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    fn exactly(&mut self, count: usize) -> Result<&'o [u8], Stop> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Stop::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn content(&mut self, delimiter: &Delimiter, owed: &Content) -> Result<(), Stop> {
        let withheld = match owed {
            Content::Withheld => true,
            Content::AnyOrWithheld => self.rest.is_empty(),
            Content::Exactly(_) | Content::Any => false,
        };
        let content = match delimiter {
            _ if withheld => return Ok(()),
            Delimiter::Never => return Ok(()),
            Delimiter::Length(length) => self.exactly(*length)?.to_vec(),
            Delimiter::Chunked => self.chunks()?,
            Delimiter::Close => self.exactly(self.rest.len())?.to_vec(),
        };
        match owed {
            Content::Exactly(expected) if content != *expected => {
                let cut = matches!(delimiter, Delimiter::Close) && expected.starts_with(&content);
                let fault = || format!("{} instead of {}", content.escape_ascii(), expected.escape_ascii());
                Err(if cut { Stop::Cut } else { Stop::Wrong(fault()) })
            }
            _ => Ok(()),
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Stop> {
        let mut content = Vec::new();
        loop {
            let line = self.line()?;
            let digits = line.iter().all(u8::is_ascii_hexdigit).then_some(line);
            let size = digits.and_then(|digits| usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
            let size = size.ok_or_else(|| Stop::Wrong(format!("chunk size {}", line.escape_ascii())))?;
            content.extend_from_slice(self.exactly(size)?);
            wrong_unless(self.exactly(2)? == b"\r\n", || "a chunk without its end".to_owned())?;
            if size == 0 {
                return Ok(content);
            }
        }
    }
}

type Field<'o> = (&'o [u8], &'o [u8]);

/// RFC 9112 §4: the version this server speaks, three digits, a reason.
fn check_status(line: &[u8], expected: u16) -> Result<(), Stop> {
    let reason = line.strip_prefix(format!("HTTP/1.1 {expected} ").as_bytes());
    let said = reason.is_some_and(|reason| reason.iter().all(|byte| matches!(byte, b' '..=b'~')));
    wrong_unless(said, || format!("status line {}, not of {expected}", line.escape_ascii()))
}

fn field(line: &[u8]) -> Result<Field<'_>, Stop> {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let legal = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    let colon = line.iter().position(|&byte| byte == b':').unwrap_or(0);
    let (name, value) = line.split_at(colon);
    let sound = colon > 0 && name.iter().all(token) && value.starts_with(b": ") && value.iter().all(legal);
    wrong_unless(sound, || format!("field line {}", line.escape_ascii()))?;
    Ok((name, &value[2..]))
}

fn values<'o>(fields: &[Field<'o>], name: &str) -> Vec<&'o [u8]> {
    let named = |field: &&Field<'o>| field.0.eq_ignore_ascii_case(name.as_bytes());
    fields.iter().filter(named).map(|field| field.1).collect()
}

fn once<'o>(fields: &[Field<'o>], name: &str) -> Result<&'o [u8], Stop> {
    match values(fields, name)[..] {
        [value] => Ok(value),
        ref values => Err(Stop::Wrong(format!("{} times {name}", values.len()))),
    }
}

/// Checks the fields that each answer has once, and says whether it is the last.
fn check_connection(fields: &[Field<'_>]) -> Result<bool, Stop> {
    once(fields, "Server")?;
    let date = once(fields, "Date")?;
    // RFC 9110 §5.6.7: an IMF-fixdate has one length.
    wrong_unless(date.len() == 29 && date.ends_with(b" GMT"), || format!("Date {}", date.escape_ascii()))?;
    match once(fields, "Connection")? {
        b"close" => Ok(true),
        b"keep-alive" => Ok(false),
        other => Err(Stop::Wrong(format!("Connection {}", other.escape_ascii()))),
    }
}

/// RFC 9112 §6.3, for a recipient that forgives nothing.
fn delimiter(fields: &[Field<'_>], owed: &Owed, last: bool) -> Result<Delimiter, Stop> {
    let (lengths, codings) = (values(fields, "Content-Length"), values(fields, "Transfer-Encoding"));
    let never = matches!(owed.status, 204 | 304);
    match (&lengths[..], &codings[..]) {
        ([], []) if never => Ok(Delimiter::Never),
        ([length], []) if !never => {
            let digits = length.iter().all(u8::is_ascii_digit).then_some(length);
            let length = digits.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
            length.map(Delimiter::Length).ok_or_else(|| wrong("Content-Length that is no number"))
        }
        ([], [b"chunked"]) if !never && owed.http11 => Ok(Delimiter::Chunked),
        ([], []) if last => Ok(Delimiter::Close),
        _ => {
            let fault = format!("{} lengths, {} codings for {}", lengths.len(), codings.len(), owed.status);
            Err(Stop::Wrong(fault))
        }
    }
}

fn wrong(fault: &str) -> Stop {
    Stop::Wrong(fault.to_owned())
}

fn wrong_unless(right: bool, fault: impl FnOnce() -> String) -> Result<(), Stop> {
    if right { Ok(()) } else { Err(Stop::Wrong(fault())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    const KEEP: &str = "Connection: keep-alive\r\n";
    const CLOSE: &str = "Connection: close\r\n";

    /// Reads one answer that owes `ab`; expects how many are complete and whether one is cut, or a part of the fault.
    fn check_owed(owed: Owed, start: &str, text: &str, expected: Result<(usize, bool), &str>) {
        let output = start.replacen("\r\n", &format!("\r\n{STAMP}"), 1) + text;
        match (read(output.as_bytes(), &[owed], false), expected) {
            (Ok(read), Ok(expected)) => assert_eq!((read.complete.len(), read.cut), expected, "{output}"),
            (Err(fault), Err(expected)) => assert!(fault.contains(expected), "{fault}, not {expected}"),
            (read, _) => panic!("{read:?} instead of {expected:?} for {output}"),
        }
    }

    fn owed(status: u16, content: Content) -> Owed {
        Owed { status, content, last: false, http11: true, interim: false }
    }

    fn check(text: &str, expected: Result<(usize, bool), &str>) {
        check_owed(owed(200, Content::Exactly(b"ab".to_vec())), "HTTP/1.1 200 OK\r\n", text, expected);
    }

    #[test]
    fn what_is_right_is_read() {
        check(&format!("{KEEP}Content-Length: 2\r\n\r\nab"), Ok((1, false)));
        check(&format!("{KEEP}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"), Ok((1, false)));
        check(&format!("{CLOSE}\r\nab"), Ok((1, false)));
        let head = format!("{KEEP}Content-Length: 2\r\n\r\n");
        check_owed(owed(200, Content::Withheld), "HTTP/1.1 200 OK\r\n", &head, Ok((1, false)));
        let empty = format!("{KEEP}\r\n");
        check_owed(owed(204, Content::Any), "HTTP/1.1 204 No Content\r\n", &empty, Ok((1, false)));
    }

    #[test]
    fn what_is_cut_is_noticed() {
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
    fn what_is_wrong_is_named() {
        let length = "Content-Length: 2\r\n";
        for (text, fault) in [
            (format!("{KEEP}{length}\r\nabHTTP/1.1"), "behind the last answer"),
            (format!("{CLOSE}{length}\r\nabHTTP/1.1"), "behind the last answer"),
            (format!("{KEEP}{length}\r\nac"), "instead of ab"),
            (format!("{CLOSE}\r\nabc"), "instead of ab"),
            (format!("{KEEP}{length}\n"), "a bare LF"),
            (format!("{KEEP}{length}X: a\rb\r\n\r\n"), "a bare CR"),
            (format!("{KEEP}{length}X : a\r\n\r\n"), "field line"),
            (format!("{KEEP}{length}X: \0\r\n\r\n"), "field line"),
            (format!("{KEEP}{KEEP}{length}\r\nab"), "2 times Connection"),
            (format!("{length}\r\nab"), "0 times Connection"),
            (format!("{KEEP}{STAMP}{length}\r\nab"), "2 times Server"),
            (format!("{KEEP}\r\nab"), "0 lengths, 0 codings"),
            (format!("{KEEP}{length}{length}\r\nab"), "2 lengths, 0 codings"),
            (format!("{KEEP}{length}Transfer-Encoding: chunked\r\n\r\nab"), "1 lengths, 1 codings"),
            (format!("{KEEP}Content-Length: +2\r\n\r\nab"), "no number"),
            (format!("{KEEP}Transfer-Encoding: chunked\r\n\r\n2;\r\nab\r\n0\r\n\r\n"), "chunk size 2;"),
            (format!("{KEEP}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"), "without its end"),
        ] {
            check(&text, Err(fault));
        }
        let empty = format!("{KEEP}Content-Length: 0\r\n\r\n");
        check_owed(owed(304, Content::Any), "HTTP/1.1 304 N\r\n", &empty, Err("1 lengths"));
        check_owed(owed(405, Content::Any), "HTTP/1.1 405 M\r\n", &empty, Err("0 times Allow"));
        check_owed(owed(200, Content::Any), "HTTP/1.1 201 C\r\n", &empty, Err("not of 200"));
        let last = Owed { last: true, ..owed(200, Content::Any) };
        check_owed(last, "HTTP/1.1 200 OK\r\n", &empty, Err("not the last"));
    }
}
