//! `GET /io_task`, `/cpu_task` and `/error_task`: replies that wait, compute or fail.

use crate::{
    parameters::Parameters,
    problem::{HandlerResult, Problem},
};
use http_engine::{Reply, Request, Response, Status};
use std::time::Duration;

/// `GET /io_task?ms=1000`: replies after `ms` milliseconds, as if a disk or a database had to respond first.
pub(crate) fn io_task(request: &Request<'_>) -> HandlerResult {
    let parameters = Parameters::parse(request, &["ms"])?;
    // At most a minute, well below the engine's timeout for a reply.
    let ms = parameters.number("ms", 0..=60_000)?.unwrap_or(1000);
    let respond = move || Response::json(format!("{{\"task\":\"io\",\"waited_ms\":{ms}}}\n"));
    Ok(Reply::After(Duration::from_millis(ms), Box::new(respond)))
}

/// `GET /cpu_task?n=100000`: counts the primes below `n`.
///
/// `place=offload`, the default, computes in the engine's thread pool, as an application should. `place=inline`
/// computes in the thread that handles the request, and so blocks all other connections of an event loop meanwhile.
pub(crate) fn cpu_task(request: &Request<'_>) -> HandlerResult {
    let parameters = Parameters::parse(request, &["n", "place"])?;
    // About ten milliseconds of work by default, and some seconds at most.
    let n = parameters.number("n", 0..=5_000_000)?.unwrap_or(100_000);
    let respond = move || {
        Response::json(format!("{{\"task\":\"cpu\",\"n\":{n},\"primes_below_n\":{}}}\n", primes_below(n)))
    };
    match parameters.get("place") {
        None | Some("offload") => Ok(Reply::Offload(Box::new(respond))),
        Some("inline") => Ok(respond().into()),
        Some(_) => Err(Problem::invalid("place", "must be offload or inline")),
    }
}

/// `GET /error_task?kind=panic`: fails in one of four ways; the client receives a 500 each time.
///
/// `kind=panic`, the default, panics in the handler, `panic-offload` in a job in the thread pool. `dropped` drops the
/// responder of a deferred reply. `fail` returns an error.
pub(crate) fn error_task(request: &Request<'_>) -> HandlerResult {
    let parameters = Parameters::parse(request, &["kind"])?;
    match parameters.get("kind") {
        None | Some("panic") => panic_on_purpose(),
        Some("panic-offload") => Ok(Reply::Offload(Box::new(|| panic_on_purpose()))),
        Some("dropped") => Ok(Reply::Deferred(Box::new(drop))),
        Some("fail") => Err(Problem::new(Status::INTERNAL_SERVER_ERROR, "this task fails on purpose")),
        Some(_) => Err(Problem::invalid("kind", "must be panic, panic-offload, dropped or fail")),
    }
}

/// Panics with a message for the error log.
#[expect(clippy::panic, reason = "the route shows what a panic does")]
fn panic_on_purpose() -> ! {
    panic!("this task panics on purpose")
}

/// Counts the primes below `n` by trial division, which takes time and no memory.
fn primes_below(n: u32) -> u32 {
    let divisors = |number: u32| (2u32..).take_while(move |&divisor| divisor * divisor <= number);
    let is_prime = |&number: &u32| divisors(number).all(|divisor| number % divisor != 0);
    (2..n).filter(is_prime).count() as u32
}

#[cfg(test)]
mod tests {
    use super::primes_below;

    #[test]
    fn counts_primes() {
        // OEIS A000720.
        for (n, primes) in [(0, 0), (2, 0), (3, 1), (10, 4), (12, 5), (100, 25), (1000, 168), (100_000, 9592)]
        {
            assert_eq!(primes_below(n), primes, "below {n}");
        }
    }
}
