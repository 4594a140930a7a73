//! The engines: two ways to wait for peers, with everything else in common.
//!
//! An engine accepts, receives, sends and watches deadlines. What the bytes mean is `http-core`'s business, what
//! to answer is the application's: an engine knows it only as a [`Handler`].

use crate::{
    blocking, event_loop,
    listener::{self, Sharing},
    shutdown::Shutdown,
};
use http_core::{Config, Handler};
use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

/// Which way to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A thread for each connection.
    Blocking,
    /// A few threads, each waiting for many connections at once.
    EventLoop,
}

impl Engine {
    /// Connections that this engine holds at once unless [`Settings::max_connections`] says otherwise.
    pub fn default_max_connections(self) -> usize {
        match self {
            Engine::Blocking => blocking::MAX_CONNECTIONS,
            Engine::EventLoop => event_loop::MAX_CONNECTIONS,
        }
    }
}

/// Makes the application of the worker with this number. Workers share nothing that it does not make them share.
pub type MakeHandler = Arc<dyn Fn(usize) -> Arc<dyn Handler> + Send + Sync>;

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Event loops, or threads kept ready.
    pub workers: usize,
    /// Connections that the engine holds at once, over all workers; `None` for the engine's own default:
    /// [`blocking::MAX_CONNECTIONS`] or [`event_loop::MAX_CONNECTIONS`].
    pub max_connections: Option<usize>,
    /// Connections that one address holds at once, over all workers of a process; `None` for as many as there are.
    pub max_connections_per_address: Option<usize>,
    /// Threads for [`Reply::Offload`](http_core::Reply::Offload) on an event loop.
    pub pool_threads: usize,
    /// Tasks that wait for such a thread before more are answered 503.
    pub pool_queue: usize,
    /// The name in the `Server` field.
    pub server: String,
    /// The protocol's limits and timeouts.
    pub protocol: Config,
}

impl Default for Settings {
    fn default() -> Settings {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Settings {
            // More event loops than cores only take turns; more than 8 want measuring first.
            workers: cores.min(8),
            max_connections: None,
            // Many people may share an address, and tests do.
            max_connections_per_address: None,
            // One that waits for something slow must not hold up all others, even on a single core.
            pool_threads: cores.max(4),
            pool_queue: 1024,
            server: concat!("http-core/", env!("CARGO_PKG_VERSION")).to_owned(),
            protocol: Config::default(),
        }
    }
}

/// A server that is bound and not yet started.
///
/// ```no_run
/// use http_core::{Request, Response};
/// use servers::engine::{Engine, Server};
///
/// let server = Server::bind("127.0.0.1:8080")?;
/// server.start(Engine::EventLoop, |_: &Request<'_>| Response::text("Hello"))?.wait();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    sharing: Sharing,
    settings: Settings,
}

impl Server {
    /// Binds every address that `addresses` resolves to; connections queue from here on.
    ///
    /// # Errors
    ///
    /// When an address cannot be resolved or bound.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<Server> {
        let addresses: Vec<SocketAddr> = addresses.to_socket_addrs()?.collect();
        let listeners = listener::bind_all(&addresses, Sharing::EachItsOwn).map_err(|(_, error)| error)?;
        Ok(Server::on(listeners, Sharing::EachItsOwn))
    }

    /// A server on sockets that [`listener`] has bound.
    pub fn on(listeners: Vec<TcpListener>, sharing: Sharing) -> Server {
        Server { listeners, sharing, settings: Settings::default() }
    }

    /// Replaces the settings.
    pub fn with(mut self, settings: Settings) -> Server {
        self.settings = settings;
        self
    }

    /// Starts serving with one handler for all workers.
    ///
    /// # Errors
    ///
    /// When the system lacks threads, descriptors or memory.
    pub fn start(self, engine: Engine, handler: impl Handler + 'static) -> io::Result<Running> {
        let handler: Arc<dyn Handler> = Arc::new(handler);
        let make_app: MakeHandler = Arc::new(move |_| Arc::clone(&handler));
        self.start_each(engine, &make_app)
    }

    /// Starts serving with a handler for each worker.
    ///
    /// # Errors
    ///
    /// When the system lacks threads, descriptors or memory.
    pub fn start_each(self, engine: Engine, make_app: &MakeHandler) -> io::Result<Running> {
        let addresses = self.listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let stop = Arc::new(Shutdown::new()?);
        let threads = match engine {
            Engine::EventLoop => {
                event_loop::start(self.listeners, self.sharing, &self.settings, make_app, &stop)?
            }
            Engine::Blocking => blocking::start(self.listeners, &self.settings, make_app, &stop)?,
        };
        Ok(Running { addresses, stop, threads })
    }
}

/// A server at work. Dropping it leaves it at work.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    stop: Arc<Shutdown>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// The addresses it listens on, with their real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What tells it to stop, from any thread.
    pub fn stopper(&self) -> Arc<Shutdown> {
        Arc::clone(&self.stop)
    }

    /// Stops accepting, finishes what is in flight for at most `grace`, and returns when all is over.
    pub fn stop(self, grace: Duration) {
        self.stop.ask(grace);
        self.wait();
    }

    /// Returns when it has been stopped.
    pub fn wait(self) {
        for thread in self.threads {
            // A worker that panicked is gone already; its panic has been reported.
            let _ = thread.join();
        }
    }
}
