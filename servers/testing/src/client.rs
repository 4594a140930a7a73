//! A client on a real socket: sends bytes as they are, reads responses with [`ReplyReader`].
//!
//! Every wait ends after [`TIMEOUT`], so that a test fails and does not hang.

use crate::reply::{Reply, ReplyReader, retry_on_eintr};
use socket2::{Domain, SockRef, Socket, Type};
use std::{
    io::{self, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// The timeout of every wait in a test: far longer than any of them takes.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Calls `poll` every few milliseconds until it returns a value. Panics with `what` after [`TIMEOUT`].
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

/// The head of an HTTP/1.1 request. `headers` are further header lines, each with its CRLF.
pub fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")
}

pub fn get(target: &str) -> String {
    request("GET", target, "")
}

/// A connection to a server.
pub struct Client {
    pub stream: TcpStream,
    reader: ReplyReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::from_stream(TcpStream::connect_timeout(&address, TIMEOUT).expect("a connection"))
    }

    /// Connects from the local address `from`, for example `127.0.0.2:0`.
    pub fn connect_from(from: &str, address: SocketAddr) -> Client {
        let from: SocketAddr = from.parse().expect("an address");
        Client::connect_with(address, |socket| socket.bind(&from.into()))
    }

    /// Connects with a receive buffer of a few kilobytes, so that the server can send little before the client reads.
    pub fn connect_with_small_buffer(address: SocketAddr) -> Client {
        Client::connect_with(address, |socket| socket.set_recv_buffer_size(4 * 1024))
    }

    fn connect_with(address: SocketAddr, set_up: impl FnOnce(&Socket) -> io::Result<()>) -> Client {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        set_up(&socket).expect("a local address, or a small buffer");
        socket.connect_timeout(&address.into(), TIMEOUT).expect("a connection");
        Client::from_stream(socket.into())
    }

    fn from_stream(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a read timeout");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a write timeout");
        let reader = ReplyReader::new(stream.try_clone().expect("a second handle"));
        Client { stream, reader }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server receives");
    }

    /// Sends to a server that may have closed the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads the response to a request that was sent, unless its method was HEAD or its version HTTP/1.0: for these
    /// use [`reply_to`](Client::reply_to).
    pub fn reply(&mut self) -> Reply {
        self.try_reply().unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_reply(&mut self) -> Result<Reply, String> {
        self.reader.reply()
    }

    /// Reads the response to this request, which was sent before.
    pub fn reply_to(&mut self, request: impl AsRef<[u8]>) -> Reply {
        let request = request.as_ref();
        self.reader.reply_to(request).unwrap_or_else(|error| {
            panic!("{error}, in response to {}", request[..request.len().min(400)].escape_ascii())
        })
    }

    /// Sends a request and reads its response.
    pub fn fetch(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(&request);
        self.reply_to(request)
    }

    /// The same on a connection that the server may have closed.
    pub fn try_fetch(&mut self, request: impl AsRef<[u8]>) -> Result<Reply, String> {
        self.try_send(&request).map_err(|error| error.to_string())?;
        self.reader.reply_to(request.as_ref())
    }

    /// Reads `100 Continue`.
    pub fn read_continue(&mut self) {
        self.reader.read_continue().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until a response has begun to arrive, without reading it.
    pub fn await_status_line(&self) {
        let mut start = [0; b"HTTP/1.1 200 OK".len()];
        while retry_on_eintr(|| self.stream.peek(&mut start)).expect("a response begins") < start.len() {}
    }

    /// Closes the connection with a reset, which the server cannot mistake for a half-close.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    pub fn shutdown_write(&self) {
        self.stream.shutdown(Shutdown::Write).expect("an open connection");
    }

    /// Waits until the server closes the connection. It must not send anything before.
    pub fn expect_eof(&mut self) {
        self.reader.expect_eof().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Sends no more requests, and checks that the server sends no more responses.
    pub fn finish(mut self) {
        // This fails if the server has already closed the connection.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.expect_eof();
    }
}
