//! Starts the driver threads, reports their progress, and adds up their results.

use std::io::{self, Error};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::plan::Load;
use super::schedule::Schedule;
use super::stats::Stats;
use super::worker::{Counts, Worker};

/// The time between two calls of the function that receives the [`Progress`].
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How many descriptors a load may need beside its connections: those that are open already, and a few per thread.
const SPARE_DESCRIPTORS: u64 = 64;

/// How far a running load has come. Each thread updates its counts before it waits for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of requests with a right response so far.
    pub requests: u64,
    /// The number of failed requests so far.
    pub errors: u64,
    /// Time since the start of the load.
    pub elapsed: Duration,
}

/// Runs a load, and returns its result. Calls `watch` a few times a second on the calling thread, which does nothing
/// else.
///
/// Failed requests are counted in the result; they are not errors.
///
/// # Errors
///
/// If the load is invalid (no request, connection or thread, pipelining without keep-alive, a rate or a timeout that is
/// not positive), or if the system lacks threads or descriptors for it.
pub fn run(load: &Load, watch: &(dyn Fn(Progress) + Sync)) -> io::Result<Stats> {
    run_and_inspect(load, watch, || ()).map(|(stats, ())| stats)
}

/// Runs a load like [`run`], but calls `inspect` after the last response, while the connections are still open: to
/// measure what they cost the server, or what its threads have used.
///
/// # Errors
///
/// As for [`run`].
pub fn run_and_inspect<T>(
    load: &Load,
    watch: &(dyn Fn(Progress) + Sync),
    inspect: impl FnOnce() -> T,
) -> io::Result<(Stats, T)> {
    load.check()?;
    allow_descriptors(load.connections as u64 + SPARE_DESCRIPTORS)?;
    let threads = load.threads.min(load.connections);
    let (start, taken, counts) = (Instant::now(), AtomicU64::new(0), Counts::default());
    thread::scope(|scope| {
        let (sender, results) = channel();
        for index in 0..threads {
            let schedule = Schedule::new(load, start, &taken, index, threads);
            // The first threads take the remainder.
            let connections = load.connections / threads + usize::from(index < load.connections % threads);
            let (sender, counts) = (sender.clone(), &counts);
            thread::Builder::new().name(format!("load-{index}")).spawn_scoped(scope, move || {
                let worker = Worker::new(load, schedule, counts, connections);
                let result = worker.and_then(|mut worker| Ok((worker.run(start)?, worker)));
                // The receiver is gone only if another thread has already failed.
                drop(sender.send(result));
            })?;
        }
        drop(sender);
        let mut sum = Stats::default();
        // The connections stay open until the workers are dropped.
        let mut workers = Vec::with_capacity(threads);
        loop {
            match results.recv_timeout(PROGRESS_INTERVAL) {
                Ok(result) => {
                    let (stats, worker) = result?;
                    sum.merge(&stats);
                    workers.push(worker);
                }
                Err(RecvTimeoutError::Timeout) => watch(Progress {
                    requests: counts.requests.load(Ordering::Relaxed),
                    errors: counts.errors.load(Ordering::Relaxed),
                    elapsed: start.elapsed(),
                }),
                Err(RecvTimeoutError::Disconnected) => return Ok((sum, inspect())),
            }
        }
    })
}

/// Raises the soft limit on open files to `count` if it is lower. Fails if the hard limit is lower than `count`.
fn allow_descriptors(count: u64) -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    if let Some(maximum) = maximum.filter(|maximum| *maximum < count) {
        let message = format!(
            "cannot open {count} files: the hard limit is {maximum} (raise it with ulimit -Hn, or use fewer connections)"
        );
        return Err(Error::other(message));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum })?;
    Ok(())
}
