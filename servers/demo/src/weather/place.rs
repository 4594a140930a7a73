//! What is asked for: the query of `/weather`, checked, becomes a place.

use super::measure::{Latitude, Longitude};
use crate::{parameters::Parameters, problem::Problem};
use http_engine::{Request, Status};
use std::{borrow::Cow, fmt};

/// Characters of a city's name. The longest name of a place in use has 85.
const NAME: usize = 100;

/// A place by its name or by where it lies. Equal places have the same weather.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A name in lower case: upstream's search makes no difference.
    City(String),
    /// Coordinates.
    At(Latitude, Longitude),
}

impl Place {
    /// The place that a request names: by `city`, or by `latitude` and `longitude`.
    ///
    /// # Errors
    ///
    /// 400 that names the parameter which is wrong.
    pub(super) fn asked_for(request: &Request<'_>) -> Result<Place, Problem> {
        let parameters = Parameters::of(request, &["city", "latitude", "longitude"])?;
        let latitude = parameters.number("latitude", Latitude::ALL)?;
        let longitude = parameters.number("longitude", Longitude::ALL)?;
        match (parameters.text("city"), latitude, longitude) {
            (Some(name), None, None) => Place::named(name),
            (None, Some(latitude), Some(longitude)) => Ok(Place::At(latitude, longitude)),
            (Some(_), _, _) => Err(wrong("city", "must not stand beside coordinates")),
            (None, Some(_), None) => Err(wrong("longitude", "must be given with a latitude")),
            (None, None, Some(_)) => Err(wrong("latitude", "must be given with a longitude")),
            (None, None, None) => Err(wrong("city", "must be given, or else latitude and longitude")),
        }
    }

    fn named(name: &str) -> Result<Place, Problem> {
        let name = name.trim();
        if name.is_empty() {
            return Err(wrong("city", "must not be empty"));
        }
        if name.chars().count() > NAME {
            return Err(wrong("city", format!("must not have more than {NAME} characters")));
        }
        // The replacement character stands where there was no UTF-8.
        if name.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
            return Err(wrong("city", "must be text without control characters"));
        }
        Ok(Place::City(name.to_lowercase()))
    }
}

fn wrong(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Status::BAD_REQUEST, detail).about(field)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::City(name) => write!(f, "{name:?}"),
            Place::At(latitude, longitude) => write!(f, "{latitude}, {longitude}"),
        }
    }
}
