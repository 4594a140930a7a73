//! `GET /io_task?ms=1000`: an answer that only takes time, as one from a disk or a database would.

use super::{Outcome, parameters::Parameters};
use http_engine::{Reply, Request, Response};
use std::time::Duration;

/// Well below the time that an engine grants for an answer.
const LONGEST_MS: u64 = 60_000;

pub(super) fn handle(request: &Request<'_>) -> Outcome {
    let parameters = Parameters::of(request, &["ms"])?;
    let ms = parameters.number("ms", 0..=LONGEST_MS)?.unwrap_or(1000);
    let answer = move || Response::json(format!("{{\"task\":\"io\",\"waited_ms\":{ms}}}\n"));
    Ok(Reply::After(Duration::from_millis(ms), Box::new(answer)))
}
