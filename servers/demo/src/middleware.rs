//! Middleware that adds a header to every response, also to the rejection of a request that never reached a handler.

use http_engine::{Middleware, Next, Rejected, Reply, Request, Response};
use std::time::Duration;

/// Adds `X-Served-By` to every response. The string is the header's value: it names the server and the worker.
pub(crate) struct ServedBy(pub(crate) String);

/// The name of the header that [`ServedBy`] adds.
const X_SERVED_BY: &str = "X-Served-By";

impl Middleware for ServedBy {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let value = self.0.clone();
        next.run(request).map(move |response| response.with_header(X_SERVED_BY, value))
    }

    fn rejected(&self, _: &Rejected<'_>, response: Response) -> Response {
        response.with_header(X_SERVED_BY, &self.0)
    }
}

/// Adds `Server-Timing: app;dur=…` (W3C Server Timing) to every response.
///
/// The value is the time in milliseconds from the last byte of the request until the response is created. It includes
/// the delay of [`Reply::After`] and the wait for a pool thread, but not the sending. In a rejection, it is 0 if
/// [`Rejected::request`] is `None`, and almost 0 if the request was incomplete.
pub(crate) struct ServerTiming;

impl Middleware for ServerTiming {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let received_at = request.received_at();
        next.run(request).map(move |response| with_timing(response, received_at.elapsed()))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let duration = rejected.request.map_or(Duration::ZERO, |request| request.received_at().elapsed());
        with_timing(response, duration)
    }
}

/// Adds a `Server-Timing` header with this duration.
fn with_timing(response: Response, duration: Duration) -> Response {
    response.with_header("Server-Timing", format!("app;dur={:.3}", duration.as_secs_f64() * 1000.0))
}
