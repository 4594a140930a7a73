//! One client: a connection, or the place of one, and the request that is on it. It goes as far as it can without
//! waiting, and says what came of the request; whether there is another is for the `worker`.
//!
//! A request costs a `send` and a `recv`. A receive that does not fill the buffer has emptied the socket, so there is no
//! second one to find that out; and a connection is registered with epoll once, for both directions, edge-triggered.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::answer::Reader;
use super::plan::Load;
use super::syntax::Malformed;
use super::tally::Fault;

/// What a connection is lent while it goes on.
pub(super) struct Surroundings<'a> {
    pub(super) load: &'a Load,
    pub(super) registry: &'a Registry,
    pub(super) buffer: &'a mut [u8],
    pub(super) bytes_received: &'a mut u64,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Its place among the asks.
    pub(super) ask: usize,
    /// Where its latency and its timeout begin.
    pub(super) due: Instant,
}

/// How far it has come.
#[derive(Clone, Copy, Debug)]
enum State {
    /// There is none; there may be no connection either.
    Idle,
    /// So many of its bytes are sent. The connection may not stand yet.
    Sending(Request, usize),
    /// Part of the answer may be there.
    Receiving(Request),
    /// The answer is complete, with that outcome; now the server has to close.
    Closing(Request, Outcome),
}

/// The latency of a right answer, or why there is none.
pub(super) type Outcome = Result<Duration, Fault>;

/// What a step led to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// The socket has to become ready.
    Waiting,
    /// The connection is idle again.
    Over(Outcome),
}

pub(super) struct Connection {
    token: Token,
    state: State,
    socket: Option<Socket>,
    reader: Reader,
}

struct Socket {
    stream: TcpStream,
    /// Set by the first `send` that succeeds. Until then, whatever is wrong is wrong with connecting.
    connected: bool,
}

