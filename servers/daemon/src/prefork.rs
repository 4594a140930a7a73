//! Runs the workers as processes, and replaces worker processes that end.
//!
//! All workers accept from the same listeners, so that no connection in a listener's queue is lost when a worker ends.

use crate::{
    admin::{Report, WorkerReport},
    handoff::{Child, Handoff, Message, Role},
};
use http_engine::io_cause;
use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

/// The replacement of a worker process is delayed if the process ended sooner than this after its start. Also the
/// minimum delay until the next attempt if a replacement cannot be started.
const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// The delay before a worker process that ended within [`MIN_LIFETIME`] is replaced. Doubles each time that the
/// replacement ends within that time too, up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The longest delay before a worker process is replaced.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// The worker processes of a master. Dropping the pool kills those that still run.
#[derive(Debug)]
pub struct WorkerPool {
    /// One slot for each worker number, from 0.
    slots: Vec<WorkerSlot>,
}

impl WorkerPool {
    /// Starts `workers` worker processes, sends the descriptors in `handoff` to each, and waits until all of them
    /// accept connections. If one of them does not, kills all of them and fails.
    pub fn start(workers: usize, handoff: Handoff<'_>) -> io::Result<WorkerPool> {
        let start = |number| {
            let worker = Some(Child::start(Role::Worker(number), handoff)?);
            Ok(WorkerSlot { number, worker, restart_at: Instant::now(), backoff: Duration::ZERO })
        };
        let pool = WorkerPool { slots: (0..workers).map(start).collect::<io::Result<_>>()? };
        pool.workers().try_for_each(Child::wait_until_ready)?;
        Ok(pool)
    }

    /// Reaps the worker processes that have ended, and starts the replacements that are due. Each replacement receives
    /// the descriptors in `handoff`. Returns when the next replacement is due, or `None` if all workers run. Does not
    /// wait for that time.
    pub fn maintain(&mut self, handoff: Handoff<'_>) -> Option<Instant> {
        let now = Instant::now();
        self.slots.iter_mut().for_each(|slot| slot.maintain(handoff, now));
        self.slots.iter().filter(|slot| slot.worker.is_none()).map(|slot| slot.restart_at).min()
    }

    /// Sends a message to each worker process. A failure is logged.
    pub fn broadcast(&self, message: &Message<BorrowedFd<'_>>) {
        for worker in self.workers() {
            if let Err(error) = worker.socket.send(message) {
                log::error!("cannot send a message to worker process {}: {}", worker.pid(), io_cause(&error));
            }
        }
    }

    /// Asks each worker process for its report, and returns where the reports will come from. A process that cannot be
    /// asked is left out.
    pub fn reports(&self) -> Vec<WorkerReport> {
        let ask = |slot: &WorkerSlot| {
            let worker = slot.worker.as_ref()?;
            let (ours, theirs) = UnixStream::pair().ok()?;
            worker.socket.send(&Message::SendMetrics(theirs.as_fd())).ok()?;
            let report = Report {
                process: Some(slot.number),
                pid: worker.pid(),
                started_at: worker.started_on,
                workers: Vec::new(),
                lost_log_lines: 0,
                certificates: Vec::new(),
            };
            Some(WorkerReport::Pending(report, ours))
        };
        self.slots.iter().filter_map(ask).collect()
    }

    /// Tells all workers to finish the requests in flight and end (SIGTERM). Does not wait for them.
    pub fn stop(&self) {
        self.workers().for_each(Child::terminate);
    }

    /// Whether all worker processes have ended.
    pub fn has_ended(&mut self) -> bool {
        let mut workers = self.slots.iter_mut().filter_map(|slot| slot.worker.as_mut());
        workers.all(|worker| worker.exit_status().is_some())
    }

    /// The worker processes that run, or have ended since the last call of [`maintain`](WorkerPool::maintain).
    fn workers(&self) -> impl Iterator<Item = &Child> {
        self.slots.iter().filter_map(|slot| slot.worker.as_ref())
    }
}

/// The worker process with one number, or the time at which to replace it.
#[derive(Debug)]
struct WorkerSlot {
    number: usize,
    /// `None` after the process has ended, until its replacement is started.
    worker: Option<Child>,
    /// When to start the replacement. Meaningless while there is a `worker`.
    restart_at: Instant,
    /// The delay of the latest replacement. The next failure doubles it. Zero if there was none, or if the replaced
    /// process had run for at least [`MIN_LIFETIME`].
    backoff: Duration,
}

impl WorkerSlot {
    /// If the worker process has ended, logs its exit status and schedules its replacement. If a replacement is due at
    /// `now`, starts it and sends `handoff` to it. If the start fails, logs the error and schedules the next attempt.
    fn maintain(&mut self, handoff: Handoff<'_>, now: Instant) {
        if let Some(worker) = &mut self.worker {
            let Some(status) = worker.exit_status() else { return };
            log::error!("worker {} (process {}) ended: {status}", self.number, worker.pid());
            let has_served = now.saturating_duration_since(worker.started_at) >= MIN_LIFETIME;
            self.backoff = if has_served { Duration::ZERO } else { doubled(self.backoff, MIN_BACKOFF) };
            self.restart_at = now + self.backoff;
            self.worker = None;
        }
        if self.restart_at > now {
            return;
        }
        match Child::start(Role::Worker(self.number), handoff) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => {
                log::error!("cannot restart worker {}: {}", self.number, io_cause(&error));
                self.backoff = doubled(self.backoff, MIN_LIFETIME);
                self.restart_at = now + self.backoff;
            }
        }
    }
}

/// Returns the delay after one more failure: at least `min`, and at most [`MAX_BACKOFF`].
fn doubled(backoff: Duration, min: Duration) -> Duration {
    (backoff * 2).clamp(min, MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_delay() {
        let mut backoff = Duration::ZERO;
        for factor in [1, 2, 4, 8] {
            backoff = doubled(backoff, MIN_BACKOFF);
            assert_eq!(backoff, MIN_BACKOFF * factor);
        }
        assert_eq!(doubled(MAX_BACKOFF, MIN_BACKOFF), MAX_BACKOFF);
    }
}
