//! A server: bound, then started on an engine, then shut down.

use crate::{
    blocking, event_loop,
    handlers::{Handlers, MakeHandler},
    listener::{self, Sharing},
    settings::{Engine, Settings},
    shutdown::Shutdown,
};
use http_core::Handler;
use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

/// A server that is bound and not yet started.
///
/// ```no_run
/// use http_engine::{Engine, Request, Response, Server};
///
/// let server = Server::bind("127.0.0.1:8080")?;
/// server.start(Engine::EventLoop, |_: &Request<'_>| Response::text("Hello"))?.wait();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    /// Whether the event loops share `listeners`, or each event loop gets its own sockets.
    sharing: Sharing,
    settings: Settings,
}

impl Server {
    /// Binds every address that `addresses` resolves to. The kernel queues new connections from here on.
    ///
    /// # Errors
    ///
    /// An address cannot be resolved or bound. The error of a failed bind names the address.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<Server> {
        let addresses: Vec<SocketAddr> = addresses.to_socket_addrs()?.collect();
        let listeners = listener::bind_all(&addresses, Sharing::PerWorker)
            .map_err(|(address, error)| listener::bind_error(address, &error))?;
        Ok(Server::on(listeners, Sharing::PerWorker))
    }

    /// Creates a server on listening sockets from [`listener::bind`] or [`listener::bind_all`], or on others after
    /// [`listener::prepare`].
    ///
    /// The blocking engine ignores `sharing`: all of its threads accept from `listeners`. With event loops and
    /// [`Sharing::PerWorker`], the first event loop accepts from `listeners`; for each other event loop, the server
    /// binds more sockets to the same addresses. `listeners` must have been bound with [`Sharing::PerWorker`] too. With
    /// [`Sharing::Shared`], the event loops share `listeners`.
    pub fn on(listeners: Vec<TcpListener>, sharing: Sharing) -> Server {
        Server { listeners, sharing, settings: Settings::default() }
    }

    /// Replaces the settings, which are [`Settings::default`] until then.
    pub fn with(mut self, settings: Settings) -> Server {
        self.settings = settings;
        self
    }

    /// Starts serving on `engine`. All workers use the same handler.
    ///
    /// # Errors
    ///
    /// The system has no threads, descriptors or memory left, or an event loop cannot bind a listening socket of its own.
    pub fn start(self, engine: Engine, handler: impl Handler + 'static) -> io::Result<Running> {
        let handler: Arc<dyn Handler> = Arc::new(handler);
        let make: MakeHandler = Arc::new(move |_| Arc::clone(&handler));
        self.start_each(engine, &make)
    }

    /// Starts serving on `engine`. `make` makes a handler for each worker.
    ///
    /// # Errors
    ///
    /// The system has no threads, descriptors or memory left, or an event loop cannot bind a listening socket of its own.
    pub fn start_each(self, engine: Engine, make: &MakeHandler) -> io::Result<Running> {
        let Server { listeners, sharing, settings } = self;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let shutdown = Arc::new(Shutdown::new()?);
        let handlers = Handlers::new(settings.workers(), make);
        let threads = match engine {
            Engine::EventLoop => event_loop::start(listeners, sharing, &settings, &handlers, &shutdown)?,
            Engine::Blocking => blocking::start(listeners, &settings, &handlers, &shutdown)?,
        };
        Ok(Running { addresses, handle: ServerHandle { shutdown, handlers }, threads })
    }
}

/// A running server. Dropping it does not stop the server.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// The addresses that the server listens on, with their actual ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A handle that controls the server from any thread.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Shuts the server down, and waits until it has stopped. The server accepts no more connections, and gives
    /// unfinished requests at most the time `grace`.
    pub fn stop(self, grace: Duration) {
        self.handle.shut_down(grace);
        self.wait();
    }

    /// Waits until the server has stopped: a shutdown has begun, and all connections are closed or the grace period is
    /// over.
    pub fn wait(self) {
        for thread in self.threads {
            // A worker that panicked has ended; the panic hook has reported it.
            let _ = thread.join();
        }
    }
}

/// Controls a running server from any thread.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    shutdown: Arc<Shutdown>,
    handlers: Arc<Handlers>,
}

impl ServerHandle {
    /// Begins a graceful shutdown: the server accepts no more connections, closes idle ones, and finishes requests that
    /// have arrived. A second call can only shorten the grace period.
    ///
    /// After `grace`, event loops close the connections that are left. The threads of the blocking engine cannot be
    /// interrupted: they continue until their requests are finished or the process exits.
    pub fn shut_down(&self, grace: Duration) {
        self.shutdown.begin(grace);
    }

    /// Replaces the handler of every worker. A request that an old handler has received still gets the response of that
    /// handler.
    pub fn replace_handlers(&self, make: &MakeHandler) {
        self.handlers.replace(make);
    }
}
