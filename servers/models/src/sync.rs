//! Locks and channels in the place of `std::sync`: a schedule decides which thread goes on, and which timeout expires.
//!
//! They are those of shuttle, with timeouts: shuttle's waits never time out. A wait shorter than a second always times
//! out, because code that waits so briefly polls. For a longer one, the schedule decides whether it times out at once or
//! has no timeout; then a lost wake-up is a deadlock, which shuttle reports.

pub use real::sync::OnceLock;
pub use shuttle::sync::{Arc, LockResult, PoisonError, Weak, atomic};

use shuttle::{
    rand::{Rng, thread_rng},
    sync as inner,
    thread::yield_now,
};
use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

/// Whether a wait with this timeout expires.
fn expires(timeout: Duration) -> bool {
    timeout < Duration::from_secs(1) || thread_rng().r#gen()
}

/// [`std::sync::Mutex`](real::sync::Mutex).
#[derive(Debug, Default)]
pub struct Mutex<T>(inner::Mutex<T>);

/// [`std::sync::MutexGuard`](real::sync::MutexGuard).
#[derive(Debug)]
pub struct MutexGuard<'m, T> {
    mutex: &'m Mutex<T>,
    guard: inner::MutexGuard<'m, T>,
}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(inner::Mutex::new(value))
    }

    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        match self.0.lock() {
            Ok(guard) => Ok(MutexGuard { mutex: self, guard }),
            Err(error) => Err(PoisonError::new(MutexGuard { mutex: self, guard: error.into_inner() })),
        }
    }

    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.0.get_mut()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// [`std::sync::Condvar`](real::sync::Condvar).
#[derive(Debug, Default)]
pub struct Condvar(inner::Condvar);

/// [`std::sync::WaitTimeoutResult`](real::sync::WaitTimeoutResult).
#[derive(Clone, Copy, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    pub const fn new() -> Condvar {
        Condvar(inner::Condvar::new())
    }

    pub fn wait<'m, T>(&self, guard: MutexGuard<'m, T>) -> LockResult<MutexGuard<'m, T>> {
        let MutexGuard { mutex, guard } = guard;
        match self.0.wait(guard) {
            Ok(guard) => Ok(MutexGuard { mutex, guard }),
            Err(error) => Err(PoisonError::new(MutexGuard { mutex, guard: error.into_inner() })),
        }
    }

    pub fn wait_timeout<'m, T>(
        &self,
        guard: MutexGuard<'m, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'m, T>, WaitTimeoutResult)> {
        let mutex = guard.mutex;
        if expires(timeout) {
            drop(guard);
            yield_now();
            return Ok((mutex.lock().unwrap_or_else(PoisonError::into_inner), WaitTimeoutResult(true)));
        }
        Ok((self.wait(guard).unwrap_or_else(PoisonError::into_inner), WaitTimeoutResult(false)))
    }

    pub fn wait_timeout_while<'m, T>(
        &self,
        mut guard: MutexGuard<'m, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'m, T>, WaitTimeoutResult)> {
        let mut has_expired = false;
        while condition(&mut guard) {
            if has_expired {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let (returned, result) =
                self.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
            (guard, has_expired) = (returned, result.timed_out());
        }
        Ok((guard, WaitTimeoutResult(false)))
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// [`std::sync::mpsc`](real::sync::mpsc).
pub mod mpsc {
    pub use shuttle::sync::mpsc::{RecvError, RecvTimeoutError, SendError, Sender, TryRecvError};

    use shuttle::{sync::mpsc as inner, thread::yield_now};
    use std::time::Duration;

    #[derive(Debug)]
    pub struct Receiver<T>(inner::Receiver<T>);

    pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = inner::channel();
        (sender, Receiver(receiver))
    }

    impl<T> Receiver<T> {
        pub fn recv(&self) -> Result<T, RecvError> {
            self.0.recv()
        }

        pub fn try_recv(&self) -> Result<T, TryRecvError> {
            self.0.try_recv()
        }

        pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
            if !super::expires(timeout) {
                return self.0.recv_timeout(timeout);
            }
            yield_now();
            self.0.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            })
        }
    }
}
