//! Logs each response with its client, its request, and the number of bytes that were sent.

use super::{
    format::{Format, RecordBuilder, SentResponse},
    queue::Log,
};
use http_engine::{Middleware, Next, Rejected, Reply, Request, Response, Sent};
use std::time::Instant;

/// Middleware that appends a line to a log once a response is sent, or its connection has ended before that.
///
/// Wrap it around all other layers: a line shows the response as this layer sees it.
#[derive(Clone, Debug)]
pub struct AccessLog {
    log: Log,
    format: Format,
}

impl AccessLog {
    /// Logs to `log` in this format. Returns `None` for [`Format::Off`], so that a server without an access log runs no
    /// code for one.
    pub fn new(log: Log, format: Format) -> Option<AccessLog> {
        (format != Format::Off).then_some(AccessLog { log, format })
    }
}

impl Middleware for AccessLog {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let reply = next.run(request);
        let record = RecordBuilder::new(self.format, request.peer(), Some(request));
        let (log, received_at) = (self.log.clone(), request.received());
        reply.map(move |response| log_when_sent(response, log, record, received_at))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        let Rejected { peer, request, .. } = rejected;
        let record = RecordBuilder::new(self.format, *peer, request.as_ref());
        let received_at = request.map_or_else(Instant::now, |request| request.received());
        log_when_sent(response, self.log.clone(), record, received_at)
    }
}

fn log_when_sent(response: Response, log: Log, record: RecordBuilder, received_at: Instant) -> Response {
    let status = response.status();
    response.when_sent(move |sent: Sent| {
        let response = SentResponse { status, sent, duration: received_at.elapsed() };
        log.append(|line, timestamp| record.finish(line, timestamp, &response));
    })
}
