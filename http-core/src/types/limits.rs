//! The limits and timeouts of a connection, with their defaults and their check.

use super::{method::Schemes, proxies::Proxies};
use std::time::Duration;

/// The longest timeout that [`Config::check`] accepts: one year of 365 days.
const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The limits of what one connection can make the server hold in memory. [`Config::check`] says which values make
/// sense.
///
/// ```
/// use http_core::{Config, Limits, Request, Status, testing::TestRequest};
///
/// let limits = Limits { body_bytes: 1000, ..Limits::default() };
/// let request = TestRequest::post("/").config(Config { limits, ..Config::default() });
/// let handler = |_: &Request<'_>| "received";
/// assert_eq!(request.clone().body([b'x'; 1000]).run(&handler).status(), Status::OK);
/// assert_eq!(request.body([b'x'; 1001]).run(&handler).status(), Status::CONTENT_TOO_LARGE);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum length of a request target in bytes. A longer one is rejected with 414. RFC 9112 §3 recommends at
    /// least 8,000 for the whole request line. By default 8 KiB.
    pub target_bytes: usize,
    /// The maximum size of a head in bytes, with its request line and without CRLF CRLF at its end. A larger head is
    /// rejected with 431. A value above 65,535 counts as 65,535. The default of 32 KiB has room for large cookies.
    pub head_bytes: usize,
    /// The maximum number of header lines. A head with more is rejected with 431. A value above 128
    /// counts as 128. By default 100.
    pub headers: usize,
    /// The maximum size of a request body in bytes. A larger one is rejected with 413. The whole body is held in
    /// memory. A value above the size of the largest possible buffer counts as that size. By default 1 MiB.
    pub body_bytes: usize,
    /// The maximum size in bytes of request content that is not held in memory, because the handler receives it piece
    /// by piece ([`Reply::Receive`](crate::Reply::Receive), [`Reply::Read`](crate::Reply::Read)). Larger content is
    /// rejected with 413. The default is 16 GiB; on a 32-bit system, a value above 2 GiB counts as 2 GiB.
    pub streamed_bytes: u64,
    /// The maximum number of bytes of chunk extensions and trailers together in one request. A request with more is
    /// rejected with 431. By default 16 KiB.
    pub chunk_overhead_bytes: usize,
    /// If the queued responses have at least this number of bytes, the connection parses no further pipelined request
    /// until fewer bytes are queued. This limits the queue of a client that sends requests and does not read responses.
    /// By default 64 KiB.
    pub queued_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            target_bytes: 8 * 1024,
            head_bytes: 32 * 1024,
            headers: 100,
            body_bytes: 1024 * 1024,
            streamed_bytes: 16 * 1024 * 1024 * 1024,
            chunk_overhead_bytes: 16 * 1024,
            queued_bytes: 64 * 1024,
        }
    }
}

impl Limits {
    /// Returns the maximum size of a body in bytes. It never exceeds what a buffer can hold behind a head, so that
    /// adding the lengths of head and body does not overflow.
    pub(crate) fn max_body(&self) -> usize {
        self.body_bytes.min(isize::MAX as usize - usize::from(u16::MAX))
    }
}

