//! The current time, which the engine passes in: the core never reads a clock.

use super::http_date::LATEST;
use httpdate::HttpDate;
use std::time::{Duration, Instant, SystemTime};

/// How far away [`deadline_after`] places a deadline that has no other representation: 30 years.
const FAR_AWAY: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Returns the time `timeout` after `start`. If an [`Instant`] cannot represent it, returns a time 30 years after
/// `start` instead: no setting makes the sum overflow.
#[inline]
pub fn deadline_after(start: Instant, timeout: Duration) -> Instant {
    start.checked_add(timeout).unwrap_or_else(|| far_away(start))
}

/// Returns the time 30 years after `start`.
#[cold]
fn far_away(start: Instant) -> Instant {
    start.checked_add(FAR_AWAY).unwrap_or(start)
}

/// The current time, and the `Server` and `Date` headers of the responses sent now.
///
/// The engine updates it before it polls connections. The headers are formatted once a second, not once a response.
///
/// ```
/// use http_core::Clock;
/// use std::time::{Duration, Instant, SystemTime};
///
/// let clock = Clock::new("example", Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(784111777));
/// assert_eq!(clock.headers(), b"Server: example\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    now: Instant,
    /// The time at which the next second of the wall clock begins.
    next_second: Instant,
    /// The `Server` and `Date` header lines.
    headers: Vec<u8>,
    /// The offset of the date in `headers`.
    date_at: usize,
}

impl Clock {
    /// Creates a clock with the time `now`, the date `wall`, and `server` as the value of the `Server` header (RFC 9110
    /// §10.2.4).
    ///
    /// Removes all characters from `server` but visible ASCII and spaces.
    pub fn new(server: &str, now: Instant, wall: SystemTime) -> Clock {
        let name: String = server.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        let headers = format!("Server: {name}\r\nDate: ").into_bytes();
        let mut clock = Clock { now, next_second: now, date_at: headers.len(), headers };
        clock.update(now, || wall);
        clock
    }

    /// Sets the time to `now`. If a new second has begun, calls `wall` for the date, and formats it.
    pub fn update(&mut self, now: Instant, wall: impl FnOnce() -> SystemTime) {
        self.now = now;
        if now >= self.next_second {
            self.format_date(wall());
        }
    }

    /// Writes the date of `wall` into the `Date` header, and determines when the next second begins. Writes 1 January
    /// 1970 if `wall` is before 1970 or after the year 9999.
    #[cold]
    fn format_date(&mut self, wall: SystemTime) {
        use std::io::Write;
        let is_writable = |since_epoch: &Duration| since_epoch.as_secs() <= LATEST.as_secs();
        let since_epoch =
            wall.duration_since(SystemTime::UNIX_EPOCH).ok().filter(is_writable).unwrap_or_default();
        self.next_second =
            self.now + Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
        self.headers.truncate(self.date_at);
        // Writing to a vector cannot fail.
        let _ = write!(self.headers, "{}\r\n", HttpDate::from(SystemTime::UNIX_EPOCH + since_epoch));
    }

    /// Returns the time that the last [`update`](Clock::update) has set. Before the first update, returns the time that
    /// was passed to [`new`](Clock::new).
    #[inline]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Returns the `Server` and `Date` header lines, each with its CRLF.
    #[inline]
    pub fn headers(&self) -> &[u8] {
        &self.headers
    }

    /// Returns the `Server` header line and the `Date` header line, each with its CRLF.
    pub(crate) fn server_and_date(&self) -> (&[u8], &[u8]) {
        self.headers.split_at(self.date_at - b"Date: ".len())
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
            clock.update(start + passed, || wall + passed);
            assert_eq!(clock.headers(), format!("Server: s\r\nDate: {expected}\r\n").as_bytes());
        };
        check(&mut clock, 299, "Thu, 01 Jan 1970 00:00:01 GMT");
        check(&mut clock, 300, "Thu, 01 Jan 1970 00:00:02 GMT");
        check(&mut clock, 1_299, "Thu, 01 Jan 1970 00:00:02 GMT");
        check(&mut clock, 61_300, "Thu, 01 Jan 1970 00:01:03 GMT");
    }

    #[test]
    fn a_deadline_never_overflows() {
        let start = Instant::now();
        let check = |timeout, expected| assert_eq!(deadline_after(start, timeout), start + expected);
        check(Duration::ZERO, Duration::ZERO);
        check(Duration::from_secs(60), Duration::from_secs(60));
        let thirty_years = Duration::from_secs(946_080_000);
        check(Duration::MAX, thirty_years);
        check(Duration::from_secs(u64::MAX), thirty_years);
    }

    #[test]
    fn extreme_wall_clock_times_do_not_panic() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(400_000_000_000);
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
        assert!(Clock::new("s\r\nx", Instant::now(), far).headers().starts_with(b"Server: sx\r\nDate: "));
        assert!(Clock::new("s", Instant::now(), before).headers().ends_with(b"00:00:00 GMT\r\n"));
    }
}
