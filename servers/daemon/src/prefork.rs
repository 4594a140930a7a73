//! Runs the workers as processes, and replaces those that end.
//!
//! All workers accept from the same listeners, so that no connection in a listener's queue is lost when a worker ends.

use crate::handoff::{Child, Handoff, Message, Role};
use std::{
    io,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

/// A worker that ended within this time failed to start, rather than while it served.
const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// The delay before a worker is restarted after an early end. It doubles with each further one.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The longest delay before a restart.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// The worker processes of a master. Dropping the pool kills those that still run.
#[derive(Debug)]
pub struct WorkerPool {
    slots: Vec<WorkerSlot>,
}

impl WorkerPool {
    /// Starts the workers and waits until all of them serve. Fails if one does not: only the replacements of workers
    /// that once served are retried.
    pub fn start(workers: usize, handoff: Handoff<'_>) -> io::Result<WorkerPool> {
        let start = |number| {
            let worker = Some(Child::start(Role::Worker(number), handoff)?);
            Ok(WorkerSlot { number, worker, restart_at: Instant::now(), backoff: Duration::ZERO })
        };
        let pool = WorkerPool { slots: (0..workers).map(start).collect::<io::Result<_>>()? };
        pool.workers().try_for_each(Child::wait_until_ready)?;
        Ok(pool)
    }

    /// Reaps the workers that have ended, and starts the replacements that are due. Returns when the next one is due.
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

    /// Tells all workers to finish the requests in flight and end.
    pub fn stop(&self) {
        self.workers().for_each(Child::terminate);
    }

    /// Whether all workers have ended.
    pub fn has_ended(&mut self) -> bool {
        let mut workers = self.slots.iter_mut().filter_map(|slot| slot.worker.as_mut());
        workers.all(|worker| worker.exit_status().is_some())
    }

    fn workers(&self) -> impl Iterator<Item = &Child> {
        self.slots.iter().filter_map(|slot| slot.worker.as_ref())
    }
}

/// A worker, or the time at which its replacement is due.
#[derive(Debug)]
struct WorkerSlot {
    number: usize,
    worker: Option<Child>,
    restart_at: Instant,
    backoff: Duration,
}

impl WorkerSlot {
    /// If the worker has ended, logs its exit status and starts its replacement, at once or when it is due.
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
