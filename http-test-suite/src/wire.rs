//! One connection to the server, as bytes. It knows no HTTP.
//!
//! A thread reads whatever comes, always: so a server that must write before it reads on is never blocked by us, and
//! every wait here is a wait for that thread, with a deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What a conversation may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long connecting, a write, or the wait for a reply may take.
    pub timeout: Duration,
    /// How long silence must last to be believed where it cannot be asked about.
    pub quiet: Duration,
}

/// How the server's side of a connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It had not, when we left.
    #[default]
    Open,
    /// In order, with all its bytes received.
    Closed,
    /// By a reset, or while we were still sending: both can cost a client the last reply.
    Reset,
}

/// A connection, and everything that went either way.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    inbox: Receiver<Arrival>,
    /// Grows with each write that succeeded.
    pub sent: Vec<u8>,
    /// Grows with each [`Wire::receive`].
    pub received: Vec<u8>,
    /// Set by [`Wire::receive`] once the server's side ended.
    pub end: End,
    /// Set by [`Wire::half_close`], and by a write that failed: nothing more can be sent.
    pub mute: bool,
    /// Set by a write that failed because nobody is there any more. What had come before may still be received.
    pub abandoned: bool,
}

#[derive(Debug)]
enum Arrival {
    Bytes(Vec<u8>),
    End(End),
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Those of connecting, also when it takes longer than the patience.
    pub fn dial(server: SocketAddr, patience: Patience) -> io::Result<Wire> {
        let stream = TcpStream::connect_timeout(&server, patience.timeout)?;
        // Pieces of a script are segments: nothing may hold one back to join it with the next.
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

    /// Sends `bytes` with one write if the kernel takes them. A server may refuse to read on, so failure is no error:
    /// what it answered is what counts.
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

    /// Ends our side; the server's may go on.
    pub fn half_close(&mut self) {
        self.mute = true;
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// Waits until more bytes are there or the server's side has ended. False if it already had, or if nothing came
    /// before the deadline.
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
        // Wakes the reading thread, which then ends.
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
        // Wait for the bytes: closing with some unread is what makes a reset.
        server.peek(&mut [0]).unwrap();
        drop(server);
        receive_all(&mut wire);
        assert_eq!(wire.end, End::Reset);
    }

    #[test]
    fn notices_that_nobody_is_there_any_more() {
        let (mut wire, server) = dial();
        drop(server);
        receive_all(&mut wire);
        // The first write finds out, by a reset that comes back; a later one is told.
        while !wire.mute {
            wire.send(b"x");
        }
        assert!(wire.abandoned);
    }

    #[test]
    fn gives_up_at_the_deadline() {
        let (mut wire, _server) = dial();
        assert!(!wire.receive(Instant::now() + PATIENCE.quiet));
        assert_eq!(wire.end, End::Open);
    }

    #[test]
    fn hears_the_answer_after_a_half_close() {
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
