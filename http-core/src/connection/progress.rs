//! The deadline of a client that sends a body or reads a response: an idle timeout and a minimum average rate.

use std::time::{Duration, Instant};

/// Computes the deadline for the next bytes that a client must send or read.
///
/// The clock must run only while the client must act. [`restart`](ProgressClock::restart) it when the server has acted in
/// between.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgressClock {
    /// When the clock was started or restarted last.
    started_at: Instant,
    /// The position at the start.
    first_position: u64,
    /// The position at the last progress.
    position: u64,
    /// When the last progress was seen.
    progressed_at: Instant,
}

impl ProgressClock {
    /// Starts the clock at `now`. `position` is the number of bytes transferred so far. Progress is a change of it.
    pub(super) fn start(position: u64, now: Instant) -> ProgressClock {
        ProgressClock { started_at: now, first_position: position, position, progressed_at: now }
    }

    /// Restarts the idle timeout and the time of the average rate. The bytes transferred before still count for the rate.
    pub(super) fn restart(&mut self, now: Instant) {
        self.started_at = now;
        self.progressed_at = now;
    }

    /// Returns the deadline, given that `position` bytes are transferred `now`: `idle` after the last progress, but at the
    /// latest `idle` after the start plus one second for each `rate` bytes transferred since.
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
