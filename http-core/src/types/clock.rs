//! The time, handed in: the core asks no clock.

use httpdate::HttpDate;
use std::time::{Duration, Instant, SystemTime};

/// What time it is, and the `Server` and `Date` lines that go with it.
///
/// Whoever drives a connection moves the clock on; the text is made anew once a second, not once an answer.
///
/// ```
/// use http_core::Clock;
/// use std::time::{Duration, Instant, SystemTime};
///
/// let clock = Clock::new("example", Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(784111777));
/// assert_eq!(clock.stamp(), b"Server: example\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    now: Instant,
    /// When the wall clock's next second begins, seen on the monotonic one.
    next_second: Instant,
    /// Bytes of `stamp` in front of the date.
    prefix: usize,
    stamp: Vec<u8>,
}

impl Clock {
    /// A clock at `now` and `wall`, for a server of this name (RFC 9110 §10.2.4).
    ///
    /// Octets that cannot stand in a field value are left out of the name.
    pub fn new(server: &str, now: Instant, wall: SystemTime) -> Clock {
        let name: String = server.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        let stamp = format!("Server: {name}\r\nDate: ").into_bytes();
        let mut clock = Clock { now, next_second: now, prefix: stamp.len(), stamp };
        clock.advance(now, || wall);
        clock
    }

    /// Moves on to `now`; `wall` is asked only when a second has passed.
    #[inline]
    pub fn advance(&mut self, now: Instant, wall: impl FnOnce() -> SystemTime) {
        self.now = now;
        if now >= self.next_second {
            self.restamp(wall());
        }
    }

    #[cold]
    fn restamp(&mut self, wall: SystemTime) {
        use std::io::Write;
        let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.next_second =
            self.now + Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
        self.stamp.truncate(self.prefix);
        // Years beyond 9999 are the one date that httpdate cannot write; the epoch stands in for them.
        let last = Duration::from_secs(253_402_300_799);
        let date =
            if since_epoch > last { SystemTime::UNIX_EPOCH } else { SystemTime::UNIX_EPOCH + since_epoch };
        let _ = write!(self.stamp, "{}\r\n", HttpDate::from(date));
    }

    /// The moment of the last [`advance`](Clock::advance).
    #[inline]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The `Server` and `Date` field lines, ready for the wire.
    #[inline]
    pub fn stamp(&self) -> &[u8] {
        &self.stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_changes_with_the_second_of_the_wall_clock() {
        let start = Instant::now();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700);
        let mut clock = Clock::new("s", start, wall);
        let check = |clock: &mut Clock, after_millis: u64, expected: &str| {
            let passed = Duration::from_millis(after_millis);
            clock.advance(start + passed, || wall + passed);
            assert_eq!(clock.stamp(), format!("Server: s\r\nDate: {expected}\r\n").as_bytes());
        };
        check(&mut clock, 299, "Thu, 01 Jan 1970 00:00:01 GMT");
        check(&mut clock, 300, "Thu, 01 Jan 1970 00:00:02 GMT");
        check(&mut clock, 1_299, "Thu, 01 Jan 1970 00:00:02 GMT");
        check(&mut clock, 61_300, "Thu, 01 Jan 1970 00:01:03 GMT");
    }

    #[test]
    fn a_wall_clock_at_its_ends_is_no_panic() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(400_000_000_000);
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
        assert!(Clock::new("s\r\nx", Instant::now(), far).stamp().starts_with(b"Server: sx\r\nDate: "));
        assert!(Clock::new("s", Instant::now(), before).stamp().ends_with(b"00:00:00 GMT\r\n"));
    }
}
