//! An oracle: which requests the bytes of a client contain, by a strict reading of RFC 9112. Imports nothing.
//!
//! Each function gets all bytes at once. It returns `None` if no complete, well-formed element is at their front,
//! whether malformed or incomplete. There are no limits, and no rules about Host or the form of the target.

/// A request head.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'m> {
    /// The method.
    pub method: &'m [u8],
    /// The target.
    pub target: &'m [u8],
    /// The digit of the minor version.
    pub minor: u8,
    /// Names, and values without the white space around them.
    pub headers: Vec<(&'m [u8], &'m [u8])>,
    /// The length in bytes, with the empty lines before and the one after.
    pub len: usize,
}

/// A body in the chunked coding.
#[derive(Debug, PartialEq, Eq)]
pub struct Dechunked {
    /// The decoded body.
    pub body: Vec<u8>,
    /// The number of bytes of extensions and trailers.
    pub overhead: usize,
    /// The length of the coded body.
    pub len: usize,
}

/// Returns the head at the front (RFC 9112 §2.2, §3, §5). Up to four empty lines may come before it.
pub fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let mut empty_lines = 0;
    let mut text = bytes;
    while let Some(rest) = text.strip_prefix(b"\r\n")
        && empty_lines < 4
    {
        empty_lines += 1;
        text = rest;
    }
    let end = find(text, b"\r\n\r\n")?;
    let len = empty_lines * 2 + end + 4;
    let mut lines = Lines(&text[..end + 2]);

    let mut words = lines.next()??.split(|&byte| byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let minor = match version.strip_prefix(b"HTTP/1.")? {
        [digit @ b'0'..=b'9'] => *digit,
        _ => return None,
    };
    // RFC 9112 §3.2: a target has no fragment.
    let is_target = !target.is_empty() && target.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#');
    if words.next().is_some() || !is_token(method) || !is_target {
        return None;
    }
    let headers = lines.map(|line| header(line?)).collect::<Option<_>>()?;
    Some(Head { method, target, minor, headers, len })
}

/// Splits a header line into its name, and its value without the white space around it.
pub(crate) fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    (is_token(name) && is_header_value(value)).then(|| (name, trim(value)))
}

impl Head<'_> {
    /// Returns the values of all headers with this name.
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers
            .iter()
            .filter(move |header| header.0.eq_ignore_ascii_case(name.as_bytes()))
            .map(|header| header.1)
    }

    /// Returns the elements of all lists with this name.
    fn elements(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.values(name).flat_map(elements)
    }

    /// Returns the body after this head, and its length with the chunk framing (RFC 9112 §6.3).
    pub fn body(&self, rest: &[u8]) -> Option<(Vec<u8>, usize)> {
        let lengths: Vec<_> = self.values("Content-Length").map(number).collect::<Option<_>>()?;
        let codings: Vec<_> = self.elements("Transfer-Encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => Some((Vec::new(), 0)),
            ([length], []) => Some((rest.get(..*length)?.to_vec(), *length)),
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && self.minor > b'0' => {
                dechunk(rest).map(|coded| (coded.body, coded.len))
            }
            _ => None,
        }
    }

    /// Returns whether the response must close the connection (RFC 9112 §9.3; nothing may follow CONNECT).
    pub fn is_last(&self) -> bool {
        let has = |option: &[u8]| self.elements("Connection").any(|sent| sent.eq_ignore_ascii_case(option));
        has(b"close") || self.method == b"CONNECT" || self.minor == b'0' && !has(b"keep-alive")
    }

    /// Returns whether the client offers to continue with this protocol (RFC 9110 §7.8). At most eight names of 64
    /// bytes count. Nothing may follow CONNECT.
    pub fn offers(&self, protocol: &[u8]) -> bool {
        let asks = self.elements("Connection").any(|option| option.eq_ignore_ascii_case(b"upgrade"));
        let mut names = self.elements("Upgrade").filter(|name| (1..=64).contains(&name.len())).take(8);
        let may_switch = asks && self.minor > b'0' && self.method != b"CONNECT";
        may_switch && names.any(|name| name.eq_ignore_ascii_case(protocol))
    }

    /// Returns whether content follows.
    pub fn has_content(&self) -> bool {
        self.body(b"").is_none()
    }

    /// Returns whether the client may wait for an interim response (RFC 9110 §10.1.1).
    pub fn expects_interim(&self) -> bool {
        let expects = self.values("Expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"));
        expects && self.minor > b'0'
    }
}

