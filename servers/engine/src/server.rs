//! A server: bound, then started on an engine, then shut down.

use crate::{
    admission::Admission,
    blocking,
    descriptors::ConnectionBudget,
    event_loop,
    handlers::{Handlers, MakeHandler},
    listener::{self, Sharing},
    settings::{Engine, Settings, SettingsError},
    shutdown::Shutdown,
    threads::Threads,
};
use http_core::{Handler, io_cause};
use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

/// A server that is bound and not yet started.
///
/// ```no_run
/// use http_engine::{Engine, Request, Response, Server};
///
/// let server = Server::bind("127.0.0.1:8080")?;
/// server.start(Engine::EventLoop, |_: &Request<'_>| Response::text("Hello"))?.wait()?;
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
    /// There is no address, or one cannot be resolved or bound ([`listener::bind_error`]).
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<Server> {
        let addresses = addresses.to_socket_addrs().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot resolve the address to bind: {}", io_cause(&error)))
        })?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "cannot bind: the list of addresses is empty",
            ));
        }
        let listeners = listener::bind_all(&addresses, Sharing::PerWorker)
            .map_err(|(address, error)| listener::bind_error(address, &error))?;
        Ok(Server::on(listeners, Sharing::PerWorker))
    }

    /// Creates a server on listening TCP sockets, from [`listener::bind`], [`listener::bind_all`] or elsewhere.
    /// [`start`](Server::start) makes them non-blocking.
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
    /// A setting makes no sense ([`Settings::check`]); there is no listener, or one is no TCP socket; the system has no
    /// threads, descriptors or memory left; or an event loop cannot bind a listening socket of its own.
    pub fn start(self, engine: Engine, handler: impl Handler + 'static) -> io::Result<Running> {
        let handler: Arc<dyn Handler> = Arc::new(handler);
        let make: MakeHandler = Arc::new(move |_| Arc::clone(&handler));
        self.start_each(engine, &make)
    }

    /// Starts serving on `engine`. `make` makes a handler for each worker.
    ///
    /// # Errors
    ///
    /// As of [`start`](Server::start).
    pub fn start_each(self, engine: Engine, make: &MakeHandler) -> io::Result<Running> {
        let Server { listeners, sharing, settings } = self;
        // As text: `main` prints the `Debug` form of an error that it returns.
        let invalid = |error: SettingsError| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
        settings.check().map_err(invalid)?;
        if listeners.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot serve without a listener"));
        }
        listeners.iter().try_for_each(listener::prepare)?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let shutdown = Arc::new(Shutdown::new()?);
        let threads = Threads::new(settings.stack_size, &shutdown);
        let handlers = Handlers::new(settings.workers, make);
        let budget = ConnectionBudget::new(&settings, engine, listeners.len());
        if budget.falls_short() {
            log::warn!("{budget}");
        }
        let admission = Admission::new(&settings, budget.allowed);
        let started = match engine {
            Engine::EventLoop => {
                event_loop::start(listeners, sharing, &settings, &admission, &handlers, &shutdown, &threads)
            }
            Engine::Blocking => {
                blocking::start(listeners, &settings, admission, &handlers, &shutdown, &threads)
            }
        };
        let running = Running { addresses, handle: ServerHandle { shutdown, handlers, threads } };
        match started {
            Ok(()) => Ok(running),
            Err(error) => {
                // End the threads that have been started.
                running.stop(Duration::ZERO);
                Err(error)
            }
        }
    }
}

/// A running server. Dropping it does not stop the server.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    handle: ServerHandle,
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
    /// unfinished requests at most the time `grace` ([`ServerHandle::shut_down`]).
    ///
    /// When this returns, all threads of the server have ended, except those in application code that has not returned half
    /// a second after the grace period. Their number is logged; each ends when the application returns.
    pub fn stop(self, grace: Duration) {
        self.handle.shut_down(grace);
        // A worker that has failed has ended, and is logged.
        while self.wait().is_err() {}
    }

    /// Waits until the server has stopped: a shutdown has begun, and all threads have ended (see [`stop`](Running::stop) for
    /// the exception).
    ///
    /// # Errors
    ///
    /// A worker has failed: it has panicked, or epoll has failed. Its connections are closed. The others continue, so the
    /// server has not stopped: exit the process to have it restarted, or wait again. Each failure is returned once.
    pub fn wait(&self) -> io::Result<()> {
        self.handle.threads.wait()
    }
}

/// Controls a running server from any thread.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    shutdown: Arc<Shutdown>,
    handlers: Arc<Handlers>,
    threads: Arc<Threads>,
}

impl ServerHandle {
    /// Begins a graceful shutdown: the server accepts no more connections, closes idle ones, and finishes requests that
    /// have arrived. A second call can only shorten the grace period.
    ///
    /// After `grace` (at most a year), the connections that are left are closed. Application code cannot be interrupted: a
    /// thread that runs it ends when it returns.
    pub fn shut_down(&self, grace: Duration) {
        self.shutdown.begin(grace);
        self.threads.notify();
    }

    /// Replaces the handler of every worker. A request that an old handler has received still gets the response of that
    /// handler.
    pub fn replace_handlers(&self, make: &MakeHandler) {
        self.handlers.replace(make);
    }
}
