//! The listening sockets of one event loop, and whether epoll watches them.
//!
//! Level-triggered, so that a connection left in the queue is reported again; exclusive, so that a new connection
//! wakes only one of several workers at one queue. That is always the first in the queue of those that wait: a worker
//! with a connection that stays open leaves the queue for a moment, and is then behind the others.

use crate::{
    listener::{self, Accepted, Listener, Sharing},
    reserve::Reserve,
    sys::epoll,
};
use http_core::io_cause;
use mio::{Poll, Registry};
use rustix::{io::Errno, net::SocketFlags};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a worker accepts nothing after an accept has failed because the system had no memory, or no free descriptor
/// and the reserve was in use. New connections stay in the kernel's queue meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a worker accepts nothing after a [`Batch`] of connections: long enough for another worker to wake up.
const BATCH_INTERVAL: Duration = Duration::from_millis(1);

/// The maximum size of a [`Batch`].
const MAX_BATCH: usize = 64;

/// The maximum number of listening sockets of one event loop.
pub(super) const MAX_LISTENERS: usize = 1000;

/// Whether epoll watches the listening sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// epoll watches the sockets.
    Active,
    /// Not watched any more: the sockets are closed.
    Closed,
    /// Not watched until this time: the system has no descriptors or memory left, or other workers are to accept.
    PausedUntil(Instant),
}

/// The listening sockets of a worker.
pub(super) struct Listeners {
    sockets: Vec<(Listener, Sharing)>,
    registry: Registry,
    /// The epoll token of the first socket. The next sockets have the next tokens.
    first_token: usize,
    /// Whether epoll watches the sockets now.
    watch: Watch,
    /// The connections of shared sockets that were accepted since the last pause and stay open.
    batch: Batch,
    /// The descriptor that is released when there is no other for a new connection.
    reserve: Arc<Reserve>,
}

