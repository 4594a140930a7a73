//! One client: its connection, if it has one, and the requests on it. It proceeds until it would block, and reports the
//! outcome of each request to the `ledger`; the `worker` supplies further requests.
//!
//! A batch of pipelined requests costs one `send`, and mostly one `recv`. A receive that does not fill the buffer has
//! emptied the socket, so no second `recv` is made to find that out. A connection is registered with epoll once, for
//! both directions, edge-triggered.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::time::Instant;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::answer::Reader;
use super::recorder::{Ledger, Outcome};
use super::plan::Load;
use super::syntax::Malformed;
use super::stats::Fault;

/// The most requests in one `send`.
const SENT_TOGETHER: usize = 32;

/// What the worker lends to a connection for one step.
pub(super) struct Surroundings<'a> {
    pub(super) load: &'a Load,
    pub(super) registry: &'a Registry,
    pub(super) buffer: &'a mut [u8],
    pub(super) ledger: &'a mut Ledger,
}

/// A request that has been started and not yet answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Its index in [`Load::asks`].
    pub(super) ask: usize,
    /// The start of its latency and of its timeout.
    pub(super) due: Instant,
}

/// What the connection does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It waits until the socket becomes ready.
    Waiting,
    /// It is idle again.
    Over,
    /// It is idle because it could not connect.
    Unconnected,
}

pub(super) struct Connection {
    token: Token,
    /// Started requests, in the order of their answers. If there are none, the client is idle, and may have no
    /// connection.
    requests: VecDeque<Request>,
    /// How many of them, at the end, have not been sent completely.
    unsent: usize,
    /// How many bytes of the first unsent request have been sent.
    offset: usize,
    /// The outcome of the first request, if its answer is complete and the server now has to close.
    closing: Option<Outcome>,
    socket: Option<Socket>,
    /// Reads the answer to the first request.
    reader: Reader,
}

struct Socket {
    stream: TcpStream,
    /// Set by the first `send` that succeeds. An earlier error is an error of connecting.
    connected: bool,
}

impl Connection {
    pub(super) fn new(token: Token, load: &Load) -> Connection {
        Connection {
            token,
            requests: VecDeque::with_capacity(load.pipeline),
            unsent: 0,
            offset: 0,
            closing: None,
            socket: None,
            reader: Reader::new(load.count_field),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// When the first request was due, if there is a request.
    pub(super) fn due(&self) -> Option<Instant> {
        self.requests.front().map(|request| request.due)
    }

    /// Queues a request for the next [`begin`](Connection::begin).
    pub(super) fn put(&mut self, request: Request) {
        debug_assert_eq!(self.unsent, self.requests.len());
        self.requests.push_back(request);
        self.unsent += 1;
    }

    /// Starts the queued requests, on a new connection if there is none.
    pub(super) fn begin(&mut self, around: &mut Surroundings<'_>) -> Turn {
        self.begin_answer(around.load);
        if self.socket.is_some() {
            return self
                .send(around)
                .map_or_else(|fault| self.fail(fault, around.ledger), |()| Turn::Waiting);
        }
        match connect(around, self.token) {
            // Within one machine, sending at once would often work. But then each request wakes the server separately,
            // which costs the server a sixth more CPU time.
            Ok(socket) => self.socket = Some(socket),
            Err(error) => return self.fail(not_connected(&error), around.ledger),
        }
        Turn::Waiting
    }

    /// Handles a readiness event of the socket.
    pub(super) fn go_on(&mut self, event: &Event, around: &mut Surroundings<'_>) -> Turn {
        if let Err(fault) = self.send(around) {
            return self.fail(fault, around.ledger);
        }
        // A server may answer before it has read the whole request.
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.receive(event, around)
        } else {
            Turn::Waiting
        }
    }

    /// Closes the connection, and fails all requests on it.
    pub(super) fn fail(&mut self, fault: Fault, ledger: &mut Ledger) -> Turn {
        if self.is_idle() {
            ledger.count(fault);
        }
        while !self.is_idle() {
            self.finish(Err(fault), ledger);
        }
        (self.socket, self.closing, self.unsent, self.offset) = (None, None, 0, 0);
        if matches!(fault, Fault::Connect | Fault::NoPort) { Turn::Unconnected } else { Turn::Over }
    }

    /// Sends unsent requests until the socket would block.
    fn send(&mut self, around: &mut Surroundings<'_>) -> Result<(), Fault> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        if self.unsent > 0 && !socket.connected && around.load.keep_alive && around.load.rate.is_none() {
            // The time to connect counts for none of the requests that share the connection.
            let now = Instant::now();
            self.requests.iter_mut().for_each(|request| request.due = now);
        }
        while self.unsent > 0 {
            let bytes_of = |request: &Request| &*around.load.asks[request.ask].bytes;
            let mut slices = [IoSlice::new(&[]); SENT_TOGETHER];
            let unsent = self.requests.range(self.requests.len() - self.unsent..).map(bytes_of);
            for (slice, bytes) in slices.iter_mut().zip(unsent) {
                *slice = IoSlice::new(bytes);
            }
            slices[0] =
                IoSlice::new(&bytes_of(&self.requests[self.requests.len() - self.unsent])[self.offset..]);
            let sent = match &slices[..self.unsent.min(SENT_TOGETHER)] {
                [one] => socket.stream.write(one),
                several => socket.stream.write_vectored(several),
            };
            match sent {
                Ok(count) => self.offset += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if !socket.connected => return Err(not_connected(&error)),
                Err(_) => return Err(Fault::Reset),
            }
            socket.connected = true;
            while let Some(request) = self.requests.get(self.requests.len() - self.unsent) {
                let Some(rest) = self.offset.checked_sub(bytes_of(request).len()) else { break };
                (self.offset, self.unsent) = (rest, self.unsent - 1);
            }
        }
        Ok(())
    }

