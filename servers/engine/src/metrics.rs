//! What a server counts while it serves. Each worker has counters of its own, in memory that no other worker writes to.
//!
//! Counting never locks. A reader may see one counter of a response before another.

use http_core::Status;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The upper bounds of the buckets of [`WorkerMetrics::latency`]. The last bucket has none.
pub const LATENCY_BOUNDS: [Duration; 10] = [
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// What one worker of a server has counted since it started ([`Running::metrics`](crate::Running::metrics)).
///
/// ```
/// use http_engine::{Server, WorkerMetrics};
///
/// let running = Server::bind("127.0.0.1:0")?.workers(2).serve(|_| "Hello")?;
/// let workers: Vec<WorkerMetrics> = running.metrics();
/// assert_eq!((workers.len(), workers[0].open_connections), (2, 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerMetrics {
    /// The number of responses by the class of their status: from 1xx to 5xx. A response counts when it is queued.
    pub responses: [u64; 5],
    /// The bytes sent to clients: heads and bodies of responses, but nothing after an upgrade.
    pub sent_bytes: u64,
    /// The connections that are open now, without refused ones.
    pub open_connections: u64,
    /// The open connections that wait for their client's next request.
    pub idle_connections: u64,
    /// The connections that got 503 because of a limit of the server or of their client's address.
    pub refused_connections: u64,
    /// The number of responses by their latency: from the head of the request to the moment at which the response is
    /// queued. The bucket with index `i` counts those that took at most [`LATENCY_BOUNDS`]`[i]`, and longer than the
    /// bound before. All are zero unless [`Settings::measure_latency`](crate::Settings::measure_latency) is set.
    pub latency: [u64; LATENCY_BOUNDS.len() + 1],
    /// The sum of all latencies.
    pub latency_sum: Duration,
}

/// The counters of one worker. On cache lines of their own, so that workers do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Whether the latency of each response is measured.
    pub(crate) measures_latency: bool,
    responses: [AtomicU64; 5],
    sent_bytes: AtomicU64,
    open: AtomicU64,
    idle: AtomicU64,
    refused: AtomicU64,
    latency: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    latency_micros: AtomicU64,
}

impl Counters {
    /// Creates the counters of this number of workers.
    pub(crate) fn of_workers(workers: usize, measures_latency: bool) -> Arc<[Arc<Counters>]> {
        (0..workers).map(|_| Arc::new(Counters { measures_latency, ..Counters::default() })).collect()
    }

    /// Counts a response that is queued.
    #[inline]
    pub(crate) fn count_response(&self, status: Status) {
        let class = usize::from(status.code() / 100).clamp(1, 5) - 1;
        self.responses[class].fetch_add(1, Relaxed);
    }

    /// Counts the latency of a response.
    pub(crate) fn count_latency(&self, latency: Duration) {
        let bucket = LATENCY_BOUNDS.iter().position(|bound| latency <= *bound);
        self.latency[bucket.unwrap_or(LATENCY_BOUNDS.len())].fetch_add(1, Relaxed);
        self.latency_micros.fetch_add(latency.as_micros() as u64, Relaxed);
    }

    /// Counts bytes that the kernel has taken for a client.
    #[inline]
    pub(crate) fn count_sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts a connection that gets 503.
    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a connection that has been opened, or is counted again.
    #[inline]
    pub(crate) fn open(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// Ends the count of an open connection.
    #[inline]
    pub(crate) fn close(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// The number of open connections.
    #[inline]
    pub(crate) fn open_connections(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Updates the number of idle connections for a connection that was idle (`before`), and is now. Returns `now`.
    #[inline]
    pub(crate) fn change_idle(&self, before: bool, now: bool) -> bool {
        match (before, now) {
            (false, true) => self.idle.fetch_add(1, Relaxed),
            (true, false) => self.idle.fetch_sub(1, Relaxed),
            _ => 0,
        };
        now
    }

    /// Returns the present values.
    pub(crate) fn read(&self) -> WorkerMetrics {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        WorkerMetrics {
            responses: self.responses.each_ref().map(read),
            sent_bytes: read(&self.sent_bytes),
            open_connections: read(&self.open),
            idle_connections: read(&self.idle),
            refused_connections: read(&self.refused),
            latency: self.latency.each_ref().map(read),
            latency_sum: Duration::from_micros(read(&self.latency_micros)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_responses_by_class_and_latency() {
        let workers = Counters::of_workers(2, true);
        for (status, micros) in [(200, 100), (206, 101), (404, 5_000_001), (101, 0)] {
            workers[1].count_response(Status::new(status));
            workers[1].count_latency(Duration::from_micros(micros));
        }
        let metrics = workers[1].read();
        assert_eq!(metrics.responses, [1, 2, 0, 1, 0]);
        assert_eq!(metrics.latency, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(metrics.latency_sum, Duration::from_micros(5_000_202));
        assert_eq!(workers[0].read(), WorkerMetrics::default());
    }
}
