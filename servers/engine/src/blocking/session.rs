//! One connection on a thread of its own: receives, drives the protocol, sends, and waits in place.
//!
//! Every wait ends when the client has left, and when the grace period of a shutdown is over.
//!
//! To drive a connection is to advance its protocol state without I/O: poll it, call the handler, queue the response.

use super::{
    registry::OpenConnection,
    wait::{ConnectionEvent, OutcomeReceiver, OutcomeSender},
};
use crate::{
    drive::{Action, Driver, Outcome, RunReply, report_file, start_reply},
    handlers::WorkerHandler,
    late::{LateReply, WaitsFor},
    pool::{PoolFull, Pools},
    shutdown::Shutdown,
    transport::{Readiness, Received, Transmitted},
};
use http_core::{
    BufferPool, Buffers, CatchDrop, Clock, Connection, Job, Rejection, Reply, Responder, Timeouts,
    catch_panic, drop_caught, io_cause,
};
use std::{
    io,
    os::fd::AsFd,
    time::{Duration, Instant, SystemTime},
};

/// The byte budget of one call of [`Transport::transmit`](crate::transport::Transport::transmit). After about this many
/// bytes the session looks at its clock.
const BYTES_PER_TURN: u64 = 1024 * 1024;

/// How often a session that waits for room in the send buffer tries to send. The kernel reports room only when a third of the
/// buffer is free, which may be long after the client has taken the last bytes. Sending shows what it has taken, so that its
/// deadline counts from about the right time.
const SEND_INTERVAL: Duration = Duration::from_secs(1);

/// What a session that has queued responses waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    /// Room in the socket's send buffer.
    Socket,
    /// The source of a stream.
    Source,
}

/// How long an idle connection keeps its buffers. If its next request comes within this time, it is received without
/// another system call; otherwise the thread frees the buffers and waits without them.
const KEEP_BUFFERS: Duration = Duration::from_millis(250);

/// Returns the receive timeout of a socket that was just accepted.
pub(super) fn first_receive_timeout(timeouts: &Timeouts) -> Duration {
    timeouts.idle.min(KEEP_BUFFERS)
}

/// A connection that a thread serves, and what the thread uses for that.
pub(super) struct Session<'t> {
    /// The socket, and since when the connection is idle.
    pub(super) open: &'t OpenConnection,
    /// The protocol state.
    pub(super) conn: Connection,
    /// The threads for what this thread must not do, because it watches the client.
    pub(super) pools: &'t Pools,
    pub(super) handler: &'t mut WorkerHandler,
    pub(super) clock: &'t mut Clock,
    pub(super) shutdown: &'t Shutdown,
    /// The receive timeout that the socket has now. An accepted socket has [`first_receive_timeout`], which it inherits
    /// from the listening socket ([`Acceptor::new`](super::acceptor::Acceptor::new)). `None` after the receive of a request
    /// has timed out: then [`limit_receive`](Session::limit_receive) sets it again.
    pub(super) receive_timeout: Option<Duration>,
    /// Wakes this thread when a late reply has an outcome, or the source of a stream has more.
    pub(super) event: ConnectionEvent<'t>,
}

