//! The limits and timeouts of a connection, with their defaults.

use std::time::Duration;

/// The limits of what one connection can make the server hold in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum length of a request target in bytes. A longer one is rejected with 414. RFC 9112 §3 recommends at
    /// least 8,000 for the whole request line.
    pub target_bytes: usize,
    /// The maximum size of a head in bytes, with its request line and without CRLF CRLF at its end. A larger head is
    /// rejected with 431. A value above 65,535 counts as 65,535. The default of 32 KiB has room for large cookies.
    pub head_bytes: usize,
    /// The maximum number of header lines. A head with more is rejected with 431. A value above
    /// [`MAX_HEADERS`](crate::codec::head::MAX_HEADERS) counts as `MAX_HEADERS`.
    pub headers: usize,
    /// The maximum size of a request body in bytes. A larger one is rejected with 413. The whole body is held in memory.
    pub body_bytes: usize,
    /// The maximum number of bytes of chunk extensions and trailers together in one request. A request with more is
    /// rejected with 431.
    pub chunk_overhead_bytes: usize,
    /// If the queued responses have at least this number of bytes, the connection parses no further pipelined request
    /// until fewer bytes are queued. This limits the queue of a client that sends requests and does not read responses.
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

/// The longest times that one connection can make the server wait, and the lowest rates that it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The maximum time from the first byte of a head to its last byte. After this time, the request is rejected with
    /// 408. Bytes that arrive in between do not extend the time.
    pub head: Duration,
    /// The maximum time in which no byte of a request body arrives, before the body is complete. After this time, the
    /// request is rejected with 408.
    pub body_idle: Duration,
    /// The bytes per second that a client must send of a body on average. The request is rejected with 408 when the
    /// time since the end of the head exceeds `body_idle` plus one second for each `body_rate` bytes of the body
    /// received. A `body_rate` of 0 counts as 1.
    pub body_rate: u32,
    /// The maximum time from a complete request to its response. After this time, the request is rejected with 503.
    ///
    /// It limits replies for which the engine waits, not code that it runs: a handler that replies with
    /// [`Reply::Now`](crate::Reply::Now), and in the blocking engine the job of an
    /// [`Reply::Offload`](crate::Reply::Offload), may take longer. Event loops check it once a second, so that a rejection
    /// comes up to one second late.
    pub reply: Duration,
    /// The maximum time in which the client reads nothing of the responses queued for it. After this time, the
    /// connection is closed.
    pub write_stall: Duration,
    /// The bytes per second that a client must read of its responses on average, until the send queue is empty. The
    /// connection is closed when the time since sending began exceeds `write_stall` plus one second for each
    /// `send_rate` bytes sent in this time. A `send_rate` of 0 counts as 1.
    pub send_rate: u32,
    /// The maximum time between two requests on one connection, and before the first one. After this time, the
    /// connection is closed.
    pub idle: Duration,
    /// The maximum time for which the server reads and drops what the client sends after the last response. Closing at
    /// once would reset the connection, and the client could lose the response (RFC 9112 §9.6).
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
    /// The maximum sizes of what a connection makes the server hold.
    pub limits: Limits,
    /// The maximum waits, and the minimum rates.
    pub timeouts: Timeouts,
}
