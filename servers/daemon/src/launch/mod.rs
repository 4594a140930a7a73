//! From settings to a server at work.
//!
//! A process is one of two. The `master` is the one that an operator talks to: it binds, or takes over what a
//! predecessor or a service manager has bound, and serves with threads of its own or looks after worker processes.
//! A `worker` has everything from its master.

mod addresses;
mod application;
mod descriptors;
mod master;
pub mod reload;
mod swap;
mod worker;

pub use application::Application;

use crate::{
    handoff::{Inherited, Role, path_of},
    logs::{self, AccessLog, Logs},
    signals::{Caught, Order},
};
use http_engine::{Config, Engine, Handler, MakeHandler, Server, Shutdown, Stack, listener::Sharing};
use rustix::fs::{Mode, OFlags, open};
use std::{
    fmt, io,
    net::{IpAddr, TcpListener},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
    thread,
    time::Duration,
};
use swap::Apps;

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

/// Serves until it is told to stop, or a successor serves instead.
///
/// # Errors
///
/// What stands in the way of serving, as a sentence.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    // First of all: who signals a program that has just been started must not kill it.
    let caught = Caught::new().map_err(failed("cannot handle signals"))?;
    logs::install_logger();
    descriptors::raise_limit();
    let inherited =
        Inherited::take().map_err(failed("cannot take over from the process that started this"))?;
    match inherited {
        Some(inherited) => match inherited.role {
            Role::Worker(number) => worker::run(settings, number, inherited, caught),
            Role::Successor => master::run(settings, Some(inherited), caught),
        },
        None => master::run(settings, None, caught),
    }
}

/// An engine in this process.
struct Threads {
    stop: Arc<Shutdown>,
    apps: Arc<Apps>,
}

impl Threads {
    /// Starts it, with the applications that `make` makes for each worker, one of which is this whole process if
    /// that is a worker. When all of its threads have ended, whoever takes the orders is told.
    fn start(
        settings: &Settings,
        listeners: Vec<TcpListener>,
        make: impl Fn(usize) -> Arc<dyn Handler>,
        logs: &Logs,
        orders: Sender<Order>,
    ) -> Result<Threads, Failure> {
        let workers = settings.workers_here();
        let apps = Apps::new(workers, make);
        let (current, access) = (Arc::clone(&apps), logs.access());
        let make_app: MakeHandler = Arc::new(move |number| {
            let app = current.of_worker(number);
            match access.clone().and_then(|(log, format)| AccessLog::new(log, format)) {
                Some(layer) => Arc::new(Stack::new(app).wrapped_in(layer)),
                None => app,
            }
        });
        let engine = http_engine::Settings {
            workers,
            max_connections: Some(settings.connections(listeners.len()).fitting()),
            max_connections_per_address: settings.max_connections_per_address,
            server: format!("{}/{}", settings.name, env!("CARGO_PKG_VERSION")),
            protocol: settings.protocol.clone(),
            ..http_engine::Settings::default()
        };
        let cannot = "cannot start serving";
        // There are as many as there ought to be: bound so, or handed over.
        let server = Server::on(listeners, Sharing::OneForAll).with(engine);
        let running = server.start_each(settings.engine, &make_app).map_err(failed(cannot))?;
        let stop = running.stopper();
        let join = move || {
            running.wait();
            let _ = orders.send(Order::Ended);
        };
        thread::Builder::new().name("join".to_owned()).spawn(join).map_err(failed(cannot))?;
        Ok(Threads { stop, apps })
    }
}

impl Settings {
    /// The directory whose files are served, if there is one, as its name leads to it now.
    fn open_root(&self) -> Result<Option<OwnedFd>, Failure> {
        let Some(path) = self.application.root() else { return Ok(None) };
        let opened = open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.map(Some).map_err(io::Error::from).map_err(failed(format!("cannot serve {}", path.display())))
    }

    /// The application with the files of `root`.
    fn open_application(&self, root: Option<&OwnedFd>) -> Result<MakeHandler, Failure> {
        let opened = self.application.open(root.map(path_of).as_deref());
        opened.map_err(failed(format!("cannot serve {}", self.application)))
    }

    /// How many of the workers are in one process.
    fn workers_here(&self) -> usize {
        if self.prefork { 1 } else { self.workers }
    }

    /// How many connections a process may hold that accepts from this many sockets.
    fn connections(&self, listeners: usize) -> descriptors::Connections {
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

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let what = what.into();
    move |why| Failure { what, why }
}

/// What it is when nobody has given the order to stop, and yet all threads have ended.
fn ended_by_itself() -> Failure {
    failed("serving ended by itself")(io::Error::other("all workers have gone"))
}
