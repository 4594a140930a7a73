//! Says on every answer who gave it.

use http_engine::{Middleware, Next, Rejected, Reply, Request, Response};

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
