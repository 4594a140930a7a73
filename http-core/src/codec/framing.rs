//! Every rule that looks at more than one field: target form and Host, the body's length, keep-alive, Expect.
//!
//! Judged once, before any routing, so that no handler's answer can hide a request that two parties might
//! delimit differently (RFC 9112 §3.2, §6, §9.3; RFC 9110 §10.1.1).

pub use super::delimiting::BodyLength;

use super::{delimiting::Delimiting, head::HeadIndex, span::Span};
use crate::types::{chars, error::ParseError, method::Method, version::Version};

/// What a head says about the message and the connection it came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// The method.
    pub method: Method,
    /// The version the peer speaks.
    pub version: Version,
    /// The content's length.
    pub body: BodyLength,
    /// Whether the peer would keep the connection after this exchange (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the peer waits for 100 before it sends the content.
    pub expect_continue: bool,
    /// Whether any precondition or Range field is there, so that others need not look.
    pub conditional: bool,
    /// Host and port: the target's authority if it has one, else Host's; absent only in HTTP/1.0.
    pub(crate) authority: Option<Span>,
    /// The target's path; empty if it has none.
    pub(crate) path: Span,
    /// The target's query, without its `?`.
    pub(crate) query: Option<Span>,
}

/// Judges a complete head.
///
/// # Errors
///
/// The fault that makes the request ambiguous or impossible to serve.
pub fn judge(index: &HeadIndex, bytes: &[u8]) -> Result<Framing, ParseError> {
    let method = index.method_in(bytes);
    let version = index.version_spoken();
    let fields = collect(index, bytes)?;
    let (target_authority, origin) = target_form(method, index.target, bytes)?;
    let (path, query) = split_query(origin, bytes);
    let host = match fields.host {
        None if version == Version::Http11 => return Err(ParseError::HostMissing),
        Some(host) if !is_authority(host.of(bytes)) => return Err(ParseError::Host),
        host => host,
    };
    if fields.unknown_expectation {
        return Err(ParseError::Expectation);
    }
    Ok(Framing {
        method,
        version,
        body: fields.delimiting.body_length(version)?.unwrap_or(BodyLength::Exact(0)),
        // After CONNECT the peer may take whatever follows for a tunnel, so nothing may follow.
        keep_alive: fields.delimiting.keeps_alive(version) && method != Method::Connect,
        // RFC 9110 §10.1.1: an HTTP/1.0 client cannot be waiting for an interim response.
        expect_continue: fields.expect_continue && version == Version::Http11,
        conditional: fields.conditional,
        // RFC 9112 §3.2.2: the absolute form's authority wins over Host.
        authority: target_authority.or(host),
        path,
        query,
    })
}

/// What the fields that bear on framing say, collected in one pass.
#[derive(Default)]
struct Collected {
    delimiting: Delimiting,
    host: Option<Span>,
    expect_continue: bool,
    unknown_expectation: bool,
    conditional: bool,
}

fn collect(index: &HeadIndex, bytes: &[u8]) -> Result<Collected, ParseError> {
    let mut collected = Collected::default();
    for field in index.field_spans() {
        let name = field.name.of(bytes);
        let value = field.value.of(bytes);
        // Names are told apart by their length first: most fields are none of ours.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"Host") => match collected.host.replace(field.value) {
                None => {}
                Some(_) => return Err(ParseError::Host),
            },
            5 => collected.conditional |= name.eq_ignore_ascii_case(b"Range"),
            6 if name.eq_ignore_ascii_case(b"Expect") => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                collected.expect_continue |= known;
                collected.unknown_expectation |= !known;
            }
            _ => collected.delimiting.field(name, value)?,
        }
        collected.conditional |= matches!(name, [b'I' | b'i', b'F' | b'f', b'-', ..]);
    }
    Ok(collected)
}

const HTTP: &[u8] = b"http://";

