//! One connection on a thread of its own: receives, drives the protocol, sends, and waits in place.
//!
//! Every wait ends when the client has left, and when the grace period of a shutdown is over.
//!
//! To drive a connection is to advance its protocol state without I/O: poll it, call the handler, queue the response.

use super::{
    registry::OpenConnection,
    reply::{RunningReply, ThreadReply},
    wait::{ConnectionEvent, OutcomeReceiver},
};
use crate::{
    admission::{AddressPermit, Admission},
    drive::{Action, Driver},
    handlers::WorkerHandler,
    late::{LateReply, Outcome, WaitsFor, run_job, start_reply},
    metrics::Counters,
    pool::Pools,
    shutdown::Shutdown,
    transport::{Awaited, Readiness, Received, Transmitted, Transport, report_file},
    upgrade,
};
use http_core::{
    BufferPool, Buffers, CatchDrop, Clock, Connection, RecvBuf, Rejection, Reply, Timeouts, drop_caught,
    io_cause,
};
use std::{
    io,
    os::fd::AsFd,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant, SystemTime},
};

/// The byte budget of one call of [`Transport::transmit`](crate::transport::Transport::transmit). After about this many
/// bytes the session looks at its clock.
const BYTES_PER_TURN: u64 = 1024 * 1024;

/// How often a session that waits for room in the send buffer tries to send. The kernel reports room only when a third
/// of the buffer is free, which may be long after the client has taken the last bytes. Sending shows what it has taken,
/// so that its deadline counts from about the right time.
const SEND_INTERVAL: Duration = Duration::from_secs(1);

/// How long an idle connection keeps its buffers. If its next request comes within this time, it is received without
/// another system call; otherwise the thread frees the buffers and waits without them.
const KEEP_BUFFERS: Duration = Duration::from_millis(250);

/// Returns the receive timeout of a socket that was just accepted.
pub(super) fn first_receive_timeout(timeouts: &Timeouts) -> Duration {
    timeouts.idle.min(KEEP_BUFFERS)
}

/// What a session that has queued responses waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    /// Room in the socket's send buffer.
    Socket,
    /// The source of a stream: its waker, or the time at which it asks to be called again.
    Source,
}

/// A connection that a thread serves, and what the thread uses for that.
pub(super) struct Session<'t> {
    /// The socket, and since when the connection is idle.
    pub(super) open: &'t Arc<OpenConnection>,
    /// The protocol state.
    pub(super) conn: Connection,
    /// The threads for what this thread must not do, because it watches the client.
    pub(super) pools: &'t Pools,
    pub(super) handler: &'t mut WorkerHandler,
    pub(super) clock: &'t mut Clock,
    pub(super) counters: &'t Counters,
    pub(super) admission: &'t Admission,
    /// Counts the connection for the client that a trusted proxy has announced.
    pub(super) announced: Option<AddressPermit>,
    pub(super) shutdown: &'t Shutdown,
    /// The receive timeout that the socket has now. An accepted socket has [`first_receive_timeout`], which it inherits
    /// from the listening socket ([`Acceptor::new`](super::acceptor::Acceptor::new)). `None` on a Unix socket, which
    /// inherits none, and after the receive of a request has timed out: then [`limit_receive`](Session::limit_receive)
    /// sets it again.
    pub(super) receive_timeout: Option<Duration>,
    /// The reply that the connection awaits; `None` if it awaits none.
    pub(super) late: Option<Box<LateReply>>,
    /// What produces the outcome of `late`; `None` if the reply has not started, or is a sink that receives content.
    pub(super) running: Option<RunningReply>,
    /// Wakes this thread when a late reply has an outcome or takes more content, or the source of a stream has more.
    pub(super) event: ConnectionEvent<'t>,
}

