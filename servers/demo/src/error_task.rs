//! `GET /error_task`: a handler that goes wrong on purpose. Whichever way it does, its peer gets a clean 500.

use super::{Outcome, Problem, parameters::Parameters};
use http_engine::{Reply, Request, Status};

pub(super) fn handle(request: &Request<'_>) -> Outcome {
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
