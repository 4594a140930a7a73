//! Answers on their way out: whether the peer takes them, and fast enough.

use crate::types::limits::Timeouts;
use std::time::{Duration, Instant};

/// Sending that has begun and not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flushing {
    since: Instant,
    /// What had been sent when it began.
    from: u64,
    /// What had been sent when there was progress last, and when that was.
    sent: u64,
    sent_at: Instant,
}

impl Flushing {
    pub(super) fn begin(sent: u64, now: Instant) -> Flushing {
        Flushing { since: now, from: sent, sent, sent_at: now }
    }

    /// When patience ends, now that it goes on: each piece must be taken soon, and all of them fast enough on average.
    pub(super) fn deadline(&mut self, sent: u64, timeouts: &Timeouts, now: Instant) -> Instant {
        if sent != self.sent {
            self.sent = sent;
            self.sent_at = now;
        }
        let taken = sent.saturating_sub(self.from);
        let earned = Duration::from_secs(taken / u64::from(timeouts.send_rate.max(1)));
        (self.sent_at + timeouts.write_stall).min(self.since + timeouts.write_stall + earned)
    }
}
