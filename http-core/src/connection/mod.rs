//! One connection's protocol, without its socket: bytes and the time go in, the next thing to do comes out.
//!
//! ```text
//!            bytes            head complete          content complete
//!   Idle ───────────► Head ───────────────► Body ───────────────────┐
//!    ▲                 │ fault, late          │ fault, late          ▼
//!    │                 └──────────┬───────────┘                  Answering
//!    │                            ▼                       respond │   │ late, panic
//!    │                        Rejecting ◄─────────────────────────┼───┘
//!    │                            │ respond                       │
//!    │ keep-alive                 ▼            close              │
//!    ├──────────────────────  Finishing ◄─────────────────────────┤
//!    └────────────────────────────┼───────────────────────────────┘
//!                  flushed        ▼
//!              Lingering ──────► Closed
//! ```
//!
//! Whoever drives it calls [`Connection::poll`] and does what the [`Step`] says, until that needs the peer.
//!
//! ```
//! use http_core::{Buffers, Clock, Connection, Response, Step, Transmit};
//! use std::{sync::Arc, time::{Instant, SystemTime}};
//!
//! let clock = Clock::new("example", Instant::now(), SystemTime::UNIX_EPOCH);
//! let mut conn = Connection::new(Arc::default(), clock.now());
//! let mut buffers = Buffers::default();
//! buffers.input.extend(b"GET /hello HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n");
//!
//! let Step::Request(request) = conn.poll(&mut buffers.input, &mut buffers.out, clock.now()) else { panic!() };
//! let answer = Response::text(format!("you asked for {}", request.path()));
//! conn.respond(answer, &mut buffers.out, &clock);
//!
//! assert!(matches!(conn.poll(&mut buffers.input, &mut buffers.out, clock.now()), Step::Flush));
//! let Transmit::Bytes { slices, .. } = buffers.out.transmit() else { panic!() };
//! assert!(slices[0].starts_with(b"HTTP/1.1 200 OK\r\n") && slices[0].ends_with(b"you asked for /hello"));
//! let sent = slices[0].len();
//! buffers.out.sent(sent);
//! assert!(matches!(conn.poll(&mut buffers.input, &mut buffers.out, clock.now()), Step::Close(_)));
//! ```

mod answer;
mod content;
mod flushing;
mod state;
mod step;

pub use step::{CloseReason, Step};

