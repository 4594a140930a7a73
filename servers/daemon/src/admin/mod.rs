//! The admin server (`--admin`): `/healthz` and `/metrics` on a listener of its own.
//!
//! It runs in the master process, as one event loop with few connections. Nothing that a client of the site does occupies
//! it. It must never change anything: it only reports.

mod exposition;
mod report;

pub(crate) use report::{Measured, Report, WorkerReport, send};

use crate::{launch::Metric, signals::Signal, system::Context};
use exposition::{CONTENT_TYPE, exposition};
use http_engine::{
    Reply, Response, Router, Running, Server, Settings, Status,
    listener::{self, Sharing},
};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    str::FromStr,
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

/// The value of `--admin`: an address and a port, or only a port of 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminAddress(SocketAddr);

impl AdminAddress {
    /// Binds a listener to the address. Warns if other machines can reach it.
    pub(crate) fn bind(self) -> io::Result<TcpListener> {
        let AdminAddress(address) = self;
        let bound = listener::bind_all(&[address], Sharing::Shared)
            .map_err(|(address, error)| listener::bind_error(address, &error))
            .context("cannot start the admin server")?;
        if !address.ip().to_canonical().is_loopback() {
            log::warn!(
                "the admin server at {address} is open to other machines: everyone who reaches it can read the metrics"
            );
        }
        bound.into_iter().next().ok_or_else(|| io::Error::other("cannot start the admin server: no listener"))
    }

    /// Whether a server cannot listen on both addresses. Port 0 means a free one.
    pub(crate) fn is_in_conflict_with(self, other: SocketAddr) -> bool {
        let AdminAddress(own) = self;
        let is_unspecified = own.ip().is_unspecified() || other.ip().is_unspecified();
        let is_same = own.ip() == other.ip() || is_unspecified && own.is_ipv4() == other.is_ipv4();
        is_same && own.port() == other.port() && own.port() != 0
    }

    /// Whether a listener at `bound` is the one of this address. Port 0 means any.
    pub(crate) fn is_at(self, bound: SocketAddr) -> bool {
        self.0.ip() == bound.ip() && (self.0.port() == 0 || self.0.port() == bound.port())
    }
}

impl FromStr for AdminAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<AdminAddress, &'static str> {
        let port = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let loopback = port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        let address = loopback.or_else(|| text.parse().ok());
        address.map(AdminAddress).ok_or(
            "must be a port or an IP address with a port, not a name or *: 9100, 0.0.0.0:9100, [::1]:9100",
        )
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The running admin server. Dropping it closes its listener and its connections.
#[derive(Debug)]
pub(crate) struct AdminServer {
    /// The listener, kept open to hand it over to a successor.
    pub listener: TcpListener,
    /// Whether the server has begun to stop: `/healthz` then responds 503.
    is_draining: Arc<AtomicBool>,
    running: Running,
}

impl AdminServer {
    /// Starts the admin server on this listener. It puts [`Signal::ReportMetrics`] into the queue of the main thread, and
    /// calls itself `server` in the Server header. `application` are the metrics of the application.
    pub fn start(
        listener: TcpListener,
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
        let own = listener.try_clone().context("cannot duplicate the admin listener")?;
        let running = Server::listen(own).and_then(|server| server.settings(settings).serve_handler(router));
        let running = running.context("cannot start the admin server")?;
        Ok(AdminServer { listener, is_draining, running })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_a_port_of_the_loopback_address() {
        let check = |text: &str, expected: Option<&str>| {
            let shown = text.parse::<AdminAddress>().ok().map(|address| address.to_string());
            assert_eq!(shown.as_deref(), expected, "{text:?}");
        };
        check("9100", Some("127.0.0.1:9100"));
        check("0", Some("127.0.0.1:0"));
        check("10.0.0.1:9100", Some("10.0.0.1:9100"));
        check("[::1]:9100", Some("[::1]:9100"));
        for text in ["", "65536", "+1", "localhost:9100", "127.0.0.1", ":9100", "*:9100", "[::1]", "9100 "] {
            check(text, None);
        }
    }
}
