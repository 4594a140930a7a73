//! The client of Open-Meteo's two services: the search for a city's coordinates, and the forecast. It blocks the
//! thread, so it must never run on an event loop.
//!
//! The types follow open-meteo.com/en/docs and open-meteo.com/en/docs/geocoding-api. They have only the members that
//! this client reads. If one of these is missing, null or out of range, the response is malformed.
//!
//! The documentation names `https` URLs.

use super::{
    fetch::{Client, Timeouts},
    place::{Place, from_hundredths, to_hundredths},
    settings::{Url, WeatherSettings},
    tls::Tls,
};
use crate::problem::Problem;
use http_engine::Status;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::{io, time::Instant};

/// The host of the public search service.
const SEARCH_HOST: &str = "geocoding-api.open-meteo.com";
/// The host of the public forecast service.
const FORECAST_HOST: &str = "api.open-meteo.com";
/// The query parameter `current` of the forecast: the variables that [`Current`] reads.
const CURRENT_VARIABLES: &str = "temperature_2m,wind_speed_10m,wind_direction_10m,weather_code";

/// The weather at a place. It serializes as the JSON object of a response of `/weather`, but without the member
/// `stale`: `reports::CachedReport` adds it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    place: Location,
    current: Current,
    /// The name of the data's source, for the attribution that its licence requires.
    source: &'static str,
}

/// A place with its coordinates in degrees: a result of the search, or the coordinates that the client gave.
#[derive(Debug, Deserialize, Serialize)]
struct Location {
    /// The city's name; empty if the client gave coordinates.
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    /// `None` if the city is in no country, as in Antarctica, or if the client gave coordinates.
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(deserialize_with = "within::<_, { -90 }, 90>")]
    latitude: f64,
    #[serde(deserialize_with = "within::<_, { -180 }, 180>")]
    longitude: f64,
}

/// The weather at one time. It deserializes with Open-Meteo's member names, and serializes with those of `/weather`.
#[derive(Debug, Deserialize, Serialize)]
struct Current {
    /// A time in UTC, such as `2026-01-02T03:45:00Z`.
    #[serde(deserialize_with = "utc_minute")]
    time: String,
    /// From -100 to 70. The lowest and the highest temperature ever measured are -90 and 57.
    #[serde(rename(deserialize = "temperature_2m"), deserialize_with = "within::<_, { -100 }, 70>")]
    temperature_celsius: f64,
    /// From 0 to 500 km/h. The strongest gust ever measured had 408 km/h.
    #[serde(rename(deserialize = "wind_speed_10m"), deserialize_with = "within::<_, 0, 500>")]
    wind_speed_kmh: f64,
    /// Where the wind comes from, in degrees clockwise from north.
    #[serde(rename(deserialize = "wind_direction_10m"), deserialize_with = "within::<_, 0, 360>")]
    wind_direction_degrees: f64,
    /// A code of WMO table 4677, from 0 to 99.
    #[serde(deserialize_with = "weather_code")]
    weather_code: u8,
    /// What `weather_code` means, such as `light rain`. Empty until [`Report::new`] sets it.
    #[serde(skip_deserializing)]
    weather: &'static str,
}

/// The JSON body of a response of the search service.
#[derive(Debug, Deserialize)]
struct Search {
    /// The matches, the best one first. Open-Meteo omits an empty list.
    #[serde(default)]
    results: Vec<Location>,
    /// Not used, but required: every response of the search has it. Without it, any JSON object would be valid and
    /// would mean that no city matches.
    #[serde(rename = "generationtime_ms")]
    _generation_time_ms: f64,
}

/// The JSON body of a response of the forecast service.
#[derive(Debug, Deserialize)]
struct Forecast {
    current: Current,
}

/// Fetches the weather at a place. For a city, searches for its coordinates first. Then asks for the forecast. Blocks
/// the thread.
///
/// # Errors
///
/// 404 if no city has this name, 504 if the search or the forecast exceeds a timeout, 502 if one of them fails
/// otherwise (RFC 9110 §15.6).
pub(super) fn fetch_report(
    place: &Place,
    settings: &WeatherSettings,
    tls: Option<&Tls>,
) -> Result<Report, Problem> {
    let WeatherSettings { url, idle_timeout, total_timeout, .. } = settings;
    let timeouts = Timeouts { idle: *idle_timeout, deadline: Instant::now() + *total_timeout };
    let client = Client { tls, timeouts };
    let url_of = |host| url.clone().unwrap_or_else(|| Url::from_host(host));
    let location = match *place {
        Place::City(ref name) => search_city(name, &url_of(SEARCH_HOST), &client)?,
        Place::Coordinates(latitude, longitude) => Location {
            name: String::new(),
            country: None,
            latitude: from_hundredths(latitude),
            longitude: from_hundredths(longitude),
        },
    };
    let forecast = fetch_forecast(&location, &url_of(FORECAST_HOST), &client)?;
    Ok(Report::new(location, forecast))
}

