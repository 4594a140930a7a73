//! A client on a real socket. It sends bytes as they are, and reads responses with the strict reader of
//! `http-test-suite`. Responses must also have the form that our servers give them, which is stricter than the RFCs
//! ([`exact_form`]).
//!
//! Every wait ends after [`TIMEOUT`], so that a test fails instead of hanging: each connect, read or write, and each
//! [`Client::await_status_line`]. A method whose name does not begin with `try_` panics on any error.

pub use http_test_suite::response::Response;

use http_test_suite::{exact_form, reader::RequestKind, response::ResponseCollector};
use socket2::{Domain, SockRef, Socket, Type};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// The timeout of every wait in a test: far longer than any wait takes if the server works.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Calls `poll` every few milliseconds until it returns `Some`, and returns that value. After [`TIMEOUT`] it panics
/// with `what`, the name of the awaited event.
pub fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Calls `operation`, and again as long as a signal interrupts it (EINTR). Returns its result.
fn retry_on_eintr<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Returns the head of an HTTP/1.1 request. `headers` are the header lines after Host, each with its CRLF.
pub fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")
}

/// Returns a GET request without headers besides Host.
pub fn get(target: &str) -> String {
    request("GET", target, "")
}

/// A connection to a server, seen by the client.
pub struct Client {
    /// The socket. A test may write to it. A byte that a test reads from it is lost for the methods that read.
    pub stream: TcpStream,
    collector: ResponseCollector,
    /// Bytes that were received and that no response contains yet.
    received: Vec<u8>,
}

impl Client {
    /// Opens a connection to `address`. Panics if that fails.
    pub fn connect(address: SocketAddr) -> Client {
        Client::from_stream(TcpStream::connect_timeout(&address, TIMEOUT).expect("a connection"))
    }

    /// Opens a connection to `address` and sends all bytes. Panics if that fails.
    pub fn connect_and_send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Client {
        let mut client = Client::connect(address);
        client.send(bytes);
        client
    }

    /// Opens a connection to `address` from the local address `from`, for example `127.0.0.2:0`: port 0 means any port.
    pub fn connect_from(from: &str, address: SocketAddr) -> Client {
        let from: SocketAddr = from.parse().expect("an address");
        Client::connect_with(address, |socket| socket.bind(&from.into()))
    }

    /// Opens a connection with a receive buffer of a few kilobytes, so that the server can send little before the
    /// client reads.
    pub fn connect_with_small_buffer(address: SocketAddr) -> Client {
        Client::connect_with(address, |socket| socket.set_recv_buffer_size(4 * 1024))
    }

    /// Opens a connection to `address`. `set_up` changes the socket before it connects.
    fn connect_with(address: SocketAddr, set_up: impl FnOnce(&Socket) -> io::Result<()>) -> Client {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        set_up(&socket).expect("a local address, or a small buffer");
        socket.connect_timeout(&address.into(), TIMEOUT).expect("a connection");
        Client::from_stream(socket.into())
    }

