//! The time as logs spell it, made anew once a second and not once a line. It is always UTC: lines of one log can be
//! compared whatever the season, and no time zone has to be known.

use httpdate::HttpDate;
use std::time::{Duration, SystemTime};

/// The last second that has four digits for its year; `httpdate` writes no later one.
const LAST: Duration = Duration::from_secs(253_402_300_799);

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// A second, in both spellings.
#[derive(Debug)]
pub(crate) struct Stamp {
    since_epoch: Duration,
    clf: String,
    rfc3339: String,
}

impl Stamp {
    pub(super) fn at(time: SystemTime) -> Stamp {
        let mut stamp = Stamp { since_epoch: Duration::MAX, clf: String::new(), rfc3339: String::new() };
        stamp.advance(time);
        stamp
    }

    /// Moves on to `time`, which may also have been set back.
    #[inline]
    pub(super) fn advance(&mut self, time: SystemTime) {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if since_epoch.as_secs() != self.since_epoch.as_secs() {
            self.since_epoch = since_epoch;
            self.spell();
        }
    }

    #[cold]
    fn spell(&mut self) {
        let date = HttpDate::from(SystemTime::UNIX_EPOCH + self.since_epoch.min(LAST)).to_string();
        // RFC 9110 §5.6.7: every part of an IMF-fixdate has its place, as in `Sun, 06 Nov 1994 08:49:37 GMT`.
        let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
        let number = MONTHS.find(month).map_or(0, |at| at / 3 + 1);
        self.clf = format!("{day}/{month}/{year}:{time} +0000");
        self.rfc3339 = format!("{year}-{number:02}-{day}T{time}Z");
    }

    /// As in the common log format: `06/Nov/1994:08:49:37 +0000`.
    pub(super) fn clf(&self) -> &str {
        &self.clf
    }

    /// As in RFC 3339: `1994-11-06T08:49:37Z`.
    pub(super) fn rfc3339(&self) -> &str {
        &self.rfc3339
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stamp: &mut Stamp, seconds: f64, clf: &str, rfc3339: &str) {
        stamp.advance(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds));
        assert_eq!((stamp.clf(), stamp.rfc3339()), (clf, rfc3339), "{seconds}");
    }

    #[test]
    fn it_follows_the_clock_wherever_that_is_set() {
        let mut stamp = Stamp::at(SystemTime::UNIX_EPOCH);
        check(&mut stamp, 0.0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00Z");
        check(&mut stamp, 784_111_777.9, "06/Nov/1994:08:49:37 +0000", "1994-11-06T08:49:37Z");
        check(&mut stamp, 784_111_778.0, "06/Nov/1994:08:49:38 +0000", "1994-11-06T08:49:38Z");
        check(&mut stamp, 1_709_251_199.0, "29/Feb/2024:23:59:59 +0000", "2024-02-29T23:59:59Z");
        check(&mut stamp, 1_735_689_599.0, "31/Dec/2024:23:59:59 +0000", "2024-12-31T23:59:59Z");
        check(&mut stamp, 60.0, "01/Jan/1970:00:01:00 +0000", "1970-01-01T00:01:00Z");
        check(&mut stamp, 4e11, "31/Dec/9999:23:59:59 +0000", "9999-12-31T23:59:59Z");
    }
}
