//! The rules of a complete head: the form of the target and Host, the length of the body, keep-alive, Expect.
//!
//! Each request is validated once, before routing. The path of its target is normalised here. A handler must never see
//! a request whose end two servers could determine differently: an attacker could smuggle another request in it (RFC
//! 9112 §3.2, §6, §9.3; RFC 9110 §10.1.1).

use super::head::{HeadIndex, Span};
use crate::types::{
    error::ParseError,
    grammar::{decimal, is_authority, is_authority_with_port, list},
    method::{Method, Schemes, Version},
    path::{self, PathError},
    uri,
};

/// How the end of a body is determined (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// The body has this number of bytes: 0 if there is none.
    Exact(u64),
    /// The chunked coding marks the end of the body.
    Chunked,
    /// The end of the connection is the end of the body. Only responses have such bodies.
    UntilClose,
}

/// Whether a handler may see the path and the query of a target. The target's form, and the end of the request, are
/// known in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetStatus {
    /// They are valid in a URI, and the path stays below the root.
    Valid,
    /// They contain a character that a URI does not allow, or the query contains a malformed escape, in a GET or HEAD
    /// request. The response is a redirect to the correctly encoded target (RFC 9112 §3).
    NotEncoded,
    /// The request is rejected for this reason.
    Malformed(ParseError),
}

/// What the head of a valid request says about its target, its body and the connection.
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
    /// Whether the client waits for a 100 response before it sends the body.
    pub expect_continue: bool,
    /// Whether Connection lists `upgrade` and the headers Upgrade apply: not in HTTP/1.0, nor with CONNECT.
    pub upgrade: bool,
    /// Whether the head may have a Range header or a precondition such as If-None-Match. If false, it has none.
    pub conditional: bool,
    /// The host with its optional port: from the target or, if the target has none, from Host. `None` if an HTTP/1.0
    /// request has neither.
    pub(crate) authority: Option<Span>,
    /// Whether the URI of the target is an `https` URI.
    pub(crate) is_https: bool,
    /// Whether a handler may see the target.
    pub target: TargetStatus,
    /// The path of the target as sent; empty if it has none.
    pub(crate) path: Span,
    /// Whether the path was not sent in its normalised form. [`HeadIndex::decoded_path`] then has that form.
    pub(crate) is_path_decoded: bool,
    /// The query of the target, without its `?`. `None` if the target has no `?`.
    pub(crate) query: Option<Span>,
    /// Whether TLS secures the connection. The connection sets it.
    pub(crate) is_secure: bool,
}

/// Validates a complete request head, and returns what it says about the target, the body and the connection. `bytes`
/// begin with the head. `index` is the result of parsing it. `schemes` are those of
/// [`Config::schemes`](crate::Config::schemes). Stores the path in `index`, unless it was sent in its normalised form.
///
/// # Errors
///
/// If Host, Content-Length, Transfer-Encoding, Expect or the form of the target is malformed, ambiguous or not
/// supported, or an HTTP/1.1 request has no Host. An error in the path or the query of the target is in
/// [`RequestFraming::target`] instead.
pub fn validate(index: &mut HeadIndex, bytes: &[u8], schemes: Schemes) -> Result<RequestFraming, ParseError> {
    let method = index.method(bytes);
    let version = index.version();
    let headers = collect_headers(index, bytes)?;
    let (target_authority, path_and_query) = split_target(method, index.target, bytes, schemes)?;
    let path = match index.plain_target() {
        Some((path, query)) if path_and_query == index.target => {
            RequestPath { status: TargetStatus::Valid, path, is_decoded: false, query }
        }
        _ => normalize_target(method, path_and_query, index, bytes),
    };
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
        // RFC 9110 §7.8: a server must ignore an Upgrade in HTTP/1.0.
        upgrade: headers.body.upgrade && version == Version::Http11 && method != Method::Connect,
        conditional: headers.conditional,
        // RFC 9112 §3.2.2: the authority of the absolute form replaces Host.
        authority: target_authority.or(host),
        is_https: schemes == Schemes::Https || begins_with_https(method, index.target.of(bytes)),
        target: path.status,
        path: path.path,
        is_path_decoded: path.is_decoded,
        is_secure: false,
        query: path.query,
    })
}

