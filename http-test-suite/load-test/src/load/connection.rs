//! One connection of the load, and the requests on it. It sends and receives until the socket would block, and records the
//! outcome of each request in the `recorder`. It does not choose requests: the `worker` queues them.
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

use super::plan::Load;
use super::recorder::{Outcome, Recorder};
use super::response::ResponseChecker;
use super::stats::Fault;

/// The most requests in one `send`.
const REQUESTS_PER_SEND: usize = 32;

/// What the worker lends to a connection for one step.
pub(super) struct Context<'a> {
    /// What to send, and what to expect.
    pub(super) load: &'a Load,
    /// Where a new socket registers for events.
    pub(super) registry: &'a Registry,
    /// Holds received bytes during the step.
    pub(super) buffer: &'a mut [u8],
    /// Takes the outcomes of requests.
    pub(super) recorder: &'a mut Recorder,
}

/// A request that has been started and whose response is not complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenRequest {
    /// Its index in [`Load::exchanges`].
    pub(super) exchange: usize,
    /// The start of its latency and of its timeout.
    pub(super) due: Instant,
}

/// What a connection does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It waits until the socket becomes ready.
    Waiting,
    /// It has no request, and can start the next.
    Idle,
    /// It has no request, because it could not connect.
    Unconnected,
}

/// A connection of the load. It connects when it starts a request, and again after the server or a fault has closed it.
pub(super) struct Connection {
    /// Identifies the events of its socket.
    token: Token,
    /// Open requests, in the order of their responses. If there are none, the connection is idle,
    /// and may have no socket.
    requests: VecDeque<OpenRequest>,
    /// How many of them, at the end, have not been sent completely.
    unsent: usize,
    /// How many bytes of the first unsent request have been sent.
    offset: usize,
    /// The outcome of the first request, if its response is complete and the server now has to close.
    closing: Option<Outcome>,
    /// `None` before the first request, and after the connection was closed.
    socket: Option<Socket>,
    /// Reads the response to the first request.
    response: ResponseChecker,
}

/// The socket of a connection.
struct Socket {
    /// The TCP connection, perhaps not established yet.
    stream: TcpStream,
    /// Set by the first `send` that succeeds. An earlier error is an error of connecting.
    connected: bool,
}

impl Connection {
    /// Makes an idle connection without a socket. `token` identifies its events.
    pub(super) fn new(token: Token, load: &Load) -> Connection {
        Connection {
            token,
            requests: VecDeque::with_capacity(load.pipeline),
            unsent: 0,
            offset: 0,
            closing: None,
            socket: None,
            response: ResponseChecker::default(),
        }
    }

    /// Whether it has no requests.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// When the first request was due, if there is a request.
    pub(super) fn due(&self) -> Option<Instant> {
        self.requests.front().map(|request| request.due)
    }

    /// Queues a request for the next [`start`](Connection::start).
    pub(super) fn queue(&mut self, request: OpenRequest) {
        debug_assert_eq!(self.unsent, self.requests.len());
        self.requests.push_back(request);
        self.unsent += 1;
    }

    /// Starts the queued requests, on a new connection if there is none.
    pub(super) fn start(&mut self, context: &mut Context<'_>) -> State {
        if self.socket.is_some() {
            return self
                .send(context)
                .map_or_else(|fault| self.fail(fault, context.recorder), |()| State::Waiting);
        }
        match connect(context, self.token) {
            // Within one machine, sending at once would often work. But then each request wakes the server separately,
            // which costs the server a sixth more CPU time.
            Ok(socket) => self.socket = Some(socket),
            Err(error) => return self.fail(not_connected(&error), context.recorder),
        }
        State::Waiting
    }

