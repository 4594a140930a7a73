//! A tunnel to a server with TLS, for clients without TLS.
//!
//! Each connection to the tunnel gets a TLS connection to the server, and a thread. The thread passes on what either
//! side does: bytes, the end of what it sends (FIN; with TLS, after close_notify), and a reset. A server that closes
//! without close_notify resets the client. If neither side does anything for [`TIMEOUT`], the thread resets both.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{Shutdown, shutdown};

use crate::load::stream::{Stream, TlsConnector};

/// The timeout for connecting to the server, and for the next event on a connection: longer than a client waits, and
/// than a server may take to free a connection.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The size of the buffer for each direction of a connection, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// A listener whose connections lead to a server with TLS. Dropping it closes the listener, but no connection.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// The address to which clients connect.
    pub(super) address: SocketAddr,
    listener: Arc<TcpListener>,
}

impl Tunnel {
    /// Opens a tunnel to the server at this address.
    pub(super) fn open(server: SocketAddr) -> io::Result<Tunnel> {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
        let tunnel = Tunnel { address: listener.local_addr()?, listener: Arc::clone(&listener) };
        let connector = Arc::new(TlsConnector::new("localhost")?);
        thread::Builder::new().spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let connector = Arc::clone(&connector);
                // An error closes or resets both sides, so the client sees it.
                thread::spawn(move || TunnelConnection::open(client, server, &connector)?.run());
            }
        })?;
        Ok(tunnel)
    }
}

impl Drop for Tunnel {
    /// Ends the thread that accepts connections.
    fn drop(&mut self) {
        // An error means that the thread has ended already.
        let _ = shutdown(&self.listener, Shutdown::Both);
    }
}

/// A connection from a client, and the one to the server.
struct TunnelConnection {
    client: Stream,
    server: Stream,
}

impl TunnelConnection {
    /// Connects a client to the server.
    fn open(client: net::TcpStream, server: SocketAddr, connector: &TlsConnector) -> io::Result<Self> {
        let server = net::TcpStream::connect_timeout(&server, TIMEOUT)?;
        let stream = |tcp: net::TcpStream, connector| {
            tcp.set_nodelay(true)?;
            tcp.set_nonblocking(true)?;
            Stream::new(TcpStream::from_std(tcp), connector)
        };
        Ok(TunnelConnection { client: stream(client, None)?, server: stream(server, Some(connector))? })
    }

    /// Passes on what both sides do, until both have ended. After an error, such as a reset by one side, resets both.
    fn run(mut self) -> io::Result<()> {
        self.pass_all().inspect_err(|_| {
            for side in [&mut self.client, &mut self.server] {
                // The close will be a reset. An error means that the connection has ended already.
                let _ = set_socket_linger(side.tcp(), Some(Duration::ZERO));
            }
        })
    }

    /// Passes on what both sides do, until both have ended.
    fn pass_all(&mut self) -> io::Result<()> {
        let TunnelConnection { client, server } = self;
        let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(2));
        for side in [&mut *client, &mut *server] {
            poll.registry().register(side.tcp(), Token(0), Interest::READABLE | Interest::WRITABLE)?;
        }
        let (mut up, mut down) = (Direction::default(), Direction::default());
        loop {
            // Down first: what comes may be a part of the handshake, to which `up` sends the answer.
            down.pass(server, client)?;
            up.pass(client, server)?;
            if up.is_done && down.is_done {
                return Ok(());
            }
            match poll.poll(&mut events, Some(TIMEOUT)) {
                Ok(()) if events.is_empty() => return Err(ErrorKind::TimedOut.into()),
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }
}

/// What one side sends to the other.
struct Direction {
    buffer: [u8; BUFFER_BYTES],
    /// The part of the buffer that was received and is not sent.
    pending: Range<usize>,
    /// Whether the sender has ended.
    has_ended: bool,
    /// Whether the sender has ended, and the receiver knows.
    is_done: bool,
}

impl Default for Direction {
    fn default() -> Direction {
        Direction { buffer: [0; BUFFER_BYTES], pending: 0..0, has_ended: false, is_done: false }
    }
}

impl Direction {
    /// Passes on what has come, until a socket would block or the sender has ended.
    fn pass(&mut self, from: &mut Stream, to: &mut Stream) -> io::Result<()> {
        match self.pass_to_the_end(from, to) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    /// Does the same, but fails if a socket would block.
    fn pass_to_the_end(&mut self, from: &mut Stream, to: &mut Stream) -> io::Result<()> {
        while !self.is_done {
            while !self.pending.is_empty() {
                self.pending.start += to.write(&self.buffer[self.pending.clone()])?;
            }
            to.flush()?;
            if self.has_ended {
                to.end()?;
                self.is_done = true;
            } else {
                self.pending = 0..from.read(&mut self.buffer)?;
                self.has_ended = self.pending.is_empty();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    /// More bytes than the sockets on the way hold.
    const LEN: usize = 32 << 20;

    /// The timeout for each read and write.
    const IO_TIMEOUT: Duration = Duration::from_secs(10);

    type TlsServer = StreamOwned<ServerConnection, net::TcpStream>;

    /// Runs a client and a TLS server at the two ends of a tunnel.
    fn check(client: impl FnOnce(net::TcpStream), server: impl FnOnce(TlsServer) + Send) {
        let certificate =
            CertificateDer::from_pem_slice(include_bytes!("../../subject/certificate.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../subject/certificate.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tunnel = Tunnel::open(listener.local_addr().unwrap()).unwrap();
        let set_timeouts = |tcp: &net::TcpStream| {
            tcp.set_read_timeout(Some(IO_TIMEOUT)).unwrap();
            tcp.set_write_timeout(Some(IO_TIMEOUT)).unwrap();
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let tcp = listener.accept().unwrap().0;
                set_timeouts(&tcp);
                server(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), tcp));
            });
            let tcp = net::TcpStream::connect(tunnel.address).unwrap();
            set_timeouts(&tcp);
            client(tcp);
        });
    }

    /// Reads one byte. Returns how many bytes came.
    fn read_one(stream: &mut impl Read) -> Result<usize, ErrorKind> {
        stream.read(&mut [0]).map_err(|error| error.kind())
    }

    #[test]
    fn passes_on_bytes_and_ends() {
        let sent: Vec<u8> = (0..LEN).map(|index| (index % 251) as u8).collect();
        let client = |mut client: net::TcpStream| {
            client.write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            assert!(received == sent);
        };
        check(client, |mut server| {
            let mut received = Vec::new();
            // Without close_notify this is an error.
            server.read_to_end(&mut received).unwrap();
            server.write_all(&received).unwrap();
            server.conn.send_close_notify();
            server.flush().unwrap();
        });
    }

    #[test]
    fn resets_the_server_if_the_client_resets() {
        let client = |client: net::TcpStream| {
            // Closed with unread bytes.
            client.peek(&mut [0]).unwrap();
        };
        check(client, |mut server| {
            server.write_all(b"x").unwrap();
            assert_eq!(read_one(&mut server), Err(ErrorKind::ConnectionReset));
        });
    }

    #[test]
    fn resets_the_client_if_the_server_does_not_end_correctly() {
        let expects_reset = |mut client: net::TcpStream| {
            client.write_all(b"x").unwrap();
            assert_eq!(read_one(&mut client), Err(ErrorKind::ConnectionReset));
        };
        check(expects_reset, |mut server| assert_eq!(read_one(&mut server), Ok(1)));
        check(expects_reset, |server| {
            // Closed with unread bytes: a reset during the handshake.
            server.sock.peek(&mut [0]).unwrap();
        });
    }
}
