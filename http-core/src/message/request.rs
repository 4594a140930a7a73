//! A request, borrowed from the receive buffer.

use super::{extensions::Link, tls_info::TlsInfo, upgrade::OfferedProtocols};
use crate::{
    codec::{framing::RequestFraming, head::HeadIndex},
    semantics::{cookies, form},
    types::{
        method::{Method, Version},
        path::RelativePath,
        uri,
    },
};
use core::net::SocketAddr;
use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
    time::Instant,
};

/// A request with a valid head. It borrows the receive buffer; [`to_owned`](Request::to_owned) copies it.
///
/// ```
/// use http_core::{Method, Request, Response, Status, testing::TestRequest};
///
/// fn handler(request: &Request<'_>) -> Result<String, Status> {
///     let (Method::Get, "/greet") = (request.method(), request.path()) else { return Err(Status::NOT_FOUND) };
///     let name = request.query_value("name").ok_or(Status::BAD_REQUEST)?;
///     let language = request.header_text("Accept-Language").unwrap_or("en");
///     Ok(if language.starts_with("de") { format!("Hallo {name}") } else { format!("Hello {name}") })
/// }
///
/// let request = TestRequest::get("/greet?name=J%C3%BCrgen").header("Accept-Language", "de");
/// assert_eq!(request.run(&handler).text(), "Hallo Jürgen");
/// ```
#[derive(Clone, Copy)]
pub struct Request<'b> {
    /// The offsets of the method, the target and the headers in `bytes`.
    pub(crate) index: &'b HeadIndex,
    /// The received bytes: the head and those after it.
    pub(crate) bytes: &'b [u8],
    /// The decoded body.
    pub(crate) body: &'b [u8],
    /// What the head says, such as the method, the length of the body, and the offsets of the authority, the path and
    /// the query in `bytes`.
    pub(crate) framing: RequestFraming,
    pub(crate) received_at: Instant,
    pub(crate) client_addr: Option<SocketAddr>,
    pub(crate) tls: Option<&'b Arc<OnceLock<TlsInfo>>>,
    /// The value attached last, which leads to those attached before.
    pub(crate) extensions: Option<&'b Link<'b>>,
}

impl<'b> Request<'b> {
    /// Returns the method.
    pub fn method(&self) -> Method {
        self.framing.method
    }

