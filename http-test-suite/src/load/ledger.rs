//! Where a thread writes down what came of each request, as soon as it is known.

use std::time::{Duration, Instant};

use super::answer::Reader;
use super::tally::{Fault, Tally};

/// The latency of a right answer, or why there is none.
pub(super) type Outcome = Result<Duration, Fault>;

pub(super) struct Ledger {
    pub(super) tally: Tally,
    pub(super) last_outcome: Instant,
    /// Whether the answers' counted field is of interest.
    by_field: bool,
}

impl Ledger {
    pub(super) fn new(by_field: bool) -> Ledger {
        Ledger { tally: Tally::default(), last_outcome: Instant::now(), by_field }
    }

    /// Notes what a request came to, with its answer if that was complete, right or wrong.
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

    /// Notes a fault that is no request's.
    pub(super) fn count(&mut self, fault: Fault) {
        *self.tally.errors.entry(fault).or_default() += 1;
    }
}
