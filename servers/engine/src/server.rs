//! A server: its listening sockets, its engine and its settings, then the running server, then its end.

use crate::{
    admission::Admission,
    blocking,
    descriptors::ConnectionBudget,
    event_loop,
    handlers::Handlers,
    listener::{self, ListenAddr, Listener, Sharing, Sockets},
    metrics::{Counters, WorkerMetrics},
    settings::{Engine, Settings, SettingsError},
    shutdown::Shutdown,
    threads::Threads,
};
use http_core::{Handler, HandlerFn, IntoReply, Limits, Timeouts, io_cause};
use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    os::unix::net::SocketAddr as UnixAddr,
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

/// A server that has its listening sockets and does not serve yet.
///
/// ```no_run
/// use http_engine::Server;
///
/// Server::bind("127.0.0.1:8080")?.serve(|_| "Hello")?.wait()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Each method that begins to serve returns an error if a setting makes no sense ([`Settings::check`]), or if the
/// system has no threads, descriptors or memory left.
///
/// Errors that no response can report go to the [`log`](https://docs.rs/log) crate: install a logger in your program to
/// see them.
#[derive(Debug)]
#[must_use = "a server does nothing until it serves"]
pub struct Server {
    sockets: Sockets,
    engine: Engine,
    settings: Settings,
}

impl Server {
    /// Binds every address that `addresses` resolves to. The kernel queues new connections from here on.
    ///
    /// If the port is 0, the kernel chooses a port: [`Running::local_addr`] returns it. With several event loops, each
    /// has a socket of its own for each address, and the kernel distributes new connections among them
    /// (`SO_REUSEPORT`).
    ///
    /// # Errors
    ///
    /// There is no address, or one cannot be resolved or bound ([`listener::bind_error`]).
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<Server> {
        let addresses = addresses.to_socket_addrs().map_err(|error| {
            let is_malformed = error.kind() == io::ErrorKind::InvalidInput;
            let remedy = if is_malformed { " (write host:port, such as 127.0.0.1:8080)" } else { "" };
            let message = format!("cannot resolve the address to bind: {}{remedy}", io_cause(&error));
            io::Error::new(error.kind(), message)
        })?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        if addresses.is_empty() {
            return Err(invalid("cannot bind: the list of addresses is empty"));
        }
        let bound = listener::bind_all(&addresses, Sharing::PerWorker)
            .map_err(|(address, error)| listener::bind_error(address, &error))?;
        Ok(Server::new(bound))
    }

    /// Binds a Unix socket at `path`, with the permissions that the umask leaves. If the path leads to a socket on
    /// which no process listens, replaces it. For other permissions, an abstract name or several sockets, pass what
    /// [`listener::bind_unix`] returns to [`listen`](Server::listen) or [`and_listen`](Server::and_listen).
    ///
    /// ```
    /// use http_engine::Server;
    ///
    /// let path = std::env::temp_dir().join(format!("doc-unix-{}.socket", std::process::id()));
    /// let running = Server::bind_unix(&path)?.serve(|_| "Hello")?;
    /// println!("{}", running.addresses()[0]); // unix:/tmp/doc-unix-7.socket
    /// # drop(running);
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The path is too long (107 bytes), or as of [`listener::bind_unix`].
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Server> {
        let path = path.as_ref();
        let address = UnixAddr::from_pathname(path).map_err(|error| {
            let cause = io_cause(&error);
            io::Error::new(error.kind(), format!("cannot bind unix:{}: {cause}", path.display()))
        })?;
        Server::listen(listener::bind_unix(&address, None)?)
    }

    /// Creates a server on a listening socket: a [`TcpListener`], a [`UnixListener`](std::os::unix::net::UnixListener),
    /// or one that the process has [inherited](Listener#impl-TryFrom<OwnedFd>-for-Listener). Makes the socket
    /// non-blocking. All event loops share it.
    ///
    /// A connection to a Unix socket has no [`client_addr`](http_core::Request::client_addr), and no limit per client
    /// address applies to it. The server does not remove the file of the socket.
    ///
    /// ```
    /// use http_engine::Server;
    /// use std::os::unix::net::UnixListener;
    ///
    /// let path = std::env::temp_dir().join(format!("doc-{}.socket", std::process::id()));
    /// let running = Server::listen(UnixListener::bind(&path)?)?.serve(|_| "Hello")?;
    /// println!("{}", running.addresses()[0]); // unix:/tmp/doc-7.socket
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The descriptor is not a socket of the expected kind.
    pub fn listen(listener: impl Into<Listener>) -> io::Result<Server> {
        Server::listen_all([listener])
    }

    /// Creates a server on several listening sockets, as [`listen`](Server::listen) does on one. If several have the
    /// same address (`SO_REUSEPORT`), they are distributed among the event loops.
    ///
    /// # Errors
    ///
    /// As of [`listen`](Server::listen).
    pub fn listen_all<L: Into<Listener>>(listeners: impl IntoIterator<Item = L>) -> io::Result<Server> {
        listeners.into_iter().try_fold(Server::new(Vec::new()), Server::and_listen)
    }

