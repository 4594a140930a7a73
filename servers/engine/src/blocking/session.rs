//! One connection on a thread of its own: receives, drives the protocol, sends, and waits in place.
//!
//! To drive a connection is to advance its protocol state without I/O: poll it, call the handler, queue the response.

use super::registry::OpenConnection;
use crate::{
    drive::{Action, Driver, Outcome, RunReply, start_reply},
    handlers::WorkerHandler,
    shutdown::Shutdown,
    transport::{Received, Transmitted},
};
use http_core::{
    BufferPool, Buffers, Clock, Connection, Job, Rejection, Reply, Responder, Timeouts, catch_panic,
};
use std::{
    io,
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The byte budget of one call of [`Transport::transmit`](crate::transport::Transport::transmit). With one byte, the
/// call returns after the first system call that has sent anything.
const ONE_SEND: u64 = 1;

/// How long an idle connection keeps its buffers. If its next request comes within this time, it is received without
/// another system call; otherwise the thread frees the buffers and waits without them.
const KEEP_BUFFERS: Duration = Duration::from_secs(1);

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
    pub(super) timeouts: &'t Timeouts,
    pub(super) handler: &'t mut WorkerHandler,
    pub(super) clock: &'t mut Clock,
    pub(super) shutdown: &'t Shutdown,
    /// The receive timeout that the socket has now. An accepted socket has [`first_receive_timeout`], which it inherits
    /// from the listening socket ([`Acceptor::new`](super::acceptor::Acceptor::new)). `None` after the receive of a request
    /// has timed out: then [`limit_receive`](Session::limit_receive) sets it again.
    pub(super) receive_timeout: Option<Duration>,
}

impl Session<'_> {
    /// Serves the connection until it must be closed, with buffers from `pool`. The caller must then close it by dropping
    /// the socket.
    pub(super) fn serve(mut self, pool: &mut BufferPool) {
        let mut own = pool.take();
        let mut reply = None;
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
                Action::Send => self.send(buffers),
                // Responses to earlier requests do not wait for this one: they are sent first.
                Action::StartReply(started) => {
                    reply = Some(started);
                    true
                }
                Action::AwaitReply => reply.take().map(|reply| self.run_reply(buffers, reply)).is_some(),
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
        Driver { conn: &mut self.conn, buffers, handler: self.handler.get(), clock: self.clock }
    }

    /// Waits until the client sends bytes or ends its stream, or the connection's deadline passes. If the deadline
    /// passes, queues an error response or marks the connection for closing ([`Driver::expire`]).
    ///
    /// Returns the buffers, or others from `pool` if the connection was idle for longer than [`KEEP_BUFFERS`]. Returns
    /// `None` only if the connection is broken.
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

    /// Sends queued bytes with one system call. The call blocks until the socket has taken all of them or the
    /// write-stall timeout expires. If the connection's deadline has already passed, sends nothing, marks the
    /// connection for closing, and returns true.
    ///
    /// Returns true if the socket has taken some bytes; the session sends the rest later. Returns false if the socket
    /// has taken none, or the connection is broken: it must be closed.
    fn send(&mut self, buffers: &mut Buffers) -> bool {
        if self.conn.deadline() <= self.clock.now() {
            self.driver(buffers).expire();
            return true;
        }
        match self.open.transport.transmit(&mut buffers.out, ONE_SEND) {
            Ok(Transmitted::All) => true,
            // Drive once more: the protocol must see whether the client takes the response fast enough.
            Ok(Transmitted::BudgetSpent) => {
                self.update_clock();
                true
            }
            // The socket has taken nothing for the whole write-stall timeout.
            Ok(Transmitted::WouldBlock) | Err(_) => false,
        }
    }

    /// Runs a reply other than [`Reply::Now`] on this thread, and waits until its outcome is known: a response, or the
    /// reason why there is none. Then queues the response, or an error response (500 or 503).
    fn run_reply(&mut self, buffers: &mut Buffers, reply: Reply) {
        let mut run = ThreadReply { timeout: self.timeouts.reply, deferred: None };
        let outcome = start_reply(reply, &mut run).unwrap_or_else(|| run.wait());
        self.update_clock();
        if self.shutdown.has_begun() {
            self.conn.disable_keep_alive();
        }
        self.driver(buffers).complete(outcome);
    }
}

/// Runs one reply on the connection's own thread. For [`Reply::After`], sleeps and then runs the job, which is the
/// function that produces the response. For [`Reply::Offload`], runs the job at once. For [`Reply::Deferred`], waits
/// for the [`Responder`].
struct ThreadReply {
    /// The maximum time that the thread sleeps or waits ([`Timeouts::reply`]). After it, the client gets 503.
    timeout: Duration,
    /// Receives the outcome (a response, or why there is none) from the [`Responder`]. `None` if the reply is not
    /// [`Reply::Deferred`].
    deferred: Option<Receiver<Outcome>>,
}

impl ThreadReply {
    /// Waits for what the [`Responder`] of a deferred reply delivers: a response, or [`Rejection::HandlerPanicked`] if
    /// the handler has dropped the responder. Returns [`Rejection::ReplyTimeout`] if nothing comes within the timeout.
    fn wait(&self) -> Outcome {
        let outcome = self.deferred.as_ref().and_then(|deferred| deferred.recv_timeout(self.timeout).ok());
        outcome.unwrap_or(Err(Rejection::ReplyTimeout))
    }
}

impl RunReply for ThreadReply {
    fn run_after(&mut self, delay: Duration, job: Job) -> Option<Outcome> {
        thread::sleep(delay.min(self.timeout));
        Some(if delay > self.timeout { Err(Rejection::ReplyTimeout) } else { catch_panic(job) })
    }

    fn offload(&mut self, job: Job) -> Option<Outcome> {
        Some(catch_panic(job))
    }

    fn responder(&mut self) -> Responder {
        let (sender, receiver) = channel();
        self.deferred = Some(receiver);
        // The receiver is gone if the reply has timed out.
        Responder::new(move |outcome| drop(sender.send(outcome)))
    }
}
