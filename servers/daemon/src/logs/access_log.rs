//! Logs each response with its client, its request, and the number of bytes that were sent.

use super::{
    format::{Format, RecordBuilder},
    queue::Log,
};
use http_engine::{Middleware, Next, Rejected, Reply, Request, Response};
use std::{net::SocketAddr, time::Instant};

/// Middleware that appends a line to a log once a response is sent, or its connection has ended before that.
///
/// Wrap it around all other layers: a line shows the response as this layer sees it.
#[derive(Clone, Debug)]
pub struct AccessLog {
    pub(super) log: Log,
    format: Format,
}

impl AccessLog {
    /// Logs to `log` in this format. Returns `None` for [`Format::Off`], so that a server without an access log runs no
    /// code for one.
    pub fn new(log: Log, format: Format) -> Option<AccessLog> {
        (format != Format::Off).then_some(AccessLog { log, format })
    }

    /// Returns a function that makes the response to `request` append its line once it is sent.
    fn record(
        &self,
        client_addr: Option<SocketAddr>,
        request: Option<&Request<'_>>,
    ) -> impl FnOnce(Response) -> Response + Send + use<> {
        let record = RecordBuilder::new(self.format, client_addr, request);
        let received_at = request.map_or_else(Instant::now, Request::received_at);
        let log = self.log.clone();
        move |response| {
            let status = response.status();
            response.on_sent(move |sent| {
                let duration = received_at.elapsed();
                log.append(|line, timestamp| record.finish(line, timestamp, status, sent, duration));
            })
        }
    }
}

impl Middleware for AccessLog {
    fn handle(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        let reply = next.run(request);
        reply.map(self.record(request.client_addr(), Some(request)))
    }

    fn rejected(&self, rejected: &Rejected<'_>, response: Response) -> Response {
        self.record(rejected.client_addr, rejected.request.as_ref())(response)
    }
}
