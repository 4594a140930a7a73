//! The summary of a load, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http_test_suite::duration::show;
use load_test::load::{Exchange, Load, Stats};
use load_test::report::metric::three_digits;
use serde_json::{Value, json};

/// The percentiles of the latency that are shown: name, and percent.
const PERCENTILES: [(&str, f64); 6] =
    [("p50", 50.0), ("p75", 75.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];
/// A driver thread that is on the CPU for more than this part of its time counts as the bottleneck.
const BUSY: f64 = 0.9;

/// The summary of a load: its parameters and its result, displayed as text or as JSON.
pub(crate) struct Summary<'a> {
    /// The requested URLs, as text.
    pub(crate) urls: Vec<String>,
    /// The load that was run: connections, threads, rate.
    pub(crate) load: &'a Load,
    /// The result of the load: counts and latencies.
    pub(crate) stats: &'a Stats,
}

impl Summary<'_> {
    /// The summary as JSON. Latencies are empty if no response was right.
    pub(crate) fn json(&self) -> Value {
        let Summary { urls, load, stats } = self;
        let latency_ns: BTreeMap<_, _> =
            self.percentiles().map(|(name, latency)| (name, latency.as_nanos() as u64)).collect();
        json!({
            "urls": urls,
            "connections": load.connections,
            "keep_alive": load.keep_alive,
            "threads": load.threads,
            "rate": load.rate,
            "requests": stats.requests,
            "elapsed_seconds": stats.elapsed.as_secs_f64(),
            "requests_per_second": stats.requests_per_second(),
            "bytes_received": stats.bytes_received,
            "latency_ns": latency_ns,
            "errors": stats.errors,
            "statuses": stats.statuses,
            "driver_cpu_seconds": stats.driver_cpu.as_secs_f64(),
            "busiest_thread": stats.busiest_thread,
        })
    }

    /// Whether every request got a right response; without an expected status, a status below 400.
    pub(crate) fn all_right(&self) -> bool {
        self.stats.errors.is_empty() && !self.stats.statuses.keys().any(|status| self.is_error(*status))
    }

    /// Whether a response with this status is wrong: it is 400 or more, and not every request has an expected status.
    fn is_error(&self, status: u16) -> bool {
        let expects_status = |exchange: &Exchange| exchange.status.is_some();
        status >= 400 && !self.load.exchanges.iter().all(expects_status)
    }

    /// The name and the value of each percentile of the latency; none if no response was right.
    fn percentiles(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let shown = PERCENTILES.iter().filter(|_| self.stats.requests > 0);
        shown.map(|&(name, percent)| (name, self.stats.percentile(percent)))
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { urls, load, stats } = self;
        let kept = if load.keep_alive { "kept alive" } else { "one for each request" };
        let rate = load.rate.map_or("as fast as possible".to_owned(), |rate| format!("{rate} requests/s"));
        writeln!(f, "{}", urls.join("\n"))?;
        writeln!(f, "connections: {} ({kept}), rate: {rate}, threads: {}\n", load.connections, load.threads)?;
        let (requests, per_second) = (stats.requests, three_digits(stats.requests_per_second()));
        let seconds = stats.elapsed.as_secs_f64();
        let megabytes = stats.bytes_received as f64 / 1e6 / seconds.max(f64::MIN_POSITIVE);
        write!(
            f,
            "{requests} responses in {seconds:.2} s: {per_second} requests/s, {megabytes:.1} MB/s\n\n"
        )?;

        f.write_str("latency")?;
        self.percentiles().try_for_each(|(name, _)| write!(f, "{name:>10}"))?;
        f.write_str("\n       ")?;
        self.percentiles().try_for_each(|(_, latency)| write!(f, "{:>10}", show(latency)))?;
        f.write_str("\n\n")?;
        for (status, count) in &stats.statuses {
            let cure = format!(" (expect it with --expect-status {status})");
            let (error, cure) = if self.is_error(*status) { ("ERROR: ", &*cure) } else { ("", "") };
            writeln!(f, "{count:>10}  {error}status {status}{cure}")?;
        }
        for (fault, count) in &stats.errors {
            writeln!(f, "{count:>10}  ERROR: {fault}")?;
        }
        if stats.busiest_thread > BUSY {
            let percent = 100.0 * stats.busiest_thread;
            writeln!(
                f,
                "\nWARNING: a thread of this program was on the CPU for {percent:.0} % of the time, so the server may \
                 be faster than measured. Use more threads (-t) if there are free CPUs."
            )?;
        }
        Ok(())
    }
}
