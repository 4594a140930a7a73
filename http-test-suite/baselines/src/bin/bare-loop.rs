//! The bare loop: the least that a single-threaded epoll loop can do for a request. It separates the cost of a server
//! from the cost of the kernel.
//!
//! It is not an HTTP server: it takes every blank line for the end of a request, responds with prepared bytes, and does
//! not parse, look for files, log, or enforce timeouts and limits. A client that does not read its responses blocks all
//! others for up to [`SEND_TIMEOUT`].

use baselines::{Listening, announce, on_threads};
use clap::Parser;
use http_engine::sockopt::defer_accept;
use memchr::{memchr, memmem::Finder};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    io::{Errno, retry_on_intr},
    net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send},
};
use std::{
    io,
    net::TcpListener,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

/// How long a send may block.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the kernel holds back a connection without any bytes.
const DEFER_TIMEOUT: Duration = Duration::from_secs(1);
/// The most events of one wait.
const EVENTS_MAX: usize = 512;
/// The most bytes of one receive.
const RECEIVE_MAX: usize = 64 * 1024;
/// Bytes of prepared responses in a row, for pipelined requests.
const PREPARED_BYTES: usize = 128 * 1024;
/// The end of a request.
const BLANK_LINE: &[u8] = b"\r\n\r\n";
/// The name of the header without its first letter, which may be in upper or lower case.
const CONNECTION_HEADER: &[u8] = b"onnection: ";
/// The longest part of a blank line that can arrive without its end.
const TAIL_BYTES: usize = BLANK_LINE.len() - 1;

/// Responds to every request with the same bytes, at the least possible cost.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    listening: Listening,

    /// Length of the content
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    size: usize,

    /// Accept connections only after bytes have arrived on them, and read at once
    #[arg(long = "defer-accept")]
    deferred: bool,
}

fn main() -> io::Result<()> {
    let Arguments { listening, size, deferred } = Arguments::parse();
    let listeners = listening.bind_each()?;
    for listener in &listeners {
        // Accepted sockets block when they send, and inherit this timeout.
        socket2::SockRef::from(listener).set_write_timeout(Some(SEND_TIMEOUT))?;
        if deferred {
            defer_accept(listener, DEFER_TIMEOUT)?;
        }
    }
    announce(if deferred { "deferred-loop" } else { "bare-loop" }, &listeners[0])?;
    on_threads(listeners, |listener| Worker::new(listener, size, deferred)?.run());
    Ok(())
}

/// One event loop with its connections.
struct Worker {
    listener: TcpListener,
    epoll: OwnedFd,
    deferred: bool,
    /// Every registered connection, indexed by its descriptor.
    connections: Vec<Option<Connection>>,
    /// The tail of the earlier bytes of a connection, then its new bytes.
    input: Vec<u8>,
    responses: Responses,
    last_responses: Responses,
    blank_line: Finder<'static>,
    connection_header: Finder<'static>,
}

struct Connection {
    socket: OwnedFd,
    /// The last bytes received, because a blank line may be cut.
    tail: [u8; TAIL_BYTES],
}

impl Worker {
    fn new(listener: TcpListener, size: usize, deferred: bool) -> io::Result<Worker> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let data = EventData::new_u64(listener.as_raw_fd() as u64);
        epoll::add(&epoll, &listener, data, EventFlags::IN)?;
        Ok(Worker {
            listener,
            epoll,
            deferred,
            connections: Vec::new(),
            input: vec![0; TAIL_BYTES + RECEIVE_MAX],
            responses: Responses::new("keep-alive", size),
            last_responses: Responses::new("close", size),
            blank_line: Finder::new(BLANK_LINE),
            connection_header: Finder::new(CONNECTION_HEADER),
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut events), None))?;
            for event in events.drain(..) {
                let descriptor = event.data.u64() as usize;
                if descriptor == self.listener.as_raw_fd() as usize {
                    self.accept()?;
                } else if let Some(mut connection) = self.connections[descriptor].take()
                    && self.serve(&mut connection)
                {
                    self.connections[descriptor] = Some(connection);
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match accept_with(&self.listener, SocketFlags::CLOEXEC) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut connection = Connection { socket, tail: [0; TAIL_BYTES] };
            if self.deferred && !self.serve(&mut connection) {
                continue;
            }
            let descriptor = connection.socket.as_raw_fd() as usize;
            let data = EventData::new_u64(descriptor as u64);
            epoll::add(&self.epoll, &connection.socket, data, EventFlags::IN)?;
            if self.connections.len() <= descriptor {
                self.connections.resize_with(descriptor + 1, || None);
            }
            self.connections[descriptor] = Some(connection);
        }
    }

    /// Receives once, and responds to all complete requests. Returns whether the connection stays open.
    fn serve(&mut self, connection: &mut Connection) -> bool {
        self.input[..TAIL_BYTES].copy_from_slice(&connection.tail);
        let end = match recv(&connection.socket, &mut self.input[TAIL_BYTES..], RecvFlags::DONTWAIT) {
            Ok((_, received)) if received > 0 => TAIL_BYTES + received,
            Err(Errno::AGAIN) => return true,
            _ => return false,
        };
        let input = &self.input[..end];
        connection.tail.copy_from_slice(&input[end - TAIL_BYTES..]);
        let requests = self.blank_line.find_iter(input).count();
        if requests == 0 {
            return true;
        }
        let closes = self.closes(&input[TAIL_BYTES..]);
        let responses = if closes { &self.last_responses } else { &self.responses };
        responses.send(requests, &connection.socket).is_ok() && !closes
    }

    /// Whether the connection closes after the responses (RFC 9112 §9.3), judged by the new bytes alone.
    fn closes(&self, input: &[u8]) -> bool {
        let option = self.connection_header.find(input).map(|at| &input[at + CONNECTION_HEADER.len()..]);
        let says = |wanted: &[u8]| {
            let start = option.and_then(|option| option.get(..wanted.len()));
            start.is_some_and(|start| start.eq_ignore_ascii_case(wanted))
        };
        let is_http10 = || memchr(b'\r', input).is_some_and(|end| input[..end].ends_with(b"HTTP/1.0"));
        says(b"close") || (is_http10() && !says(b"keep-alive"))
    }
}

/// Copies of one response in a row, so that one call sends several without copying.
struct Responses {
    bytes: Vec<u8>,
    count: usize,
    len: usize,
}

impl Responses {
    /// Prepares the copies. The head has the headers of a file server's response, and about its length.
    fn new(connection: &str, size: usize) -> Responses {
        let mut response = format!(
            "HTTP/1.1 200 OK\r\nServer: bare-loop\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/html\r\n\
             Content-Length: {size}\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Connection: {connection}\r\n\r\n"
        )
        .into_bytes();
        response.resize(response.len() + size, b'x');
        let count = (PREPARED_BYTES / response.len()).max(1);
        Responses { bytes: response.repeat(count), count, len: response.len() }
    }

    fn send(&self, mut requests: usize, socket: &OwnedFd) -> Result<(), Errno> {
        while requests > 0 {
            let now = requests.min(self.count);
            let bytes = &self.bytes[..now * self.len];
            if send(socket, bytes, SendFlags::NOSIGNAL)? < bytes.len() {
                return Err(Errno::TIMEDOUT);
            }
            requests -= now;
        }
        Ok(())
    }
}
