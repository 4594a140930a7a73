//! HTTP-dates (RFC 9110 §5.6.7): the format that a sender must use, and the three that a recipient must accept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999, in seconds since 1970: httpdate panics at later times.
pub(super) const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// The weekdays as the second format writes them. The others write the first three letters.
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The average length of a year in seconds.
const YEAR: u64 = 31_556_952;

/// Returns whether `date` has the only format that a sender may use: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn is_imf_fixdate(date: &[u8]) -> bool {
    str::from_utf8(date).is_ok_and(|text| {
        httpdate::parse_http_date(text).is_ok_and(|date| httpdate::fmt_http_date(date) == text)
    })
}

/// Returns `time` in the format of [`is_imf_fixdate`], without the fraction of a second. A time before 1970 or after
/// the year 9999 becomes the nearest one between.
pub(crate) fn format(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    httpdate::fmt_http_date(UNIX_EPOCH + since_epoch.min(LATEST))
}

/// Parses an HTTP-date in any of the three formats. Returns it in seconds since 1970, or `None` if it is malformed or
/// before 1970. White space around it is ignored.
///
/// The second format, `Sunday, 06-Nov-94 08:49:37 GMT`, has two digits for the year. They mean the last such year that
/// is at most 50 years after the current time, which `now` returns. The weekday can be that of another century: it is
/// ignored. Only for such a date is `now` called, and memory allocated.
pub(crate) fn parse(date: &[u8], now: impl FnOnce() -> SystemTime) -> Option<u64> {
    let text = str::from_utf8(date).ok()?.trim_ascii();
    match text.split_once(", ") {
        Some((weekday, rest)) if WEEKDAYS.contains(&weekday) => parse_rfc850(rest, now()),
        // httpdate removes more white space than is allowed, and accepts any byte between date and time of the second
        // format.
        _ if text.contains('-') => None,
        _ => seconds_of(httpdate::parse_http_date(text).ok()?),
    }
}

/// Parses a date in the second format. `date` is what follows the weekday, its comma and the space.
fn parse_rfc850(date: &str, now: SystemTime) -> Option<u64> {
    let [day, month, rest] = date.split('-').collect::<Vec<_>>()[..] else { return None };
    let (year, time) = rest.split_at_checked(2)?;
    // RFC 9110 §5.6.7: a date that appears to be more than 50 years ahead is in the past.
    let newest = seconds_of(now)?.saturating_add(50 * YEAR);
    let last_century = (1970 + newest / YEAR) / 100 + 1;
    let centuries = (0..3).map(|earlier| last_century - earlier);
    // httpdate parses the first format, and only if the weekday is right.
    let dates = centuries.flat_map(|century| {
        WEEKDAYS.map(|weekday| format!("{}, {day} {month} {century}{year}{time}", &weekday[..3]))
    });
    dates
        .filter_map(|date| seconds_of(httpdate::parse_http_date(&date).ok()?))
        .find(|&seconds| seconds <= newest)
}

/// Returns a time in whole seconds since 1970; `None` if it is before 1970.
fn seconds_of(time: SystemTime) -> Option<u64> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a date in the year `now`. Returns it in the first format.
    fn check(date: &str, now: u64, expected: Option<&str>) {
        let now = UNIX_EPOCH + Duration::from_secs((now - 1970) * YEAR);
        let parsed = parse(date.as_bytes(), || now);
        let format = |seconds| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(parsed.map(format).as_deref(), expected, "{date}");
    }

    #[test]
    fn parses_three_formats() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for same in [
            date,
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT\t",
        ] {
            check(same, 2026, Some(date));
            assert_eq!(is_imf_fixdate(same.as_bytes()), same == date, "{same}");
        }
        for malformed in [
            "",
            "now",
            "784111777",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Mon, 01 Jan 1900 00:00:00 GMT",
            "Someday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "\u{b}Sunday, 06-Nov-94x08:49:37 GMT",
            "Sunday, 06-Nov-94x08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 CET",
            "Sunday, 6-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-+4 08:49:37 GMT",
            "Sunday, 06 Nov 94 08:49:37 GMT",
            "Sunday, 06-Nov-94",
            "Sunday, ",
            "Sunday, 06-Nov-9\u{e9} 08:49:37 GMT",
            "Sunday, 30-Feb-94 08:49:37 GMT",
        ] {
            check(malformed, 2026, None);
            assert!(!is_imf_fixdate(malformed.as_bytes()), "{malformed}");
        }
    }

    #[test]
    fn a_two_digit_year_is_at_most_fifty_years_ahead() {
        let check = |day: &str, now: u64, year: Option<u64>| {
            let now = UNIX_EPOCH + Duration::from_secs((now - 1970) * YEAR);
            let parsed = parse(format!("{day} 08:49:37 GMT").as_bytes(), || now);
            assert_eq!(parsed.map(|seconds| 1970 + seconds / YEAR), year, "{day} at {now:?}");
        };
        check("Sunday, 06-Nov-94", 1994, Some(1994));
        check("Sunday, 06-Nov-94", 2043, Some(1994));
        check("Sunday, 06-Nov-94", 2046, Some(2094));
        // 6 November is a Saturday in 2077, and in 1977 a Sunday.
        check("Saturday, 06-Nov-77", 2026, Some(1977));
        check("Sunday, 06-Nov-77", 2026, Some(1977));
        check("Saturday, 06-Nov-77", 2028, Some(2077));
        // The fixed border of many parsers lies between 69 and 70.
        check("Wednesday, 06-Nov-69", 2026, Some(2069));
        check("Wednesday, 06-Nov-69", 2018, None);
        check("Thursday, 06-Nov-70", 2026, Some(2070));
        check("Thursday, 06-Nov-70", 2019, Some(1970));
        // 2000 is a leap year, 2100 is none.
        check("Tuesday, 29-Feb-00", 2040, Some(2000));
        check("Tuesday, 29-Feb-00", 2060, Some(2000));
    }
}
