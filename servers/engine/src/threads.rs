//! The threads of a server: starts them, and waits until all of them have ended.
//!
//! Every thread of an engine is started here. It must never run application code while it holds its lock.

use crate::shutdown::Shutdown;
use http_core::{catch_panic, io_cause};
use nix::sys::signal::{SigSet, Signal};
use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long [`Threads::wait`] waits after the grace period for threads that are in application code: a thread ends when
/// the code returns, and cannot be interrupted. Sockets are shut down by then, so that a thread of the engine itself
/// ends at once.
pub(crate) const LAST_WAIT: Duration = Duration::from_millis(500);

/// The maximum number of failures that are kept for [`Threads::wait`]. Each of them is logged.
const MAX_FAILURES: usize = 64;

/// The threads of one server.
#[derive(Debug)]
pub(crate) struct Threads {
    /// The stack size of each thread in bytes.
    stack_size: usize,
    shutdown: Arc<Shutdown>,
    table: Mutex<ThreadTable>,
    /// Wakes [`wait`](Threads::wait) when a thread has ended or the shutdown has begun.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ThreadTable {
    /// The running threads by number.
    running: HashMap<u64, JoinHandle<()>>,
    /// The number of the thread that was started last; 0 before the first.
    last: u64,
    /// The thread that has ended last. It returns from its function after this, so the next thread that ends, or
    /// [`Threads::wait`], joins it.
    ended: Option<JoinHandle<()>>,
    /// Why threads have failed, for [`Threads::wait`].
    failures: VecDeque<io::Error>,
}

impl Threads {
    /// Creates the list of threads of a server; it is empty. `stack_size` is the size of each thread's stack in bytes.
    pub(crate) fn new(stack_size: usize, shutdown: &Arc<Shutdown>) -> Arc<Threads> {
        Arc::new(Threads {
            stack_size,
            shutdown: Arc::clone(shutdown),
            table: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Starts a thread that calls `run`. If `run` panics or returns an error, logs that, and [`wait`](Threads::wait)
    /// returns it.
    ///
    /// SIGPIPE is blocked in the thread: sendfile(2) to a closed connection raises it, whatever the flags of the
    /// socket, and its default action ends the process. (The standard library unblocks all signals in child processes.)
    ///
    /// # Errors
    ///
    /// The kernel starts no more threads, or has no memory for the stack.
    pub(crate) fn spawn(
        self: &Arc<Threads>,
        name: &str,
        run: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let threads = Arc::clone(self);
        // While the lock is held, the thread cannot end, so that it finds its handle in the table.
        let mut table = self.table();
        let number = table.last + 1;
        let body = move || {
            block_sigpipe();
            let outcome = catch_panic(run).unwrap_or_else(|_| Err(io::Error::other("it panicked")));
            threads.end(number, outcome);
        };
        let started = thread::Builder::new().name(name.to_owned()).stack_size(self.stack_size).spawn(body);
        let started = started.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot start the thread {name}: {}", io_cause(&error)))
        })?;
        table.last = number;
        table.running.insert(number, started);
        Ok(())
    }

    /// Wakes [`wait`](Threads::wait). Call this when the shutdown has begun.
    pub(crate) fn notify(&self) {
        let _table = self.table();
        self.changed.notify_all();
    }

    /// Waits until all threads have ended, and joins them. After the grace period of a shutdown, waits only for
    /// [`LAST_WAIT`] more, and logs how many threads have not ended.
    ///
    /// # Errors
    ///
    /// A thread has failed. The others may continue: each call returns one failure, the earliest first.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let mut table = self.table();
        loop {
            if let Some(failure) = table.failures.pop_front() {
                return Err(failure);
            }
            if table.running.is_empty() {
                let last = table.ended.take();
                drop(table);
                // A thread that has failed is in `failures`.
                let _ = last.map(JoinHandle::join);
                return Ok(());
            }
            let left = |end: Instant| (end + LAST_WAIT).saturating_duration_since(Instant::now());
            table = match self.shutdown.deadline().map(left) {
                None => self.changed.wait(table).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    log::warn!(
                        "the grace period is over, and {} threads are still in application code; they end when it returns",
                        table.running.len()
                    );
                    return Ok(());
                }
                Some(left) => {
                    self.changed.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Notes that the calling thread is about to end, and joins the thread that has ended before it.
    #[inline(never)]
    fn end(&self, number: u64, outcome: io::Result<()>) {
        let failure = outcome.err().map(|error| {
            let name = thread::current().name().unwrap_or_default().to_owned();
            io::Error::new(error.kind(), format!("the thread {name} has ended: {}", io_cause(&error)))
        });
        if let Some(failure) = &failure {
            log::error!("{failure}");
        }
        let mut table = self.table();
        if table.failures.len() < MAX_FAILURES {
            table.failures.extend(failure);
        }
        let own = table.running.remove(&number);
        let previous = std::mem::replace(&mut table.ended, own);
        self.changed.notify_all();
        drop(table);
        let _ = previous.map(JoinHandle::join);
    }

    /// Locks the table. This works even if a thread has panicked while it held the lock.
    fn table(&self) -> MutexGuard<'_, ThreadTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Blocks SIGPIPE in the calling thread. A signal that a blocked thread raises for itself stays pending and does
/// nothing.
// Not inlined: the set of signals would take stack of each thread as long as the thread runs.
#[inline(never)]
fn block_sigpipe() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGPIPE);
    // pthread_sigmask(3) fails only for an invalid operation.
    let _ = signals.thread_block();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn threads() -> Arc<Threads> {
        Threads::new(256 * 1024, &Arc::new(Shutdown::new().expect("a descriptor")))
    }

    fn start(threads: &Arc<Threads>, run: impl FnOnce() -> io::Result<()> + Send + 'static) {
        threads.spawn("test", run).expect("a thread");
    }

    #[test]
    fn wait_reports_each_failure_and_then_the_end() {
        let threads = threads();
        let (release, released) = channel::<()>();
        start(&threads, || Err(io::Error::other("no events")));
        let failure = threads.wait().expect_err("a failure").to_string();
        assert_eq!(failure, "the thread test has ended: no events");
        start(&threads, || panic!("this is part of the test"));
        let failure = threads.wait().expect_err("a failure").to_string();
        assert_eq!(failure, "the thread test has ended: it panicked");
        start(&threads, move || {
            let _ = released.recv();
            Ok(())
        });
        drop(release);
        assert!(threads.wait().is_ok());
        assert!(threads.table().running.is_empty() && threads.table().ended.is_none());
    }
}
