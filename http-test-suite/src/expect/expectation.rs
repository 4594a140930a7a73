//! The type of an expectation, and the functions that make one from a test of a response or of the whole exchange.

use std::fmt;

use crate::exchange::{Ending, Exchange};
use crate::response::Response;

/// A statement about an exchange, and the function that checks it.
pub struct Expectation {
    /// The statement; it ends the sentence "expected …".
    pub description: String,
    /// The number of final responses that the check needs.
    pub responses: usize,
    /// How the connection must end for the check; `None` if that does not matter.
    pub ending: Option<Ending>,
    /// Whether the suite must first send a GET for the same target.
    pub needs_get: bool,
    /// Whether the statement can be true without any response.
    pub allows_no_response: bool,
    /// Checks the statement.
    pub(super) check: Check,
}

/// Checks final response number `index`, the first of which is 0. The error ends the sentence "but it was …".
type Check = Box<dyn Fn(&Exchange, usize) -> Result<(), String> + Send + Sync>;

impl Expectation {
    /// Checks whether the statement is true for `exchange`.
    ///
    /// # Errors
    ///
    /// Describes what is true instead.
    pub fn check(&self, exchange: &Exchange) -> Result<(), String> {
        (self.check)(exchange, 0)
    }
}

impl From<Expectation> for Vec<Expectation> {
    fn from(expectation: Expectation) -> Self {
        vec![expectation]
    }
}

impl fmt::Debug for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

/// Expects that the response passes `test`. `description` ends the sentence "expected …".
pub fn response_that(
    description: impl Into<String>,
    test: impl Fn(&Response) -> bool + Send + Sync + 'static,
) -> Expectation {
    check_response(
        description,
        move |response| if test(response) { Ok(()) } else { Err(response.describe()) },
    )
}

/// Expects that `check` returns `Ok` for the response; otherwise `check` returns what it found instead.
pub fn check_response(
    description: impl Into<String>,
    check: impl Fn(&Response) -> Result<(), String> + Send + Sync + 'static,
) -> Expectation {
    new(description, 1, None, move |exchange, index| match exchange.responses.get(index) {
        Some(response) => check(response),
        None => Err(exchange.absence(index)),
    })
}

/// Expects that `check` returns `Ok` for the response and the prior response, to the request of
/// [`Case::after`](crate::case::Case::after).
pub fn check_with_prior(
    description: impl Into<String>,
    check: impl Fn(&Response, &Response) -> Result<(), String> + Send + Sync + 'static,
) -> Expectation {
    new(description, 1, None, move |exchange, index| match (exchange.responses.get(index), &exchange.prior) {
        (Some(response), Some(prior)) => check(response, prior),
        (None, _) => Err(exchange.absence(index)),
        (_, None) => Err("no response to the request before".into()),
    })
}

/// Expects that `check` returns `Ok` for the whole exchange, after this number of final responses and this ending.
pub fn of_exchange(
    description: impl Into<String>,
    responses: usize,
    ending: Option<Ending>,
    check: impl Fn(&Exchange) -> Result<(), String> + Send + Sync + 'static,
) -> Expectation {
    new(description, responses, ending, move |exchange, _| check(exchange))
}

/// Makes an expectation that needs no GET before it, and at least one response.
fn new(
    description: impl Into<String>,
    responses: usize,
    ending: Option<Ending>,
    check: impl Fn(&Exchange, usize) -> Result<(), String> + Send + Sync + 'static,
) -> Expectation {
    let (description, check) = (description.into(), Box::new(check));
    Expectation { description, responses, ending, needs_get: false, allows_no_response: false, check }
}
