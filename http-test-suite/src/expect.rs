//! Expectations of cases. Every function here makes one [`Expectation`]; a case passes if all its expectations hold.
//!
//! Unless it says otherwise, an expectation is about the first final response; [`nth`] moves it to a later response.

use std::fmt;

use crate::connection::ConnectionEnd;
use crate::exchange::{Ending, Exchange};
use crate::location;
use crate::reader::preview;
use crate::response::Response;
use crate::rules::ensure;

/// A statement about an exchange, such as "status 404", and the function that checks it.
pub struct Expectation {
    /// The statement; it ends the sentence "expected …".
    pub description: String,
    /// The number of final responses that the suite waits for before the check.
    pub responses: usize,
    /// How the client must end the connection for the check; `None` if that does not matter.
    pub ending: Option<Ending>,
    /// Whether the suite must first send a GET for the same target, to compare the responses.
    pub needs_get: bool,
    /// Whether the statement can be true without any response.
    pub allows_no_response: bool,
    /// The function that checks the statement.
    check: Check,
}

/// Checks the statement about final response number `index`, the first of which is 0. The error ends the sentence "but
/// it was …".
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
    /// Makes a list of one, so that [`Case::expect`](crate::case::Case::expect) accepts a single expectation.
    fn from(expectation: Expectation) -> Self {
        vec![expectation]
    }
}

impl fmt::Debug for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

/// Expects that the response has this status.
pub fn status(status: u16) -> Expectation {
    any_of([status])
}

/// Expects that the response has one of these statuses.
pub fn any_of<const N: usize>(statuses: [u16; N]) -> Expectation {
    let names = statuses.map(|status| status.to_string());
    response_that(format!("status {}", names.join(" or ")), move |response| {
        statuses.contains(&response.status)
    })
}

/// Expects that the response has a status 4xx.
pub fn client_error() -> Expectation {
    response_that("status 4xx", |response| (400..500).contains(&response.status))
}

/// Expects that the response has a status 4xx or 5xx.
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

/// Expects that the response to a request for `target` has a Location that leads to this path and query (RFC 9110
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

