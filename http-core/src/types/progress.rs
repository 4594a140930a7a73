//! The deadline of a client that sends a body or reads a response: an idle timeout and a minimum rate.

use crate::types::clock::deadline_after;
use std::time::{Duration, Instant};

/// How far the bytes of a client can pay for the minimum rate in advance. Without this limit, a client that transfers
/// much at once could then go on at a byte per idle timeout for hours.
const MAX_CREDIT: Duration = Duration::from_secs(5);

/// Computes the deadline for the next bytes that a client must send or read. A position is the number of bytes
/// transferred so far.
///
/// The time in which the client could not act must not count. After such a time, call
/// [`restart`](ProgressClock::restart).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgressClock {
    /// The position passed to the last [`deadline`](ProgressClock::deadline), or to [`start`](ProgressClock::start).
    position: u64,
    /// The time at which `position` last changed, or the clock was last started or restarted.
    progressed_at: Instant,
    /// The time for which the client has paid: each byte pays for one second divided by the minimum rate. At most
    /// [`MAX_CREDIT`] after the last byte.
    paid_until: Instant,
}

impl ProgressClock {
    /// Starts the clock at `now`. `position` is the number of bytes transferred so far.
    pub(crate) fn start(position: u64, now: Instant) -> ProgressClock {
        ProgressClock { position, progressed_at: now, paid_until: now }
    }

    /// Restarts both timeouts of [`deadline`](ProgressClock::deadline) at `now`. Time that the client has paid for
    /// beyond `now` stays paid.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.progressed_at = now;
        self.paid_until = self.paid_until.max(now);
    }

    /// Returns the deadline for the next bytes, if `position` bytes have been transferred at the time `now`. It is the
    /// end of the timeout that ends first. Both are `idle` long:
    ///
    /// * the idle timeout begins again with each call that passes a new position.
    /// * the timeout of the minimum rate begins at the time until which the client has paid. Each `rate` bytes pay for
    ///   another second, up to [`MAX_CREDIT`] after `now`. A `rate` of 0 counts as 1.
    ///
    /// Both begin at [`start`](ProgressClock::start), and begin again at each [`restart`](ProgressClock::restart).
    pub(crate) fn deadline(&mut self, position: u64, idle: Duration, rate: u32, now: Instant) -> Instant {
        if position != self.position {
            let paid = duration_at(rate, position.saturating_sub(self.position));
            self.paid_until = deadline_after(self.paid_until, paid).min(deadline_after(now, MAX_CREDIT));
            self.position = position;
            self.progressed_at = now;
        }
        deadline_after(self.progressed_at.min(self.paid_until), idle)
    }
}

/// Returns the time that `count` bytes take at `rate` bytes a second. A `rate` of 0 counts as 1.
fn duration_at(rate: u32, count: u64) -> Duration {
    const NANOS: u64 = 1_000_000_000;
    let rate = u64::from(rate.max(1));
    // The product is less than 2^32 * 10^9, which fits.
    Duration::from_secs(count / rate) + Duration::from_nanos(count % rate * NANOS / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(30);
    const RATE: u32 = 512;

    fn check(clock: &mut ProgressClock, position: u64, now: Instant, expected: Instant) {
        assert_eq!(clock.deadline(position, IDLE, RATE, now), expected, "{position} at {now:?}");
    }

    #[test]
    fn the_deadline_follows_progress_and_the_minimum_rate() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut clock = ProgressClock::start(1_000, start);
        check(&mut clock, 1_000, at(5_000), at(30_000));
        // A quarter of a second is paid, then another second.
        check(&mut clock, 1_128, at(6_000), at(30_250));
        check(&mut clock, 1_640, at(7_000), at(31_250));
        // More than enough for now: the next byte must come within the idle timeout.
        check(&mut clock, 1_000_000, at(8_000), at(38_000));
        check(&mut clock, 1_000_000, at(9_000), at(38_000));
        clock.restart(at(20_000));
        check(&mut clock, 1_000_000, at(20_000), at(50_000));
    }

    #[test]
    fn many_bytes_at_once_pay_for_a_few_seconds_only() {
        let start = Instant::now();
        for burst in [100 << 20, u64::MAX - 1_000] {
            let mut clock = ProgressClock::start(0, start);
            let (mut position, mut now) = (burst, start);
            // Then a byte every 29 seconds.
            while clock.deadline(position, IDLE, RATE, now) > now + Duration::from_secs(29) {
                (position, now) = (position + 1, now + Duration::from_secs(29));
                assert!(now - start < Duration::from_secs(60), "{burst} bytes pay for more than a minute");
            }
        }
    }

    #[test]
    fn bursts_at_the_minimum_rate_are_fast_enough() {
        let start = Instant::now();
        let mut clock = ProgressClock::start(0, start);
        for burst in 1..1_000u32 {
            let now = start + burst * Duration::from_secs(29);
            assert!(clock.deadline(u64::from(burst * 29 * RATE), IDLE, RATE, now) > now, "{burst}");
        }
    }

    #[test]
    fn the_largest_settings_do_not_overflow() {
        let start = Instant::now();
        let mut clock = ProgressClock::start(0, start);
        assert!(clock.deadline(u64::MAX, Duration::MAX, 0, start) > start + 10_000 * IDLE);
        assert!(clock.deadline(u64::MAX, Duration::MAX, u32::MAX, start) > start + 10_000 * IDLE);
    }
}
