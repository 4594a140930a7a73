//! One connection's turn: receive, advance, send, until it must wait for its peer, its answer, or its next share.

use super::{
    completions::Sending,
    connections::{Key, Peer},
    timers::Timers,
};
use crate::{
    drive::{self, Turn, advance, fenced},
    pool::Pool,
    transmit::{Sent, transmit},
};
use http_core::{Buffers, Clock, Handler, Rejection, Reply, Responder};
use rustix::{
    io::Errno,
    net::{self, RecvFlags, recv},
};
use std::{os::fd::AsFd, time::Duration};

/// Requests answered for one connection before others have their turn: pipelining is no way to the front.
const REQUESTS_A_TURN: u32 = 64;
/// Bytes sent to one connection before others have their turn.
const BYTES_A_TURN: u64 = 1024 * 1024;
/// Beyond any timeout, and well within what an `Instant` can hold.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How a connection's turn ended.
pub(super) enum Rest {
    /// It waits for its peer, or for its answer.
    Waiting,
    /// It could go on, but others come first.
    Share,
    /// It is to be closed.
    Over,
}

/// A connection's turn, and what it may use.
pub(super) struct Exchange<'w> {
    pub(super) key: Key,
    pub(super) peer: &'w mut Peer,
    pub(super) buffers: &'w mut Buffers,
    pub(super) app: &'w dyn Handler,
    pub(super) pool: &'w Pool,
    pub(super) clock: &'w Clock,
    pub(super) timers: &'w mut Timers,
    pub(super) sending: &'w Sending,
}

impl Exchange<'_> {
    #[inline]
    pub(super) fn run(&mut self) -> Rest {
        let mut share = REQUESTS_A_TURN;
        let mut blocked = false;
        loop {
            match advance(&mut self.peer.conn, self.buffers, self.app, self.clock, &mut share) {
                Turn::Receive if self.peer.drained => return Rest::Waiting,
                Turn::Receive => {
                    if !self.receive() {
                        return Rest::Over;
                    }
                }
                Turn::Send if blocked => return Rest::Waiting,
                Turn::Send => match transmit(self.peer.socket.as_fd(), &mut self.buffers.out, BYTES_A_TURN) {
                    Ok(Sent::All) => {}
                    // Around once more: the protocol sees how far it came, and so tells slow from stalled.
                    Ok(Sent::Blocked) => blocked = true,
                    Ok(Sent::Share) => return Rest::Share,
                    Err(_) => return Rest::Over,
                },
                Turn::Yield => return Rest::Share,
                Turn::Later(reply) => self.bring_about(reply),
                Turn::AwaitAnswer => return Rest::Waiting,
                Turn::ShutdownWrite => {
                    if net::shutdown(&self.peer.socket, net::Shutdown::Write).is_err() {
                        return Rest::Over;
                    }
                }
                Turn::Close(_) => return Rest::Over,
            }
        }
    }

    /// Receives once. Whether the connection still stands.
    #[inline]
    fn receive(&mut self) -> bool {
        let room = self.buffers.input.spare();
        let size = room.len();
        match recv(&self.peer.socket, room, RecvFlags::empty()) {
            Ok((0, _)) => self.peer.conn.peer_closed(),
            Ok((count, _)) => {
                self.buffers.input.filled(count);
                self.peer.drained = count < size && !self.peer.hangup;
            }
            Err(Errno::AGAIN) => self.peer.drained = true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
        true
    }

    /// Files a reply where its answer will come from. None of these places blocks.
    fn bring_about(&mut self, reply: Reply) {
        let key = self.key;
        let refused = match reply {
            Reply::Now(response) => Some(Ok(response)),
            Reply::After(wait, job) => {
                self.timers.wait(self.clock.now() + wait.min(LONGEST_WAIT), key, self.peer, job);
                None
            }
            Reply::Offload(job) => {
                let sending = self.sending.clone();
                let task = Box::new(move || sending.send(key, fenced(job)));
                self.pool.submit(task).err().map(|_| Err(Rejection::Overloaded))
            }
            Reply::Deferred(start) => {
                let sending = self.sending.clone();
                let responder = Responder::new(move |answer| sending.send(key, answer));
                fenced(|| start(responder)).err().map(Err)
            }
        };
        if let Some(answer) = refused {
            drive::settle(&mut self.peer.conn, self.buffers, self.app, self.clock, answer);
        }
    }
}
