//! A worker's listening sockets, and whether they are watched just now.
//!
//! Level-triggered, so that a connection left in the queue is reported again; exclusive, so that of several workers
//! at one queue not all are woken for it.

use crate::listener;
use mio::{Poll, Registry};
use rustix::{event::epoll, io::Errno, net::SocketFlags};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// How long a worker that ran out of descriptors or memory leaves new connections in the queue.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// At the connection limit, until one ends.
    Full,
    /// The system lacks something, until then.
    Paused(Instant),
}

/// The ways into a worker.
pub(super) struct Doors {
    listeners: Vec<TcpListener>,
    registry: Registry,
    first_token: usize,
    state: State,
}

impl Doors {
    /// Watches these sockets in `poll`, with tokens from `first_token` on.
    pub(super) fn open(poll: &Poll, listeners: Vec<TcpListener>, first_token: usize) -> io::Result<Doors> {
        let registry = poll.registry().try_clone()?;
        let doors = Doors { listeners, registry, first_token, state: State::Open };
        doors.watch()?;
        Ok(doors)
    }

    pub(super) fn count(&self) -> usize {
        self.listeners.len()
    }

    /// The next connection that waits at this door and where it comes from, if there is one and `room` for it.
    pub(super) fn accept(
        &mut self,
        door: usize,
        room: bool,
        now: Instant,
    ) -> Option<(OwnedFd, Option<SocketAddr>)> {
        if !room {
            self.close(State::Full);
            return None;
        }
        let listener = self.listeners.get(door)?;
        loop {
            match listener::accept(listener, SocketFlags::NONBLOCK) {
                Ok(accepted) => return Some(accepted),
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.close(State::Paused(now + PAUSE));
                    return None;
                }
                // The peer has gone again: the next one may be there still.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                // Nobody is there, or the network has failed: epoll will say when that changes.
                Err(_) => return None,
            }
        }
    }

    /// A connection has ended, so there is room for one.
    pub(super) fn room(&mut self) {
        if self.state == State::Full {
            self.watch_again();
        }
    }

    /// Tries again once a pause is over.
    pub(super) fn reopen(&mut self, now: Instant) {
        if matches!(self.state, State::Paused(until) if until <= now) {
            self.watch_again();
        }
    }

    /// How long a pause still lasts.
    pub(super) fn closed_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Paused(until) => Some(until.saturating_duration_since(now)),
            State::Open | State::Full => None,
        }
    }

    /// Gives the sockets up.
    pub(super) fn shut(&mut self) {
        self.close(State::Full);
        self.listeners.clear();
    }

    fn watch(&self) -> io::Result<()> {
        for (door, listener) in self.listeners.iter().enumerate() {
            let data = epoll::EventData::new_u64((self.first_token + door) as u64);
            epoll::add(&self.registry, listener, data, epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE)?;
        }
        Ok(())
    }

    fn watch_again(&mut self) {
        self.state = State::Open;
        if let Err(error) = self.watch() {
            log::error!("cannot watch a listening socket: {error}");
            self.close(State::Paused(Instant::now() + PAUSE));
        }
    }

    fn close(&mut self, state: State) {
        if self.state == State::Open {
            for listener in &self.listeners {
                // One that could not be watched is not there to be deleted.
                let _ = epoll::delete(&self.registry, listener);
            }
        }
        self.state = state;
    }
}
