//! The application that a server serves, and the settings of the server.

use crate::{
    bind_address::RedirectAddress, handoff::MAX_DESCRIPTORS, options::Common, system::Context,
    tls::TlsSettings,
};
use http_engine::{Engine, Handler};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use std::{
    fmt,
    fs::File,
    io::{self, Write},
    iter,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The most document roots that an application can have: as many descriptors as one message can hold, beside the
/// configuration.
const MAX_ROOTS: usize = MAX_DESCRIPTORS - 1;

/// A function that makes the handler of the worker with the given number (from 0).
pub type MakeHandler = Arc<dyn Fn(usize) -> Arc<dyn Handler> + Send + Sync>;

/// A metric of an application, of which each worker has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name, as in `file_cache_hits_total`.
    pub name: &'static str,
    /// Whether the value only grows.
    pub is_counter: bool,
    /// What it is, as a sentence.
    pub help: &'static str,
}

/// An application that a server can serve. Its `Display` output names it in messages: `httpd serves NAME at ...`.
pub trait Application: fmt::Display + fmt::Debug + Send + Sync {
    /// The directories whose files the application serves, each once. At most 252.
    fn roots(&self) -> Vec<&Path>;

    /// Opens what all workers of a process share, such as the files in the roots. Returns the function that makes a
    /// handler for each worker. The server calls this when it starts and when it reloads.
    ///
    /// `roots` are paths to the directories that the server has opened, in the order of [`Application::roots`]. They
    /// differ from these, and are valid only during the call.
    ///
    /// # Errors
    ///
    /// If the application cannot serve the `roots`.
    fn open(&self, roots: &[PathBuf]) -> io::Result<MakeHandler>;

    /// The files outside the roots that [`open`](Application::open) and [`reload`](Application::reload) read.
    /// `--confine` permits to read all files in their directories, because a changed file is often a new one. By
    /// default none.
    fn reads(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Loads the certificates that secure the listeners. The server calls this when it starts, as the user that it
    /// serves as, and when it reloads. By default the listeners are not secured: `None`.
    ///
    /// # Errors
    ///
    /// If a certificate cannot be used.
    fn tls(&self) -> io::Result<Option<TlsSettings>> {
        Ok(None)
    }

    /// Where to listen without TLS, beside the listeners with TLS, to redirect requests to `https` URLs. By default
    /// nowhere.
    fn redirects(&self) -> Option<&Redirects> {
        None
    }

    /// Reads the configuration again, and returns the application with it. The master process calls this on SIGHUP. By
    /// default the application has no configuration: `None`.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong. The server then continues to serve this application.
    fn reload(&self) -> io::Result<Option<Arc<dyn Application>>> {
        Ok(None)
    }

    /// The configuration of this application, which the master process gives to its worker processes. A worker process
    /// finds it with [`Inherited::configuration`](crate::Inherited::configuration) when it starts.
    fn configuration(&self) -> String {
        String::new()
    }

    /// In a worker process: returns the application with the `configuration` that the master process has reloaded. By
    /// default the application has no configuration: `None`.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong.
    fn with_configuration(&self, configuration: &str) -> io::Result<Option<Arc<dyn Application>>> {
        let _ = configuration;
        Ok(None)
    }

    /// The metrics of the application, which `/metrics` shows beside those of the engine. By default none.
    fn metrics(&self) -> &'static [Metric] {
        &[]
    }

    /// Returns the present values of the [`metrics`](Application::metrics) of a worker, in the same order. `worker` is
    /// its number, as for [`MakeHandler`].
    fn measure(&self, worker: usize) -> Vec<u64> {
        let _ = worker;
        Vec::new()
    }

    /// Returns a message about what the application serves, which the server logs for the operator; `None` if there is
    /// none. The server calls this once, on a thread of its own, when it has begun to serve.
    fn notice(&self) -> Option<String> {
        None
    }
}

