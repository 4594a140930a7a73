//! The result of a load. Each thread has its own; the driver adds them up at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency in the histogram: an hour, in nanoseconds. A longer one counts as an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// The result of a load: counts, latencies, and what the driver used. Every request counts in either `requests` or
/// `errors`.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Latencies of right responses in **nanoseconds**, to three significant digits: from the time when a request was
    /// due to the last byte of its response. In an open loop a request is due at its scheduled time; in a closed loop,
    /// when it could be sent, or, with a connection of its own, when connecting started.
    pub latencies: Histogram<u64>,
    /// In an open loop: how late the driver sent those requests for which a connection was free, in **nanoseconds**.
    /// Each latency contains the delay of its request. If the two are nearly equal, the latency is the driver's, not
    /// the server's.
    pub driver_delays: Histogram<u64>,
    /// The number of requests with a right response.
    pub requests: u64,
    /// Time from the start of the load to the last response or fault.
    pub elapsed: Duration,
    /// The number of bytes received, in right and wrong responses; with TLS, as decrypted.
    pub bytes_received: u64,
    /// The number of failed requests, and of connections that failed without a request, for each fault.
    pub errors: BTreeMap<Fault, u64>,
    /// The number of well-formed responses for each status code, expected or not.
    pub statuses: BTreeMap<u16, u64>,
    /// The number of well-formed responses for each value of the header
    /// [`Load::count_header`](super::Load::count_header); empty without a `count_header`. Responses without the header
    /// count as `""`.
    pub by_header: BTreeMap<String, u64>,
    /// The number of right responses on each connection. A connection that the driver opens again counts as the same.
    pub by_connection: Vec<u64>,
    /// The CPU time that all driver threads used together, without polling that found nothing to do.
    pub driver_cpu: Duration,
    /// The same of the busiest driver thread, as a part of the elapsed time, from 0 to 1. Near 1, the driver was the
    /// bottleneck, not the server.
    pub busiest_thread: f64,
}

/// What went wrong with a request. The driver then closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Connecting failed: refused, unreachable, no descriptor left, or no common parameters of TLS.
    Connect,
    /// Connecting failed because all local ports towards the server are taken, most by connections in TIME-WAIT.
    NoPort,
    /// The response was not complete before the timeout, or the server did not close the connection in time after a
    /// response that has to be the last.
    Timeout,
    /// In an open loop: no connection became free in time, so the request was never sent.
    NeverSent,
    /// The server reset the connection before the response was complete.
    Reset,
    /// The server closed the connection before the response was complete.
    EarlyClose,
    /// The received bytes are not a valid HTTP/1.1 response.
    Malformed,
    /// The server sent bytes after the last response that was due.
    ExtraBytes,
    /// The response is well-formed, but has another status code than expected.
    WrongStatus,
    /// The response is well-formed, but has not the expected value of a header.
    WrongHeader,
    /// The response is well-formed, but its content or the length of its content is not the expected one.
    WrongBody,
}

impl Stats {
    /// The latency that `percent` percent of the requests did not exceed: `percentile(99.0)`. Zero without requests.
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_quantile(percent / 100.0))
    }

    /// The delay in the driver that `percent` percent of the requests did not exceed. Zero in a closed loop.
    pub fn driver_delay(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.driver_delays.value_at_quantile(percent / 100.0))
    }

    /// Right responses per second of the elapsed time.
    pub fn requests_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.requests as f64 / seconds } else { 0.0 }
    }

    /// The number of failed requests, with all faults.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Adds the result of another driver thread of the same load.
    pub(super) fn merge(&mut self, other: &Stats) {
        // Both have the bounds of `default`, and `add` fails only on different bounds.
        let added = self.latencies.add(&other.latencies);
        let also_added = self.driver_delays.add(&other.driver_delays);
        debug_assert!(added.is_ok() && also_added.is_ok());
        self.requests += other.requests;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.bytes_received += other.bytes_received;
        add(&mut self.errors, &other.errors);
        add(&mut self.statuses, &other.statuses);
        add(&mut self.by_header, &other.by_header);
        self.by_connection.extend(&other.by_connection);
        self.driver_cpu += other.driver_cpu;
        self.busiest_thread = self.busiest_thread.max(other.busiest_thread);
    }
}

/// Adds each count to the sum with the same key.
fn add<K: Clone + Ord>(sums: &mut BTreeMap<K, u64>, counts: &BTreeMap<K, u64>) {
    for (key, count) in counts {
        *sums.entry(key.clone()).or_default() += count;
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Connect => "cannot connect",
            Fault::NoPort => "cannot connect: no local port left",
            Fault::Timeout => "timeout",
            Fault::NeverSent => "never sent: no connection was free in time",
            Fault::Reset => "connection reset",
            Fault::EarlyClose => "connection closed before the response was complete",
            Fault::Malformed => "malformed response",
            Fault::ExtraBytes => "more bytes than the response",
            Fault::WrongStatus => "wrong status",
            Fault::WrongHeader => "wrong header",
            Fault::WrongBody => "wrong content",
        })
    }
}

impl Default for Stats {
    /// The result of a load before its first request.
    fn default() -> Self {
        // Fixed bounds keep the histogram from allocating later.
        #[expect(clippy::expect_used, reason = "an hour, and 0 to 5 digits, are valid")]
        let latencies = Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("valid bounds");
        Stats {
            driver_delays: latencies.clone(),
            latencies,
            requests: 0,
            elapsed: Duration::ZERO,
            bytes_received: 0,
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            by_header: BTreeMap::new(),
            by_connection: Vec::new(),
            driver_cpu: Duration::ZERO,
            busiest_thread: 0.0,
        }
    }
}
