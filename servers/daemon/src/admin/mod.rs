//! The admin server (`--admin`): `/healthz` and `/metrics` on a listener of its own.
//!
//! It runs in the master process, as one event loop with few connections. Nothing that a client of the site does occupies
//! it. It must never change anything: it only reports.

mod exposition;
mod report;

pub(crate) use report::{Measured, Report, WorkerReport, send};

use crate::{launch::Metric, signals::Signal, system::Context};
use exposition::{CONTENT_TYPE, exposition};
use http_engine::{Reply, Response, Router, Running, Server, Settings, Status, listener::Listener};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant},
};

/// How many connections the admin server holds open at once: some scrapers and load balancers.
const MAX_CONNECTIONS: usize = 16;

/// How many descriptors the admin server needs: its connections, listener, epoll, and one for each report under way.
pub(crate) const DESCRIPTORS: usize = 2 * MAX_CONNECTIONS;

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
    /// Starts the admin server on these listeners. It puts [`Signal::ReportMetrics`] into the queue of the main thread, and
    /// calls itself `server` in the Server header. `application` are the metrics of the application.
    pub fn start(
        listeners: Vec<Listener>,
        server: String,
        application: &'static [Metric],
        signals: Sender<Signal>,
    ) -> io::Result<AdminServer> {
        let is_draining = Arc::new(AtomicBool::new(false));
        let draining = Arc::clone(&is_draining);
        let router = Router::builder()
            .get("/healthz", move |_| health(draining.load(Ordering::Relaxed)))
            .get("/metrics", move |_| {
                let signals = signals.clone();
                Reply::offload(move || metrics(&signals, application))
            })
            .build()
            .map_err(|error| io::Error::other(error.to_string()))?;
        let settings = Settings {
            workers: 1,
            max_connections: Some(MAX_CONNECTIONS),
            pool_threads: 2,
            pool_queue: MAX_CONNECTIONS,
            streaming_threads: 1,
            reserved_descriptors: 0,
            server,
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

/// Returns the response to `/metrics`. Waits for the main thread and for the worker processes, for at most
/// [`REPORT_TIMEOUT`] each.
fn metrics(signals: &Sender<Signal>, application: &[Metric]) -> Response {
    let (sender, reports) = channel();
    let _ = signals.send(Signal::ReportMetrics(sender));
    let Ok(reports) = reports.recv_timeout(REPORT_TIMEOUT) else {
        return Response::error(Status::SERVICE_UNAVAILABLE);
    };
    let deadline = Instant::now() + REPORT_TIMEOUT;
    let reports: Vec<_> = reports.into_iter().filter_map(|report| report.read(deadline)).collect();
    Response::of_type(CONTENT_TYPE, exposition(&reports, application))
        .with_header("Cache-Control", "no-store")
}
