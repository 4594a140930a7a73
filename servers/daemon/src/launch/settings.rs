//! What an operator can choose, and what is served.

use super::descriptors;
use crate::{handoff::path_of, logs};
use http_engine::{Config, Engine, MakeHandler};
use rustix::fs::{Mode, OFlags, open};
use std::{
    fmt, io,
    net::IpAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// What an operator can choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program's name, for its messages.
    pub name: &'static str,
    /// What is served.
    pub application: Arc<dyn Application>,
    /// Addresses to listen on; none means the loopback addresses that the machine has.
    pub binds: Vec<IpAddr>,
    /// The port on all of them; 0 for one that is free.
    pub port: u16,
    /// Event loops, threads kept ready, or processes.
    pub workers: usize,
    /// The engine.
    pub engine: Engine,
    /// Whether each worker is a process of its own.
    pub prefork: bool,
    /// How long what is in flight may take after the order to stop.
    pub grace: Duration,
    /// Connections held at once, divided evenly among processes; `None` for the engine's own default in each of them.
    /// No more than open files are allowed.
    pub max_connections: Option<usize>,
    /// Connections that one address holds at once in a process; `None` for as many as there are.
    pub max_connections_per_address: Option<usize>,
    /// The protocol's limits and timeouts.
    pub protocol: Config,
    /// What is logged, and where.
    pub log: logs::Settings,
    /// Where the master writes its process number.
    pub pid_file: Option<PathBuf>,
    /// Whom to serve as, and the group if it is not that user's own.
    pub user: Option<(String, Option<String>)>,
    /// Whether to give up all access to files but what serving takes.
    pub confine: bool,
}

/// Workers unless the operator says how many: one for each core, and at most 8.
pub fn default_workers() -> usize {
    http_engine::Settings::default().workers
}

/// What can be launched. Displayed, it stands in messages: "serves …".
pub trait Application: fmt::Display + fmt::Debug + Send + Sync {
    /// The directory whose files it serves, if there is one.
    fn root(&self) -> Option<&Path>;

    /// Opens what all workers of a process share, the files of `root` among it, and tells how each worker gets a
    /// handler of its own.
    ///
    /// # Errors
    ///
    /// When `root` cannot be served.
    fn open(&self, root: Option<&Path>) -> io::Result<MakeHandler>;
}

impl Settings {
    /// The directory whose files are served, if there is one, as its name leads to it now.
    pub(super) fn open_root(&self) -> Result<Option<OwnedFd>, Failure> {
        let Some(path) = self.application.root() else { return Ok(None) };
        let opened = open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.map(Some).map_err(io::Error::from).map_err(failed(format!("cannot serve {}", path.display())))
    }

    /// The application with the files of `root`.
    pub(super) fn open_application(&self, root: Option<&OwnedFd>) -> Result<MakeHandler, Failure> {
        let opened = self.application.open(root.map(path_of).as_deref());
        opened.map_err(failed(format!("cannot serve {}", self.application)))
    }

    /// How many of the workers are in one process.
    pub(super) fn workers_here(&self) -> usize {
        if self.prefork { 1 } else { self.workers }
    }

    /// How many connections a process may hold that accepts from this many sockets.
    pub(super) fn connections(&self, listeners: usize) -> descriptors::Connections {
        // What an operator asks for is shared out. The default is not: the kernel deals connections out unevenly, and
        // a process that is full must be so for a reason.
        let processes = if self.prefork { self.workers } else { 1 };
        let wanted = self
            .max_connections
            .map_or(self.engine.default_max_connections(), |asked| asked.div_ceil(processes));
        descriptors::Connections::within_limit(wanted, self.workers_here(), listeners)
    }
}

/// Why a server could not start, or could not go on.
#[derive(Debug)]
pub struct Failure {
    what: String,
    why: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for Failure {}

pub(super) fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let what = what.into();
    move |why| Failure { what, why }
}
