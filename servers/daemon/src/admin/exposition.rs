//! The metrics in the text format of Prometheus, version 0.0.4.

use super::report::{Measured, Report};
use crate::launch::{Expiry, Metric};
use http_engine::{LATENCY_BOUNDS, WorkerMetrics};
use rustix::param::page_size;
use std::{fmt::Display, fmt::Write, fs, time::SystemTime};

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the metrics of these processes, with those of the `application`. Those of a worker have its number as label:
/// a query adds them up, as in `sum without (worker) (rate(http_responses_total[5m]))`.
pub fn exposition(reports: &[Report], application: &[Metric]) -> String {
    let mut text = Text(String::with_capacity(8192));
    let workers: Vec<_> = reports.iter().flat_map(|report| &report.workers).collect();
    text.family("http_responses_total", "counter", "Responses by the class of their status.");
    for (number, worker) in &workers {
        for (class, count) in (1..).zip(worker.engine.responses) {
            text.sample("http_responses_total", &format!("worker=\"{number}\",class=\"{class}xx\""), count);
        }
    }
    let mut each = |name, kind, help, value: fn(&WorkerMetrics) -> u64| {
        text.family(name, kind, help);
        for (number, worker) in &workers {
            text.sample(name, &format!("worker=\"{number}\""), value(&worker.engine));
        }
    };
    each("http_sent_bytes_total", "counter", "Bytes of responses sent, heads included.", |worker| {
        worker.sent_bytes
    });
    each("http_open_connections", "gauge", "Open connections.", |worker| worker.open_connections);
    each("http_idle_connections", "gauge", "Open connections that wait for a request.", |worker| {
        worker.idle_connections
    });
    each(
        "http_active_connections",
        "gauge",
        "Open connections with a request or a response in progress.",
        |worker| {
            // The two are not read at the same time.
            worker.open_connections.saturating_sub(worker.idle_connections)
        },
    );
    each(
        "http_refused_connections_total",
        "counter",
        "Connections that got 503 because of a limit.",
        |worker| worker.refused_connections,
    );
    text.latencies(&workers);
    for (index, metric) in application.iter().enumerate() {
        text.family(metric.name, if metric.is_counter { "counter" } else { "gauge" }, metric.help);
        for (number, worker) in &workers {
            if let Some(value) = worker.application.get(index) {
                text.sample(metric.name, &format!("worker=\"{number}\""), value);
            }
        }
    }
    text.certificates(reports);
    text.processes(reports);
    text.0
}

/// The text so far.
struct Text(String);

impl Text {
    /// Appends the lines that describe a metric. Its samples must follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Appends a sample. `labels` may be empty.
    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    /// Appends the histogram of latencies. Each bucket of the format contains those before it.
    fn latencies(&mut self, workers: &[&(usize, Measured)]) {
        const NAME: &str = "http_response_latency_seconds";
        self.family(NAME, "histogram", "Time from the head of a request to its response, without sending.");
        for (number, Measured { engine: worker, .. }) in workers {
            let bounds = LATENCY_BOUNDS.iter().map(|bound| bound.as_secs_f64().to_string());
            let mut total = 0;
            for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(worker.latency) {
                total += count;
                self.sample(&format!("{NAME}_bucket"), &format!("worker=\"{number}\",le=\"{bound}\""), total);
            }
            let label = format!("worker=\"{number}\"");
            self.sample(&format!("{NAME}_sum"), &label, worker.latency_sum.as_secs_f64());
            self.sample(&format!("{NAME}_count"), &label, total);
        }
    }

    /// Appends when each certificate expires, if there are any.
    fn certificates(&mut self, reports: &[Report]) {
        const NAME: &str = "tls_certificate_expiry_timestamp_seconds";
        let mut certificates = reports.iter().flat_map(|report| &report.certificates).peekable();
        if certificates.peek().is_some() {
            self.family(NAME, "gauge", "When the certificate in this file expires, since the Unix epoch.");
        }
        for Expiry { source, at } in certificates {
            let label = format!("certificate=\"{}\"", source.replace('\\', r"\\").replace('"', "\\\""));
            let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.sample(NAME, &label, at.as_secs());
        }
    }

    /// Appends what is known of each process. A worker process has its number as label, and the master has none. What
    /// cannot be read is left out: under `--confine`, memory and descriptors.
    fn processes(&mut self, reports: &[Report]) {
        let mut each = |name, kind, help, value: fn(&Report) -> Option<f64>| {
            self.family(name, kind, help);
            for report in reports {
                let label = report.process.map(|number| format!("worker=\"{number}\"")).unwrap_or_default();
                if let Some(value) = value(report) {
                    self.sample(name, &label, value);
                }
            }
        };
        each("log_lost_lines_total", "counter", "Log lines that could not be written.", |report| {
            Some(report.lost_log_lines as f64)
        });
        each("process_open_fds", "gauge", "Open descriptors.", |report| {
            Some(fs::read_dir(format!("/proc/{}/fd", report.pid)).ok()?.count() as f64)
        });
        each("process_resident_memory_bytes", "gauge", "Resident memory.", |report| {
            let statm = fs::read_to_string(format!("/proc/{}/statm", report.pid)).ok()?;
            let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
            Some((pages * page_size() as u64) as f64)
        });
        each(
            "process_start_time_seconds",
            "gauge",
            "Start of the process, since the Unix epoch.",
            |report| Some(report.started_at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn buckets_are_cumulative() {
        let mut latency = [0; LATENCY_BOUNDS.len() + 1];
        (latency[0], latency[2], latency[10]) = (1, 2, 3);
        let engine =
            WorkerMetrics { latency, latency_sum: Duration::from_millis(1500), ..WorkerMetrics::default() };
        let worker = Measured { engine, application: Vec::new() };
        let mut text = Text(String::new());
        text.latencies(&[&(7, worker)]);
        let values: Vec<&str> =
            text.0.lines().skip(2).filter_map(|line| Some(line.split_once(' ')?.1)).collect();
        assert_eq!(values, ["1", "1", "3", "3", "3", "3", "3", "3", "3", "3", "6", "1.5", "6"]);
        assert!(text.0.contains("_bucket{worker=\"7\",le=\"0.0005\"} 1\n"), "{}", text.0);
    }
}
