//! The application that a server serves, and the settings of the server.

use crate::{options::Common, system::Context};
use http_engine::{Engine, Handler};
use rustix::fs::{Mode, OFlags, open};
use std::{
    fmt, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A function that makes the handler of the worker with the given number (from 0).
pub type MakeHandler = Arc<dyn Fn(usize) -> Arc<dyn Handler> + Send + Sync>;

/// An application that a server can serve. Its `Display` output names it in messages: `httpd serves NAME at ...`.
pub trait Application: fmt::Display + fmt::Debug + Send + Sync {
    /// The directory whose files the application serves, if there is one.
    fn root(&self) -> Option<&Path>;

    /// The files outside [`root`](Application::root) that [`open`](Application::open) reads. `--confine` permits to read
    /// them. By default none.
    fn reads(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Opens what all workers of a process share, such as the files in `root`. Returns the function that makes a
    /// handler for each worker. The server calls this when it starts and when it reopens its document root.
    ///
    /// `root` is a path to the directory that the server has opened. It differs from [`Application::root`], and is
    /// valid only during the call. `None` if the application serves no directory.
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
    /// Whether the server uses event loops or blocking threads.
    pub engine: Engine,
    /// The options that the operator chose.
    pub options: Common,
}

impl ServerSettings {
    /// Opens the document root by its name. Returns `None` if the application serves no directory. Fails if there is no
    /// such directory.
    pub(super) fn open_root(&self) -> io::Result<Option<OwnedFd>> {
        let Some(path) = self.application.root() else { return Ok(None) };
        let opened = open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.map(Some).context(format_args!("cannot serve {}", path.display()))
    }

    /// Calls [`Application::open`] with a path to the open document root `root`. Returns the function that makes a
    /// handler for each worker. `root` is `None` if the application serves no directory.
    pub(super) fn open_application(&self, root: Option<&OwnedFd>) -> io::Result<MakeHandler> {
        let opened = self.application.open(root.map(descriptor_path).as_deref());
        opened.context(format_args!("cannot serve {}", self.application))
    }

    /// The grace period: how long requests in flight may take after a signal to stop.
    pub(super) fn grace(&self) -> Duration {
        self.options.limits.grace.0
    }

    /// The number of workers of the whole server: `--workers`, or the engine's default.
    pub(super) fn workers(&self) -> usize {
        self.options.workers.unwrap_or_else(|| http_engine::Settings::default().workers)
    }

    /// The number of workers in each process that serves: 1 with `--prefork`, else all workers of the server.
    pub(super) fn workers_per_process(&self) -> usize {
        if self.options.prefork { 1 } else { self.workers() }
    }
}

/// Returns a path in `/proc` to an open directory. It is valid in this process while the descriptor is open.
pub(super) fn descriptor_path(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}
