//! Says on every answer how long the application took for it.

use http_engine::{Middleware, Next, Rejected, Reply, Request, Response};
use std::time::Duration;

/// Puts `Server-Timing: app;dur=…` (W3C Server Timing, milliseconds) on every answer: the time from a request's last
/// byte to its answer, waits included. For what the application never saw that is 0.
#[derive(Clone, Copy, Debug)]
pub struct ServerTiming;

impl Middleware for ServerTiming {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let received = request.received();
        next.run(request).map(move |response| stamped(response, received.elapsed()))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        stamped(response, rejected.request.map_or(Duration::ZERO, |request| request.received().elapsed()))
    }
}

fn stamped(response: Response, took: Duration) -> Response {
    response.header("Server-Timing", format!("app;dur={:.3}", took.as_secs_f64() * 1000.0))
}
