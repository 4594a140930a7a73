//! The place whose weather a request asks for, parsed from its query.

use crate::{parameters::Parameters, problem::Problem};
use http_engine::Request;
use std::fmt;

/// A place whose weather a client can request. It is the key of the cache: requests for equal places share a report.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A city's name, in lower case because Open-Meteo's search ignores case.
    City(String),
    /// Latitude and longitude in hundredths of a degree. One hundredth is about a kilometre, which is finer than the
    /// grid of the forecast.
    Coordinates(i32, i32),
}

impl Place {
    /// Parses the query of a request: `city`, or `latitude` and `longitude`.
    ///
    /// # Errors
    ///
    /// 400 if a parameter is missing, invalid, unknown or repeated, or if both forms are combined.
    pub(super) fn parse(request: &Request<'_>) -> Result<Place, Problem> {
        let parameters = Parameters::parse(request, &["city", "latitude", "longitude"])?;
        let latitude = parameters.number("latitude", -90.0..=90.0)?.map(to_hundredths);
        let longitude = parameters.number("longitude", -180.0..=180.0)?.map(to_hundredths);
        match (parameters.get("city"), latitude, longitude) {
            (Some(name), None, None) => Place::from_city_name(name),
            (None, Some(latitude), Some(longitude)) => Ok(Place::Coordinates(latitude, longitude)),
            (Some(_), _, _) => Err(Problem::invalid("city", "must not be combined with coordinates")),
            (None, Some(_), None) => Err(Problem::invalid("longitude", "is required with latitude")),
            (None, None, Some(_)) => Err(Problem::invalid("latitude", "is required with longitude")),
            (None, None, None) => Err(Problem::invalid("city", "is required, or latitude and longitude")),
        }
    }

    /// Returns the city with this name, in lower case and without white space around it.
    ///
    /// # Errors
    ///
    /// 400 if the name is empty, has more than 100 characters, or has a control character or U+FFFD, which stands for
    /// bytes that are not UTF-8.
    fn from_city_name(name: &str) -> Result<Place, Problem> {
        // The query decoder puts the replacement character in the place of bytes that are not UTF-8.
        let is_not_text = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
        let detail = match name.trim() {
            "" => "must not be empty",
            // The longest place name in use has 85.
            name if name.chars().count() > 100 => "must not exceed 100 characters",
            name if name.contains(is_not_text) => "must be text without control characters",
            name => return Ok(Place::City(name.to_lowercase())),
        };
        Err(Problem::invalid("city", detail))
    }
}

/// Returns the number of hundredths in `number`, rounded: 1341 for 13.41053.
pub(super) fn to_hundredths(number: f64) -> i32 {
    (number * 100.0).round() as i32
}

/// Returns the number that is this many hundredths: 13.41 for 1341.
pub(super) fn from_hundredths(hundredths: i32) -> f64 {
    f64::from(hundredths) / 100.0
}

impl fmt::Display for Place {
    /// Writes the place for the log: a city's name in quotes, or coordinates such as `52.52, 13.41`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Place::City(ref name) => write!(f, "{name:?}"),
            Place::Coordinates(latitude, longitude) => {
                write!(f, "{}, {}", from_hundredths(latitude), from_hundredths(longitude))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_engine::http_core::testing::ReceivedRequest;
    use std::time::Instant;

    /// Parses a query. Expects the place as it is shown, or the detail of the error.
    fn check(query: &str, expected: Result<&str, &str>) {
        let head = format!("GET /weather?{query} HTTP/1.0\r\n\r\n");
        let received = ReceivedRequest::new(head.as_bytes(), Instant::now()).expect("a request");
        let place = Place::parse(&received.as_request());
        let actual = place.map(|place| place.to_string()).map_err(|problem| problem.detail.into_owned());
        assert_eq!(actual, expected.map(str::to_owned).map_err(str::to_owned), "{query}");
    }

    #[test]
    fn rounds_coordinates_and_rejects_those_out_of_range() {
        for (latitude, rounded) in [
            ("52.52437", "52.52"),
            ("52.526", "52.53"),
            ("-0.29", "-0.29"),
            ("-90", "-90"),
            ("90.0", "90"),
            ("9e1", "90"),
            ("-0.001", "0"),
            ("7.3", "7.3"),
        ] {
            check(&format!("longitude=0&latitude={latitude}"), Ok(&format!("{rounded}, 0")));
        }
        for invalid in "|+|90.001|-90.001|NaN|inf|-inf|1e999|5%C2%B0|+5|5,5|0x5".split('|') {
            let detail = "must be a number from -90 to 90";
            check(&format!("longitude=0&latitude={invalid}"), Err(detail));
            check(&format!("longitude=x&latitude={invalid}&city=a"), Err(detail));
        }
        for invalid in ["180.01", "-180.01", "inf", "1,5"] {
            check(&format!("longitude={invalid}&latitude=1"), Err("must be a number from -180 to 180"));
        }
    }

    #[test]
    fn a_place_is_a_city_or_coordinates() {
        let long = format!("city={}", "a".repeat(101));
        for (query, expected) in [
            ("city=+BERLIN%20&", Ok("\"berlin\"")),
            ("", Err("is required, or latitude and longitude")),
            ("city", Err("must not be empty")),
            ("city=+%20", Err("must not be empty")),
            (&long, Err("must not exceed 100 characters")),
            ("city=a%0Ab", Err("must be text without control characters")),
            ("city=a%C2%85b", Err("must be text without control characters")),
            ("city=%FF", Err("must be text without control characters")),
            ("city=a&latitude=1&longitude=1", Err("must not be combined with coordinates")),
            ("city=a&latitude=1", Err("must not be combined with coordinates")),
            ("city=a&longitude=1", Err("must not be combined with coordinates")),
            ("latitude=1", Err("is required with latitude")),
            ("longitude=1", Err("is required with longitude")),
            ("city=a&city=b", Err("given more than once")),
            ("latitude=1&latitude=1&longitude=1", Err("given more than once")),
            ("city=a&days=3", Err("unknown parameter \"days\"; known: city, latitude, longitude")),
        ] {
            check(query, expected);
        }
    }
}
