//! One connection on a thread of its own: receives, drives the protocol, sends, and waits in place.

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

/// The byte budget of one [`Transport::transmit`](crate::transport::Transport::transmit): it stops after one system call.
const ONE_SEND: u64 = 1;

/// A connection and what its thread serves it with.
pub(super) struct Session<'t> {
    open: &'t OpenConnection,
    conn: Connection,
    timeouts: &'t Timeouts,
    handler: &'t mut WorkerHandler,
    clock: &'t mut Clock,
    shutdown: &'t Shutdown,
    /// The receive timeout that is set on the socket. `None` after a receive has timed out: then it is set again.
    receive_timeout: Option<Duration>,
}

impl<'t> Session<'t> {
    /// The socket must have the idle timeout as its receive timeout, as [`Acceptor`](super::acceptor::Acceptor) sets it.
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

    /// Serves the connection until it must be closed.
    pub(super) fn serve(mut self, buffers: &mut Buffers) {
        let mut reply = None;
        loop {
            // An idle connection is closed where it waits: a request that has arrived by then is still answered.
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

    /// The connection with everything that it is driven with.
    fn driver<'d>(&'d mut self, buffers: &'d mut Buffers) -> Driver<'d> {
        Driver { conn: &mut self.conn, buffers, handler: self.handler.get(), clock: self.clock }
    }

    /// Waits for bytes until the deadline. Returns whether the connection is still usable.
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

    /// Ensures that the next receive returns by the deadline. Returns whether the connection is still usable.
    ///
    /// The socket's receive timeout is set only if it is too long, or has expired. One that is too short only costs
    /// another look at the clock, so that a busy connection makes no system call here.
    fn limit_receive(&mut self) -> bool {
        let wanted = self.conn.deadline().saturating_duration_since(self.clock.now());
        if self.receive_timeout.is_some_and(|timeout| timeout <= wanted) {
            return true;
        }
        self.receive_timeout = Some(wanted);
        self.open.transport.set_receive_timeout(wanted).is_ok()
    }

    /// Sends once: everything, or as much as the client takes in time. Returns whether the connection is still usable.
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
            // The client has taken nothing for the whole write-stall timeout.
            Ok(Transmitted::WouldBlock) | Err(_) => false,
        }
    }

    /// Runs a reply on this thread and queues its response.
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

/// Runs replies on the connection's own thread: it sleeps, runs the job, or waits for the deferred response.
struct ThreadReply {
    timeout: Duration,
    deferred: Option<Receiver<Outcome>>,
}

impl ThreadReply {
    /// Waits for the outcome of a deferred reply.
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