/// Asks the search service at `url` for the city that best matches `name`.
///
/// # Errors
///
/// 404 if no city matches, 504 if the service exceeds a timeout, 502 if it fails otherwise.
fn search_city(name: &str, url: &Url, client: &Client<'_>) -> Result<Location, Problem> {
    let query = [("name", name), ("count", "1"), ("language", "en"), ("format", "json")];
    let search = client.get_json(url, &url.target("/v1/search", &query));
    let search: Search = search.map_err(|error| upstream_failed("city search", &error))?;
    let no_such_city = || Problem::new(Status::NOT_FOUND, "no city has this name").with_field("city");
    search.results.into_iter().next().ok_or_else(no_such_city)
}

/// Asks the forecast service at `url` for the current weather.
///
/// # Errors
///
/// 504 if the service exceeds a timeout, 502 if it fails otherwise.
fn fetch_forecast(location: &Location, url: &Url, client: &Client<'_>) -> Result<Forecast, Problem> {
    let query = [
        ("latitude", &*location.latitude.to_string()),
        ("longitude", &*location.longitude.to_string()),
        ("current", CURRENT_VARIABLES),
        ("temperature_unit", "celsius"),
        ("wind_speed_unit", "kmh"),
        ("timezone", "GMT"),
    ];
    let forecast = client.get_json(url, &url.target("/v1/forecast", &query));
    forecast.map_err(|error| upstream_failed("forecast", &error))
}

/// Converts the error of a fetch from `service`: a 504 if a timeout has expired, otherwise a 502.
fn upstream_failed(service: &str, error: &io::Error) -> Problem {
    let (status, reason) = match error.kind() {
        // After a socket timeout, some systems report the first kind and some the second.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            (Status::GATEWAY_TIMEOUT, "upstream did not respond in time".to_owned())
        }
        io::ErrorKind::Other => (Status::BAD_GATEWAY, error.to_string()),
        _ => (Status::BAD_GATEWAY, "the connection to upstream failed".to_owned()),
    };
    Problem::new(status, format!("the {service} failed: {reason}"))
}

impl Report {
    /// Combines a place and the weather there.
    fn new(place: Location, Forecast { mut current }: Forecast) -> Report {
        current.weather = describe(current.weather_code);
        Report { place, current, source: "Open-Meteo.com" }
    }

    /// Returns a short description for the log, such as `4 C, light rain`.
    pub(super) fn summary(&self) -> String {
        format!("{} C, {}", self.current.temperature_celsius, self.current.weather)
    }
}

/// Deserializes a number and rounds it to hundredths. Fails if the number is below `LOW` or above `HIGH`.
fn within<'de, D: Deserializer<'de>, const LOW: i32, const HIGH: i32>(json: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(json)?;
    let rounded = from_hundredths(to_hundredths(number));
    let in_range = (f64::from(LOW)..=f64::from(HIGH)).contains(&number);
    in_range.then_some(rounded).ok_or_else(|| D::Error::custom("number out of range"))
}

/// Deserializes a time in UTC such as `2026-01-02T03:45`, and adds seconds and time zone: `2026-01-02T03:45:00Z`
/// (RFC 3339). Fails if the text has another form or a number is out of range.
fn utc_minute<'de, D: Deserializer<'de>>(json: D) -> Result<String, D::Error> {
    let text = String::deserialize(json)?;
    let form = text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    let numbers: Vec<u16> = text.split(['-', 'T', ':']).flat_map(str::parse).collect();
    let is_time = form.eq(*b"0000-00-00T00:00") && matches!(numbers[..], [_, 1..=12, 1..=31, 0..=23, 0..=59]);
    is_time.then(|| text + ":00Z").ok_or_else(|| D::Error::custom("not a time in minutes"))
}

/// Deserializes a weather code. Fails if it is above 99.
fn weather_code<'de, D: Deserializer<'de>>(json: D) -> Result<u8, D::Error> {
    let code = u8::deserialize(json)?;
    if code <= 99 { Ok(code) } else { Err(D::Error::custom("not a weather code")) }
}

