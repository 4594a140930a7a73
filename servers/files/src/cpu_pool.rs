//! Threads for work that takes long on a CPU: compressing documents and formatting listings. There is at most one
//! thread for each CPU. These threads never serve connections.
//!
//! A job must not wait for a disk or a client.

use http_core::catch_panic;
use std::{
    collections::VecDeque,
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long a thread waits for a job before it ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a thread does.
type Job = Box<dyn FnOnce() + Send>;

/// The threads and their queue. Clones share them.
#[derive(Clone, Default)]
pub(super) struct CpuPool(Arc<SharedJobs>);

/// What the handles of a pool share with its threads.
#[derive(Default)]
struct SharedJobs {
    state: Mutex<JobQueue>,
    /// Wakes a thread for a job.
    changed: Condvar,
}

#[derive(Default)]
struct JobQueue {
    jobs: VecDeque<Job>,
    threads: usize,
    /// The number of threads that wait for a job.
    idle: usize,
}

impl CpuPool {
    /// Queues a job, and starts a thread if none is idle.
    ///
    /// # Errors
    ///
    /// If there is no thread, and the system starts none.
    pub(super) fn submit(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut state = self.0.state();
        if state.jobs.len() >= state.idle && state.threads < max_threads() {
            let shared = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("cpu-pool".to_owned()).spawn(move || shared.run());
            if let (0, Err(error)) = (state.threads, &thread) {
                return Err(error.kind().into());
            }
            state.threads += usize::from(thread.is_ok());
        }
        state.jobs.push_back(Box::new(job));
        self.0.changed.notify_one();
        Ok(())
    }

    /// Occupies all threads until the senders are dropped: later jobs stay in the queue.
    #[cfg(test)]
    pub(super) fn occupy(&self) -> Vec<std::sync::mpsc::Sender<()>> {
        let occupy = |_| {
            let (gate, dropped) = std::sync::mpsc::channel();
            self.submit(move || _ = dropped.recv()).expect("a thread");
            gate
        };
        (0..max_threads()).map(occupy).collect()
    }
}

impl SharedJobs {
    /// The loop of a thread: runs jobs, until none comes for [`IDLE_TIMEOUT`].
    fn run(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                let _ = catch_panic(job);
                state = self.state();
                continue;
            }
            state.idle += 1;
            let (locked, timeout) =
                self.changed.wait_timeout(state, IDLE_TIMEOUT).unwrap_or_else(PoisonError::into_inner);
            state = locked;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    /// Locks the queue. It is valid at all times, so a panic of another thread that held the lock is ignored.
    fn state(&self) -> MutexGuard<'_, JobQueue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CpuPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuPool").finish_non_exhaustive()
    }
}

fn max_threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn each_processor_runs_a_job() {
        let (pool, processors) = (CpuPool::default(), thread::available_parallelism().map_or(1, usize::from));
        let (started, starts) = channel();
        let gates: Vec<_> = (0..processors)
            .map(|_| {
                let (started, (gate, dropped)) = (started.clone(), channel::<()>());
                pool.submit(move || _ = (started.send(()), dropped.recv())).expect("a thread");
                gate
            })
            .collect();
        for _ in 0..processors {
            starts.recv_timeout(Duration::from_secs(30)).expect("a thread of its own");
        }
        drop(gates);
    }
}
