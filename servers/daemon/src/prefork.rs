//! Runs the workers as processes, and replaces worker processes that end.
//!
//! All workers accept from the same listeners, so that no connection in a listener's queue is lost when a worker ends.

use crate::handoff::{Child, Handoff, Message, Role};
use std::{
    io,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

/// A worker process that ends sooner than this after its start counts as failed: its replacement is delayed. If a
/// replacement cannot be started at all, the next attempt follows no sooner than this.
const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// The delay before a worker process is replaced if it ended within [`MIN_LIFETIME`]. Each further such end in a row
/// doubles the delay.
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
    /// Starts this number of worker processes, hands `handoff` to each, and waits until all of them serve.
    ///
    /// Fails if one of them does not serve: workers are replaced only after this start.
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
    /// the descriptors in `handoff`. Without waiting, returns the time at which the next replacement will be due, or
    /// `None` if all workers run.
    pub fn maintain(&mut self, handoff: Handoff<'_>) -> Option<Instant> {
        let now = Instant::now();
        self.slots.iter_mut().for_each(|slot| slot.maintain(handoff, now));
        self.slots.iter().filter(|slot| slot.worker.is_none()).map(|slot| slot.restart_at).min()
    }

    /// Sends a message to each worker. Failures are logged.
    pub fn broadcast(&self, message: &Message<BorrowedFd<'_>>) {
        for worker in self.workers() {
            if let Err(error) = worker.socket.send(message) {
                log::error!("cannot send a message to worker process {}: {error}", worker.pid());
            }
        }
    }

    /// Tells all workers to finish the requests in flight and end (SIGTERM). Does not wait for them.
    pub fn stop(&self) {
        self.workers().for_each(Child::terminate);
    }

    /// Whether all workers have ended.
    pub fn has_ended(&mut self) -> bool {
        let mut workers = self.slots.iter_mut().filter_map(|slot| slot.worker.as_mut());
        workers.all(|worker| worker.exit_status().is_some())
    }

    /// The worker processes that have not been reaped.
    fn workers(&self) -> impl Iterator<Item = &Child> {
        self.slots.iter().filter_map(|slot| slot.worker.as_ref())
    }
}

/// One worker of the pool: its process, or the time at which the replacement of its process is due.
#[derive(Debug)]
struct WorkerSlot {
    number: usize,
    /// `None` after the process has ended, until its replacement is started.
    worker: Option<Child>,
    /// When to start the replacement, if `worker` is `None`.
    restart_at: Instant,
    /// The delay of the latest replacement, which the next failure doubles. Zero at first, and again when a process
    /// ends that has run for at least [`MIN_LIFETIME`].
    backoff: Duration,
}

impl WorkerSlot {
    /// If the process has ended, logs its exit status and schedules its replacement. Starts the replacement if it is
    /// due at `now`, and schedules it again if that fails.
    fn maintain(&mut self, handoff: Handoff<'_>, now: Instant) {
        if let Some(worker) = &mut self.worker {
            let Some(status) = worker.exit_status() else { return };
            log::error!("worker {} (process {}) ended: {status}", self.number, worker.pid());
            let has_served = now.saturating_duration_since(worker.started_at) >= MIN_LIFETIME;
            let backoff = (self.backoff * 2).clamp(MIN_BACKOFF, MAX_BACKOFF);
            self.backoff = if has_served { Duration::ZERO } else { backoff };
            self.restart_at = now + self.backoff;
            self.worker = None;
        }
        if self.restart_at > now {
            return;
        }
        match Child::start(Role::Worker(self.number), handoff) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => {
                log::error!("cannot restart worker {}: {error}", self.number);
                self.backoff = (self.backoff * 2).clamp(MIN_LIFETIME, MAX_BACKOFF);
                self.restart_at = now + self.backoff;
            }
        }
    }
}
