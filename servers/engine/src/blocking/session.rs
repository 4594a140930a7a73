//! One connection on a thread of its own: receive, advance, send, and wait in place.

use super::registry::Seat;
use crate::{
    drive::{self, Turn, advance, fenced},
    shutdown::Shutdown,
    transmit::{Sent, transmit},
};
use http_core::{Buffers, Clock, Config, Connection, Handler, Rejection, Reply, Responder, Response};
use rustix::{
    io::Errno,
    net::{
        self, RecvFlags, recv,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use std::{
    os::fd::AsFd,
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The shortest timeout that a socket is given: 0 would mean none.
const SHORTEST: Duration = Duration::from_millis(1);

/// The share of one round of sending: whatever one system call moves.
const ONE_SEND: u64 = 1;

/// A connection and its thread.
pub(super) struct Session<'t> {
    seat: &'t Seat,
    conn: Connection,
    config: &'t Config,
    app: &'t dyn Handler,
    clock: &'t mut Clock,
    stop: &'t Shutdown,
    /// What the socket's receive timeout is set to, at first by [`Acceptor`](super::acceptor::Acceptor).
    patience: Option<Duration>,
}

impl<'t> Session<'t> {
    pub(super) fn new(
        seat: &'t Seat,
        conn: Connection,
        config: &'t Config,
        app: &'t dyn Handler,
        clock: &'t mut Clock,
        stop: &'t Shutdown,
    ) -> Session<'t> {
        let patience = Some(config.timeouts.idle);
        Session { seat, conn, config, app, clock, stop, patience }
    }

    /// Serves the connection to its end.
    pub(super) fn serve(mut self, buffers: &mut Buffers) {
        let mut later = None;
        loop {
            // One that is idle is let go where it would wait: what has arrived by then is still answered.
            if self.stop.is_asked() && !self.conn.is_idle() {
                self.conn.close_after_this();
            }
            let mut share = u32::MAX;
            match advance(&mut self.conn, buffers, self.app, self.clock, &mut share) {
                Turn::Receive => {
                    if !self.receive(buffers) {
                        return;
                    }
                }
                Turn::Send => {
                    if !self.send(buffers) {
                        return;
                    }
                }
                // Answers to earlier requests do not wait for this one: they are sent first.
                Turn::Later(reply) => later = Some(reply),
                Turn::AwaitAnswer => {
                    let Some(reply) = later.take() else { return };
                    let answer = bring_about(reply, self.config.timeouts.answer);
                    self.tick();
                    if self.stop.is_asked() {
                        self.conn.close_after_this();
                    }
                    drive::settle(&mut self.conn, buffers, self.app, self.clock, answer);
                }
                Turn::ShutdownWrite => {
                    if net::shutdown(&self.seat.socket, net::Shutdown::Write).is_err() {
                        return;
                    }
                }
                Turn::Yield => {}
                Turn::Close(_) => return,
            }
        }
    }

    fn tick(&mut self) {
        self.clock.advance(Instant::now(), SystemTime::now);
    }

    /// Waits for bytes until the deadline. Whether the connection still stands.
    fn receive(&mut self, buffers: &mut Buffers) -> bool {
        let idle = self.conn.is_idle();
        if idle {
            self.seat.set_idle(Some(self.clock.now()));
            // The order to stop may have come before this connection called itself idle.
            if self.stop.is_asked() {
                self.seat.let_go();
            }
        }
        if !self.be_patient() {
            return false;
        }
        let received = recv(&self.seat.socket, buffers.input.spare(), RecvFlags::empty());
        if idle {
            self.seat.set_idle(None);
        }
        self.tick();
        match received {
            Ok((0, _)) => self.conn.peer_closed(),
            Ok((count, _)) => buffers.input.filled(count),
            Err(Errno::AGAIN) => {
                self.patience = None;
                drive::expire(&mut self.conn, buffers, self.app, self.clock);
            }
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
        true
    }

    /// Sees to it that a receive ends by the deadline. A timeout that is too short costs no more than another look
    /// at the time, so only one that is too long, or has run out, is set anew; a busy connection sets none.
    fn be_patient(&mut self) -> bool {
        let wanted = self.conn.deadline().saturating_duration_since(self.clock.now()).max(SHORTEST);
        if self.patience.is_some_and(|set| set <= wanted) {
            return true;
        }
        self.patience = Some(wanted);
        set_socket_timeout(&self.seat.socket, Timeout::Recv, Some(wanted)).is_ok()
    }

    /// Sends once, which is all there is or as much as the peer takes in time. Whether the connection still stands.
    fn send(&mut self, buffers: &mut Buffers) -> bool {
        if self.conn.deadline() <= self.clock.now() {
            drive::expire(&mut self.conn, buffers, self.app, self.clock);
            return true;
        }
        match transmit(self.seat.socket.as_fd(), &mut buffers.out, ONE_SEND) {
            Ok(Sent::All) => true,
            // Around once more: the protocol sees how far it came, and whether that is fast enough.
            Ok(Sent::Share) => {
                self.tick();
                true
            }
            // Nothing moved for as long as a peer may stall.
            Ok(Sent::Blocked) | Err(_) => false,
        }
    }
}

/// Brings an answer about in place: sleeps, calls, waits.
fn bring_about(reply: Reply, patience: Duration) -> Result<Response, Rejection> {
    match reply {
        Reply::Now(response) => Ok(response),
        Reply::After(wait, _) if wait > patience => {
            thread::sleep(patience);
            Err(Rejection::Unanswered)
        }
        Reply::After(wait, job) => {
            thread::sleep(wait);
            fenced(job)
        }
        Reply::Offload(job) => fenced(job),
        Reply::Deferred(start) => {
            let (sender, answer) = mpsc::channel();
            // The receiver may have given up; then nobody wants the answer.
            let responder = Responder::new(move |answer| drop(sender.send(answer)));
            fenced(|| start(responder))?;
            answer.recv_timeout(patience).unwrap_or(Err(Rejection::Unanswered))
        }
    }
}