/// A condition that the value of a header must meet, for [`header`].
pub struct ExpectedValue {
    /// The condition in words; follows the name of the header in messages.
    description: String,
    /// Returns whether a value meets the condition.
    test: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// For [`header`]: the header must be present, with any value.
pub fn any_value() -> ExpectedValue {
    value_that("with any value", |_| true)
}

/// For [`header`]: the value must be a comma-separated list with this member, in any case of letters.
pub fn listing(member: &'static str) -> ExpectedValue {
    value_that(format!("that lists {member}"), move |value| {
        value.split(',').any(|item| item.trim().eq_ignore_ascii_case(member))
    })
}

/// For [`header`]: the value must pass `test`. `description` follows the name of the header in messages.
pub fn value_that(
    description: impl Into<String>,
    test: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> ExpectedValue {
    ExpectedValue { description: description.into(), test: Box::new(test) }
}

impl<T: Into<String>> From<T> for ExpectedValue {
    /// For [`header`]: the value must be exactly this text.
    fn from(text: T) -> Self {
        let text = text.into();
        value_that(format!("with the value {text}"), move |value| value == text)
    }
}

/// Expects that the body of the response is exactly `expected`.
pub fn body(expected: impl Into<Vec<u8>>) -> Expectation {
    let expected = expected.into();
    body_that(format!("the body {}", show(&expected)), move |body| body == expected)
}

/// Expects that the body of the response passes `test`. `description` says how it must be: "a body that ends with a
/// line feed".
pub fn body_that(
    description: impl Into<String>,
    test: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
) -> Expectation {
    check_response(description, move |response| {
        ensure(test(&response.body), || {
            format!("{} with the body {}", response.describe(), show(&response.body))
        })
    })
}

/// Expects that an interim response of this status comes before the final response.
pub fn interim(status: u16) -> Expectation {
    check_response(format!("an interim response {status} first"), move |response| {
        let came = response.interim.iter().any(|interim| interim.status == status);
        ensure(came, || format!("{} without it", response.describe()))
    })
}

/// Expects that no interim response comes before the final response.
pub fn no_interim() -> Expectation {
    check_response("no interim response", |response| {
        response.interim.first().map_or(Ok(()), |interim| Err(interim.describe()))
    })
}

/// Expects that the response to HEAD has the status and the headers of the response to GET (RFC 9110 §9.3.2), except
/// headers that depend on the time or the connection; headers that describe the body may be missing. The suite first
/// sends the GET, on a connection of its own.
pub fn same_as_get() -> Expectation {
    /// Headers that depend on the time or the connection, and are not compared.
    const MOMENTARY: [&str; 4] = ["Date", "Connection", "Keep-Alive", "Age"];
    /// Headers that depend on the body, so that a response to HEAD may leave them out.
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

/// Expects that the header `name` has the value that it has in the prior response, the response to the request of
/// [`Case::after`](crate::case::Case::after), or is missing in both.
pub fn same_header(name: &'static str) -> Expectation {
    check_with_prior(format!("{name} as before"), move |response, prior| {
        let (now, before) = (response.header(name), prior.header(name));
        ensure(now == before, || {
            format!("{name}: {}, before {}", now.unwrap_or("none"), before.unwrap_or("none"))
        })
    })
}

/// Expects exactly these final responses, by status, in this order.
pub fn responses<const N: usize>(statuses: [u16; N]) -> Expectation {
    of_exchange(format!("responses {statuses:?}"), N, None, move |exchange| {
        let came: Vec<_> = exchange.responses.iter().map(|response| response.status).collect();
        ensure(came == statuses, || format!("{came:?}"))
    })
}

/// Applies an expectation about the first final response to response number `index` instead. The first is 0.
pub fn nth(index: usize, expectation: Expectation) -> Expectation {
    let Expectation { description, responses, check, .. } = expectation;
    Expectation {
        description: format!("in response {}, {description}", index + 1),
        responses: responses + index,
        check: Box::new(move |exchange: &Exchange, first| check(exchange, first + index)),
        ..expectation
    }
}

/// Expects that at least one of the two expectations holds.
pub fn either(one: Expectation, other: Expectation) -> Expectation {
    Expectation {
        description: format!("{}, or {}", one.description, other.description),
        responses: one.responses.max(other.responses),
        ending: one.ending.filter(|_| one.ending == other.ending),
        needs_get: one.needs_get || other.needs_get,
        allows_no_response: one.allows_no_response || other.allows_no_response,
        check: Box::new(move |exchange, index| {
            (one.check)(exchange, index).or_else(|_| (other.check)(exchange, index))
        }),
    }
}

/// Expects that the server sends no response, and closes or resets the connection.
pub fn no_response() -> Expectation {
    let description = "no response, and the connection closed";
    let expectation = of_exchange(description, 0, Some(Ending::AwaitClose), |exchange| {
        match (exchange.responses.first(), exchange.end) {
            (Some(response), _) => Err(response.describe()),
            (None, ConnectionEnd::Open) => Err("no response, but the connection stays open".into()),
            (None, _) => Ok(()),
        }
    });
    Expectation { allows_no_response: true, ..expectation }
}

/// Expects that no further response comes: the server does not serve a request in the bytes after the expected
/// requests, or inside their bodies.
pub fn not_served() -> Expectation {
    // `rules` finds the surplus response in every case; this expectation makes the suite wait for it.
    of_exchange("nothing after it served", 1, Some(Ending::Quiet), |exchange| {
        ensure(exchange.responses.len() <= exchange.expected_responses, || "one more response".into())
    })
}

/// Expects that every response for which the script waited came before the timeout, so without the bytes that the
/// script sends later.
pub fn in_time() -> Expectation {
    of_exchange("a response before more was sent", 1, None, |exchange| {
        ensure(!exchange.timed_out, || "only after that, if at all".into())
    })
}

/// Expects that the server ends the connection after the expected responses, by a close or a reset; [`no_reset`] rules
/// out the reset.
pub fn closes() -> Expectation {
    of_exchange("the connection closed", 1, Some(Ending::AwaitClose), |exchange| {
        let is_open = exchange.closing_response.is_some() || exchange.end == ConnectionEnd::Open;
        ensure(!is_open, || "open".into())
    })
}

/// Expects that the connection does not end by a reset, which can cost a client the response (RFC 9112 §9.6). Use it
/// together with [`closes`]: otherwise the suite sends a closing request, and a server that is just closing may answer
/// it with a reset.
pub fn no_reset() -> Expectation {
    of_exchange("no reset of the connection", 1, None, |exchange| {
        ensure(exchange.end != ConnectionEnd::Reset, || "reset".into())
    })
}

/// Expects that the connection is open after the expected responses, and one more request on it is served.
pub fn stays_open() -> Expectation {
    let description = "the connection open for one more request";
    of_exchange(description, 1, Some(Ending::ClosingRequest), |exchange| {
        match (&exchange.closing_response, exchange.end) {
            (Some(_), _) => Ok(()),
            (None, ConnectionEnd::Open) => Err("open, but one more request is not answered".into()),
            (None, _) => Err("closed".into()),
        }
    })
}

/// Expects that the response passes `test`. `description` ends the sentence "expected …".
pub fn response_that(
    description: impl Into<String>,
    test: impl Fn(&Response) -> bool + Send + Sync + 'static,
) -> Expectation {
    check_response(description, move |response| ensure(test(response), || response.describe()))
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

/// Expects that `test` returns true for the response and the prior response, the response to the request of
/// [`Case::after`](crate::case::Case::after). `description` ends the sentence "expected …".
pub fn compared_with_prior(
    description: impl Into<String>,
    test: impl Fn(&Response, &Response) -> bool + Send + Sync + 'static,
) -> Expectation {
    check_with_prior(description, move |response, prior| {
        ensure(test(response, prior), || response.describe())
    })
}

/// Expects that `check` returns `Ok` for the response and the prior response.
fn check_with_prior(
    description: impl Into<String>,
    check: impl Fn(&Response, &Response) -> Result<(), String> + Send + Sync + 'static,
) -> Expectation {
    new(description, 1, None, move |exchange, index| match (exchange.responses.get(index), &exchange.prior) {
        (Some(response), Some(prior)) => check(response, prior),
        (None, _) => Err(exchange.absence(index)),
        (_, None) => Err("no response to the request before".into()),
    })
}

/// Expects that `check` returns `Ok` for the whole exchange. Before the check, the suite waits for this number of final
/// responses, and ends the connection with this ending.
pub fn of_exchange(
    description: impl Into<String>,
    responses: usize,
    ending: Option<Ending>,
    check: impl Fn(&Exchange) -> Result<(), String> + Send + Sync + 'static,
) -> Expectation {
    new(description, responses, ending, move |exchange, _| check(exchange))
}

/// Makes an expectation from its parts; it needs no GET before it, and at least one response to hold.
fn new(
    description: impl Into<String>,
    responses: usize,
    ending: Option<Ending>,
    check: impl Fn(&Exchange, usize) -> Result<(), String> + Send + Sync + 'static,
) -> Expectation {
    let (description, check) = (description.into(), Box::new(check));
    Expectation { description, responses, ending, needs_get: false, allows_no_response: false, check }
}

/// A body in quotation marks, at most 60 bytes of it, for a message.
fn show(body: &[u8]) -> String {
    if body.is_empty() { "of no bytes".into() } else { format!("\"{}\"", preview(body, 60)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::RequestKind;

    const NO: &str = "HTTP/1.1 405 No\r\nAllow: GET, HEAD\r\nContent-Length: 2\r\n\r\nno";
    const OK: &str = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 0\r\n\r\n";

    fn parse(text: &str) -> Response {
        Response::read(text.as_bytes(), RequestKind::GET, true).unwrap().unwrap()
    }

    fn exchange(responses: &[&str]) -> Exchange {
        let responses = responses.iter().map(|text| parse(text)).collect();
        Exchange { responses, expected_responses: 1, ..Exchange::default() }
    }

    /// Checks an expectation of an exchange; the text is the error, and empty for success.
    fn check(exchange: &Exchange, expectation: &Expectation, error: &str) {
        let actual = expectation.check(exchange).err().unwrap_or_default();
        assert_eq!(actual, error, "expected {expectation:?}");
    }

    #[test]
    fn checks_one_response() {
        for (expectation, error) in [
            (status(405), ""),
            (any_of([400, 501]), "status 405 No"),
            (client_error(), ""),
            (header("allow", "GET, HEAD"), ""),
            (header("Allow", listing("head")), ""),
            (header("Allow", listing("PUT")), "Allow: GET, HEAD"),
            (header("ETag", any_value()), "status 405 No without ETag"),
            (no_header("Allow"), "Allow: GET, HEAD"),
            (body("no"), ""),
            (body(""), "status 405 No with the body \"no\""),
            (interim(100), "status 405 No without it"),
        ] {
            check(&exchange(&[NO]), &expectation, error);
        }
        check(&exchange(&[]), &status(200), "no response within the timeout");
    }

    #[test]
    fn checks_several_responses() {
        for (expectation, error) in [
            (responses([200, 405]), ""),
            (responses([200]), "[200, 405]"),
            (nth(1, status(405)), ""),
            (nth(2, status(200)), "only 2 of 3 responses within the timeout"),
            (not_served(), "one more response"),
            (either(status(405), responses([200, 405])), ""),
            (either(status(405), no_response()), "status 200 OK"),
        ] {
            check(&exchange(&[OK, NO]), &expectation, error);
        }
    }

    #[test]
    fn checks_the_connection() {
        let ended = |end| Exchange { end, ..exchange(&[OK]) };
        let late = Exchange { timed_out: true, ..exchange(&[OK]) };
        let reused = Exchange { closing_response: Some(parse(OK)), ..ended(ConnectionEnd::Closed) };
        check(&ended(ConnectionEnd::Open), &closes(), "open");
        check(&ended(ConnectionEnd::Open), &in_time(), "");
        check(&ended(ConnectionEnd::Closed), &stays_open(), "closed");
        check(&ended(ConnectionEnd::Reset), &closes(), "");
        check(&ended(ConnectionEnd::Reset), &no_reset(), "reset");
        check(&late, &in_time(), "only after that, if at all");
        check(&reused, &stays_open(), "");
        check(&reused, &closes(), "open");
    }

    #[test]
    fn compares_with_the_prior_response() {
        let other_tag = OK.replace("\"a\"", "\"b\"");
        for (now, expectation, error) in [
            (OK, same_as_get(), ""),
            (NO, same_as_get(), "status 405 No, by GET status 200 OK"),
            (&other_tag, same_as_get(), "ETag: \"b\", by GET \"a\""),
            (&OK.replace("ETag", "X"), same_as_get(), "no ETag, by GET \"a\""),
            (&OK.replace("Content-Length: 0\r\n", ""), same_as_get(), ""),
            (&other_tag, same_header("ETag"), "ETag: \"b\", before \"a\""),
        ] {
            check(&Exchange { prior: Some(parse(OK)), ..exchange(&[now]) }, &expectation, error);
        }
    }
}
