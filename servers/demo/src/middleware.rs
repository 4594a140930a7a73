//! What can be wrapped around any application. It knows neither engines nor files.

use http_engine::{Middleware, Next, Rejected, Reply, Request, Response};
use std::time::Duration;

/// Puts `X-Served-By` on every answer, error pages and rejected requests included.
#[derive(Clone, Debug)]
pub struct ServedBy {
    name: String,
}

impl ServedBy {
    /// The worker with this number of the server `name`: `async; worker=2`.
    pub fn worker(name: &'static str, number: usize) -> ServedBy {
        ServedBy { name: format!("{name}; worker={number}") }
    }
}

const FIELD: &str = "X-Served-By";

impl Middleware for ServedBy {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let name = self.name.clone();
        next.run(request).map(move |response| response.header(FIELD, name))
    }

    fn rejected(&self, _: &Rejected<'_>, response: Response) -> Response {
        response.header(FIELD, &self.name)
    }
}

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