/// The longest times that one connection can make the server wait, and the lowest rates that it accepts.
/// [`Config::check`] says which values make sense.
///
/// ```
/// use http_core::{Config, Timeouts};
/// use std::time::Duration;
///
/// let timeouts = Timeouts { idle: Duration::from_secs(5), ..Timeouts::default() };
/// let config = Config { timeouts, ..Config::default() };
/// assert!(config.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The maximum time from the first byte of a head to its last byte. After this time, the request is rejected with
    /// 408. Bytes that arrive in between do not extend the time. By default 15 seconds.
    pub head: Duration,
    /// The maximum time without a byte of a request body that is not complete. After this time, the request is rejected
    /// with 408. By default 15 seconds.
    pub body_idle: Duration,
    /// The bytes per second that a client must send of a body. Each `body_rate` bytes of the body pay for a second,
    /// from the end of the head on. The request is rejected with 408 when `body_idle` has passed since the end of the
    /// time paid for. A client can pay for at most five seconds in advance, so that a fast beginning does not allow a
    /// slow end. A `body_rate` of 0 counts as 1. By default 512.
    pub body_rate: u32,
    /// The maximum time from a complete request to its response. After this time, the request is rejected with 503.
    ///
    /// It limits how long the client waits. It cannot stop code of the application: a handler that replies with
    /// [`Reply::Now`](crate::Reply::Now) may take longer, and the job of a [`Reply::Offload`](crate::Reply::Offload)
    /// that has started continues, with its [`CancellationToken`](crate::CancellationToken) cancelled. Event loops
    /// check the timeout once a second, so that a rejection comes up to one second late. By default 2 minutes.
    pub reply: Duration,
    /// The maximum time in which the client reads nothing of the responses queued for it. After this time, the
    /// connection is closed. The time in which a stream has nothing to send does not count: see
    /// [`ChunkSource`](crate::ChunkSource). By default 30 seconds.
    pub write_stall: Duration,
    /// The bytes per second that a client must read of its responses, until the send queue is empty. Each `send_rate`
    /// bytes pay for a second, from the moment when sending began. The connection is closed when `write_stall` has
    /// passed since the end of the time paid for. A client can pay for at most five seconds in advance. A `send_rate`
    /// of 0 counts as 1. By default 512.
    pub send_rate: u32,
    /// The maximum time between two requests on one connection, and before the first one. After this time, the
    /// connection is closed. By default 75 seconds: longer than the 60 for which common load balancers keep their
    /// connections, so that the balancer closes first, and sends no request on a connection that the server closes.
    pub idle: Duration,
    /// The maximum time for which an idle connection stays open when the server shuts down, for one more request: a
    /// client may have sent it before it could see the connection close, and cannot tell whether the server has
    /// received it. Its response says that the connection closes. Zero closes idle connections at once. By default 2
    /// seconds.
    pub idle_grace: Duration,
    /// The maximum time for which the server reads and drops what the client sends after the last response. Closing at
    /// once would reset the connection, and the client could lose the response (RFC 9112 §9.6). Zero closes at once.
    /// By default 5 seconds.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            head: Duration::from_secs(15),
            body_idle: Duration::from_secs(15),
            body_rate: 512,
            reply: Duration::from_secs(120),
            write_stall: Duration::from_secs(30),
            send_rate: 512,
            idle: Duration::from_secs(75),
            idle_grace: Duration::from_secs(2),
            linger: Duration::from_secs(5),
        }
    }
}

/// The limits and timeouts of a connection, and what it serves.
///
/// ```
/// use http_core::{Config, Connection, Schemes};
/// use std::{sync::Arc, time::{Duration, Instant}};
///
/// let mut config = Config { schemes: Schemes::HttpAndHttps, ..Config::default() };
/// config.limits.body_bytes = 10_000_000;
/// config.timeouts.idle = Duration::from_secs(10);
/// config.check()?;
/// // All connections of a server share it.
/// let config = Arc::new(config);
/// let connection = Connection::new(Arc::clone(&config), Instant::now());
/// # Ok::<(), http_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The maximum sizes of what a connection makes the server hold.
    pub limits: Limits,
    /// The maximum waits, and the minimum rates.
    pub timeouts: Timeouts,
    /// The schemes of the URIs that are served. Set it if TLS ends in this program or in a proxy that sends requests in
    /// absolute form.
    pub schemes: Schemes,
    /// The proxies that are trusted to name their clients. By default none.
    pub proxies: Proxies,
}

