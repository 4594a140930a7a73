//! Parses and formats durations such as `200ms`, `10s` and `1.5m`.

use std::time::Duration;

/// The units of time, from small to large, with their length in nanoseconds.
const UNITS: [(&str, f64); 5] = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9)];

/// Parses a number with a unit, such as `1.5m`: `ns`, `us` or `µs`, `ms`, `s`, `m`; without a unit, seconds.
///
/// # Errors
///
/// If the text is not a duration above zero and of at most a day.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => "s",
        "us" => "µs",
        unit => unit,
    };
    let nanoseconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, nanoseconds)| nanoseconds);
    let nanoseconds = nanoseconds.ok_or_else(|| format!("not a unit of time: {unit}"))?;
    let number: f64 = digits.parse().map_err(|_| format!("not a number: {digits:?}"))?;
    let duration =
        Duration::try_from_secs_f64(number * nanoseconds / 1e9).map_err(|error| error.to_string())?;
    // At most a day, so that a sum of several durations stays in the range of the clock.
    if duration.is_zero() || duration > Duration::from_secs(86_400) {
        return Err("must be more than zero, and at most a day".into());
    }
    Ok(duration)
}

/// Formats a duration with three significant digits, such as `1.50 ms`, in the largest unit up to seconds that leaves a
/// digit before the point.
pub fn show(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos() as f64;
    let fits = |&&(name, unit): &&(&str, f64)| name != "m" && nanoseconds >= unit;
    let (name, unit) = UNITS.iter().rev().find(fits).unwrap_or(&UNITS[0]);
    let number = nanoseconds / unit;
    let decimals = match number {
        _ if *name == "ns" => 0,
        number if number < 9.995 => 2,
        number if number < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(Duration, &str)>) {
        let actual = parse(text).ok();
        assert_eq!(actual, expected.map(|(duration, _)| duration), "{text}");
        assert_eq!(actual.map(show).as_deref(), expected.map(|(_, shown)| shown), "{text}");
    }

    #[test]
    fn reads_and_shows() {
        check("10", Some((Duration::from_secs(10), "10.0 s")));
        check("1.5m", Some((Duration::from_secs(90), "90.0 s")));
        check("200ms", Some((Duration::from_millis(200), "200 ms")));
        check("9996us", Some((Duration::from_micros(9996), "10.0 ms")));
        check("0.5ms", Some((Duration::from_micros(500), "500 µs")));
        check("120ns", Some((Duration::from_nanos(120), "120 ns")));
        for text in ["", "s", "0", "-1s", "1h", "1 s", "nan", "inf", "1e300", "100000s"] {
            check(text, None);
        }
    }
}
