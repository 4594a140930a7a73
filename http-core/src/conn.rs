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

use crate::{
    messages::{rejection::Rejection, request::Request, response::Response},
    wire::{
        chunked::{Decoded, Decoder},
        encode::{self, Delimiter},
        framing::{self, BodyLength, Framing},
        head::Progress,
        recv_buf::RecvBuf,
        send_queue::SendQueue,
    },
    words::{
        clock::Clock,
        error::ParseError,
        limits::{Config, Limits, Timeouts},
        method::Method,
        status::Status,
        version::Version,
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What to do next for a connection.
#[derive(Debug)]
pub enum Step<'b> {
    /// Receive into [`RecvBuf::spare`], or report [`Connection::peer_closed`]; then poll again.
    Receive,
    /// Answer this with [`Connection::respond`], now or later; then poll again.
    Request(Request<'b>),
    /// Answer this with [`Connection::respond`] at once; then poll again.
    Reject(Rejection),
    /// An answer is owed and not there. Poll again after [`Connection::respond`].
    AwaitAnswer,
    /// Send what [`SendQueue::transmit`] yields. Poll again when the queue is empty, and also whenever the peer
    /// takes no more for now, so that a stall is noticed.
    Flush,
    /// Shut down the sending side, then poll again: the peer shall see the end of the last answer.
    ShutdownWrite,
    /// Close the socket. Nothing else will come.
    Close(CloseReason),
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The last exchange is complete.
    Done,
    /// The peer closed between two requests.
    PeerClosed,
    /// The peer closed in the middle of a request.
    Truncated,
    /// Nothing was asked for too long.
    Idle,
    /// The peer took nothing of its answer for too long.
    WriteStall,
}

/// Where a connection stands; each variant owns what only it needs.
#[derive(Debug)]
enum State {
    /// Between requests: nothing of the next one is here.
    Idle {
        since: Instant,
    },
    /// Part of a head is here.
    Head {
        since: Instant,
    },
    /// The head is complete, part of the content is here.
    Body(Box<Content>),
    /// A request was handed out; its answer is owed.
    Answering {
        framing: Framing,
        since: Instant,
    },
    /// A rejection was handed out; its answer is owed.
    Rejecting {
        method: Method,
    },
    /// It was accepted only to be turned away.
    Refused,
    /// The last answer is queued. `linger` says that the peer may still be sending.
    Finishing {
        linger: bool,
    },
    /// The sending side is shut down; what comes is dropped.
    Lingering {
        since: Instant,
    },
    Closed(CloseReason),
}

/// Content on its way in.
#[derive(Debug)]
struct Content {
    framing: Framing,
    head_len: usize,
    since: Instant,
    /// Bytes of it that had arrived when the wait began, and when that was.
    seen: usize,
    seen_at: Instant,
    length: ContentLength,
}

#[derive(Debug)]
enum ContentLength {
    Exact(usize),
    Chunked(Decoder),
}

/// What `decide` found, free of borrows.
enum Decision {
    Receive,
    /// A request whose head and content end at these offsets.
    Request {
        head_len: usize,
        content_len: usize,
    },
    Reject(Rejection),
    AwaitAnswer,
    Flush,
    ShutdownWrite,
    Close(CloseReason),
}

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    /// Bytes of the request being answered, used up when the next step is asked for.
    used: usize,
    /// When the step last handed out has taken too long.
    deadline: Instant,
    /// What had been sent when that step was handed out, if it was `Flush`.
    flushing: Option<u64>,
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
            peer_closed: false,
            closing: false,
        }
    }

    /// A connection that is accepted only to be told that there is no room ([`Rejection::Overloaded`]).
    pub fn refused(config: Arc<Config>, now: Instant) -> Connection {
        Connection { state: State::Refused, ..Connection::new(config, now) }
    }

    /// The next thing to do. The request in it borrows only `input`.
    #[inline]
    pub fn poll<'b>(&mut self, input: &'b mut RecvBuf, out: &mut SendQueue, now: Instant) -> Step<'b> {
        match self.decide(input, out, now) {
            Decision::Request { head_len, content_len } => {
                let State::Answering { framing, since } = &self.state else { return Step::AwaitAnswer };
                let bytes = input.unread();
                let content = &bytes[head_len..head_len + content_len];
                Step::Request(Request::new(&input.index, bytes, content, *framing, *since))
            }
            Decision::Receive => {
                input.make_room();
                Step::Receive
            }
            Decision::Flush => {
                if self.flushing.replace(out.total_sent()) != Some(out.total_sent()) {
                    self.deadline = now + self.config.timeouts.write_stall;
                }
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
            self.begin_waiting(now);
        }
        loop {
            // Whatever is waited for, what is queued goes first; but more requests may join it up to a bound.
            let flush_first = !out.is_empty();
            match &mut self.state {
                State::Idle { .. } if out.pending() >= self.config.limits.queued_bytes => {
                    return Decision::Flush;
                }
                State::Idle { since } => {
                    if !input.is_empty() && !self.closing {
                        self.state = State::Head { since: now };
                        continue;
                    }
                    if flush_first {
                        return Decision::Flush;
                    }
                    if self.closing {
                        self.state = State::Finishing { linger: false };
                        continue;
                    }
                    if self.peer_closed {
                        self.state = State::Closed(CloseReason::PeerClosed);
                        continue;
                    }
                    self.deadline = *since + self.config.timeouts.idle;
                    return Decision::Receive;
                }
                State::Head { since } => {
                    let since = *since;
                    match input.parse_head(&self.config.limits) {
                        Ok(Progress::Complete(head_len)) => {
                            if let Err(error) = self.enter_body(head_len, input, out, now) {
                                return self.reject(error, input);
                            }
                            if let State::Answering { .. } = self.state {
                                return Decision::Request { head_len, content_len: 0 };
                            }
                        }
                        Ok(Progress::Partial) => {
                            return self.wait(since + self.config.timeouts.head, flush_first);
                        }
                        Err(error) => return self.reject(error, input),
                    }
                }
                State::Body(content) => match content.progress(input, &self.config.limits) {
                    Ok(Some((content_len, message_len))) => {
                        let (framing, head_len) = (content.framing, content.head_len);
                        self.enter_answering(framing, message_len, now);
                        return Decision::Request { head_len, content_len };
                    }
                    Ok(None) => {
                        let deadline = content.deadline(input.unread().len(), &self.config.timeouts, now);
                        return self.wait(deadline, flush_first);
                    }
                    Err(error) => return self.reject(error, input),
                },
                State::Answering { .. } if flush_first => return Decision::Flush,
                State::Answering { since, .. } => {
                    self.deadline = *since + self.config.timeouts.answer;
                    return Decision::AwaitAnswer;
                }
                State::Refused => {
                    self.state = State::Rejecting { method: Method::Get };
                    return Decision::Reject(Rejection::Overloaded);
                }
                State::Rejecting { .. } => {
                    debug_assert!(false, "polled with a rejection unanswered");
                    self.state = State::Finishing { linger: false };
                }
                State::Finishing { .. } if flush_first => return Decision::Flush,
                State::Finishing { linger } => {
                    let unread = *linger || !input.is_empty();
                    if unread && !self.peer_closed {
                        self.state = State::Lingering { since: now };
                        return Decision::ShutdownWrite;
                    }
                    self.state = State::Closed(CloseReason::Done);
                }
                State::Lingering { since } => {
                    input.clear();
                    if !self.peer_closed {
                        self.deadline = *since + self.config.timeouts.linger;
                        return Decision::Receive;
                    }
                    self.state = State::Closed(CloseReason::Done);
                }
                State::Closed(reason) => return Decision::Close(*reason),
            }
        }
    }

    /// Nobody reads while there is something to send, so the peer's time begins when all is sent.
    fn begin_waiting(&mut self, now: Instant) {
        match &mut self.state {
            State::Idle { since } | State::Head { since } => *since = now,
            State::Body(content) => {
                content.since = now;
                content.seen_at = now;
            }
            _ => {}
        }
    }

    /// Waits for more of a request.
    fn wait(&mut self, deadline: Instant, flush_first: bool) -> Decision {
        if flush_first {
            return Decision::Flush;
        }
        if self.peer_closed {
            self.state = State::Closed(CloseReason::Truncated);
            return Decision::Close(CloseReason::Truncated);
        }
        self.deadline = deadline;
        Decision::Receive
    }

    /// Judges a complete head; from here on the request is waited for, or answered.
    fn enter_body(
        &mut self,
        head_len: usize,
        input: &mut RecvBuf,
        out: &mut SendQueue,
        now: Instant,
    ) -> Result<(), ParseError> {
        let framing = framing::judge(&input.index, input.unread())?;
        let length = match framing.body {
            BodyLength::Exact(0) => {
                self.enter_answering(framing, head_len, now);
                return Ok(());
            }
            BodyLength::Exact(length) => match usize::try_from(length) {
                Ok(length) if length <= self.config.limits.body_bytes => ContentLength::Exact(length),
                _ => return Err(ParseError::BodyTooLarge),
            },
            BodyLength::Chunked => ContentLength::Chunked(Decoder::default()),
        };
        let seen = input.unread().len();
        // RFC 9110 §10.1.1: who has begun to send the content is not waiting for leave to do so.
        if framing.expect_continue && seen == head_len {
            out.write(|text| text.extend_from_slice(encode::CONTINUE));
        }
        self.state =
            State::Body(Box::new(Content { framing, head_len, since: now, seen, seen_at: now, length }));
        Ok(())
    }

    #[inline]
    fn enter_answering(&mut self, framing: Framing, message_len: usize, now: Instant) {
        self.used = message_len;
        self.state = State::Answering { framing, since: now };
    }

    fn reject(&mut self, error: ParseError, input: &RecvBuf) -> Decision {
        self.state = State::Rejecting { method: input.index.method_in(input.unread()) };
        Decision::Reject(Rejection::Malformed(error))
    }

    /// Queues the answer that the last [`Step::Request`] or [`Step::Reject`] asked for. Without such a step
    /// nothing is owed, and the answer is dropped.
    pub fn respond(&mut self, response: Response, out: &mut SendQueue, clock: &Clock) {
        let (method, version, keep_alive, linger) = match &self.state {
            State::Answering { framing, .. } => {
                (framing.method, framing.version, framing.keep_alive, framing.keep_alive)
            }
            State::Rejecting { method } => (*method, Version::Http11, false, true),
            _ => return debug_assert!(false, "an answer that nobody asked for"),
        };
        let delimiter = encode::delimiter(response.body.len(), version);
        let keep_alive = keep_alive && !response.close && !self.closing && delimiter != Delimiter::Close;
        write_answer(response, method, delimiter, keep_alive, out, clock);
        // A peer that asked for the end sends no more. One that did not may be sending, and must not have its
        // answer lost to a reset (RFC 9112 §9.6).
        self.state =
            if keep_alive { State::Idle { since: clock.now() } } else { State::Finishing { linger } };
    }

    /// Answers the request in hand with a rejection after all: its handler failed or is over capacity.
    pub fn fail(&mut self) {
        if let State::Answering { framing, .. } = &self.state {
            self.state = State::Rejecting { method: framing.method };
        }
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
            | State::Lingering { .. }
            | State::Closed(_) => {
                self.state = State::Closed(CloseReason::Done);
                return None;
            }
        };
        let method = match &self.state {
            State::Answering { framing, .. } => framing.method,
            State::Body(content) => content.framing.method,
            _ => Method::Extension,
        };
        self.state = State::Rejecting { method };
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

    /// Whether an answer is owed.
    pub fn is_answering(&self) -> bool {
        matches!(self.state, State::Answering { .. })
    }
}

