//! The state machine of one connection, without its socket: bytes and the time go in, the next step comes out.
//!
//! It must never read a socket or a clock. States and events:
//!
//! ```text
//! ProxyHeader ─ProxyHeaderComplete─► Idle
//! Idle ─HeadStarted─► Head ─HeadComplete─► Admitting ─BodyAdmitted─► Body ─RequestComplete─► AwaitingReply
//!                     Head|Admitting ─RequestComplete─► AwaitingReply
//! AwaitingReply ─ContentRequested─► Receiving ─ContentTaken─► AwaitingReply
//! AwaitingReply ─KeepAliveResponse─► Idle
//! AwaitingReply|Receiving ─EarlyResponse─► Discarding ─BodyDiscarded─► Idle
//! AwaitingReply|Receiving ─LastResponse─► Finishing
//! AwaitingReply ─UpgradeResponse─► Upgrading ─HandedOver|Expired─► Closed
//!
//! Head|Admitting|Body|Receiving ─Malformed|Expired─► Rejecting ─LastResponse|NoResponse─► Finishing
//! Idle|ProxyHeader ─Malformed─► Rejecting
//! Idle|Admitting|AwaitingReply|Receiving|OverLimit ─Rejected─► Rejecting
//! AwaitingReply ─Expired─► Rejecting
//! Discarding ─Malformed|KeepAliveDisabled─► Finishing
//! Idle|ProxyHeader ─KeepAliveDisabled─► Finishing ─FlushedUnread─► Lingering ─Eof|Expired─► Closed
//!
//! Finishing ─Flushed─► Closed
//! Idle|ProxyHeader|Head|Body|Receiving|Discarding ─Eof─► Closed
//! Idle|ProxyHeader|OverLimit|Discarding|Rejecting|Finishing ─Expired─► Closed
//! Idle|Head|Admitting|Body|AwaitingReply|Receiving|Discarding|Rejecting|Finishing|Upgrading ─WriteStalled─► Closed
//! ```
//!
//! The engine calls [`Connection::poll`], does what the returned [`Step`] says, and polls again. If a step must wait
//! for the client or for the handler, the engine waits until [`Connection::deadline`] at the latest.
//!
//! ```
//! use http_core::{Buffers, Clock, Connection, Response, Step, Transmit};
//! use std::{sync::Arc, time::{Instant, SystemTime}};
//!
//! let clock = Clock::new("example", Instant::now(), SystemTime::UNIX_EPOCH);
//! let mut conn = Connection::new(Arc::default(), clock.now());
//! let Buffers { mut input, mut out } = Buffers::default();
//! input.extend(b"GET /hello HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n");
//!
//! assert_eq!(conn.poll(&mut input, &mut out, clock.now()), Step::Request);
//! let request = conn.request(&input).ok_or("no request")?;
//! let response = Response::text(format!("you asked for {}", request.path()));
//! conn.respond(response, &mut out, &clock)?;
//!
//! assert_eq!(conn.poll(&mut input, &mut out, clock.now()), Step::Flush);
//! let Transmit::Bytes { slices, .. } = out.transmit() else { return Err("nothing to send".into()) };
//! assert!(slices[0].starts_with(b"HTTP/1.1 200 OK\r\n") && slices[0].ends_with(b"you asked for /hello"));
//! let sent = slices[0].len();
//! out.sent(sent);
//! assert!(matches!(conn.poll(&mut input, &mut out, clock.now()), Step::Close(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod content;
mod head;
mod proxy;
mod receiving;
mod respond;
mod state;
mod step;

pub use crate::types::error::Misuse;
pub use step::{CloseReason, Step};

