//! A complete request, borrowed from the buffer it arrived in.

use crate::{
    codec::{
        framing::{self, Framing},
        head::{HeadIndex, Progress},
    },
    types::{error::ParseError, limits::Limits, method::Method, version::Version},
};
use core::net::SocketAddr;
use std::time::Instant;

/// A complete request whose framing has been judged.
#[derive(Clone, Copy, Debug)]
pub struct Request<'b> {
    index: &'b HeadIndex,
    /// The head, and whatever follows it.
    bytes: &'b [u8],
    content: &'b [u8],
    framing: Framing,
    received: Instant,
    peer: Option<SocketAddr>,
}

impl<'b> Request<'b> {
    pub(crate) fn new(
        index: &'b HeadIndex,
        bytes: &'b [u8],
        content: &'b [u8],
        framing: Framing,
        received: Instant,
        peer: Option<SocketAddr>,
    ) -> Request<'b> {
        Request { index, bytes, content, framing, received, peer }
    }

    /// Reads a request that is whole in memory, its content being everything behind the head: for handlers' tests.
    ///
    /// # Errors
    ///
    /// The fault, if the head is wrong; [`ParseError::HeadTooLarge`] also if it does not end.
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
        received: Instant,
    ) -> Result<Request<'b>, ParseError> {
        index.reset();
        let Progress::Complete(head_len) = index.parse(bytes, &Limits::default())? else {
            return Err(ParseError::HeadTooLarge);
        };
        let framing = framing::judge(index, bytes)?;
        Ok(Request { index, bytes, content: &bytes[head_len..], framing, received, peer: None })
    }

    /// The method.
    #[inline]
    pub fn method(&self) -> Method {
        self.framing.method
    }

    /// The method's name as it was sent, for [`Method::Extension`].
    pub fn method_token(&self) -> &'b str {
        text(self.index.method.of(self.bytes))
    }

    /// The target as it was sent: ASCII without white space or controls.
    pub fn target(&self) -> &'b str {
        text(self.index.target.of(self.bytes))
    }

    /// The target's path, not decoded: `/` if the target has none, `*` for `OPTIONS *`, empty for CONNECT.
    #[inline]
    pub fn path(&self) -> &'b str {
        text(self.path_bytes())
    }

    /// The same as octets: enough for a memory of paths, and cheaper, for nobody has to see to it that they are text.
    #[inline]
    pub fn path_bytes(&self) -> &'b [u8] {
        match self.framing.path.of(self.bytes) {
            b"" if self.method() != Method::Connect => b"/",
            path => path,
        }
    }

    /// The target's query, not decoded and without its `?`.
    #[inline]
    pub fn query(&self) -> Option<&'b str> {
        self.framing.query.map(|query| text(query.of(self.bytes)))
    }

    /// Host and port that the request is for; only HTTP/1.0 may leave them out (RFC 9110 §7.2).
    pub fn host(&self) -> Option<&'b str> {
        self.framing.authority.map(|span| text(span.of(self.bytes)))
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.framing.version
    }

    /// The value of the first field with this name, in any case.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields_named(name).next()
    }

    /// The values of all fields with this name, in any case, in their order.
    pub fn fields_named(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let bytes = self.bytes;
        self.index
            .field_spans()
            .iter()
            .filter(move |field| field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))
            .map(move |field| field.value.of(bytes))
    }

    /// All fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> {
        let bytes = self.bytes;
        self.index.field_spans().iter().map(move |field| (text(field.name.of(bytes)), field.value.of(bytes)))
    }

    /// Whether a precondition or a Range is among the fields.
    #[inline]
    pub fn is_conditional(&self) -> bool {
        self.framing.conditional
    }

    /// The content, whole and decoded.
    pub fn body(&self) -> &'b [u8] {
        self.content
    }

    /// Where it comes from, if whoever drives the connection [has said so](crate::Connection::with_peer).
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// When its last byte was seen.
    #[inline]
    pub fn received(&self) -> Instant {
        self.received
    }
}

/// The parser lets only ASCII pass where this is used.
#[inline]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