    /// Makes a client of a connected socket: sets the timeouts, and turns Nagle's algorithm off.
    fn from_stream(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a read timeout");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a write timeout");
        Client { stream, collector: ResponseCollector::default(), received: Vec::new() }
    }

    /// Sends all bytes. Panics if the connection is broken, or the server does not take them within [`TIMEOUT`].
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server receives");
    }

    /// Sends all bytes. Returns an error if the connection is broken, or the server does not take them within
    /// [`TIMEOUT`].
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads the next response. Panics if it is interim (1xx), malformed, incomplete or missing.
    ///
    /// If the method of the request is HEAD or its version HTTP/1.0, use [`response_to`](Client::response_to) instead:
    /// both affect where the response ends.
    pub fn response(&mut self) -> Response {
        self.response_to("")
    }

    /// Reads the next response, of any final status. Returns a description of the error if the response is interim
    /// (1xx), malformed, incomplete or missing. The request must not be HEAD or HTTP/1.0.
    pub fn try_response(&mut self) -> Result<Response, String> {
        self.try_response_to(b"")
    }

    /// Reads the response to `request`, which the test has sent before. The method and the version of `request` decide
    /// whether a body follows and how it may end. Panics if the response is interim (1xx), malformed, incomplete or
    /// missing.
    pub fn response_to(&mut self, request: impl AsRef<[u8]>) -> Response {
        let request = request.as_ref();
        self.try_response_to(request).unwrap_or_else(|error| {
            panic!("{error}, in response to {}", request[..request.len().min(400)].escape_ascii())
        })
    }

    /// Sends a request and reads its response. Panics if the request cannot be sent, or if the response is interim
    /// (1xx), malformed, incomplete or missing.
    pub fn fetch(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(&request);
        self.response_to(request)
    }

    /// Sends a request and reads its response. Returns a description of the error if the request cannot be sent, or if
    /// the response is interim (1xx), malformed, incomplete or missing.
    pub fn try_fetch(&mut self, request: impl AsRef<[u8]>) -> Result<Response, String> {
        self.try_send(&request).map_err(|error| error.to_string())?;
        self.try_response_to(request.as_ref())
    }

    /// Reads the final response to `request`, and checks its form. An empty request stands for GET in HTTP/1.1.
    fn try_response_to(&mut self, request: &[u8]) -> Result<Response, String> {
        let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let kind = RequestKind { head: line.starts_with(b"HEAD "), http10: line.ends_with(b" HTTP/1.0") };
        loop {
            let (len, mut response) = self.collector.take(&self.received, kind)?;
            self.received.drain(..len);
            if response.is_none() && !self.receive()? {
                let last = self.collector.end(kind)?;
                response = Some(last.ok_or("the server has closed the connection without a response")?);
            }
            match response {
                Some(response) if !response.is_final() => {
                    return Err(format!("interim {}", response.describe()));
                }
                Some(response) => return exact_form::check(&response).map(|()| response),
                None => {}
            }
        }
    }

    /// Reads from the socket once. Returns false at the end of the connection.
    fn receive(&mut self) -> Result<bool, String> {
        let known = self.received.len();
        self.received.resize(known + 64 * 1024, 0);
        let count = retry_on_eintr(|| (&self.stream).read(&mut self.received[known..]));
        self.received.truncate(known + *count.as_ref().unwrap_or(&0));
        count.map(|count| count > 0).map_err(|error| format!("reading failed: {error}"))
    }

    /// Waits until 15 bytes have arrived: the length of `HTTP/1.1 200 OK`. Does not check what they are, and consumes
    /// none, so that [`response`](Client::response) still reads the whole response.
    ///
    /// Panics if the 15 bytes have not arrived after [`TIMEOUT`], even if the server has closed the connection before.
    pub fn await_status_line(&self) {
        let mut start = [0; b"HTTP/1.1 200 OK".len()];
        // A peek does not wait for more bytes once one has arrived or the server has closed the connection.
        wait_for("a status line", || {
            let count = retry_on_eintr(|| self.stream.peek(&mut start)).expect("bytes of a response");
            (count == start.len()).then_some(())
        });
    }

    /// Waits until the bytes that have arrived end with `end`, within the first 4,096. Consumes none.
    ///
    /// Panics if they have not arrived after [`TIMEOUT`].
    pub fn await_bytes(&self, end: &str) {
        let mut start = [0; 4096];
        wait_for(end, || {
            let count = retry_on_eintr(|| self.stream.peek(&mut start)).expect("bytes of a response");
            start[..count].ends_with(end.as_bytes()).then_some(())
        });
    }

    /// Returns whether bytes have arrived that were not read yet, or the server has closed the connection. Does not
    /// wait, and consumes no bytes.
    pub fn has_received(&self) -> bool {
        !self.received.is_empty() || self.peek().is_some()
    }

    /// Returns whether the server has closed the connection and all its bytes have been read. Does not wait.
    pub fn is_closed(&self) -> bool {
        self.received.is_empty() && self.peek() == Some(0)
    }

    /// Returns how many bytes can be read from the socket now, at most one, or `None` if a read would wait. A reset
    /// counts as 0.
    fn peek(&self) -> Option<usize> {
        self.stream.set_nonblocking(true).expect("a socket");
        let peeked = retry_on_eintr(|| self.stream.peek(&mut [0]));
        self.stream.set_nonblocking(false).expect("a socket");
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            peeked => Some(peeked.unwrap_or(0)),
        }
    }

    /// Closes the connection with a reset (RST), after which the server can neither read nor write. After a normal
    /// close (FIN), the server could believe that the client still reads.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    /// Half-closes the connection: the client sends no more but still reads.
    pub fn shutdown_write(&self) {
        self.stream.shutdown(Shutdown::Write).expect("an open connection");
    }

    /// Waits until the server closes the connection. Panics if the server sends anything before that.
    pub fn expect_eof(&mut self) {
        let is_open = self.received.is_empty() && self.receive().unwrap_or_else(|error| panic!("{error}"));
        let stray = self.received[..self.received.len().min(200)].escape_ascii();
        assert!(!is_open && self.received.is_empty(), "stray bytes: {stray}");
    }

    /// Half-closes the connection, then waits until the server closes it. Panics if the server sends anything before
    /// that.
    pub fn finish(mut self) {
        // This fails if the server has reset the connection.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.expect_eof();
    }
}
