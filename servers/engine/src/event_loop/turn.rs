//! A turn is what the worker does for one connection without interruption: it receives, calls the handler and sends
//! until the connection must wait, is closed, or has used up its budget and yields to the others.

use super::{
    completions::ConnectionWaker,
    connections::{ClientConnection, Key},
    timers::Timers,
};
use crate::{
    drive::{Action, Driver},
    late::{LateReply, Outcome, RunReply, start_reply},
    metrics::Counters,
    pool::Pools,
    transport::{Received, Transmitted, report_file},
};
use http_core::{Buffers, Clock, Handler, Job, Rejection, Reply, drop_caught};
use std::{io, ops::ControlFlow, time::Duration};

/// The maximum number of requests of one connection that the worker serves before it continues with other connections.
/// So a client that pipelines does not delay the others.
const REQUESTS_PER_TURN: u32 = 64;
/// When the worker has sent about this many bytes for one connection and more are queued, it continues with other
/// connections. So a fast download does not delay other clients.
const BYTES_PER_TURN: u64 = 1024 * 1024;
/// The maximum number of receives for one connection before the worker continues with other connections. So a client
/// that sends without pause (whose bytes are dropped after the last response) does not delay the others.
const RECEIVES_PER_TURN: u32 = 64;

/// One turn of a connection: the worker receives, calls the handler and sends, until the connection must wait or close,
/// or has used up its budget of requests ([`REQUESTS_PER_TURN`]) or bytes ([`BYTES_PER_TURN`]). The fields are what the
/// worker needs for that.
pub(super) struct Turn<'w> {
    pub(super) client: &'w mut ClientConnection,
    pub(super) buffers: &'w mut Buffers,
    pub(super) handler: &'w dyn Handler,
    pub(super) clock: &'w Clock,
    /// The threads for what would block the event loop.
    pub(super) pools: &'w Pools,
    pub(super) timers: &'w mut Timers<Key>,
    pub(super) counters: &'w Counters,
    /// The connection's key, and where other threads send completions for it.
    pub(super) waker: ConnectionWaker<'w>,
}

