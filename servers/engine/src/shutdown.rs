//! The shutdown signal of a server: a flag that wakes the threads that wait for it, in epoll or in poll.

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

/// The longest grace period. A longer one is shortened to this, because adding it to an `Instant` could overflow.
const MAX_GRACE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The shutdown signal of a server, with the end of the grace period. Once the shutdown has begun, the descriptor (an
/// eventfd) stays readable, so that it wakes every thread that waits for it.
#[derive(Debug)]
pub(crate) struct Shutdown {
    event: OwnedFd,
    begun: AtomicBool,
    deadline: Mutex<Option<Instant>>,
}

impl Shutdown {
    /// Creates the signal. The shutdown has not begun.
    ///
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub(crate) fn new() -> io::Result<Shutdown> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Shutdown { event, begun: AtomicBool::new(false), deadline: Mutex::new(None) })
    }

    /// Begins the shutdown. The grace period ends `grace` after `now`, and after a year at the latest. A later call can
    /// only make it end earlier.
    pub(crate) fn begin(&self, now: Instant, grace: Duration) {
        let wanted = now + grace.min(MAX_GRACE);
        {
            let mut deadline = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
            *deadline = Some(deadline.map_or(wanted, |known| known.min(wanted)));
        }
        self.begun.store(true, Ordering::SeqCst);
        // A write fails only if the counter is full, and then the descriptor is readable already.
        let _ = write(&self.event, &1u64.to_ne_bytes());
    }

    /// Whether the shutdown has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// The end of the grace period; `None` before the shutdown has begun.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Shutdown {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
