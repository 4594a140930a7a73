//! The deadline of a client that sends a body or reads a response: an idle timeout and a minimum average rate.

use crate::types::clock::deadline_after;
use std::time::{Duration, Instant};

/// Computes the deadline for the next bytes that a client must send or read. A position is the number of bytes
/// transferred so far.
///
/// The time in which the client could not act must not count. After such a time, call
/// [`restart`](ProgressClock::restart).
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgressClock {
    /// The time of [`start`](ProgressClock::start) or, if it was called, of the last
    /// [`restart`](ProgressClock::restart).
    started_at: Instant,
    /// The position passed to [`start`](ProgressClock::start).
    first_position: u64,
    /// The position passed to the last [`deadline`](ProgressClock::deadline); before the first, `first_position`.
    position: u64,
    /// The time at which `position` last changed, or `started_at` if that is later.
    progressed_at: Instant,
}

impl ProgressClock {
    /// Starts the clock at `now`. `position` is the number of bytes transferred so far.
    pub(super) fn start(position: u64, now: Instant) -> ProgressClock {
        ProgressClock { started_at: now, first_position: position, position, progressed_at: now }
    }

    /// Restarts both timeouts of [`deadline`](ProgressClock::deadline) at `now`. The bytes transferred before still
    /// count in favour of the client.
    pub(super) fn restart(&mut self, now: Instant) {
        self.started_at = now;
        self.progressed_at = now;
    }

    /// Returns the deadline for the next bytes, if `position` bytes have been transferred at the time `now`. It is the
    /// end of the timeout that ends first:
    ///
    /// * the idle timeout: `idle`. It begins again with each call that passes a new position.
    /// * the timeout of the average rate: `idle`, plus one second for each `rate` bytes transferred since
    ///   [`start`](ProgressClock::start). A `rate` of 0 counts as 1.
    ///
    /// Both begin at [`start`](ProgressClock::start), and begin again at each [`restart`](ProgressClock::restart).
    pub(super) fn deadline(&mut self, position: u64, idle: Duration, rate: u32, now: Instant) -> Instant {
        if position != self.position {
            self.position = position;
            self.progressed_at = now;
        }
        let transferred = position.saturating_sub(self.first_position);
        let earned = Duration::from_secs(transferred / u64::from(rate.max(1)));
        deadline_after(self.progressed_at, idle)
            .min(deadline_after(self.started_at, idle.saturating_add(earned)))
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
