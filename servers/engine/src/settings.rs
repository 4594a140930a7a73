//! How a server is set up: its engine, its workers, its limits; and which values make no sense.

use http_core::{Config, ConfigError};
use std::{fmt, ops::RangeInclusive};

/// The smallest accepted stack of a thread. The engine itself needs less than half of it.
const MIN_STACK_SIZE: usize = 128 * 1024;

/// The two ways to wait for clients.
///
/// ```
/// use http_engine::{Engine, Server};
///
/// let running = Server::bind("127.0.0.1:0")?.engine(Engine::Blocking).serve(|_| "Hello")?;
/// # drop(running);
/// # Ok::<(), std::io::Error>(())
/// ```
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
///
/// [`Server`](crate::Server) rejects values that make no sense ([`Settings::check`]).
///
/// ```
/// use http_engine::{Server, Settings};
///
/// let settings = Settings { workers: 2, max_connections_per_address: Some(100), ..Settings::default() };
/// let running = Server::bind("127.0.0.1:0")?.settings(settings).serve(|_| "Hello")?;
/// # drop(running);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of event loops; with [`Engine::Blocking`], number of threads that always wait for new connections. 1 to
    /// 1,024. By default a worker per CPU, at most 8.
    pub workers: usize,
    /// Maximum number of open connections, over all workers of the process; `None` for
    /// [`Engine::default_max_connections`]. At least 1.
    ///
    /// At the limit, an idle connection is closed for a new one: the longest idle one of the event loop that has
    /// accepted the new connection, or if it has none, of another event loop. If no connection is idle, the new one
    /// gets 503 and does not count. A connection that is refused because of its address closes no other.
    ///
    /// If the limit on open files has no room for so many, the server allows fewer. It logs a warning if the setting is
    /// not met, or less than half of the default ([`ConnectionBudget`](crate::ConnectionBudget)).
    pub max_connections: Option<usize>,
    /// Maximum number of open connections from one IP address, over all workers of the process; `None` for no limit. At
    /// least 1. By default `None`, because many clients may share an address (NAT).
    ///
    /// It does not limit [trusted proxies](http_core::Config::proxies). The client that a PROXY header announces is
    /// counted when the header has arrived; the client that a header of a request names is not.
    pub max_connections_per_address: Option<usize>,
    /// How many descriptors each connection needs: 1 for its socket, and those that the application opens for one
    /// request, unless they are in [`reserved_descriptors`](Settings::reserved_descriptors). 1 to 16.
    ///
    /// The blocking engine counts at least 2: a connection needs one more while it waits for a late reply or for the
    /// source of a stream. By default 1.
    pub descriptors_per_connection: usize,
    /// How many descriptors the process needs for what is not the engine's: standard streams, logs, the files that the
    /// application has open at most. By default 64.
    pub reserved_descriptors: usize,
    /// Number of threads that run the jobs of [`Reply::Offload`](http_core::Reply::Offload) for all event loops
    /// together, 1 to 1,024. The blocking engine starts a thread for each job that finds none free, up to 64 more than
    /// the maximum number of connections: a job can outlive its connection. By default the number of CPUs, at least 4.
    pub pool_threads: usize,
    /// Maximum number of [`Reply::Offload`](http_core::Reply::Offload) jobs that wait for a free thread of the pool. If
    /// the queue is full, the request gets 503. The blocking engine has no such queue. 0 to 1,048,576.
    /// By default 1,024.
    pub pool_queue: usize,
    /// Number of threads that run what waits for a client, for all workers together: what streams content and bodies
    /// and, with event loops, what takes over connections after an upgrade. 1 to 1,024. If none is free, the request
    /// gets 503. A thread starts when it is first needed. By default 64.
    pub streaming_threads: usize,
    /// Maximum number of bytes that the requests of all connections hold in memory together, beyond the first 16 KiB of
    /// each. A request that needs more gets 503. Each process has a limit of its own. By default 256 MiB.
    pub max_buffered_bytes: usize,
    /// Whether to measure the latency of each response ([`WorkerMetrics::latency`](crate::WorkerMetrics::latency)),
    /// which takes a look at the clock. By default false.
    pub measure_latency: bool,
    /// The stack size in bytes of each thread that runs handlers or their jobs. 128 KiB to 1 GiB. Memory that a thread
    /// has never touched costs address space only.
    ///
    /// If a handler needs more, the operating system ends the process. By default 2 MiB.
    pub stack_size: usize,
    /// The value of the `Server` header: printable ASCII, not empty. By default `http-core/` and its version.
    pub server: String,
    /// The limits and timeouts of the protocol. By default [`Config::default`](http_core::Config).
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
            descriptors_per_connection: 1,
            reserved_descriptors: 64,
            // One slow job must not delay all others, even on a single core.
            pool_threads: cores.max(4),
            pool_queue: 1024,
            streaming_threads: 64,
            max_buffered_bytes: 256 * 1024 * 1024,
            measure_latency: false,
            // The default of the standard library, so that a handler behaves the same in a test and on either engine.
            stack_size: 2 * 1024 * 1024,
            server: concat!("http-core/", env!("CARGO_PKG_VERSION")).to_owned(),
            protocol: Config::default(),
        }
    }
}

