//! The models: what upstream answers, as strict as it is documented, and what is answered here.
//!
//! Sources: open-meteo.com/en/docs and open-meteo.com/en/docs/geocoding-api. A field that is not read is not
//! mentioned; one that is read and is absent, null or out of bounds makes the whole answer malformed.

use super::measure::{Bearing, Celsius, KilometresPerHour, Latitude, Longitude};
use serde::{Deserialize, Serialize};

/// The answer to a search.
#[derive(Debug, Deserialize)]
pub(super) struct Search {
    /// Upstream leaves out what is empty.
    #[serde(default)]
    results: Vec<City>,
    /// On every answer: without it, an object without results is no answer to a search.
    #[serde(rename = "generationtime_ms")]
    _took_ms: f64,
}

/// A match.
#[derive(Debug, Deserialize)]
struct City {
    name: String,
    /// Absent where no country is.
    country: Option<String>,
    latitude: Latitude,
    longitude: Longitude,
}

/// The answer of a forecast.
#[derive(Debug, Deserialize)]
pub(super) struct Forecast {
    current: Weather,
}

/// The weather at one time, in the units that were asked for.
#[derive(Debug, Deserialize)]
struct Weather {
    time: Minute,
    temperature_2m: Celsius,
    wind_speed_10m: KilometresPerHour,
    wind_direction_10m: Bearing,
    weather_code: WeatherCode,
}

/// What is told about a place.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    place: Location,
    current: Current,
}

/// Where it is.
#[derive(Debug, Serialize)]
pub(super) struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    pub(super) latitude: Latitude,
    pub(super) longitude: Longitude,
}

/// How the weather is there.
#[derive(Debug, Serialize)]
struct Current {
    time: Minute,
    temperature_celsius: Celsius,
    wind_speed_kmh: KilometresPerHour,
    wind_direction_degrees: Bearing,
    weather_code: WeatherCode,
    weather: &'static str,
}

impl Search {
    /// The best match, if there is any.
    pub(super) fn best(self) -> Option<Location> {
        let City { name, country, latitude, longitude } = self.results.into_iter().next()?;
        Some(Location { name: Some(name), country, latitude, longitude })
    }
}

impl Location {
    /// A place that nobody has named.
    pub(super) fn at(latitude: Latitude, longitude: Longitude) -> Location {
        Location { name: None, country: None, latitude, longitude }
    }
}

impl Report {
    pub(super) fn new(place: Location, Forecast { current: seen }: Forecast) -> Report {
        let current = Current {
            time: seen.time,
            temperature_celsius: seen.temperature_2m,
            wind_speed_kmh: seen.wind_speed_10m,
            wind_direction_degrees: seen.wind_direction_10m,
            weather_code: seen.weather_code,
            weather: seen.weather_code.words(),
        };
        Report { place, current }
    }

    /// In a line, for the log.
    pub(super) fn summary(&self) -> String {
        format!("{} C, {}", self.current.temperature_celsius, self.current.weather)
    }
}

/// A minute in UTC. Upstream writes it without its zone, and it is told with it (RFC 3339).
#[derive(Debug, Deserialize, Serialize)]
#[serde(try_from = "String")]
struct Minute(String);

impl TryFrom<String> for Minute {
    type Error = &'static str;

    fn try_from(mut text: String) -> Result<Minute, &'static str> {
        let like = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
        let shaped = text.len() == 16 && text.bytes().zip(*b"0000-00-00T00:00").all(like);
        let within = |from: usize, low: u8, high: u8| {
            text[from..from + 2].parse().is_ok_and(|number: u8| (low..=high).contains(&number))
        };
        if !(shaped && within(5, 1, 12) && within(8, 1, 31) && within(11, 0, 23) && within(14, 0, 59)) {
            return Err("no time to the minute");
        }
        text.push_str(":00Z");
        Ok(Minute(text))
    }
}

/// A code of WMO table 4677, 0 to 99.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "u8")]
struct WeatherCode(u8);

impl TryFrom<u8> for WeatherCode {
    type Error = &'static str;

    fn try_from(code: u8) -> Result<WeatherCode, &'static str> {
        if code <= 99 { Ok(WeatherCode(code)) } else { Err("no weather code") }
    }
}

