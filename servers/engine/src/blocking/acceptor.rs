//! The queue that ready threads wait at.
//!
//! All wait in one epoll, which wakes one of them for each connection and all of them when it is time to stop.

use crate::{listener, shutdown::Shutdown};
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

/// How long a thread that found no descriptor or memory leaves the queue alone.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are still served when the order to stop has come: as many as may have been waiting, and not
/// all that go on coming.
const LAST_CALL: usize = 4096;

/// How long a thread that is one more than must stand ready does so for nobody.
const RESERVE_PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

const STOP: u64 = u64::MAX;

/// What waiting has brought.
pub(super) enum Accepted {
    Connection(OwnedFd, Option<SocketAddr>),
    /// Nobody has come for a while.
    Nobody,
    /// It is time to stop.
    Shutdown,
}

/// Listening sockets and the order to stop, in one place to wait at.
pub(super) struct Acceptor {
    epoll: OwnedFd,
    /// None any more once they are closed.
    listeners: RwLock<Vec<TcpListener>>,
    /// How many more are let in after the order to stop.
    last_call: AtomicUsize,
    stop: Arc<Shutdown>,
}

impl Acceptor {
    /// Accepted sockets inherit the timeouts of the listening one, which saves setting them for each: a receive
    /// waits as long as a connection may be idle, a send as long as its peer may stall.
    pub(super) fn new(
        listeners: Vec<TcpListener>,
        timeouts: &Timeouts,
        stop: &Arc<Shutdown>,
    ) -> io::Result<Acceptor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, listener) in listeners.iter().enumerate() {
            set_socket_timeout(listener, Timeout::Recv, Some(timeouts.idle))?;
            set_socket_timeout(listener, Timeout::Send, Some(timeouts.write_stall))?;
            let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
            epoll::add(&epoll, listener, epoll::EventData::new_u64(number as u64), flags)?;
        }
        epoll::add(&epoll, &**stop, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        let last_call = AtomicUsize::new(LAST_CALL);
        Ok(Acceptor { epoll, listeners: RwLock::new(listeners), last_call, stop: Arc::clone(stop) })
    }

    /// Waits for the next connection, or for the end. Who has been let in by the kernel before the order to stop
    /// came is still served. Only a thread that `is_reserve` hears that nobody comes.
    pub(super) fn next(&self, is_reserve: bool) -> Accepted {
        let patience = is_reserve.then_some(&RESERVE_PATIENCE);
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1);
        while !self.stop.is_asked() {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), patience) {
                Ok(0) => return Accepted::Nobody,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    // epoll fails only when its descriptor is none: nothing will come any more.
                    log::error!("accepting ends: {error}");
                    return Accepted::Shutdown;
                }
            }
            let ready = events.first().and_then(|event| usize::try_from(event.data.u64()).ok());
            if let Some((socket, peer)) = ready.and_then(|number| accept(self.listeners().get(number)?)) {
                return Accepted::Connection(socket, peer);
            }
        }
        let let_in = |left: usize| left.checked_sub(1);
        if self.last_call.fetch_update(Ordering::SeqCst, Ordering::SeqCst, let_in).is_err() {
            return Accepted::Shutdown;
        }
        let last = self.listeners().iter().find_map(accept);
        last.map_or(Accepted::Shutdown, |(socket, peer)| Accepted::Connection(socket, peer))
    }

    /// Closes the listening sockets: who comes now is refused, instead of waiting for nobody.
    pub(super) fn close(&self) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn listeners(&self) -> RwLockReadGuard<'_, Vec<TcpListener>> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next connection, if one is there, and this thread was the fastest to take it.
fn accept(listener: &TcpListener) -> Option<(OwnedFd, Option<SocketAddr>)> {
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
