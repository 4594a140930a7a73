//! The result of a load. Each thread keeps its own tally; the driver adds them up at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The upper bound of the histogram: an hour, in nanoseconds.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// The result of a load. Every started request counts in either `requests` or `errors`.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Latencies of right answers in **nanoseconds**, to three significant digits: from the time when a request was due
    /// to the last byte of its answer. In an open loop a request is due at its scheduled time; in a closed loop, when
    /// it could be sent, or, with a connection of its own, when connecting started.
    pub latencies: Histogram<u64>,
    /// Requests with a right answer.
    pub requests: u64,
    /// Time from the start to the last answer or fault.
    pub elapsed: Duration,
    /// All bytes received, in right and wrong answers.
    pub bytes_received: u64,
    /// Failed requests by fault.
    pub errors: BTreeMap<Fault, u64>,
    /// Well-formed answers by status code, expected or not.
    pub statuses: BTreeMap<u16, u64>,
    /// Well-formed answers by the value of [`Load::count_field`](super::Load::count_field); empty without a
    /// `count_field`. Answers without the field count as `""`.
    pub by_field: BTreeMap<String, u64>,
    /// CPU time of all driver threads together.
    pub driver_cpu: Duration,
    /// The share of the elapsed time that the busiest driver thread was on the CPU. Near 1, the driver was the
    /// bottleneck, not the server.
    pub busiest_thread: f64,
}

/// What went wrong with a request. The driver then closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Connecting failed: refused, unreachable, or no descriptor left.
    Connect,
    /// Connecting failed because all local ports towards the server are taken, most by connections in TIME-WAIT.
    NoPort,
    /// No answer in time, or no close in time after the last answer.
    Timeout,
    /// In an open loop: no connection became free in time, so the request was never sent.
    NeverSent,
    /// The server reset the connection.
    Reset,
    /// The server closed before the answer was complete.
    EarlyClose,
    /// The received bytes are not a valid HTTP/1.1 answer.
    Malformed,
    /// Bytes came behind the last answer that was due.
    Unasked,
    /// A well-formed answer with another status than expected.
    WrongStatus,
    /// A well-formed answer with other content than expected.
    WrongBody,
}

impl Tally {
    /// The latency that `percent` percent of the requests did not exceed: `percentile(99.0)`. Zero without requests.
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_quantile(percent / 100.0))
    }

    /// Right answers per second of the elapsed time.
    pub fn requests_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.requests as f64 / seconds } else { 0.0 }
    }

    /// Faults of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Adds the tally of another thread that ran at the same time.
    pub fn merge(&mut self, other: &Tally) {
        // Both have the bounds of `default`, and `add` fails only on different bounds.
        let added = self.latencies.add(&other.latencies);
        debug_assert!(added.is_ok());
        self.requests += other.requests;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.bytes_received += other.bytes_received;
        add(&mut self.errors, &other.errors);
        add(&mut self.statuses, &other.statuses);
        add(&mut self.by_field, &other.by_field);
        self.driver_cpu += other.driver_cpu;
        self.busiest_thread = self.busiest_thread.max(other.busiest_thread);
    }
}

fn add<K: Clone + Ord>(sums: &mut BTreeMap<K, u64>, counts: &BTreeMap<K, u64>) {
    for (key, count) in counts {
        *sums.entry(key.clone()).or_default() += count;
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Connect => "cannot connect",
            Fault::NoPort => "no local port left",
            Fault::Timeout => "no answer in time",
            Fault::NeverSent => "never sent, no connection was free in time",
            Fault::Reset => "connection reset",
            Fault::EarlyClose => "closed before the answer was complete",
            Fault::Malformed => "malformed answer",
            Fault::Unasked => "unexpected bytes after the answer",
            Fault::WrongStatus => "wrong status",
            Fault::WrongBody => "wrong content",
        })
    }
}

impl Default for Tally {
    fn default() -> Self {
        // These bounds are valid; fixed bounds keep the histogram from allocating later.
        let latencies = Histogram::new_with_bounds(1, LONGEST_NS, 3).or_else(|_| Histogram::new(3));
        #[expect(clippy::expect_used, reason = "0 to 5 digits are valid")]
        let latencies = latencies.expect("three significant digits");
        Tally {
            latencies,
            requests: 0,
            elapsed: Duration::ZERO,
            bytes_received: 0,
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            by_field: BTreeMap::new(),
            driver_cpu: Duration::ZERO,
            busiest_thread: 0.0,
        }
    }
}
