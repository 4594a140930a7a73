//! The soak: well-behaved, slow, misbehaving and aborting clients use one server at the same time for minutes.
//!
//! A [`Soak`] says which server and for how long; running it gives a [`SoakResult`]. Three things must hold: every
//! response is right to the byte, whatever other clients do; after the last client has left, the server holds hardly more
//! descriptors, threads and memory than after a warm-up with the same clients ([`Resources`] has the tolerances); and it
//! stops at SIGTERM.
//!
//! The `documents` are the files that the server serves; `clients` is the table of clients; `tunnel` connects them to a
//! server with TLS; `operator` publishes versions of the site meanwhile; `resources` reads what the server's processes
//! hold.

mod clients;
mod documents;
mod operator;
mod resources;
mod tunnel;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use serde::Serialize;

use crate::subject::configuration::write_certificate;
use crate::subject::process::Server;

pub use clients::ClientResults;
pub use operator::Operations;
use operator::Site;
pub use resources::Resources;
use tunnel::Tunnel;

/// The time of the soak, divided by this, is the time of the warm-up, but no longer than [`WARM_UP_MAX`].
const WARM_UP_SHARE: u32 = 2;

/// The longest warm-up. By its end clients of every kind have requested every file from every worker, and the gaps
/// between allocations grow slowly; memory that grows later counts as a leak.
const WARM_UP_MAX: Duration = Duration::from_secs(60);

/// A soak: which server to run many kinds of clients against, and for how long.
#[derive(Clone, Debug)]
pub struct Soak {
    /// A program that accepts `--port 0` and, as the last argument, the directory to serve; that prints its address;
    /// and that exits at SIGTERM with code 0.
    pub program: PathBuf,
    /// Further arguments for the program, before the directory.
    pub arguments: Vec<OsString>,
    /// Whether an operator publishes versions of the site meanwhile, and makes the server reload with SIGHUP.
    pub reload: bool,
    /// A program that mounts file systems that never answer on the directories given as its arguments, prints a line,
    /// and unmounts them when its standard input ends. Clients then request files of these file systems.
    pub dead_mount: Option<PathBuf>,
    /// Whether the server uses TLS: the program then also accepts `--tls-cert FILE --tls-key FILE`.
    pub tls: bool,
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
        let temp_dir = tempfile::tempdir()?;
        let site = Site::create(temp_dir.path())?;
        let mut command = Command::new(&self.program);
        command.args(["--port", "0"]).args(&self.arguments);
        if self.tls {
            let [certificate, key] = write_certificate(temp_dir.path())?;
            command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
        }
        command.arg(site.root());
        let server = Server::announced(command, temp_dir.path())?;
        let tunnel = self.tls.then(|| Tunnel::open(server.address)).transpose()?;
        let entry = tunnel.as_ref().map_or(server.address, |tunnel| tunnel.address);
        let pid = server.processes.pids().first().copied().unwrap_or_default();
        let mut clients = ClientResults::of_all_kinds(self.dead_mount.is_some());
        let mut run_clients = |time| self.run_clients(&server, entry, &site, time, &mut clients);

        run_clients((self.time / WARM_UP_SHARE).min(WARM_UP_MAX))?;
        let mut faults = Vec::new();
        let mut held = |resources: io::Result<Resources>| {
            resources.unwrap_or_else(|error| {
                faults.push(format!("a process of the server has ended: {error}"));
                Resources::default()
            })
        };
        let before = held(resources::wait_until_settled(pid));
        let (operations, peak) = resources::peak_during(pid, || run_clients(self.time));
        let (operations, peak) = (operations?, held(peak));
        let after = held(resources::wait_until_freed(pid, &before, self.free_within));
        faults.dedup();
        let fault = operations.as_ref().and_then(|operations| operations.fault.as_ref());
        faults.extend(fault.map(|fault| format!("operator: {fault}")));
        faults.extend(after.excess(&before));
        faults.extend(server.stop().err().map(|error| format!("after SIGTERM: {error}")));
        Ok(SoakResult { clients, operations, before, peak, after, faults })
    }

    /// Runs the clients for `time`, with the operator and the file system that never answers, if the soak has them.
    /// Clients connect to `entry`: the server, or the tunnel to it. Returns what the operator has done.
    fn run_clients(
        &self,
        server: &Server,
        entry: SocketAddr,
        site: &Site,
        time: Duration,
        clients: &mut [ClientResults],
    ) -> io::Result<Option<Operations>> {
        // Dropped at the end: threads that hang end when the file system is unmounted.
        let _mount = self.dead_mount.as_deref().map(|program| site.mount(program)).transpose()?;
        let (running, clients_left) = channel();
        thread::scope(|scope| {
            let operate = move || operator::operate(server, entry, site, &clients_left);
            let operator = self.reload.then(|| scope.spawn(operate));
            let result = clients::run(entry, server.address, &site.documents, time, clients);
            drop(running);
            let join = |operator: ScopedJoinHandle<'_, _>| {
                operator.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            result.map(|()| operator.map(join))
        })
    }
}

/// The result of a soak: what the clients observed, and what the server held. The fields are those of the JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SoakResult {
    /// The results of each kind of client, warm-up included.
    pub clients: Vec<ClientResults>,
    /// What the operator has done after the warm-up, if there was one.
    pub operations: Option<Operations>,
    /// The resources that the server held after the warm-up.
    pub before: Resources,
    /// The most of each resource that the server held after the warm-up.
    pub peak: Resources,
    /// The resources that the server held after the last client had left.
    pub after: Resources,
    /// Faults of the server other than wrong responses: resources not freed, a process ended, no stop at SIGTERM.
    pub faults: Vec<String>,
}

impl SoakResult {
    /// Whether the server had no fault, and clients of every kind connected.
    pub fn passes(&self) -> bool {
        let passes = |kind: &ClientResults| kind.failed == 0 && kind.passed > 0;
        self.faults.is_empty() && !self.clients.is_empty() && self.clients.iter().all(passes)
    }
}

impl fmt::Display for SoakResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<15} {:>12} {:>8} {:>8}", "clients", "connections", "passed", "failed")?;
        for ClientResults { name, passed, failed, messages } in &self.clients {
            writeln!(f, "{name:<15} {:>12} {passed:>8} {failed:>8}", passed + failed)?;
            messages.iter().try_for_each(|message| writeln!(f, "    {message}"))?;
        }
        if let Some(Operations { published, longest_seconds, .. }) = &self.operations {
            writeln!(f, "\n{published} versions published, each served within {longest_seconds:.1} s")?;
        }
        writeln!(f, "\n{:<15} {:>12} {:>8} {:>8}", "server", "before", "peak", "after")?;
        let mut row = |name: &str, value: fn(&Resources) -> String| {
            let [before, peak, after] = [&self.before, &self.peak, &self.after].map(value);
            writeln!(f, "{name:<15} {before:>12} {peak:>8} {after:>8}")
        };
        row("processes", |held| held.processes.len().to_string())?;
        row("descriptors", |held| held.descriptors.to_string())?;
        row("threads", |held| held.threads.to_string())?;
        row("memory (MiB)", |held| format!("{:.1}", held.memory_bytes as f64 / f64::from(1 << 20)))?;
        writeln!(f)?;
        self.faults.iter().try_for_each(|fault| writeln!(f, "FAULT: {fault}"))?;
        f.write_str(if self.passes() { "passed\n" } else { "failed\n" })
    }
}
