//! The metrics of a sample: name, unit, direction, and how to format each.

use std::fmt;

use super::results::Sample;

/// A number that a sample has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Right answers per second.
    Throughput,
    /// Median latency.
    P50,
    /// 99th percentile of the latency.
    P99,
    /// Time for all requests.
    Elapsed,
    /// CPU time of the server per thousand requests.
    Cpu,
    /// The share of its CPUs that the server used.
    Busy,
    /// The server's memory under load.
    Memory,
    /// Memory that each connection added.
    MemoryEach,
    /// Threads of the server.
    Threads,
    /// Context switches per request, voluntary and involuntary.
    Switches,
    /// Requests of the least busy worker as a share of those of the busiest.
    Fairness,
}

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 11] = [
        Metric::Throughput,
        Metric::P50,
        Metric::P99,
        Metric::Elapsed,
        Metric::Cpu,
        Metric::Busy,
        Metric::Memory,
        Metric::MemoryEach,
        Metric::Threads,
        Metric::Switches,
        Metric::Fairness,
    ];

    /// Its name on the command line.
    pub fn id(self) -> &'static str {
        match self {
            Metric::Throughput => "throughput",
            Metric::P50 => "p50",
            Metric::P99 => "p99",
            Metric::Elapsed => "elapsed",
            Metric::Cpu => "cpu",
            Metric::Busy => "busy",
            Metric::Memory => "memory",
            Metric::MemoryEach => "memory-each",
            Metric::Threads => "threads",
            Metric::Switches => "switches",
            Metric::Fairness => "fairness",
        }
    }

    /// The metric with this name.
    pub fn named(id: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.id() == id)
    }

    /// What a picture calls it, with its unit.
    pub fn title(self) -> &'static str {
        match self {
            Metric::Throughput => "requests per second",
            Metric::P50 => "median latency, ms",
            Metric::P99 => "99th percentile of latency, ms",
            Metric::Elapsed => "time for all, s",
            Metric::Cpu => "CPU seconds per 1,000 requests",
            Metric::Busy => "share of the server's CPU, %",
            Metric::Memory => "memory, MiB",
            Metric::MemoryEach => "memory per connection, KiB",
            Metric::Threads => "threads",
            Metric::Switches => "context switches per request",
            Metric::Fairness => "least busy worker / busiest",
        }
    }

    /// Whether more of it is better.
    pub fn more_is_better(self) -> bool {
        matches!(self, Metric::Throughput | Metric::Fairness)
    }

    /// The value, in the unit of the title; `None` if it would say nothing about the server.
    pub fn of(self, sample: &Sample, connections: usize) -> Option<f64> {
        const MIB: f64 = 1024.0 * 1024.0;
        // With a steady rate the driver determines the throughput, and the server's CPU also works for the neighbours.
        let unpaced = |value: f64| (!sample.paced && sample.requests > 0).then_some(value);
        match self {
            Metric::Throughput => unpaced(sample.requests as f64 / sample.seconds),
            Metric::P50 => Some(sample.p50_micros / 1e3),
            Metric::P99 => Some(sample.p99_micros / 1e3),
            Metric::Elapsed => unpaced(sample.seconds),
            Metric::Cpu => unpaced(sample.cpu_micros / 1e3),
            Metric::Busy => Some(sample.server_busy * 100.0),
            Metric::Memory => Some(sample.memory_bytes as f64 / MIB),
            Metric::MemoryEach if connections == 0 => None,
            Metric::MemoryEach => {
                let added = sample.memory_bytes.saturating_sub(sample.memory_before_bytes);
                Some(added as f64 / 1024.0 / connections as f64)
            }
            Metric::Threads => Some(sample.threads as f64),
            Metric::Switches => unpaced(sample.waits + sample.preemptions),
            Metric::Fairness => fairness(sample),
        }
    }

    /// Formats a value for tables, with its significant digits.
    pub fn format(self, value: f64) -> String {
        match self {
            Metric::Throughput | Metric::Threads => thousands(value),
            Metric::Cpu => format!("{value:.4}"),
            Metric::Busy => format!("{value:.0}"),
            Metric::Fairness | Metric::Elapsed | Metric::Switches => format!("{value:.2}"),
            Metric::P50 | Metric::P99 | Metric::Memory | Metric::MemoryEach => three_digits(value),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

/// `None` for a single worker.
fn fairness(sample: &Sample) -> Option<f64> {
    let (least, most) = (sample.workers.values().min()?, sample.workers.values().max()?);
    (sample.workers.len() > 1 && *most > 0).then(|| *least as f64 / *most as f64)
}

/// Formats with at least three significant digits.
pub(crate) fn three_digits(value: f64) -> String {
    match value.abs() {
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => thousands(value),
    }
}

/// Formats as an integer, with a comma between groups of three digits.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value <= -0.5 { String::from("-") } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_what_means_something() {
        let check = |metric: Metric, value: f64, expected: &str| assert_eq!(metric.format(value), expected);
        check(Metric::Throughput, 0.0, "0");
        check(Metric::Throughput, 999.6, "1,000");
        check(Metric::Throughput, 1_234_567.0, "1,234,567");
        check(Metric::P99, 0.0456, "0.05");
        check(Metric::P99, 45.67, "45.7");
        check(Metric::P99, 4567.8, "4,568");
        check(Metric::Memory, -4567.8, "-4,568");
    }
}
