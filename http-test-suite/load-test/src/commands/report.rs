//! The report of a load, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use load_test::load::{Fault, Load, Stats};
use serde::Serialize;

use http_test_suite::duration::show;

/// The reported percentiles of the latency.
const PERCENTILES: [(&str, f64); 6] =
    [("p50", 50.0), ("p75", 75.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];
/// Rows of the histogram.
const ROWS: u32 = 12;
/// The longest bar of the histogram, in characters.
const BAR: f64 = 40.0;
/// From this share of its time on the CPU, a driver thread counts as the bottleneck.
const BUSY: f64 = 0.9;

/// A tally, with the parameters of its load. The fields are those of the JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    urls: Vec<String>,
    connections: usize,
    keep_alive: bool,
    threads: usize,
    /// The rate of an open loop, in requests per second.
    rate: Option<f64>,
    requests: u64,
    elapsed_seconds: f64,
    requests_per_second: f64,
    bytes_received: u64,
    /// The percentiles of the latency; empty if no answer was right.
    latency_ns: BTreeMap<&'static str, u64>,
    #[serde(skip)]
    histogram: Vec<Row>,
    errors: BTreeMap<Fault, u64>,
    statuses: BTreeMap<u16, u64>,
    driver_cpu_seconds: f64,
    busiest_thread: f64,
    driver_was_the_bottleneck: bool,
    /// Whether a status of 400 or above counts as right, because it was expected.
    #[serde(skip)]
    any_status: bool,
}

/// A row of the histogram: latencies above those of the row before, up to `until_ns`.
#[derive(Debug)]
struct Row {
    until_ns: u64,
    count: u64,
}

impl Report {
    pub(crate) fn new(urls: Vec<String>, load: &Load, tally: &Stats) -> Report {
        let percentiles = PERCENTILES.iter().filter(|_| tally.requests > 0);
        Report {
            urls,
            connections: load.connections,
            keep_alive: load.keep_alive,
            threads: load.threads,
            rate: load.rate,
            requests: tally.requests,
            elapsed_seconds: tally.elapsed.as_secs_f64(),
            requests_per_second: tally.requests_per_second(),
            bytes_received: tally.bytes_received,
            latency_ns: percentiles
                .map(|&(name, percent)| (name, nanoseconds(tally.percentile(percent))))
                .collect(),
            histogram: histogram(tally),
            errors: tally.errors.clone(),
            statuses: tally.statuses.clone(),
            driver_cpu_seconds: tally.driver_cpu.as_secs_f64(),
            busiest_thread: tally.busiest_thread,
            driver_was_the_bottleneck: tally.busiest_thread > BUSY,
            any_status: load.exchanges.iter().all(|exchange| exchange.expected.status.is_some()),
        }
    }

    /// Whether every request got a right answer.
    pub(crate) fn is_well(&self) -> bool {
        self.errors.is_empty() && (self.any_status || self.statuses.keys().all(|&status| status < 400))
    }

    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = if self.keep_alive { "kept alive" } else { "one for each request" };
        let pace = self.rate.map_or("closed loop".to_owned(), |rate| format!("{rate} requests/s wanted"));
        writeln!(f, "{}", self.urls.join("\n"))?;
        writeln!(f, "connections: {}, {kept}; {pace}; driver threads: {}\n", self.connections, self.threads)?;
        let megabytes = self.bytes_received as f64 / 1e6 / self.elapsed_seconds.max(f64::MIN_POSITIVE);
        writeln!(
            f,
            "{} answers in {:.2} s: {:.1} requests/s, {megabytes:.1} MB/s\n",
            self.requests, self.elapsed_seconds, self.requests_per_second
        )?;
        self.latencies(f)?;
        for (status, count) in &self.statuses {
            writeln!(f, "{count:>10}  status {status}")?;
        }
        for (fault, count) in &self.errors {
            writeln!(f, "{count:>10}  ERROR: {fault}")?;
        }
        if self.driver_was_the_bottleneck {
            let share = 100.0 * self.busiest_thread;
            writeln!(
                f,
                "\nThe driver was the bottleneck: a thread of it was on the CPU for {share:.0} % of the time. \
                 The server may be faster; see -t."
            )?;
        }
        Ok(())
    }
}

impl Report {
    fn latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, _) in PERCENTILES.iter().filter(|(name, _)| self.latency_ns.contains_key(name)) {
            write!(f, "{name:>10}")?;
        }
        writeln!(f)?;
        for latency in PERCENTILES.iter().filter_map(|(name, _)| self.latency_ns.get(name)) {
            write!(f, "{:>10}", show(Duration::from_nanos(*latency)))?;
        }
        writeln!(f, "\n")?;
        let most = self.histogram.iter().map(|row| row.count).max().unwrap_or_default().max(1);
        for Row { until_ns, count } in &self.histogram {
            let bar = bar(*count as f64 / most as f64);
            let until = show(Duration::from_nanos(*until_ns));
            let share = 100.0 * *count as f64 / self.requests as f64;
            writeln!(f, "{until:>10} {share:>6.2} % {bar}")?;
        }
        writeln!(f)
    }
}

/// Draws a bar in eighths of a character, at least one eighth if the share is not zero.
fn bar(share: f64) -> String {
    let eighths = (8.0 * BAR * share).ceil() as usize;
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + rest
}

/// Rows from the shortest to the longest latency; the ratio of successive rows is constant.
fn histogram(tally: &Stats) -> Vec<Row> {
    let latencies = &tally.latencies;
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

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}