/// What [`validate`] needs to know from the headers of a request.
#[derive(Default)]
struct FramingHeaders {
    /// What Content-Length, Transfer-Encoding and Connection say.
    body: BodyFraming,
    /// The value of Host; `None` if there is no Host.
    host: Option<Span>,
    /// Whether Expect is 100-continue.
    expect_continue: bool,
    /// Whether Expect has a value other than 100-continue.
    unknown_expectation: bool,
    /// Whether the name of a header is Range or begins with `If-`.
    conditional: bool,
}

/// Reads the headers that [`validate`] needs, in one pass. Fails if Host is repeated, or Content-Length is malformed or
/// repeated.
fn collect_headers(index: &HeadIndex, bytes: &[u8]) -> Result<FramingHeaders, ParseError> {
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

/// What Content-Length, Transfer-Encoding and Connection say in a request or a response (RFC 9112 §6, §9.3).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BodyFraming {
    /// The value of Content-Length; `None` if there is no Content-Length.
    content_length: Option<u64>,
    /// Whether Transfer-Encoding is present.
    transfer_encoding: bool,
    /// Whether Transfer-Encoding lists `chunked`.
    chunked: bool,
    /// Whether Transfer-Encoding lists a coding after `chunked`, which must be the last one, or has an empty element.
    malformed_codings: bool,
    /// Whether Transfer-Encoding lists a coding other than `chunked`.
    unknown_coding: bool,
    /// Whether Connection lists `close`.
    close: bool,
    /// Whether Connection lists `keep-alive`.
    keep_alive: bool,
    /// Whether Connection lists `upgrade`.
    upgrade: bool,
}

