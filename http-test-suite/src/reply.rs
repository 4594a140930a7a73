//! The strict reader of replies. It rejects every reply that a lenient reader would have to guess about.
//!
//! It checks syntax and framing. [`always`](crate::always) checks what every well-formed reply must say.

use crate::escape;

/// The longest head that the reader accepts, in bytes.
const HEAD_MAX: usize = 64 * 1024;

/// What the framing of a reply depends on in its request (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The method was HEAD: no content follows, whatever the fields say.
    pub head: bool,
    /// The request was HTTP/1.0.
    pub http10: bool,
}

/// One reply, interim or final.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The digits of `HTTP/1.1`.
    pub version: (u8, u8),
    /// The status code, 100 to 999.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason: String,
    /// Names and values in order; values without surrounding whitespace, bytes beyond ASCII as Latin-1.
    pub fields: Vec<(String, String)>,
    /// The content, with any chunked coding removed.
    pub body: Vec<u8>,
    /// How the content was delimited.
    pub framing: Framing,
    /// The trailer fields behind the last chunk.
    pub trailers: Vec<(String, String)>,
    /// The interim replies (1xx) before this reply; [`exchange`](crate::exchange) sets them.
    pub interim: Vec<Reply>,
    /// What the reply answers.
    pub asked: Asked,
}

/// How content was delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There can be no content: HEAD, 1xx, 204, 304.
    None,
    /// Content-Length.
    Length,
    /// Transfer-Encoding: chunked.
    Chunked,
    /// The end of the connection.
    UntilClose,
}

impl Reply {
    /// The first value of field `name`, in any case of letters.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Every value of field `name`, line by line.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether the comma-separated list in field `name` has `member`, in any case of letters.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(member))
    }

    /// A short description for messages: `status 404 Not Found`.
    pub fn describe(&self) -> String {
        format!("status {} {}", self.status, self.reason).trim_end().to_owned()
    }
}

/// Reads the reply at the start of `input`, and returns it with its length in bytes. Returns `None` if the reply is not
/// complete; if the connection has `ended`, that is an error.
///
/// # Errors
///
/// Describes what is wrong with the bytes, as soon as the bytes show it.
pub fn read(input: &[u8], asked: Asked, ended: bool) -> Result<Option<(Reply, usize)>, String> {
    let Some(head_len) = head_end(input)? else {
        return if ended { Err("the connection ended inside the head of a reply".into()) } else { Ok(None) };
    };
    let mut reply = head(&input[..head_len], asked)?;
    let content = &input[head_len..];
    let body = match framing(&reply)? {
        (Framing::None, _) => Some((Vec::new(), 0)),
        (Framing::Length, length) => content.get(..length).map(|body| (body.to_vec(), length)),
        (Framing::Chunked, _) => chunked(content, &mut reply.trailers)?,
        (Framing::UntilClose, _) => ended.then(|| (content.to_vec(), content.len())),
    };
    match body {
        Some((body, length)) => {
            reply.framing = framing(&reply)?.0;
            reply.body = body;
            Ok(Some((reply, head_len + length)))
        }
        None if ended => {
            Err(format!("the connection ended inside the content of a reply, after {} bytes", content.len()))
        }
        None => Ok(None),
    }
}

/// The length of the head, including the empty line that ends it; `None` if the head is not complete.
fn head_end(input: &[u8]) -> Result<Option<usize>, String> {
    let start = &input[..input.len().min(7)];
    if !b"HTTP/1.".starts_with(start) {
        return Err(format!("these bytes are not the start of a reply: {}", escape::line(input, 60)));
    }
    for (at, &byte) in input.iter().enumerate() {
        match byte {
            b'\n' if !input[..at].ends_with(b"\r") => return Err("a bare LF in the head of a reply".into()),
            b'\n' if input[..at].ends_with(b"\r\n\r") => return Ok(Some(at + 1)),
            b'\r' if input.get(at + 1).is_some_and(|&next| next != b'\n') => {
                return Err("a bare CR in the head of a reply".into());
            }
            _ if at >= HEAD_MAX => return Err(format!("a reply's head of more than {HEAD_MAX} bytes")),
            _ => {}
        }
    }
    Ok(None)
}

/// Parses a head. `head` must end with an empty line and have no bare CR or LF.
fn head(head: &[u8], asked: Asked) -> Result<Reply, String> {
    // Latin-1: each byte is one character.
    let text: String = head.iter().map(|&byte| char::from(byte)).collect();
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let (version, status, reason) = status_line(lines.next().unwrap_or_default())?;
    let fields = lines.map(field_line).collect::<Result<_, _>>()?;
    let (body, trailers, interim) = (Vec::new(), Vec::new(), Vec::new());
    Ok(Reply { version, status, reason, fields, body, framing: Framing::None, trailers, interim, asked })
}

