//! Every rule that combines headers: the form of the target and Host, the length of the body, keep-alive, Expect.
//!
//! A request is validated once, before routing. No handler sees a request whose end two parties could determine
//! differently: that is how requests are smuggled (RFC 9112 §3.2, §6, §9.3; RFC 9110 §10.1.1).

use super::head::{HeadIndex, Span};
use crate::types::{
    error::ParseError,
    grammar::{decimal, is_authority, list},
    method::{Method, Version},
};

/// How the end of a body is determined (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// This number of bytes; 0 if there is no body.
    Exact(u64),
    /// The chunked coding marks the end.
    Chunked,
    /// The end of the connection is the end of the body: only in responses.
    UntilClose,
}

/// What a valid request head says about the message and the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFraming {
    /// The method.
    pub method: Method,
    /// The client's protocol version.
    pub version: Version,
    /// The length of the body.
    pub body: BodyLength,
    /// Whether the client keeps the connection open after the response (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client waits for a 100 before it sends the body.
    pub expect_continue: bool,
    /// Whether the head has a precondition or a Range header. If not, handlers need not search for them.
    pub conditional: bool,
    /// Host and port: of the target if it names them, else of Host. `None` only in HTTP/1.0.
    pub(crate) authority: Option<Span>,
    /// The path of the target; empty if it has none.
    pub(crate) path: Span,
    /// The query of the target, without its `?`.
    pub(crate) query: Option<Span>,
}

/// Validates a complete head.
///
/// # Errors
///
/// If the request is ambiguous, or cannot be served.
pub fn validate(index: &HeadIndex, bytes: &[u8]) -> Result<RequestFraming, ParseError> {
    let method = index.method(bytes);
    let version = index.version();
    let headers = collect(index, bytes)?;
    let (target_authority, origin) = target_form(method, index.target, bytes)?;
    let (path, query) = split_query(origin, bytes);
    let host = match headers.host {
        None if version == Version::Http11 => return Err(ParseError::HostMissing),
        Some(host) if !is_authority(host.of(bytes)) => return Err(ParseError::Host),
        host => host,
    };
    if headers.unknown_expectation {
        return Err(ParseError::Expectation);
    }
    Ok(RequestFraming {
        method,
        version,
        body: headers.body.length(version, BodyLength::Exact(0))?,
        // The bytes after a CONNECT may be meant for a tunnel: they must not be parsed as a request.
        keep_alive: headers.body.keeps_alive(version) && method != Method::Connect,
        // RFC 9110 §10.1.1: ignored in HTTP/1.0, which has no interim responses.
        expect_continue: headers.expect_continue && version == Version::Http11,
        conditional: headers.conditional,
        // RFC 9112 §3.2.2: the authority of the absolute form replaces Host.
        authority: target_authority.or(host),
        path,
        query,
    })
}

/// The headers that affect framing, collected in one pass.
#[derive(Default)]
struct FramingHeaders {
    body: BodyFraming,
    host: Option<Span>,
    expect_continue: bool,
    unknown_expectation: bool,
    conditional: bool,
}

fn collect(index: &HeadIndex, bytes: &[u8]) -> Result<FramingHeaders, ParseError> {
    let mut headers = FramingHeaders::default();
    for header in index.header_spans() {
        let name = header.name.of(bytes);
        let value = header.value.of(bytes);
        // Comparing the length first skips most headers.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"Host") => match headers.host.replace(header.value) {
                None => {}
                Some(_) => return Err(ParseError::Host),
            },
            5 => headers.conditional |= name.eq_ignore_ascii_case(b"Range"),
            6 if name.eq_ignore_ascii_case(b"Expect") => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                headers.expect_continue |= known;
                headers.unknown_expectation |= !known;
            }
            _ => headers.body.add(name, value)?,
        }
        headers.conditional |= matches!(name, [b'I' | b'i', b'F' | b'f', b'-', ..]);
    }
    Ok(headers)
}

/// What Content-Length, Transfer-Encoding and Connection say, in requests and responses alike (RFC 9112 §6, §9.3).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BodyFraming {
    content_length: Option<u64>,
    coding: Option<TransferCoding>,
    close: bool,
    keep_alive: bool,
}

