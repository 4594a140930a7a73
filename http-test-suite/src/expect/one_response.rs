//! Expectations about one response: status, headers, body; and whether an earlier response had the same.

use super::expectation::{Expectation, check_response, check_with_prior, response_that};
use crate::location;
use crate::reader::preview;
use crate::response::Response;

/// Expects that the status is this one.
pub fn status(status: u16) -> Expectation {
    any_of([status])
}

/// Expects that the status is one of these.
pub fn any_of<const N: usize>(statuses: [u16; N]) -> Expectation {
    let names = statuses.map(|status| status.to_string());
    response_that(format!("status {}", names.join(" or ")), move |response| {
        statuses.contains(&response.status)
    })
}

/// Expects that the status is 4xx.
pub fn client_error() -> Expectation {
    response_that("status 4xx", |response| (400..500).contains(&response.status))
}

/// Expects that the status is 4xx or 5xx.
pub fn any_error() -> Expectation {
    response_that("status 4xx or 5xx", |response| response.status >= 400)
}

/// Expects that a well-formed response comes, with any status.
pub fn any_response() -> Expectation {
    response_that("a response", |_| true)
}

/// Expects that the response has the header `name`, and its value is as expected: a text, or [`any_value`], [`listing`]
/// or [`value_that`]. The values of several lines are joined by commas.
pub fn header(name: &'static str, value: impl Into<ExpectedValue>) -> Expectation {
    let ExpectedValue { description, test } = value.into();
    check_response(format!("{name} {description}"), move |response| {
        let values: Vec<_> = response.values(name).collect();
        match values.join(", ") {
            _ if values.is_empty() => Err(format!("{} without {name}", response.describe())),
            value if test(&value) => Ok(()),
            value => Err(format!("{name}: {value}")),
        }
    })
}

/// Expects that the response has no header `name`.
pub fn no_header(name: &'static str) -> Expectation {
    check_response(format!("no {name}"), move |response| {
        response.header(name).map_or(Ok(()), |value| Err(format!("{name}: {value}")))
    })
}

/// Expects that the response to the request for `target` has a Location that leads to this path and query (RFC 9110
/// §10.2.2).
pub fn leads_to(target: &'static str, path: &'static str) -> Expectation {
    let leads =
        move |to: &str| location::is_reference(to) && location::resolve(target, to).as_deref() == Some(path);
    header("Location", value_that(format!("that leads from {target} to {path}"), leads))
}

/// Expects that the response has no Location, or its Location leads to this host when a browser resolves it.
pub fn stays_on_host() -> Expectation {
    let description = "no Location but a URI reference to this host";
    check_response(description, |response| match response.header("Location") {
        Some(to) if !location::is_reference(to) || location::resolve("/", to).is_none() => {
            Err(format!("Location: {to}"))
        }
        _ => Ok(()),
    })
}

/// What the value of a header must be.
pub struct ExpectedValue {
    /// Follows the name of the header in messages.
    description: String,
    /// Whether a value is as expected.
    test: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// Expects any value.
pub fn any_value() -> ExpectedValue {
    value_that("with any value", |_| true)
}

/// Expects a comma-separated list that has this member, in any case of letters.
pub fn listing(member: &'static str) -> ExpectedValue {
    value_that(format!("that lists {member}"), move |value| {
        value.split(',').any(|item| item.trim().eq_ignore_ascii_case(member))
    })
}

/// Expects a value that passes `test`. `description` follows the name of the header in messages.
pub fn value_that(
    description: impl Into<String>,
    test: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> ExpectedValue {
    ExpectedValue { description: description.into(), test: Box::new(test) }
}

impl<T: Into<String>> From<T> for ExpectedValue {
    fn from(text: T) -> Self {
        let text = text.into();
        value_that(format!("with the value {text}"), move |value| value == text)
    }
}

/// Expects that the body is exactly `expected`.
pub fn body(expected: impl Into<Vec<u8>>) -> Expectation {
    let expected = expected.into();
    body_that(format!("the body {}", show(&expected)), move |body| body == expected)
}

/// Expects that the body passes `test`. `description` says how it must be: "a body that ends with a line feed".
pub fn body_that(
    description: impl Into<String>,
    test: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
) -> Expectation {
    check_response(description, move |response| match test(&response.body) {
        true => Ok(()),
        false => Err(format!("{} with the body {}", response.describe(), show(&response.body))),
    })
}

/// Expects that an interim response of this status comes before the final one.
pub fn interim(status: u16) -> Expectation {
    check_response(format!("an interim response {status} first"), move |response| {
        let came = response.interim.iter().any(|interim| interim.status == status);
        if came { Ok(()) } else { Err(format!("{} without it", response.describe())) }
    })
}

/// Expects that no interim response comes before the final one.
pub fn no_interim() -> Expectation {
    check_response("no interim response", |response| {
        response.interim.first().map_or(Ok(()), |interim| Err(interim.describe()))
    })
}

/// Expects that the response to HEAD has the status and the headers of the response to GET, except headers that depend
/// on the time (RFC 9110 §9.3.2). The suite first sends the GET, on a connection of its own.
pub fn same_as_get() -> Expectation {
    /// Headers that depend on the time or the connection.
    const MOMENTARY: [&str; 4] = ["Date", "Connection", "Keep-Alive", "Age"];
    /// Headers that a response to HEAD may leave out.
    const OF_BODY: [&str; 3] = ["Content-Length", "Transfer-Encoding", "Vary"];
    let among = |names: &[&str], name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
    let check = move |response: &Response, get: &Response| {
        if response.status != get.status {
            return Err(format!("{}, by GET {}", response.describe(), get.describe()));
        }
        for (name, by_get) in get.headers.iter().filter(|(name, _)| !among(&MOMENTARY, name)) {
            match response.header(name) {
                None if among(&OF_BODY, name) => {}
                Some(value) if response.values(name).eq(get.values(name)) || value == by_get => {}
                Some(value) => return Err(format!("{name}: {value}, by GET {by_get}")),
                None => return Err(format!("no {name}, by GET {by_get}")),
            }
        }
        Ok(())
    };
    Expectation { needs_get: true, ..check_with_prior("the status and headers that GET has", check) }
}

/// Expects that the response and the prior response, to the request of [`Case::after`](crate::case::Case::after), pass
/// `test`.
pub fn compared_with_prior(
    description: impl Into<String>,
    test: impl Fn(&Response, &Response) -> bool + Send + Sync + 'static,
) -> Expectation {
    check_with_prior(
        description,
        move |response, prior| {
            if test(response, prior) { Ok(()) } else { Err(response.describe()) }
        },
    )
}

/// Expects that the header `name` is the same as in the prior response, to the request of
/// [`Case::after`](crate::case::Case::after).
pub fn same_header(name: &'static str) -> Expectation {
    check_with_prior(format!("{name} as before"), move |response, prior| {
        let (now, before) = (response.header(name), prior.header(name));
        let error = || format!("{name}: {}, before {}", now.unwrap_or("none"), before.unwrap_or("none"));
        if now == before { Ok(()) } else { Err(error()) }
    })
}

/// A body as a phrase for messages.
fn show(body: &[u8]) -> String {
    if body.is_empty() { "of no bytes".into() } else { format!("\"{}\"", preview(body, 60)) }
}
