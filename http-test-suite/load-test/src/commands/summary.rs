//! The summary of a load, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http_test_suite::duration::show;
use load_test::load::{Fault, Load, Stats};
use serde::Serialize;

/// The percentiles of the latency that are shown.
const PERCENTILES: [(&str, f64); 6] =
    [("p50", 50.0), ("p75", 75.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];
/// The number of rows of the histogram.
const ROWS: u32 = 12;
/// The longest bar of the histogram, in characters.
const BAR_LEN: f64 = 40.0;
/// From this part of its time on the CPU, a driver thread counts as the bottleneck.
const BUSY: f64 = 0.9;

/// The result of a load with the parameters of the load. The fields are those of the JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    urls: Vec<String>,
    connections: usize,
    keep_alive: bool,
    threads: usize,
    /// The rate of an open loop, in requests per second.
    rate: Option<f64>,
    /// Requests with a right response.
    requests: u64,
    elapsed_seconds: f64,
    requests_per_second: f64,
    bytes_received: u64,
    /// The percentiles of the latency; empty if no response was right.
    latency_ns: BTreeMap<&'static str, u64>,
    #[serde(skip)]
    histogram: Vec<Row>,
    errors: BTreeMap<Fault, u64>,
    statuses: BTreeMap<u16, u64>,
    driver_cpu_seconds: f64,
    busiest_thread: f64,
    driver_was_the_bottleneck: bool,
    /// Whether every request states the status that it expects, so that a status from 400 can be right.
    #[serde(skip)]
    states_status: bool,
}

/// A row of the histogram: the number of latencies above those of the row before, up to `until_ns`.
#[derive(Debug)]
struct Row {
    until_ns: u64,
    count: u64,
}

impl Summary {
    /// Summarises the result of a load on these URLs.
    pub(crate) fn new(urls: Vec<String>, load: &Load, stats: &Stats) -> Summary {
        let latency = |percent| stats.percentile(percent).as_nanos().try_into().unwrap_or(u64::MAX);
        let percentiles = PERCENTILES.iter().filter(|_| stats.requests > 0);
        Summary {
            urls,
            connections: load.connections,
            keep_alive: load.keep_alive,
            threads: load.threads,
            rate: load.rate,
            requests: stats.requests,
            elapsed_seconds: stats.elapsed.as_secs_f64(),
            requests_per_second: stats.requests_per_second(),
            bytes_received: stats.bytes_received,
            latency_ns: percentiles.map(|&(name, percent)| (name, latency(percent))).collect(),
            histogram: histogram(stats),
            errors: stats.errors.clone(),
            statuses: stats.statuses.clone(),
            driver_cpu_seconds: stats.driver_cpu.as_secs_f64(),
            busiest_thread: stats.busiest_thread,
            driver_was_the_bottleneck: stats.busiest_thread > BUSY,
            states_status: load.exchanges.iter().all(|exchange| exchange.expected.status.is_some()),
        }
    }

    /// Whether every request got a right response; without an expected status, a status below 400.
    pub(crate) fn all_right(&self) -> bool {
        self.errors.is_empty() && !self.statuses.keys().any(|status| self.is_error(*status))
    }

    /// Whether a status makes a response wrong that has no other fault.
    fn is_error(&self, status: u16) -> bool {
        status >= 400 && !self.states_status
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = || PERCENTILES.iter().filter_map(|(name, _)| Some((name, *self.latency_ns.get(name)?)));
        f.write_str("latency")?;
        shown().try_for_each(|(name, _)| write!(f, "{name:>10}"))?;
        f.write_str("\n       ")?;
        shown().try_for_each(|(_, latency)| write!(f, "{:>10}", show(Duration::from_nanos(latency))))?;
        writeln!(f, "\n")?;
        let most = self.histogram.iter().map(|row| row.count).max().unwrap_or_default().max(1);
        for Row { until_ns, count } in &self.histogram {
            let until = show(Duration::from_nanos(*until_ns));
            let percent = 100.0 * *count as f64 / self.requests as f64;
            writeln!(f, "up to {until:>8} {percent:>6.2} % {}", bar(*count as f64 / most as f64))?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = if self.keep_alive { "kept alive" } else { "one for each request" };
        let rate = self.rate.map_or("as fast as possible".to_owned(), |rate| format!("{rate} requests/s"));
        writeln!(f, "{}", self.urls.join("\n"))?;
        writeln!(f, "connections: {} ({kept}), rate: {rate}, threads: {}\n", self.connections, self.threads)?;
        let megabytes = self.bytes_received as f64 / 1e6 / self.elapsed_seconds.max(f64::MIN_POSITIVE);
        let Summary { requests, elapsed_seconds, requests_per_second, .. } = self;
        writeln!(
            f,
            "{requests} responses in {elapsed_seconds:.2} s: {requests_per_second:.1} requests/s, \
             {megabytes:.1} MB/s\n"
        )?;
        if self.requests > 0 {
            self.write_latencies(f)?;
        }
        for (status, count) in &self.statuses {
            let error = if self.is_error(*status) { "ERROR: " } else { "" };
            writeln!(f, "{count:>10}  {error}status {status}")?;
        }
        for (fault, count) in &self.errors {
            writeln!(f, "{count:>10}  ERROR: {fault}")?;
        }
        if self.driver_was_the_bottleneck {
            let percent = 100.0 * self.busiest_thread;
            writeln!(
                f,
                "\nWARNING: a thread of this program was on the CPU for {percent:.0} % of the time, so the server may \
                 be faster than measured. Use more threads (-t) if there are free CPUs."
            )?;
        }
        Ok(())
    }
}

/// Draws a bar in eighths of a character; at least one eighth if `part` is not zero.
fn bar(part: f64) -> String {
    let eighths = (8.0 * BAR_LEN * part).ceil() as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + rest
}

/// Rows from the shortest to the longest latency; the ratio of successive rows is constant.
fn histogram(stats: &Stats) -> Vec<Row> {
    let latencies = &stats.latencies;
    if latencies.is_empty() {
        return Vec::new();
    }
    let (min, max) = (latencies.min().max(1), latencies.max());
    let step = (max as f64 / min as f64).powf(1.0 / f64::from(ROWS));
    let until = |row: u32| if row == ROWS { max } else { (min as f64 * step.powf(f64::from(row))) as u64 };
    let mut rows = Vec::new();
    // The histogram does not distinguish equivalent values; they count in the first row that contains one of them.
    let mut from = 0;
    for until_ns in (1..=ROWS).map(until) {
        let end = latencies.highest_equivalent(until_ns);
        if end >= from {
            rows.push(Row { until_ns, count: latencies.count_between(from, end) });
            from = end + 1;
        }
    }
    rows
}
