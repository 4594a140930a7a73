//! Rates in bytes per second, and the times that bytes take at a rate.

use http_daemon::units::{Size, size};
use std::{str::FromStr, time::Duration};

/// How many pieces of a body are sent in a second. More pieces would cost more system calls, and fewer would make the
/// connections of a client wait longer for each other.
pub(super) const PIECES_PER_SECOND: u64 = 8;

/// The time whose bytes may be sent at once, at the beginning and after a pause. A piece that is sent late by up to
/// this time does not delay those after it.
pub(super) const BURST: Duration = Duration::from_millis(250);

/// The accepted rates in bytes per second. A slower response would take days, and look like one that hangs.
const RATES: std::ops::RangeInclusive<u64> = 1024..=1 << 40;

/// A number of bytes in a second, such as `500K` or `2M/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRate(pub(super) u64);

impl ByteRate {
    /// The number of bytes of a piece, at least 1.
    pub(super) fn piece(self) -> u64 {
        self.0 / PIECES_PER_SECOND
    }

    /// The time that these bytes take.
    pub(super) fn time(self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(self.0));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Reserves the time of these bytes after all bytes before, which take until `busy_until`. Returns when they may be
    /// sent: [`BURST`] earlier than a steady stream would send the last of them (GCRA).
    pub(super) fn reserve(self, busy_until: &mut Duration, bytes: u64, now: Duration) -> Duration {
        *busy_until = now.max(*busy_until).saturating_add(self.time(bytes));
        now.max(busy_until.saturating_sub(BURST))
    }
}

/// A limit, or none if the text is `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit(pub(super) Option<ByteRate>);

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Limit, &'static str> {
        if text == "off" {
            return Ok(Limit(None));
        }
        match size(RATES)(text.strip_suffix("/s").unwrap_or(text)) {
            Ok(Size(rate)) => Ok(Limit(Some(ByteRate(rate)))),
            Err(_) => Err("must be from 1K to 1024G, in bytes per second, as in 500K or 2M/s, or off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_limits() {
        let check = |text: &str, expected: Option<Option<u64>>| {
            let limit = text.parse::<Limit>().ok();
            assert_eq!(limit.map(|limit| limit.0.map(|rate| rate.0)), expected, "{text}");
        };
        check("off", Some(None));
        check("1024", Some(Some(1024)));
        check("500K", Some(Some(500 << 10)));
        check("2M/s", Some(Some(2 << 20)));
        check("1g", Some(Some(1 << 30)));
        for text in ["", "0", "1023", "1025G", "1.5M", "1M/m", "1M/s/s", "1 M", "off/s", "-1K"] {
            check(text, None);
        }
    }
}