/// The target's authority, if it has one, and its origin-form part (RFC 9112 §3.2).
fn target_form(method: Method, target: Span, bytes: &[u8]) -> Result<(Option<Span>, Span), ParseError> {
    let text = target.of(bytes);
    match (method, text) {
        (Method::Connect, _) => {
            let named_port =
                text.iter().rposition(|&byte| byte == b':').is_some_and(|colon| colon + 1 < text.len());
            let fits = named_port && is_authority(text);
            if fits { Ok((Some(target), target.split_at(0).0)) } else { Err(ParseError::Target) }
        }
        (_, [b'/', ..]) => Ok((None, target)),
        (Method::Options, b"*") => Ok((None, target)),
        _ => {
            let begins =
                |scheme: &[u8]| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme));
            if begins(b"https://") {
                // RFC 9110 §7.4: such a resource is served over a secured connection only.
                return Err(ParseError::Misdirected);
            }
            if !begins(HTTP) {
                return Err(ParseError::Target);
            }
            let rest = &text[HTTP.len()..];
            let length = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
            if !is_authority(&rest[..length]) {
                return Err(ParseError::Target);
            }
            let (authority, origin) = target.split_at(HTTP.len()).1.split_at(length);
            Ok((Some(authority), origin))
        }
    }
}

/// Path and query of the origin form (RFC 9112 §3.2.1).
fn split_query(origin: Span, bytes: &[u8]) -> (Span, Option<Span>) {
    match origin.of(bytes).iter().position(|&byte| byte == b'?') {
        Some(length) => {
            let (path, query) = origin.split_at(length);
            (path, Some(query.split_at(1).1))
        }
        None => (origin, None),
    }
}

/// Whether `text` is a non-empty host with an optional port, and no userinfo (RFC 9110 §4.2, RFC 3986 §3.2.2).
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let (host, port) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else { return false };
            let literal = &rest[..end];
            let is_address = !literal.is_empty()
                && literal.iter().all(|&byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
            (is_address, &rest[end + 1..])
        }
        _ => {
            let (name, port) = text.split_at(host_end(text));
            (!name.is_empty(), port)
        }
    };
    host && match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Where a registered name or an IPv4 address ends; its escapes must be whole (RFC 3986 §2.1, §3.2.2).
