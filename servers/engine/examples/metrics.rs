//! A program that works in the background and exports its metrics in the text format of Prometheus.
//!
//! ```sh
//! cargo run --example metrics -- 127.0.0.1:9100 &
//! #> metrics at [127.0.0.1:9100]
//! curl -s localhost:9100/metrics | sed -n 1,4p
//! #> # HELP jobs_total Jobs that have ended.
//! #> # TYPE jobs_total counter
//! #> jobs_total{result="done"} …
//! #> jobs_total{result="failed"} …
//! ```

use http_engine::{Response, RouteError, Router, Server};
use std::{
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// What the program counts.
#[derive(Default)]
pub struct Metrics {
    /// Jobs that have succeeded.
    pub done: AtomicU64,
    /// Jobs that have failed.
    pub failed: AtomicU64,
}

impl Metrics {
    /// Returns all metrics in the exposition format, version 0.0.4.
    fn exposition(&self) -> Response {
        // Files below /proc are in memory: reading them does not block the event loop.
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let text = format!(
            "# HELP jobs_total Jobs that have ended.\n\
             # TYPE jobs_total counter\n\
             jobs_total{{result=\"done\"}} {}\n\
             jobs_total{{result=\"failed\"}} {}\n\
             # TYPE process_resident_memory_bytes gauge\n\
             process_resident_memory_bytes {}\n\
             # TYPE process_open_fds gauge\n\
             process_open_fds {descriptors}\n",
            self.done.load(Relaxed),
            self.failed.load(Relaxed),
            pages * 4096,
        );
        Response::of_type("text/plain; version=0.0.4; charset=utf-8", text)
    }
}

/// The work of the program.
fn work(metrics: &Metrics) {
    for job in 1_u64.. {
        thread::sleep(Duration::from_millis(100));
        let result = if job.is_multiple_of(10) { &metrics.failed } else { &metrics.done };
        result.fetch_add(1, Relaxed);
    }
}

/// Returns the handler of the exporter.
///
/// # Errors
///
/// None: the routes do not conflict.
pub fn app(metrics: &Arc<Metrics>) -> Result<Router, RouteError> {
    let metrics = Arc::clone(metrics);
    Router::builder()
        .get("/", |_| Response::html("<a href=\"/metrics\">Metrics</a>"))
        .get("/metrics", move |_| metrics.exposition())
        .build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9100".to_owned());
    let metrics = Arc::new(Metrics::default());
    let running = Server::bind(address)?.workers(1).serve_handler(app(&metrics)?)?;
    println!("metrics at {:?}", running.addresses());
    thread::spawn(move || work(&metrics));
    Ok(running.wait()?)
}