impl BodyFraming {
    /// Reads one header line if it is Content-Length, Transfer-Encoding or Connection. Ignores every other header.
    ///
    /// # Errors
    ///
    /// [`ParseError::ContentLength`] if Content-Length is not a number, or an earlier line was Content-Length too.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), ParseError> {
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"Connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            14 if name.eq_ignore_ascii_case(b"Content-Length") => {
                let length = decimal(value).ok_or(ParseError::ContentLength)?;
                // RFC 9110 §8.6 permits rejecting a repeated value, whether in one line or two. Different values are
                // smuggling.
                if self.content_length.replace(length).is_some() {
                    return Err(ParseError::ContentLength);
                }
            }
            17 if name.eq_ignore_ascii_case(b"Transfer-Encoding") => {
                self.transfer_encoding = true;
                // RFC 9110 §5.6.1.2 asks recipients to ignore a reasonable number of empty elements. Here they are
                // errors: no client sends them in good faith, and the next server may not ignore them.
                for coding in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                    self.malformed_codings |= self.chunked || coding.is_empty();
                    self.chunked |= is_chunked;
                    self.unknown_coding |= !is_chunked;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the length of the body: `default` if neither Content-Length nor Transfer-Encoding is present.
    ///
    /// # Errors
    ///
    /// If both are present, or the elements of all Transfer-Encoding lines are not exactly one `chunked`, or
    /// Transfer-Encoding is present in HTTP/1.0.
    pub(crate) fn length(self, version: Version, default: BodyLength) -> Result<BodyLength, ParseError> {
        if !self.transfer_encoding {
            return Ok(self.content_length.map_or(default, BodyLength::Exact));
        }
        if self.content_length.is_some() {
            // RFC 9112 §6.3, rule 3: a message with both is a smuggling attempt.
            Err(ParseError::BothLengths)
        } else if version == Version::Http10 || !self.chunked || self.malformed_codings {
            // RFC 9112 §6.1: a proxy that speaks HTTP/1.0 may have forwarded the coding without understanding it.
            // RFC 9112 §6.3, rule 4: if chunked is not the last coding, the end of a request is unknown, and a response
            // would end with the connection, in a coding that is not implemented.
            Err(ParseError::TransferEncoding)
        } else if self.unknown_coding {
            Err(ParseError::CodingUnknown)
        } else {
            Ok(BodyLength::Chunked)
        }
    }

    /// Returns whether the sender keeps the connection open after this message (RFC 9112 §9.3).
    pub(crate) fn keeps_alive(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// Splits the target into its authority (`None` if it has none) and its path with the query (RFC 9112 §3.2). The second
/// part is `*` for the target `*`, and empty for a CONNECT and for an absolute form such as `http://host`. Fails if the
/// method does not allow the form of the target, or its scheme is not one of `schemes`.
fn split_target(
    method: Method,
    target: Span,
    bytes: &[u8],
    schemes: Schemes,
) -> Result<(Option<Span>, Span), ParseError> {
    let text = target.of(bytes);
    match (method, text) {
        (Method::Connect, _) => {
            if is_authority_with_port(text) {
                Ok((Some(target), target.split_at(0).0))
            } else {
                Err(ParseError::Target)
            }
        }
        (_, [b'/', ..]) => Ok((None, target)),
        (Method::Options, b"*") => Ok((None, target)),
        _ => {
            let Some((start, is_served)) = schemes.split_from(text) else { return Err(ParseError::Target) };
            if !is_served {
                // RFC 9110 §7.4: an https URI must not be served over an insecure connection.
                return Err(ParseError::Misdirected);
            }
            let rest = &text[start..];
            let length = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
            if !is_authority(&rest[..length]) {
                return Err(ParseError::Target);
            }
            let (authority, path_and_query) = target.split_at(start).1.split_at(length);
            Ok((Some(authority), path_and_query))
        }
    }
}

/// Whether a target, which [`split_target`] has accepted, is an `https` URI.
fn begins_with_https(method: Method, target: &[u8]) -> bool {
    const HTTPS: &[u8] = b"https:";
    method != Method::Connect
        && target.get(..HTTPS.len()).is_some_and(|start| start.eq_ignore_ascii_case(HTTPS))
}

/// The path and the query of a target. The fields are those of [`RequestFraming`].
struct RequestPath {
    status: TargetStatus,
    path: Span,
    is_decoded: bool,
    query: Option<Span>,
}

/// Checks `path_and_query`, a target without scheme and authority, and stores its path in `index` if it is not sent in
/// its normalised form.
#[cold]
fn normalize_target(
    method: Method,
    path_and_query: Span,
    index: &mut HeadIndex,
    bytes: &[u8],
) -> RequestPath {
    let (path, query) = split_query(path_and_query, bytes);
    let raw = path.of(bytes);
    let is_decoded = method != Method::Connect && (raw.contains(&b'%') || !path::is_normal(raw));
    let result = if is_decoded { index.decoded_path.set(raw) } else { Ok(()) };
    let is_valid = || uri::is_valid(raw) && query.is_none_or(|query| uri::is_valid(query.of(bytes)));
    let status = match result {
        Err(PathError::AboveRoot) => TargetStatus::Malformed(ParseError::AboveRoot),
        Err(PathError::BadEscape | PathError::Nul) => TargetStatus::Malformed(ParseError::Target),
        Ok(()) if is_valid() => TargetStatus::Valid,
        Ok(()) if matches!(method, Method::Get | Method::Head) => TargetStatus::NotEncoded,
        Ok(()) => TargetStatus::Malformed(ParseError::Target),
    };
    RequestPath { status, path, is_decoded, query }
}

/// Splits `path_and_query`, a target without scheme and authority, at its first `?` into the path and the query (RFC
/// 9112 §3.2.1). If there is no `?`, the query is `None`.
fn split_query(path_and_query: Span, bytes: &[u8]) -> (Span, Option<Span>) {
    match path_and_query.of(bytes).iter().position(|&byte| byte == b'?') {
        Some(length) => {
            let (path, query) = path_and_query.split_at(length);
            (path, Some(query.split_at(1).1))
        }
        None => (path_and_query, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::limits::Limits;

    fn framing(head: &str) -> Result<RequestFraming, ParseError> {
        let mut index = HeadIndex::default();
        index.parse(head.as_bytes(), &Limits::default()).expect("a well-formed head");
        validate(&mut index, head.as_bytes(), Schemes::Http)
    }

    /// Validates a request with one more header, once for each of the values, which `|` separates. All must have this
    /// framing: the length of the body, then the flags that are set.
    fn check(version: &str, name: &str, values: &str, expected: Result<&str, ParseError>) {
        let flag = |is_set: bool, name| if is_set { name } else { "" };
        for value in values.split('|') {
            let head = format!("GET / HTTP/{version}\r\nHost: x\r\n{name}: {value}\r\n\r\n");
            let outcome = framing(&head).map(|framing| {
                let keep_alive = flag(framing.keep_alive, " keep-alive");
                let expect = flag(framing.expect_continue, " expect-continue");
                let (upgrade, conditional) =
                    (flag(framing.upgrade, " upgrade"), flag(framing.conditional, " conditional"));
                format!("{:?}{keep_alive}{expect}{upgrade}{conditional}", framing.body)
            });
            assert_eq!(outcome.as_deref(), expected.as_deref(), "{head}");
        }
    }

    #[test]
    fn content_length() {
        check("1.1", "Accept", "*/*", Ok("Exact(0) keep-alive"));
        check("1.1", "User-Agent", "close|upgrade", Ok("Exact(0) keep-alive"));
        check("1.1", "content-LENGTH", "5|005", Ok("Exact(5) keep-alive"));
        let max = format!("Exact({}) keep-alive", u64::MAX);
        check("1.1", "Content-Length", "99999999999999999999999", Ok(&max));
        let malformed = "|+5|-5|5, 5|5,6|0x5|5 5|5;|five|\u{665}|5\r\nContent-Length: 6|\
            5\r\nContent-Length: 5";
        check("1.1", "Content-Length", malformed, Err(ParseError::ContentLength));
    }

    #[test]
    fn transfer_encoding() {
        const NAME: &str = "Transfer-Encoding";
        check("1.1", NAME, "chunked|CHUNKED", Ok("Chunked keep-alive"));
        let unknown = "gzip, chunked|gzip\r\nTransfer-Encoding: chunked";
        check("1.1", NAME, unknown, Err(ParseError::CodingUnknown));
        let malformed = "|,|, chunked|chunked,|chunked, ,|, gzip, chunked|\r\nTransfer-Encoding: chunked|\
            chunked\r\nTransfer-Encoding:|gzip|identity|chunked, gzip|chunked, chunked|xchunked|\
            chunked;q=1|\"chunked\"|chunked chunked|chun\u{212a}ed|chunked, gzip, chunked";
        check("1.1", NAME, malformed, Err(ParseError::TransferEncoding));
        check("1.1", NAME, "chunked\r\nContent-Length: 5", Err(ParseError::BothLengths));
        let both = "0\r\nTransfer-Encoding: x|5\r\nTransfer-Encoding:";
        check("1.1", "Content-Length", both, Err(ParseError::BothLengths));
        check("1.0", NAME, "chunked", Err(ParseError::TransferEncoding));
    }

    #[test]
    fn host() {
        let with = |headers: &str| framing(&format!("GET / HTTP/1.1\r\n{headers}\r\n")).map(|_| ());
        for host in "x|x:80|x:|a.b-c_d|127.0.0.1:8080|[::1]|[::1]:80|%41".split('|') {
            assert_eq!(with(&format!("Host: {host}\r\n")), Ok(()), "{host}");
        }
        let malformed = "|a b|a@b|a/b|x:y|x:123456|[::1|[]|[::g]|:80|a,b|a?b|\u{e9}|%zz|a%4";
        for host in malformed.split('|') {
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
        for target in ["/", "other", "other:", "http://x/", "*", "u@x:443"] {
            check("CONNECT", target, None);
        }
    }

    /// Checks the targets, which spaces separate: whether handlers may see them, and the path that they see. `path` is
    /// empty if they may not. The result must not depend on how the head is split.
    fn check_target(method: &str, targets: &str, status: TargetStatus, path: &str) {
        for target in targets.split(' ') {
            let head = format!("{method} {target} HTTP/1.0\r\n\r\n");
            let head = head.as_bytes();
            for piece in 1..head.len() {
                let mut index = HeadIndex::default();
                for end in (1..head.len()).step_by(piece).chain([head.len()]) {
                    index.parse(&head[..end], &Limits::default()).expect("a well-formed head");
                }
                let framing = validate(&mut index, head, Schemes::Http).expect("valid framing");
                let (raw, decoded) = (framing.path.of(head), index.decoded_path.as_bytes());
                let actual = if framing.is_path_decoded { decoded } else { raw };
                assert_eq!(framing.target, status, "{method} {target} in pieces of {piece}");
                if status == TargetStatus::Valid {
                    assert_eq!(actual, path.as_bytes(), "{method} {target} in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn handlers_see_normalised_paths_of_valid_targets() {
        const TARGET: TargetStatus = TargetStatus::Malformed(ParseError::Target);
        const ABOVE: TargetStatus = TargetStatus::Malformed(ParseError::AboveRoot);
        let valid = |targets, path| check_target("GET", targets, TargetStatus::Valid, path);
        valid("/a/b /a//b /a/./b /x/../a/b //a%2fb /%61/b?q http://h/a/b http://h//a/b?%41", "/a/b");
        valid("/ // /. /x/.. http://h http://h? /? /?a=b&c=/../d? /%2F", "/");
        valid("/.well-known/x /%2ewell-known/x", "/.well-known/x");
        valid("/a:@!$&'()*+,;=-._~/ /a:@!$&'()*+,;=-._~//?:@!$&'()*+,;=-._~/?", "/a:@!$&'()*+,;=-._~/");
        for (method, status) in [
            ("GET", TargetStatus::NotEncoded),
            ("HEAD", TargetStatus::NotEncoded),
            ("POST", TARGET),
            ("OPTIONS", TARGET),
            ("BREW", TARGET),
        ] {
            check_target(
                method,
                "/a| /a?b| /a?%zz /a?% /a?%4 /[ /a?[] /|/../b http://h/a| http://h?^",
                status,
                "",
            );
            check_target(method, "/%zz /a% /%4/b /%00 /a/%00|?| http://h/%", TARGET, "");
            check_target(method, "/.. /../a /a/../.. /%2e%2e/a| /a%2F../..?| http://h/..", ABOVE, "");
        }
        check_target("OPTIONS", "*", TargetStatus::Valid, "*");
        check_target("CONNECT", "a:80 [::1]:80", TargetStatus::Valid, "");
    }

    #[test]
    fn a_target_of_another_scheme_is_misdirected() {
        let check = |target: &str, schemes: Schemes, expected: Result<&str, ParseError>| {
            let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            let mut index = HeadIndex::default();
            index.parse(head.as_bytes(), &Limits::default()).expect("a well-formed head");
            let framing = validate(&mut index, head.as_bytes(), schemes);
            let authority = framing.map(|framing| framing.authority.expect("a host").of(head.as_bytes()));
            assert_eq!(authority, expected.map(str::as_bytes), "{target} with {schemes:?}");
        };
        check("HTTPS://other/", Schemes::Http, Err(ParseError::Misdirected));
        check("https://", Schemes::Http, Err(ParseError::Misdirected));
        check("http://other/", Schemes::Https, Err(ParseError::Misdirected));
        for schemes in [Schemes::Http, Schemes::Https, Schemes::HttpAndHttps] {
            check("/", schemes, Ok("x"));
            check("ftp://other/", schemes, Err(ParseError::Target));
            let served = [(schemes != Schemes::Https, "http"), (schemes != Schemes::Http, "Https")];
            for (_, scheme) in served.into_iter().filter(|(is_served, _)| *is_served) {
                check(&format!("{scheme}://other:1/a?b"), schemes, Ok("other:1"));
                check(&format!("{scheme}:///a"), schemes, Err(ParseError::Target));
                check(&format!("{scheme}://u@x/"), schemes, Err(ParseError::Target));
            }
        }
    }

    #[test]
    fn keep_alive() {
        check("1.1", "Connection", "|closed", Ok("Exact(0) keep-alive"));
        check("1.1", "Connection", "close|te, CLOSE|keep-alive, close", Ok("Exact(0)"));
        check("1.7", "Connection", "", Ok("Exact(0) keep-alive"));
        check("1.1", "Connection", "Upgrade|keep-alive, upgrade", Ok("Exact(0) keep-alive upgrade"));
        check("1.1", "Connection", "upgrade, close", Ok("Exact(0) upgrade"));
        check("1.0", "Connection", "upgrade|upgraded", Ok("Exact(0)"));
        check("1.0", "Connection", "Keep-Alive", Ok("Exact(0) keep-alive"));
        check("1.0", "Connection", "|keep-alive, close", Ok("Exact(0)"));
    }

    #[test]
    fn expectations_preconditions_and_ranges() {
        check("1.1", "Expect", "100-Continue", Ok("Exact(0) keep-alive expect-continue"));
        check("1.0", "Expect", "100-continue", Ok("Exact(0)"));
        check("1.1", "Expect", "200-ok|", Err(ParseError::Expectation));
        for name in ["rANGE", "If-None-Match", "if-range"] {
            check("1.1", name, "v", Ok("Exact(0) keep-alive conditional"));
        }
        check("1.1", "Iff", "v", Ok("Exact(0) keep-alive"));
    }
}
