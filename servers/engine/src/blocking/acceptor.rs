//! Where the threads of the blocking engine wait for connections.
//!
//! All of them wait in one epoll, which wakes one thread for each connection, and every thread for the shutdown. A
//! spare thread is one beyond the configured number of waiting threads: it ends if no connection comes soon.
//!
//! Of the processes that wait at a shared socket, a new connection wakes the first in the kernel's queue. So a process
//! that has started another thread, because the others have connections, leaves the queue for a moment, and is then
//! behind the others.

use super::session::first_receive_timeout;
use crate::{
    listener::{self, Accepted, Listener, Sharing},
    reserve::Reserve,
    shutdown::Shutdown,
};
use http_core::{Timeouts, io_cause};
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
    os::fd::OwnedFd,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How long a thread sleeps after an accept has failed because the system had no memory, or no free descriptor and the
/// reserve was in use. New connections stay in the kernel's queue meanwhile, unless another thread accepts them.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a process with one more connection leaves the next ones to the processes at the same sockets: long enough
/// for one that the kernel has woken to accept. To yield the CPU instead would cost more if another program computes on
/// it: the kernel then runs that for a time slice, some milliseconds.
const LEAVE: Duration = Duration::from_micros(100);

/// The maximum number of connections that all threads together accept after the shutdown has begun: enough for every
/// connection queued by then, but not for a flood. Further connections stay in the kernel's queue.
const LAST_ACCEPTS: usize = 4096;

/// How long a spare thread waits for a connection before it ends. A spare thread is one beyond the configured number of
/// waiting threads.
const SPARE_TIMEOUT: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// The epoll data of the shutdown signal. The epoll data of a listening socket is its index in `Acceptor::listeners`.
const SHUTDOWN: u64 = u64::MAX;

/// The result of [`Acceptor::next`].
pub(super) enum Next {
    /// A new connection.
    Connection(Accepted),
    /// No connection came within [`SPARE_TIMEOUT`]. Only spare threads (those beyond the configured number) get this.
    TimedOut,
    /// The thread must end: the shutdown has begun and no more connections are to be accepted.
    Shutdown,
}

/// The listening sockets and the shutdown signal in one epoll.
pub(super) struct Acceptor {
    epoll: OwnedFd,
    /// The listening sockets; an empty list once they are closed.
    listeners: RwLock<Vec<Listener>>,
    /// Whether other processes may accept from one of them.
    is_shared: bool,
    /// The descriptor that is released when there is no other for a new connection.
    reserve: Arc<Reserve>,
    /// How many calls of [`next`](Acceptor::next) may still accept a connection after the shutdown has begun.
    last_accepts: AtomicUsize,
    shutdown: Arc<Shutdown>,
}

impl Acceptor {
    /// Registers `listeners` and the shutdown signal with a new epoll.
    ///
    /// Also sets the timeout of the first receive ([`first_receive_timeout`]), which accepted sockets inherit.
    pub(super) fn new(
        listeners: Vec<Listener>,
        timeouts: &Timeouts,
        reserve: &Arc<Reserve>,
        shutdown: &Arc<Shutdown>,
    ) -> io::Result<Acceptor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, listener) in listeners.iter().enumerate() {
            set_socket_timeout(listener, Timeout::Recv, Some(first_receive_timeout(timeouts)))?;
            watch(&epoll, listener, number)?;
        }
        epoll::add(&epoll, &**shutdown, epoll::EventData::new_u64(SHUTDOWN), epoll::EventFlags::IN)?;
        Ok(Acceptor {
            epoll,
            is_shared: listeners.iter().any(|listener| listener.sharing() == Sharing::Shared),
            listeners: RwLock::new(listeners),
            reserve: Arc::clone(reserve),
            last_accepts: AtomicUsize::new(LAST_ACCEPTS),
            shutdown: Arc::clone(shutdown),
        })
    }

    /// Waits for a connection and accepts it. Returns [`Next::TimedOut`] to a spare thread (`is_spare`: one beyond the
    /// configured number) if no connection comes within [`SPARE_TIMEOUT`].
    ///
    /// If the connection has [taken the reserve](Accepted::took_reserve), the caller must call
    /// [`restore_reserve`](Acceptor::restore_reserve) when it has decided what happens to the connection.
    ///
    /// Does not wait once the shutdown has begun. Then returns a connection that the kernel has queued, or
    /// [`Next::Shutdown`] if none can be accepted or all threads together have accepted [`LAST_ACCEPTS`].
    ///
    /// # Errors
    ///
    /// epoll fails.
    pub(super) fn next(&self, is_spare: bool) -> io::Result<Next> {
        let timeout = is_spare.then_some(&SPARE_TIMEOUT);
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1);
        while !self.shutdown.has_begun() {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout) {
                Ok(0) => return Ok(Next::TimedOut),
                Ok(_) | Err(Errno::INTR) => {}
                // epoll itself fails only if its descriptor is invalid.
                Err(error) => {
                    let error = io::Error::from(error);
                    return Err(io::Error::new(
                        error.kind(),
                        format!("cannot wait for connections: {}", io_cause(&error)),
                    ));
                }
            }
            let number = events.first().and_then(|event| usize::try_from(event.data.u64()).ok());
            if let Some(accepted) = number.and_then(|number| self.accept(self.listeners().get(number)?)) {
                return Ok(Next::Connection(accepted));
            }
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.last_accepts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
            return Ok(Next::Shutdown);
        }
        let queued = self.listeners().iter().find_map(|listener| self.accept(listener));
        Ok(queued.map_or(Next::Shutdown, Next::Connection))
    }

    /// Puts this process behind the others that wait at the same sockets, and accepts nothing for a moment ([`LEAVE`]).
    /// Until the shutdown, waits while the system has no memory or epoll watches left.
    pub(super) fn leave_to_others(&self) {
        if !self.is_shared {
            return;
        }
        let listeners = self.listeners();
        for listener in &*listeners {
            // Another thread may do the same now: then this fails, or the other has added the socket again.
            let _ = epoll::delete(&self.epoll, listener);
        }
        thread::sleep(LEAVE);
        for (number, listener) in listeners.iter().enumerate() {
            while let Err(error) = watch(&self.epoll, listener, number)
                && error != Errno::EXIST
                && !self.shutdown.has_begun()
            {
                thread::sleep(PAUSE);
            }
        }
    }

    /// Opens the reserve again, if a connection has taken it.
    pub(super) fn restore_reserve(&self) {
        self.reserve.restore();
    }

    /// Closes the engine's descriptors of the listening sockets. The kernel refuses new connections as soon as no other
    /// process (a worker process or a successor) holds a descriptor of the same socket.
    pub(super) fn close(&self) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Locks the list of listening sockets for reading. The list is empty after [`close`](Acceptor::close).
    fn listeners(&self) -> RwLockReadGuard<'_, Vec<Listener>> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a connection without waiting for one. Returns `None` if no connection is queued (another thread has
    /// accepted it) or an error occurs.
    ///
    /// If there is no memory, or no descriptor and no reserve, sleeps for [`PAUSE`] before it returns `None`.
    fn accept(&self, listener: &Listener) -> Option<Accepted> {
        match listener::accept(listener, SocketFlags::empty(), &self.reserve) {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                if listener::is_shortage(error) {
                    thread::sleep(PAUSE);
                }
                None
            }
        }
    }
}

/// Adds the listening socket with this number to `epoll`.
fn watch(epoll: &OwnedFd, listener: &Listener, number: usize) -> Result<(), Errno> {
    let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
    epoll::add(epoll, listener, epoll::EventData::new_u64(number as u64), flags)
}
