//! Query parameters. An unknown name, a repeated name and a number out of range are errors, never ignored.

use crate::problem::Problem;
use http_engine::Request;
use std::{collections::HashMap, fmt::Display, ops::RangeInclusive, str::FromStr};

/// The decoded parameters of one query, by name.
pub(crate) struct Parameters(HashMap<&'static str, String>);

impl Parameters {
    /// Parses the query of a request. A request without a query has no parameters.
    ///
    /// # Errors
    ///
    /// 400 if the query holds a name that is not in `known`, or one name twice.
    pub(crate) fn parse(request: &Request<'_>, known: &[&'static str]) -> Result<Parameters, Problem> {
        let mut values = HashMap::new();
        for (name, value) in request.query() {
            let Some(&name) = known.iter().find(|known| **known == name) else {
                let known = known.join(", ");
                return Err(Problem::bad_request(format!("unknown parameter {name:?}; known: {known}")));
            };
            if values.insert(name, value.into_owned()).is_some() {
                return Err(Problem::invalid(name, "given more than once"));
            }
        }
        Ok(Parameters(values))
    }

    /// Returns the value of a parameter; `None` if the query does not have it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the value of a parameter as a number; `None` if the query does not have it.
    ///
    /// # Errors
    ///
    /// 400 if the value is not a number in `range`.
    pub(crate) fn number<N>(&self, name: &'static str, range: RangeInclusive<N>) -> Result<Option<N>, Problem>
    where
        N: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let detail = || format!("must be a number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| Problem::invalid(name, detail()))
    }
}
