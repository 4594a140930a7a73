//! The settings of a server, and the interface of the application that it serves.

use super::descriptors::ConnectionLimit;
use crate::{error::Context, logs::LogSettings};
use http_engine::{Config, Engine, MakeHandler};
use rustix::fs::{Mode, OFlags, open};
use std::{
    fmt, io,
    net::IpAddr,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// An application that a server can serve. Its `Display` output names it in messages: `httpd serves NAME at ...`.
pub trait Application: fmt::Display + fmt::Debug + Send + Sync {
    /// The directory whose files the application serves, if there is one.
    fn root(&self) -> Option<&Path>;

    /// Opens what all workers of a process share, such as the files of `root`, and returns the function that makes a
    /// handler for each worker. Called again when the server reopens its document root; `root` is a path to the same
    /// directory as [`Application::root`] that works even if the directory was renamed.
    ///
    /// # Errors
    ///
    /// If the application cannot serve `root`.
    fn open(&self, root: Option<&Path>) -> io::Result<MakeHandler>;
}

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The program's name, for its messages and the `Server` header.
    pub name: &'static str,
    /// What the server serves.
    pub application: Arc<dyn Application>,
    /// The addresses to listen on; empty for the loopback addresses of the machine.
    pub binds: Vec<IpAddr>,
    /// The port to listen on, the same on all addresses; 0 for a free port.
    pub port: u16,
    /// The number of event loops, of threads kept ready, or of worker processes.
    pub workers: usize,
    /// The engine.
    pub engine: Engine,
    /// Whether each worker is a process of its own.
    pub prefork: bool,
    /// The grace period: how long requests in flight may take after a signal to stop.
    pub grace: Duration,
    /// Connections open at once, divided evenly among worker processes; `None` for the engine's default in each
    /// process. The limit on open files reduces it further.
    pub max_connections: Option<usize>,
    /// Connections open at once from one client address, in each process; `None` for no limit.
    pub max_connections_per_address: Option<usize>,
    /// The protocol's limits and timeouts.
    pub protocol: Config,
    /// The access log and the error log.
    pub logs: LogSettings,
    /// The file that holds the PID of the master process.
    pub pid_file: Option<PathBuf>,
    /// The user to switch to, and the group if it is not the user's own.
    pub user: Option<(String, Option<String>)>,
    /// Whether to restrict file access to the files that serving needs.
    pub confine: bool,
}

/// The default number of workers: one per core, at most 8.
pub fn default_workers() -> usize {
    http_engine::Settings::default().workers
}

impl ServerSettings {
    /// Opens the directory that the document root's name refers to now, if there is a document root.
    pub(super) fn open_root(&self) -> io::Result<Option<OwnedFd>> {
        let Some(path) = self.application.root() else { return Ok(None) };
        let opened = open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.map(Some).context(format_args!("cannot serve {}", path.display()))
    }

    /// Opens the application with the files of `root`.
    pub(super) fn open_application(&self, root: Option<&OwnedFd>) -> io::Result<MakeHandler> {
        let opened = self.application.open(root.map(descriptor_path).as_deref());
        opened.context(format_args!("cannot serve {}", self.application))
    }

    /// The number of workers in one process.
    pub(super) fn workers_per_process(&self) -> usize {
        if self.prefork { 1 } else { self.workers }
    }

    /// The limit on connections of a process with this number of listeners.
    pub(super) fn connection_limit(&self, listeners: usize) -> ConnectionLimit {
        // The operator's number is divided. The default is not: the kernel distributes connections unevenly, and no
        // process should reject any while others have room.
        let processes = if self.prefork { self.workers } else { 1 };
        let wanted = match self.max_connections {
            Some(total) => total.div_ceil(processes),
            None => self.engine.default_max_connections(),
        };
        ConnectionLimit::new(wanted, self.workers_per_process(), listeners)
    }
}

/// A path to an open directory, valid in this process while the descriptor is open.
pub(super) fn descriptor_path(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}
