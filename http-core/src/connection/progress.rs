//! The time that a client has to send or to read a body: an idle timeout and a minimum average rate.

use std::time::{Duration, Instant};

/// Computes the deadline for the next bytes that a client sends or reads.
///
/// The clock runs only while the client owes bytes: [`restart`](ProgressClock::restart) it when the server was the one
/// to act in between.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgressClock {
    started_at: Instant,
    first_position: u64,
    /// The position at the last progress, and the time of it.
    position: u64,
    progressed_at: Instant,
}

impl ProgressClock {
    /// Starts the clock. `position` counts bytes; a change of it is progress.
    pub(super) fn start(position: u64, now: Instant) -> ProgressClock {
        ProgressClock { started_at: now, first_position: position, position, progressed_at: now }
    }

    /// Restarts both timers. The bytes transferred before still count for the average rate.
    pub(super) fn restart(&mut self, now: Instant) {
        self.started_at = now;
        self.progressed_at = now;
    }

    /// Returns the deadline: `idle` after the last progress, but not later than `idle` after the start and one second
    /// for each `rate` bytes transferred.
    pub(super) fn deadline(&mut self, position: u64, idle: Duration, rate: u32, now: Instant) -> Instant {
        if position != self.position {
            self.position = position;
            self.progressed_at = now;
        }
        let transferred = position.saturating_sub(self.first_position);
        let earned = Duration::from_secs(transferred / u64::from(rate.max(1)));
        (self.progressed_at + idle).min(self.started_at + idle + earned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_follows_progress_and_the_average_rate() {
        const IDLE: Duration = Duration::from_secs(10);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut clock = ProgressClock::start(1_000, start);
        let mut check = |position, now, expected| {
            assert_eq!(clock.deadline(position, IDLE, 100, at(now)), at(expected), "{position} at {now}");
        };
        check(1_000, 5, 10);
        // 99 bytes earn nothing, 200 bytes two seconds.
        check(1_099, 6, 10);
        check(1_200, 7, 12);
        // Many bytes earn much, but the next byte must still come within the idle timeout.
        check(100_000, 8, 18);
        check(100_000, 9, 18);
        clock.restart(at(20));
        assert_eq!(clock.deadline(100_000, IDLE, 100, at(20)), at(30));
    }
}