impl Settings {
    /// Checks that every value makes sense.
    ///
    /// # Errors
    ///
    /// The first value outside its accepted range, or the error of [`Config::check`].
    pub fn check(&self) -> Result<(), SettingsError> {
        const COUNT: RangeInclusive<usize> = 1..=u32::MAX as usize;
        for (setting, value, accepted) in [
            ("workers", self.workers, 1..=1024),
            ("max_connections", self.max_connections.unwrap_or(1), COUNT),
            ("max_connections_per_address", self.max_connections_per_address.unwrap_or(1), COUNT),
            ("descriptors_per_connection", self.descriptors_per_connection, 1..=16),
            ("pool_threads", self.pool_threads, 1..=1024),
            ("pool_queue", self.pool_queue, 0..=1024 * 1024),
            ("streaming_threads", self.streaming_threads, 1..=1024),
            ("stack_size", self.stack_size, MIN_STACK_SIZE..=1024 * 1024 * 1024),
        ] {
            if !accepted.contains(&value) {
                return Err(SettingsError::OutOfRange(setting, value, accepted));
            }
        }
        if self.server.is_empty() || !self.server.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(SettingsError::Server(self.server.clone()));
        }
        self.protocol.check().map_err(SettingsError::Protocol)
    }
}

/// A setting with a value that makes no sense: the error of [`Settings::check`].
///
/// ```
/// use http_engine::{Settings, SettingsError};
///
/// let settings = Settings { workers: 0, ..Settings::default() };
/// assert_eq!(settings.check(), Err(SettingsError::OutOfRange("workers", 0, 1..=1024)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// The field of [`Settings`] with this name has this value, which is not in this range.
    OutOfRange(&'static str, usize, RangeInclusive<usize>),
    /// [`Settings::server`] has this value, which is empty or contains other characters than printable ASCII.
    Server(String),
    /// A limit or timeout in [`Settings::protocol`] makes no sense.
    Protocol(ConfigError),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::OutOfRange(setting, value, accepted) => {
                let (least, most) = (accepted.start(), accepted.end());
                write!(f, "cannot use the setting `{setting}` of {value}: it must be from {least} to {most}")
            }
            SettingsError::Server(value) => {
                write!(
                    f,
                    "cannot use the setting `server` of {value:?}: it must be printable ASCII, not empty"
                )
            }
            SettingsError::Protocol(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SettingsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn check(expected: &str, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::default();
        change(&mut settings);
        let error = settings.check().err().map_or_else(String::new, |error| error.to_string());
        assert_eq!(error, expected);
    }

    fn check_range(name: &str, least: usize, most: usize, set: fn(&mut Settings, usize)) {
        for value in [least, most] {
            check("", |settings| set(settings, value));
        }
        for value in [least.checked_sub(1), most.checked_add(1), Some(usize::MAX)].into_iter().flatten() {
            let expected =
                format!("cannot use the setting `{name}` of {value}: it must be from {least} to {most}");
            check(&expected, |settings| set(settings, value));
        }
    }

    #[test]
    fn rejects_values_that_make_no_sense() {
        const MAX_COUNT: usize = u32::MAX as usize;
        check_range("workers", 1, 1024, |settings, value| settings.workers = value);
        check_range("max_connections", 1, MAX_COUNT, |settings, value| {
            settings.max_connections = Some(value);
        });
        check_range("max_connections_per_address", 1, MAX_COUNT, |settings, value| {
            settings.max_connections_per_address = Some(value);
        });
        check_range("descriptors_per_connection", 1, 16, |settings, value| {
            settings.descriptors_per_connection = value;
        });
        check_range("pool_threads", 1, 1024, |settings, value| settings.pool_threads = value);
        check_range("pool_queue", 0, 1024 * 1024, |settings, value| settings.pool_queue = value);
        check_range("streaming_threads", 1, 1024, |settings, value| settings.streaming_threads = value);
        check_range("stack_size", 128 * 1024, 1024 * 1024 * 1024, |settings, value| {
            settings.stack_size = value;
        });
        check("", |settings| settings.reserved_descriptors = usize::MAX);
        check(
            "cannot use the setting `server` of \"a\\r\\nX: y\": it must be printable ASCII, not empty",
            |settings| settings.server = "a\r\nX: y".to_owned(),
        );
        check(
            "cannot use the timeout `idle` of 0ns: it must be above zero and at most 365 days",
            |settings| {
                settings.protocol.timeouts.idle = Duration::ZERO;
            },
        );
    }
}