impl Connection {
    pub(super) fn new(token: Token, load: &Load) -> Connection {
        Connection { token, state: State::Idle, socket: None, reader: Reader::new(load.count_field) }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Since when the request has been due, if there is one.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Sending(request, _) | State::Receiving(request) | State::Closing(request, _) => {
                Some(request.due)
            }
        }
    }

    /// The reader of an answer that was complete, right or wrong.
    pub(super) fn answer(&self) -> Option<&Reader> {
        self.reader.is_complete().then_some(&self.reader)
    }

    /// Begins a request, on a new connection if there is none.
    pub(super) fn begin(&mut self, request: Request, around: &mut Surroundings<'_>) -> Turn {
        debug_assert!(self.is_idle());
        self.reader.begin(around.load.asks[request.ask].head);
        self.state = State::Sending(request, 0);
        if self.socket.is_some() {
            return self.send(around).map_or_else(|fault| self.fail(fault), |()| Turn::Waiting);
        }
        match connect(around, self.token) {
            // To send at once would often work within one machine. But then each request wakes the server on its own,
            // which costs the server a sixth more.
            Ok(socket) => self.socket = Some(socket),
            Err(error) => return self.fail(not_connected(&error)),
        }
        Turn::Waiting
    }

    /// Goes on with what the socket has become ready for.
    pub(super) fn go_on(&mut self, event: &Event, around: &mut Surroundings<'_>) -> Turn {
        if let Err(fault) = self.send(around) {
            return self.fail(fault);
        }
        // A server may answer before it has read all.
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.receive(event, around)
        } else {
            Turn::Waiting
        }
    }

    /// Gives up the connection, and what is on it.
    pub(super) fn fail(&mut self, fault: Fault) -> Turn {
        self.socket = None;
        self.state = State::Idle;
        Turn::Over(Err(fault))
    }

    /// Sends what is left of the request, if there is any, as far as the socket takes it.
    fn send(&mut self, around: &mut Surroundings<'_>) -> Result<(), Fault> {
        let (State::Sending(mut request, mut sent), Some(socket)) = (self.state, &mut self.socket) else {
            return Ok(());
        };
        if !socket.connected && around.load.keep_alive && around.load.rate.is_none() {
            // A connection that many requests share is no part of any.
            request.due = Instant::now();
        }
        let bytes = &around.load.asks[request.ask].bytes;
        while sent < bytes.len() {
            match socket.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if !socket.connected => return Err(not_connected(&error)),
                Err(_) => return Err(Fault::Reset),
            }
            socket.connected = true;
        }
        let all = sent == bytes.len();
        self.state = if all { State::Receiving(request) } else { State::Sending(request, sent) };
        Ok(())
    }

    /// Takes what is there.
    fn receive(&mut self, event: &Event, around: &mut Surroundings<'_>) -> Turn {
        // A reset is an end too, but not one in order. Nothing more tells of it: it must be received, behind the rest.
        let reset = event.is_error();
        let ended = event.is_read_closed() && !reset;
        loop {
            let Some(socket) = &mut self.socket else { return Turn::Waiting };
            let count = match socket.stream.read(around.buffer) {
                Ok(0) => return self.close(around.load),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock => return Turn::Waiting,
                    _ => return self.reset(around.load),
                },
            };
            *around.bytes_received += count as u64;
            let emptied = count < around.buffer.len();
            match self.take(&around.buffer[..count], around.load) {
                Turn::Waiting if emptied && ended => return self.close(around.load),
                Turn::Waiting if emptied && !reset => return Turn::Waiting,
                Turn::Waiting => {}
                Turn::Over(outcome) => {
                    if ended {
                        self.socket = None;
                    }
                    return Turn::Over(outcome);
                }
            }
        }
    }

    /// Takes received bytes, which must all belong to the answer.
    fn take(&mut self, bytes: &[u8], load: &Load) -> Turn {
        let (State::Receiving(request) | State::Sending(request, _)) = self.state else {
            return self.fail(Fault::Unasked);
        };
        match self.reader.take(bytes, load.asks[request.ask].expect.body.as_deref()) {
            Err(Malformed) => return self.fail(Fault::Malformed),
            Ok(len) if len < bytes.len() => return self.fail(Fault::Unasked),
            Ok(_) if !self.reader.is_complete() => return Turn::Waiting,
            Ok(_) => {}
        }
        let outcome = self.outcome(request, load);
        let sent_all = matches!(self.state, State::Receiving(_));
        if !sent_all {
            // The server wanted no more of it. Neither of us could say where the next request begins.
            self.socket = None;
        }
        if !sent_all || (load.keep_alive && self.reader.keeps_alive()) {
            self.state = State::Idle;
            return Turn::Over(outcome);
        }
        self.state = State::Closing(request, outcome);
        Turn::Waiting
    }

    /// The server has closed, in order.
    fn close(&mut self, load: &Load) -> Turn {
        self.socket = None;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Turn::Waiting,
            State::Closing(_, outcome) => Turn::Over(outcome),
            State::Sending(request, _) | State::Receiving(request) if self.reader.close() => {
                Turn::Over(self.outcome(request, load))
            }
            State::Sending(..) | State::Receiving(_) => Turn::Over(Err(Fault::EarlyClose)),
        }
    }

    /// The server has broken the connection off, which is no matter where it was done with it.
    fn reset(&mut self, load: &Load) -> Turn {
        match self.state {
            State::Idle | State::Closing(..) => self.close(load),
            State::Sending(_, _) | State::Receiving(_) => {
                let connected = self.socket.as_ref().is_some_and(|socket| socket.connected);
                self.fail(if connected { Fault::Reset } else { Fault::Connect })
            }
        }
    }

    /// What a complete answer is worth, now.
    fn outcome(&self, request: Request, load: &Load) -> Outcome {
        let expect = &load.asks[request.ask].expect;
        if expect.status.is_some_and(|status| status != self.reader.status()) {
            return Err(Fault::WrongStatus);
        }
        if expect.body.as_ref().is_some_and(|body| !self.reader.has_content(body)) {
            return Err(Fault::WrongBody);
        }
        Ok(request.due.elapsed())
    }
}

/// Begins to connect.
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