/// Decodes the chunked body at the front (RFC 9112 §7.1).
pub fn dechunk(coded: &[u8]) -> Option<Dechunked> {
    let mut lines = Lines(coded);
    let (mut body, mut overhead) = (Vec::new(), 0);
    loop {
        let line = lines.next()??;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extensions) = line.split_at(digits);
        if !(1..=16).contains(&digits) || !are_extensions(extensions) {
            return None;
        }
        overhead += extensions.len();
        let size = usize::from_str_radix(str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let (data, rest) = lines.0.split_at_checked(size)?;
        body.extend_from_slice(data);
        lines = Lines(rest.strip_prefix(b"\r\n")?);
    }
    loop {
        let line = lines.next()??;
        if line.is_empty() {
            return Some(Dechunked { body, overhead, len: coded.len() - lines.0.len() });
        }
        header(line)?;
        overhead += line.len();
    }
}

/// RFC 9112 §7.1.1: `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
fn are_extensions(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some(name) = trim_start(text).strip_prefix(b";").map(trim_start) else { return false };
        let Some(rest) = after_token(name) else { return false };
        text = match trim_start(rest).strip_prefix(b"=").map(trim_start) {
            None => rest,
            Some(value) => match after_token(value).or_else(|| after_quoted_string(value)) {
                Some(rest) => rest,
                None => return false,
            },
        };
    }
    true
}

fn after_token(text: &[u8]) -> Option<&[u8]> {
    let len = token_len(text);
    (len > 0).then(|| &text[len..])
}

/// RFC 9110 §5.6.4.
fn after_quoted_string(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] if is_header_value(&[*byte]) => rest,
            _ => return None,
        };
    }
}

/// Lines up to their CRLF. `Some(None)` is a line with another CR or LF.
pub(crate) struct Lines<'b>(pub(crate) &'b [u8]);

impl<'b> Iterator for Lines<'b> {
    type Item = Option<&'b [u8]>;

    fn next(&mut self) -> Option<Option<&'b [u8]>> {
        let end = find(self.0, b"\r\n")?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 2..];
        Some((!line.contains(&b'\r') && !line.contains(&b'\n')).then_some(line))
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Returns the elements of a list, without the white space around them.
pub(crate) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim)
}

pub(crate) fn number(digits: &[u8]) -> Option<usize> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| str::from_utf8(digits).ok()?.parse().ok())?
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && token_len(text) == text.len()
}

fn token_len(text: &[u8]) -> usize {
    let legal = |byte: &&u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    text.iter().take_while(legal).count()
}