fn write_answer(
    mut response: Response,
    method: Method,
    delimiter: Delimiter,
    keep_alive: bool,
    out: &mut SendQueue,
    clock: &Clock,
) {
    if response.status == Status::METHOD_NOT_ALLOWED && response.field("Allow").is_none() {
        // RFC 9110 §15.5.6 wants the field on every 405; an empty one says that nothing is allowed.
        response = response.allow(&[]);
    }
    let head = encode::Head {
        status: response.status,
        ready: response.ready.as_ref().map_or(&[], |ready| ready.as_bytes()),
        fields: response.fields.as_bytes(),
    };
    encode::head(out, head, delimiter, keep_alive, clock);
    if encode::carries_content(response.status, method) {
        response.body.queue(out, delimiter == Delimiter::Chunked);
    }
}

impl Content {
    /// The content's length and the message's, once all of it is here.
    fn progress(
        &mut self,
        input: &mut RecvBuf,
        limits: &Limits,
    ) -> Result<Option<(usize, usize)>, ParseError> {
        match &mut self.length {
            ContentLength::Exact(length) => {
                let message_len = self.head_len + *length;
                Ok((input.unread().len() >= message_len).then_some((*length, message_len)))
            }
            ContentLength::Chunked(decoder) => {
                match decoder.decode(input.after_mut(self.head_len), limits)? {
                    Decoded::Complete(end) => Ok(Some((decoder.content_len(), self.head_len + end))),
                    Decoded::Partial => {
                        input.truncate(self.head_len + decoder.content_len());
                        Ok(None)
                    }
                }
            }
        }
    }

    /// Each piece must come soon, and all of them fast enough on average.
    fn deadline(&mut self, here: usize, timeouts: &Timeouts, now: Instant) -> Instant {
        if here != self.seen {
            self.seen = here;
            self.seen_at = now;
        }
        let content = here.saturating_sub(self.head_len) as u64;
        let earned = Duration::from_secs(content / u64::from(timeouts.body_rate.max(1)));
        (self.seen_at + timeouts.body_idle).min(self.since + timeouts.body_idle + earned)
    }
}
