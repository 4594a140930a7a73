//! The soak: one server under a mixed crowd of clients for minutes, good, slow, broken and rude ones at once.
//!
//! A [`Soak`] says which server and for how long; running it gives a [`Verdict`]. Three things must hold: every answer
//! is right to the byte, whatever the neighbours do; once all have left, the server holds no more descriptors, threads
//! and memory than after a first, short visit of the same crowd; and it stops when it is asked to.
//!
//! # Rooms
//!
//! ```text
//! documents               what the server serves
//! talk                    one connection, judged reply by reply
//! civil  unruly           what clients do: those that deserve an answer, and those that do not
//! crowd                   how many of each kind, how often
//! vitals                  what the server's processes hold
//! verdict                 what came of it
//! ```

mod civil;
mod crowd;
mod documents;
mod talk;
mod unruly;
mod verdict;
mod vitals;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::lab::server::Server;
use crowd::Ground;

pub use crowd::Score;
pub use verdict::Verdict;
pub use vitals::Vitals;

/// The first visit takes this part of the time, and no longer than [`WARM_UP_MAX`].
const WARM_UP_SHARE: u32 = 4;

/// By then every worker has been asked for every file by clients of every kind. Memory that only grows later counts as
/// kept.
const WARM_UP_MAX: Duration = Duration::from_secs(15);

/// A server, and how long it shall stand.
#[derive(Clone, Debug)]
pub struct Soak {
    /// A program that understands `--port 0` and, last, the directory to serve; that prints where it listens; and that
    /// stops at SIGTERM with exit code 0.
    pub program: PathBuf,
    /// What it is told besides.
    pub arguments: Vec<OsString>,
    /// How long clients keep coming. Who is there at the end may finish.
    pub time: Duration,
}

impl Soak {
    /// Starts the server on files of its own, lets the crowd in twice, and watches.
    ///
    /// # Errors
    ///
    /// If the server does not start, or the system lacks threads or disk for the crowd. What the server does wrong once
    /// it runs, even if it dies, is in the verdict.
    pub fn run(&self) -> io::Result<Verdict> {
        let scratch = tempfile::tempdir()?;
        let documents = documents::write(&scratch.path().join("root"))?;
        let mut command = Command::new(&self.program);
        command.args(["--port", "0"]).args(&self.arguments).arg(scratch.path().join("root"));
        let server = Server::announced(command, scratch.path())?;
        let pid = server.processes.pids().first().copied().unwrap_or_default();
        let ground = Ground { server: server.address, documents: &documents };

        let mut verdict = Verdict { scores: crowd::visit(ground, self.warm_up())?, ..Verdict::default() };
        verdict.before = vitals::settle(pid).unwrap_or_else(|error| verdict.gone(&error));
        let (scores, peak) = watched(pid, || crowd::visit(ground, self.time));
        verdict.add(scores?);
        verdict.peak = peak.unwrap_or_else(|error| verdict.gone(&error));
        match vitals::await_return(pid, &verdict.before) {
            Ok(after) => {
                verdict.faults.extend(after.excess(&verdict.before));
                verdict.after = after;
            }
            Err(error) => verdict.after = verdict.gone(&error),
        }
        if let Err(error) = server.stop() {
            verdict.faults.push(format!("asked by SIGTERM, the server {error}"));
        }
        Ok(verdict)
    }

    fn warm_up(&self) -> Duration {
        (self.time / WARM_UP_SHARE).min(WARM_UP_MAX)
    }
}

/// What `visit` returns, and the most that the server held meanwhile.
fn watched<T>(pid: u32, visit: impl FnOnce() -> T) -> (T, io::Result<Vitals>) {
    thread::scope(|scope| {
        let (over, until) = channel();
        let watch = scope.spawn(move || vitals::peak(pid, &until));
        let visited = visit();
        drop(over);
        (visited, watch.join().unwrap_or_else(|_| Err(io::Error::other("the watch has failed"))))
    })
}
