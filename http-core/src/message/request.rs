//! A complete request, borrowed from the receive buffer.

use crate::{
    codec::{
        framing::{self, RequestFraming},
        head::{HeadIndex, ParseStatus},
    },
    types::{
        error::ParseError,
        limits::Limits,
        method::{Method, Schemes, Version},
    },
};
use core::net::SocketAddr;
use std::time::Instant;

/// A complete request with a valid head. It borrows the receive buffer.
#[derive(Clone, Copy, Debug)]
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
    /// Parses a request that is completely in `bytes`, with the default [`Limits`]: for tests of handlers. All bytes
    /// after the head are the body, whatever the headers say. Stores the offsets of the headers in `index`, which the
    /// request borrows. The earlier contents of `index` are discarded.
    ///
    /// # Errors
    ///
    /// The first error in the head, or [`ParseError::HeadTooLarge`] if the head does not end within `bytes`.
    ///
    /// ```
    /// use http_core::{HeadIndex, Request};
    ///
    /// let mut index = HeadIndex::default();
    /// let bytes = b"GET /a%20b?c=d HTTP/1.1\r\nHost: example.org\r\n\r\n";
    /// let request = Request::parse(bytes, &mut index, std::time::Instant::now())?;
    /// assert_eq!((request.path(), request.query()), ("/a%20b", Some("c=d")));
    /// assert_eq!(request.host(), Some("example.org"));
    /// # Ok::<(), http_core::ParseError>(())
    /// ```
    pub fn parse(
        bytes: &'b [u8],
        index: &'b mut HeadIndex,
        received_at: Instant,
    ) -> Result<Request<'b>, ParseError> {
        index.reset();
        let ParseStatus::Complete(head_len) = index.parse(bytes, &Limits::default())? else {
            return Err(ParseError::HeadTooLarge);
        };
        let framing = framing::validate(index, bytes, Schemes::default())?;
        Ok(Request { index, bytes, body: &bytes[head_len..], framing, received_at, client_addr: None })
    }

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

    /// Returns the target's path, still percent-encoded: `/` if the target has none, `*` for `OPTIONS *`, empty for
    /// CONNECT.
    #[inline]
    pub fn path(&self) -> &'b str {
        text(self.path_bytes())
    }

    /// Returns the path as bytes. Cheaper than [`path`](Request::path): skips UTF-8 validation.
    #[inline]
    pub fn path_bytes(&self) -> &'b [u8] {
        match self.framing.path.of(self.bytes) {
            b"" if self.method() != Method::Connect => b"/",
            path => path,
        }
    }

    /// Returns the target's query without its `?`, still percent-encoded; `None` if the target contains no `?`.
    #[inline]
    pub fn query(&self) -> Option<&'b str> {
        self.framing.query.map(|query| text(query.of(self.bytes)))
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

/// Returns `bytes` as text. They are always ASCII, because the parser accepts nothing else in these places. Other bytes
/// would become an empty string.
#[inline]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
