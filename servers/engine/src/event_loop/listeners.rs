//! The listening sockets of one event loop, and whether epoll watches them.
//!
//! Level-triggered, so that a connection left in the queue is reported again; exclusive, so that a new connection
//! wakes only one of several workers at one queue.

use crate::{listener, transport::Transport};
use mio::{Poll, Registry};
use rustix::{event::epoll, io::Errno, net::SocketFlags};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

/// How long a worker accepts nothing after an accept has failed because the system had no free descriptor or memory.
/// New connections stay in the kernel's queue meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether epoll watches the listening sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// epoll watches the sockets.
    Active,
    /// Not watched until a connection closes: the connection limit is reached.
    Full,
    /// Not watched until this time: the system has no descriptors or memory left.
    PausedUntil(Instant),
}

/// The listening sockets of a worker.
pub(super) struct Listeners {
    sockets: Vec<TcpListener>,
    registry: Registry,
    /// The epoll token of the first socket. The next sockets have the next tokens.
    first_token: usize,
    /// Whether epoll watches the sockets now.
    watch: Watch,
}

impl Listeners {
    /// Adds the sockets to the epoll of `poll`. The socket with index `i` gets the token `first_token + i`.
    ///
    /// # Errors
    ///
    /// The system has no descriptors, memory or epoll watches left.
    pub(super) fn new(poll: &Poll, sockets: Vec<TcpListener>, first_token: usize) -> io::Result<Listeners> {
        let registry = poll.registry().try_clone()?;
        let listeners = Listeners { sockets, registry, first_token, watch: Watch::Active };
        listeners.register()?;
        Ok(listeners)
    }

    /// The number of listening sockets.
    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Accepts a connection from the socket with this index, without waiting for one. Returns it with the client's
    /// address (`None` if that is not an IP address). Returns `None` if no connection is queued or an error occurs.
    ///
    /// If the system has no free descriptor or memory, epoll also stops watching all sockets for [`PAUSE`].
    pub(super) fn accept(&mut self, index: usize, now: Instant) -> Option<(Transport, Option<SocketAddr>)> {
        let socket = self.sockets.get(index)?;
        loop {
            match listener::accept(socket, SocketFlags::NONBLOCK) {
                Ok(accepted) => return Some(accepted),
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.suspend(Watch::PausedUntil(now + PAUSE));
                    return None;
                }
                // This client has closed its connection already; the next one may be there.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                // No connection waits, or the network has failed: epoll reports when that changes.
                Err(_) => return None,
            }
        }
    }

    /// Stops watching the sockets because the connection limit is reached.
    /// [`resume_if_full`](Listeners::resume_if_full) ends this.
    pub(super) fn suspend_while_full(&mut self) {
        self.suspend(Watch::Full);
    }

    /// Watches the sockets again if the connection limit was the reason not to watch them. Otherwise does nothing. The
    /// worker calls this whenever a connection has closed.
    pub(super) fn resume_if_full(&mut self) {
        if self.watch == Watch::Full {
            self.resume();
        }
    }

    /// Watches the sockets again if the system had no descriptors or memory left and the pause for that is over.
    /// Otherwise does nothing.
    pub(super) fn end_pause(&mut self, now: Instant) {
        if matches!(self.watch, Watch::PausedUntil(until) if until <= now) {
            self.resume();
        }
    }

    /// The time until the worker must call [`end_pause`](Listeners::end_pause); `None` if accepting is not paused.
    pub(super) fn pause_left(&self, now: Instant) -> Option<Duration> {
        match self.watch {
            Watch::PausedUntil(until) => Some(until.saturating_duration_since(now)),
            Watch::Active | Watch::Full => None,
        }
    }

    /// Closes this worker's descriptors of the sockets. The kernel refuses new connections as soon as no other worker,
    /// worker process or successor holds a descriptor of the same socket.
    pub(super) fn close(&mut self) {
        self.suspend(Watch::Full);
        self.sockets.clear();
    }

    /// Adds the sockets to epoll.
    ///
    /// # Errors
    ///
    /// The system has no memory or epoll watches left.
    fn register(&self) -> io::Result<()> {
        for (index, socket) in self.sockets.iter().enumerate() {
            let data = epoll::EventData::new_u64((self.first_token + index) as u64);
            epoll::add(&self.registry, socket, data, epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE)?;
        }
        Ok(())
    }

    /// Watches the sockets again. If that fails, tries again after [`PAUSE`].
    fn resume(&mut self) {
        self.watch = Watch::Active;
        if let Err(error) = self.register() {
            log::error!("cannot watch a listening socket: {error}; trying again in {PAUSE:?}");
            self.suspend(Watch::PausedUntil(Instant::now() + PAUSE));
        }
    }

    /// Stops watching the sockets. `watch` is the reason: [`Watch::Full`] or [`Watch::PausedUntil`].
    fn suspend(&mut self, watch: Watch) {
        if self.watch == Watch::Active {
            for socket in &self.sockets {
                // An error means that the socket was not registered.
                let _ = epoll::delete(&self.registry, socket);
            }
        }
        self.watch = watch;
    }
}
