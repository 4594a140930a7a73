//! How the content of one request is taken, as its handler chooses by the head.

/// How the server takes the content of one request. A handler chooses it by the head
/// ([`Handler::admit`](crate::Handler::admit)); an engine passes it to [`Connection::admit`](crate::Connection::admit).
///
/// It says how content is received, and never whether a request is allowed: [`Handler::handle`](crate::Handler::handle)
/// responds to the request in every case.
///
/// It is also a layer of middleware, which takes the content of all requests in the same way:
/// `Router::builder().put("/upload", upload).wrap(Admit::AtHead)`.
///
/// ```
/// use http_core::{Admit, Handler, Reply, Request, Response, Status, testing::TestRequest};
///
/// /// Takes large content for one path only, and none elsewhere.
/// struct Upload;
///
/// impl Handler for Upload {
///     fn admit(&self, head: &Request<'_>) -> Admit {
///         if head.path() == "/upload" { Admit::BufferUpTo(64 << 20) } else { Admit::AtHead }
///     }
///
///     fn handle(&self, request: &Request<'_>) -> Reply {
///         match request.path() {
///             "/upload" => Response::text(request.body().len().to_string()).into(),
///             _ => Response::error(Status::NOT_FOUND).into(),
///         }
///     }
/// }
///
/// let content = vec![b'x'; 2 << 20];
/// assert_eq!(TestRequest::put("/upload").body(content).run(&Upload).text(), "2097152");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admit {
    /// Receive all content into memory before the handler is called. Content of more than
    /// [`Limits::body_bytes`](crate::Limits::body_bytes) is rejected with 413.
    #[default]
    Buffer,
    /// The same with another limit in bytes for this request. It may be lower or higher than
    /// [`Limits::body_bytes`](crate::Limits::body_bytes). Content of more bytes is rejected with 413.
    BufferUpTo(u64),
    /// Call the handler at once, without content: [`Request::body`](crate::Request::body) is then empty. No
    /// `100 Continue` is sent before.
    ///
    /// If the reply is [`Reply::Receive`](crate::Reply::Receive) or [`Reply::Read`](crate::Reply::Read), the content is
    /// then received piece by piece, up to [`Limits::streamed_bytes`](crate::Limits::streamed_bytes), after a
    /// `100 Continue` if the client waits for it.
    ///
    /// Otherwise, or if such a reply has its response before the end of the content, the server receives the content
    /// after the response and drops it: up to [`Limits::body_bytes`](crate::Limits::body_bytes), in the time that
    /// [`Timeouts`](crate::Timeouts) allow for a body. Then the connection stays open. Instead of receiving the
    /// content, the server closes the connection after the response:
    ///
    /// * if the content is longer, or is malformed;
    /// * if the connection ends with this response for another reason, such as `Connection: close`;
    /// * if the client waits for `100 Continue`: it may send the content or its next request, and the server could not
    ///   tell one from the other (RFC 9110 §10.1.1).
    AtHead,
    /// The same with another limit in bytes for content that is received piece by piece. It may be lower or higher than
    /// [`Limits::streamed_bytes`](crate::Limits::streamed_bytes). A longer content gets 413: at once, and without
    /// `100 Continue`, if its Content-Length says so.
    AtHeadUpTo(u64),
}

impl Admit {
    /// Returns this choice with a limit of `bytes`, or with its own limit if that is lower.
    ///
    /// ```
    /// use http_core::Admit;
    ///
    /// assert_eq!(Admit::Buffer.at_most(10), Admit::BufferUpTo(10));
    /// assert_eq!(Admit::BufferUpTo(5).at_most(10), Admit::BufferUpTo(5));
    /// ```
    #[must_use]
    pub fn at_most(self, bytes: u64) -> Admit {
        match self {
            Admit::Buffer => Admit::BufferUpTo(bytes),
            Admit::BufferUpTo(limit) => Admit::BufferUpTo(limit.min(bytes)),
            Admit::AtHead => Admit::AtHeadUpTo(bytes),
            Admit::AtHeadUpTo(limit) => Admit::AtHeadUpTo(limit.min(bytes)),
        }
    }
}
