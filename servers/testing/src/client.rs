//! A client on a real socket: sends bytes as they are given, reads with [`Reader`], and never waits for ever.

use crate::reply::{Asked, Reader, Reply};
use socket2::{Domain, SockRef, Socket, Type};
use std::{
    io::{self, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take here. Far more than it does; when it is over, a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Repeats `look` until it finds something: for what tells nobody when it happens.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An HTTP/1.1 request with these further field lines, each with its CRLF.
pub fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
}

pub fn get(target: &str) -> String {
    request("GET", target, "")
}

/// One connection.
pub struct Client {
    pub stream: TcpStream,
    reader: Reader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect_timeout(&address, PATIENCE).expect("a connection"))
    }

    /// A client at this address.
    pub fn connect_from(from: &str, address: SocketAddr) -> Client {
        let from: SocketAddr = from.parse().expect("an address");
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.bind(&from.into()).expect("an address of this machine");
        socket.connect_timeout(&address.into(), PATIENCE).expect("a connection");
        Client::over(socket.into())
    }

    /// A client whose system takes no more than some kilobytes before they are read.
    pub fn connect_narrow(address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
        socket.connect_timeout(&address.into(), PATIENCE).expect("a connection");
        Client::over(socket.into())
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
        let reader = Reader::new(stream.try_clone().expect("a second handle"));
        Client { stream, reader }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes it");
    }

    /// Sends what may arrive at a closed door.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// The answer to a request that was sent.
    pub fn reply(&mut self, asked: Asked) -> Reply {
        self.try_reply(asked).unwrap_or_else(|fault| panic!("{fault}"))
    }

    pub fn try_reply(&mut self, asked: Asked) -> Result<Reply, String> {
        self.reader.reply(asked)
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        let request = request.as_ref();
        self.send(request);
        self.try_reply(Asked::by(request)).unwrap_or_else(|fault| {
            panic!("{fault}, for {}", request[..request.len().min(400)].escape_ascii())
        })
    }

    /// Asks on a connection that may have ended.
    pub fn ask_again(&mut self, request: impl AsRef<[u8]>) -> Result<Reply, String> {
        let request = request.as_ref();
        self.try_send(request).map_err(|error| error.to_string())?;
        self.try_reply(Asked::by(request))
    }

    /// Reads the interim answer that asks for the content.
    pub fn await_continue(&mut self) {
        self.reader.interim().unwrap_or_else(|fault| panic!("{fault}"));
    }

    /// Goes away in a way that the server cannot take for a half-close: with a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    pub fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("an open connection");
    }

    /// The server ends the connection, and says nothing more before.
    pub fn ends(&mut self) {
        self.reader.end().unwrap_or_else(|fault| panic!("{fault}"));
    }

    /// Says that there will be no more requests: then there must be no more answers.
    pub fn finish(mut self) {
        // A server that has closed first may have taken the whole connection with it.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.ends();
    }
}