    /// Returns the method's name as the client sent it, also for [`Method::Extension`].
    pub fn method_token(&self) -> &'b str {
        text(self.index.method.of(self.bytes))
    }

    /// Returns the target as the client sent it: ASCII without white space and control characters.
    pub fn target(&self) -> &'b str {
        text(self.index.target.of(self.bytes))
    }

    /// Returns the path of the target in its normalised form, as [`path::normalize`](crate::path::normalize) defines
    /// it: decoded, without empty segments and dot segments, beginning with a slash. So the same path is the same text,
    /// however the client has spelled it. Bytes that are not UTF-8 appear as `%XX`.
    ///
    /// Returns `*` for `OPTIONS *`, and an empty string for CONNECT.
    #[inline]
    pub fn path(&self) -> &'b str {
        if self.framing.is_path_decoded {
            self.index.decoded_path.as_str()
        } else {
            text(self.framing.path.of(self.bytes))
        }
    }

    /// Returns the path as [`path`](Request::path) does, as bytes, which need not be UTF-8. Cheaper than `path`: skips
    /// UTF-8 validation.
    #[inline]
    pub fn path_bytes(&self) -> &'b [u8] {
        if self.framing.is_path_decoded {
            self.index.decoded_path.as_bytes()
        } else {
            self.framing.path.of(self.bytes)
        }
    }

    /// Returns the path of the target as the client sent it: percent-encoded, with all dot segments. Empty if the
    /// target has no path, as in `http://host`.
    ///
    /// Do not choose by it what a request may do: a path has many spellings. Use [`path`](Request::path).
    pub fn raw_path(&self) -> &'b str {
        text(self.framing.path.of(self.bytes))
    }

    /// Returns the target's query without its `?`, still percent-encoded; `None` if the target contains no `?`. It
    /// contains only characters that a URI allows, and complete percent-escapes.
    #[inline]
    pub fn raw_query(&self) -> Option<&'b str> {
        self.framing.query.map(|query| text(query.of(self.bytes)))
    }

    /// Returns the decoded names and values in the query, in order, as [`form::pairs`](crate::form::pairs) does.
    /// Without a query, there are none.
    ///
    /// ```
    /// use http_core::{Request, Status};
    ///
    /// /// Replies to `/search?word=a&word=b`.
    /// fn search(request: &Request<'_>) -> String {
    ///     let words = request.query().filter(|(name, _)| name == "word");
    ///     words.map(|(_, word)| format!("{word}\n")).collect()
    /// }
    /// ```
    pub fn query(&self) -> impl Iterator<Item = (Cow<'b, str>, Cow<'b, str>)> + use<'b> {
        form::pairs(self.raw_query().unwrap_or_default().as_bytes())
    }

    /// Returns the decoded value of the first parameter with this name in the query; `None` if there is none.
    ///
    /// ```
    /// use http_core::{Request, Status};
    ///
    /// /// Replies to `/list?page=2`.
    /// fn list(request: &Request<'_>) -> Result<String, Status> {
    ///     let page = request.query_value("page").unwrap_or("1".into());
    ///     let page: u32 = page.parse().map_err(|_| Status::BAD_REQUEST)?;
    ///     Ok(format!("page {page}"))
    /// }
    /// ```
    pub fn query_value(&self, name: &str) -> Option<Cow<'b, str>> {
        self.query().find_map(|(found, value)| (found == name).then_some(value))
    }

    /// Returns a relative reference (RFC 3986 §4.2) to `path`, with the query of this request: the `Location` of a
    /// redirect.
    ///
    /// A client resolves it against the URL that it requested. So the redirect also works behind a proxy that removes
    /// the beginning of each path. It cannot lead to another host.
    ///
    /// ```
    /// use http_core::{path::RelativePath, testing::ReceivedRequest};
    ///
    /// let bytes = b"GET /photos/2024?page=2 HTTP/1.1\r\nHost: example.org\r\n\r\n";
    /// let received = ReceivedRequest::new(bytes, std::time::Instant::now())?;
    /// let request = received.as_request();
    /// let path = RelativePath::new(request.path_bytes()).ok_or("not a path")?;
    /// assert_eq!(request.reference_to(path.as_directory()), "2024/?page=2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reference_to(&self, path: RelativePath<'_>) -> String {
        let reference = path.reference_from(self.raw_path());
        match self.raw_query() {
            Some(query) => format!("{reference}?{}", uri::normalize_query(query)),
            None => reference,
        }
    }

    /// Returns the host, with its port if there is one, that the request is for; `None` only in HTTP/1.0 (RFC 9110
    /// §7.2). If a [trusted proxy](crate::Config::proxies) names the host that the client has requested, returns that
    /// host.
    pub fn host(&self) -> Option<&'b str> {
        self.framing.authority.map(|span| text(span.of(self.bytes)))
    }

    /// Returns the scheme of the URI that the request is for, `http` or `https`. A [trusted
    /// proxy](crate::Config::proxies) may name it. Otherwise it is the scheme of a target in absolute form, or the
    /// scheme that is [served](crate::Config::schemes).
    ///
    /// ```
    /// use http_core::{Config, Proxies, Request, testing::TestRequest};
    ///
    /// let headers = "x-forwarded-for,x-forwarded-proto,x-forwarded-host".parse()?;
    /// let proxies = Proxies { unix: true, headers, ..Proxies::default() };
    /// let request = TestRequest::get("/").config(Config { proxies, ..Config::default() });
    /// let site = |request: &Request<'_>| format!("{}://{}", request.scheme(), request.host().unwrap_or_default());
    /// let forwarded = request.clone().header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "example.org");
    /// assert_eq!(forwarded.run(&site).text(), "https://example.org");
    /// assert_eq!(request.header("Host", "localhost").run(&site).text(), "http://localhost");
    /// # Ok::<(), String>(())
    /// ```
    pub fn scheme(&self) -> &'static str {
        if self.framing.is_https { "https" } else { "http" }
    }

    /// Returns the protocol version.
    pub fn version(&self) -> Version {
        self.framing.version
    }

    /// Returns the value of the first header with this name, which is compared without case; `None` if there is none.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.header_values(name).next()
    }

    /// Returns the values of all headers with this name, which is compared without case, in the order received.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let (bytes, headers) = (self.bytes, self.index.header_spans().iter());
        let named = headers.filter(move |header| header.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()));
        named.map(move |header| header.value.of(bytes))
    }

    /// Returns the names and values of all headers in the order received.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> {
        let (bytes, headers) = (self.bytes, self.index.header_spans().iter());
        headers.map(move |header| (text(header.name.of(bytes)), header.value.of(bytes)))
    }

    /// Returns the value of the first header with this name as text; `None` if there is none, or if it is not UTF-8.
    ///
    /// ```
    /// # use http_core::Request;
    /// fn browser<'r>(request: &Request<'r>) -> &'r str {
    ///     request.header_text("User-Agent").unwrap_or("unknown")
    /// }
    /// ```
    pub fn header_text(&self, name: &str) -> Option<&'b str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// Returns the names and values of the cookies in all `Cookie` headers, in order, as
    /// [`cookies::parse`](crate::cookies::parse) does (RFC 6265 §5.4).
    ///
    /// ```
    /// # use http_core::Request;
    /// fn names(request: &Request<'_>) -> String {
    ///     request.cookies().map(|(name, _)| format!("{name}\n")).collect()
    /// }
    /// ```
    pub fn cookies(&self) -> impl Iterator<Item = (&'b str, &'b str)> {
        self.header_values("Cookie").flat_map(cookies::parse)
    }

    /// Returns the value of the first cookie with this name, which is compared with case; `None` if there is none. A
    /// client sends the cookie with the longest path first (RFC 6265 §5.4).
    ///
    /// ```
    /// # use http_core::Request;
    /// fn theme<'r>(request: &Request<'r>) -> &'r str {
    ///     request.cookie("theme").unwrap_or("light")
    /// }
    /// ```
    pub fn cookie(&self, name: &str) -> Option<&'b str> {
        self.cookies().find_map(|(found, value)| (found == name).then_some(value))
    }

    /// Returns whether the client offers to speak `protocol`, such as `websocket`, on this connection after the
    /// response (RFC 9110 §7.8): its headers Upgrade list the protocol, Connection lists `upgrade`, and the version is
    /// HTTP/1.1. The case of the name does not matter. At most eight protocols with names of 64 bytes count.
    ///
    /// A handler may accept the offer with [`Response::switching_protocols`](crate::Response::switching_protocols), or
    /// ignore it. [`Upgraded`](crate::Upgraded) has an example.
    pub fn upgrades_to(&self, protocol: &str) -> bool {
        self.framing.upgrade
            && OfferedProtocols::new(self.header_values("Upgrade")).contain_one_of(protocol.as_bytes())
    }

    /// Returns whether the request has a precondition header (RFC 9110 §13.1) or a Range header.
    pub fn is_conditional(&self) -> bool {
        self.framing.conditional
    }

    /// Returns the whole body, without chunk framing; an empty slice if the request has none, or if its handler
    /// receives it piece by piece ([`Admit::AtHead`](crate::Admit::AtHead)).
    pub fn body(&self) -> &'b [u8] {
        self.body
    }

    /// Returns the client's address. If the peer is a [trusted proxy](crate::Config::proxies), the proxy names the
    /// address, with port 0 if it names no port; otherwise the peer is the client. Returns `None` if the address is not
    /// known, as on a Unix socket.
    pub fn client_addr(&self) -> Option<SocketAddr> {
        self.client_addr
    }

    /// Returns whether the client has sent the request over TLS to this server, so that its URI is an `https` URI. A
    /// proxy in front of the server is a client: it may have received the request in another way.
    ///
    /// ```
    /// use http_core::{Request, Response, Status, testing::TestRequest};
    ///
    /// fn log_in(request: &Request<'_>) -> Result<Response, Status> {
    ///     if request.is_secure() { Ok(Response::text("welcome")) } else { Err(Status::FORBIDDEN) }
    /// }
    ///
    /// assert_eq!(TestRequest::get("/").run(&log_in).status(), Status::FORBIDDEN);
    /// assert_eq!(TestRequest::get("/").over_tls().run(&log_in).status(), Status::OK);
    /// assert_eq!(TestRequest::get("http://host/").over_tls().run(&log_in).status(), Status::MISDIRECTED_REQUEST);
    /// assert_eq!(TestRequest::get("https://host/").over_tls().run(&log_in).status(), Status::OK);
    /// ```
    pub fn is_secure(&self) -> bool {
        self.framing.is_secure
    }

    /// Returns what the client and this server have negotiated for the connection; `None` without TLS.
    ///
    /// ```
    /// use http_core::{Request, Response, Status};
    ///
    /// fn only_with_new_tls(request: &Request<'_>) -> Result<Response, Status> {
    ///     match request.tls() {
    ///         Some(session) if session.protocol == "TLSv1.3" => Ok(Response::text("welcome")),
    ///         _ => Err(Status::FORBIDDEN),
    ///     }
    /// }
    /// ```
    pub fn tls(&self) -> Option<&'b TlsInfo> {
        self.tls?.get()
    }

    /// Returns the time when the connection parsed the last byte of the request.
    pub fn received_at(&self) -> Instant {
        self.received_at
    }
}