use crate::{
    buffer::{
        recv_buf::{OutOfMemory, RecvBuf},
        send_queue::SendQueue,
    },
    message::{rejection::Rejection, tls_info::TlsInfo, upgrade::OfferedProtocols},
    types::{
        clock::deadline_after,
        limits::{Config, Timeouts},
        method::Method,
        progress::ProgressClock,
    },
};
use state::{Event, RejectedHead, State};
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// The protocol state of one connection.
///
/// ```
/// use http_core::{Buffers, Connection, Rejection, Step};
/// use std::{sync::Arc, time::Instant};
///
/// // A client sends half a head, and then nothing.
/// let now = Instant::now();
/// let Buffers { mut input, mut out } = Buffers::default();
/// let mut conn = Connection::new(Arc::default(), now);
/// input.extend(b"GET / HTTP/1.1\r\n");
/// assert_eq!(conn.poll(&mut input, &mut out, now), Step::Receive);
/// assert_eq!(conn.expire(now), None);
/// assert_eq!(conn.expire(conn.deadline()), Some(Rejection::RequestTimeout));
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    /// The length in bytes of the request that was handed to the engine and is still in the receive buffer. The next
    /// poll removes that request. 0 if there is none.
    request_len: usize,
    /// When the step that `poll` returned last must be done. Before the first poll, the end of the idle timeout.
    deadline: Instant,
    /// Whether queued responses are being sent: from the first [`Step::Flush`] until a poll finds the send queue empty.
    is_flushing: bool,
    /// The peer, if it is a trusted proxy. In a box, because few connections have one.
    proxy: Option<Box<TrustedProxy>>,
    /// The client's address: that of the peer, unless a trusted proxy has named another.
    client_addr: Option<SocketAddr>,
    /// Whether TLS secures the connection.
    is_secure: bool,
    /// What the handshake has negotiated, if the engine tells that.
    tls: Option<Arc<OnceLock<TlsInfo>>>,
    /// Whether the first request on a connection with TLS has not arrived: the handshake may not be complete.
    awaits_handshake: bool,
    /// The protocols in the Upgrade header of the last request that could be upgraded.
    offered: Option<Box<OfferedProtocols>>,
    /// Whether the client has shut down its sending side.
    eof: bool,
    keep_alive: KeepAlive,
}

/// A trusted proxy.
#[derive(Debug)]
struct TrustedProxy {
    /// Its address. A header of the PROXY protocol replaces the address of the socket.
    addr: Option<SocketAddr>,
}

/// Whether the connection stays open after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeepAlive {
    /// Yes, if the client wants it.
    Enabled,
    /// No, but an idle connection waits for one more request. [`Connection::drain`] was called.
    Draining,
    /// No. [`Connection::disable_keep_alive`] was called.
    Disabled,
}

/// The arguments of one call of [`Connection::poll`].
struct Io<'a> {
    input: &'a mut RecvBuf,
    out: &'a mut SendQueue,
    now: Instant,
}

impl Connection {
    /// Creates the state of a connection that the server has accepted at the time `now`.
    ///
    /// If the peer is a [trusted proxy](Config::proxies) that announces its clients, the connection expects a header of
    /// the PROXY protocol first.
    pub fn new(config: Arc<Config>, now: Instant) -> Connection {
        let deadline = deadline_after(now, config.timeouts.idle);
        let connection = Connection {
            config,
            state: State::Idle { since: now, removed: 0 },
            request_len: 0,
            deadline,
            is_flushing: false,
            proxy: None,
            client_addr: None,
            is_secure: false,
            tls: None,
            awaits_handshake: false,
            offered: None,
            eof: false,
            keep_alive: KeepAlive::Enabled,
        };
        connection.with_peer(None)
    }

    /// Creates the state of a connection that exceeds the server's limit of connections. Its first step is
    /// [`Step::Reject`] with [`Rejection::Overloaded`].
    pub fn over_limit(config: Arc<Config>, now: Instant) -> Connection {
        Connection { state: State::OverLimit, ..Connection::new(config, now) }
    }

    /// Sets the address of the peer, which [`Request::client_addr`](crate::Request::client_addr) and
    /// [`Rejected::client_addr`](crate::Rejected::client_addr) then contain, unless the peer is a
    /// [trusted proxy](Config::proxies) that names another client. Call this before the first poll.
    pub fn with_client_addr(self, client_addr: SocketAddr) -> Connection {
        self.with_peer(Some(client_addr))
    }

    /// Marks the connection as secured with TLS by the engine: [`Request::is_secure`](crate::Request::is_secure)
    /// returns true, and targets in absolute form must be `https` URIs (RFC 9110 §7.4), unless both schemes [are
    /// served](Config::schemes). The first request must begin within [`Timeouts::head`], the time of the handshake
    /// included. Call this before the first poll.
    pub fn with_tls(mut self) -> Connection {
        (self.is_secure, self.awaits_handshake) = (true, true);
        if let State::Idle { since, .. } = self.state {
            self.deadline = self.idle_deadline(since);
        }
        self
    }

    /// As [`with_tls`](Connection::with_tls). The engine puts what the handshake negotiates into `session`, for
    /// [`Request::tls`](crate::Request::tls), before it passes in the first byte of a request.
    pub fn with_tls_info(mut self, session: Arc<OnceLock<TlsInfo>>) -> Connection {
        self.tls = Some(session);
        self.with_tls()
    }

