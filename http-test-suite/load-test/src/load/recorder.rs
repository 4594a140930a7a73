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
    /// The header whose values are counted: [`Load::count_header`](super::Load::count_header).
    count_header: Option<&'static str>,
}

impl Recorder {
    /// Makes an empty recorder. `count_header` is the header for [`Stats::by_header`].
    pub(super) fn new(count_header: Option<&'static str>) -> Recorder {
        Recorder { stats: Stats::default(), last_outcome: Instant::now(), count_header }
    }

    /// Records the outcome of a request, and its response if that was complete, right or wrong.
    pub(super) fn record(&mut self, outcome: Outcome, response: Option<&ResponseChecker>) {
        match outcome {
            Ok(latency) => {
                self.last_outcome = Instant::now();
                self.stats.requests += 1;
                self.stats.latencies.saturating_record(latency.as_nanos().try_into().unwrap_or(u64::MAX));
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

    /// Counts a failed request, or a connection that failed without a request.
    pub(super) fn record_fault(&mut self, fault: Fault) {
        self.last_outcome = Instant::now();
        *self.stats.errors.entry(fault).or_default() += 1;
    }

    /// Returns the results of the load that began at `start`, with the CPU time of the calling thread.
    pub(super) fn finish(&mut self, start: Instant) -> Stats {
        let mut stats = mem::take(&mut self.stats);
        stats.elapsed = self.last_outcome.saturating_duration_since(start);
        stats.driver_cpu = clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default();
        if !stats.elapsed.is_zero() {
            stats.busiest_thread = stats.driver_cpu.as_secs_f64() / stats.elapsed.as_secs_f64();
        }
        stats
    }
}
