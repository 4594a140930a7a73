//! Clients that occupy connections while another load is measured: idle clients, and clients that send their request
//! slowly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http_test_suite::request::get;

/// The timeout for the response to an idle client.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time between two bytes of a slow client.
const BYTE_INTERVAL: Duration = Duration::from_millis(100);

/// Slow clients send in this many groups, one after the other, so that their bytes do not arrive all at once.
const GROUPS: usize = 20;

/// Idle clients: each has sent one request and keeps its connection open. They disconnect when dropped.
#[derive(Debug)]
pub struct IdleClients {
    /// One open connection for each client.
    connections: Vec<TcpStream>,
}

impl IdleClients {
    /// Connects the clients one after the other. Each sends a request for `/hello`, and waits for the response.
    ///
    /// # Errors
    ///
    /// If a client cannot connect, or gets no response.
    pub fn connect(address: SocketAddr, clients: usize) -> io::Result<IdleClients> {
        let start = |_| {
            let mut stream = connect(address)?;
            stream.write_all(&request())?;
            match stream.read(&mut [0; 1024])? {
                0 => Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server closed an idle client's connection",
                )),
                _ => Ok(stream),
            }
        };
        Ok(IdleClients { connections: (0..clients).map(start).collect::<io::Result<_>>()? })
    }

    /// The number of clients that the server has disconnected.
    pub fn disconnected(&self) -> usize {
        self.connections
            .iter()
            .filter(|stream| stream.set_nonblocking(true).is_ok() && is_disconnected(stream))
            .count()
    }
}

/// Slow clients: each sends requests for `/hello` one byte at a time, from a thread that all share. They disconnect when
/// dropped.
#[derive(Debug)]
pub struct SlowClients {
    /// Tells the thread to stop.
    stop: Arc<AtomicBool>,
    /// Sends the bytes of all clients; returns how many the server has disconnected. Always `Some` until `finish`.
    thread: Option<JoinHandle<usize>>,
}

impl SlowClients {
    /// Connects the clients. Each sends its first byte at once.
    ///
    /// # Errors
    ///
    /// If a client cannot connect, or the thread cannot start.
    pub fn start(address: SocketAddr, clients: usize) -> io::Result<SlowClients> {
        let start = |_| {
            let stream = connect(address)?;
            stream.set_nonblocking(true)?;
            let mut client = SlowClient { stream, sent: 0 };
            client.send_byte(&request());
            Ok(client)
        };
        let mut clients = (0..clients).map(start).collect::<io::Result<Vec<_>>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let run = move || send_in_turn(&mut clients, &stopping);
        let thread = thread::Builder::new().name("slow-clients".to_owned()).spawn(run)?;
        Ok(SlowClients { stop, thread: Some(thread) })
    }

    /// Disconnects the clients. Returns how many the server had disconnected before.
    pub fn finish(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or(0)
    }
}

impl Drop for SlowClients {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Makes the clients send a byte each in turn, until `stop`. Returns how many the server had disconnected by then.
fn send_in_turn(clients: &mut [SlowClient], stop: &AtomicBool) -> usize {
    let request = request();
    let mut due = Instant::now();
    for group in (0..GROUPS).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        clients.iter_mut().skip(group).step_by(GROUPS).for_each(|client| client.send_byte(&request));
        due += BYTE_INTERVAL / GROUPS as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    clients.iter().filter(|client| is_disconnected(&client.stream)).count()
}

/// One slow client.
#[derive(Debug)]
struct SlowClient {
    /// Its connection, which never blocks.
    stream: TcpStream,
    /// How many bytes of its current request it has sent.
    sent: usize,
}

impl SlowClient {
    /// Sends the next byte. After the last byte of the request it starts again with the first.
    fn send_byte(&mut self, request: &[u8]) {
        if self.sent == request.len() {
            self.sent = 0;
            // Reading only empties the receive buffer; bytes that come later are read later.
            let _ = self.stream.read(&mut [0; 1024]);
        }
        // A failed write is ignored: disconnected clients are counted at the end.
        if let Ok(1) = self.stream.write(&request[self.sent..=self.sent]) {
            self.sent += 1;
        }
    }
}

/// Opens a blocking connection with a read timeout.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// The request that each client sends.
fn request() -> Vec<u8> {
    get("/hello").into()
}

/// Whether the server has closed or reset a connection that does not block. Reads and drops what the server has sent
/// before: it may have sent an error.
fn is_disconnected(mut stream: &TcpStream) -> bool {
    loop {
        match stream.read(&mut [0; 1024]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};

    use super::*;

    /// Connects 30 clients of each kind to a server, which responds to all and then closes this many connections of each
    /// kind. Returns how many idle and how many slow clients were disconnected.
    fn check(closed: usize) -> (usize, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accept = |_| {
            let (mut stream, _) = listener.accept().unwrap();
            // A slow client sends its second byte in its turn.
            stream.read_exact(&mut [0; 2]).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            stream
        };
        thread::scope(|scope| {
            let serving = scope.spawn(|| (0..60).map(accept).collect::<Vec<_>>());
            let (idle, slow) = (IdleClients::connect(address, 30), SlowClients::start(address, 30));
            let streams = serving.join().unwrap();
            for stream in streams.chunks(30).flat_map(|kind| &kind[..closed]) {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            (idle.unwrap().disconnected(), slow.unwrap().finish())
        })
    }

    #[test]
    fn counts_clients_that_the_server_disconnects() {
        assert_eq!(check(0), (0, 0));
        assert_eq!(check(7), (7, 7));
    }
}
