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
use http_core::{Buffers, Clock, Connection, Job, Rejection, Reply, Responder, Timeouts, catch_panic};
use std::{
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The byte budget of one [`Transport::transmit`](crate::transport::Transport::transmit). One byte: it stops after the
/// first system call that sends anything.
const ONE_SEND: u64 = 1;

/// A connection that a thread serves, and what the thread uses for that.
pub(super) struct Session<'t> {
    /// The socket, and since when the connection is idle.
    open: &'t OpenConnection,
    /// The protocol state.
    conn: Connection,
    timeouts: &'t Timeouts,
    handler: &'t mut WorkerHandler,
    clock: &'t mut Clock,
    shutdown: &'t Shutdown,
    /// The receive timeout that is set on the socket. `None` after a receive has timed out, so that
    /// [`limit_receive`](Session::limit_receive) sets it before the next receive.
    receive_timeout: Option<Duration>,
}

impl<'t> Session<'t> {
    /// Creates a session. The socket must have the idle timeout as its receive timeout: sockets inherit it from the
    /// listening socket, where [`Acceptor`](super::acceptor::Acceptor) sets it.
    pub(super) fn new(
        open: &'t OpenConnection,
        conn: Connection,
        timeouts: &'t Timeouts,
        handler: &'t mut WorkerHandler,
        clock: &'t mut Clock,
        shutdown: &'t Shutdown,
    ) -> Session<'t> {
        Session { open, conn, timeouts, handler, clock, shutdown, receive_timeout: Some(timeouts.idle) }
    }

    /// Serves the connection until it must be closed. The caller closes it, by dropping the socket. `buffers` must be
    /// empty; they may hold bytes on return.
    pub(super) fn serve(mut self, buffers: &mut Buffers) {
        let mut reply = None;
        loop {
            // `receive` closes an idle connection, so that a request that has arrived by then still gets its response.
            if self.shutdown.has_begun() && !self.conn.is_idle() {
                self.conn.disable_keep_alive();
            }
            let goes_on = match self.driver(buffers).drive(&mut u32::MAX.clone()) {
                Action::Receive => self.receive(buffers),
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
                return;
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

    /// Waits for bytes from the client, or for the end of its stream, at most until the connection's deadline. If the
    /// deadline passes, queues a rejection or marks the connection for closing ([`Driver::expire`]).
    ///
    /// Returns true in all of these cases; the protocol decides what follows. Returns false if the connection is
    /// broken.
    fn receive(&mut self, buffers: &mut Buffers) -> bool {
        let idle = self.conn.is_idle();
        if idle {
            self.open.set_idle(Some(self.clock.now()));
            // The shutdown may have begun before this connection was known to be idle.
            if self.shutdown.has_begun() {
                self.open.close_when_idle();
            }
        }
        if !self.limit_receive() {
            return false;
        }
        let received = self.open.transport.receive(&mut buffers.input);
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
                self.driver(buffers).expire();
            }
            Err(_) => return false,
        }
        true
    }

    /// Ensures that the next receive returns by the connection's deadline; if that has passed, after a millisecond.
    /// Returns false if the socket option cannot be set: the connection must be closed.
    ///
    /// Sets the socket's receive timeout only if it ends after the deadline, or if the last receive has timed out. If
    /// it ends before the deadline, the receive only returns too early, and the session receives again. So a busy
    /// connection makes no system call here.
    fn limit_receive(&mut self) -> bool {
        let wanted = self.conn.deadline().saturating_duration_since(self.clock.now());
        if self.receive_timeout.is_some_and(|timeout| timeout <= wanted) {
            return true;
        }
        self.receive_timeout = Some(wanted);
        self.open.transport.set_receive_timeout(wanted).is_ok()
    }

    /// Sends queued bytes with one system call, which blocks until the socket has taken them or the write-stall timeout
    /// expires. If the connection's deadline has passed, sends nothing and marks the connection for closing.
    ///
    /// Returns true if the socket has taken something, even if only a part: the connection is usable, and the session
    /// sends the rest later. Returns false if it has taken nothing in that time, or the connection is broken.
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

    /// Gets the outcome of a reply that is not a response yet: waits, or runs its job, on this thread. Then queues the
    /// response, or the 500 or 503 of a rejection.
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

/// Runs one reply on the connection's own thread: sleeps ([`Reply::After`]), runs the job, which is the function that
/// produces the response, or waits for the [`Responder`] of a [`Reply::Deferred`].
struct ThreadReply {
    /// How long the thread sleeps or waits at most ([`Timeouts::reply`]). Then the reply is rejected with 503.
    timeout: Duration,
    /// Receives the outcome from the [`Responder`]; `None` if the reply is not [`Reply::Deferred`].
    deferred: Option<Receiver<Outcome>>,
}

impl ThreadReply {
    /// Waits for the outcome that the [`Responder`] of a deferred reply delivers: a response, or
    /// [`Rejection::HandlerPanicked`] if the responder was dropped without one. Returns [`Rejection::ReplyTimeout`] if
    /// none comes within the timeout, and at once if the reply was not deferred.
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
