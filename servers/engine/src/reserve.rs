//! The reserve: a descriptor that a server keeps open, so that it can send a response when there is no other left.

use rustix::event::{EventfdFlags, eventfd};
use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A descriptor that is kept open and serves no other purpose. When the process or the system has no descriptor left,
/// closing it makes room to accept one more connection, so that the client gets a response.
///
/// All threads that accept connections share it. If one of them releases it, another may accept a connection with its
/// descriptor. So every thread calls [`restore`](Reserve::restore) after each accept: if that fails, its connection has
/// the descriptor.
#[derive(Debug)]
pub(crate) struct Reserve {
    descriptor: Mutex<Option<OwnedFd>>,
    /// Whether the descriptor is released.
    is_released: AtomicBool,
}

impl Reserve {
    /// Opens the descriptor. If there is none left already, [`restore`](Reserve::restore) opens it later.
    pub(crate) fn new() -> Reserve {
        let reserve = Reserve { descriptor: Mutex::default(), is_released: AtomicBool::new(true) };
        reserve.restore();
        reserve
    }

    /// Closes the descriptor, if it is open, and calls `accept`. No other thread restores it meanwhile.
    pub(crate) fn release<T>(&self, accept: impl FnOnce() -> T) -> T {
        let mut descriptor = self.lock();
        self.is_released.store(true, Ordering::SeqCst);
        *descriptor = None;
        accept()
    }

    /// Opens the descriptor again, if it is released. Returns false if there is no descriptor left. Takes no lock if it
    /// is not released.
    pub(crate) fn restore(&self) -> bool {
        if !self.is_released.load(Ordering::SeqCst) {
            return true;
        }
        let mut descriptor = self.lock();
        if descriptor.is_none() {
            // An eventfd needs no file, which Landlock might forbid to open.
            *descriptor = eventfd(0, EventfdFlags::CLOEXEC).ok();
        }
        self.is_released.store(descriptor.is_none(), Ordering::SeqCst);
        descriptor.is_some()
    }

    /// Locks the descriptor. This works even if a thread has panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.descriptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
