//! The values of options: switches, counts, sizes with a unit (`64K`), times with a unit (`500ms`).
//!
//! An error says which values are accepted, so that an operator need not look them up.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::{fmt, ops::RangeInclusive, time::Duration};

/// The units of a size in bytes, from large to small. Powers of 1024, as in the configuration of nginx and Apache.
const SIZE_UNITS: [(&str, u64); 4] = [("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("", 1)];

/// The units of a time in milliseconds, from large to small.
const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A number of bytes. The `Display` output is a value that [`size`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// A duration in whole milliseconds. The `Display` output is a value that [`time`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// The permissions of a file. The `Display` output is a value that [`file_mode`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Size {
    /// The number of bytes. A number that `usize` cannot hold becomes `usize::MAX`.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(_, unit): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*unit);
        let (name, unit) = SIZE_UNITS.iter().find(divides).unwrap_or(&("", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let divides = |(_, unit): &&(&str, u64)| millis > 0 && millis.is_multiple_of(u128::from(*unit));
        let (name, unit) = TIME_UNITS.iter().find(divides).unwrap_or(&("s", 1));
        write!(f, "{}{name}", millis / u128::from(*unit))
    }
}

/// Returns a parser for the value of an option that is on or off. Configuration files say `true` and `false`.
pub fn switch() -> impl TypedValueParser<Value = bool> {
    let values = [PossibleValue::new("on").alias("true"), PossibleValue::new("off").alias("false")];
    PossibleValuesParser::new(values).map(|text| text == "on" || text == "true")
}

/// Returns a parser for the value of an option that takes a number in `range`.
pub fn count<T: TryFrom<u64> + 'static>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = digits(text).filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
    }
}

/// Returns a parser for the value of an option that takes a size. `range` is in bytes.
pub fn size(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Size, String> + Clone + Send + Sync + 'static {
    move |text| {
        let bytes = with_unit(&text.to_ascii_uppercase(), &SIZE_UNITS, 1);
        bytes.filter(|bytes| range.contains(bytes)).map(Size).ok_or_else(|| {
            let (min, max) = (Size(*range.start()), Size(*range.end()));
            format!("must be from {min} to {max}, in bytes or with a unit, as in 512, 64K, 10M, 1G")
        })
    }
}

/// Returns a parser for the value of an option that takes a time. `range` is in milliseconds. A number without a unit
/// is a number of seconds.
pub fn time(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Time, String> + Clone + Send + Sync + 'static {
    move |text| {
        let from_millis = |millis| Time(Duration::from_millis(millis));
        let millis = with_unit(text, &TIME_UNITS, 1000);
        millis.filter(|millis| range.contains(millis)).map(from_millis).ok_or_else(|| {
            let (min, max) = (from_millis(*range.start()), from_millis(*range.end()));
            format!("must be from {min} to {max}, in seconds or with a unit, as in 500ms, 30s, 1m, 2h")
        })
    }
}

/// Parses the value of an option that takes the permissions of a file.
///
/// # Errors
///
/// If it is not an octal number of at most 0777.
pub fn file_mode(text: &str) -> Result<FileMode, &'static str> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && !text.starts_with('+'));
    mode.map(FileMode).ok_or("must be an octal number from 0 to 0777, as in 0660")
}

/// Parses a number with one of the `units`. A number without a unit counts in `default_unit`. Returns `None` for other
/// text, and if the result overflows.
fn with_unit(text: &str, units: &[(&str, u64)], default_unit: u64) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "" => default_unit,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    digits(number)?.checked_mul(unit)
}

/// Parses a number that consists of digits only: no sign, no white space.
fn digits(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the result of parsing `text`, and that the `Display` output of a value is parsed to the same value.
    fn check<T: PartialEq + fmt::Debug + fmt::Display>(
        parse: impl Fn(&str) -> Result<T, String>,
        text: &str,
        expected: Option<(T, &str)>,
    ) {
        let parsed = parse(text);
        let Some((value, shown)) = expected else { return assert!(parsed.is_err(), "{text}: {parsed:?}") };
        assert_eq!((parsed.as_ref(), value.to_string().as_str()), (Ok(&value), shown), "{text}");
        assert_eq!(parse(shown), Ok(value), "{text}");
    }

    #[test]
    fn parses_sizes() {
        let check = |text: &str, expected: Option<(u64, &str)>| {
            check(size(1..=4 << 30), text, expected.map(|(bytes, shown)| (Size(bytes), shown)));
        };
        check("1", Some((1, "1")));
        check("1000", Some((1000, "1000")));
        check("1048576", Some((1 << 20, "1M")));
        check("64K", Some((64 << 10, "64K")));
        check("1536k", Some((1536 << 10, "1536K")));
        check("10m", Some((10 << 20, "10M")));
        check("4G", Some((4 << 30, "4G")));
        for text in
            ["", "K", "0", "0K", "-1", "+1", " 1", "1 K", "1.5M", "1KB", "1T", "0x10", "4097M", "1_000"]
        {
            check(text, None);
        }
        check("99999999999999999999", None);
        check("18446744073709551615G", None);
        let expected = "must be from 256 to 64K, in bytes or with a unit, as in 512, 64K, 10M, 1G";
        assert_eq!(size(256..=65_536)("1 MB"), Err(expected.to_owned()));
    }

    #[test]
    fn parses_times() {
        let check = |text: &str, expected: Option<(u64, &str)>| {
            let expected = expected.map(|(millis, shown)| (Time(Duration::from_millis(millis)), shown));
            check(time(0..=86_400_000), text, expected);
        };
        check("0", Some((0, "0s")));
        check("15", Some((15_000, "15s")));
        check("90s", Some((90_000, "90s")));
        check("60", Some((60_000, "1m")));
        check("500ms", Some((500, "500ms")));
        check("5m", Some((300_000, "5m")));
        check("24h", Some((86_400_000, "24h")));
        for text in ["", "s", "-1", "1 s", "1.5s", "1M", "1d", "25h", "1us", "99999999999999999h"] {
            check(text, None);
        }
        let expected = "must be from 1ms to 24h, in seconds or with a unit, as in 500ms, 30s, 1m, 2h";
        assert_eq!(time(1..=86_400_000)("0"), Err(expected.to_owned()));
    }

    #[test]
    fn parses_file_modes() {
        let parse = |text: &str| file_mode(text).map_err(str::to_owned);
        check(parse, "660", Some((FileMode(0o660), "0660")));
        check(parse, "0777", Some((FileMode(0o777), "0777")));
        for text in ["1000", "8", "+660", "-1", "", "rw"] {
            check(parse, text, None);
        }
    }

    #[test]
    fn parses_counts() {
        assert_eq!(count::<usize>(1..=1024)("1024"), Ok(1024));
        for text in ["0", "1025", "many", "", "-1", "1K"] {
            assert_eq!(
                count::<usize>(1..=1024)(text),
                Err("must be a number from 1 to 1024".to_owned()),
                "{text}"
            );
        }
    }
}
