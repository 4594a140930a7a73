//! Starts the threads, watches them, and adds up what they bring home.

use std::io::{self, Error, ErrorKind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::agenda::{Agenda, Outset};
use super::plan::Load;
use super::tally::Tally;
use super::worker::{Counts, Worker};

/// From one report of progress to the next.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Descriptors for everything but the connections: what the process has open, and a few for each thread.
const DESCRIPTORS: u64 = 64;

/// How far a load is, as the threads last told it: each does whenever it has gone as far as it can without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Requests that were answered rightly.
    pub requests: u64,
    /// Requests that were not.
    pub errors: u64,
    /// Since the start.
    pub elapsed: Duration,
}

/// Carries a load out. `watch` is called a few times a second on the calling thread, which does nothing else.
///
/// Whatever goes wrong with a request is counted, not returned.
///
/// # Errors
///
/// When the load makes no sense (nothing to ask, no connection or thread, pipelining without keep-alive, a rate or a
/// timeout that is not positive), or the system lacks threads or descriptors for it.
pub fn run(load: &Load, watch: &(dyn Fn(Progress) + Sync)) -> io::Result<Tally> {
    run_and_look(load, watch, || ()).map(|(tally, ())| tally)
}

/// As [`run`], and calls `look` when all is over but the connections still stand: to see what they cost the server, or
/// what the threads that serve them have used.
///
/// # Errors
///
/// Those of [`run`].
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
            // The first ones take what cannot be shared out evenly.
            let connections = load.connections / threads + usize::from(index < load.connections % threads);
            let (outbox, counts, start) = (outbox.clone(), &counts, outset.start);
            thread::Builder::new().name(format!("load-{index}")).spawn_scoped(scope, move || {
                let worker = Worker::new(load, agenda, counts, connections);
                let done = worker.and_then(|mut worker| Ok((worker.run(start)?, worker)));
                // Nobody is there to hear only when another thread has failed already.
                drop(outbox.send(done));
            })?;
        }
        drop(outbox);
        let mut sum = Tally::default();
        // Their connections stand as long as they do.
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

/// What is wrong with a load, if anything.
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

/// Raises the limit on open files as far as that is needed and allowed.
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
