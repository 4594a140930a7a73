//! `GET /io_task`, `/cpu_task` and `/error_task`: replies that wait, compute or fail.

use crate::{
    parameters::Parameters,
    problem::{HandlerResult, Problem},
};
use http_engine::{CancellationToken, Reply, Request, Response, Status};
use std::time::Duration;

/// `GET /io_task?ms=1000`: replies after `ms` milliseconds, by default 1000, as if it waited for a disk or a database.
/// The event loop waits with a timer and serves other connections meanwhile. The blocking engine waits in the
/// connection's thread. Both stop waiting when the client resets the
/// connection.
///
/// # Errors
///
/// 400 if `ms` is not a number from 0 to 60000, or if a parameter is unknown or repeated.
pub(crate) fn io_task(request: &Request<'_>) -> HandlerResult {
    let parameters = Parameters::parse(request, &["ms"])?;
    // At most a minute, well below the engine's timeout for a reply.
    let ms = parameters.number("ms", 0..=60_000)?.unwrap_or(1000);
    let respond = move || Response::json(format!("{{\"task\":\"io\",\"waited_ms\":{ms}}}\n"));
    Ok(Reply::after(Duration::from_millis(ms), respond))
}

/// `GET /cpu_task?n=100000`: counts the primes below `n`, by default below 100000. `place` selects the thread.
///
/// With `offload`, the default, the handler returns [`Reply::Offload`]: a thread of the engine's pool computes, and
/// stops when the client resets the connection. The event loop responds with a 503 if the pool's queue is full. With
/// `inline`, the handler itself computes, in the connection's thread: the event loop serves no other connection
/// meanwhile.
///
/// # Errors
///
/// 400 if `n` is not a number from 0 to 5000000, if `place` has another value, or if a parameter is unknown or
/// repeated.
pub(crate) fn cpu_task(request: &Request<'_>) -> HandlerResult {
    let parameters = Parameters::parse(request, &["n", "place"])?;
    // About ten milliseconds of work by default, and some seconds at most.
    let n = parameters.number("n", 0..=5_000_000)?.unwrap_or(100_000);
    let respond = move |token: &CancellationToken| {
        let primes = primes_below(n, token);
        Response::json(format!("{{\"task\":\"cpu\",\"n\":{n},\"primes_below_n\":{primes}}}\n"))
    };
    match parameters.get("place") {
        None | Some("offload") => Ok(Reply::offload_with(respond)),
        Some("inline") => Ok(respond(&CancellationToken::default()).into()),
        Some(_) => Err(Problem::invalid("place", "must be offload or inline")),
    }
}

/// `GET /error_task?kind=panic`: fails in one of four ways, and the client receives a 500. Any other `kind`, and an
/// unknown or repeated parameter, is a 400.
///
/// `panic`, the default, panics in the handler. `panic-offload` panics in the function of a [`Reply::Offload`], which
/// the engine runs in its thread pool. `dropped` returns a [`Reply::Deferred`], whose response should come later,
/// and drops the responder that must deliver it. `fail` returns an error.
pub(crate) fn error_task(request: &Request<'_>) -> HandlerResult {
    let parameters = Parameters::parse(request, &["kind"])?;
    match parameters.get("kind") {
        None | Some("panic") => panic_on_purpose(),
        Some("panic-offload") => Ok(Reply::offload(|| -> Status { panic_on_purpose() })),
        Some("dropped") => Ok(Reply::deferred(drop)),
        Some("fail") => Err(Problem::new(Status::INTERNAL_SERVER_ERROR, "this task fails on purpose")),
        Some(_) => Err(Problem::invalid("kind", "must be panic, panic-offload, dropped or fail")),
    }
}

/// Panics with a message for the error log.
#[expect(clippy::panic, reason = "the route shows what a panic does")]
fn panic_on_purpose() -> ! {
    panic!("this task panics on purpose")
}

/// Counts the primes below `n` by trial division, which takes time and no memory. Stops early, with a number that is
/// too small, when `token` is cancelled: then no client waits for the number.
fn primes_below(n: u32, token: &CancellationToken) -> u32 {
    let divisors = |number: u32| (2u32..).take_while(move |&divisor| divisor * divisor <= number);
    let is_prime = |&number: &u32| divisors(number).all(|divisor| number % divisor != 0);
    (2..n).take_while(|_| !token.is_cancelled()).filter(is_prime).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_primes_until_it_is_cancelled() {
        let token = CancellationToken::default();
        // OEIS A000720.
        for (n, primes) in [(0, 0), (2, 0), (3, 1), (10, 4), (12, 5), (100, 25), (1000, 168), (100_000, 9592)]
        {
            assert_eq!(primes_below(n, &token), primes, "below {n}");
        }
        token.cancel();
        assert_eq!(primes_below(u32::MAX, &token), 0);
    }
}
