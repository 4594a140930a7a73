//! A request that a test passes to a handler.

use super::{
    exchange::Exchange,
    response::{TestResponse, write_content, write_lines},
};
use crate::{handler::handler::Handler, message::tls_info::TlsInfo, types::limits::Config};
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The longest wait for another thread: for a responder, or for more of a stream.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest body of a response, in bytes.
const DEFAULT_MAX_BODY: usize = 64 * 1024 * 1024;

/// A request for the test of a handler. [`run`](TestRequest::run) passes it to the handler as an engine does, and
/// returns the response that the client would receive.
///
/// ```
/// use http_core::{Request, Response, Status, testing::TestRequest};
///
/// fn greet(request: &Request<'_>) -> Result<String, Status> {
///     let name = str::from_utf8(request.body()).map_err(|_| Status::BAD_REQUEST)?;
///     Ok(format!("Hello {name}"))
/// }
///
/// let response = TestRequest::post("/greet").header("Accept", "text/plain").body("you").run(&greet);
/// assert_eq!((response.status(), response.text()), (Status::OK, "Hello you"));
/// assert_eq!(response.header("Content-Type"), Some(&b"text/plain; charset=utf-8"[..]));
///
/// assert_eq!(TestRequest::post("/greet").body(b"\xff").run(&greet).status(), Status::BAD_REQUEST);
/// // The library rejects this request: the handler does not see it.
/// assert_eq!(TestRequest::get("/../secret").run(&greet).status(), Status::FORBIDDEN);
/// ```
#[derive(Clone)]
#[must_use = "a request does nothing until `run` passes it to a handler"]
pub struct TestRequest {
    method: String,
    target: String,
    version: &'static str,
    headers: Vec<(String, Vec<u8>)>,
    content: TestContent,
    pub(super) client_addr: Option<SocketAddr>,
    /// `None` without TLS.
    pub(super) tls: Option<Arc<OnceLock<TlsInfo>>>,
    pub(super) config: Config,
    pub(super) timeout: Duration,
    pub(super) leave_after: usize,
}

/// The content of a request.
#[derive(Clone)]
enum TestContent {
    /// No content: the request has no header that announces any.
    None,
    /// All of it, announced by Content-Length.
    Whole(Vec<u8>),
    /// Chunks, which arrive one by one.
    Chunks(Vec<Vec<u8>>),
    /// No content, and what the client sends after an upgrade.
    Upgraded(Vec<u8>),
}

impl TestRequest {
    /// Creates a request with this method and target, in HTTP/1.1 and for the host `example.org`.
    pub fn new(method: &str, target: &str) -> TestRequest {
        TestRequest {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            headers: Vec::new(),
            content: TestContent::None,
            client_addr: None,
            tls: None,
            config: Config::default(),
            timeout: DEFAULT_TIMEOUT,
            leave_after: DEFAULT_MAX_BODY,
        }
    }

    /// Creates a GET request for this target.
    pub fn get(target: &str) -> TestRequest {
        TestRequest::new("GET", target)
    }

    /// Creates a HEAD request for this target.
    pub fn head(target: &str) -> TestRequest {
        TestRequest::new("HEAD", target)
    }

    /// Creates a POST request for this target.
    pub fn post(target: &str) -> TestRequest {
        TestRequest::new("POST", target)
    }

    /// Creates a PUT request for this target.
    pub fn put(target: &str) -> TestRequest {
        TestRequest::new("PUT", target)
    }

    /// Creates a PATCH request for this target.
    pub fn patch(target: &str) -> TestRequest {
        TestRequest::new("PATCH", target)
    }

    /// Creates a DELETE request for this target.
    pub fn delete(target: &str) -> TestRequest {
        TestRequest::new("DELETE", target)
    }

    /// Adds a header. Neither name nor value are checked, so that a test can send what the library rejects.
    ///
    /// The library's own `Host`, `Content-Length` or `Transfer-Encoding` is left out if the test adds one.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> TestRequest {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the content. `Content-Length` announces it.
    pub fn body(self, content: impl Into<Vec<u8>>) -> TestRequest {
        TestRequest { content: TestContent::Whole(content.into()), ..self }
    }

    /// Sets the content, which is sent in the chunked coding. The server receives one chunk at a time. Empty chunks are
    /// left out, because an empty chunk is the last one.
    pub fn chunks<C: Into<Vec<u8>>>(self, chunks: impl IntoIterator<Item = C>) -> TestRequest {
        let chunks = chunks.into_iter().map(C::into).filter(|chunk| !chunk.is_empty());
        TestRequest { content: TestContent::Chunks(chunks.collect()), ..self }
    }

    /// Offers to upgrade the connection to this protocol. If the server does, the client sends `data`, and then shuts
    /// down its sending side.
    ///
    /// ```
    /// use http_core::{Reply, Request, Response, Status, testing::TestRequest};
    /// use std::io::{Read, Write};
    ///
    /// fn echo(request: &Request<'_>) -> Result<Reply, Status> {
    ///     if !request.upgrades_to("echo") {
    ///         return Err(Status::BAD_REQUEST);
    ///     }
    ///     Ok(Reply::upgrade(Response::switching_protocols("echo"), |mut upgraded| {
    ///         let mut text = String::new();
    ///         let _ = upgraded.read_to_string(&mut text).and_then(|_| upgraded.write_all(text.as_bytes()));
    ///     }))
    /// }
    ///
    /// let response = TestRequest::get("/").upgrade("echo", "one two").run(&echo);
    /// assert_eq!((response.status(), response.text()), (Status::SWITCHING_PROTOCOLS, "one two"));
    /// ```
    pub fn upgrade(self, protocol: &str, data: impl Into<Vec<u8>>) -> TestRequest {
        let offer = self.header("Connection", "upgrade").header("Upgrade", protocol);
        TestRequest { content: TestContent::Upgraded(data.into()), ..offer }
    }

