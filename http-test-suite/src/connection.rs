//! One connection to a server: sends bytes exactly as they are, and reads the responses.
//!
//! A thread receives all the time, so that the client never blocks a server that must write before it reads on.
//! Connecting, writing and receiving each have a timeout.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::request::first_request;
use crate::response::{Response, ResponseCollector};

/// Whether the server ended its side of a connection, and how: by a close or by a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// The server did not end it: the connection was open when the client stopped receiving.
    #[default]
    Open,
    /// The server closed its side: the client received the end of the stream after all bytes.
    Closed,
    /// The server reset the connection, or closed it while the client was still sending. Both can cost a client the
    /// last response.
    Reset,
}

/// A connection to a server, with all bytes sent and received, and the reader of its responses.
#[derive(Debug)]
pub struct Connection {
    /// The socket; a thread receives from a clone of it.
    stream: TcpStream,
    /// The received bytes, and then the end of the connection, from the receiving thread.
    arrivals: Receiver<Arrival>,
    /// The reader of the responses in `received`.
    responses: ResponseCollector,
    /// How many of the received bytes `responses` has read.
    read_len: usize,
    /// How many of the received bytes belong to complete responses.
    complete_len: usize,
    /// The number of sent bytes up to the end of the last request line that has its final response.
    answered_len: usize,
    /// The bytes of all writes that succeeded.
    pub sent: Vec<u8>,
    /// The bytes received from the server so far.
    pub received: Vec<u8>,
    /// How the server ended its side; `Open` until [`Connection::receive`] finds the end.
    pub end: ConnectionEnd,
    /// Whether the client can send no more: after [`Connection::half_close`] or a failed write.
    pub is_write_closed: bool,
    /// Whether a write failed because the server had closed or reset the connection. Earlier bytes of the server can
    /// still be received.
    pub is_write_reset: bool,
}

/// What the receiving thread passes on: received bytes, at least one; or, after all bytes, the end of the connection.
type Arrival = Result<Vec<u8>, ConnectionEnd>;

impl Connection {
    /// Connects to the server, and starts the thread that receives. `timeout` limits connecting, and each write.
    ///
    /// # Errors
    ///
    /// If the connection cannot be made within the timeout.
    pub fn connect(server: SocketAddr, timeout: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&server, timeout)?;
        // Each write must leave as a segment of its own, so Nagle's algorithm must not delay it.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(timeout))?;
        let (sender, arrivals) = channel();
        let receiving = stream.try_clone()?;
        thread::Builder::new().spawn(move || receive_all(receiving, &sender))?;
        Ok(Connection {
            stream,
            arrivals,
            responses: ResponseCollector::default(),
            read_len: 0,
            complete_len: 0,
            answered_len: 0,
            sent: Vec::new(),
            received: Vec::new(),
            end: ConnectionEnd::Open,
            is_write_closed: false,
            is_write_reset: false,
        })
    }

    /// Sends `bytes`, with one write if the kernel accepts them all. A server may stop reading, so a failed write is
    /// not an error here: the responses decide. After it, nothing more is sent.
    pub fn send(&mut self, bytes: &[u8]) {
        if self.is_write_closed {
            return;
        }
        match self.stream.write_all(bytes) {
            Ok(()) => self.sent.extend_from_slice(bytes),
            Err(error) => {
                self.is_write_closed = true;
                self.is_write_reset =
                    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
            }
        }
    }

    /// Closes the client's sending side. The server can still send.
    pub fn half_close(&mut self) {
        self.is_write_closed = true;
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// Waits until more bytes arrive or the server ends its side. Returns false if it had ended before, or if nothing
    /// happened before the deadline.
    pub fn receive(&mut self, deadline: Instant) -> bool {
        if self.end != ConnectionEnd::Open {
            return false;
        }
        match self.arrivals.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(bytes)) => self.received.extend(bytes),
            Ok(Err(end)) => self.end = end,
            Err(_) => return false,
        }
        true
    }

    /// Returns the next response, interim or final, in the bytes received so far; `None` if it is not complete. It is
    /// read as the response to the first request line sent that has no final response; without one, as that to a GET.
    ///
    /// # Errors
    ///
    /// Describes what is wrong with the bytes, or says that the connection ended inside the response.
    pub fn next_response(&mut self) -> Result<Option<Response>, String> {
        let (request, request_len) = first_request(&self.sent[self.answered_len..]).unwrap_or_default();
        let (len, mut response) = self.responses.take(&self.received[self.read_len..], request)?;
        self.read_len += len;
        if response.is_none() && self.end != ConnectionEnd::Open {
            response = self.responses.end(request)?;
        }
        if let Some(response) = &response {
            self.complete_len = self.read_len;
            self.answered_len += if response.is_final() { request_len } else { 0 };
        }
        Ok(response)
    }

    /// The received bytes after the last complete response.
    pub fn unread(&self) -> &[u8] {
        &self.received[self.complete_len..]
    }
}

impl Drop for Connection {
    /// Shuts the socket down, so that the receiving thread ends.
    fn drop(&mut self) {
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

/// Passes on received bytes until the connection ends. Runs on a thread of its own.
fn receive_all(mut stream: TcpStream, arrivals: &Sender<Arrival>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let arrival = match stream.read(&mut buffer) {
            Ok(0) => Err(ConnectionEnd::Closed),
            Ok(count) => Ok(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => Err(ConnectionEnd::Reset),
        };
        let is_end = arrival.is_err();
        if arrivals.send(arrival).is_err() || is_end {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn connect() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = Connection::connect(listener.local_addr().unwrap(), TIMEOUT).unwrap();
        (connection, listener.accept().unwrap().0)
    }

    fn receive_to_the_end(connection: &mut Connection) {
        while connection.receive(Instant::now() + TIMEOUT) {}
    }

    #[test]
    fn tells_how_the_connection_ends() {
        let (mut connection, mut server) = connect();
        assert!(!connection.receive(Instant::now() + Duration::from_millis(50)));
        assert_eq!(connection.end, ConnectionEnd::Open);
        server.write_all(b"abc").unwrap();
        drop(server);
        receive_to_the_end(&mut connection);
        assert_eq!((connection.received.as_slice(), connection.end), (&b"abc"[..], ConnectionEnd::Closed));
        // The first write causes a reset; a later write fails because of it.
        while !connection.is_write_closed {
            connection.send(b"x");
        }
        assert!(connection.is_write_reset);

        let (mut connection, server) = connect();
        connection.send(b"unread");
        // Wait for the bytes: closing a socket with unread bytes sends a reset.
        server.peek(&mut [0]).unwrap();
        drop(server);
        receive_to_the_end(&mut connection);
        assert_eq!(connection.end, ConnectionEnd::Reset);
    }

    #[test]
    fn receives_responses_after_a_half_close() {
        let (mut connection, mut server) = connect();
        connection.send(b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\na");
        connection.half_close();
        let mut request = Vec::new();
        server.read_to_end(&mut request).unwrap();
        server.write_all(&request).unwrap();
        drop(server);
        receive_to_the_end(&mut connection);
        for expected in [Some(204), Some(200), None] {
            let response = connection.next_response().unwrap();
            assert_eq!(response.map(|response| response.status), expected);
        }
        assert!(connection.unread().is_empty());
    }
}
