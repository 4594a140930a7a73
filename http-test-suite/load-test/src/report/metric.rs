//! The metrics of a sample: name, unit, direction, and how each is written. It computes no metric.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A kind of number that a measurement yields. Samples store it in the unit of its [heading](Metric::heading).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Throughput: correct responses per second.
    Throughput,
    /// Median of the latency of responses, in milliseconds.
    P50,
    /// 99th percentile of the latency, in milliseconds.
    P99,
    /// 99.9th percentile of the latency, in milliseconds.
    P999,
    /// What a closed loop measures just before an open one: correct responses per second.
    Capacity,
    /// The rate of an open loop: requests that are due per second.
    Rate,
    /// 99th percentile of the time, in milliseconds, by which the load driver was late with a request of an open loop,
    /// although a connection was free.
    DriverDelay,
    /// Time from the start of the load to the last response, in seconds.
    Elapsed,
    /// CPU time of all the server's processes per correct response, user and system, in microseconds.
    Cpu,
    /// The length of a response with its head, in bytes.
    Size,
    /// CPU time of the server as a percentage of that of the CPUs it can use: one per worker, or all if each connection
    /// has a thread.
    Busy,
    /// CPU time of the busiest thread of the load driver, as a percentage of the elapsed time.
    DriverBusy,
    /// Memory of all the server's processes under load, in MiB; shared pages count once.
    Memory,
    /// Memory of all the server's processes before the first connection, in MiB; shared pages count once.
    MemoryAtStart,
    /// Growth of the server's memory per connection, in bytes.
    MemoryPerConnection,
    /// The number of threads of all the server's processes under load.
    Threads,
    /// Voluntary context switches of the server per correct response.
    Waits,
    /// Involuntary context switches of the server per correct response.
    Preemptions,
    /// Responses of the least busy worker as a share of those of the busiest. Computed from `Sample::per_worker`.
    Fairness,
    /// In a mix: the rate of the slowest client that requests small files, as a share of the median rate of these
    /// clients.
    SlowestKept,
    /// The same for clients that request small files with a connection for each.
    SlowestNew,
    /// The same for clients that request large files.
    SlowestLarge,
    /// The same for clients that request compressed texts.
    SlowestGzip,
    /// The largest number of connections of a worker, divided by the mean.
    BusiestWorker,
    /// Time from the start of the program to its first response, in milliseconds.
    StartTime,
    /// Requests that the tool `ab` counts as failed, or whose status is not 2xx.
    FailedRequests,
    /// Conformance cases of level MUST that the server passes.
    MustMet,
    /// Conformance cases of level MUST that apply to the server.
    MustTotal,
    /// Conformance cases of level SHOULD that the server passes.
    ShouldMet,
    /// Conformance cases of level SHOULD that apply to the server.
    ShouldTotal,
    /// Robustness cases, beyond the RFCs, that the server passes.
    RobustMet,
    /// Robustness cases, beyond the RFCs, that apply to the server.
    RobustTotal,
}

