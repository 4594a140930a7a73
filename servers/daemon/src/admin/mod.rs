//! The admin server (`--admin`): `/healthz` and `/metrics` on a listener of its own.
//!
//! It runs in the master process, as one event loop with cheap connections and short timeouts, so that clients which
//! are idle or slow do not keep others from it. Nothing that a client of the site does occupies it. It must never
//! change anything: it only reports.

mod exposition;
mod report;

pub(crate) use report::{Measured, Report, WorkerReport, send};

use crate::{
    launch::Metric,
    signals::Signal,
    system::{Context, spawn},
};
use exposition::{CONTENT_TYPE, exposition};
use http_engine::{
    Config, Limits, Reply, Responder, Response, Router, Running, Server, Settings, Status, Timeouts,
    listener::Listener,
};
use std::{
    io, iter,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, TrySendError, channel, sync_channel},
    },
    time::{Duration, Instant},
};

/// How many connections the admin server holds open at once. A new connection closes the
/// connection that has been idle for the longest time.
const MAX_CONNECTIONS: usize = 128;

/// How long a client that is not idle may take to send its request, to read its response, or to close its connection.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// How many descriptors the admin server needs: its connections, and its listeners and epoll.
pub(crate) const DESCRIPTORS: usize = MAX_CONNECTIONS + 16;

/// How long the processes of the server may take to report what they have counted. A process that takes longer is left
/// out.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The running admin server. Dropping it closes its listeners and its connections.
#[derive(Debug)]
pub(crate) struct AdminServer {
    /// The listeners, kept open to hand them over to a successor.
    pub listeners: Vec<Listener>,
    /// Whether the server has begun to stop: `/healthz` then responds 503.
    is_draining: Arc<AtomicBool>,
    running: Running,
}

impl AdminServer {
    /// Starts the admin server on these listeners. It puts [`Signal::ReportMetrics`] into the queue of the main thread,
    /// and calls itself `server` in the Server header. `application` are the metrics of the application.
    pub fn start(
        listeners: Vec<Listener>,
        server: String,
        application: &'static [Metric],
        signals: Sender<Signal>,
    ) -> io::Result<AdminServer> {
        let is_draining = Arc::new(AtomicBool::new(false));
        let draining = Arc::clone(&is_draining);
        // More than there are connections: the requests of clients that have left stay in the queue.
        let (sender, requests) = sync_channel(2 * MAX_CONNECTIONS);
        spawn("metrics", move || respond_with_metrics(&requests, &signals, application))?;
        let router = Router::builder()
            .get("/healthz", move |_| health(draining.load(Ordering::Relaxed)))
            .get("/metrics", move |_| {
                let sender = sender.clone();
                Reply::deferred(move |responder| {
                    if let Err(TrySendError::Full(responder) | TrySendError::Disconnected(responder)) =
                        sender.try_send(responder)
                    {
                        responder.respond(Response::error(Status::SERVICE_UNAVAILABLE));
                    }
                })
            })
            .build()
            .map_err(|error| io::Error::other(error.to_string()))?;
        let limits = Limits { body_bytes: 0, ..Limits::default() };
        let timeouts = Timeouts {
            head: CLIENT_TIMEOUT,
            write_stall: CLIENT_TIMEOUT,
            linger: CLIENT_TIMEOUT,
            ..Timeouts::default()
        };
        let settings = Settings {
            workers: 1,
            max_connections: Some(MAX_CONNECTIONS),
            pool_threads: 1,
            streaming_threads: 1,
            reserved_descriptors: 0,
            server,
            protocol: Config { limits, timeouts, ..Config::default() },
            ..Settings::default()
        };
        let own = listeners.iter().map(Listener::try_clone).collect::<io::Result<Vec<_>>>();
        let own = own.context("cannot duplicate the admin listeners")?;
        let running =
            Server::listen_all(own).and_then(|server| server.settings(settings).serve_handler(router));
        let running = running.context("cannot start the admin server")?;
        Ok(AdminServer { listeners, is_draining, running })
    }

    /// Makes `/healthz` respond 503: the server is about to end.
    pub fn set_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Accepts no more connections, and waits until the requests in progress have their responses. The main thread must
    /// handle [`Signal::ReportMetrics`] meanwhile.
    pub fn finish(self) {
        self.running.stop(2 * REPORT_TIMEOUT);
    }
}

/// Returns the response to `/healthz`.
fn health(is_draining: bool) -> Response {
    let (status, text) =
        if is_draining { (Status::SERVICE_UNAVAILABLE, "draining\n") } else { (Status::OK, "ok\n") };
    Response::text(text).with_status(status).with_header("Cache-Control", "no-store")
}

/// Responds to the requests for `/metrics`, until the router with the sender is dropped. All requests that arrive while
/// the processes report get the same response, so that none waits for more than one round of reports.
fn respond_with_metrics(requests: &Receiver<Responder>, signals: &Sender<Signal>, application: &[Metric]) {
    while let Ok(first) = requests.recv() {
        let metrics = collect(signals).map(|reports| exposition(&reports, application));
        for responder in iter::once(first).chain(requests.try_iter()) {
            responder.respond(match &metrics {
                Some(text) => {
                    Response::of_type(CONTENT_TYPE, text.clone()).with_header("Cache-Control", "no-store")
                }
                None => Response::error(Status::SERVICE_UNAVAILABLE),
            });
        }
    }
}

/// Returns what the processes of the server have counted. Waits for the main thread and for the worker processes, for
/// at most [`REPORT_TIMEOUT`] each. Returns `None` if the main thread does not reply.
fn collect(signals: &Sender<Signal>) -> Option<Vec<Report>> {
    let (sender, reports) = channel();
    let _ = signals.send(Signal::ReportMetrics(sender));
    let reports = reports.recv_timeout(REPORT_TIMEOUT).ok()?;
    let deadline = Instant::now() + REPORT_TIMEOUT;
    Some(reports.into_iter().filter_map(|report| report.read(deadline)).collect())
}