impl std::fmt::Debug for Request<'_> {
    /// Writes the method, the target and the names of the headers. Header values and the body may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers().map(|(name, _)| name).collect();
        write!(f, "Request({} {} {names:?})", self.method_token(), self.target())
    }
}

/// Returns `bytes` as text. They are always ASCII, because the parser accepts nothing else in these places. Other bytes
/// would become an empty string.
#[inline]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ReceivedRequest;

    /// Receives a request with this request line.
    fn receive(line: &str) -> ReceivedRequest {
        let head =
            format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: secret\r\nContent-Length: 6\r\n\r\nsecret");
        ReceivedRequest::with_any_target(head.as_bytes(), Instant::now()).expect("a request")
    }

    #[test]
    fn the_path_is_normalised_and_the_raw_path_is_not() {
        for (line, raw, path, query) in [
            ("GET /a/b?c=%41", "/a/b", "/a/b", Some("c=%41")),
            ("GET //a/./%62/?", "//a/./%62/", "/a/b/", Some("")),
            ("GET /caf%C3%A9/%ff", "/caf%C3%A9/%ff", "/caf\u{e9}/%FF", None),
            ("GET http://h?c", "", "/", Some("c")),
            ("GET http://h/%2E", "/%2E", "/", None),
            ("OPTIONS *", "*", "*", None),
            ("CONNECT h:80", "", "", None),
            // Rejected, but the code that logs the rejection sees them.
            ("GET /a|/../b", "/a|/../b", "/b", None),
            ("GET /../%zz", "/../%zz", "/%zz", None),
        ] {
            let received = receive(line);
            let request = received.as_request();
            assert_eq!(
                (request.raw_path(), request.path(), request.raw_query()),
                (raw, path, query),
                "{line}"
            );
        }
        assert_eq!(receive("GET /%ff").as_request().path_bytes(), b"/\xff");
    }

    #[test]
    fn debug_text_has_no_header_values_and_no_body() {
        let text = format!("{:?}", receive("GET /a?b").as_request());
        assert_eq!(text, r#"Request(GET /a?b ["Host", "Authorization", "Content-Length"])"#);
        let received = receive("GET /%2e?b");
        assert!(!format!("{received:?}").contains("secret"));
    }

    #[test]
    fn reads_queries_headers_and_cookies() {
        let headers = "Cookie: a=1; b=2\r\nX: caf\u{e9}\r\nCOOKIE: a=3;c=4\r\nA: 1\r\na: 2\r\n\r\n";
        let head = [b"GET /a?b=%41+&c&b=2 HTTP/1.0\r\nY: \xff\r\n", headers.as_bytes()].concat();
        let received = ReceivedRequest::new(&head, Instant::now()).expect("a request");
        let request = received.as_request();
        let query: Vec<_> = request.query().collect();
        assert_eq!(query, [("b".into(), "A ".into()), ("c".into(), "".into()), ("b".into(), "2".into())]);
        assert_eq!((request.query_value("b"), request.query_value("d")), (Some("A ".into()), None));
        assert_eq!((request.header_text("x"), request.header_text("A")), (Some("caf\u{e9}"), Some("1")));
        assert_eq!((request.header("Y"), request.header_text("Y")), (Some(&b"\xff"[..]), None));
        let cookies: Vec<_> = request.cookies().collect();
        assert_eq!(cookies, [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]);
        let values = ["a", "c", "A"].map(|name| request.cookie(name));
        assert_eq!(values, [Some("1"), Some("4"), None]);
        let received = receive("GET /");
        assert_eq!((received.as_request().query().count(), received.as_request().cookies().count()), (0, 0));
    }
}
