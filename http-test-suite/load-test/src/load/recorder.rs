//! Records the outcome of each request of one thread, as soon as it is known.

use std::mem;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::response::ResponseChecker;
use super::stats::{Fault, Stats};

/// The outcome of a request: the latency if its response was right, else the fault.
pub(super) type Outcome = Result<Duration, Fault>;

/// Collects the results of one driver thread.
pub(super) struct Recorder {
    /// The results so far. [`finish`](Recorder::finish) sets the elapsed time and the CPU time.
    pub(super) stats: Stats,
    /// When the last response or fault was recorded.
    pub(super) last_outcome: Instant,
    /// Latencies and delays of requests that are due earlier do not count.
    pub(super) measured_from: Instant,
    /// How long the thread polled without sleeping and found nothing to do. That is no load on the CPU.
    pub(super) idle: Duration,
    /// The header whose values are counted: [`Load::count_header`](super::Load::count_header).
    count_header: Option<&'static str>,
}

impl Recorder {
    /// Makes an empty recorder. `count_header` is the header for [`Stats::by_header`].
    pub(super) fn new(count_header: Option<&'static str>) -> Recorder {
        let now = Instant::now();
        Recorder {
            stats: Stats::default(),
            last_outcome: now,
            measured_from: now,
            idle: Duration::ZERO,
            count_header,
        }
    }

    /// Records the outcome of a request that was due at `due`, and its response if that was complete, right or wrong.
    pub(super) fn record(&mut self, due: Instant, outcome: Outcome, response: Option<&ResponseChecker>) {
        match outcome {
            Ok(latency) => {
                self.last_outcome = Instant::now();
                self.stats.requests += 1;
                if due >= self.measured_from {
                    self.stats.latencies.saturating_record(nanos(latency));
                }
            }
            Err(fault) => self.record_fault(fault),
        }
        let Some(response) = response else { return };
        *self.stats.statuses.entry(response.status()).or_default() += 1;
        if let Some(name) = self.count_header {
            let value = String::from_utf8_lossy(response.header(name));
            match self.stats.by_header.get_mut(value.as_ref()) {
                Some(count) => *count += 1,
                None => drop(self.stats.by_header.insert(value.into_owned(), 1)),
            }
        }
    }

    /// Records that the driver sends a request at `now` that was due at `due`, although a connection was free then.
    pub(super) fn record_driver_delay(&mut self, due: Instant, now: Instant) {
        if due >= self.measured_from {
            self.stats.driver_delays.saturating_record(nanos(now.saturating_duration_since(due)));
        }
    }

    /// Counts a failed request, or a connection that failed without a request.
    pub(super) fn record_fault(&mut self, fault: Fault) {
        self.last_outcome = Instant::now();
        *self.stats.errors.entry(fault).or_default() += 1;
    }

    /// Returns the results of the load that began at `start`, with the CPU time of the calling thread.
    pub(super) fn finish(&mut self, start: Instant) -> Stats {
        let mut stats = mem::take(&mut self.stats);
        stats.elapsed = self.last_outcome.saturating_duration_since(start);
        let cpu: Duration = clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default();
        stats.driver_cpu = cpu.saturating_sub(self.idle);
        if !stats.elapsed.is_zero() {
            stats.busiest_thread = stats.driver_cpu.as_secs_f64() / stats.elapsed.as_secs_f64();
        }
        stats
    }
}

/// A duration in nanoseconds, for a histogram.
fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}
