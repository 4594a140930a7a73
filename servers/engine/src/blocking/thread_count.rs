//! Counts the threads of the blocking engine, so that one always waits for a connection.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a thread that has accepted a connection waits for another to return from its connection, if no other waits
/// and no more may be started. Threads whose connections are being closed for new ones return at once.
const RETURN_TIMEOUT: Duration = Duration::from_millis(250);
/// How often such a thread looks whether another has returned.
const RETURN_INTERVAL: Duration = Duration::from_millis(1);

/// The maximum number of spare threads: those that wait for connections in addition to the configured number
/// ([`Settings::workers`](crate::Settings::workers)). A spare thread ends if no connection comes for a while.
const SPARE_THREADS: usize = 16;

/// The number of threads of an engine.
#[derive(Debug)]
pub(super) struct ThreadCount {
    /// The number of threads that wait for a connection now.
    waiting: AtomicUsize,
    /// The number of threads that wait for connections or serve them.
    serving: AtomicUsize,
    /// The number of threads that always wait for connections.
    wanted: usize,
    /// The maximum number of threads.
    max: usize,
}

impl ThreadCount {
    /// No threads. `wanted` of them are to wait for connections, and no more than `max` may be started.
    pub(super) fn new(wanted: usize, max: usize) -> ThreadCount {
        ThreadCount { waiting: AtomicUsize::new(0), serving: AtomicUsize::new(0), wanted, max }
    }

    /// Counts a new thread, which waits for connections. Returns its number. Call this before the thread runs, so that
    /// no other thread starts one more meanwhile.
    pub(super) fn add(&self) -> usize {
        let number = self.serving.fetch_add(1, Ordering::SeqCst);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        number
    }

    /// No longer counts a thread that has stopped to wait.
    pub(super) fn remove(&self) {
        self.serving.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether no thread waits for a connection.
    pub(super) fn none_waits(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// Whether all threads have ended.
    pub(super) fn is_empty(&self) -> bool {
        self.serving.load(Ordering::SeqCst) == 0
    }

    /// Whether more threads wait for a connection than are wanted.
    pub(super) fn has_spare(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > self.wanted
    }

    /// Counts this thread as waiting for a connection.
    pub(super) fn wait(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// No longer counts this thread as waiting for a connection.
    pub(super) fn stop_waiting(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Counts this thread as waiting for a connection, and returns true. If enough threads wait already (those that are
    /// wanted and [`SPARE_THREADS`] more), counts nothing and returns false: the thread must end.
    pub(super) fn wait_again(&self) -> bool {
        // Compare and count in one atomic step. If this thread were counted first and then ended, another thread could
        // accept a connection meanwhile, and start no thread because it saw this one waiting.
        let one_more = |waiting: usize| (waiting < self.wanted + SPARE_THREADS).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// If more threads wait for connections than are wanted, no longer counts this thread as waiting, and returns true:
    /// the thread must end. Otherwise changes nothing and returns false: the thread must wait again.
    pub(super) fn stop_waiting_if_spare(&self) -> bool {
        let one_less = |waiting: usize| (waiting > self.wanted).then(|| waiting - 1);
        self.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }

    /// No longer counts this thread as waiting for a connection, and returns true. If no other thread waits, calls
    /// `start` to start one, or if there are enough, waits until one returns from its connection. If that is
    /// impossible, changes nothing and returns false.
    pub(super) fn leave_to_another(&self, start: impl Fn() -> bool) -> bool {
        let mut end = None;
        loop {
            if self.waiting.fetch_sub(1, Ordering::SeqCst) > 1 {
                return true;
            }
            let may_start = self.serving.load(Ordering::SeqCst) < self.max;
            if may_start && start() {
                return true;
            }
            self.wait();
            if may_start || *end.get_or_insert_with(|| Instant::now() + RETURN_TIMEOUT) <= Instant::now() {
                return false;
            }
            thread::sleep(RETURN_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_waits_again_unless_enough_wait() {
        let count = ThreadCount::new(2, usize::MAX);
        let waiting = (0..100).take_while(|_| count.wait_again()).count();
        assert_eq!(waiting, 2 + SPARE_THREADS);
        let ended = (0..100).take_while(|_| count.stop_waiting_if_spare()).count();
        assert_eq!(ended, SPARE_THREADS);
    }
}
