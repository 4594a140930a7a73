//! Expires tasks: a thread that looks at the queues of all mounts of a document root while there are tasks.
//!
//! It must never make a call to a file system, and never wait for a thread that does.

use super::pool::Pool;
use http_core::io_cause;
use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The shortest time between two looks at the queues.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// The longest time between two looks at the queues.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// How many looks at the queues there are in a timeout: a task expires late by at most one interval between them.
const LOOKS_PER_TIMEOUT: u32 = 8;

/// The thread that expires tasks. It starts with the first task, and waits without a timer while there is none.
#[derive(Debug)]
pub(super) struct Monitor {
    /// How long a task may take.
    timeout: Duration,
    state: Mutex<MonitorState>,
    /// Wakes the thread.
    changed: Condvar,
    /// Whether the thread waits for a task, or was not started yet: then the next task must wake or start it.
    is_parked: AtomicBool,
}

#[derive(Debug, Default)]
struct MonitorState {
    pools: Vec<Weak<Pool>>,
    has_thread: bool,
    ends: bool,
}

impl Monitor {
    pub(super) fn new(timeout: Duration) -> Arc<Monitor> {
        Arc::new(Monitor {
            timeout,
            state: Mutex::default(),
            changed: Condvar::new(),
            is_parked: AtomicBool::new(true),
        })
    }

    /// Adds a mount, and forgets those that were dropped.
    pub(super) fn add(&self, pool: &Arc<Pool>) {
        let pools = &mut self.state().pools;
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// Wakes the thread if it waits for a task, or starts it. Call this after a task was queued.
    pub(super) fn wake(self: &Arc<Monitor>) {
        if !self.is_parked.load(Ordering::SeqCst) {
            return;
        }
        let mut state = self.state();
        self.is_parked.store(false, Ordering::SeqCst);
        if std::mem::replace(&mut state.has_thread, true) {
            return self.changed.notify_one();
        }
        let monitor = Arc::clone(self);
        let started = thread::Builder::new().name("file-timeouts".to_owned()).spawn(move || monitor.run());
        if let Err(error) = started {
            log::warn!("cannot limit the time of file-system calls: {}", io_cause(&error));
            // The next task tries again.
            state.has_thread = false;
            self.is_parked.store(true, Ordering::SeqCst);
        }
    }

    /// Makes the thread end whenever there is no task. Responses that are still sent may make more tasks.
    pub(super) fn end(&self) {
        self.state().ends = true;
        self.changed.notify_one();
    }

    fn run(&self) {
        let interval = (self.timeout / LOOKS_PER_TIMEOUT).clamp(MIN_INTERVAL, MAX_INTERVAL);
        let mut state = self.state();
        loop {
            let is_parked = |state: &mut MonitorState| !state.ends && self.is_parked.load(Ordering::SeqCst);
            state = self.changed.wait_while(state, is_parked).unwrap_or_else(PoisonError::into_inner);
            if self.is_parked.load(Ordering::SeqCst) {
                state.has_thread = false;
                return;
            }
            // Not at once after a task was queued: most tasks have ended after the interval.
            let wait = self.changed.wait_timeout(state, interval);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
            // Set before the look at the queues: a task that is queued after the look wakes the thread.
            self.is_parked.store(true, Ordering::SeqCst);
            let pools: Vec<_> = state.pools.iter().filter_map(Weak::upgrade).collect();
            drop(state);
            let before = Instant::now().checked_sub(self.timeout);
            let busy = pools.iter().filter(|pool| !pool.expire(before)).count();
            drop(pools);
            state = self.state();
            if busy > 0 {
                self.is_parked.store(false, Ordering::SeqCst);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, MonitorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Tasks, *};

    #[test]
    fn expires_tasks_and_waits_without_a_timer_while_there_is_none() {
        let monitor = Monitor::new(Duration::from_millis(20));
        let pool = Arc::new(Pool::new("test".to_owned(), Arc::clone(&monitor)));
        monitor.add(&pool);
        let tasks = Tasks::new();
        for _ in 0..3 {
            let (task, gate) = tasks.hanging("hanging");
            assert!(pool.submit(None.into(), task).is_ok());
            tasks.wait_for("hanging expires");
            // No task is left that can expire, so that the thread will wait for one.
            assert!(monitor.is_parked.load(Ordering::SeqCst));
            drop(gate);
            tasks.wait_for("hanging ends");
        }
        pool.close();
        monitor.end();
        tasks.check_threads_end();
    }

    /// A response that was begun before a reload still reads.
    #[test]
    fn expires_tasks_after_the_document_root_was_dropped() {
        let monitor = Monitor::new(Duration::from_millis(20));
        let pool = Arc::new(Pool::new("test".to_owned(), Arc::clone(&monitor)));
        monitor.add(&pool);
        pool.close();
        monitor.end();
        let tasks = Tasks::new();
        for _ in 0..2 {
            let (task, gate) = tasks.hanging("hanging");
            assert!(pool.submit(None.into(), task).is_ok());
            tasks.wait_for("hanging expires");
            drop(gate);
            tasks.wait_for("hanging ends");
        }
        tasks.check_threads_end();
    }
}
