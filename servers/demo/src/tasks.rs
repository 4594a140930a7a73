//! `GET /io_task`, `GET /cpu_task`, `GET /error_task`: handlers that take time or fail on purpose.

use super::{Outcome, Problem, parameters::Parameters};
use http_engine::{Reply, Request, Response, Status};
use std::time::Duration;

/// Well below the time that an engine grants for an answer.
const LONGEST_MS: u64 = 60_000;

pub(super) fn io_task(request: &Request<'_>) -> Outcome {
    let parameters = Parameters::of(request, &["ms"])?;
    let ms = parameters.number("ms", 0..=LONGEST_MS)?.unwrap_or(1000);
    let answer = move || Response::json(format!("{{\"task\":\"io\",\"waited_ms\":{ms}}}\n"));
    Ok(Reply::After(Duration::from_millis(ms), Box::new(answer)))
}

/// What `n` is unless it is said: some ten milliseconds of work.
const USUAL: u32 = 100_000;
/// Some seconds of work.
const MOST: u32 = 5_000_000;

pub(super) fn cpu_task(request: &Request<'_>) -> Outcome {
    let parameters = Parameters::of(request, &["n", "place"])?;
    let n = parameters.number("n", 0..=MOST)?.unwrap_or(USUAL);
    let answer = move || {
        Response::json(format!("{{\"task\":\"cpu\",\"n\":{n},\"primes_below_n\":{}}}\n", primes_below(n)))
    };
    match parameters.text("place") {
        None | Some("offload") => Ok(Reply::Offload(Box::new(answer))),
        Some("inline") => Ok(answer().into()),
        Some(_) => Err(Problem::new(Status::BAD_REQUEST, "must be offload or inline").about("place")),
    }
}

/// Counts by trial division: it shall cost time, and no memory.
fn primes_below(n: u32) -> u32 {
    let divides = |number: u32| (2u32..).take_while(move |&divisor| divisor * divisor <= number);
    let is_prime = |&number: &u32| divides(number).all(|divisor| number % divisor != 0);
    (2..n).filter(is_prime).count() as u32
}

pub(super) fn error_task(request: &Request<'_>) -> Outcome {
    let parameters = Parameters::of(request, &["kind"])?;
    match parameters.text("kind") {
        None | Some("panic") => panics(),
        Some("panic-offload") => Ok(Reply::Offload(Box::new(|| panics()))),
        Some("dropped") => Ok(Reply::Deferred(Box::new(drop))),
        Some("fail") => Err(Problem::new(Status::INTERNAL_SERVER_ERROR, "this task fails on purpose")),
        Some(_) => {
            Err(Problem::new(Status::BAD_REQUEST, "must be panic, panic-offload, dropped or fail")
                .about("kind"))
        }
    }
}

#[expect(clippy::panic, reason = "it is what this route is for")]
fn panics() -> ! {
    panic!("this task panics on purpose")
}

#[cfg(test)]
mod tests {
    use super::primes_below;

    #[test]
    fn primes_are_counted() {
        // OEIS A000720.
        for (n, primes) in [(0, 0), (2, 0), (3, 1), (10, 4), (12, 5), (100, 25), (1000, 168), (100_000, 9592)]
        {
            assert_eq!(primes_below(n), primes, "below {n}");
        }
    }
}