/// A limit or a timeout with a value that makes no sense: the error of [`Config::check`].
///
/// ```
/// use http_core::{Config, ConfigError, Limits};
///
/// let config = Config { limits: Limits { headers: 0, ..Limits::default() }, ..Config::default() };
/// assert_eq!(config.check(), Err(ConfigError::ZeroLimit("headers")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The limit with this name in [`Limits`] is zero: no request would pass it.
    ZeroLimit(&'static str),
    /// The timeout with this name in [`Timeouts`] has this value, which is zero or longer than a year.
    Timeout(&'static str, Duration),
}

impl Config {
    /// Checks that every limit and timeout makes sense. Call this before connections use the configuration.
    ///
    /// A connection with other values does not panic, but it may serve no request: [`Connection`](crate::Connection)
    /// replaces a deadline too far away by one in 30 years.
    ///
    /// # Errors
    ///
    /// The first value in the order of the fields that makes no sense:
    ///
    /// * a limit of zero, except `body_bytes`, `streamed_bytes` and `chunk_overhead_bytes`;
    /// * a timeout of zero, except `idle_grace` and `linger`;
    /// * a timeout of more than 365 days.
    ///
    /// ```
    /// use http_core::Config;
    /// use std::time::Duration;
    ///
    /// let mut config = Config::default();
    /// assert!(config.check().is_ok());
    /// config.timeouts.idle = Duration::ZERO;
    /// let error = config.check().unwrap_err();
    /// assert_eq!(error.to_string(), "cannot use the timeout `idle` of 0ns: it must be above zero and at most 365 days");
    /// ```
    pub fn check(&self) -> Result<(), ConfigError> {
        let Config { limits, timeouts, .. } = self;
        let limits = [
            ("target_bytes", limits.target_bytes == 0),
            ("head_bytes", limits.head_bytes == 0),
            ("headers", limits.headers == 0),
            ("queued_bytes", limits.queued_bytes == 0),
        ];
        if let Some((name, _)) = limits.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::ZeroLimit(name));
        }
        let least = Duration::from_nanos(1);
        let timeouts = [
            ("head", timeouts.head, least),
            ("body_idle", timeouts.body_idle, least),
            ("reply", timeouts.reply, least),
            ("write_stall", timeouts.write_stall, least),
            ("idle", timeouts.idle, least),
            ("idle_grace", timeouts.idle_grace, Duration::ZERO),
            ("linger", timeouts.linger, Duration::ZERO),
        ];
        match timeouts.into_iter().find(|(_, timeout, least)| !(*least..=MAX_TIMEOUT).contains(timeout)) {
            Some((name, timeout, _)) => Err(ConfigError::Timeout(name, timeout)),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for ConfigError {
    /// Writes which value cannot be used, and which values can.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigError::ZeroLimit(name) => {
                write!(f, "cannot use the limit `{name}` of 0: no request would pass it; use 1 or more")
            }
            ConfigError::Timeout(name, timeout) => {
                let least = if matches!(*name, "idle_grace" | "linger") { "" } else { "above zero and " };
                write!(
                    f,
                    "cannot use the timeout `{name}` of {timeout:?}: it must be {least}at most 365 days"
                )
            }
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the default configuration after `change`. The error must contain `expected`; `""` means that there is
    /// none.
    fn check(expected: &str, change: impl FnOnce(&mut Limits, &mut Timeouts)) {
        let mut config = Config::default();
        change(&mut config.limits, &mut config.timeouts);
        let error = config.check().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{expected}: {error}");
    }

    #[test]
    fn rejects_limits_that_no_request_passes() {
        check("limit `target_bytes` of 0", |limits, _| limits.target_bytes = 0);
        check("limit `head_bytes` of 0", |limits, _| limits.head_bytes = 0);
        check("limit `headers` of 0", |limits, _| limits.headers = 0);
        check("limit `queued_bytes` of 0", |limits, _| limits.queued_bytes = 0);
        check("", |limits, _| {
            (limits.body_bytes, limits.streamed_bytes, limits.chunk_overhead_bytes) = (0, 0, 0);
        });
        check("", |limits, _| {
            *limits = Limits {
                target_bytes: usize::MAX,
                head_bytes: usize::MAX,
                headers: usize::MAX,
                body_bytes: usize::MAX,
                streamed_bytes: u64::MAX,
                chunk_overhead_bytes: usize::MAX,
                queued_bytes: u64::MAX,
            };
        });
    }

    #[test]
    fn rejects_timeouts_of_zero_and_of_more_than_a_year() {
        for (name, set) in [
            ("head", (|timeouts, value| timeouts.head = value) as fn(&mut Timeouts, Duration)),
            ("body_idle", |timeouts, value| timeouts.body_idle = value),
            ("reply", |timeouts, value| timeouts.reply = value),
            ("write_stall", |timeouts, value| timeouts.write_stall = value),
            ("idle", |timeouts, value| timeouts.idle = value),
            ("idle_grace", |timeouts, value| timeouts.idle_grace = value),
            ("linger", |timeouts, value| timeouts.linger = value),
        ] {
            let is_wrong = format!("timeout `{name}` of ");
            check(if ["idle_grace", "linger"].contains(&name) { "" } else { &is_wrong }, |_, timeouts| {
                set(timeouts, Duration::ZERO);
            });
            let year = Duration::from_secs(31_536_000);
            for value in [Duration::from_nanos(1), year] {
                check("", |_, timeouts| set(timeouts, value));
            }
            for value in [year + Duration::from_nanos(1), Duration::MAX] {
                check(&is_wrong, |_, timeouts| set(timeouts, value));
            }
        }
    }
}