impl Turn<'_> {
    /// Receives, calls the handler and sends, until the connection must wait. Returns what the connection waits for
    /// ([`Action::Receive`], [`Action::Send`] or [`Action::AwaitReply`]), or [`Action::Yield`] if its budget of
    /// requests, receives or bytes is used up, or what the worker must do ([`Action::AdmitAddress`],
    /// [`Action::Upgrade`] or [`Action::Close`]).
    #[inline]
    pub(super) fn run(&mut self) -> Action {
        let (mut budget, mut receives) = (REQUESTS_PER_TURN, RECEIVES_PER_TURN);
        let mut blocked = false;
        loop {
            match self.driver().drive(&mut budget) {
                Action::Receive if self.client.socket_empty && !self.client.transport.wants_send() => {
                    return Action::Receive;
                }
                Action::Receive if receives == 0 => return Action::Yield,
                Action::Receive => match self.receive() {
                    Ok(Received::Bytes { emptied }) => {
                        receives -= 1;
                        self.client.socket_empty = emptied && !self.client.half_closed;
                    }
                    Ok(Received::Eof) => self.client.conn.receive_eof(),
                    Ok(Received::WouldBlock) => {
                        self.client.socket_empty = true;
                        if self.client.transport.wants_send() {
                            return Action::Receive;
                        }
                    }
                    Err(_) => return Action::Close,
                },
                Action::Send if blocked => return Action::Send,
                Action::Send => match self.send() {
                    ControlFlow::Continue(takes_more) => blocked = !takes_more,
                    ControlFlow::Break(action) => return action,
                },
                Action::StartReply(reply) => {
                    if self.start(reply) {
                        budget = budget.saturating_sub(1);
                        if budget == 0 {
                            return Action::Yield;
                        }
                    }
                }
                Action::ShutdownWrite => {
                    if self.client.transport.shutdown_write().is_err() {
                        return Action::Close;
                    }
                }
                action @ (Action::AdmitAddress
                | Action::AwaitReply
                | Action::Yield
                | Action::Upgrade
                | Action::Close) => return action,
            }
        }
    }

    /// Receives once. While a PROXY header is awaited, receives nothing that follows it.
    #[inline]
    fn receive(&mut self) -> io::Result<Received> {
        let (transport, input) = (&self.client.transport, &mut self.buffers.input);
        if self.client.conn.awaits_proxy_header() {
            transport.receive_proxy_header(input)
        } else {
            transport.receive(input)
        }
    }

    /// Sends what is queued. Returns whether the socket may take more, or the result of [`run`](Turn::run) if the turn
    /// ends.
    #[inline]
    fn send(&mut self) -> ControlFlow<Action, bool> {
        match self.client.transport.transmit(&mut self.buffers.out, BYTES_PER_TURN, self.counters) {
            Ok(Transmitted::All) => ControlFlow::Continue(true),
            // Drive once more: the protocol must see how many bytes the client has taken.
            Ok(Transmitted::WouldBlock) => ControlFlow::Continue(false),
            Ok(Transmitted::Pending) => {
                self.schedule_stream();
                ControlFlow::Continue(false)
            }
            Ok(Transmitted::BudgetSpent) => ControlFlow::Break(Action::Yield),
            Ok(Transmitted::FileFailed(error)) => {
                report_file(&self.client.conn, &mut self.buffers.out, error);
                ControlFlow::Break(Action::Close)
            }
            Err(_) => ControlFlow::Break(Action::Close),
        }
    }

    /// Queues the response for `outcome`, the outcome of the connection's reply. Then continues as [`run`](Turn::run),
    /// and returns what that returns. Ignores `outcome` if the connection no longer waits for it.
    pub(super) fn run_completed(&mut self, outcome: Outcome) -> Action {
        self.driver().complete(outcome);
        self.run()
    }

    /// Queues 503, because the client that a proxy has announced is at its limit of connections. Then continues as
    /// [`run`](Turn::run), and returns what that returns.
    #[cold]
    pub(super) fn run_refused(&mut self) -> Action {
        self.driver().fail(Rejection::Overloaded);
        self.run()
    }

    /// Schedules the time at which the source of a stream asks to be called again, if it does.
    #[cold]
    fn schedule_stream(&mut self) {
        self.timers.resume_at(self.buffers.out.resume_at(), self.waker.key);
    }

    /// Starts a late reply. Returns whether its outcome was known at once; then queues the response.
    #[cold]
    fn start(&mut self, reply: Reply) -> bool {
        let Some(mut late) = self.client.late.take() else {
            drop_caught(reply);
            return false;
        };
        let outcome = start_reply(reply, &mut late, self);
        self.client.late = Some(late);
        let is_known = outcome.is_some();
        if let Some(outcome) = outcome {
            self.driver().complete(outcome);
        }
        is_known
    }

    /// Handles a deadline that has passed: queues an error response or marks the connection for closing
    /// ([`Driver::expire`]). Then continues as [`run`](Turn::run), and returns what that returns.
    ///
    /// If responses are queued, first tries to send them. If the client takes enough bytes to extend the deadline,
    /// nothing expires.
    pub(super) fn run_expired(&mut self) -> Action {
        // See `ClientConnection::next_check`.
        if !self.buffers.out.is_empty() {
            let action = self.run();
            let is_over = matches!(action, Action::Close | Action::Yield | Action::Upgrade);
            if is_over || self.client.conn.deadline() > self.clock.now() {
                return action;
            }
        }
        if let Some(late) = self.driver().expire() {
            self.timers.cancel(&late.waits_for, self.waker.key);
        }
        self.run()
    }

    /// Borrows what [`Driver`] needs to advance the protocol: connection, buffers, handler and clock.
    #[inline]
    fn driver(&mut self) -> Driver<'_> {
        Driver {
            conn: &mut self.client.conn,
            buffers: self.buffers,
            handler: self.handler,
            clock: self.clock,
            streams: &self.waker,
            late: &mut self.client.late,
            counters: self.counters,
        }
    }
}

