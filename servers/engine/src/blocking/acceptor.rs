//! Where ready threads wait for connections.
//!
//! All of them wait in one epoll, which wakes one thread for each connection, and every thread for the shutdown.

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

/// How long a thread that found no descriptor or memory leaves new connections in the kernel's queue.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections accepted after the shutdown has begun: enough for every queued connection, but not for a flood.
const LAST_ACCEPTS: usize = 4096;

/// How long a thread beyond the configured number waits for a connection before it ends.
const SPARE_TIMEOUT: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// The epoll data of the shutdown signal. Listening sockets have their index.
const SHUTDOWN: u64 = u64::MAX;

/// What a thread that waits in [`Acceptor::next`] gets.
pub(super) enum Accepted {
    Connection(Transport, Option<SocketAddr>),
    /// No connection came in time. Only spare threads get this.
    TimedOut,
    /// The shutdown has begun, and no queued connection is left.
    Shutdown,
}

/// The listening sockets and the shutdown signal in one epoll.
pub(super) struct Acceptor {
    epoll: OwnedFd,
    /// Empty once they are closed.
    listeners: RwLock<Vec<TcpListener>>,
    last_accepts: AtomicUsize,
    shutdown: Arc<Shutdown>,
}

impl Acceptor {
    /// Registers `listeners` and the shutdown signal with a new epoll.
    ///
    /// Also sets the timeouts that accepted sockets inherit, which saves two system calls for each connection: a receive
    /// waits for the idle timeout, a send for the write-stall timeout.
    pub(super) fn new(
        listeners: Vec<TcpListener>,
        timeouts: &Timeouts,
        shutdown: &Arc<Shutdown>,
    ) -> io::Result<Acceptor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, listener) in listeners.iter().enumerate() {
            set_socket_timeout(listener, Timeout::Recv, Some(timeouts.idle))?;
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

    /// Waits for the next connection or for the shutdown. With `is_spare`, waits at most [`SPARE_TIMEOUT`].
    ///
    /// After the shutdown has begun, returns the connections that the kernel has queued by then, and then
    /// [`Accepted::Shutdown`].
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

    /// Closes the listening sockets: the kernel refuses new connections from now on.
    pub(super) fn close(&self) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Locks the listening sockets for reading; they are empty after [`close`](Acceptor::close).
    fn listeners(&self) -> RwLockReadGuard<'_, Vec<TcpListener>> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts the next connection. Returns `None` if another thread has taken it or an error occurred; without free
/// descriptors or memory, only after [`PAUSE`].
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
