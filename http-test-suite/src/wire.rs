//! One connection to the server, as bytes, without any knowledge of HTTP.
//!
//! A thread reads all the time, so the client never blocks a server that must write before it reads on. Every wait here
//! waits for that thread, with a deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The timeouts of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The timeout for connecting, for a write, and for a reply.
    pub timeout: Duration,
    /// How long to wait for unexpected bytes before assuming that none will come.
    pub quiet: Duration,
}

/// How the server's side of a connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It was still open when the client closed.
    #[default]
    Open,
    /// By an orderly close, after all bytes were received.
    Closed,
    /// By a reset, or while the client was still sending: both can cost a client the last reply.
    Reset,
}

/// A connection, with all bytes sent and received.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    inbox: Receiver<Arrival>,
    /// Bytes of all writes that succeeded.
    pub sent: Vec<u8>,
    /// Bytes received; [`Wire::receive`] adds to them.
    pub received: Vec<u8>,
    /// Set by [`Wire::receive`] once the server's side ended.
    pub end: End,
    /// Whether nothing more can be sent: set by [`Wire::half_close`] and by a failed write.
    pub mute: bool,
    /// Whether a write failed because the server had closed or reset. Bytes that came before may still be received.
    pub abandoned: bool,
}

#[derive(Debug)]
enum Arrival {
    Bytes(Vec<u8>),
    End(End),
}

impl Wire {
    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// If the connection cannot be made within the timeout.
    pub fn dial(server: SocketAddr, patience: Patience) -> io::Result<Wire> {
        let stream = TcpStream::connect_timeout(&server, patience.timeout)?;
        // Each write must leave as a segment of its own, so Nagle's algorithm must not delay it.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(patience.timeout))?;
        let (outbox, inbox) = channel();
        let reading = stream.try_clone()?;
        thread::Builder::new().spawn(move || read_all(reading, &outbox))?;
        Ok(Wire {
            stream,
            inbox,
            sent: Vec::new(),
            received: Vec::new(),
            end: End::Open,
            mute: false,
            abandoned: false,
        })
    }

    /// Sends `bytes`, with one write if the kernel takes them all. A server may stop reading, so a failed write is not
    /// an error here; the replies decide.
    pub fn send(&mut self, bytes: &[u8]) {
        if self.mute {
            return;
        }
        match self.stream.write_all(bytes) {
            Ok(()) => self.sent.extend_from_slice(bytes),
            Err(error) => {
                self.mute = true;
                self.abandoned = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
            }
        }
    }

    /// Closes the client's side; the server can still send.
    pub fn half_close(&mut self) {
        self.mute = true;
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// Waits until more bytes arrive or the server's side ends. Returns false if that side had already ended, or if
    /// nothing came before the deadline.
    pub fn receive(&mut self, deadline: Instant) -> bool {
        if self.end != End::Open {
            return false;
        }
        match self.inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Arrival::Bytes(bytes)) => self.received.extend(bytes),
            Ok(Arrival::End(end)) => self.end = end,
            Err(_) => return false,
        }
        true
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Unblocks the reading thread, which then ends.
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

fn read_all(mut stream: TcpStream, outbox: &Sender<Arrival>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let arrival = match stream.read(&mut buffer) {
            Ok(0) => Arrival::End(End::Closed),
            Ok(count) => Arrival::Bytes(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => Arrival::End(End::Reset),
        };
        let ended = matches!(arrival, Arrival::End(_));
        if outbox.send(arrival).is_err() || ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Patience = Patience { timeout: Duration::from_secs(5), quiet: Duration::from_millis(50) };

    fn dial() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Wire::dial(listener.local_addr().unwrap(), PATIENCE).unwrap();
        (wire, listener.accept().unwrap().0)
    }

    fn receive_all(wire: &mut Wire) {
        while wire.receive(Instant::now() + PATIENCE.timeout) {}
    }

    #[test]
    fn receives_until_the_server_closes() {
        let (mut wire, mut server) = dial();
        server.write_all(b"abc").unwrap();
        drop(server);
        receive_all(&mut wire);
        assert_eq!((wire.received.as_slice(), wire.end), (&b"abc"[..], End::Closed));
    }

    #[test]
    fn tells_a_reset_from_a_close() {
        let (mut wire, server) = dial();
        wire.send(b"unread");
        // Wait for the bytes: closing a socket with unread bytes sends a reset.
        server.peek(&mut [0]).unwrap();
        drop(server);
        receive_all(&mut wire);
        assert_eq!(wire.end, End::Reset);
    }

    #[test]
    fn notes_a_write_to_a_closed_connection() {
        let (mut wire, server) = dial();
        drop(server);
        receive_all(&mut wire);
        // The first write causes a reset; a later write fails because of it.
        while !wire.mute {
            wire.send(b"x");
        }
        assert!(wire.abandoned);
    }

    #[test]
    fn returns_at_the_deadline() {
        let (mut wire, _server) = dial();
        assert!(!wire.receive(Instant::now() + PATIENCE.quiet));
        assert_eq!(wire.end, End::Open);
    }

    #[test]
    fn receives_a_reply_after_a_half_close() {
        let (mut wire, mut server) = dial();
        wire.send(b"abc");
        wire.half_close();
        let mut request = Vec::new();
        server.read_to_end(&mut request).unwrap();
        server.write_all(&request).unwrap();
        drop(server);
        receive_all(&mut wire);
        assert_eq!(wire.received, b"abc");
    }
}