    /// Makes this a request in HTTP/1.0, without a `Host` header.
    pub fn http10(self) -> TestRequest {
        TestRequest { version: "HTTP/1.0", ..self }
    }

    /// Sets the client's address, which is unknown otherwise.
    pub fn client_addr(self, client_addr: SocketAddr) -> TestRequest {
        TestRequest { client_addr: Some(client_addr), ..self }
    }

    /// Makes this a request over TLS ([`Request::is_secure`](crate::Request::is_secure)).
    pub fn over_tls(self) -> TestRequest {
        TestRequest { tls: Some(Arc::default()), ..self }
    }

    /// Makes this a request over TLS, for which the client and the server have negotiated this
    /// ([`Request::tls`](crate::Request::tls)). [`TlsInfo`] has an example.
    pub fn with_tls_info(self, info: TlsInfo) -> TestRequest {
        TestRequest { tls: Some(Arc::new(info.into())), ..self }
    }

    /// Sets the limits of the server and the schemes that it serves. Its timeouts do not apply, except that a request
    /// that remains incomplete is rejected at once with 408.
    pub fn config(self, config: Config) -> TestRequest {
        TestRequest { config, ..self }
    }

    /// Sets the longest wait for another thread; 10 seconds by default. It bounds each wait for a
    /// [`Responder`](crate::Responder), after which the response is the 503 of
    /// [`Timeouts::reply`](crate::Timeouts::reply), and each wait for more of a stream, or for the end of an upgraded
    /// connection, after which the response is incomplete ([`TestResponse::error`]).
    pub fn timeout(self, timeout: Duration) -> TestRequest {
        TestRequest { timeout, ..self }
    }

    /// Makes the client leave when it has received at least this number of bytes of the response's body. The default is
    /// 64 MiB, so that a body without an end does not use all memory.
    ///
    /// ```
    /// use http_core::{Body, Chunk, ChunkSource, Request, Response, testing::TestRequest};
    ///
    /// struct Endless;
    ///
    /// impl ChunkSource for Endless {
    ///     fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> std::io::Result<Chunk> {
    ///         chunk.extend_from_slice(b"data: tick\n\n");
    ///         Ok(Chunk::Data)
    ///     }
    /// }
    ///
    /// let events = |_: &Request<'_>| Response::text(Body::Stream(Box::new(Endless)));
    /// let response = TestRequest::get("/events").leave_after(20).run(&events);
    /// assert_eq!(response.text(), "data: tick\n\ndata: tick\n\n");
    /// assert!(response.error().is_some());
    /// ```
    pub fn leave_after(self, bytes: usize) -> TestRequest {
        TestRequest { leave_after: bytes, ..self }
    }

    /// Passes the request to the handler, and returns the response that the client would receive.
    ///
    /// The request is written to bytes, and received by a [`Connection`](crate::Connection): what the library rejects
    /// does not reach the handler, and the response comes from [`Handler::rejected`]. Every kind of reply is resolved:
    ///
    /// * `Reply::Now`: the response.
    /// * `Reply::After`: the job runs at once.
    /// * `Reply::Offload`: the job runs on the thread of the test.
    /// * `Reply::Deferred`: the test waits for the responder.
    /// * `Reply::Receive`: the sink gets the content in the pieces in which it arrives.
    /// * `Reply::Read`: the job runs on the thread of the test, when all content has arrived. If the request is
    ///   rejected before that, it reads what has arrived and then an error, as with an engine.
    ///
    /// After an upgrade, the function that takes over the connection runs on the thread of the test, and the test waits
    /// until the application drops the connection.
    ///
    /// Files are read, and streams are asked until they end. If the handler panics, the response is 500.
    ///
    /// # Panics
    ///
    /// If the server would close the connection without a response.
    pub fn run(&self, handler: &(impl Handler + ?Sized)) -> TestResponse {
        Exchange::new(self, handler).run()
    }

    /// Returns the bytes of the request in the pieces in which the server receives them: the head, then the content.
    pub(super) fn pieces(&self) -> Vec<Vec<u8>> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version).into_bytes();
        let mut add = |name: &str, value: &[u8]| {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        };
        let has = |name: &str| self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if self.version == "HTTP/1.1" && !has("Host") {
            add("Host", b"example.org");
        }
        let is_framed = has("Content-Length") || has("Transfer-Encoding");
        match &self.content {
            TestContent::Whole(content) if !is_framed => {
                add("Content-Length", content.len().to_string().as_bytes());
            }
            TestContent::Chunks(_) if !is_framed => add("Transfer-Encoding", b"chunked"),
            _ => {}
        }
        self.headers.iter().for_each(|(name, value)| add(name, value));
        head.extend(b"\r\n");
        let mut pieces = vec![head];
        match &self.content {
            TestContent::None => {}
            TestContent::Whole(content) | TestContent::Upgraded(content) => pieces.push(content.clone()),
            TestContent::Chunks(chunks) => {
                let coded =
                    |chunk: &Vec<u8>| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
                pieces.extend(chunks.iter().map(coded));
                pieces.push(b"0\r\n\r\n".to_vec());
            }
        }
        pieces
    }
}

impl fmt::Debug for TestRequest {
    /// Writes the request as it is sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces = self.pieces();
        write_lines(f, pieces.first().map(Vec::as_slice).unwrap_or_default())?;
        write_content(f, &pieces.get(1..).unwrap_or_default().concat())
    }
}