impl Listeners {
    /// Adds the sockets to the epoll of `poll`. The socket with index `i` gets the token `first_token + i`.
    ///
    /// # Errors
    ///
    /// The system has no descriptors, memory or epoll watches left, or there are more than [`MAX_LISTENERS`] sockets.
    pub(super) fn new(
        poll: &Poll,
        sockets: Vec<Listener>,
        first_token: usize,
        reserve: &Arc<Reserve>,
    ) -> io::Result<Listeners> {
        if sockets.len() > MAX_LISTENERS {
            let message = format!(
                "cannot accept from {} sockets in one event loop: at most {MAX_LISTENERS}",
                sockets.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let with_sharing = |socket: Listener| {
            let sharing = socket.sharing();
            (socket, sharing)
        };
        let sockets = sockets.into_iter().map(with_sharing).collect();
        let (registry, reserve) = (poll.registry().try_clone()?, Arc::clone(reserve));
        let listeners = Listeners {
            sockets,
            registry,
            first_token,
            watch: Watch::Active,
            batch: Batch { size: 1, left: 0, next_at: Instant::now() },
            reserve,
        };
        listeners.register()?;
        Ok(listeners)
    }

    /// The number of listening sockets.
    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Accepts a connection from the socket with this index, without waiting for one. Returns `None` if no connection
    /// is queued or an error occurs.
    ///
    /// If the connection has [taken the reserve](Accepted::took_reserve), the caller must call
    /// [`restore_reserve`](Listeners::restore_reserve) when it has decided what happens to the connection. If there is
    /// no memory, or no descriptor and no reserve, epoll stops watching all sockets for [`PAUSE`].
    pub(super) fn accept(&mut self, index: usize, now: Instant) -> Option<Accepted> {
        let (socket, _) = self.sockets.get(index)?;
        loop {
            match listener::accept(socket, SocketFlags::NONBLOCK, &self.reserve) {
                Ok(accepted) => return Some(accepted),
                Err(error) if listener::is_shortage(error) => {
                    self.suspend(Watch::PausedUntil(now + PAUSE));
                    return None;
                }
                // This client has closed its connection already; the next one may be there.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                // No connection waits, or the network has failed: epoll reports when that changes.
                Err(_) => {
                    self.batch.left = 0;
                    return None;
                }
            }
        }
    }

    /// Counts a connection from the socket with this index that stays open. Returns true if other workers are to accept
    /// the next one: then epoll stops watching all sockets for [`BATCH_INTERVAL`].
    pub(super) fn leave_to_others(&mut self, index: usize, now: Instant) -> bool {
        let is_shared = matches!(self.sockets.get(index), Some((_, Sharing::Shared)));
        let is_complete = is_shared && self.batch.count(now);
        if is_complete {
            self.suspend(Watch::PausedUntil(self.batch.next_at));
        }
        is_complete
    }

    /// Opens the reserve again, after a connection has taken it.
    pub(super) fn restore_reserve(&mut self) {
        self.reserve.restore();
    }

    /// Watches the sockets again if a pause in accepting is over. Otherwise does nothing.
    pub(super) fn end_pause(&mut self, now: Instant) {
        if matches!(self.watch, Watch::PausedUntil(until) if until <= now) {
            self.reserve.restore();
            self.resume();
        }
    }

    /// The time until the worker must call [`end_pause`](Listeners::end_pause); `None` if accepting is not paused.
    pub(super) fn pause_left(&self, now: Instant) -> Option<Duration> {
        match self.watch {
            Watch::PausedUntil(until) => Some(until.saturating_duration_since(now)),
            Watch::Active | Watch::Closed => None,
        }
    }

    /// Closes this worker's descriptors of the sockets. The kernel refuses new connections as soon as no other worker,
    /// worker process or successor holds a descriptor of the same socket.
    pub(super) fn close(&mut self) {
        self.suspend(Watch::Closed);
        self.sockets.clear();
    }

    /// Adds the sockets to epoll.
    ///
    /// # Errors
    ///
    /// The system has no memory or epoll watches left.
    fn register(&self) -> io::Result<()> {
        for (index, (socket, _)) in self.sockets.iter().enumerate() {
            let data = epoll::EventData::new_u64((self.first_token + index) as u64);
            epoll::add(&self.registry, socket, data, epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE)?;
        }
        Ok(())
    }

    /// Watches the sockets again. If that fails, tries again after [`PAUSE`].
    fn resume(&mut self) {
        self.watch = Watch::Active;
        if let Err(error) = self.register() {
            log::error!("cannot watch a listening socket: {}; trying again in {PAUSE:?}", io_cause(&error));
            self.suspend(Watch::PausedUntil(Instant::now() + PAUSE));
        }
    }

    /// Stops watching the sockets. `watch` is the reason: [`Watch::Closed`] or [`Watch::PausedUntil`].
    fn suspend(&mut self, watch: Watch) {
        if self.watch == Watch::Active {
            for (socket, _) in &self.sockets {
                // An error means that the socket was not registered.
                let _ = epoll::delete(&self.registry, socket);
            }
        }
        self.watch = watch;
    }
}

/// The connections that stay open and that a worker accepts from shared sockets before it leaves the next ones to other
/// workers.
///
/// A single one at first. If connections are still queued after [`BATCH_INTERVAL`], the others do not accept fast
/// enough without this worker: the next batch is larger by one, so that a worker that is late by a batch has little
/// less.
struct Batch {
    size: usize,
    /// How many connections it still lacks; 0 before the first one.
    left: usize,
    /// When the worker accepts again after the last batch.
    next_at: Instant,
}

impl Batch {
    /// Counts a connection. Returns true if the batch is complete.
    fn count(&mut self, now: Instant) -> bool {
        if self.left == 0 {
            let were_queued = now.saturating_duration_since(self.next_at) < BATCH_INTERVAL;
            self.size = if were_queued { (self.size + 1).min(MAX_BATCH) } else { 1 };
            self.left = self.size;
        }
        self.left -= 1;
        let is_complete = self.left == 0;
        if is_complete {
            self.next_at = now + BATCH_INTERVAL;
        }
        is_complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts connections that arrive at these times, in milliseconds. `expected` are those that complete a batch.
    fn check(arrivals: &[u64], expected: &[u64]) {
        let start = Instant::now();
        let mut batch = Batch { size: 1, left: 0, next_at: start };
        let mut completes = |at: &&u64| batch.count(start + Duration::from_millis(10 + **at));
        assert_eq!(arrivals.iter().filter(|at| completes(at)).copied().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_batch_grows_while_connections_are_queued() {
        check(&[0, 2, 4], &[0, 2, 4]);
        check(&[0, 1, 1, 2, 2, 2, 4], &[0, 1, 2, 4]);
    }
}
