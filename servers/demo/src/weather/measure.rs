//! A number within bounds: what is asked for, and what upstream tells, is checked once and from then on right.

use serde::{Deserialize, Serialize};
use std::{fmt, ops::RangeInclusive, str::FromStr};

/// Degrees north.
pub(super) type Latitude = Measure<-90, 90>;
/// Degrees east.
pub(super) type Longitude = Measure<-180, 180>;
/// Degrees Celsius. No station has ever seen less than -90 or more than 57.
pub(super) type Celsius = Measure<-100, 70>;
/// Kilometres per hour. The strongest gust on record had 408.
pub(super) type KilometresPerHour = Measure<0, 500>;
/// Degrees clockwise from north.
pub(super) type Bearing = Measure<0, 360>;

/// A finite number from `LOW` to `HIGH` in hundredths: as fine as any instrument here, and fit to be a key. A
/// hundredth of a degree is a kilometre at most, less than a cell of any forecast's grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub(super) struct Measure<const LOW: i32, const HIGH: i32> {
    hundredths: i32,
}

impl<const LOW: i32, const HIGH: i32> Measure<LOW, HIGH> {
    /// From the lowest to the highest.
    pub(super) const ALL: RangeInclusive<Self> =
        RangeInclusive::new(Measure { hundredths: LOW * 100 }, Measure { hundredths: HIGH * 100 });
}

/// A number out of its bounds, or none at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfBounds;

impl<const LOW: i32, const HIGH: i32> TryFrom<f64> for Measure<LOW, HIGH> {
    type Error = OutOfBounds;

    fn try_from(number: f64) -> Result<Self, OutOfBounds> {
        // What is not a number lies in no range.
        if !(f64::from(LOW)..=f64::from(HIGH)).contains(&number) {
            return Err(OutOfBounds);
        }
        Ok(Measure { hundredths: (number * 100.0).round() as i32 })
    }
}

impl<const LOW: i32, const HIGH: i32> From<Measure<LOW, HIGH>> for f64 {
    fn from(measure: Measure<LOW, HIGH>) -> f64 {
        f64::from(measure.hundredths) / 100.0
    }
}

impl<const LOW: i32, const HIGH: i32> FromStr for Measure<LOW, HIGH> {
    type Err = OutOfBounds;

    fn from_str(text: &str) -> Result<Self, OutOfBounds> {
        text.parse::<f64>().map_err(|_| OutOfBounds)?.try_into()
    }
}

impl<const LOW: i32, const HIGH: i32> fmt::Display for Measure<LOW, HIGH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f64::from(*self).fmt(f)
    }
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of bounds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_finite_and_within_its_bounds() {
        let check = |text: &str, expected: Option<&str>| {
            let read = text.parse::<Latitude>().ok().map(|latitude| latitude.to_string());
            assert_eq!(read.as_deref(), expected, "{text:?}");
        };
        check("52.52437", Some("52.52"));
        check("52.526", Some("52.53"));
        check("-0.29", Some("-0.29"));
        check("-90", Some("-90"));
        check("90.0", Some("90"));
        check("9e1", Some("90"));
        check("-0.001", Some("0"));
        check("7.3", Some("7.3"));
        for wrong in ["", " ", "90.001", "-90.001", "NaN", "inf", "-inf", "1e999", "5°", " 5", "5,5", "0x5"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn json_is_held_to_the_same_bounds() {
        let check = |json: &str, expected: Option<&str>| {
            let read = serde_json::from_str::<KilometresPerHour>(json).ok();
            let told = read.map(|speed| serde_json::to_string(&speed).expect("a number"));
            assert_eq!(told.as_deref(), expected, "{json}");
        };
        check("12.3", Some("12.3"));
        check("0", Some("0.0"));
        for wrong in ["-0.1", "500.1", "1e400", "null", "\"1\"", "[]"] {
            check(wrong, None);
        }
    }
}