/// Returns what a weather code means, such as `light rain`; `undocumented` if Open-Meteo does not document it.
const fn describe(weather_code: u8) -> &'static str {
    match weather_code {
        0 => "clear sky",
        1 => "mainly clear",
        2 => "partly cloudy",
        3 => "overcast",
        45 => "fog",
        48 => "rime fog",
        51 => "light drizzle",
        53 => "drizzle",
        55 => "dense drizzle",
        56 => "light freezing drizzle",
        57 => "freezing drizzle",
        61 => "light rain",
        63 => "rain",
        65 => "heavy rain",
        66 => "light freezing rain",
        67 => "heavy freezing rain",
        71 => "light snowfall",
        73 => "snowfall",
        75 => "heavy snowfall",
        77 => "snow grains",
        80 => "light showers",
        81 => "showers",
        82 => "violent showers",
        85 => "light snow showers",
        86 => "heavy snow showers",
        95 => "thunderstorm",
        96 => "thunderstorm with light hail",
        99 => "thunderstorm with heavy hail",
        _ => "undocumented",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A response of the search with two results.
    const SEARCH: &str = r#"{
        "results": [
            {"id":2950159,"name":"Berlin","latitude":52.52437,"longitude":13.41053,"country":"Germany"},
            {"id":5083330,"name":"Berlin","latitude":44.46867,"longitude":-71.18508,"country":"United States"}
        ],
        "generationtime_ms":0.6
    }"#;
    /// A response of the forecast: light snowfall at -0.4 °C.
    const FORECAST: &str = r#"{
        "latitude":52.52,"longitude":13.42,"utc_offset_seconds":0,"timezone":"GMT",
        "current": {
            "time":"2026-10-01T11:45","interval":900,
            "temperature_2m":-0.4,"wind_speed_10m":12.3,"wind_direction_10m":241,"weather_code":71
        }
    }"#;

    impl Report {
        /// Creates a report of light snowfall at this temperature, for the tests of this and other modules.
        pub(in crate::weather) fn sample(celsius: f64) -> Report {
            report(SEARCH, &FORECAST.replacen("-0.4", &celsius.to_string(), 1))
                .expect("well-formed responses")
        }
    }

    /// Makes a report of the JSON of both services; `None` if one is malformed or the search has no results.
    fn report(search: &str, forecast: &str) -> Option<Report> {
        let search: Search = serde_json::from_str(search).ok()?;
        Some(Report::new(search.results.into_iter().next()?, serde_json::from_str(forecast).ok()?))
    }

    /// Checks the report, as JSON, that is made of the JSON of both services; `None` expects that one is malformed.
    fn check(search: &str, forecast: &str, expected: Option<&Value>) {
        let json = report(search, forecast).map(|report| serde_json::to_value(report).expect("JSON"));
        assert_eq!(json.as_ref(), expected, "{search} {forecast}");
    }

    #[test]
    fn makes_a_report_of_both_responses() {
        let mut report = json!({
            "place": { "name": "Berlin", "country": "Germany", "latitude": 52.52, "longitude": 13.41 },
            "current": {
                "time": "2026-10-01T11:45:00Z",
                "temperature_celsius": -0.4,
                "wind_speed_kmh": 12.3,
                "wind_direction_degrees": 241.0,
                "weather_code": 71,
                "weather": "light snowfall",
            },
            "source": "Open-Meteo.com",
        });
        check(SEARCH, FORECAST, Some(&report));
        report["place"].as_object_mut().and_then(|place| place.remove("country")).expect("a country");
        check(&SEARCH.replacen(r#","country":"Germany""#, "", 1), FORECAST, Some(&report));
    }

    #[test]
    fn accepts_a_search_without_results() {
        for json in [r#"{"generationtime_ms":0.5}"#, r#"{"results":[],"generationtime_ms":0.5}"#] {
            let search: Search = serde_json::from_str(json).expect("a response");
            assert!(search.results.is_empty(), "{json}");
        }
    }

    #[test]
    fn rejects_missing_members_and_values_out_of_range() {
        let time = "2026-10-01T11:45";
        let cases: [(&str, &[&str]); 15] = [
            ("\"name\":\"Berlin\",", &[""]),
            ("\"Berlin\"", &["null"]),
            ("52.52437", &["90.5", "\"52.52437\""]),
            ("13.41053", &["-180.01"]),
            ("generationtime_ms", &["took_ms"]),
            ("\"Germany\"}", &["\"Germany\""]),
            ("current", &["hourly"]),
            (time, &["2026-13-01T11:45", "2026-10-00T11:45", "2026-10-01T24:00", "2026-10-01T11:60"]),
            (time, &["2026-10-01 11:45", "2026-10-01T11:45Z", "2026-1é-1T11:45"]),
            ("-0.4", &["-100.4", "null", "NaN", "1e999"]),
            ("12.3", &["-0.1", "-1", "500.1", "1e400", "null", "\"1\"", "[]"]),
            ("241", &["361"]),
            (":71", &[":100", ":-1", ":7.1"]),
            (",\"weather_code\":71", &[""]),
            (":71\n        }", &[":71"]),
        ];
        for (valid, invalid) in cases {
            for invalid in invalid {
                let [search, forecast] = [SEARCH, FORECAST].map(|json| json.replacen(valid, invalid, 1));
                check(&search, &forecast, None);
            }
        }
    }

    #[test]
    fn describes_each_documented_code() {
        assert_eq!((0..=99).filter(|&code| describe(code) != "undocumented").count(), 28);
    }
}