use crate::{
    buffer::{recv_buf::RecvBuf, send_queue::SendQueue},
    codec::{
        encode::{self, Delimiter},
        framing::{self, BodyLength, Framing},
        head::Progress,
    },
    message::{
        rejection::{Rejected, Rejection},
        request::Request,
        response::Response,
    },
    types::{clock::Clock, error::ParseError, limits::Config, method::Method, version::Version},
};
use content::{Complete, Content};
use core::net::SocketAddr;
use flushing::Flushing;
use state::{Decision, State};
use std::{sync::Arc, time::Instant};

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    /// Bytes of the request being answered, used up when the next step is asked for.
    used: usize,
    /// When the step last handed out has taken too long.
    deadline: Instant,
    /// How sending goes on, if that step was `Flush`.
    flushing: Option<Flushing>,
    peer: Option<SocketAddr>,
    peer_closed: bool,
    closing: bool,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(config: Arc<Config>, now: Instant) -> Connection {
        let deadline = now + config.timeouts.idle;
        Connection {
            config,
            state: State::Idle { since: now },
            used: 0,
            deadline,
            flushing: None,
            peer: None,
            peer_closed: false,
            closing: false,
        }
    }

    /// A connection that is accepted only to be told that there is no room ([`Rejection::Overloaded`]).
    pub fn refused(config: Arc<Config>, now: Instant) -> Connection {
        Connection { state: State::Refused, ..Connection::new(config, now) }
    }

    /// Says where it comes from, for requests to tell.
    pub fn with_peer(self, peer: SocketAddr) -> Connection {
        Connection { peer: Some(peer), ..self }
    }

    /// The next thing to do. The request in it borrows only `input`.
    #[inline]
    pub fn poll<'b>(&mut self, input: &'b mut RecvBuf, out: &mut SendQueue, now: Instant) -> Step<'b> {
        match self.decide(input, out, now) {
            Decision::Request { head_len, content_len } => {
                let State::Answering { framing, received } = &self.state else { return Step::AwaitAnswer };
                let bytes = input.unread();
                let content = &bytes[head_len..head_len + content_len];
                Step::Request(Request::new(&input.index, bytes, content, *framing, *received, self.peer))
            }
            Decision::Receive => {
                input.make_room();
                Step::Receive
            }
            Decision::Flush => {
                self.deadline = match &mut self.flushing {
                    Some(flushing) => flushing.deadline(out.total_sent(), &self.config.timeouts, now),
                    None => {
                        self.flushing = Some(Flushing::begin(out.total_sent(), now));
                        now + self.config.timeouts.write_stall
                    }
                };
                Step::Flush
            }
            Decision::AwaitAnswer => Step::AwaitAnswer,
            Decision::Reject(why) => Step::Reject(why),
            Decision::ShutdownWrite => Step::ShutdownWrite,
            Decision::Close(reason) => Step::Close(reason),
        }
    }

    fn decide(&mut self, input: &mut RecvBuf, out: &mut SendQueue, now: Instant) -> Decision {
        if self.used > 0 {
            input.consume(std::mem::take(&mut self.used));
        }
        if out.is_empty() && self.flushing.take().is_some() {
            self.restart(now);
        }
        loop {
            let decision = match &self.state {
                State::Idle { since } => self.idle(*since, input, out, now),
                State::Head { since } => self.head(*since, input, out, now),
                State::Body(_) => self.body(input, out, now),
                State::Refused => {
                    self.state = State::Rejecting { method: Method::Get, request: None };
                    Some(Decision::Reject(Rejection::Overloaded))
                }
                // Its answer comes first: without one, nothing can be said any more.
                State::Rejecting { .. } => self.enter(State::Finishing { linger: false }),
                // Whatever is waited for, what is queued goes first.
                State::Answering { .. } | State::Finishing { .. } if !out.is_empty() => Some(Decision::Flush),
                State::Answering { .. } => Some(Decision::AwaitAnswer),
                State::Finishing { linger } if (*linger || !input.is_empty()) && !self.peer_closed => {
                    self.deadline = now + self.config.timeouts.linger;
                    self.state = State::Lingering;
                    Some(Decision::ShutdownWrite)
                }
                State::Finishing { .. } => self.enter(State::Closed(CloseReason::Done)),
                State::Lingering => {
                    input.clear();
                    if self.peer_closed {
                        self.enter(State::Closed(CloseReason::Done))
                    } else {
                        Some(Decision::Receive)
                    }
                }
                State::Closed(reason) => Some(Decision::Close(*reason)),
            };
            if let Some(decision) = decision {
                return decision;
            }
        }
    }

    /// Changes the state; what to do in it is yet to be decided.
    fn enter(&mut self, state: State) -> Option<Decision> {
        self.state = state;
        None
    }

    /// Nobody reads while there is something to send, so the peer's time begins when all is sent.
    fn restart(&mut self, now: Instant) {
        match &mut self.state {
            State::Idle { since } | State::Head { since } => *since = now,
            State::Body(content) => content.restart(now),
            _ => {}
        }
    }

    #[inline]
    fn idle(&mut self, since: Instant, input: &RecvBuf, out: &SendQueue, now: Instant) -> Option<Decision> {
        // Answers to pipelined requests leave together, up to a bound.
        if out.pending() >= self.config.limits.queued_bytes {
            return Some(Decision::Flush);
        }
        if input.begins_head() && !self.closing {
            return self.enter(State::Head { since: now });
        }
        if !out.is_empty() {
            return Some(Decision::Flush);
        }
        if self.closing {
            return self.enter(State::Finishing { linger: false });
        }
        if self.peer_closed {
            return self.enter(State::Closed(CloseReason::PeerClosed));
        }
        self.deadline = since + self.config.timeouts.idle;
        Some(Decision::Receive)
    }

    #[inline]
    fn head(
        &mut self,
        since: Instant,
        input: &mut RecvBuf,
        out: &mut SendQueue,
        now: Instant,
    ) -> Option<Decision> {
        let judged = match input.parse_head(&self.config.limits) {
            Ok(Progress::Partial) => return self.wait(since + self.config.timeouts.head, out),
            Ok(Progress::Complete(head_len)) => {
                framing::judge(&input.index, input.unread()).map(|framing| (framing, head_len))
            }
            Err(error) => Err(error),
        };
        match judged {
            Ok((framing, head_len)) if framing.body == BodyLength::Exact(0) => Some(self.hand_out(
                framing,
                head_len,
                Complete { content_len: 0, message_len: head_len },
                now,
            )),
            Ok((framing, head_len)) => self.expect_content(framing, head_len, input, out, now),
            Err(error) => Some(self.reject(error, input, None)),
        }
    }

    fn expect_content(
        &mut self,
        framing: Framing,
        head_len: usize,
        input: &RecvBuf,
        out: &mut SendQueue,
        now: Instant,
    ) -> Option<Decision> {
        let here = input.unread().len();
        match Content::expect(framing, head_len, here, &self.config.limits, now) {
            Err(error) => Some(self.reject(error, input, Some(framing))),
            Ok(content) => {
                // RFC 9110 §10.1.1: who has begun to send the content is not waiting for leave to do so.
                if framing.expect_continue && here == head_len {
                    out.write(|text| text.extend_from_slice(encode::CONTINUE));
                }
                self.enter(State::Body(Box::new(content)))
            }
        }
    }

    fn body(&mut self, input: &mut RecvBuf, out: &SendQueue, now: Instant) -> Option<Decision> {
        let State::Body(content) = &mut self.state else { return None };
        let (framing, head_len) = (content.framing, content.head_len);
        match content.progress(input, &self.config.limits) {
            Ok(Some(complete)) => Some(self.hand_out(framing, head_len, complete, now)),
            Ok(None) => {
                let deadline = content.deadline(input.unread().len(), &self.config.timeouts, now);
                self.wait(deadline, out)
            }
            Err(error) => Some(self.reject(error, input, Some(framing))),
        }
    }

    /// Waits for more of a request.
    fn wait(&mut self, deadline: Instant, out: &SendQueue) -> Option<Decision> {
        if !out.is_empty() {
            return Some(Decision::Flush);
        }
        if self.peer_closed {
            return self.enter(State::Closed(CloseReason::Truncated));
        }
        self.deadline = deadline;
        Some(Decision::Receive)
    }

    #[inline]
    fn hand_out(&mut self, framing: Framing, head_len: usize, complete: Complete, now: Instant) -> Decision {
        self.used = complete.message_len;
        self.deadline = now + self.config.timeouts.answer;
        self.state = State::Answering { framing, received: now };
        Decision::Request { head_len, content_len: complete.content_len }
    }

    fn reject(&mut self, error: ParseError, input: &RecvBuf, request: Option<Framing>) -> Decision {
        self.state = State::Rejecting { method: input.index.method_in(input.unread()), request };
        Decision::Reject(Rejection::Malformed(error))
    }

    /// Queues the answer that the last [`Step::Request`] or [`Step::Reject`] asked for. One that nothing has asked
    /// for, or that comes after [`expire`](Connection::expire) has given it up, is dropped.
    #[inline]
    pub fn respond(&mut self, response: Response, out: &mut SendQueue, clock: &Clock) {
        let (method, version, wanted, linger) = match &self.state {
            State::Answering { framing, .. } => {
                (framing.method, framing.version, framing.keep_alive, framing.keep_alive)
            }
            State::Rejecting { method, .. } => (*method, Version::Http11, false, true),
            _ => return,
        };
        let response = answer::corrected(response, method);
        let delimiter = encode::delimiter(response.body.len(), version);
        let keep_alive = wanted && !response.close && !self.closing && delimiter != Delimiter::Close;
        answer::write(response, method, delimiter, keep_alive, out, clock);
        self.state = if keep_alive {
            State::Idle { since: clock.now() }
        } else {
            // A peer that asked for the end sends no more. One that did not may be sending, and must not have its
            // answer lost to a reset (RFC 9112 §9.6).
            State::Finishing { linger }
        };
    }

    /// Answers the request in hand with a rejection after all: its handler failed or is over capacity.
    pub fn fail(&mut self) {
        if let State::Answering { framing, .. } = &self.state {
            let request = (self.used > 0).then_some(*framing);
            self.state = State::Rejecting { method: framing.method, request };
        }
    }

    /// What is known of the request that has been rejected, until [`respond`](Connection::respond) has answered it. Of
    /// one whose handler failed later than at once, that is nothing any more.
    pub fn rejected<'b>(&self, why: Rejection, input: &'b RecvBuf, now: Instant) -> Rejected<'b> {
        let request = match &self.state {
            State::Rejecting { request: Some(framing), .. } => {
                Some(Request::new(&input.index, input.unread(), &[], *framing, now, self.peer))
            }
            _ => None,
        };
        Rejected { why, peer: self.peer, request }
    }

    /// The moment at which [`expire`](Connection::expire) wants to be called, for the step last handed out.
    #[inline]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Gives up on what took too long. A rejection in return is owed an answer, as after [`Step::Reject`];
    /// in either case poll again.
    pub fn expire(&mut self, now: Instant) -> Option<Rejection> {
        if now < self.deadline {
            return None;
        }
        let why = match &self.state {
            _ if self.flushing.is_some() => {
                self.state = State::Closed(CloseReason::WriteStall);
                return None;
            }
            State::Head { .. } | State::Body(_) => Rejection::TooSlow,
            State::Answering { .. } => Rejection::Unanswered,
            State::Idle { .. } => {
                self.state = State::Closed(CloseReason::Idle);
                return None;
            }
            State::Refused
            | State::Rejecting { .. }
            | State::Finishing { .. }
            | State::Lingering
            | State::Closed(_) => {
                self.state = State::Closed(CloseReason::Done);
                return None;
            }
        };
        self.state = match &self.state {
            State::Body(content) => {
                State::Rejecting { method: content.framing.method, request: Some(content.framing) }
            }
            State::Answering { framing, .. } => State::Rejecting { method: framing.method, request: None },
            _ => State::Rejecting { method: Method::Extension, request: None },
        };
        Some(why)
    }

    /// The peer has ended its sending side. What it has asked for is still answered.
    pub fn peer_closed(&mut self) {
        self.peer_closed = true;
    }

    /// Ends the connection after the request in hand, or at once if there is none.
    pub fn close_after_this(&mut self) {
        self.closing = true;
    }

    /// Whether the connection is between requests, and so needs no buffers and may be let go.
    #[inline]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. }) && self.used == 0
    }

    /// Since when it is between requests, if it is and nothing is left to be sent.
    pub fn idle_since(&self) -> Option<Instant> {
        match self.state {
            State::Idle { since } if self.used == 0 && self.flushing.is_none() => Some(since),
            _ => None,
        }
    }

    /// Whether an answer is owed.
    pub fn is_answering(&self) -> bool {
        matches!(self.state, State::Answering { .. })
    }
}
