//! Starts the driver threads, reports their progress, and adds up their tallies.

use std::io::{self, Error, ErrorKind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::schedule::{Agenda, Outset};
use super::plan::Load;
use super::stats::Tally;
use super::worker::{Counts, Worker};

/// The time between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Descriptors for everything but the connections: those that the process has open, and a few for each thread.
const DESCRIPTORS: u64 = 64;

/// How far a load has come. Each thread updates its counts before it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Requests with a right answer.
    pub requests: u64,
    /// Failed requests.
    pub errors: u64,
    /// Time since the start.
    pub elapsed: Duration,
}

/// Runs a load. Calls `watch` a few times a second on the calling thread, which does nothing else.
///
/// Failed requests are counted in the tally; they are not errors.
///
/// # Errors
///
/// If the load is invalid (nothing to ask, no connection or thread, pipelining without keep-alive, a rate or a timeout
/// that is not positive), or if the system lacks threads or descriptors for it.
pub fn run(load: &Load, watch: &(dyn Fn(Progress) + Sync)) -> io::Result<Tally> {
    run_and_look(load, watch, || ()).map(|(tally, ())| tally)
}

/// Like [`run`], but calls `look` after the last answer, while the connections are still open: to measure what they
/// cost the server, or what its threads have used.
///
/// # Errors
///
/// As for [`run`].
pub fn run_and_look<T>(
    load: &Load,
    watch: &(dyn Fn(Progress) + Sync),
    look: impl FnOnce() -> T,
) -> io::Result<(Tally, T)> {
    check(load).map_err(|why| Error::new(ErrorKind::InvalidInput, why))?;
    allow_descriptors(load.connections as u64 + DESCRIPTORS)?;
    let threads = load.threads.min(load.connections);
    let (outset, counts) = (Outset::now(), Counts::default());
    thread::scope(|scope| {
        let (outbox, inbox) = channel();
        for index in 0..threads {
            let agenda = Agenda::new(load, &outset, index, threads);
            // The first threads take the remainder.
            let connections = load.connections / threads + usize::from(index < load.connections % threads);
            let (outbox, counts, start) = (outbox.clone(), &counts, outset.start);
            thread::Builder::new().name(format!("load-{index}")).spawn_scoped(scope, move || {
                let worker = Worker::new(load, agenda, counts, connections);
                let done = worker.and_then(|mut worker| Ok((worker.run(start)?, worker)));
                // The receiver is gone only if another thread has already failed.
                drop(outbox.send(done));
            })?;
        }
        drop(outbox);
        let mut sum = Tally::default();
        // The connections stay open until the workers are dropped.
        let mut workers = Vec::with_capacity(threads);
        loop {
            match inbox.recv_timeout(PROGRESS_EVERY) {
                Ok(done) => {
                    let (tally, worker) = done?;
                    sum.merge(&tally);
                    workers.push(worker);
                }
                Err(RecvTimeoutError::Timeout) => watch(Progress {
                    requests: counts.requests.load(Ordering::Relaxed),
                    errors: counts.errors.load(Ordering::Relaxed),
                    elapsed: outset.start.elapsed(),
                }),
                Err(RecvTimeoutError::Disconnected) => return Ok((sum, look())),
            }
        }
    })
}

/// Checks that a load is valid.
fn check(load: &Load) -> Result<(), &'static str> {
    if load.asks.is_empty() || load.asks.iter().any(|ask| ask.bytes.is_empty()) {
        return Err("nothing to ask");
    }
    if load.connections == 0 || load.threads == 0 {
        return Err("no connection, or no thread");
    }
    if load.pipeline == 0 || (load.pipeline > 1 && !load.keep_alive) {
        return Err("requests can only be sent together on a connection that is kept alive");
    }
    if load.timeout.is_zero() || load.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        return Err("a rate or a timeout that is not positive");
    }
    Ok(())
}

/// Raises the limit on open files if necessary, as far as the hard limit allows.
fn allow_descriptors(count: u64) -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < count) {
        let why = format!("{count} open files are needed, and {} allowed", maximum.unwrap_or_default());
        return Err(Error::other(why));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum })?;
    Ok(())
}
