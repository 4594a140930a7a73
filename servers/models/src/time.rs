//! Time in the place of `std::time`: a clock that only the schedule moves, so that a seed determines every deadline.

pub use real::time::{Duration, SystemTime};

use std::ops::Add;

/// [`std::time::Instant`](real::time::Instant). A change between threads takes a millisecond, and nothing else takes
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    pub fn now() -> Instant {
        Instant(Duration::from_millis(shuttle::current::context_switches() as u64))
    }

    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(*self)
    }

    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0 + duration)
    }
}
