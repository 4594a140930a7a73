//! The soak: well-behaved, slow, misbehaving and aborting clients use one server at the same time for minutes.
//!
//! A [`Soak`] says which server and for how long; running it gives a [`SoakResult`]. Three things must hold: every response
//! is right to the byte, whatever other clients do; after the last client has left, the server holds no more
//! descriptors, threads and memory than after a short warm-up with the same clients; and it stops at SIGTERM.
//!
//! ```text
//! documents                  the files that the server serves
//! connection                 one connection, with its responses checked
//! well_behaved  misbehaving  what clients of each kind do on a connection
//! clients                    how many clients of each kind, and how often
//! resources                  what the server's processes hold
//! result                     the result
//! ```

mod clients;
mod connection;
mod documents;
mod misbehaving;
mod resources;
mod result;
mod well_behaved;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::subject::process::Server;

pub use clients::ClientResults;
pub use resources::Resources;
pub use result::SoakResult;

/// The warm-up takes one part in this many of the time, and no longer than [`WARM_UP_MAX`].
const WARM_UP_SHARE: u32 = 4;

/// The longest warm-up. By its end clients of every kind have requested every file from every worker; memory that grows
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
    /// How long clients open connections. Connections that are open then may finish.
    pub time: Duration,
    /// How long the server may take to free the resources of closed connections: longer than its lingering close after
    /// an error, but shorter than any timeout for a silent client, so that a server fails if it frees a closed
    /// connection only by timeout.
    pub free_within: Duration,
}

impl Soak {
    /// Starts the server on temporary files, runs the clients twice, first as a warm-up, and observes what the server
    /// holds.
    ///
    /// # Errors
    ///
    /// If the server does not start, or the system lacks threads or disk space for the clients. Faults of the running
    /// server, even a crash, are in the result.
    pub fn run(&self) -> io::Result<SoakResult> {
        let scratch = tempfile::tempdir()?;
        let documents = documents::write(&scratch.path().join("root"))?;
        let mut command = Command::new(&self.program);
        command.args(["--port", "0"]).args(&self.arguments).arg(scratch.path().join("root"));
        let server = Server::announced(command, scratch.path())?;
        let pid = server.processes.pids().first().copied().unwrap_or_default();
        let mut clients = ClientResults::of_all_kinds();
        let mut run_clients = |time| clients::run(server.address, &documents, time, &mut clients);

        run_clients((self.time / WARM_UP_SHARE).min(WARM_UP_MAX))?;
        let mut faults = Vec::new();
        let mut held = |resources: io::Result<Resources>| {
            resources.unwrap_or_else(|error| {
                faults.push(format!("a process of the server has ended: {error}"));
                Resources::default()
            })
        };
        let before = held(resources::wait_until_settled(pid));
        let (ran, peak) = resources::peak_during(pid, || run_clients(self.time));
        ran?;
        let peak = held(peak);
        let after = held(resources::wait_until_freed(pid, &before, self.free_within));
        faults.dedup();
        faults.extend(after.excess(&before));
        faults.extend(server.stop().err().map(|error| format!("after SIGTERM: {error}")));
        Ok(SoakResult { clients, before, peak, after, faults })
    }
}
