//! From settings to a server at work: the only file that knows the application and the engines both.

pub use crate::engine::Engine;

#[cfg(feature = "demo")]
use crate::app::{self, App};
use crate::{
    engine::{self, MakeApp, Running, Server},
    files::{Files, Root},
    listener::{self, Sharing},
    prefork::{self, Inherited},
};
use http_core::Handler;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::{
    fmt, io,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process,
    sync::Arc,
    thread,
    time::Duration,
};

/// What is served.
#[derive(Clone, Debug)]
pub enum Application {
    /// The files of this directory.
    Files(PathBuf),
    /// The demo application.
    #[cfg(feature = "demo")]
    Demo(app::Settings),
}

/// What an operator can choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program's name, for its messages.
    pub name: &'static str,
    /// What is served.
    pub application: Application,
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
}

/// Workers unless the operator says how many: one for each core, and at most 8.
pub fn default_workers() -> usize {
    engine::Settings::default().workers
}

impl Application {
    /// Opens what all workers share, and tells how each gets an application of its own.
    fn open(&self) -> Result<MakeApp, Failure> {
        match self {
            Application::Files(root) => {
                let open = Root::open(root).map_err(failed(format!("cannot serve {}", root.display())))?;
                let root = Arc::new(open);
                Ok(Arc::new(move |_| -> Arc<dyn Handler> { Arc::new(Files::beneath(Arc::clone(&root))) }))
            }
            #[cfg(feature = "demo")]
            Application::Demo(settings) => {
                let app = App::open(settings).map_err(failed("cannot serve the demo application"))?;
                Ok(Arc::new(move |number| app.worker(number)))
            }
        }
    }
}

impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Application::Files(root) => root.display().fmt(f),
            #[cfg(feature = "demo")]
            Application::Demo(_) => f.write_str("the demo application"),
        }
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

/// Serves until SIGTERM or SIGINT has stopped everything.
///
/// # Errors
///
/// What stands in the way of serving, as a sentence.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    let make_app = settings.application.open()?;
    raise_descriptor_limit();
    if let Some(inherited) = Inherited::take().map_err(failed("cannot start as a worker process"))? {
        return be_worker(settings, inherited, &make_app);
    }
    let sharing = if settings.prefork { Sharing::OneForAll } else { Sharing::EachItsOwn };
    let listeners = bind(settings, sharing)?;
    let addresses = addresses(&listeners);
    let announce = || announce(settings, &addresses);
    if settings.prefork {
        let supervised = prefork::supervise(listeners, settings.workers, settings.grace, announce);
        return supervised.map_err(failed("cannot run worker processes"));
    }
    let running = start(settings, settings.workers, listeners, sharing, &make_app)?;
    let stopper = running.stopper();
    let grace = settings.grace;
    on_signals(&[SIGTERM, SIGINT], move || stopper.ask(grace)).map_err(failed("cannot handle signals"))?;
    announce();
    wait(running)
}

/// A worker process: one worker's engine on the master's sockets, stopped by the master's SIGTERM or its death.
fn be_worker(settings: &Settings, mut inherited: Inherited, make_app: &MakeApp) -> Result<(), Failure> {
    let listeners = std::mem::take(&mut inherited.listeners);
    // To itself it is the only worker; its number among all it has from the master.
    let (make, number) = (Arc::clone(make_app), inherited.number);
    let make_app: MakeApp = Arc::new(move |_| make(number));
    let running = start(settings, 1, listeners, Sharing::OneForAll, &make_app)?;
    let (stopper, grace) = (running.stopper(), settings.grace);
    let orphaned = running.stopper();
    // A terminal's SIGINT reaches the master as well, and it is the master who decides: here it does nothing.
    signal_hook::flag::register(SIGINT, Arc::default()).map_err(failed("cannot handle signals"))?;
    on_signals(&[SIGTERM], move || stopper.ask(grace)).map_err(failed("cannot handle signals"))?;
    inherited.serving(move || orphaned.ask(grace)).map_err(failed("cannot reach the master process"))?;
    wait(running)
}

fn start(
    settings: &Settings,
    workers: usize,
    listeners: Vec<TcpListener>,
    sharing: Sharing,
    make_app: &MakeApp,
) -> Result<Running, Failure> {
    let server = format!("{}/{}", settings.name, env!("CARGO_PKG_VERSION"));
    let engine = engine::Settings { workers, server, ..engine::Settings::default() };
    let server = Server::on(listeners, sharing).with(engine);
    server.start_each(settings.engine, make_app).map_err(failed("cannot start serving"))
}

fn wait(running: Running) -> Result<(), Failure> {
    let stopper = running.stopper();
    running.wait();
    if stopper.is_asked() {
        return Ok(());
    }
    Err(Failure {
        what: "serving ended by itself".to_owned(),
        why: io::Error::other("all workers have gone"),
    })
}

/// Calls `act` at the first of these signals; the second ends the process at once.
fn on_signals(signals: &[i32], act: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new(signals)?;
    let watch = move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            act();
        }
        if signals.next().is_some() {
            process::exit(0);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}

/// Binds what was asked for, or the loopback addresses: IPv4's always, IPv6's where the machine has one.
fn bind(settings: &Settings, sharing: Sharing) -> Result<Vec<TcpListener>, Failure> {
    let all = |addresses: &[IpAddr]| -> Vec<SocketAddr> {
        addresses.iter().map(|address| SocketAddr::new(*address, settings.port)).collect()
    };
    let cannot =
        |(address, error): (SocketAddr, io::Error)| failed(format!("cannot listen on {address}"))(error);
    if !settings.binds.is_empty() {
        return listener::bind_all(&all(&settings.binds), sharing).map_err(cannot);
    }
    let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    match listener::bind_all(&all(&both), sharing) {
        Err((address, error)) if address.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse => {
            listener::bind_all(&all(&both[..1]), sharing).map_err(cannot)
        }
        outcome => outcome.map_err(cannot),
    }
}

fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}

/// The one line at start. Nobody has to read it, so it may fail.
fn announce(settings: &Settings, addresses: &[SocketAddr]) {
    let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}/")).collect();
    let engine = match settings.engine {
        Engine::EventLoop => "event loop",
        Engine::Blocking => "blocking",
    };
    let kind = if settings.prefork { "worker process" } else { "worker" };
    let plural = match (settings.workers, settings.prefork) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    let (name, application, urls) = (settings.name, &settings.application, urls.join(" and "));
    let mut stdout = io::stdout();
    let _ = writeln!(
        stdout,
        "{name} serves {application} at {urls} ({engine}, {} {kind}{plural})",
        settings.workers
    );
    let _ = stdout.flush();
}

/// Connections are descriptors: take as many as the operator lets us have.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