impl Session<'_> {
    /// Serves the connection until it must be closed, with buffers from `pool`. The caller must then close it by dropping
    /// the socket.
    pub(super) fn serve(mut self, pool: &mut BufferPool) {
        let mut own = pool.take();
        let (mut reply, mut blocked) = (None, None);
        loop {
            // `receive` closes an idle connection, so that a request that has arrived by then still gets its response.
            if self.shutdown.has_begun() && !self.conn.is_idle() {
                self.conn.disable_keep_alive();
            }
            let buffers = &mut *own;
            let goes_on = match self.driver(buffers).drive(&mut u32::MAX.clone()) {
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
                // Responses to earlier requests do not wait for this one: they are sent first.
                Action::StartReply(started) => {
                    let late = LateReply::new(self.driver(buffers).label());
                    reply = Some((CatchDrop::new(started), late));
                    true
                }
                Action::AwaitReply => match reply.take() {
                    Some((reply, late)) => self.run_reply(buffers, reply, late),
                    None => false,
                },
                Action::ShutdownWrite => self.open.transport.shutdown_write().is_ok(),
                Action::Yield => true,
                Action::Close => false,
            };
            if !goes_on {
                return pool.put(own);
            }
        }
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
            self.open.set_idle(Some(self.clock.now()));
            // The shutdown may have begun before this connection was known to be idle.
            if self.shutdown.has_begun() {
                self.open.close_when_idle();
            }
        }
        let mut received = match self.limit_receive(idle) {
            Ok(()) => self.open.transport.receive(&mut buffers.input),
            Err(error) => Err(error),
        };
        if idle && matches!(received, Ok(Received::WouldBlock)) {
            // The memory goes back to the allocator, not to the pool, which belongs to this thread alone.
            drop(buffers);
            let left = self.conn.deadline().saturating_duration_since(Instant::now());
            let readable = self.open.transport.wait_readable(left);
            buffers = pool.take();
            received = match readable {
                Ok(true) => self.open.transport.receive(&mut buffers.input),
                Ok(false) => Ok(Received::WouldBlock),
                Err(error) => Err(error),
            };
        }
        if idle {
            self.open.set_idle(None);
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

    /// Ensures that the next receive waits at most until the connection's deadline (but at least a millisecond), and on an
    /// `idle` connection at most for [`KEEP_BUFFERS`].
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

    /// Sends queued bytes until all are sent, the socket takes no more, a stream has nothing more, or the byte budget is
    /// spent. Never waits: sets `blocked` to what the session must wait for.
    ///
    /// Returns false if the connection must be closed.
    fn send(&mut self, buffers: &mut Buffers, blocked: &mut Option<Blocked>) -> bool {
        match self.open.transport.transmit(&mut buffers.out, BYTES_PER_TURN) {
            Ok(Transmitted::All) => {
                // A stream has ended, if there was one.
                self.event.reset();
                return true;
            }
            Ok(Transmitted::BudgetSpent) => {}
            // Drive once more before the wait: the protocol must see how many bytes the client has taken.
            Ok(Transmitted::WouldBlock) => *blocked = Some(Blocked::Socket),
            Ok(Transmitted::Pending) => *blocked = Some(Blocked::Source),
            Ok(Transmitted::FileFailed(error)) => {
                report_file(&self.conn, error);
                return false;
            }
            Err(_) => return false,
        }
        self.update_clock();
        true
    }

    /// Waits until more can be sent, or the connection's deadline passes. If it had passed before, marks the connection for
    /// closing instead: [`send`](Session::send) has sent what the client takes.
    ///
    /// Returns false if the connection must be closed.
    fn wait_to_send(&mut self, buffers: &mut Buffers, blocked: Blocked) -> bool {
        if self.conn.deadline() <= self.clock.now() {
            self.driver(buffers).expire();
            return true;
        }
        let readiness = match blocked {
            Blocked::Socket => self.wait(true, self.conn.deadline().min(self.clock.now() + SEND_INTERVAL)),
            Blocked::Source => self.wait(false, self.conn.deadline()),
        };
        self.update_clock();
        readiness != Readiness::Left
    }

    /// Waits until [`event`](Session::event) is signalled, or the socket accepts bytes (if `to_send`), or `deadline` passes,
    /// or the client has left. Also returns [`Readiness::Ready`] when the shutdown begins, and [`Readiness::Left`] when its
    /// grace period is over. Clears the event.
    fn wait(&self, to_send: bool, deadline: Instant) -> Readiness {
        let end = self.shutdown.deadline();
        let now = Instant::now();
        if end.is_some_and(|end| end <= now) {
            return Readiness::Left;
        }
        let until = end.map_or(deadline, |end| end.min(deadline));
        let shutdown = end.is_none().then(|| self.shutdown.as_fd());
        let event = self.event.descriptor().filter(|_| !to_send);
        let timeout = until.saturating_duration_since(now);
        let waited = self.open.transport.wait(to_send, [event, shutdown], timeout);
        self.event.clear();
        waited.unwrap_or_else(|error| {
            log::error!("cannot wait for a client: {}; closing the connection", io_cause(&error));
            Readiness::Left
        })
    }

    /// Runs a reply other than [`Reply::Now`], and waits until its outcome is known: a response, or the reason why there is
    /// none. Then queues the response, or an error response (500 or 503). `late` is the reply before it has started.
    ///
    /// Returns false if the client has left meanwhile: the connection must be closed.
    fn run_reply(&mut self, buffers: &mut Buffers, reply: CatchDrop<Reply>, mut late: LateReply) -> bool {
        let Some(reply) = reply.into_inner() else { return false };
        let mut run = ThreadReply {
            pools: self.pools,
            event: &self.event,
            now: self.clock.now(),
            job: None,
            outcome: None,
        };
        let outcome = match start_reply(reply, &mut late, &mut run) {
            Some(outcome) => outcome,
            None => match self.await_outcome(run, &late) {
                Some(outcome) => outcome,
                None => return false,
            },
        };
        // Its descriptor makes room for those that sending the response may need.
        self.event.reset();
        match outcome {
            Err(Rejection::ReplyTimeout) => late.log_timeout(),
            Err(_) => late.log_failure(),
            Ok(_) => {}
        }
        self.update_clock();
        if self.shutdown.has_begun() {
            self.conn.disable_keep_alive();
        }
        self.driver(buffers).complete(outcome, Some(&late));
        true
    }

    /// Waits for the outcome of a late reply that has started. Runs the job of a [`Reply::After`] when its time has come.
    /// Returns [`Rejection::ReplyTimeout`] if the connection's deadline passes first, and `None` if the client has left.
    fn await_outcome(&self, started: ThreadReply<'_>, late: &LateReply) -> Option<Outcome> {
        let ThreadReply { job, outcome, .. } = started;
        let deadline = self.conn.deadline();
        let due = match late.waits_for {
            WaitsFor::Timer(due) => due.min(deadline),
            _ => deadline,
        };
        loop {
            if let Some(outcome) = outcome.as_ref().and_then(OutcomeReceiver::try_receive) {
                return Some(outcome);
            }
            if Instant::now() >= due {
                break;
            }
            if self.wait(false, due) == Readiness::Left {
                return None;
            }
        }
        // A job that is not due any more is dropped while it is still caught: its destructor may panic.
        match job.filter(|_| due < deadline).and_then(CatchDrop::into_inner) {
            Some(job) => Some(catch_panic(|| job(&late.token)).map_err(Rejection::from)),
            None => Some(Err(Rejection::ReplyTimeout)),
        }
    }
}