fn is_header_value(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn trim_start(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_heads() {
        let good = b"\r\nGET /a HTTP/1.1\r\nA:b\r\nC: \td e \r\n\r\nrest";
        let headers = vec![(&b"A"[..], &b"b"[..]), (b"C", b"d e")];
        let expected = Head { method: b"GET", target: b"/a", minor: b'1', headers, len: good.len() - 4 };
        assert_eq!(head(good), Some(expected));
        for bad in [
            "GET /a HTTP/1.1\r\n",
            "GET  /a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1 \r\n\r\n",
            "GET /a HTTP/2.0\r\n\r\n",
            "GET /a\r\n\r\n",
            " GET /a HTTP/1.1\r\n\r\n",
            "GET /\x7f HTTP/1.1\r\n\r\n",
            "GET /a#b HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1\nA: b\r\n\r\n",
            "GET /a HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "GET /a HTTP/1.1\r\nA : b\r\n\r\n",
            "GET /a HTTP/1.1\r\n A: b\r\n\r\n",
            "GET /a HTTP/1.1\r\nA: \0\r\n\r\n",
            "GET /a HTTP/1.1\r\n\r\r\n\r\n",
            "\r\n\r\n\r\n\r\n\r\nGET /a HTTP/1.1\r\n\r\n",
            "\nGET /a HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(head(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn decodes_chunks() {
        let good = b"3;e;f = \"\\\";\" ;g=h\r\nabc\r\n0\r\nT: u\r\n\r\nrest";
        let expected = Dechunked { body: b"abc".to_vec(), overhead: 21, len: good.len() - 4 };
        assert_eq!(dechunk(good), Some(expected));
        for bad in [
            "",
            "0\r\n",
            "\r\n\r\n",
            "3\r\nab\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            "+0\r\n\r\n",
            "0\n\r\n",
            "0;\n\r\n\r\n",
            "0;\r\n\r\n",
            "0;a \r\n\r\n",
            "0;a=\r\n\r\n",
            "0;a b\r\n\r\n",
            "0;a=b\"c\"\r\n\r\n",
            "0;a=\"b\r\n\r\n",
            "0;a=\"b\\\"\r\n\r\n",
            "0\r\nT\r\n\r\n",
            "0\r\n T: u\r\n\r\n",
            "00000000000000000\r\n\r\n",
            "0x0\r\n\r\n",
        ] {
            assert_eq!(dechunk(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn delimits_bodies() {
        let check = |headers: &str, expected: Option<&[u8]>| {
            let text = format!("POST / HTTP/1.1\r\n{headers}\r\n0\r\n\r\n");
            let head = head(text.as_bytes()).unwrap();
            let body = head.body(&text.as_bytes()[head.len..]);
            assert_eq!(body.as_ref().map(|(body, _)| &body[..]), expected, "{headers}");
        };
        check("", Some(b""));
        check("Content-Length: 1\r\n", Some(b"0"));
        check("content-length: 01\r\n", Some(b"0"));
        check("Transfer-Encoding: Chunked\r\n", Some(b""));
        check("Transfer-Encoding: , chunked\r\n", None);
        check("Transfer-Encoding: ,\r\n", None);
        check("Content-Length: 6\r\n", None);
        check("Content-Length: +1\r\n", None);
        check("Content-Length: 1, 1\r\n", None);
        check("Content-Length: 1\r\nContent-Length: 1\r\n", None);
        check("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", None);
        check("Transfer-Encoding: gzip, chunked\r\n", None);
        check("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", None);
    }

    #[test]
    fn detects_last_requests() {
        let check = |line: &str, headers: &str, expected: bool| {
            let text = format!("{line}\r\n{headers}\r\n");
            assert_eq!(head(text.as_bytes()).unwrap().is_last(), expected, "{text}");
        };
        check("GET / HTTP/1.1", "", false);
        check("GET / HTTP/1.1", "Connection: te, CLOSE\r\n", true);
        check("GET / HTTP/1.0", "", true);
        check("GET / HTTP/1.0", "Connection: keep-alive\r\n", false);
        check("CONNECT a:1 HTTP/1.1", "", true);
    }

    #[test]
    fn finds_offers() {
        let check = |line: &str, headers: &str, expected: bool| {
            let text = format!("{line}\r\n{headers}\r\n");
            assert_eq!(head(text.as_bytes()).unwrap().offers(b"chat"), expected, "{text}");
        };
        let get = "GET / HTTP/1.1";
        let asks = "Connection: te, Upgrade\r\nUpgrade: x,, CHAT\r\n";
        check(get, asks, true);
        check(get, &asks.replace("x", "x, x, x, x, x, x, x"), true);
        check(get, &asks.replace("x", "x, x, x, x, x, x, x, x"), false);
        check(get, &asks.replace("Upgrade: x", "Upgrade: y"), true);
        check(get, &asks.replace("CHAT", "chat/2"), false);
        check(get, &asks.replace("te, Upgrade", "te"), false);
        check("GET / HTTP/1.0", asks, false);
        check("CONNECT a:1 HTTP/1.1", asks, false);
    }
}
