//! The time in the formats of the logs, always UTC. Formatted once per second, not once per line.

use httpdate::HttpDate;
use std::time::{Duration, SystemTime};

/// The last second that `httpdate` can format, counted from the Unix epoch: the end of the year 9999.
const MAX_SECOND: u64 = 253_402_300_799;

/// The three-letter names of the months in HTTP dates.
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// A time in whole seconds, as text in the two formats that the logs use. Both texts are empty before the first
/// [`update`](Timestamp::update).
#[derive(Debug, Default)]
pub(super) struct Timestamp {
    /// The formatted second, counted from the Unix epoch. `None` before the first update.
    second: Option<u64>,
    /// As in the Common Log Format: `06/Nov/1994:08:49:37 +0000`.
    pub(super) clf: String,
    /// As in RFC 3339: `1994-11-06T08:49:37Z`.
    pub(super) rfc3339: String,
}

impl Timestamp {
    /// Formats `time`, rounded down to a second, in UTC, in both formats of the logs.
    pub(super) fn at(time: SystemTime) -> Timestamp {
        let mut timestamp = Timestamp::default();
        timestamp.update(time);
        timestamp
    }

    /// Sets this timestamp to `time`, which may be earlier than the previous time: an operator can set the clock back.
    /// Formats the texts only if the second has changed.
    #[inline]
    pub(super) fn update(&mut self, time: SystemTime) {
        let second = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.second != Some(second) {
            self.second = Some(second);
            self.format(second);
        }
    }

    /// Sets `clf` and `rfc3339` to `second`, counted from the Unix epoch.
    #[cold]
    fn format(&mut self, second: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second.min(MAX_SECOND));
        let date = HttpDate::from(time).to_string();
        // An IMF-fixdate has fixed columns (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
        let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
        let number = MONTHS.find(month).map_or(0, |at| at / 3 + 1);
        self.clf = format!("{day}/{month}/{year}:{time} +0000");
        self.rfc3339 = format!("{year}-{number:02}-{day}T{time}Z");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_clock_forward_and_back() {
        let mut timestamp = Timestamp::default();
        for (seconds, clf, rfc3339) in [
            (0.0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00Z"),
            (784_111_777.9, "06/Nov/1994:08:49:37 +0000", "1994-11-06T08:49:37Z"),
            (784_111_778.0, "06/Nov/1994:08:49:38 +0000", "1994-11-06T08:49:38Z"),
            (1_709_251_199.0, "29/Feb/2024:23:59:59 +0000", "2024-02-29T23:59:59Z"),
            (1_735_689_599.0, "31/Dec/2024:23:59:59 +0000", "2024-12-31T23:59:59Z"),
            (60.0, "01/Jan/1970:00:01:00 +0000", "1970-01-01T00:01:00Z"),
            (4e11, "31/Dec/9999:23:59:59 +0000", "9999-12-31T23:59:59Z"),
        ] {
            timestamp.update(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds));
            assert_eq!((&*timestamp.clf, &*timestamp.rfc3339), (clf, rfc3339), "{seconds}");
        }
    }
}