impl Metric {
    /// The heading of a column or a chart of the metric, with the unit.
    pub fn heading(self) -> &'static str {
        match self {
            Metric::Throughput => "requests/s",
            Metric::P50 => "median latency, ms",
            Metric::P99 => "99th percentile of latency, ms",
            Metric::P999 => "99.9th percentile of latency, ms",
            Metric::Capacity => "capacity, requests/s",
            Metric::Rate => "rate, requests/s",
            Metric::DriverDelay => "99th percentile of the driver's delay, ms",
            Metric::Elapsed => "time for all, s",
            Metric::Cpu => "CPU per request, µs",
            Metric::Size => "bytes per response",
            Metric::Busy => "server CPU busy, %",
            Metric::DriverBusy => "driver CPU busy, %",
            Metric::Memory => "memory, MiB",
            Metric::MemoryAtStart => "memory at start, MiB",
            Metric::MemoryPerConnection => "memory per connection, bytes",
            Metric::Threads => "threads",
            Metric::Waits => "waits per request",
            Metric::Preemptions => "preemptions per request",
            Metric::Fairness => "least busy worker ÷ busiest",
            Metric::SlowestKept => "slowest client ÷ median, small files",
            Metric::SlowestNew => "slowest client ÷ median, a connection each",
            Metric::SlowestLarge => "slowest client ÷ median, large files",
            Metric::SlowestGzip => "slowest client ÷ median, compressed texts",
            Metric::BusiestWorker => "connections of the busiest worker ÷ mean",
            Metric::StartTime => "start to first response, ms",
            Metric::FailedRequests => "failed",
            Metric::MustMet => "MUST met",
            Metric::MustTotal => "MUST cases",
            Metric::ShouldMet => "SHOULD met",
            Metric::ShouldTotal => "SHOULD cases",
            Metric::RobustMet => "robustness met",
            Metric::RobustTotal => "robustness cases",
        }
    }

    /// For a count of passed conformance cases, the metric that counts all cases of that level; else `None`.
    pub fn total(self) -> Option<Metric> {
        match self {
            Metric::MustMet => Some(Metric::MustTotal),
            Metric::ShouldMet => Some(Metric::ShouldTotal),
            Metric::RobustMet => Some(Metric::RobustTotal),
            _ => None,
        }
    }

    /// Whether a larger value of the metric is better than a smaller one.
    pub fn more_is_better(self) -> bool {
        matches!(
            self,
            Metric::Throughput
                | Metric::Capacity
                | Metric::Fairness
                | Metric::SlowestKept
                | Metric::SlowestNew
                | Metric::SlowestLarge
                | Metric::SlowestGzip
                | Metric::MustMet
                | Metric::ShouldMet
                | Metric::RobustMet
        )
    }

    /// Writes a value of the metric as text, with no more decimals than are significant, and without the unit.
    pub fn format(self, value: f64) -> String {
        match self {
            Metric::Busy | Metric::DriverBusy => format!("{value:.0}"),
            Metric::P50 | Metric::P99 | Metric::P999 | Metric::DriverDelay => three_digits(value),
            Metric::Elapsed | Metric::Cpu | Metric::Memory => three_digits(value),
            Metric::MemoryAtStart | Metric::StartTime => three_digits(value),
            Metric::Waits | Metric::Preemptions | Metric::Fairness => three_digits(value),
            Metric::SlowestKept | Metric::SlowestNew | Metric::SlowestLarge => three_digits(value),
            Metric::SlowestGzip | Metric::BusiestWorker => three_digits(value),
            _ => thousands(value),
        }
    }
}

/// Writes the name on the command line, which is also that in the results file.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.pad(name.as_ref().map_or("", |name| name.get_name()))
    }
}

/// Writes a number with two decimals below 10, one below 100, and none from there on.
pub fn three_digits(value: f64) -> String {
    match value.abs() {
        ..9.995 => format!("{value:.2}"),
        9.995..99.95 => format!("{value:.1}"),
        _ => thousands(value),
    }
}

/// Writes a number as an integer, with a comma between groups of three digits.
pub fn thousands(value: f64) -> String {
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

/// Writes a number of rounds: `1 round`, `3 rounds`.
pub fn rounds(count: usize) -> String {
    format!("{count} round{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_digits_that_mean_something() {
        let check = |metric: Metric, value: f64, expected: &str| assert_eq!(metric.format(value), expected);
        check(Metric::Throughput, 0.0, "0");
        check(Metric::Throughput, 999.6, "1,000");
        check(Metric::P99, 0.0456, "0.05");
        check(Metric::P99, 9.996, "10.0");
        check(Metric::P99, 45.67, "45.7");
        check(Metric::P99, 99.97, "100");
        check(Metric::Memory, -1_234_567.8, "-1,234,568");
        check(Metric::Busy, 45.6, "46");
    }

    #[test]
    fn has_the_same_name_on_the_command_line_and_in_the_file() {
        for metric in Metric::value_variants() {
            assert_eq!(serde_json::to_string(metric).unwrap(), format!("\"{metric}\""));
        }
    }
}
