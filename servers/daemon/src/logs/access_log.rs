//! Says of every answer to whom it went, what had been asked, and how much of it was sent.

use crate::logs::{Draft, Format, Log, Outcome};
use http_engine::{Middleware, Next, Rejected, Reply, Request, Response, Sent};
use std::time::Instant;

/// Appends a line to a log once an answer has been sent, or its connection has ended before. To be wrapped around
/// everything else: what a layer further out changes, no line tells.
#[derive(Clone, Debug)]
pub struct AccessLog {
    log: Log,
    format: Format,
}

impl AccessLog {
    /// Writes to `log` in this format; `None` if that is [`Format::Off`], so that no request bears any cost of it.
    pub fn new(log: Log, format: Format) -> Option<AccessLog> {
        (format != Format::Off).then_some(AccessLog { log, format })
    }
}

impl Middleware for AccessLog {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let reply = next.run(request);
        let draft = Draft::begin(self.format, request.peer(), Some(request));
        let (log, received) = (self.log.clone(), request.received());
        reply.map(move |response| logged(response, log, draft, received))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let Rejected { peer, request, .. } = rejected;
        let draft = Draft::begin(self.format, *peer, request.as_ref());
        let received = request.map_or_else(Instant::now, |request| request.received());
        logged(response, self.log.clone(), draft, received)
    }
}

fn logged(response: Response, log: Log, draft: Draft, received: Instant) -> Response {
    let status = response.status();
    response.when_sent(move |sent: Sent| {
        let outcome = Outcome { status, sent, took: received.elapsed() };
        log.append(|line, stamp| draft.finish(line, stamp, &outcome));
    })
}
