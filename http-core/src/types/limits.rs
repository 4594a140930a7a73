//! Limits and timeouts of a connection: the maximum of each size and of each wait, with the reason for its default.

use std::time::Duration;

/// The most that one connection may make the server hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request target; a longer one gets 414. RFC 9112 §3 recommends at least 8,000 for the whole line.
    pub target_bytes: usize,
    /// Bytes of a head, request line included; a larger one gets 431. At most 65,535, because the head index holds
    /// 16-bit offsets. The default has room for large cookies, and a thousand such heads fit in 32 MiB.
    pub head_bytes: usize,
    /// Header lines of a head; more get 431. At most [`MAX_HEADERS`](crate::codec::head::MAX_HEADERS).
    pub headers: usize,
    /// Bytes of a request body, which is held in memory as a whole; a larger one gets 413.
    pub body_bytes: usize,
    /// Bytes of chunk extensions and trailers in one request; more get 431. They carry no content and cost time.
    pub chunk_overhead_bytes: usize,
    /// Bytes of queued responses. The connection parses no further pipelined request until fewer are queued, so that
    /// a client that sends and does not read cannot make the queue grow.
    pub queued_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            target_bytes: 8 * 1024,
            head_bytes: 32 * 1024,
            headers: 100,
            body_bytes: 1024 * 1024,
            chunk_overhead_bytes: 16 * 1024,
            queued_bytes: 64 * 1024,
        }
    }
}

/// The longest that a connection may make the server wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a head to its last; then 408. Bytes that arrive in between do not extend it.
    pub head: Duration,
    /// Between two reads of a body; then 408.
    pub body_idle: Duration,
    /// Bytes per second that a body must reach on average once `body_idle` has passed; else 408.
    pub body_rate: u32,
    /// From a request to its response, when the handler does not reply at once; then 503.
    pub reply: Duration,
    /// Between two writes of a response; then the connection is closed, because the client does not read.
    pub write_stall: Duration,
    /// Bytes per second that the client must read on average once `write_stall` has passed; else the connection is
    /// closed.
    pub send_rate: u32,
    /// Between two requests on one connection; then it is closed.
    pub idle: Duration,
    /// For reading and dropping what the client still sends after the last response. Closing at once would reset the
    /// connection and could destroy the response (RFC 9112 §9.6).
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
            idle: Duration::from_secs(60),
            linger: Duration::from_secs(5),
        }
    }
}

/// The limits and timeouts of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The maximum sizes.
    pub limits: Limits,
    /// The maximum waits.
    pub timeouts: Timeouts,
}
