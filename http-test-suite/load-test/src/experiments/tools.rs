//! Measurements by other tools: by ApacheBench (`ab`), with the command line by which many file servers are compared,
//! and by the conformance suite.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use http_test_suite::case::Level;
use http_test_suite::exchange::Timeouts;
use http_test_suite::{Options, Target};

use crate::report::{Metric, Sample};
use crate::subject::process::Server;
use crate::subject::programs::installed;

/// The options of `ab`: 50,000 requests, 100 connections at the same time, and no end at a failed one.
const AB_OPTIONS: [&str; 5] = ["-n", "50000", "-c", "100", "-r"];

/// The suite's timeout for a response; some servers answer a malformed request only after five seconds.
const SUITE_TIMEOUT: Duration = Duration::from_secs(8);

/// Runs `ab` on the server, and reads the CPU time that the server used meanwhile.
///
/// # Errors
///
/// If `ab` fails, or its output has no figures; of the kind [`Unsupported`](io::ErrorKind::Unsupported) if it is not
/// installed.
pub(super) fn run_ab(server: &Server) -> io::Result<Sample> {
    let missing = || io::Error::new(io::ErrorKind::Unsupported, "ab is not installed");
    let mut command = Command::new(installed("ab").ok_or_else(missing)?);
    // An address, because `localhost` may also be ::1, on which the servers do not listen here.
    command.args(AB_OPTIONS).arg(format!("http://{}/", server.address)).stdin(Stdio::null());
    let before = server.processes.usage()?;
    let output = command.output()?;
    let spent = server.processes.usage()?.since(&before);
    if !output.status.success() {
        return Err(io::Error::other(format!("ab: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    let sample = parse_ab(&String::from_utf8_lossy(&output.stdout), spent.cpu.as_secs_f64());
    sample.ok_or_else(|| io::Error::other("ab printed no figures"))
}

/// Reads the output of `ab`. `cpu_seconds` is the CPU time of the server.
fn parse_ab(output: &str, cpu_seconds: f64) -> Option<Sample> {
    let figure = |name: &str| {
        let line = output.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    let failed = figure("Failed requests:")? + figure("Non-2xx responses:").unwrap_or(0.0);
    let values = BTreeMap::from([
        (Metric::Throughput, figure("Requests per second:")?),
        (Metric::FailedRequests, failed),
        (Metric::P50, figure("50%")?),
        (Metric::P99, figure("99%")?),
        (Metric::Cpu, cpu_seconds * 1e6 / figure("Complete requests:").filter(|count| *count > 0.0)?),
    ]);
    let wrong = (failed > 0.0).then(|| ("failed in ab".to_owned(), failed as u64)).into_iter().collect();
    Some(Sample { values, wrong, ..Sample::default() })
}

/// Runs the conformance suite on the server, and counts the cases of each level that it passes. Cases that do not apply
/// to it count nowhere.
///
/// # Errors
///
/// If no connection can be made to begin with.
pub(super) fn run_conformance_suite(server: SocketAddr) -> io::Result<Sample> {
    let timeouts = Timeouts { response: SUITE_TIMEOUT, ..Timeouts::default() };
    let options = Options { timeouts, ..Options::default() };
    let report = http_test_suite::run(&Target { server, echo: None }, &options)?;
    let mut values = BTreeMap::new();
    for (level, met, total) in [
        (Level::Must, Metric::MustMet, Metric::MustTotal),
        (Level::Should, Metric::ShouldMet, Metric::ShouldTotal),
        (Level::Robust, Metric::RobustMet, Metric::RobustTotal),
    ] {
        let counts = report.counts_of(level);
        values.insert(met, counts.passed as f64);
        values.insert(total, (counts.passed + counts.failed) as f64);
    }
    Ok(Sample { values, ..Sample::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_figures_of_ab() {
        let output = "
Complete requests:      50000
Failed requests:        0
Requests per second:    12500.25 [#/sec] (mean)
Time per request:       8.000 [ms] (mean)
  50%      7
  99%     15
 100%     31 (longest request)
";
        let Sample { values, wrong, .. } = parse_ab(output, 2.0).unwrap();
        let expected = [
            (Metric::Throughput, 12500.25),
            (Metric::FailedRequests, 0.0),
            (Metric::P50, 7.0),
            (Metric::P99, 15.0),
            (Metric::Cpu, 40.0),
        ];
        assert_eq!((values, wrong.len()), (expected.into(), 0));
        let output = output.replace("requests:        0", "requests:        3\nNon-2xx responses:      4");
        assert_eq!(parse_ab(&output, 1.0).unwrap().wrong, [("failed in ab".to_owned(), 7)].into());
        assert_eq!(parse_ab("This is ApacheBench\n", 1.0), None);
    }
}