/// No reply blocks the event loop: timers, pool threads and responders deliver the outcomes later.
impl RunReply for Turn<'_> {
    fn pools(&self) -> &Pools {
        self.pools
    }

    fn run_after(&mut self, delay: Duration, job: Job, late: &mut LateReply) {
        let due = late.set_timer(self.clock.now(), delay);
        self.timers.delay(due, self.waker.key, job);
    }

    fn sender(&mut self, _: &LateReply) -> Result<impl FnOnce(Outcome) + Send + 'static, Rejection> {
        let (sender, key) = (self.waker.completions.sender(), self.waker.key);
        Ok(move |outcome| sender.send(key, outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event_loop::completions::Completions, pool::Pool, shutdown::Shutdown, threads::Threads,
        transport::Transport,
    };
    use http_core::{Connection, Request, Response};
    use mio::Token;
    use rustix::net::sockopt::set_socket_send_buffer_size;
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
        sync::Arc,
        time::{Instant, SystemTime},
    };

    /// A connection, and what its turns need.
    struct Fixture {
        connection: ClientConnection,
        buffers: Buffers,
        clock: Clock,
        completions: Completions,
        pool: Pool,
        /// The client's end. Its peer is the server's.
        client: UnixStream,
        /// Wakes the completions.
        _poll: mio::Poll,
    }

    impl Fixture {
        fn new(connect: impl Fn(Instant) -> Connection) -> Fixture {
            let (server, client) = UnixStream::pair().expect("sockets");
            server.set_nonblocking(true).expect("a socket");
            let clock = Clock::new("test", Instant::now(), SystemTime::now());
            let poll = mio::Poll::new().expect("epoll");
            let transport = Transport::new(server.into(), false);
            let threads = Threads::new(256 * 1024, &Arc::new(Shutdown::new().expect("a descriptor")));
            Fixture {
                connection: ClientConnection::new(transport, connect(clock.now()), None),
                buffers: Buffers::default(),
                completions: Completions::new(&poll, Token(0)).expect("a descriptor"),
                pool: Pool::new("pool", 1, 1, &threads),
                clock,
                client,
                _poll: poll,
            }
        }

        /// Runs a turn, after the deadline if that has passed. The application accepts every upgrade.
        fn turn(&mut self) -> Action {
            let has_expired = self.connection.conn.deadline() <= self.clock.now();
            let mut turn = Turn {
                client: &mut self.connection,
                buffers: &mut self.buffers,
                handler: &|_: &Request<'_>| Response::switching_protocols("test").on_upgrade(drop),
                clock: &self.clock,
                pools: &Pools { jobs: self.pool.clone(), streaming: self.pool.clone() },
                timers: &mut Timers::new(self.clock.now()),
                counters: &Counters::default(),
                waker: ConnectionWaker {
                    key: Key::from_token(Token(0)),
                    completions: &self.completions,
                    streaming: &self.pool,
                },
            };
            if has_expired { turn.run_expired() } else { turn.run() }
        }
    }

    /// The server drops what a refused client sends, and there may be no end of it.
    #[test]
    fn a_client_that_sends_without_pause_uses_up_its_turn() {
        let mut fixture = Fixture::new(|now| Connection::over_limit(Arc::default(), now));
        assert!(matches!(fixture.turn(), Action::Receive));
        let mut client = fixture.client.try_clone().expect("a descriptor");
        let mut response = String::new();
        client.read_to_string(&mut response).expect("a response, and its end");
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
        // More than a turn receives.
        set_socket_send_buffer_size(&client, 1024 * 1024).expect("a socket");
        client.set_nonblocking(true).expect("a socket");
        while client.write(&[b'x'; 10_000]).is_ok() {}
        fixture.connection.socket_empty = false;
        assert!(matches!(fixture.turn(), Action::Yield));
    }

    /// The client makes room for the 101 only when its deadline passes.
    #[test]
    fn an_upgrade_can_complete_at_its_deadline() {
        let mut fixture = Fixture::new(|now| Connection::new(Arc::default(), now));
        let transport = &fixture.connection.transport;
        let mut earlier = 0;
        while let Ok(count) = transport.write(&[0; 4096]) {
            earlier += count;
        }
        fixture
            .client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n")
            .expect("room");
        assert!(matches!(fixture.turn(), Action::Send));
        fixture.client.read_exact(&mut vec![0; earlier]).expect("the earlier bytes");
        fixture.clock.update(fixture.connection.conn.deadline(), SystemTime::now);
        assert!(matches!(fixture.turn(), Action::Upgrade));
    }
}
