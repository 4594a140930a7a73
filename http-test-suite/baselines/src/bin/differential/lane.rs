//! Sends a message to a server or a proxy, one at a time, and records what comes out: the statuses for the client, and
//! all that a proxy forwards to its origin.

use crate::{
    http_core,
    reading::{End, Reading},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// How long the origin waits for more bytes before it responds. A proxy may forward a head and its content apart.
const ANSWER_DELAY: Duration = Duration::from_millis(3);

/// How long the origin waits for the rest of an unfinished request before it responds to it.
const UNFINISHED_DELAY: Duration = Duration::from_millis(40);

/// How long the client waits when nothing happens: the server then waits for more bytes.
const QUIET: Duration = Duration::from_millis(150);

/// The longest time that one message takes.
const TIMEOUT: Duration = Duration::from_secs(3);

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// A 200 would make a tunnel of the connection.
const NO_TUNNEL: &[u8] =
    b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What came out of a server or a proxy for one message.
#[derive(Debug, Default)]
pub struct Passage {
    /// The statuses of the final responses to the client.
    pub statuses: Vec<u16>,
    /// What the proxy has sent on each of its connections to the origin. The origin closes each after one response, so
    /// each is what the proxy takes for one request.
    pub forwarded: Vec<Vec<u8>>,
}

/// A server, or a proxy with its recording origin.
pub struct Lane {
    server: SocketAddr,
    origin: Option<TcpListener>,
}

/// A connection from the proxy to the origin.
struct Upstream {
    stream: TcpStream,
    received: Vec<u8>,
    received_at: Instant,
    is_continued: bool,
    is_answered: bool,
    is_closed: bool,
}

impl Lane {
    /// `origin` is where a proxy forwards to; a server has none.
    ///
    /// # Errors
    ///
    /// If the listener cannot be made non-blocking.
    pub fn new(server: SocketAddr, origin: Option<TcpListener>) -> io::Result<Lane> {
        if let Some(origin) = &origin {
            origin.set_nonblocking(true)?;
        }
        Ok(Lane { server, origin })
    }

    /// Sends a message on a connection of its own, and waits until the server has closed it or waits for more.
    ///
    /// # Errors
    ///
    /// If the server accepts no connection.
    pub fn send(&self, message: &[u8]) -> io::Result<Passage> {
        let mut client = TcpStream::connect(self.server)?;
        client.set_nodelay(true)?;
        // A server may close before it has read all.
        let _ = client.write_all(message);
        client.set_nonblocking(true)?;
        let (mut output, mut is_client_open) = (Vec::new(), true);
        let mut upstreams: Vec<Upstream> = Vec::new();
        let started = Instant::now();
        let mut last_event = started;
        loop {
            let now = Instant::now();
            let waits = upstreams.iter().any(|upstream| !upstream.is_answered && !upstream.is_closed);
            let is_over = !is_client_open && upstreams.iter().all(|upstream| upstream.is_closed);
            if is_over || now - started > TIMEOUT || (!waits && now - last_event > QUIET) {
                break;
            }
            self.wait(&client, is_client_open, &upstreams)?;
            let now = Instant::now();
            if is_client_open {
                match receive(&mut client, &mut output) {
                    Received::Nothing => {}
                    Received::Bytes => last_event = now,
                    Received::End => (last_event, is_client_open) = (now, false),
                }
            }
            if let Some(Ok((stream, _))) = self.origin.as_ref().map(TcpListener::accept) {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                upstreams.push(Upstream {
                    stream,
                    received: Vec::new(),
                    received_at: now,
                    is_continued: false,
                    is_answered: false,
                    is_closed: false,
                });
                last_event = now;
            }
            for upstream in upstreams.iter_mut().filter(|upstream| !upstream.is_closed) {
                if upstream.drive(now) {
                    last_event = now;
                }
            }
        }
        let forwarded = upstreams.into_iter().map(|upstream| upstream.received);
        Ok(Passage {
            statuses: statuses(&output),
            forwarded: forwarded.filter(|bytes| !bytes.is_empty()).collect(),
        })
    }

    /// Waits until something has arrived, or a delay may have expired.
    fn wait(&self, client: &TcpStream, is_client_open: bool, upstreams: &[Upstream]) -> io::Result<()> {
        let mut sources = Vec::new();
        if is_client_open {
            sources.push(PollFd::new(client, PollFlags::IN));
        }
        sources.extend(self.origin.iter().map(|origin| PollFd::new(origin, PollFlags::IN)));
        let open = upstreams.iter().filter(|upstream| !upstream.is_closed);
        sources.extend(open.map(|upstream| PollFd::new(&upstream.stream, PollFlags::IN)));
        let waits = upstreams.iter().any(|upstream| !upstream.is_answered && !upstream.is_closed);
        let millis = if waits { 1 } else { 20 };
        match poll(&mut sources, Some(&Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Upstream {
    /// Receives, and responds when it is time. Returns whether something has happened.
    fn drive(&mut self, now: Instant) -> bool {
        match receive(&mut self.stream, &mut self.received) {
            Received::Nothing => {}
            Received::Bytes => {
                self.received_at = now;
                return true;
            }
            Received::End => {
                self.is_closed = true;
                return true;
            }
        }
        let waited = now - self.received_at;
        if self.is_answered || waited < ANSWER_DELAY {
            return false;
        }
        let Reading { requests, end } = http_core::read(&self.received);
        let answer = match (requests.first(), end) {
            (Some(request), _) if request.method == "CONNECT" => NO_TUNNEL,
            (Some(_), _) => OK,
            (None, End::Rejected(_)) => BAD_REQUEST,
            (None, _) if waited >= UNFINISHED_DELAY => OK,
            (None, _) if !self.is_continued && expects_continue(&self.received) => CONTINUE,
            (None, _) => return false,
        };
        // The proxy may have closed the connection.
        let _ = self.stream.write_all(answer);
        self.is_continued = true;
        if answer == CONTINUE {
            return true;
        }
        self.is_answered = true;
        let _ = self.stream.shutdown(Shutdown::Write);
        true
    }
}

/// Whether a proxy waits for a 100 response before it sends the content.
fn expects_continue(head: &[u8]) -> bool {
    const EXPECT: &[u8] = b"\nexpect: 100-continue";
    head.windows(EXPECT.len()).any(|window| window.eq_ignore_ascii_case(EXPECT))
}

/// What a socket has received.
enum Received {
    Nothing,
    Bytes,
    End,
}

fn receive(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Received {
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) => Received::End,
        Ok(len) => {
            bytes.extend_from_slice(&buffer[..len]);
            Received::Bytes
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Received::Nothing
        }
        Err(_) => Received::End,
    }
}

/// The statuses of the final responses. Servers send no status line within content.
fn statuses(output: &[u8]) -> Vec<u16> {
    let status = |window: &[u8]| match window {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', digits @ ..] => {
            std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| *status >= 200)
        }
        _ => None,
    };
    output.windows(12).filter_map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn records_what_a_proxy_takes_for_one_request() {
        let (front, origin) = (listen(), listen());
        let (address, origin_address) = (address(&front), address(&origin));
        // A proxy that takes all that it receives for one request.
        thread::spawn(move || -> io::Result<()> {
            loop {
                let (mut client, _) = front.accept()?;
                let mut buffer = [0; 1000];
                let len = client.read(&mut buffer)?;
                let mut upstream = TcpStream::connect(origin_address)?;
                upstream.write_all(&buffer[..len])?;
                io::copy(&mut upstream, &mut client)?;
            }
        });
        let lane = Lane::new(address, Some(origin)).expect("a lane");
        let check = |message: &str, statuses: &[u16], is_smuggled: bool| {
            let passage = lane.send(message.as_bytes()).expect("a passage");
            assert_eq!(passage.forwarded, [message.as_bytes()]);
            assert_eq!(passage.statuses, statuses);
            assert_eq!(http_core::read(&passage.forwarded[0]).is_smuggled(false), is_smuggled, "{message}");
        };
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[200], false);
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n", &[200], true);
        check("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400], false);
        check(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            &[200],
            false,
        );
        check("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", &[405], false);
    }

    fn listen() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").expect("a port")
    }

    fn address(listener: &TcpListener) -> SocketAddr {
        listener.local_addr().expect("an address")
    }
}
