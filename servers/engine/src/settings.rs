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
    /// The limit of open connections if [`Settings::max_connections`] is `None`: 10,000 with event loops, and 1,024
    /// with the blocking engine, which needs a thread for each connection.
    ///
    /// 10,000 busy connections of event loops take about 160 MB of memory and their queued responses; idle connections
    /// take a few hundred bytes each.
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
    /// Maximum number of open connections, over all workers; `None` for [`Engine::default_max_connections`]. Each event
    /// loop may hold an equal share, rounded up.
    ///
    /// At the limit, the longest idle connection (of the same event loop) is closed for a new one. If no connection is
    /// idle, the new one gets 503.
    pub max_connections: Option<usize>,
    /// Maximum number of open connections from one IP address, over all workers of the process; `None` for no limit.
    pub max_connections_per_address: Option<usize>,
    /// Number of threads that run the jobs of [`Reply::Offload`](http_core::Reply::Offload) for all event loops
    /// together. The blocking engine runs such a job on the connection's own thread.
    pub pool_threads: usize,
    /// Maximum number of [`Reply::Offload`](http_core::Reply::Offload) jobs that wait for a free thread of the pool. If
    /// the queue is full, the request gets 503. The blocking engine has no such queue.
    pub pool_queue: usize,
    /// Maximum number of bytes that the requests of all connections hold in memory together, beyond the first 16 KiB of
    /// each. A request that needs more gets 503. Each process has a limit of its own.
    pub max_buffered_bytes: usize,
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
            max_buffered_bytes: 256 * 1024 * 1024,
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

    /// The maximum number of open connections with `engine`, at least 1.
    pub(crate) fn connection_limit(&self, engine: Engine) -> usize {
        self.max_connections.unwrap_or(engine.default_max_connections()).max(1)
    }
}