    /// Handles a readiness event of the socket.
    pub(super) fn handle_event(&mut self, event: &Event, context: &mut Context<'_>) -> State {
        if let Err(fault) = self.send(context) {
            return self.fail(fault, context.recorder);
        }
        // A server may respond before it has read the whole request.
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.receive(event, context)
        } else {
            State::Waiting
        }
    }

    /// Closes the connection, and fails all requests on it. Records the fault even if there is no request.
    pub(super) fn fail(&mut self, fault: Fault, recorder: &mut Recorder) -> State {
        if self.is_idle() {
            recorder.record_fault(fault);
        }
        match (fault, self.disconnect(fault, recorder)) {
            (Fault::Connect | Fault::NoPort, _) => State::Unconnected,
            (_, state) => state,
        }
    }

    /// Sends unsent requests until the socket would block.
    fn send(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        if self.unsent > 0 && !socket.connected && context.load.keep_alive && context.load.rate.is_none() {
            // The time to connect counts for none of the requests that share the connection.
            let now = Instant::now();
            self.requests.iter_mut().for_each(|request| request.due = now);
        }
        while self.unsent > 0 {
            let bytes_of = |request: &OpenRequest| &*context.load.exchanges[request.exchange].request;
            let mut slices = [IoSlice::new(&[]); REQUESTS_PER_SEND];
            let unsent = self.requests.range(self.requests.len() - self.unsent..).map(bytes_of);
            for (slice, bytes) in slices.iter_mut().zip(unsent) {
                *slice = IoSlice::new(bytes);
            }
            slices[0] =
                IoSlice::new(&bytes_of(&self.requests[self.requests.len() - self.unsent])[self.offset..]);
            let sent = match &slices[..self.unsent.min(REQUESTS_PER_SEND)] {
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
    fn receive(&mut self, event: &Event, context: &mut Context<'_>) -> State {
        // No later event reports a reset: receive the bytes before it, then the reset itself.
        let reset = event.is_error();
        let ended = event.is_read_closed() && !reset;
        loop {
            let Some(socket) = &mut self.socket else { return State::Waiting };
            let count = match socket.stream.read(context.buffer) {
                Ok(0) => return self.close(context),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock => return State::Waiting,
                    _ => return self.reset(context),
                },
            };
            let emptied = count < context.buffer.len();
            match self.take(count, context) {
                State::Waiting if emptied && ended => return self.close(context),
                State::Waiting if emptied && !reset => return State::Waiting,
                State::Waiting => {}
                state => {
                    if ended {
                        self.socket = None;
                    }
                    return state;
                }
            }
        }
    }

    /// Reads `count` received bytes, which must all belong to responses that are due.
    fn take(&mut self, count: usize, context: &mut Context<'_>) -> State {
        let Context { load, buffer, recorder, .. } = context;
        let mut bytes = &buffer[..count];
        recorder.stats.bytes_received += count as u64;
        while !bytes.is_empty() {
            let Some(request) = self.requests.front().copied().filter(|_| self.closing.is_none()) else {
                return self.fail(Fault::ExtraBytes, recorder);
            };
            match self.response.read(bytes, &load.exchanges[request.exchange]) {
                Err(fault) => return self.fail(fault, recorder),
                Ok(len) => bytes = &bytes[len..],
            }
            if !self.response.is_complete() {
                continue;
            }
            let is_sent = self.unsent < self.requests.len();
            let stays_open = load.keep_alive && self.response.keeps_alive();
            if !bytes.is_empty() && (self.requests.len() == 1 || !stays_open) {
                return self.fail(Fault::ExtraBytes, recorder);
            }
            let outcome = self.outcome(request, load);
            if is_sent && !stays_open {
                self.closing = Some(outcome);
                return State::Waiting;
            }
            self.finish(outcome, recorder);
            if !is_sent {
                // The server responded before it had the whole request, so the start of the next request is undefined.
                return self.disconnect(Fault::EarlyClose, recorder);
            }
        }
        if self.is_idle() { State::Idle } else { State::Waiting }
    }

    /// Handles an orderly close by the server.
    fn close(&mut self, context: &mut Context<'_>) -> State {
        let Some(request) = self.requests.front().copied() else {
            self.socket = None;
            return State::Waiting;
        };
        let outcome = match self.closing.take() {
            Some(outcome) => outcome,
            None if self.response.end() => self.outcome(request, context.load),
            None => Err(Fault::EarlyClose),
        };
        self.finish(outcome, context.recorder);
        self.disconnect(Fault::EarlyClose, context.recorder)
    }

    /// Handles a reset by the server. On an idle connection, or after the last response, it counts as a close.
    fn reset(&mut self, context: &mut Context<'_>) -> State {
        if self.is_idle() || self.closing.is_some() {
            return self.close(context);
        }
        let connected = self.socket.as_ref().is_some_and(|socket| socket.connected);
        self.fail(if connected { Fault::Reset } else { Fault::Connect }, context.recorder)
    }

    /// Closes the socket, and fails the remaining requests.
    fn disconnect(&mut self, fault: Fault, recorder: &mut Recorder) -> State {
        while !self.is_idle() {
            self.finish(Err(fault), recorder);
        }
        (self.socket, self.closing, self.unsent, self.offset) = (None, None, 0, 0);
        State::Idle
    }

    /// Records the outcome of the first request, and removes it.
    fn finish(&mut self, outcome: Outcome, recorder: &mut Recorder) {
        recorder.record(outcome, self.response.is_complete().then_some(&self.response));
        self.requests.pop_front();
        self.response.reset();
    }

    /// The outcome of a request whose response is complete now.
    fn outcome(&self, request: OpenRequest, load: &Load) -> Outcome {
        self.response.check(&load.exchanges[request.exchange])?;
        Ok(request.due.elapsed())
    }
}

/// Starts a non-blocking connect.
fn connect(context: &Context<'_>, token: Token) -> io::Result<Socket> {
    let mut stream = TcpStream::connect(context.load.address)?;
    stream.set_nodelay(true)?;
    context.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(Socket { stream, connected: false })
}

/// The fault for an error of connecting.
fn not_connected(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::AddrNotAvailable => Fault::NoPort,
        _ => Fault::Connect,
    }
}
