//! Expectations about the whole exchange: how many responses came, what was served, how the connection ended.

use super::expectation::{Expectation, of_exchange};
use crate::connection::ConnectionEnd;
use crate::exchange::{Ending, Exchange};

/// Exactly these responses come, by status, in this order.
pub fn responses<const N: usize>(statuses: [u16; N]) -> Expectation {
    of_exchange(format!("responses {statuses:?}"), N, None, move |exchange| {
        let came: Vec<_> = exchange.responses.iter().map(|response| response.status).collect();
        if came == statuses { Ok(()) } else { Err(format!("{came:?}")) }
    })
}

/// Moves an expectation to response number `index`. The first response is 0.
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

/// Expects that the server sends no response, and closes the connection.
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

/// Expects that no further response comes: the server does not take bytes behind the expected requests, or inside their
/// bodies, for a request.
pub fn not_served() -> Expectation {
    // `rules` finds the surplus response in every case; this expectation makes the suite wait for it.
    of_exchange("nothing behind it served", 1, Some(Ending::Quiet), |exchange| {
        let is_served = exchange.responses.len() > exchange.expected_responses;
        if is_served { Err("one more response".into()) } else { Ok(()) }
    })
}

/// Expects that the response that the script waited for came before the timeout, without further bytes from the client.
pub fn in_time() -> Expectation {
    of_exchange("a response before more was sent", 1, None, |exchange| {
        if exchange.timed_out { Err("only after that, if at all".into()) } else { Ok(()) }
    })
}

/// Expects that the server closes the connection after the expected responses.
pub fn closes() -> Expectation {
    of_exchange("the connection closed", 1, Some(Ending::AwaitClose), |exchange| {
        let is_open = exchange.closing_response.is_some() || exchange.end == ConnectionEnd::Open;
        if is_open { Err("open".into()) } else { Ok(()) }
    })
}

/// Expects that the connection does not end by a reset, which can cost a client the response (RFC 9112 §9.6). Use it
/// together with [`closes`]: otherwise the suite sends a closing request, and a server that is just closing may answer
/// it with a reset.
pub fn no_reset() -> Expectation {
    of_exchange("no reset of the connection", 1, None, |exchange| {
        if exchange.end == ConnectionEnd::Reset { Err("reset".into()) } else { Ok(()) }
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