/// RFC 9112 §4: `HTTP/1.1 SP 3DIGIT SP [reason]`; the second SP is required.
fn status_line(line: &str) -> Result<((u8, u8), u16, String), String> {
    let wrong = |what: &str| format!("{what} in the status line {line:?} (RFC 9112 §4)");
    let mut parts = line.splitn(3, ' ');
    let minor = match parts.next().unwrap_or_default() {
        "HTTP/1.0" => 0,
        "HTTP/1.1" => 1,
        _ => return Err(wrong("no version HTTP/1.0 or HTTP/1.1")),
    };
    let code = parts.next().unwrap_or_default();
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_digit()) || code.starts_with('0') {
        return Err(wrong("no status code of three digits"));
    }
    let reason = parts.next().ok_or_else(|| wrong("no space behind the status code"))?;
    if !reason.chars().all(is_text) {
        return Err(wrong("a control character"));
    }
    Ok(((1, minor), code.parse().map_err(|_| wrong("no status code"))?, reason.to_owned()))
}

/// RFC 9112 §5: a token, a colon right behind it, a value with optional whitespace around it.
fn field_line(line: &str) -> Result<(String, String), String> {
    let wrong = |what: &str| format!("{what} in the field line {line:?} (RFC 9112 §5)");
    if line.starts_with([' ', '\t']) {
        return Err(wrong("a folded line"));
    }
    let (name, value) = line.split_once(':').ok_or_else(|| wrong("no colon"))?;
    if name.is_empty() || !name.chars().all(is_token) {
        return Err(wrong("a name that is not a token"));
    }
    if !value.chars().all(is_text) {
        return Err(wrong("a control character"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// RFC 9112 §6.3. Rejects every reply that two readers could delimit differently.
fn framing(reply: &Reply) -> Result<(Framing, usize), String> {
    let lengths: Vec<_> = reply.values("Content-Length").collect();
    let codings: Vec<_> = reply.values("Transfer-Encoding").collect();
    if lengths.len() > 1 {
        return Err("two Content-Length fields in a reply (RFC 9112 §6.3)".into());
    }
    if !lengths.is_empty() && !codings.is_empty() {
        return Err("Content-Length and Transfer-Encoding in one reply (RFC 9112 §6.2)".into());
    }
    let length = lengths.first().map(|value| content_length(value)).transpose()?;
    if reply.asked.head || matches!(reply.status, 100..=199 | 204 | 304) {
        return Ok((Framing::None, 0));
    }
    // No case sends TE, so no coding but chunked may be used (RFC 9110 §10.1.4).
    match codings.as_slice() {
        [] => {}
        [coding] if coding.eq_ignore_ascii_case("chunked") => return Ok((Framing::Chunked, 0)),
        _ => return Err(format!("a transfer coding that was not asked for: {codings:?} (RFC 9112 §7)")),
    }
    Ok(length.map_or((Framing::UntilClose, 0), |length| (Framing::Length, length)))
}

fn content_length(value: &str) -> Result<usize, String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let length = if digits { value.parse().ok() } else { None };
    length.ok_or_else(|| format!("a Content-Length that is not a number: {value:?} (RFC 9110 §8.6)"))
}

/// RFC 9112 §7.1. Returns `None` until the last chunk and the trailer section have arrived.
fn chunked(input: &[u8], trailers: &mut Vec<(String, String)>) -> Result<Option<(Vec<u8>, usize)>, String> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(size_line) = crlf_line(&input[at..])? else { return Ok(None) };
        at += size_line.len() + 2;
        match chunk_size(size_line)? {
            0 => break,
            size => {
                let Some(chunk) = input[at..].get(..size + 2) else { return Ok(None) };
                let (data, end) = chunk.split_at(size);
                if end != b"\r\n" {
                    return Err("no CRLF behind a chunk (RFC 9112 §7.1)".into());
                }
                body.extend(data);
                at += size + 2;
            }
        }
    }
    loop {
        let Some(line) = crlf_line(&input[at..])? else { return Ok(None) };
        at += line.len() + 2;
        if line.is_empty() {
            return Ok(Some((body, at)));
        }
        trailers.push(field_line(&line.iter().map(|&byte| char::from(byte)).collect::<String>())?);
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, String> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
    let size =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    // At most seven digits: more than any fixture needs, and no overflow.
    let size =
        size.filter(|digits| digits.len() <= 7).and_then(|digits| usize::from_str_radix(digits, 16).ok());
    size.ok_or_else(|| {
        format!("a chunk size that is not a number: {:?} (RFC 9112 §7.1)", escape::line(line, 40))
    })
}

/// The line at the start of `input`, without its CRLF.
fn crlf_line(input: &[u8]) -> Result<Option<&[u8]>, String> {
    let Some(at) = input.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    let line = input[..at].strip_suffix(b"\r").ok_or("a bare LF in chunked content (RFC 9112 §7.1)")?;
    Ok(Some(line))
}

/// tchar, RFC 9110 §5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// HTAB, SP, VCHAR, obs-text.
fn is_text(c: char) -> bool {
    c == '\t' || (c >= ' ' && c != '\x7f')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Asked = Asked { head: false, http10: false };
    const HEAD: Asked = Asked { head: true, http10: false };

    /// Reads one reply from `input`, and checks that every shorter prefix is incomplete.
    fn check(input: &str, asked: Asked, expected: Result<Option<&str>, &str>) {
        match (read(input.as_bytes(), asked, false), expected) {
            (Ok(Some((reply, length))), Ok(Some(body))) => {
                assert_eq!(reply.body, body.as_bytes(), "{input:?}");
                assert_eq!(length, input.len(), "{input:?}");
                // A complete reply is read; a reply cut anywhere is incomplete.
                for cut in 0..input.len() {
                    assert!(
                        matches!(read(&input.as_bytes()[..cut], asked, false), Ok(None)),
                        "{cut} of {input:?}"
                    );
                    assert!(
                        cut == 0 || read(&input.as_bytes()[..cut], asked, true).is_err(),
                        "{cut} of {input:?}"
                    );
                }
            }
            (Ok(None), Ok(None)) => {}
            (Err(why), Err(expected)) => {
                assert!(why.contains(expected), "{why}, not {expected}, for {input:?}");
            }
            (actual, expected) => panic!("{actual:?}, not {expected:?}, for {input:?}"),
        }
    }

    #[test]
    fn reads_well_formed_replies() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", GET, Ok(Some("abc")));
        check("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", GET, Ok(Some("")));
        check("HTTP/1.0 304 Not Modified\r\nContent-Length: 3\r\n\r\n", GET, Ok(Some("")));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HEAD, Ok(Some("")));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n00\r\nT: u\r\n\r\n",
            GET,
            Ok(Some("abc0123456789")),
        );
    }

    #[test]
    fn reads_content_until_the_connection_closes() {
        let input = b"HTTP/1.1 200 OK\r\n\r\nabc";
        assert!(matches!(read(input, GET, false), Ok(None)));
        let (reply, length) = read(input, GET, true).unwrap().unwrap();
        assert_eq!((reply.body.as_slice(), length, reply.framing), (&b"abc"[..], 22, Framing::UntilClose));
    }

    #[test]
    fn rejects_a_broken_head() {
        check("hello", GET, Err("not the start of a reply"));
        check("HTTP/2", GET, Err("not the start of a reply"));
        check("HTTP/1.1 200 OK\n", GET, Err("bare LF"));
        check("HTTP/1.1 200 OK\rX", GET, Err("bare CR"));
        check("HTTP/1.1 200\r\n\r\n", GET, Err("no space behind"));
        check("HTTP/1.1  200 OK\r\n\r\n", GET, Err("three digits"));
        check("HTTP/1.1 20 OK\r\n\r\n", GET, Err("three digits"));
        check("HTTP/1.1 200 O\x01K\r\n\r\n", GET, Err("control"));
        check("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", GET, Err("folded"));
        check("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", GET, Err("not a token"));
        check("HTTP/1.1 200 OK\r\n: b\r\n\r\n", GET, Err("not a token"));
        check("HTTP/1.1 200 OK\r\nA\r\n\r\n", GET, Err("no colon"));
        check("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", GET, Err("control"));
    }

    #[test]
    fn rejects_framing_with_two_meanings() {
        let with = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
        check(&with("Content-Length: 1\r\nContent-Length: 1", "a"), GET, Err("two Content-Length"));
        check(&with("Content-Length: 1\r\nTransfer-Encoding: chunked", "a"), GET, Err("one reply"));
        check(&with("Content-Length: 1, 1", "a"), GET, Err("not a number"));
        check(&with("Content-Length: +1", "a"), HEAD, Err("not a number"));
        check(&with("Transfer-Encoding: gzip, chunked", ""), GET, Err("not asked for"));
    }

    #[test]
    fn rejects_broken_chunks() {
        let with = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        check(&with("x\r\n"), GET, Err("chunk size"));
        check(&with("\r\n"), GET, Err("chunk size"));
        check(&with("3 \r\n"), GET, Err("chunk size"));
        check(&with("3\nabc"), GET, Err("bare LF"));
        check(&with("3\r\nabcd\r\n"), GET, Err("behind a chunk"));
        check(&with("FFFFFFFF\r\n"), GET, Err("chunk size"));
    }

    #[test]
    fn finds_fields_in_any_case() {
        let (reply, _) = read(
            b"HTTP/1.1 405 No\r\nallow: GET,  head\r\nALLOW: PUT\r\nContent-Length: 0\r\n\r\n",
            GET,
            false,
        )
        .unwrap()
        .unwrap();
        assert_eq!(reply.field("Allow"), Some("GET,  head"));
        assert!(reply.lists("Allow", "HEAD") && reply.lists("Allow", "put") && !reply.lists("Allow", "POST"));
        assert_eq!(reply.describe(), "status 405 No");
    }
}
