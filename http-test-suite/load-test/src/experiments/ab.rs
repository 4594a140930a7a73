//! A measurement by ApacheBench (`ab`), with the command line by which many file servers are compared.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};

use crate::report::{Metric, Sample};
use crate::subject::process::Server;
use crate::subject::programs::installed;

/// The number of requests.
const REQUESTS: &str = "50000";
/// The number of connections at the same time.
const CONNECTIONS: &str = "100";

/// Runs `ab` on the server, and reads the CPU time that the server used meanwhile. `None` if `ab` is not installed.
///
/// # Errors
///
/// If `ab` fails, or its output has no figures.
pub(super) fn measure(server: &Server) -> io::Result<Option<Sample>> {
    let Some(program) = installed("ab") else { return Ok(None) };
    let before = server.processes.usage()?;
    // An address, because `localhost` may also be ::1, on which the servers do not listen here.
    let url = format!("http://{}/", server.address);
    let mut command = Command::new(program);
    command.args(["-n", REQUESTS, "-c", CONNECTIONS, "-r", &url]).stdin(Stdio::null());
    let output = command.output()?;
    let spent = server.processes.usage()?.since(&before);
    if !output.status.success() {
        return Err(io::Error::other(format!("ab: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let sample = sample(&text, spent.cpu.as_secs_f64());
    sample.map(Some).ok_or_else(|| io::Error::other("ab printed no figures"))
}

/// Reads the output of `ab`. `cpu_seconds` is the CPU time of the server.
fn sample(output: &str, cpu_seconds: f64) -> Option<Sample> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_figures() {
        let output = "
Complete requests:      50000
Failed requests:        0
Requests per second:    12500.25 [#/sec] (mean)
Time per request:       8.000 [ms] (mean)
  50%      7
  99%     15
 100%     31 (longest request)
";
        let right = sample(output, 2.0).unwrap();
        let values = [
            (Metric::Throughput, 12500.25),
            (Metric::FailedRequests, 0.0),
            (Metric::P50, 7.0),
            (Metric::P99, 15.0),
            (Metric::Cpu, 40.0),
        ];
        assert_eq!((right.values, right.wrong.len()), (values.into(), 0));
        let output = output.replace("requests:        0", "requests:        3\nNon-2xx responses:      4");
        let failed = sample(&output, 1.0).unwrap();
        assert_eq!(failed.values[&Metric::FailedRequests], 7.0);
        assert_eq!(failed.wrong, [("failed in ab".to_owned(), 7)].into());
        assert_eq!(sample("This is ApacheBench\n", 1.0), None);
    }
}
