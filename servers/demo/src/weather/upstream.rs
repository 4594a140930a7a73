//! The two services that are asked, one for where a city lies and one for the weather there.
//!
//! Their documentation names `https` URLs. Both answer plain HTTP on the same hosts as well, without a redirect and
//! without a key, and what is asked and told here is no secret: no TLS is needed.

use super::{
    Settings,
    failure::{Failure, Fault, Step},
    fetch::{self, Patience},
    forecast::{Forecast, Location, Report, Search},
    place::Place,
    url::Url,
};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// Who knows where cities lie.
const SEARCH_HOST: &str = "geocoding-api.open-meteo.com";
/// Who knows the weather.
const FORECAST_HOST: &str = "api.open-meteo.com";
/// What is told of the weather.
const VARIABLES: &str = "temperature_2m,wind_speed_10m,wind_direction_10m,weather_code";

/// Where the services are, and how long they may take.
#[derive(Debug)]
pub(super) struct Upstream {
    search: Url,
    forecast: Url,
    connect: Duration,
    stall: Duration,
    total: Duration,
}

impl Upstream {
    pub(super) fn new(settings: Settings) -> Upstream {
        let Settings { url, connect, stall, total, .. } = settings;
        let (search, forecast) = match url {
            Some(url) => (url.clone(), url),
            None => (Url::of(SEARCH_HOST), Url::of(FORECAST_HOST)),
        };
        Upstream { search, forecast, connect, stall, total }
    }

    /// Asks for a place's weather, and waits for it.
    ///
    /// # Errors
    ///
    /// Which step failed, and how.
    pub(super) fn report(&self, place: &Place) -> Result<Report, Failure> {
        let until = Instant::now() + self.total;
        let patience = Patience { connect: self.connect, stall: self.stall, until };
        let location = match place {
            Place::City(name) => self.search(name, &patience)?,
            Place::At(latitude, longitude) => Location::at(*latitude, *longitude),
        };
        let forecast = self.forecast(&location, &patience)?;
        Ok(Report::new(location, forecast))
    }

    fn search(&self, name: &str, patience: &Patience) -> Result<Location, Failure> {
        let query = [("name", name), ("count", "1"), ("language", "en"), ("format", "json")];
        let target = self.search.target("/v1/search", &query);
        let found: Search = ask(Step::Search, &self.search, &target, patience)?;
        found.best().ok_or(Failure::NoSuchCity)
    }

    /// The units and the zone are upstream's own; they are named because the answer depends on them.
    fn forecast(&self, location: &Location, patience: &Patience) -> Result<Forecast, Failure> {
        let query = [
            ("latitude", &*location.latitude.to_string()),
            ("longitude", &*location.longitude.to_string()),
            ("current", VARIABLES),
            ("temperature_unit", "celsius"),
            ("wind_speed_unit", "kmh"),
            ("timezone", "GMT"),
        ];
        let target = self.forecast.target("/v1/forecast", &query);
        ask(Step::Forecast, &self.forecast, &target, patience)
    }
}

fn ask<T: DeserializeOwned>(step: Step, url: &Url, target: &str, patience: &Patience) -> Result<T, Failure> {
    let content = fetch::get(url, target, patience);
    let read = content.and_then(|json| serde_json::from_slice(&json).map_err(|_| Fault::Malformed));
    read.map_err(|fault| Failure::Upstream(step, fault))
}