/// Starts one reply for the thread of its connection, which then waits for the outcome.
struct ThreadReply<'t> {
    pools: &'t Pools,
    event: &'t ConnectionEvent<'t>,
    now: Instant,
    /// The job of a [`Reply::After`].
    job: Option<CatchDrop<Job>>,
    /// Receives the outcome of a [`Reply::Offload`] or [`Reply::Deferred`].
    outcome: Option<OutcomeReceiver>,
}

impl ThreadReply<'_> {
    /// Creates the channel for the outcome. Fails if the system has no descriptors left.
    fn channel(&mut self, late: &LateReply) -> Result<OutcomeSender, Rejection> {
        let (sender, receiver) = self.event.channel().map_err(|error| {
            log::error!(
                "cannot wait for the response to {}: {}; responding 503",
                late.label,
                io_cause(&error)
            );
            Rejection::Overloaded
        })?;
        self.outcome = Some(receiver);
        Ok(sender)
    }
}

impl RunReply for ThreadReply<'_> {
    fn run_after(&mut self, delay: Duration, job: Job, late: &mut LateReply) {
        late.set_timer(self.now, delay);
        self.job = Some(CatchDrop::new(job));
    }

    fn offload(&mut self, job: Job, late: &mut LateReply) -> Result<(), Rejection> {
        let sender = match self.channel(late) {
            Ok(sender) => sender,
            Err(reason) => {
                drop_caught(job);
                return Err(reason);
            }
        };
        let token = late.token.clone();
        let task = Box::new(move || sender.send(catch_panic(|| job(&token)).map_err(Rejection::from)));
        let task = self.pools.jobs.submit(task).map_err(|PoolFull| Rejection::Overloaded)?;
        late.waits_for = WaitsFor::Task(task);
        Ok(())
    }

    fn responder(&mut self, late: &mut LateReply) -> Result<Responder, Rejection> {
        let sender = self.channel(late)?;
        late.waits_for = WaitsFor::Responder;
        Ok(Responder::new(late.token.clone(), move |outcome| sender.send(outcome)))
    }
}
