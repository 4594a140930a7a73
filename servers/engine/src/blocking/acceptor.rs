//! Where the threads of the blocking engine wait for connections.
//!
//! All of them wait in one epoll, which wakes one thread for each connection, and every thread for the shutdown. A
//! spare thread is one beyond the configured number of waiting threads: it ends if no connection comes soon.

use super::session::first_receive_timeout;
use crate::{listener, shutdown::Shutdown, transport::Transport};
use http_core::Timeouts;
use rustix::{
    event::{Timespec, epoll},
    io::Errno,
    net::{
        SocketFlags,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How long a thread sleeps after an accept has failed because the system had no free descriptor or memory. New
/// connections stay in the kernel's queue meanwhile, unless another thread accepts them.
const PAUSE: Duration = Duration::from_millis(100);

/// The maximum number of connections that all threads together accept after the shutdown has begun: enough for every
/// connection queued by then, but not for a flood. Further connections stay in the kernel's queue.
const LAST_ACCEPTS: usize = 4096;

/// How long a spare thread waits for a connection before it ends. A spare thread is one beyond the configured number of
/// waiting threads.
const SPARE_TIMEOUT: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// The epoll data of the shutdown signal. The epoll data of a listening socket is its index in `Acceptor::listeners`.
const SHUTDOWN: u64 = u64::MAX;

/// The result of [`Acceptor::next`].
pub(super) enum Accepted {
    /// A new connection and the client's address; `None` if that is not an IP address.
    Connection(Transport, Option<SocketAddr>),
    /// No connection came within [`SPARE_TIMEOUT`]. Only spare threads (those beyond the configured number) get this.
    TimedOut,
    /// The thread must end. Either the shutdown has begun and no more connections are to be accepted, or epoll has
    /// failed.
    Shutdown,
}

/// The listening sockets and the shutdown signal in one epoll.
pub(super) struct Acceptor {
    epoll: OwnedFd,
    /// The listening sockets; an empty list once they are closed.
    listeners: RwLock<Vec<TcpListener>>,
    /// How many calls of [`next`](Acceptor::next) may still accept a connection after the shutdown has begun.
    last_accepts: AtomicUsize,
    shutdown: Arc<Shutdown>,
}

impl Acceptor {
    /// Registers `listeners` and the shutdown signal with a new epoll.
    ///
    /// Also sets the timeouts that accepted sockets inherit: that of the first receive
    /// ([`first_receive_timeout`]), and for a send the write-stall timeout.
    pub(super) fn new(
        listeners: Vec<TcpListener>,
        timeouts: &Timeouts,
        shutdown: &Arc<Shutdown>,
    ) -> io::Result<Acceptor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, listener) in listeners.iter().enumerate() {
            set_socket_timeout(listener, Timeout::Recv, Some(first_receive_timeout(timeouts)))?;
            set_socket_timeout(listener, Timeout::Send, Some(timeouts.write_stall))?;
            let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
            epoll::add(&epoll, listener, epoll::EventData::new_u64(number as u64), flags)?;
        }
        epoll::add(&epoll, &**shutdown, epoll::EventData::new_u64(SHUTDOWN), epoll::EventFlags::IN)?;
        Ok(Acceptor {
            epoll,
            listeners: RwLock::new(listeners),
            last_accepts: AtomicUsize::new(LAST_ACCEPTS),
            shutdown: Arc::clone(shutdown),
        })
    }

    /// Waits for a connection and accepts it. Returns [`Accepted::TimedOut`] to a spare thread (`is_spare`: one beyond
    /// the configured number) if no connection comes within [`SPARE_TIMEOUT`].
    ///
    /// Does not wait once the shutdown has begun. Then returns a connection that the kernel has queued, or
    /// [`Accepted::Shutdown`] if none can be accepted or all threads together have accepted [`LAST_ACCEPTS`].
    pub(super) fn next(&self, is_spare: bool) -> Accepted {
        let timeout = is_spare.then_some(&SPARE_TIMEOUT);
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1);
        while !self.shutdown.has_begun() {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout) {
                Ok(0) => return Accepted::TimedOut,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    // epoll itself fails only if its descriptor is invalid.
                    log::error!("cannot wait for connections: {error}; this thread stops");
                    return Accepted::Shutdown;
                }
            }
            let number = events.first().and_then(|event| usize::try_from(event.data.u64()).ok());
            if let Some((transport, client_addr)) =
                number.and_then(|number| accept(self.listeners().get(number)?))
            {
                return Accepted::Connection(transport, client_addr);
            }
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.last_accepts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
            return Accepted::Shutdown;
        }
        let queued = self.listeners().iter().find_map(accept);
        queued.map_or(Accepted::Shutdown, |(transport, addr)| Accepted::Connection(transport, addr))
    }

    /// Closes the engine's descriptors of the listening sockets. The kernel refuses new connections as soon as no other
    /// process (a worker process or a successor) holds a descriptor of the same socket.
    pub(super) fn close(&self) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Locks the list of listening sockets for reading. The list is empty after [`close`](Acceptor::close).
    fn listeners(&self) -> RwLockReadGuard<'_, Vec<TcpListener>> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts a connection without waiting for one. Returns it with the client's address (`None` if that is not an IP
/// address). Returns `None` if no connection is queued (another thread has accepted it) or an error occurs.
///
/// If the system has no free descriptor or memory, sleeps for [`PAUSE`] before it returns `None`.
fn accept(listener: &TcpListener) -> Option<(Transport, Option<SocketAddr>)> {
    match listener::accept(listener, SocketFlags::empty()) {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            if matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) {
                thread::sleep(PAUSE);
            }
            None
        }
    }
}
