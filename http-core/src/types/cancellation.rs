//! The signal with which an engine tells code of the application that its result is no longer wanted.

use super::panic::{catch_panic, drop_caught};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A function that [`CancellationToken::on_cancelled`] was called with.
type Callback = Box<dyn FnOnce() + Send>;

/// Tells a [`Job`](crate::Job) whether its response is still wanted. Clones share the signal.
///
/// The engine cancels the token when the client has left (after a reset, a hang-up or a failed write), when the reply
/// has timed out, and when the grace period of a shutdown is over. Then the engine drops a job that has not started. A
/// running job should return early: the engine drops its response. The engine never cancels the token after it has
/// taken the response.
///
/// A client that closes its socket without a reset, as most clients do, looks as if it had only ended its sending side:
/// TCP does not tell one from the other. Such a client may still get its response, so the token is not cancelled.
///
/// ```
/// use http_core::{Reply, Response};
///
/// let reply = Reply::offload_with(|token| {
///     let steps = (0..1_000u32).take_while(|_| !token.is_cancelled());
///     Response::text(steps.count().to_string())
/// });
/// ```
#[derive(Clone, Default)]
pub struct CancellationToken {
    signal: Arc<Signal>,
}

struct Signal {
    cancelled: AtomicBool,
    /// The functions to call; `None` after the token was cancelled or released.
    callbacks: Mutex<Option<Vec<Callback>>>,
}

impl CancellationToken {
    /// Returns whether the response is no longer wanted. Reads one atomic variable: a job may call it often.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.signal.cancelled.load(Ordering::Relaxed)
    }

    /// Calls `f` once when the response is no longer wanted; at once, on the calling thread, if that is so already.
    /// Drops `f` without a call when the engine takes the response.
    ///
    /// The engine calls `f` on a thread that serves connections: it must not block. A panic of `f` is caught.
    ///
    /// ```
    /// use http_core::{Reply, Response};
    /// use std::{sync::atomic::{AtomicBool, Ordering}, thread};
    ///
    /// /// Whether the news has arrived. The thread that sets it unparks those that wait.
    /// static NEWS: AtomicBool = AtomicBool::new(false);
    ///
    /// let reply = Reply::offload_with(|token| {
    ///     let waiting = thread::current();
    ///     token.on_cancelled(move || waiting.unpark());
    ///     while !NEWS.load(Ordering::Acquire) && !token.is_cancelled() {
    ///         thread::park();
    ///     }
    ///     Response::text("news")
    /// });
    /// ```
    pub fn on_cancelled(&self, f: impl FnOnce() + Send + 'static) {
        let callback: Callback = Box::new(f);
        match &mut *self.callbacks() {
            Some(callbacks) => return callbacks.push(callback),
            None if self.is_cancelled() => {}
            None => return drop_caught(callback),
        }
        let _ = catch_panic(callback);
    }

    /// Cancels the token and its clones for good, for engines. Does nothing after
    /// [`release`](CancellationToken::release).
    pub fn cancel(&self) {
        let mut callbacks = self.callbacks();
        let Some(called) = callbacks.take() else { return };
        self.signal.cancelled.store(true, Ordering::Relaxed);
        drop(callbacks);
        for callback in called {
            let _ = catch_panic(callback);
        }
    }

    /// Makes later calls of [`cancel`](CancellationToken::cancel) do nothing, for engines that have taken the response.
    /// Drops the functions of [`on_cancelled`](CancellationToken::on_cancelled) without a call.
    pub fn release(&self) {
        let callbacks = self.callbacks().take();
        callbacks.into_iter().flatten().for_each(drop_caught);
    }

    /// Locks the functions to call. None of them runs, and none is dropped, under the lock.
    fn callbacks(&self) -> MutexGuard<'_, Option<Vec<Callback>>> {
        self.signal.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Signal {
    fn default() -> Signal {
        Signal { cancelled: AtomicBool::new(false), callbacks: Mutex::new(Some(Vec::new())) }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let callbacks = self.callbacks.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        callbacks.into_iter().flatten().for_each(drop_caught);
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::panic::PanicOnDrop;
    use std::sync::atomic::AtomicU32;

    /// Registers a function, applies `change`, registers another, and returns how many were called. Each panics, and so
    /// does its destructor.
    fn check(change: fn(&CancellationToken), expected: u32, is_cancelled: bool) {
        let (token, count) = (CancellationToken::default(), Arc::new(AtomicU32::new(0)));
        let register = || {
            let (count, bomb) = (Arc::clone(&count), PanicOnDrop(2));
            token.on_cancelled(move || {
                count.fetch_add(1, Ordering::Relaxed);
                drop(bomb);
            });
        };
        register();
        register();
        assert_eq!(count.load(Ordering::Relaxed), 0);
        change(&token.clone());
        register();
        assert_eq!((count.load(Ordering::Relaxed), token.is_cancelled()), (expected, is_cancelled));
        drop(token);
        assert_eq!(Arc::strong_count(&count), 1, "a function was not dropped");
    }

    #[test]
    fn calls_each_function_once_and_only_if_cancelled() {
        check(|_| (), 0, false);
        check(CancellationToken::cancel, 3, true);
        check(CancellationToken::release, 0, false);
        check(|token| (token.cancel(), token.cancel(), token.release()).0, 3, true);
        check(|token| (token.release(), token.cancel()).0, 0, false);
    }
}
