//! A complete request, borrowed from the receive buffer.

use crate::{
    codec::{framing::RequestFraming, head::HeadIndex},
    types::{
        method::{Method, Version},
        path::RelativePath,
        uri,
    },
};
use core::net::SocketAddr;
use std::time::Instant;

/// A complete request with a valid head. It borrows the receive buffer.
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

    /// Returns the path of the target in its normalised form, as [`path::normalize`](crate::path::normalize) defines it:
    /// decoded, without empty segments and dot segments, beginning with a slash. So the same path is the same text, however
    /// the client has spelled it. Bytes that are not UTF-8 appear as `%XX`.
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

    /// Returns the path as [`path`](Request::path) does, as bytes, which need not be UTF-8. Cheaper than `path`: skips UTF-8
    /// validation.
    #[inline]
    pub fn path_bytes(&self) -> &'b [u8] {
        if self.framing.is_path_decoded {
            self.index.decoded_path.as_bytes()
        } else {
            self.framing.path.of(self.bytes)
        }
    }

    /// Returns the path of the target as the client sent it: percent-encoded, with all dot segments. Empty if the target has
    /// no path, as in `http://host`.
    ///
    /// Do not choose by it what a request may do: a path has many spellings. Use [`path`](Request::path).
    pub fn raw_path(&self) -> &'b str {
        text(self.framing.path.of(self.bytes))
    }

    /// Returns the target's query without its `?`, still percent-encoded; `None` if the target contains no `?`. It contains
    /// only characters that a URI allows, and complete percent-escapes.
    #[inline]
    pub fn query(&self) -> Option<&'b str> {
        self.framing.query.map(|query| text(query.of(self.bytes)))
    }

    /// Returns a relative reference (RFC 3986 §4.2) to `path`, with the query of this request: the `Location` of a redirect.
    ///
    /// A client resolves it against the URL that it requested. So the redirect also works behind a proxy that removes the
    /// beginning of each path. It cannot lead to another host.
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
        match self.query() {
            Some(query) => format!("{reference}?{}", uri::normalize_query(query)),
            None => reference,
        }
    }

    /// Returns the host, with its port if there is one, that the request is for; `None` only in HTTP/1.0 (RFC 9110
    /// §7.2).
    pub fn host(&self) -> Option<&'b str> {
        self.framing.authority.map(|span| text(span.of(self.bytes)))
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

    /// Returns whether the request has a precondition header (RFC 9110 §13.1) or a Range header.
    pub fn is_conditional(&self) -> bool {
        self.framing.conditional
    }

    /// Returns the whole body, without chunk framing; an empty slice if the request has none.
    pub fn body(&self) -> &'b [u8] {
        self.body
    }

    /// Returns the client's address; `None` if the engine [has not set it](crate::Connection::with_client_addr).
    pub fn client_addr(&self) -> Option<SocketAddr> {
        self.client_addr
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
            assert_eq!((request.raw_path(), request.path(), request.query()), (raw, path, query), "{line}");
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
}
