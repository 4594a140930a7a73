//! One connection of the load, and the requests on it. It sends and receives until the socket would block, and records
//! the outcome of each request in the `recorder`. It does not choose requests: the `worker` queues them.
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
use super::stream::{Stream, TlsConnector};

/// The most requests in one `send`.
const REQUESTS_PER_SEND: usize = 32;

/// What the worker lends to a connection while it sends and receives.
pub(super) struct Context<'a> {
    /// The load: which requests to send, and which responses to expect.
    pub(super) load: &'a Load,
    /// Registers a new socket for events.
    pub(super) registry: &'a Registry,
    /// Makes the connections with TLS, if the load uses it.
    pub(super) tls: Option<&'a TlsConnector>,
    /// Holds received bytes until they are read.
    pub(super) buffer: &'a mut [u8],
    /// Records the outcomes of requests.
    pub(super) recorder: &'a mut Recorder,
}

/// A request that is due, and whose response is not complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenRequest {
    /// The index of its exchange in [`Load::exchanges`].
    pub(super) exchange: usize,
    /// When the request was due: its latency and its timeout count from here.
    pub(super) due: Instant,
}

/// The state of a connection after it has sent and received: tells the worker what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The connection waits for the next event of its socket.
    Waiting,
    /// The connection has no request, and can start the next.
    Idle,
    /// The connection could not connect, and so has no request. The worker lets it try again later.
    Unconnected,
}

/// A connection of the load. It connects when it starts a request, and again after the server or a fault has closed it.
pub(super) struct Connection {
    /// Identifies the events of its socket: the index of this connection in the worker.
    token: Token,
    /// The requests without a complete response, in the order of the responses. Without any, the connection is idle.
    requests: VecDeque<OpenRequest>,
    /// How many of `requests`, at the end of the queue, have not been sent completely.
    unsent: usize,
    /// How many bytes of the first unsent request have been sent.
    offset: usize,
    /// The outcome of the first request, whose response is complete, while the client waits for the server to close.
    closing: Option<Outcome>,
    /// The socket; `None` before the first request, and after the connection was closed.
    socket: Option<Socket>,
    /// Reads and checks the response to the first request.
    response: ResponseChecker,
    /// The number of right responses so far.
    pub(super) responses: u64,
}

/// The socket of a [`Connection`], which connects without blocking.
struct Socket {
    /// The connection to the server, perhaps not established yet.
    stream: Stream,
    /// Whether a `send` has succeeded. Until then an error means that connecting failed.
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
            responses: 0,
        }
    }

    /// Whether the connection has no requests.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// When the first request was due; `None` if the connection has no request.
    pub(super) fn due(&self) -> Option<Instant> {
        self.requests.front().map(|request| request.due)
    }

    /// Queues a request, which the next call of [`start`](Connection::start) sends.
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

    /// Handles a readiness event of the socket: sends unsent requests, then receives.
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

    /// Sends the unsent requests, until all are sent or the socket would block. On a new connection that is kept alive,
    /// in a closed loop, the latency of its requests counts from the first send, not from the connect.
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
        match socket.stream.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(Fault::Reset),
            _ => Ok(()),
        }
    }

    /// Receives responses, until the socket is empty or no request is left.
    fn receive(&mut self, event: &Event, context: &mut Context<'_>) -> State {
        let ended = event.is_read_closed() && !event.is_error();
        // No later event reports a reset: receive the bytes before it, then the reset itself. And only a read tells
        // whether TLS has ended before TCP.
        let reads_end = event.is_error() || (ended && context.tls.is_some());
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
                State::Waiting if emptied && ended && !reads_end => return self.close(context),
                State::Waiting if emptied && !reads_end => return State::Waiting,
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

    /// Checks the first `count` bytes of the buffer, which must all belong to responses that are due, and finishes the
    /// requests whose responses are complete.
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

    /// Handles an orderly close by the server, which may be the end of the first response. Fails the other requests.
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

    /// Closes the socket, and fails the remaining requests with this fault.
    fn disconnect(&mut self, fault: Fault, recorder: &mut Recorder) -> State {
        while !self.is_idle() {
            self.finish(Err(fault), recorder);
        }
        (self.socket, self.closing, self.unsent, self.offset) = (None, None, 0, 0);
        State::Idle
    }

    /// Records the outcome of the first request, and removes it.
    fn finish(&mut self, outcome: Outcome, recorder: &mut Recorder) {
        let Some(request) = self.requests.pop_front() else { return };
        self.responses += u64::from(outcome.is_ok());
        recorder.record(request.due, outcome, self.response.is_complete().then_some(&self.response));
        self.response.reset();
    }

    /// Compares the response, which is complete now, with the expected one, and returns the outcome of its request.
    fn outcome(&self, request: OpenRequest, load: &Load) -> Outcome {
        self.response.check(&load.exchanges[request.exchange])?;
        Ok(request.due.elapsed())
    }
}

/// Starts a non-blocking connect to the server, and registers the socket for events.
fn connect(context: &Context<'_>, token: Token) -> io::Result<Socket> {
    let mut stream = TcpStream::connect(context.load.address)?;
    stream.set_nodelay(true)?;
    context.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(Socket { stream: Stream::new(stream, context.tls)?, connected: false })
}

/// The fault that an error of connecting counts as.
fn not_connected(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::AddrNotAvailable => Fault::NoPort,
        _ => Fault::Connect,
    }
}
