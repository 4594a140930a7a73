//! Clients that occupy connections beside a measured load: they stay idle, or send a byte now and then.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http_test_suite::request::get;

/// The timeout for a neighbour's first answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time between two bytes of a slow client.
const DRIP: Duration = Duration::from_millis(100);

/// Slow clients send in this many groups, one after the other, so that their bytes do not arrive all at once.
const GROUPS: usize = 20;

/// Idle clients: each has sent one request and keeps its connection. They disconnect when dropped.
#[derive(Debug)]
pub struct Herd {
    connections: Vec<TcpStream>,
}

impl Herd {
    /// Connects the clients. Each sends a request, and waits for the answer.
    ///
    /// # Errors
    ///
    /// If a client gets no answer.
    pub fn settle(address: SocketAddr, clients: usize) -> io::Result<Herd> {
        let settle = |_| {
            let mut stream = connect(address)?;
            stream.write_all(&hello())?;
            let answered = stream.read(&mut [0; 1024])?;
            if answered == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(stream) }
        };
        Ok(Herd { connections: (0..clients).map(settle).collect::<io::Result<_>>()? })
    }

    /// The number of clients that the server has disconnected.
    pub fn lost(&self) -> usize {
        self.connections
            .iter()
            .filter(|stream| stream.set_nonblocking(true).is_ok() && has_ended(stream))
            .count()
    }
}

/// Slow clients, which send a request one byte at a time. They disconnect when dropped.
#[derive(Debug)]
pub struct Drips {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

/// One slow client.
struct Drip {
    stream: TcpStream,
    sent: usize,
}

impl Drips {
    /// Connects the clients. Each sends its first byte.
    ///
    /// # Errors
    ///
    /// If a client cannot connect.
    pub fn start(address: SocketAddr, clients: usize) -> io::Result<Drips> {
        let start = |_| {
            let stream = connect(address)?;
            stream.set_nonblocking(true)?;
            let mut drip = Drip { stream, sent: 0 };
            drip.send_one(&hello());
            Ok(drip)
        };
        let mut drips = (0..clients).map(start).collect::<io::Result<Vec<Drip>>>()?;
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&over);
        let drip = move || drip(&mut drips, &watched);
        Ok(Drips { over, thread: Some(thread::Builder::new().name("drips".to_owned()).spawn(drip)?) })
    }

    /// Disconnects the clients. Returns how many the server had disconnected before.
    pub fn end(mut self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or(0)
    }
}

impl Drop for Drips {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Makes each client send a byte in turn until `over`. Returns how many the server had disconnected by then.
fn drip(drips: &mut [Drip], over: &AtomicBool) -> usize {
    let request = hello();
    let mut due = Instant::now();
    for group in (0..GROUPS).cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        drips.iter_mut().skip(group).step_by(GROUPS).for_each(|drip| drip.send_one(&request));
        due += DRIP / GROUPS as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    drips.iter().filter(|drip| has_ended(&drip.stream)).count()
}

impl Drip {
    /// Sends the next byte. After the last byte of the request it starts again with the first; answers are ignored.
    fn send_one(&mut self, request: &[u8]) {
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

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn hello() -> Vec<u8> {
    get("/hello").into()
}

/// Whether the server has closed or reset the connection. Does not block, and consumes no bytes.
fn has_ended(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
