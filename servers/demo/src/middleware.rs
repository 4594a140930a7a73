//! Middleware: two add a header to every response, also to the rejection of a request that never reached a handler; one
//! serves files.

use http_engine::{Admit, Handler, Middleware, Next, Rejected, Reply, Request, Response};
use http_files::Files;
use std::time::Duration;

/// Middleware that adds `X-Served-By` to every response. The string is the header's value: it names the server and the
/// worker.
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

/// Middleware that adds `Server-Timing: app;dur=…` (W3C Server Timing) to every response.
///
/// The value is the time in milliseconds from the last byte of the request until the response is created. It includes
/// the delay of a [`Reply::After`] and the wait for a pool thread, but not the sending.
///
/// A rejection is a response that the library makes itself. Its value is 0 if the head of the request is unknown
/// ([`Rejected::request`] is `None`), and almost 0 if the request is incomplete.
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

/// Adds `Server-Timing: app;dur=…` with `duration` in milliseconds.
fn with_timing(response: Response, duration: Duration) -> Response {
    response.append_header("Server-Timing", format!("app;dur={:.3}", duration.as_secs_f64() * 1000.0))
}

/// Middleware that serves the paths `/static` and below from files, which must have the prefix `/static`. Each worker
/// has its own, because [`Files`] has a lock; all workers share the routes.
pub(crate) struct StaticFiles(pub(crate) Files);

impl StaticFiles {
    fn serves(request: &Request<'_>) -> bool {
        request.path_bytes().strip_prefix(b"/static").is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    }
}

impl Middleware for StaticFiles {
    fn admit(&self, head: &Request<'_>, next: Next<'_>) -> Admit {
        if StaticFiles::serves(head) { self.0.admit(head) } else { next.admit(head) }
    }

    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        if StaticFiles::serves(request) { self.0.handle(request) } else { next.run(request) }
    }
}
