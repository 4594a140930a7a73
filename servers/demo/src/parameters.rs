//! The parameters of a query: each known, each at most once, each in its range.

use super::Problem;
use http_engine::{Request, Status, form};
use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

/// What a query says, name by name.
#[derive(Debug)]
pub(super) struct Parameters {
    values: Vec<(&'static str, String)>,
}

impl Parameters {
    /// Takes the query apart.
    ///
    /// # Errors
    ///
    /// 400 if it names what is not `known`, or anything twice.
    pub(super) fn of(request: &Request<'_>, known: &[&'static str]) -> Result<Parameters, Problem> {
        let mut values: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in form::pairs(request.query().unwrap_or_default().as_bytes()) {
            let Some(name) = known.iter().find(|known| **known == name) else {
                let known = known.join(", ");
                let detail = format!("there is no parameter {name:?} here; known: {known}");
                return Err(Problem::new(Status::BAD_REQUEST, detail));
            };
            if values.iter().any(|(seen, _)| seen == name) {
                return Err(Problem::new(Status::BAD_REQUEST, "given more than once").about(name));
            }
            values.push((name, value));
        }
        Ok(Parameters { values })
    }

    /// The value of a parameter, if it was given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// The number that a parameter holds, if it was given.
    ///
    /// # Errors
    ///
    /// 400 if it is no number, or none of those allowed.
    pub(super) fn number<N>(
        &self,
        name: &'static str,
        allowed: RangeInclusive<N>,
    ) -> Result<Option<N>, Problem>
    where
        N: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if allowed.contains(&number) => Ok(Some(number)),
            _ => {
                let detail = format!("must be a number from {} to {}", allowed.start(), allowed.end());
                Err(Problem::new(Status::BAD_REQUEST, detail).about(name))
            }
        }
    }
}