    /// Receives until the socket is empty.
    fn receive(&mut self, event: &Event, around: &mut Surroundings<'_>) -> Turn {
        // No later event reports a reset: receive the bytes before it, then the reset itself.
        let reset = event.is_error();
        let ended = event.is_read_closed() && !reset;
        loop {
            let Some(socket) = &mut self.socket else { return Turn::Waiting };
            let count = match socket.stream.read(around.buffer) {
                Ok(0) => return self.close(around),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock => return Turn::Waiting,
                    _ => return self.reset(around),
                },
            };
            let emptied = count < around.buffer.len();
            match self.take(count, around) {
                Turn::Waiting if emptied && ended => return self.close(around),
                Turn::Waiting if emptied && !reset => return Turn::Waiting,
                Turn::Waiting => {}
                turn => {
                    if ended {
                        self.socket = None;
                    }
                    return turn;
                }
            }
        }
    }

    /// Reads `count` received bytes, which must all belong to answers that are due.
    fn take(&mut self, count: usize, around: &mut Surroundings<'_>) -> Turn {
        let Surroundings { load, buffer, ledger, .. } = around;
        let mut bytes = &buffer[..count];
        ledger.tally.bytes_received += count as u64;
        while !bytes.is_empty() {
            let Some(request) = self.requests.front().copied().filter(|_| self.closing.is_none()) else {
                return self.fail(Fault::Unasked, ledger);
            };
            match self.reader.take(bytes, load.asks[request.ask].expect.body.as_deref()) {
                Err(Malformed) => return self.fail(Fault::Malformed, ledger),
                Ok(len) => bytes = &bytes[len..],
            }
            if !self.reader.is_complete() {
                continue;
            }
            let sent = self.unsent < self.requests.len();
            let stays = load.keep_alive && self.reader.keeps_alive();
            if !bytes.is_empty() && (self.requests.len() == 1 || !stays) {
                return self.fail(Fault::Unasked, ledger);
            }
            let outcome = self.outcome(request, load);
            if sent && !stays {
                self.closing = Some(outcome);
                return Turn::Waiting;
            }
            self.finish(outcome, ledger);
            if !sent {
                // The server answered without reading the whole request, so the start of the next request is undefined.
                return self.give_up_rest(ledger);
            }
            self.begin_answer(load);
        }
        if self.is_idle() { Turn::Over } else { Turn::Waiting }
    }

    /// Handles an orderly close by the server.
    fn close(&mut self, around: &mut Surroundings<'_>) -> Turn {
        let Some(request) = self.requests.front().copied() else {
            self.socket = None;
            return Turn::Waiting;
        };
        let outcome = match self.closing.take() {
            Some(outcome) => outcome,
            None if self.reader.close() => self.outcome(request, around.load),
            None => Err(Fault::EarlyClose),
        };
        self.finish(outcome, around.ledger);
        self.give_up_rest(around.ledger)
    }

    /// Handles a reset by the server. On an idle connection, or after the last answer, it counts as a close.
    fn reset(&mut self, around: &mut Surroundings<'_>) -> Turn {
        if self.is_idle() || self.closing.is_some() {
            return self.close(around);
        }
        let connected = self.socket.as_ref().is_some_and(|socket| socket.connected);
        self.fail(if connected { Fault::Reset } else { Fault::Connect }, around.ledger)
    }

    /// Fails the remaining requests, which this connection will not answer.
    fn give_up_rest(&mut self, ledger: &mut Ledger) -> Turn {
        while !self.is_idle() {
            self.finish(Err(Fault::EarlyClose), ledger);
        }
        (self.socket, self.unsent, self.offset) = (None, 0, 0);
        Turn::Over
    }

    /// Records the outcome of the first request, and removes it.
    fn finish(&mut self, outcome: Outcome, ledger: &mut Ledger) {
        ledger.note(outcome, self.reader.is_complete().then_some(&self.reader));
        self.requests.pop_front();
        // The next answer has not begun.
        self.reader.begin(false);
    }

    /// Prepares the reader for the answer to the first request.
    fn begin_answer(&mut self, load: &Load) {
        if let Some(request) = self.requests.front() {
            self.reader.begin(load.asks[request.ask].head);
        }
    }

    /// The outcome of the request whose answer is complete now.
    fn outcome(&self, request: Request, load: &Load) -> Outcome {
        let expect = &load.asks[request.ask].expect;
        if expect.status.is_some_and(|status| status != self.reader.status()) {
            return Err(Fault::WrongStatus);
        }
        if expect.body.as_ref().is_some_and(|body| !self.reader.has_content(body))
            || expect.length.is_some_and(|length| length != self.reader.content_len)
        {
            return Err(Fault::WrongBody);
        }
        Ok(request.due.elapsed())
    }
}

/// Starts a non-blocking connect.
fn connect(around: &Surroundings<'_>, token: Token) -> io::Result<Socket> {
    let mut stream = TcpStream::connect(around.load.address)?;
    stream.set_nodelay(true)?;
    around.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(Socket { stream, connected: false })
}

fn not_connected(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::AddrNotAvailable => Fault::NoPort,
        _ => Fault::Connect,
    }
}