fn host_end(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at = chars::host_end(text, at);
        match text[at..] {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => at += 3,
            _ => return at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::limits::Limits;

    fn framing(head: &str) -> Result<Framing, ParseError> {
        let mut index = HeadIndex::default();
        index.parse(head.as_bytes(), &Limits::default()).expect("a well-formed head");
        judge(&index, head.as_bytes())
    }

    /// Judges a POST with these field lines, Host among them.
    fn check(fields: &str, expected: Result<BodyLength, ParseError>) {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        assert_eq!(framing(&head).map(|framing| framing.body), expected, "{fields}");
    }

    #[test]
    fn content_length() {
        check("", Ok(BodyLength::Exact(0)));
        check("Content-Length: 5\r\n", Ok(BodyLength::Exact(5)));
        check("content-LENGTH: 005\r\n", Ok(BodyLength::Exact(5)));
        check("Content-Length: 5\r\nContent-Length: 5\r\n", Ok(BodyLength::Exact(5)));
        check("Content-Length: 99999999999999999999999\r\n", Ok(BodyLength::Exact(u64::MAX)));
        for value in ["", "+5", "-5", "5, 5", "5,6", "0x5", "5 5", "5;", "five", "\u{665}"] {
            check(&format!("Content-Length: {value}\r\n"), Err(ParseError::ContentLength));
        }
        check("Content-Length: 5\r\nContent-Length: 6\r\n", Err(ParseError::ContentLength));
    }

    #[test]
    fn transfer_encoding() {
        check("Transfer-Encoding: chunked\r\n", Ok(BodyLength::Chunked));
        check("Transfer-Encoding: CHUNKED\r\n", Ok(BodyLength::Chunked));
        check("Transfer-Encoding: gzip, chunked\r\n", Err(ParseError::CodingUnknown));
        check("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Err(ParseError::CodingUnknown));
        check("Transfer-Encoding: , chunked ,\r\n", Ok(BodyLength::Chunked));
        for value in ["", ",", "gzip", "identity", "chunked, gzip", "chunked, chunked", "xchunked"] {
            check(&format!("Transfer-Encoding: {value}\r\n"), Err(ParseError::TransferEncoding));
        }
        for value in ["chunked;q=1", "\"chunked\"", "chunked chunked", "chun\u{212a}ed"] {
            check(&format!("Transfer-Encoding: {value}\r\n"), Err(ParseError::TransferEncoding));
        }
        check("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(ParseError::BothLengths));
        check("Content-Length: 0\r\nTransfer-Encoding: x\r\n", Err(ParseError::BothLengths));
        check("Content-Length: 5\r\nTransfer-Encoding:\r\n", Err(ParseError::BothLengths));
        let old = framing("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(old, Err(ParseError::TransferEncoding));
    }

    #[test]
    fn host() {
        let with = |fields: &str| framing(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).map(|_| ());
        for host in ["x", "x:80", "x:", "a.b-c_d", "127.0.0.1:8080", "[::1]", "[::1]:80", "%41"] {
            assert_eq!(with(&format!("Host: {host}\r\n")), Ok(()), "{host}");
        }
        for host in [
            "", "a b", "a@b", "a/b", "x:y", "x:123456", "[::1", "[]", "[::g]", ":80", "a,b", "a?b", "\u{e9}",
            "%zz", "a%4",
        ] {
            assert_eq!(with(&format!("Host: {host}\r\n")), Err(ParseError::Host), "{host}");
        }
        assert_eq!(with(""), Err(ParseError::HostMissing));
        assert_eq!(with("Host: x\r\nhost: x\r\n"), Err(ParseError::Host));
        assert_eq!(framing("GET / HTTP/1.0\r\n\r\n").map(|framing| framing.authority), Ok(None));
    }

    #[test]
    fn target_forms() {
        let check = |method: &str, target: &str, expected: Option<(&str, &str, &str)>| {
            let head = format!("{method} {target} HTTP/1.1\r\nHost: host\r\n\r\n");
            let outcome = framing(&head).ok().map(|framing| {
                let text = |span: Span| std::str::from_utf8(span.of(head.as_bytes())).expect("ASCII");
                let query = framing.query.map_or("", text);
                (text(framing.authority.expect("a host")), text(framing.path), query)
            });
            assert_eq!(outcome, expected, "{method} {target}");
        };
        check("GET", "/a?b", Some(("host", "/a", "b")));
        check("GET", "/a?b?c", Some(("host", "/a", "b?c")));
        check("GET", "/?", Some(("host", "/", "")));
        check("GET", "//a", Some(("host", "//a", "")));
        check("GET", "http://other:81/a?b", Some(("other:81", "/a", "b")));
        check("GET", "HTTP://other", Some(("other", "", "")));
        check("GET", "http://other?b", Some(("other", "", "b")));
        check("OPTIONS", "*", Some(("host", "*", "")));
        check("CONNECT", "other:443", Some(("other:443", "", "")));
        for target in ["*", "a", "ftp://x/", "http:///a", "http://u@x/", "http:/x", "other:443", "?a"] {
            check("GET", target, None);
        }
        let secured = framing("GET HTTPS://other/ HTTP/1.1\r\nHost: other\r\n\r\n");
        assert_eq!(secured, Err(ParseError::Misdirected));
        for target in ["/", "other", "other:", "http://x/", "*", "u@x:443"] {
            check("CONNECT", target, None);
        }
    }

    #[test]
    fn keep_alive() {
        let check = |version: &str, connection: &str, expected: bool| {
            let head = format!("GET / HTTP/{version}\r\nHost: x\r\nConnection: {connection}\r\n\r\n");
            assert_eq!(
                framing(&head).map(|framing| framing.keep_alive),
                Ok(expected),
                "{version} {connection}"
            );
        };
        check("1.1", "", true);
        check("1.1", "close", false);
        check("1.1", "te, CLOSE", false);
        check("1.1", "keep-alive, close", false);
        check("1.1", "closed", true);
        check("1.7", "", true);
        check("1.0", "", false);
        check("1.0", "Keep-Alive", true);
        check("1.0", "keep-alive, close", false);
    }

    #[test]
    fn expectations() {
        let check = |version: &str, expect: &str, expected: Result<bool, ParseError>| {
            let head = format!("POST / HTTP/{version}\r\nHost: x\r\nExpect: {expect}\r\n\r\n");
            assert_eq!(framing(&head).map(|framing| framing.expect_continue), expected, "{version} {expect}");
        };
        check("1.1", "100-Continue", Ok(true));
        check("1.0", "100-continue", Ok(false));
        check("1.1", "200-ok", Err(ParseError::Expectation));
        check("1.1", "", Err(ParseError::Expectation));
    }

    #[test]
    fn preconditions_and_ranges_are_noticed() {
        let check = |field: &str, expected: bool| {
            let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{field}: v\r\n\r\n");
            assert_eq!(framing(&head).map(|framing| framing.conditional), Ok(expected), "{field}");
        };
        check("rANGE", true);
        check("If-None-Match", true);
        check("if-range", true);
        check("Accept", false);
        check("Iff", false);
    }
}
