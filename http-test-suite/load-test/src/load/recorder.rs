//! The records of one thread: the outcome of each request, recorded as soon as it is known.

use std::time::{Duration, Instant};

use super::answer::Reader;
use super::stats::{Fault, Tally};

/// The latency of a right answer, or the fault.
pub(super) type Outcome = Result<Duration, Fault>;

pub(super) struct Ledger {
    pub(super) tally: Tally,
    pub(super) last_outcome: Instant,
    /// Whether answers are counted by the value of a field.
    by_field: bool,
}

impl Ledger {
    pub(super) fn new(by_field: bool) -> Ledger {
        Ledger { tally: Tally::default(), last_outcome: Instant::now(), by_field }
    }

    /// Records the outcome of a request, and its answer if that was complete, right or wrong.
    pub(super) fn note(&mut self, outcome: Outcome, answer: Option<&Reader>) {
        self.last_outcome = Instant::now();
        match outcome {
            Ok(latency) => {
                self.tally.requests += 1;
                self.tally.latencies.saturating_record(latency.as_nanos().try_into().unwrap_or(u64::MAX));
            }
            Err(fault) => self.count(fault),
        }
        let Some(answer) = answer else { return };
        *self.tally.statuses.entry(answer.status()).or_default() += 1;
        if self.by_field {
            let value = String::from_utf8_lossy(answer.counted());
            match self.tally.by_field.get_mut(value.as_ref()) {
                Some(count) => *count += 1,
                None => drop(self.tally.by_field.insert(value.into_owned(), 1)),
            }
        }
    }

    /// Records a fault that no answer belongs to.
    pub(super) fn count(&mut self, fault: Fault) {
        *self.tally.errors.entry(fault).or_default() += 1;
    }
}