    /// Returns the next step, which the engine must do. Then the engine calls `poll` again with the same buffers. `now`
    /// is the current time.
    #[inline]
    pub fn poll(&mut self, input: &mut RecvBuf, out: &mut SendQueue, now: Instant) -> Step {
        if self.request_len > 0 {
            input.consume(std::mem::take(&mut self.request_len));
        }
        if self.is_flushing && out.is_empty() {
            (self.is_flushing, out.flush_clock) = (false, None);
            self.restart_timeout(now);
        }
        let io = &mut Io { input, out, now };
        loop {
            let step = match &self.state {
                State::Idle { since, removed } => self.poll_idle(*since, *removed, io),
                State::Head { since } => self.poll_head(*since, io),
                State::Body(_) => self.poll_body(io),
                _ => self.poll_rare(io),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Returns the step in the other states, in which few requests are polled; `None` if the state has changed.
    #[cold]
    fn poll_rare(&mut self, io: &mut Io<'_>) -> Option<Step> {
        match &self.state {
            State::Idle { .. } | State::Head { .. } | State::Body(_) => None,
            State::Admitting { framing, head_len, admit, .. } => {
                self.take_body(*framing, *head_len, *admit, io)
            }
            State::Receiving(_) => self.poll_receiving(io),
            State::Discarding(_) => self.poll_discarding(io),
            State::ProxyHeader { since, .. } => self.poll_proxy_header(*since, io),
            State::OverLimit => {
                let next = State::Rejecting { method: Method::Get, head: RejectedHead::Gone };
                self.transition(Event::Rejected, next);
                Some(Step::Reject(Rejection::Overloaded))
            }
            State::Rejecting { .. } => {
                debug_assert!(false, "polled a connection without responding to its rejection");
                self.enter(Event::NoResponse, State::Finishing { linger: false })
            }
            // Before the connection waits for a late response, it sends those that are queued.
            State::AwaitingReply { .. } | State::Finishing { .. } if !io.out.is_empty() => {
                Some(self.flush(io))
            }
            State::AwaitingReply { received_at, .. } => {
                // Sending earlier responses may have set another deadline.
                self.deadline = deadline_after(*received_at, self.config.timeouts.reply);
                Some(Step::AwaitReply)
            }
            State::Upgrading(_) if io.out.is_empty() => Some(Step::Upgrade),
            State::Upgrading(_) => Some(self.flush(io)),
            State::Finishing { linger } if (*linger || !io.input.is_empty()) && !self.eof => {
                self.deadline = deadline_after(io.now, self.config.timeouts.linger);
                self.transition(Event::FlushedUnread, State::Lingering);
                Some(Step::ShutdownWrite)
            }
            State::Finishing { .. } => self.enter(Event::Flushed, State::Closed(CloseReason::Done)),
            State::Lingering => {
                io.input.clear();
                if self.eof {
                    self.enter(Event::Eof, State::Closed(CloseReason::Done))
                } else {
                    Some(Step::Receive)
                }
            }
            State::Closed(reason) => Some(Step::Close(*reason)),
        }
    }

    /// Changes the state to `next` because of `event`. Every change of the state goes through this function. Debug
    /// builds panic if the table of transitions, [`StateName::after`](state::StateName::after), does not contain the
    /// change.
    #[inline]
    fn transition(&mut self, event: Event, next: State) {
        let state = self.state.name();
        debug_assert_eq!(state.after(event), Some(next.name()), "after {event:?} in state {state:?}");
        self.state = next;
    }

    /// Changes the state to `next` because of `event`, and always returns `None`. The functions that
    /// [`poll`](Connection::poll) calls return this `None`. `poll` then determines the step in the new state.
    #[inline]
    fn enter(&mut self, event: Event, next: State) -> Option<Step> {
        self.transition(event, next);
        None
    }

    /// Returns the deadline of the next request on a connection that is idle since this time.
    #[inline]
    fn idle_deadline(&self, since: Instant) -> Instant {
        let timeouts = &self.config.timeouts;
        let timeout = match self.keep_alive {
            KeepAlive::Disabled => Duration::ZERO,
            _ if self.awaits_handshake => timeouts.head.min(timeouts.idle),
            KeepAlive::Draining => timeouts.idle.min(timeouts.idle_grace),
            KeepAlive::Enabled => timeouts.idle,
        };
        deadline_after(since, timeout)
    }

    /// Restarts at `now` the timeout of an idle connection, of a head or of a body. Does nothing in the other states.
    ///
    /// [`poll`](Connection::poll) calls it when the send queue has become empty. While the server was sending, it did
    /// not receive: that time must not count against the client.
    #[inline]
    fn restart_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Idle { since, .. } | State::Head { since } => *since = now,
            _ => self.restart_body_timeout(now),
        }
    }

    /// As [`restart_timeout`](Connection::restart_timeout), in the states that receive a body.
    #[cold]
    fn restart_body_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Body(body) => body.clock.restart(now),
            State::Receiving(content) => content.clock.restart(now),
            State::Discarding(discarded) => discarded.clock.restart(now),
            _ => {}
        }
    }

    /// Returns [`Step::Flush`] if responses are queued. Otherwise returns what [`receive`](Connection::receive)
    /// returns: more bytes of the request are needed.
    fn flush_or_receive(&mut self, io: &mut Io<'_>, deadline: Instant, expected: usize) -> Option<Step> {
        if io.out.is_empty() {
            self.receive(io, deadline, CloseReason::Truncated, expected)
        } else {
            Some(self.flush(io))
        }
    }

    /// Returns [`Step::Receive`], and sets `deadline` as its deadline. `expected` is the length of the whole request in
    /// bytes; `usize::MAX` if it is unknown.
    ///
    /// If the client has shut down its sending side, changes the state to closed for the reason `at_eof`, and returns
    /// `None`. If there is no memory for more bytes, rejects the request.
    #[inline]
    fn receive(
        &mut self,
        io: &mut Io<'_>,
        deadline: Instant,
        at_eof: CloseReason,
        expected: usize,
    ) -> Option<Step> {
        if self.eof {
            return self.enter(Event::Eof, State::Closed(at_eof));
        }
        self.deadline = deadline;
        match io.input.reserve(1, expected) {
            Ok(()) => Some(Step::Receive),
            Err(OutOfMemory) => Some(self.reject_out_of_memory(io)),
        }
    }

    /// Rejects a request for which there is no memory: changes the state, and returns [`Step::Reject`].
    #[cold]
    fn reject_out_of_memory(&mut self, io: &Io<'_>) -> Step {
        let framing = match &self.state {
            State::Body(body) => Some(body.framing),
            _ => None,
        };
        self.begin_rejecting(framing, io.input, io.now);
        Step::Reject(Rejection::Overloaded)
    }

    /// Returns [`Step::Flush`], and sets the deadline by which the client must have read more. There is no deadline
    /// while the client has everything, and a stream has not ended: then the server waits for the source of the stream,
    /// not for the client.
    #[inline]
    fn flush(&mut self, io: &mut Io<'_>) -> Step {
        let timeouts = &self.config.timeouts;
        let sent = io.out.total_sent();
        let pending = io.out.pending();
        self.deadline = match &mut io.out.flush_clock {
            Some(clock) => {
                let deadline = clock.deadline(sent, timeouts.write_stall, timeouts.send_rate, io.now);
                if pending > 0 {
                    deadline
                } else {
                    clock.restart(io.now);
                    deadline_after(io.now, Duration::MAX)
                }
            }
            None => {
                self.is_flushing = true;
                io.out.flush_clock = Some(ProgressClock::start(sent, io.now));
                deadline_after(io.now, timeouts.write_stall)
            }
        };
        Step::Flush
    }

    /// Returns the address of the client that has sent the last request; `None` if the engine
    /// [has not set it](Connection::with_client_addr), and no trusted proxy has named it.
    pub fn client_addr(&self) -> Option<SocketAddr> {
        self.client_addr
    }

    /// Returns the timeouts of the connection.
    pub fn timeouts(&self) -> &Timeouts {
        &self.config.timeouts
    }

    /// Returns the deadline of the step that [`poll`](Connection::poll) returned last. If the engine has not done the
    /// step by then, it must call [`expire`](Connection::expire).
    ///
    /// Before the first poll, this is the end of the idle timeout, or of the time for a header of the PROXY protocol.
    /// [`Step::Reject`] and [`Step::Close`] have no deadline: the engine does them without waiting. The deadline of a
    /// stream that waits for its source ([`Transmit::Pending`](crate::Transmit::Pending)) is 30 years away.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ends the wait for the client or the handler, if the [`deadline`](Connection::deadline) has passed.
    ///
    /// * If queued responses were being sent, closes the connection, and returns `None`.
    /// * Otherwise, if a request was incomplete or awaited its response, rejects the request, and returns the reason.
    ///   Then pass a response to [`respond`](Connection::respond).
    /// * In every other state, closes the connection, and returns `None`.
    ///
    /// After a close, the next poll returns [`Step::Close`]. If the deadline has not passed, changes nothing and
    /// returns `None`.
    pub fn expire(&mut self, now: Instant) -> Option<Rejection> {
        if now < self.deadline {
            return None;
        }
        let stalled = self.is_flushing;
        let (rejection, method, head) = match &self.state {
            State::Closed(_) => return None,
            State::Head { .. } if !stalled => {
                (Rejection::RequestTimeout, Method::Extension, RejectedHead::Invalid)
            }
            State::Admitting { framing, .. } if !stalled => {
                (Rejection::RequestTimeout, framing.method, RejectedHead::Valid(*framing, now))
            }
            State::Body(body) if !stalled => {
                let framing = body.framing;
                (Rejection::RequestTimeout, framing.method, RejectedHead::Valid(framing, now))
            }
            State::Receiving(content) if !stalled => {
                let reason = match content.untaken_since() {
                    Some(_) => Rejection::ReplyTimeout,
                    None => Rejection::RequestTimeout,
                };
                (reason, content.framing.method, RejectedHead::Gone)
            }
            State::AwaitingReply { framing, .. } if !stalled => {
                (Rejection::ReplyTimeout, framing.method, RejectedHead::Gone)
            }
            state => {
                let (event, reason) = match state {
                    _ if stalled => (Event::WriteStalled, CloseReason::WriteStall),
                    State::Idle { .. } | State::ProxyHeader { .. } => (Event::Expired, CloseReason::Idle),
                    State::Discarding(_) => (Event::Expired, CloseReason::BodyStall),
                    _ => (Event::Expired, CloseReason::Done),
                };
                self.transition(event, State::Closed(reason));
                return None;
            }
        };
        self.transition(Event::Expired, State::Rejecting { method, head });
        Some(rejection)
    }

    /// Tells the connection that the client has shut down its sending side. The requests received before are still
    /// served.
    pub fn receive_eof(&mut self) {
        self.eof = true;
    }

    /// Closes the connection after the response to the request in progress, or at the next poll if there is no such
    /// request. The client may have sent a request that the server has not received: [`drain`](Connection::drain) waits
    /// for it.
    pub fn disable_keep_alive(&mut self) {
        self.keep_alive = KeepAlive::Disabled;
    }

    /// Closes the connection after the response to the request in progress, because the server shuts down. If there is
    /// no such request, or the head of its response is already queued, waits for one more request, for
    /// [`Timeouts::idle_grace`] from `now` or from the end of that response. So it does for a header of the PROXY
    /// protocol, and then for a request. The first request on a connection with TLS keeps its time: the client may have
    /// begun the handshake, and does not repeat the request if the connection closes. `now` is the current time.
    /// Further calls change nothing.
    ///
    /// ```
    /// use http_core::{Buffers, Connection, Step};
    /// use std::{sync::Arc, time::{Duration, Instant}};
    ///
    /// let now = Instant::now();
    /// let Buffers { mut input, mut out } = Buffers::default();
    /// let mut conn = Connection::new(Arc::default(), now);
    /// conn.drain(now);
    /// assert_eq!(conn.poll(&mut input, &mut out, now), Step::Receive);
    /// assert_eq!(conn.deadline(), now + Duration::from_secs(2));
    /// ```
    pub fn drain(&mut self, now: Instant) {
        if self.keep_alive == KeepAlive::Enabled {
            self.keep_alive = KeepAlive::Draining;
            if let State::Idle { since, .. } | State::ProxyHeader { since, has_begun: false } =
                &mut self.state
                && !self.awaits_handshake
            {
                *since = now;
            }
        }
    }

    /// Returns whether the connection is between two requests, or before the first, and the receive buffer holds no
    /// bytes of a request that was handed to the engine. If the buffers are also empty, the connection does not need
    /// them.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. } | State::ProxyHeader { has_begun: false, .. })
            && self.request_len == 0
    }

    /// Returns whether the first request on a connection with TLS has not arrived: the handshake may not be complete.
    pub fn awaits_handshake(&self) -> bool {
        self.awaits_handshake
    }

    /// Returns the time since which the connection has waited for a request, with all responses sent. Returns `None` if
    /// the connection is not waiting for a request.
    pub fn idle_since(&self) -> Option<Instant> {
        match self.state {
            State::Idle { since, .. } if self.request_len == 0 && !self.is_flushing => Some(since),
            State::ProxyHeader { since, has_begun: false } => Some(since),
            _ => None,
        }
    }

    /// Returns whether the connection awaits the response to a request, whose content it may be receiving piece by
    /// piece. Returns false if the request was rejected.
    pub fn is_awaiting_reply(&self) -> bool {
        matches!(self.state, State::AwaitingReply { .. } | State::Receiving(_))
    }
}
