//! The soak: good, slow, broken and aborting clients use one server at the same time for minutes.
//!
//! A [`Soak`] says which server and for how long; running it gives a [`Verdict`]. Three things must hold: every answer
//! is right to the byte, whatever other clients do; after the last client has left, the server holds no more
//! descriptors, threads and memory than after a first, short run of the same clients; and it stops at SIGTERM.
//!
//! # Modules
//!
//! ```text
//! documents               what the server serves
//! talk                    one connection, checked reply by reply
//! civil  unruly           the behaviour of well-behaved and of misbehaving clients
//! crowd                   how many clients of each kind, how often
//! vitals                  what the server's processes hold
//! verdict                 the result
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

/// The first visit takes one part in this many of the time, and no longer than [`WARM_UP_MAX`].
const WARM_UP_SHARE: u32 = 4;

/// The longest first visit. By then clients of every kind have asked every worker for every file; memory that grows
/// later counts as a leak.
const WARM_UP_MAX: Duration = Duration::from_secs(15);

/// A server to soak, and for how long.
#[derive(Clone, Debug)]
pub struct Soak {
    /// A program that accepts `--port 0` and, as the last argument, the directory to serve; that prints its address;
    /// and that exits at SIGTERM with code 0.
    pub program: PathBuf,
    /// Further arguments for the program.
    pub arguments: Vec<OsString>,
    /// How long clients start conversations. Conversations in progress may then finish.
    pub time: Duration,
}

impl Soak {
    /// Starts the server on temporary files, runs the clients twice, and watches what the server holds.
    ///
    /// # Errors
    ///
    /// If the server does not start, or the system lacks threads or disk space for the clients. Faults of the running
    /// server, even a crash, are in the verdict.
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

/// Runs `visit`, and returns its result with the most that the server held during it.
fn watched<T>(pid: u32, visit: impl FnOnce() -> T) -> (T, io::Result<Vitals>) {
    thread::scope(|scope| {
        let (over, until) = channel();
        let watch = scope.spawn(move || vitals::peak(pid, &until));
        let visited = visit();
        drop(over);
        (visited, watch.join().unwrap_or_else(|_| Err(io::Error::other("the watch has failed"))))
    })
}