    /// Adds a listening socket: see [`listen`](Server::listen).
    ///
    /// # Errors
    ///
    /// As of [`listen`](Server::listen).
    pub fn and_listen(mut self, listener: impl Into<Listener>) -> io::Result<Server> {
        let listener = listener.into();
        listener.prepare()?;
        self.sockets.shared.push(listener);
        Ok(self)
    }

    /// Secures the connections of all sockets that the server has so far with TLS. Sockets that are added later are not
    /// secured, unless they are themselves ([`Listener::with_tls`]).
    ///
    /// ```no_run
    /// use http_engine::{Server, tls::{Certificate, Tls, TlsSettings}};
    ///
    /// let tls = Tls::new(TlsSettings::new(Certificate::load("chain.pem", "key.pem")?))?;
    /// Server::bind("0.0.0.0:443")?.tls(&tls).serve(|_| "Hello")?.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: &crate::tls::Tls) -> Server {
        self.sockets.bound_tls = Some(tls.clone());
        let shared = self.sockets.shared.into_iter();
        self.sockets.shared = shared.map(|shared| shared.with_tls(tls)).collect();
        self
    }

    /// Returns how many requests may wait for [`Incoming`](crate::Incoming).
    pub(crate) fn queue_capacity(&self) -> usize {
        self.settings.pool_queue
    }

    fn new(bound: Vec<TcpListener>) -> Server {
        let sockets = Sockets { bound, ..Sockets::default() };
        Server { sockets, engine: Engine::EventLoop, settings: Settings::default() }
    }

    /// Chooses the engine. The default is [`Engine::EventLoop`].
    pub fn engine(mut self, engine: Engine) -> Server {
        self.engine = engine;
        self
    }

    /// Sets the number of workers ([`Settings::workers`]).
    pub fn workers(mut self, workers: usize) -> Server {
        self.settings.workers = workers;
        self
    }

    /// Replaces the limits of what one connection can make the server hold in memory.
    pub fn limits(mut self, limits: Limits) -> Server {
        self.settings.protocol.limits = limits;
        self
    }

    /// Replaces the longest times that one connection can make the server wait.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Server {
        self.settings.protocol.timeouts = timeouts;
        self
    }

    /// Replaces all settings, also what [`workers`](Server::workers), [`limits`](Server::limits) and
    /// [`timeouts`](Server::timeouts) have set.
    pub fn settings(mut self, settings: Settings) -> Server {
        self.settings = settings;
        self
    }

    /// Begins to serve with a function or closure, which all workers call. For a [`Handler`], such as a
    /// [`Router`](http_core::Router), use [`serve_handler`](Server::serve_handler).
    ///
    /// ```no_run
    /// use http_engine::{Engine, Response, Server};
    ///
    /// let server = Server::bind("127.0.0.1:8080")?.engine(Engine::Blocking);
    /// let running = server.serve(|request| Response::text(format!("Hello from {}", request.path())))?;
    /// running.wait()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Server`].
    pub fn serve<F, R>(self, handle: F) -> io::Result<Running>
    where
        F: HandlerFn<R> + Send + Sync + 'static,
        R: IntoReply,
    {
        self.serve_handler(handle)
    }

    /// Begins to serve with a [`Handler`], such as a [`Router`](http_core::Router), which all workers call.
    ///
    /// # Errors
    ///
    /// See [`Server`].
    pub fn serve_handler(self, handler: impl Handler + 'static) -> io::Result<Running> {
        let handler: Arc<dyn Handler> = Arc::new(handler);
        self.serve_each(|_| Arc::clone(&handler))
    }

    /// Begins to serve with a handler for each worker, so that workers need not share a lock. `make` makes the handler
    /// of the worker with the given number (from 0).
    ///
    /// # Errors
    ///
    /// See [`Server`].
    pub fn serve_each(self, make: impl FnMut(usize) -> Arc<dyn Handler>) -> io::Result<Running> {
        let Server { sockets, engine, settings } = self;
        // As text: `main` prints the `Debug` form of an error that it returns.
        settings.check().map_err(|error: SettingsError| invalid(&error.to_string()))?;
        let tcp =
            sockets.bound.iter().map(TcpListener::local_addr).map(|address| address.map(ListenAddr::Tcp));
        let addresses: Vec<_> =
            tcp.chain(sockets.shared.iter().map(Listener::local_addr)).collect::<io::Result<_>>()?;
        if addresses.is_empty() {
            return Err(invalid("cannot serve without a listener"));
        }
        let shutdown = Arc::new(Shutdown::new()?);
        let threads = Threads::new(settings.stack_size, &shutdown);
        let handlers = Handlers::new(settings.workers, make);
        let budget = ConnectionBudget::new(&settings, engine, addresses.len());
        if budget.falls_short() {
            log::warn!("{budget}");
        }
        let admission = Admission::new(&settings, budget.allowed);
        let counters = Arc::clone(admission.all_counters());
        let started = match engine {
            Engine::EventLoop => {
                event_loop::start(sockets, &settings, &admission, &handlers, &shutdown, &threads)
            }
            Engine::Blocking => {
                let listeners = sockets.into_listeners();
                blocking::start(listeners, &settings, admission, &handlers, &shutdown, &threads)
            }
        };
        let handlers = Arc::downgrade(&handlers);
        let running = Running { addresses, counters, handlers, stopper: Stopper { shutdown, threads } };
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

/// Returns the error for what makes no sense.
fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// A running server. Dropping it stops the server.
///
/// Dropping begins a shutdown without a grace period, and does not wait: the threads of the server close the listening
/// sockets and all connections soon after. [`stop`](Running::stop) lets requests finish, and waits.
///
/// ```
/// use http_engine::Server;
/// use std::time::Duration;
///
/// let running = Server::bind("127.0.0.1:0")?.serve(|_| "Hello")?;
/// println!("serving at {}", running.addresses()[0]);
/// running.stop(Duration::from_secs(10));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it stops the server: call `wait`"]
pub struct Running {
    addresses: Vec<ListenAddr>,
    /// The counters of each worker.
    counters: Arc<[Arc<Counters>]>,
    /// The handlers. The workers own them, so that they are dropped when the last worker has ended.
    handlers: Weak<Handlers>,
    stopper: Stopper,
}

impl Running {
    /// Returns the first TCP address that the server listens on, with its actual port; `None` if the server only
    /// listens on Unix sockets.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.iter().find_map(ListenAddr::tcp)
    }

    /// Returns all addresses that the server listens on, with their actual ports.
    pub fn addresses(&self) -> &[ListenAddr] {
        &self.addresses
    }

    /// Returns what each worker has counted so far, by the number of the worker.
    ///
    /// ```
    /// use http_engine::Server;
    ///
    /// let running = Server::bind("127.0.0.1:0")?.serve(|_| "Hello")?;
    /// let responses: u64 = running.metrics().iter().flat_map(|worker| worker.responses).sum();
    /// assert_eq!(responses, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn metrics(&self) -> Vec<WorkerMetrics> {
        self.counters.iter().map(|counters| counters.read()).collect()
    }

    /// Returns what begins a shutdown from any thread, also from a handler.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Replaces the handler of every worker. `make` makes the new handler of the worker with the given number (from 0).
    /// A request that an old handler has received still gets the response of the old handler. Does nothing if the
    /// server has stopped. On the server of an [`Incoming`](crate::Incoming), this ends the loops.
    pub fn replace_handlers(&self, make: impl FnMut(usize) -> Arc<dyn Handler>) {
        if let Some(handlers) = self.handlers.upgrade() {
            handlers.replace(make);
        }
    }

    /// Shuts the server down, and waits until it has stopped. The server accepts no more connections, and gives
    /// unfinished requests at most the time `grace` ([`Stopper::stop`]).
    ///
    /// When this returns, all threads of the server have ended, except those in application code that has not returned
    /// half a second after the grace period. Their number is logged; each ends when the application returns.
    pub fn stop(self, grace: Duration) {
        self.stopper.stop(grace);
        // A worker that has failed has ended, and is logged.
        while self.wait().is_err() {}
    }

    /// Waits until the server has stopped: a shutdown has begun, and all threads have ended (see
    /// [`stop`](Running::stop) for the exception).
    ///
    /// # Errors
    ///
    /// A worker has failed: it has panicked, or epoll has failed. Its connections are closed. The others continue, so
    /// the server has not stopped: exit the process to have it restarted, or wait again. Each failure is returned once.
    pub fn wait(&self) -> io::Result<()> {
        self.stopper.threads.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop(Duration::ZERO);
    }
}

/// Begins the shutdown of a server, from any thread.
///
/// ```
/// use http_engine::Server;
/// use std::{thread, time::Duration};
///
/// let running = Server::bind("127.0.0.1:0")?.serve(|_| "Hello")?;
/// let stopper = running.stopper();
/// // For example when a signal arrives.
/// thread::spawn(move || stopper.stop(Duration::from_secs(10)));
/// running.wait()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stopper {
    shutdown: Arc<Shutdown>,
    threads: Arc<Threads>,
}

impl Stopper {
    /// Begins a graceful shutdown, and does not wait: the server accepts no more connections, and finishes requests
    /// that have arrived. An idle connection gets one more response, if its client sends a request within
    /// [`Timeouts::idle_grace`](http_core::Timeouts::idle_grace); then it closes. A second call can only shorten the
    /// grace period.
    ///
    /// After `grace` (at most a year), the connections that are left are closed. Application code cannot be
    /// interrupted: a thread that runs it ends when it returns.
    pub fn stop(&self, grace: Duration) {
        self.shutdown.begin(Instant::now(), grace);
        self.threads.notify();
    }
}