impl WeatherCode {
    /// What it means, for those codes that upstream documents.
    const fn words(self) -> &'static str {
        match self.0 {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const SEARCH: &str = r#"{
        "results": [
            {"id":2950159,"name":"Berlin","latitude":52.52437,"longitude":13.41053,"country":"Germany"},
            {"id":5083330,"name":"Berlin","latitude":44.46867,"longitude":-71.18508,"country":"United States"}
        ],
        "generationtime_ms":0.6
    }"#;
    const FORECAST: &str = r#"{
        "latitude":52.52,"longitude":13.42,"utc_offset_seconds":0,"timezone":"GMT",
        "current": {
            "time":"2026-10-01T11:45","interval":900,
            "temperature_2m":-0.4,"wind_speed_10m":12.3,"wind_direction_10m":241,"weather_code":71
        }
    }"#;

    impl Report {
        /// Rain at so many degrees, somewhere.
        pub(in crate::weather) fn sample(celsius: f64) -> Report {
            let within = "within bounds";
            let (latitude, longitude) = (0.0.try_into().expect(within), 0.0.try_into().expect(within));
            let weather = Weather {
                time: Minute("2026-01-02T03:45:00Z".to_owned()),
                temperature_2m: celsius.try_into().expect(within),
                wind_speed_10m: 0.0.try_into().expect(within),
                wind_direction_10m: 0.0.try_into().expect(within),
                weather_code: WeatherCode(63),
            };
            Report::new(Location::at(latitude, longitude), Forecast { current: weather })
        }
    }

    /// What is told because of these two.
    fn check(search: &str, forecast: &str, expected: Option<&Value>) {
        let place = serde_json::from_str::<Search>(search).ok().and_then(Search::best);
        let weather = serde_json::from_str::<Forecast>(forecast).ok();
        let report = place.zip(weather).map(|(place, weather)| Report::new(place, weather));
        let told = report.map(|report| serde_json::to_value(&report).expect("JSON"));
        assert_eq!(told.as_ref(), expected, "{search} {forecast}");
    }

    #[test]
    fn what_upstream_answers_becomes_what_is_told() {
        let mut told = json!({
            "place": { "name": "Berlin", "country": "Germany", "latitude": 52.52, "longitude": 13.41 },
            "current": {
                "time": "2026-10-01T11:45:00Z",
                "temperature_celsius": -0.4,
                "wind_speed_kmh": 12.3,
                "wind_direction_degrees": 241.0,
                "weather_code": 71,
                "weather": "light snowfall",
            },
        });
        check(SEARCH, FORECAST, Some(&told));
        told["place"].as_object_mut().and_then(|place| place.remove("country")).expect("a country");
        check(&SEARCH.replacen(r#","country":"Germany""#, "", 1), FORECAST, Some(&told));
    }

    #[test]
    fn nothing_found_is_an_answer() {
        for nothing in [r#"{"generationtime_ms":0.5}"#, r#"{"results":[],"generationtime_ms":0.5}"#] {
            let search: Search = serde_json::from_str(nothing).expect("an answer");
            assert!(search.best().is_none(), "{nothing}");
        }
    }

    #[test]
    fn what_is_absent_or_out_of_bounds_is_refused() {
        for (right, wrong) in [
            (r#""name":"Berlin","#, ""),
            ("\"Berlin\"", "null"),
            ("52.52437", "90.5"),
            ("52.52437", "\"52.52437\""),
            ("13.41053", "-180.01"),
            ("generationtime_ms", "took_ms"),
            ("}", ""),
        ] {
            check(&SEARCH.replacen(right, wrong, 1), FORECAST, None);
        }
        for (right, wrong) in [
            ("current", "hourly"),
            ("2026-10-01T11:45", "2026-13-01T11:45"),
            ("2026-10-01T11:45", "2026-10-00T11:45"),
            ("2026-10-01T11:45", "2026-10-01T24:00"),
            ("2026-10-01T11:45", "2026-10-01T11:60"),
            ("2026-10-01T11:45", "2026-10-01 11:45"),
            ("2026-10-01T11:45", "2026-10-01T11:45Z"),
            ("2026-10-01T11:45", "2026-1é-1T11:45"),
            ("-0.4", "-100.4"),
            ("-0.4", "null"),
            ("-0.4", "NaN"),
            ("-0.4", "1e999"),
            ("12.3", "-1"),
            ("241", "361"),
            (":71", ":100"),
            (":71", ":-1"),
            (":71", ":7.1"),
            (",\"weather_code\":71", ""),
        ] {
            check(SEARCH, &FORECAST.replacen(right, wrong, 1), None);
        }
    }

    #[test]
    fn every_code_has_words() {
        let documented = (0..=99).filter(|&code| WeatherCode(code).words() != "undocumented").count();
        assert_eq!(documented, 28);
    }
}