impl BodyFraming {
    /// Adds a header, if it is one of these.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), ParseError> {
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"Connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"Content-Length") => {
                let length = decimal(value).ok_or(ParseError::ContentLength)?;
                // RFC 9112 §6.3: repetitions of one value are allowed, different values are smuggling.
                if self.content_length.replace(length).is_some_and(|previous| previous != length) {
                    return Err(ParseError::ContentLength);
                }
            }
            17 if name.eq_ignore_ascii_case(b"Transfer-Encoding") => {
                let previous = self.coding.unwrap_or(TransferCoding::None);
                self.coding = Some(list(value).fold(previous, TransferCoding::followed_by));
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the length of the body: `default` if neither Content-Length nor Transfer-Encoding is present.
    pub(crate) fn length(self, version: Version, default: BodyLength) -> Result<BodyLength, ParseError> {
        match (self.coding, self.content_length) {
            (None, length) => Ok(length.map_or(default, BodyLength::Exact)),
            // RFC 9112 §6.3, rule 3: a message with both is a smuggling attempt.
            (Some(_), Some(_)) => Err(ParseError::BothLengths),
            // RFC 9112 §6.1: in HTTP/1.0, some party before us may not have understood the coding.
            (Some(_), None) if version == Version::Http10 => Err(ParseError::TransferEncoding),
            (Some(TransferCoding::Chunked), None) => Ok(BodyLength::Chunked),
            (Some(TransferCoding::UnknownThenChunked), None) => Err(ParseError::CodingUnknown),
            // RFC 9112 §6.3, rule 4: if chunked is not the last coding, the end of a request is unknown, and a
            // response would end with the connection, in a coding that is not implemented.
            (Some(_), None) => Err(ParseError::TransferEncoding),
        }
    }

    /// Returns whether the sender keeps the connection open after this message (RFC 9112 §9.3).
    pub(crate) fn keeps_alive(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// The transfer codings listed so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransferCoding {
    /// The header is present, but lists no coding.
    None,
    /// Only `chunked`.
    Chunked,
    /// Only codings that are not implemented.
    Unknown,
    /// Codings that are not implemented, then `chunked`.
    UnknownThenChunked,
    /// A coding follows `chunked`, which must be the last.
    Malformed,
}

impl TransferCoding {
    fn followed_by(self, coding: &[u8]) -> TransferCoding {
        match (self, coding.eq_ignore_ascii_case(b"chunked")) {
            (TransferCoding::None, true) => TransferCoding::Chunked,
            (TransferCoding::Unknown, true) => TransferCoding::UnknownThenChunked,
            (TransferCoding::None | TransferCoding::Unknown, false) => TransferCoding::Unknown,
            _ => TransferCoding::Malformed,
        }
    }
}

const HTTP: &[u8] = b"http://";

/// Returns the authority in the target, if it has one, and the path with the query (RFC 9112 §3.2).
fn target_form(method: Method, target: Span, bytes: &[u8]) -> Result<(Option<Span>, Span), ParseError> {
    let text = target.of(bytes);
    match (method, text) {
        (Method::Connect, _) => {
            let has_port =
                text.iter().rposition(|&byte| byte == b':').is_some_and(|colon| colon + 1 < text.len());
            if has_port && is_authority(text) {
                Ok((Some(target), target.split_at(0).0))
            } else {
                Err(ParseError::Target)
            }
        }
        (_, [b'/', ..]) => Ok((None, target)),
        (Method::Options, b"*") => Ok((None, target)),
        _ => {
            let has_scheme =
                |scheme: &[u8]| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme));
            if has_scheme(b"https://") {
                // RFC 9110 §7.4: an https URI must not be served over an insecure connection.
                return Err(ParseError::Misdirected);
            }
            if !has_scheme(HTTP) {
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

/// Splits the path from the query (RFC 9112 §3.2.1).
fn split_query(origin: Span, bytes: &[u8]) -> (Span, Option<Span>) {
    match origin.of(bytes).iter().position(|&byte| byte == b'?') {
        Some(length) => {
            let (path, query) = origin.split_at(length);
            (path, Some(query.split_at(1).1))
        }
        None => (origin, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::limits::Limits;

    fn framing(head: &str) -> Result<RequestFraming, ParseError> {
        let mut index = HeadIndex::default();
        index.parse(head.as_bytes(), &Limits::default()).expect("a well-formed head");
        validate(&index, head.as_bytes())
    }

    /// Validates a POST with Host and these headers.
    fn check(headers: &str, expected: Result<BodyLength, ParseError>) {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        assert_eq!(framing(&head).map(|framing| framing.body), expected, "{headers}");
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
        let with = |headers: &str| framing(&format!("GET / HTTP/1.1\r\n{headers}\r\n")).map(|_| ());
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
    fn detects_preconditions_and_ranges() {
        let check = |name: &str, expected: bool| {
            let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{name}: v\r\n\r\n");
            assert_eq!(framing(&head).map(|framing| framing.conditional), Ok(expected), "{name}");
        };
        check("rANGE", true);
        check("If-None-Match", true);
        check("if-range", true);
        check("Accept", false);
        check("Iff", false);
    }
}
