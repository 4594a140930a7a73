//! How a server is set up: its engine, its workers, its limits.

use http_core::Config;

/// The two ways to wait for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One thread per connection.
    Blocking,
    /// A few threads, each waiting for many connections in epoll.
    EventLoop,
}

impl Engine {
    /// Connections that this engine holds at once unless [`Settings::max_connections`] says otherwise.
    ///
    /// 10,000 with event loops: an idle connection takes a few hundred bytes of memory, a busy one 16 KiB plus its
    /// queued responses, so that 10,000 busy ones take about 160 MB and their responses. 1,024 with the blocking
    /// engine, which needs a thread for each connection.
    pub fn default_max_connections(self) -> usize {
        match self {
            Engine::Blocking => 1024,
            Engine::EventLoop => 10_000,
        }
    }
}

/// The settings of a server. Build one with `Settings { workers: 2, ..Settings::default() }`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of event loops; with [`Engine::Blocking`], number of threads that always wait for new connections.
    pub workers: usize,
    /// Maximum number of open connections, over all workers; `None` for [`Engine::default_max_connections`].
    ///
    /// At the limit, a new connection replaces the one that has been idle for longest. If none is idle, the new one
    /// gets 503.
    pub max_connections: Option<usize>,
    /// Maximum number of open connections from one IP address, over all workers of the process; `None` for no limit.
    pub max_connections_per_address: Option<usize>,
    /// Number of threads that run [`Reply::Offload`](http_core::Reply::Offload) jobs for all event loops together. The
    /// blocking engine has no such threads: it runs the job on the connection's own thread.
    pub pool_threads: usize,
    /// Maximum number of [`Reply::Offload`](http_core::Reply::Offload) jobs that wait for a free thread of the pool. At
    /// the limit, a request whose handler returns such a job gets 503.
    pub pool_queue: usize,
    /// The value of the `Server` header.
    pub server: String,
    /// The limits and timeouts of the protocol.
    pub protocol: Config,
}

impl Default for Settings {
    fn default() -> Settings {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Settings {
            // More event loops than cores do not help; above 8, measure first.
            workers: cores.min(8),
            max_connections: None,
            // Many clients may share one address (NAT).
            max_connections_per_address: None,
            // One slow job must not delay all others, even on a single core.
            pool_threads: cores.max(4),
            pool_queue: 1024,
            server: concat!("http-core/", env!("CARGO_PKG_VERSION")).to_owned(),
            protocol: Config::default(),
        }
    }
}

impl Settings {
    /// The number of workers, at least 1.
    pub(crate) fn workers(&self) -> usize {
        self.workers.max(1)
    }

    /// The connection limit of `engine`, at least 1.
    pub(crate) fn connection_limit(&self, engine: Engine) -> usize {
        self.max_connections.unwrap_or(engine.default_max_connections()).max(1)
    }
}