impl Session<'_> {
    /// Serves the connection until it must be closed, with buffers from `pool`. The caller must then close it by
    /// dropping the socket.
    pub(super) fn serve(mut self, pool: &mut BufferPool) {
        let mut own = pool.take();
        let mut blocked = None;
        loop {
            if self.shutdown.has_begun() {
                self.conn.drain(self.clock.now());
            }
            let buffers = &mut *own;
            let goes_on = match self.driver(buffers).drive(&mut u32::MAX.clone()) {
                // The client may send without end what brings the request no further, such as empty TLS records.
                Action::Receive if self.conn.deadline() <= self.clock.now() => self.expire(buffers),
                Action::Receive if self.running.is_some() => self.receive_for_job(buffers),
                Action::Receive => match self.receive(own, pool) {
                    Some(returned) => {
                        own = returned;
                        true
                    }
                    None => return,
                },
                Action::Send => match blocked.take() {
                    Some(blocked) => self.wait_to_send(buffers, blocked),
                    None => self.send(buffers, &mut blocked),
                },
                Action::AdmitAddress => self.admit_address(buffers),
                Action::StartReply(reply) => self.start(buffers, reply),
                Action::AwaitReply => self.await_reply(buffers),
                Action::ShutdownWrite => self.open.transport.shutdown_write().is_ok(),
                Action::Yield => true,
                Action::Upgrade => return self.hand_over(own, pool),
                Action::Close => false,
            };
            if !goes_on {
                return pool.put(own);
            }
        }
    }

    /// Passes the connection to the function that takes it over, which runs on this thread. Returns when the connection
    /// has ended.
    #[cold]
    fn hand_over(mut self, buffers: Box<Buffers>, pool: &mut BufferPool) {
        let received = buffers.input.unread().to_vec();
        pool.put(buffers);
        let (ended, has_ended) = channel();
        let token = self.open.upgrade();
        // The registry cancels the tokens of connections that were upgraded before the shutdown.
        if self.shutdown.has_begun() {
            token.cancel();
        }
        upgrade::hand_over(
            &mut self.conn,
            SessionSocket { open: Arc::clone(self.open), _ended: ended },
            received,
            token,
        );
        // The function may have passed the connection to another thread.
        let _ = has_ended.recv();
    }

    /// Counts the connection for the address that a trusted proxy has announced. If that address is at its limit,
    /// queues
    /// 503. Always returns true: the connection is not closed yet.
    #[cold]
    fn admit_address(&mut self, buffers: &mut Buffers) -> bool {
        match self.admission.admit_address(self.conn.client_addr()) {
            Ok(address) => self.announced = address,
            Err(_) => {
                self.counters.count_refused();
                self.driver(buffers).fail(Rejection::Overloaded);
            }
        }
        true
    }

    /// Sets the clock of this thread to the present time.
    fn update_clock(&mut self) {
        self.clock.update(Instant::now(), SystemTime::now);
    }

    /// Borrows what [`Driver`] needs to advance the protocol: connection, buffers, handler and clock.
    fn driver<'d>(&'d mut self, buffers: &'d mut Buffers) -> Driver<'d> {
        Driver {
            conn: &mut self.conn,
            buffers,
            handler: self.handler.get(),
            clock: self.clock,
            streams: &self.event,
            late: &mut self.late,
            counters: self.counters,
        }
    }

    /// Waits until the client sends bytes or ends its stream, or the connection's deadline passes. If the deadline
    /// passes, queues an error response or marks the connection for closing ([`Driver::expire`]).
    ///
    /// Returns the buffers, or others from `pool` if the connection was idle for longer than [`KEEP_BUFFERS`]. Returns
    /// `None` if the connection is broken, or was closed for a new one.
    fn receive(&mut self, mut buffers: Box<Buffers>, pool: &mut BufferPool) -> Option<Box<Buffers>> {
        let idle = self.conn.is_idle();
        if idle {
            self.open.set_new(self.conn.awaits_handshake());
            self.open.set_idle(Some(self.clock.now()));
            self.counters.change_idle(false, true);
        }
        let mut received = match self.limit_receive(idle) {
            Ok(()) => self.receive_once(&mut buffers.input),
            Err(error) => Err(error),
        };
        if idle && matches!(received, Ok(Received::WouldBlock)) {
            // The memory goes back to the allocator, not to the pool, which belongs to this thread alone.
            drop(buffers);
            let left = self.conn.deadline().saturating_duration_since(Instant::now());
            let readable = self.open.transport.wait_readable(left);
            buffers = pool.take();
            received = match readable {
                Ok(true) => self.receive_once(&mut buffers.input),
                Ok(false) => Ok(Received::WouldBlock),
                Err(error) => Err(error),
            };
        }
        if idle {
            self.open.set_idle(None);
            self.counters.change_idle(true, false);
            if self.open.is_evicted()
                && !(matches!(received, Ok(Received::Bytes { .. })) && self.open.resume())
            {
                return None;
            }
        }
        self.update_clock();
        self.handler.refresh();
        match received {
            Ok(Received::Bytes { .. }) => {}
            Ok(Received::Eof) => self.conn.receive_eof(),
            Ok(Received::WouldBlock) => {
                self.receive_timeout = None;
                self.driver(&mut buffers).expire();
            }
            Err(_) => {
                pool.put(buffers);
                return None;
            }
        }
        Some(buffers)
    }

    /// Receives once. While a PROXY header is awaited, receives nothing that follows it.
    fn receive_once(&self, input: &mut RecvBuf) -> io::Result<Received> {
        let transport = &self.open.transport;
        if self.conn.awaits_proxy_header() {
            transport.receive_proxy_header(input)
        } else {
            transport.receive(input)
        }
    }

    /// Ensures that the next receive waits at most until the connection's deadline (but at least a millisecond), and on
    /// an `idle` connection at most for [`KEEP_BUFFERS`].
    ///
    /// # Errors
    ///
    /// The kernel rejects the socket option.
    fn limit_receive(&mut self, idle: bool) -> io::Result<()> {
        // A timeout that ends before the deadline does no harm: the session receives again. So a busy connection makes
        // no system call here.
        let left = self.conn.deadline().saturating_duration_since(self.clock.now());
        let wanted = if idle { left.min(KEEP_BUFFERS) } else { left };
        if self.receive_timeout.is_some_and(|timeout| timeout <= wanted) {
            return Ok(());
        }
        self.receive_timeout = Some(wanted);
        self.open.transport.set_receive_timeout(wanted)
    }

    /// Sends queued bytes until all are sent, the socket takes no more, a stream has nothing more, or the byte budget
    /// is spent. Never waits: sets `blocked` to what the session must wait for.
    ///
    /// Returns false if the connection must be closed.
    fn send(&mut self, buffers: &mut Buffers, blocked: &mut Option<Blocked>) -> bool {
        match self.open.transport.transmit(&mut buffers.out, BYTES_PER_TURN, self.counters) {
            Ok(Transmitted::All) => {
                // A stream has ended, if there was one.
                if self.running.is_none() {
                    self.event.reset();
                }
                return true;
            }
            Ok(Transmitted::BudgetSpent) => {}
            // Drive once more before the wait: the protocol must see how many bytes the client has taken.
            Ok(Transmitted::WouldBlock) => *blocked = Some(Blocked::Socket),
            Ok(Transmitted::Pending) => *blocked = Some(Blocked::Source),
            Ok(Transmitted::FileFailed(error)) => {
                report_file(&self.conn, &mut buffers.out, error);
                return false;
            }
            Err(_) => return false,
        }
        self.update_clock();
        true
    }

    /// Waits until more can be sent, or the connection's deadline passes. If it had passed before, marks the connection
    /// for closing instead: [`send`](Session::send) has sent what the client takes.
    ///
    /// Returns false if the connection must be closed.
    fn wait_to_send(&mut self, buffers: &mut Buffers, blocked: Blocked) -> bool {
        if self.conn.deadline() <= self.clock.now() {
            self.driver(buffers).expire();
            return true;
        }
        let readiness = match blocked {
            Blocked::Socket => {
                self.wait(Awaited::Room, self.conn.deadline().min(self.clock.now() + SEND_INTERVAL))
            }
            Blocked::Source => {
                let deadline = self.conn.deadline();
                let until = buffers.out.resume_at().map_or(deadline, |at| at.min(deadline));
                self.wait(Awaited::Event, until)
            }
        };
        self.update_clock();
        readiness != Readiness::Left
    }

    /// Waits until the socket is in the state `awaited`, or [`event`](Session::event) is signalled (unless the session
    /// waits for room), or `deadline` passes, or the client has left. Also returns [`Readiness::Ready`] when the
    /// shutdown begins, and [`Readiness::Left`] when its grace period is over. Clears the event.
    fn wait(&self, awaited: Awaited, deadline: Instant) -> Readiness {
        let end = self.shutdown.deadline();
        let now = Instant::now();
        if end.is_some_and(|end| end <= now) {
            return Readiness::Left;
        }
        let until = end.map_or(deadline, |end| end.min(deadline));
        let shutdown = end.is_none().then(|| self.shutdown.as_fd());
        let event = self.event.descriptor().filter(|_| awaited != Awaited::Room);
        let timeout = until.saturating_duration_since(now);
        let waited = self.open.transport.wait(awaited, [event, shutdown], timeout);
        self.event.clear();
        waited.unwrap_or_else(|error| {
            log::error!("cannot wait for a client: {}; closing the connection", io_cause(&error));
            Readiness::Left
        })
    }

    /// Starts a reply other than [`Reply::Now`]. Queues the response if it is known at once. Returns false if the
    /// connection must be closed.
    fn start(&mut self, buffers: &mut Buffers, reply: Reply) -> bool {
        let Some(mut late) = self.late.take() else {
            drop_caught(reply);
            return false;
        };
        let (pools, event, now) = (self.pools, &self.event, self.clock.now());
        let mut run = ThreadReply { pools, event, now, running: RunningReply::default() };
        let outcome = start_reply(reply, &mut late, &mut run);
        let running = run.running;
        self.late = Some(late);
        match outcome {
            Some(outcome) => self.complete(buffers, outcome),
            None => self.running = Some(running),
        }
        true
    }

    /// Waits until the outcome of the reply is known, or the job takes more content. Then queues the response, if it is
    /// known: that of a [`Reply::After`] when its time has come, 503 if the connection's deadline passes first.
    ///
    /// Returns false if the client has left: the connection must be closed.
    fn await_reply(&mut self, buffers: &mut Buffers) -> bool {
        if self.take_outcome(buffers) {
            return true;
        }
        let deadline = self.conn.deadline();
        let due = match self.late.as_ref().map(|late| &late.waits_for) {
            Some(WaitsFor::Timer(due)) => deadline.min(*due),
            _ => deadline,
        };
        if Instant::now() < due {
            let readiness = self.wait(Awaited::Event, due);
            self.update_clock();
            return readiness != Readiness::Left;
        }
        self.update_clock();
        let Some(running) = self.running.take() else { return self.expire(buffers) };
        // A job that is not due any more is dropped while it is still caught: its destructor may panic.
        match (running.job.filter(|_| due < deadline).and_then(CatchDrop::into_inner), &self.late) {
            (Some(job), Some(late)) => {
                let outcome = run_job(job, &late.token);
                self.complete(buffers, outcome);
                true
            }
            _ => self.expire(buffers),
        }
    }

    /// Receives content for a job that reads it. Waits until the client sends bytes or ends its stream, the outcome of
    /// the job is known, or the connection's deadline passes.
    ///
    /// Returns false if the connection is broken: it must be closed.
    fn receive_for_job(&mut self, buffers: &mut Buffers) -> bool {
        if self.take_outcome(buffers) {
            return true;
        }
        match self.open.transport.try_receive(&mut buffers.input) {
            Ok(Received::Bytes { .. }) => {}
            Ok(Received::Eof) => self.conn.receive_eof(),
            Ok(Received::WouldBlock) => {
                let readiness = self.wait(Awaited::Input, self.conn.deadline());
                self.update_clock();
                return match readiness {
                    Readiness::Ready => true,
                    Readiness::TimedOut => self.expire(buffers),
                    Readiness::Left => false,
                };
            }
            Err(_) => return false,
        }
        self.update_clock();
        true
    }

    /// Handles a deadline that has passed ([`Driver::expire`]). Always returns true: the connection is not closed yet.
    fn expire(&mut self, buffers: &mut Buffers) -> bool {
        if self.driver(buffers).expire().is_some() {
            self.running = None;
        }
        true
    }

    /// Queues the response of the reply if its outcome is known. Returns whether it is.
    fn take_outcome(&mut self, buffers: &mut Buffers) -> bool {
        let receiver = self.running.as_ref().and_then(|running| running.outcome.as_ref());
        let outcome = receiver.and_then(OutcomeReceiver::try_receive);
        let is_known = outcome.is_some();
        if let Some(outcome) = outcome {
            self.update_clock();
            self.complete(buffers, outcome);
        }
        is_known
    }

    /// Queues the response of the reply, or an error response (500 or 503) if there is none.
    fn complete(&mut self, buffers: &mut Buffers, outcome: Outcome) {
        self.running = None;
        // Its descriptor makes room for those that sending the response may need.
        self.event.reset();
        if self.shutdown.has_begun() {
            self.conn.drain(self.clock.now());
        }
        self.driver(buffers).complete(outcome);
    }
}

/// The socket of a connection after its upgrade.
struct SessionSocket {
    open: Arc<OpenConnection>,
    /// Dropping it lets the session end.
    _ended: Sender<()>,
}

impl AsRef<Transport> for SessionSocket {
    fn as_ref(&self) -> &Transport {
        &self.open.transport
    }
}
