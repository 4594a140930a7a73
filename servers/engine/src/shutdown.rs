//! The order to stop, seen by every thread that waits in an epoll.

use rustix::{
    event::{EventfdFlags, eventfd},
    io::write,
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A flag that can be waited for. Once set it stays set, and its descriptor stays readable.
#[derive(Debug)]
pub struct Shutdown {
    event: OwnedFd,
    asked: AtomicBool,
    deadline: Mutex<Option<Instant>>,
}

impl Shutdown {
    /// A flag not yet set.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Shutdown> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Shutdown { event, asked: AtomicBool::new(false), deadline: Mutex::new(None) })
    }

    /// Asks everyone to stop accepting, finish what is in flight, and be gone within `grace`. Asked again, the
    /// earlier end counts.
    pub fn ask(&self, grace: Duration) {
        let wanted = Instant::now() + grace;
        {
            let mut deadline = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
            *deadline = Some(deadline.map_or(wanted, |known| known.min(wanted)));
        }
        self.asked.store(true, Ordering::SeqCst);
        // The counter can only be full if it is readable already.
        let _ = write(&self.event, &1u64.to_ne_bytes());
    }

    /// Whether stopping has been asked for.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// When everything must have ended, once stopping has been asked for.
    pub fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Shutdown {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
