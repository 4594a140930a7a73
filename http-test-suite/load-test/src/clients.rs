//! Clients that occupy connections while another load is measured: idle clients, and clients that send their request
//! slowly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use http_test_suite::request::get;

/// How long an idle client waits for its response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time between two bytes of one slow client.
const BYTE_INTERVAL: Duration = Duration::from_millis(100);

/// The number of groups of slow clients. One group after the other sends a byte per client, spread over
/// [`BYTE_INTERVAL`], so that the bytes of all clients do not arrive at once.
const GROUPS: usize = 20;

/// Calls `run` beside idle clients: each has sent a request for `/hello` and received the response, and keeps its
/// connection open. Returns the result of `run`, and how many of the clients the server had disconnected by its end.
///
/// # Errors
///
/// If a client cannot connect, or gets no response.
pub fn beside_idle<T>(server: SocketAddr, clients: usize, run: impl FnOnce() -> T) -> io::Result<(T, usize)> {
    let connect = |_| {
        let mut client = Client::connect(server)?;
        client.stream.write_all(&client.request)?;
        match client.stream.read(&mut [0; 1024])? {
            0 => Err(io::Error::other("the server closed an idle client's connection")),
            _ => Ok(client),
        }
    };
    let clients = (0..clients).map(connect).collect::<io::Result<Vec<_>>>()?;
    Ok((run(), count_disconnected(&clients)?))
}

/// Calls `run` beside slow clients: each sends requests for `/hello` one byte at a time. Returns the result of `run`,
/// and how many of the clients the server had disconnected by its end.
///
/// # Errors
///
/// If a client cannot connect.
pub fn beside_slow<T>(server: SocketAddr, clients: usize, run: impl FnOnce() -> T) -> io::Result<(T, usize)> {
    let connect = |_| {
        let mut client = Client::connect(server)?;
        client.stream.set_nonblocking(true)?;
        client.send_byte();
        Ok(client)
    };
    let mut clients = (0..clients).map(connect).collect::<io::Result<Vec<_>>>()?;
    let is_running = AtomicBool::new(true);
    let result = thread::scope(|scope| {
        scope.spawn(|| send_in_turn(&mut clients, &is_running));
        let result = run();
        is_running.store(false, Ordering::Relaxed);
        result
    });
    Ok((result, count_disconnected(&clients)?))
}

/// Makes each client send a byte every [`BYTE_INTERVAL`], one group after the other, until `is_running` is false.
fn send_in_turn(clients: &mut [Client], is_running: &AtomicBool) {
    let mut due = Instant::now();
    for group in (0..GROUPS).cycle() {
        if !is_running.load(Ordering::Relaxed) {
            return;
        }
        clients.iter_mut().skip(group).step_by(GROUPS).for_each(Client::send_byte);
        due += BYTE_INTERVAL / GROUPS as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// The number of clients whose connection the server has closed or reset.
fn count_disconnected(clients: &[Client]) -> io::Result<usize> {
    let mut count = 0;
    for Client { stream, .. } in clients {
        stream.set_nonblocking(true)?;
        // The bytes before the end may be an error response.
        let end = io::copy(&mut &*stream, &mut io::sink());
        count += usize::from(end.map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true));
    }
    Ok(count)
}

/// One idle or slow client: a connection to the measured server.
struct Client {
    /// The TCP connection to the server.
    stream: TcpStream,
    /// The bytes of a request for `/hello`, which the client sends once or again and again.
    request: Vec<u8>,
    /// How many bytes of the current request a slow client has sent.
    sent: usize,
}

impl Client {
    /// Connects a client to the server. It has sent nothing yet.
    fn connect(server: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Client { stream, request: get("/hello").into(), sent: 0 })
    }

    /// Sends the next byte of the request. After the last byte it starts the next request.
    fn send_byte(&mut self) {
        if self.sent == self.request.len() {
            self.sent = 0;
            // Reading only empties the receive buffer; bytes that come later are read later.
            let _ = self.stream.read(&mut [0; 1024]);
        }
        // A failed write is ignored: disconnected clients are counted at the end.
        if let Ok(1) = self.stream.write(&self.request[self.sent..=self.sent]) {
            self.sent += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};
    use std::sync::Barrier;

    use super::*;

    /// Calls `beside` with 30 clients of a server, which responds to all and then closes `closed` of the connections.
    /// Expects that this number is returned.
    fn check(beside: impl FnOnce(SocketAddr, &dyn Fn()) -> io::Result<((), usize)>, closed: usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accept = |_| {
            let (mut stream, _) = listener.accept().unwrap();
            // A slow client sends its second byte in its turn.
            stream.read_exact(&mut [0; 2]).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            stream
        };
        let is_closed = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                let streams: Vec<_> = (0..30).map(accept).collect();
                streams[..closed].iter().for_each(|stream| stream.shutdown(Shutdown::Write).unwrap());
                is_closed.wait();
                // The connections stay open until they are counted.
                is_closed.wait();
            });
            let run = || {
                is_closed.wait();
            };
            let ((), disconnected) = beside(address, &run).unwrap();
            is_closed.wait();
            assert_eq!(disconnected, closed);
        });
    }

    #[test]
    fn counts_clients_that_the_server_disconnects() {
        for closed in [0, 7] {
            check(|server, run| beside_idle(server, 30, run), closed);
            check(|server, run| beside_slow(server, 30, run), closed);
        }
    }
}