/// Where a server listens to redirect requests to `https` URLs.
#[derive(Clone, Debug)]
pub struct Redirects {
    /// Where to listen.
    pub address: RedirectAddress,
    /// The port of the URLs; `None` for that of the first listener.
    pub port: Option<u16>,
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
    /// The grace period: how long requests in flight may take after a signal to stop.
    pub(super) fn grace(&self) -> Duration {
        self.options.limits.grace.0
    }

    /// The value of the Server header.
    pub(super) fn server_header(&self) -> String {
        format!("{}/{}", self.name, env!("CARGO_PKG_VERSION"))
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

/// An application, and its open document roots.
#[derive(Debug)]
pub(super) struct OpenApplication {
    pub(super) application: Arc<dyn Application>,
    roots: Vec<OwnedFd>,
}

impl OpenApplication {
    /// Opens the document roots of an application by their names. Fails if one of them is no directory, or if there are
    /// more than one message to a worker process can hold.
    pub(super) fn open(application: Arc<dyn Application>) -> io::Result<OpenApplication> {
        let open = |path: &Path| {
            let opened = open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            opened.context(format_args!("cannot serve {}", path.display()))
        };
        let roots = application.roots();
        if roots.len() > MAX_ROOTS {
            let count = roots.len();
            return Err(io::Error::other(format!("cannot serve {count} directories: at most {MAX_ROOTS}")));
        }
        let roots = roots.into_iter().map(open).collect::<io::Result<_>>()?;
        Ok(OpenApplication { application, roots })
    }

    /// Returns the application with the document roots that the master process has opened.
    pub(super) fn inherited(application: Arc<dyn Application>, roots: Vec<OwnedFd>) -> OpenApplication {
        OpenApplication { application, roots }
    }

    /// Calls [`Application::open`] with paths to the open document roots. Returns the function that makes a handler for
    /// each worker.
    pub(super) fn make_handler(&self) -> io::Result<MakeHandler> {
        let opened = self.application.open(&self.paths());
        opened.context(format_args!("cannot serve {}", self.application))
    }

    /// Paths in `/proc` to the open document roots. They are valid in this process while the descriptors are open.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let path = |root: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
        self.roots.iter().map(path).collect()
    }

    /// Returns what worker processes need to serve the application: a file in memory with its configuration, and its
    /// document roots.
    pub(super) fn to_hand_over(&self) -> io::Result<Vec<OwnedFd>> {
        let file = File::from(memfd_create("configuration", MemfdFlags::CLOEXEC)?);
        (&file).write_all(self.application.configuration().as_bytes())?;
        let roots = self.roots.iter().map(OwnedFd::try_clone);
        iter::once(Ok(file.into())).chain(roots).collect()
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    #[derive(clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        common: Common,
    }

    /// Returns the options of a command line with these arguments, separated by spaces.
    pub(in crate::launch) fn options(arguments: &str) -> Common {
        let arguments = iter::once("test").chain(arguments.split_ascii_whitespace());
        let Arguments { common } = crate::options::command::<Arguments>("test", "8443")
            .try_get_matches_from(arguments)
            .and_then(|matches| clap::FromArgMatches::from_arg_matches(&matches))
            .expect("options");
        common
    }

    /// An application that serves this number of directories.
    #[derive(Debug)]
    struct Roots(usize);

    impl Application for Roots {
        fn roots(&self) -> Vec<&Path> {
            vec![Path::new("/"); self.0]
        }

        fn open(&self, _: &[PathBuf]) -> io::Result<MakeHandler> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    impl fmt::Display for Roots {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} directories", self.0)
        }
    }

    /// Returns the settings of a server of this number of directories, with these arguments.
    pub(in crate::launch) fn settings(engine: Engine, roots: usize, arguments: &str) -> ServerSettings {
        let application = Arc::new(Roots(roots));
        ServerSettings { name: "test", application, engine, options: options(arguments) }
    }
}
