//! How much and how long: every size has a ceiling and every wait an end, each a setting with its reason.

use std::time::Duration;

/// Ceilings on what one connection may make the server hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request target; beyond it 414. RFC 9112 §3 asks for at least 8,000 in the whole line.
    pub target_bytes: usize,
    /// Bytes of a whole head, request line included; beyond it 431. At most 65,535, for the head is indexed
    /// with 16-bit offsets. Large cookies fit; a thousand such heads still fit in 32 MiB.
    pub head_bytes: usize,
    /// Field lines of a head; beyond it 431. At most [`MAX_FIELDS`](crate::codec::head::MAX_FIELDS).
    pub fields: usize,
    /// Bytes of a request's content, which is held in memory whole; beyond it 413.
    pub body_bytes: usize,
    /// Bytes of chunk extensions and trailers in one request, which carry nothing and cost work; beyond it 431.
    pub chunk_overhead_bytes: usize,
    /// Bytes of answers queued before the next pipelined request is looked at: memory stays bounded when a
    /// peer asks and does not read.
    pub queued_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            target_bytes: 8 * 1024,
            head_bytes: 32 * 1024,
            fields: 100,
            body_bytes: 1024 * 1024,
            chunk_overhead_bytes: 16 * 1024,
            queued_bytes: 64 * 1024,
        }
    }
}

/// How long a connection may make the server wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From a head's first byte to its end, however it drips: a slow writer must not hold a connection.
    pub head: Duration,
    /// Between two pieces of a body.
    pub body_idle: Duration,
    /// Bytes per second that a body must reach on average once `body_idle` has passed: dripping is no way round.
    pub body_rate: u32,
    /// From a request to its answer when that is not ready at once; then 503.
    pub answer: Duration,
    /// Without any progress while an answer is being sent: a peer that does not read is dropped.
    pub write_stall: Duration,
    /// Bytes per second that a peer must take of its answers on average once `write_stall` has passed: sipping is
    /// no way round.
    pub send_rate: u32,
    /// Between two requests on one connection.
    pub idle: Duration,
    /// For reading and dropping what a peer still sends after an early last answer, so that the answer is not
    /// lost to a reset (RFC 9112 §9.6).
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            head: Duration::from_secs(15),
            body_idle: Duration::from_secs(15),
            body_rate: 512,
            answer: Duration::from_secs(120),
            write_stall: Duration::from_secs(30),
            send_rate: 512,
            idle: Duration::from_secs(60),
            linger: Duration::from_secs(5),
        }
    }
}

/// Everything a connection is set up with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Sizes.
    pub limits: Limits,
    /// Waits.
    pub timeouts: Timeouts,
}
