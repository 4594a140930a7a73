//! The figures that documents show: which numbers stand in each table, each chart and each line, by name.

use std::collections::BTreeSet;

use super::charts;
use super::metric::{Metric, thousands};
use super::plot::{NARROW, WIDE};
use super::results::{Machine, Results, WorkloadLabel};
use super::table::{Row, Table, escape};

/// The names of the figures that can stand in a document, between `<!-- figures: NAME -->` and its end marker.
pub const NAMES: [&str; 9] =
    ["proof", "ab", "cpu", "libraries", "tail", "fairness", "conformance", "architectures", "machine"];

/// The server to which the ratios in figures and charts compare all others.
const BASE: &str = "nginx";
/// The servers in the figure `proof`: httpd compared with four others, at the top of the README.
const PROOF: [&str; 5] = ["httpd", "nginx", "lighttpd", "h2o", "apache"];
/// The servers in the figure and the chart `cpu`, which have a row for each workload.
const SERVERS: [&str; 6] = ["httpd", "httpd-blocking", "nginx", "lighttpd", "h2o", "apache"];
/// The programs in the figure `libraries`: httpd and nginx, the least that any server does, and servers on Rust
/// libraries.
const LIBRARIES: [&str; 8] =
    ["httpd", "nginx", "bare-loop", "deferred-loop", "hyper-hello", "hyper-dir", "actix-dir", "tiny-http"];
/// The servers in the figure `fairness`: those whose clients, or whose workers, are compared with each other.
const FAIRNESS: [&str; 6] =
    ["httpd", "httpd-blocking", "httpd-prefork", "httpd-blocking-prefork", "nginx", "h2o"];
/// The workloads in the figure `tail`, with all their metrics.
const TAIL_WORKLOADS: [&str; 3] = ["tail-50", "tail-80", "tail-equal"];
/// The workloads in the figure `fairness`, with all their metrics.
const FAIRNESS_WORKLOADS: [&str; 3] = ["mixed-http", "mixed-tls", "workers"];
/// The subjects in the figure `architectures` and the bystander chart: one application in five shapes, and nginx.
const ARCHITECTURES: [&str; 6] = ["threads", "prefork-threads", "loop", "loops", "prefork-loops", "nginx"];
/// The rows of the figure `architectures`: a metric of a workload, with its largest number of connections.
const ARCHITECTURE_ROWS: [(&str, Metric); 16] = [
    ("hello", Metric::Throughput),
    ("hello", Metric::Cpu),
    ("hello", Metric::Memory),
    ("static", Metric::Throughput),
    ("io-task", Metric::Cpu),
    ("io-task", Metric::Memory),
    ("thousand-waits", Metric::Elapsed),
    ("thousand-waits", Metric::Memory),
    ("thousand-waits", Metric::Threads),
    ("weather", Metric::Throughput),
    ("beside-none", Metric::P99),
    ("beside-offloaded", Metric::P99),
    ("beside-inline", Metric::P99),
    ("beside-idle", Metric::MemoryPerConnection),
    ("beside-slow", Metric::MemoryPerConnection),
    ("beside-slow", Metric::Busy),
];
/// The workloads of the bystander chart: a few clients whose latency is measured beside others.
const BYSTANDER: [&str; 5] =
    ["beside-none", "beside-offloaded", "beside-inline", "beside-idle", "beside-slow"];
/// The workloads of the experiment `architectures` that have a chart of their own.
const CHARTS: [&str; 5] = ["hello", "io-task", "thousand-waits", "beside-idle", "beside-slow"];

/// The rows of the figure `proof`: workload, metric, title.
const PROOF_ROWS: [(&str, Metric, &str); 3] = [
    ("keep-alive", Metric::Cpu, "CPU per request, file of 1 KiB, µs"),
    ("conformance", Metric::MustMet, "MUST test cases passed, of our suite"),
    ("idle", Metric::MemoryPerConnection, "Memory per idle connection, bytes"),
];
/// A chart for each of the [`PROOF_ROWS`]: name of the file without `.svg`, title, heading of the bars.
const PROOF_CHARTS: [(&str, &str, &str); 3] = [
    ("proof-cpu", "CPU per request, µs", "file of 1 KiB; less is better"),
    ("proof-conformance", "Conformance, our suite", "MUST test cases passed"),
    ("proof-memory", "Memory per idle client", "bytes; less is better"),
];
/// The metrics in the figures `cpu` and `libraries`: what a workload costs the server, without throughput and latency.
const COSTS: [Metric; 4] =
    [Metric::Cpu, Metric::MemoryPerConnection, Metric::MemoryAtStart, Metric::StartTime];

/// The table with this name, or for `machine` the line about the machine, as HTML or Markdown; `None` if there is no
/// such figure, or the results have no numbers for it.
pub fn figure(results: &Results, name: &str, is_html: bool) -> Option<String> {
    let table = match name {
        "proof" => {
            let row = |(id, metric, title)| {
                Some(Row { title: String::from(title), ..largest(results, id, metric)? })
            };
            let rows: Vec<Row<'_>> = PROOF_ROWS.into_iter().filter_map(row).collect();
            Table::by_subject(results, &rows, &PROOF, None)
        }
        "cpu" => Table::by_subject(results, &server_rows(results), &SERVERS, Some(BASE)),
        "libraries" => Table::by_subject(results, &server_rows(results), &LIBRARIES, Some(BASE)),
        "tail" => Table::by_subject(results, &metric_rows(results, &TAIL_WORKLOADS), &SERVERS, None),
        "fairness" => Table::by_subject(results, &metric_rows(results, &FAIRNESS_WORKLOADS), &FAIRNESS, None),
        "architectures" => {
            let row = |(id, metric)| largest(results, id, metric).map(Row::with_metric);
            let rows: Vec<Row<'_>> = ARCHITECTURE_ROWS.into_iter().filter_map(row).collect();
            Table::by_subject(results, &rows, &ARCHITECTURES, None)
        }
        "ab" | "conformance" => Table::of_workload(results, name, &results.workload(name)?.1.metrics),
        "machine" if is_html => return Some(escape(&machine(results)) + "\n"),
        "machine" => return Some(machine(results) + "\n"),
        _ => return None,
    };
    let text = if is_html { table.html() } else { format!("\n{}\n", table.markdown()) };
    (!table.rows.is_empty() && table.head.len() > 1).then_some(text)
}

/// The charts as SVG, each with the name of its file without `.svg`; `None` for a chart without numbers.
pub fn all_charts(results: &Results) -> Vec<(&'static str, Option<String>)> {
    let bystander = BYSTANDER.into_iter().filter_map(|id| largest(results, id, Metric::P99));
    let (bystander, servers) = (bystander.collect::<Vec<_>>(), server_rows(results));
    let title = "Latency of a few clients beside others: 99th percentile, ms";
    let mut all = vec![
        ("cpu", charts::of_ratios(results, "Servers beside nginx", &servers, &SERVERS, BASE)),
        ("bystander", charts::of_rows(results, title, &bystander, &ARCHITECTURES, WIDE)),
    ];
    for ((name, title, heading), (id, metric, _)) in PROOF_CHARTS.into_iter().zip(PROOF_ROWS) {
        let row = largest(results, id, metric).map(|row| Row { title: heading.to_owned(), ..row });
        all.push((name, charts::of_rows(results, title, row.as_slice(), &PROOF, NARROW)));
    }
    all.extend(CHARTS.map(|id| (id, charts::of_workload(results, id))));
    all
}

/// Describes the machine, and for each experiment the CPUs, the rounds and the days of its run, in one line.
pub fn machine(results: &Results) -> String {
    let Machine { cpu, cpus, memory_gib, kernel } = &results.machine;
    let runs = results.runs.iter().map(|(id, run)| format!("{id}: {}", run.conditions()));
    format!("{cpus} × {cpu}, {memory_gib} GiB, {kernel}; {}.", runs.collect::<Vec<_>>().join("; "))
}

/// A row for each workload, each of its [`COSTS`] and each number of connections of the experiment `servers`. Its title
/// names the metric unless that is CPU time.
fn server_rows(results: &Results) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let workloads = results.runs.get("servers").into_iter().flat_map(|run| &run.workloads);
    // The table `ab` shows the workload `ab`.
    for workload in workloads.filter(|workload| workload.id != "ab") {
        let cells = results.of_workload(&workload.id);
        let connections: BTreeSet<usize> = cells.map(|cell| cell.connections).collect();
        for metric in workload.metrics.iter().filter(|metric| COSTS.contains(metric)) {
            let row = |connections: &usize| row(results, workload, *connections, *metric);
            let all = connections.iter().map(row);
            rows.extend(all.map(|row| if *metric == Metric::Cpu { row } else { row.with_metric() }));
        }
    }
    rows
}

/// A row for each metric of these workloads, with their largest numbers of connections.
fn metric_rows<'r>(results: &'r Results, ids: &[&str]) -> Vec<Row<'r>> {
    let labels = ids.iter().filter_map(|id| results.workload(id));
    let pairs = labels.flat_map(|(_, label)| label.metrics.iter().map(|metric| (&*label.id, *metric)));
    pairs.filter_map(|(id, metric)| largest(results, id, metric)).map(Row::with_metric).collect()
}

/// The row for a metric of a workload, with its largest number of connections; `None` if it was not measured.
fn largest<'r>(results: &'r Results, id: &str, metric: Metric) -> Option<Row<'r>> {
    let connections = results.of_workload(id).map(|cell| cell.connections).max()?;
    Some(row(results, results.workload(id)?.1, connections, metric))
}

/// The row for a metric of a workload, titled with the workload and, if it has several, the number of connections.
fn row<'r>(results: &Results, workload: &'r WorkloadLabel, connections: usize, metric: Metric) -> Row<'r> {
    let is_swept = results.of_workload(&workload.id).any(|cell| cell.connections != connections);
    let swept = format!("{}, {} connections", workload.title, thousands(connections as f64));
    let title = if is_swept { swept } else { workload.title.clone() };
    Row { title, workload: &workload.id, connections, metric }
}

impl Row<'_> {
    /// The row with the metric and its unit in its title.
    fn with_metric(self) -> Self {
        Row { title: format!("{}: {}", self.title, self.metric.heading()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn nothing_measured_gives_no_figure_and_no_chart() {
        let some = results();
        let nothing = Results { cells: Vec::new(), ..some.clone() };
        let is_there = |results: &Results, name: &str| figure(results, name, false).is_some();
        for name in NAMES {
            assert_eq!(
                (is_there(&some, name), is_there(&nothing, name)),
                (true, name == "machine"),
                "{name}"
            );
        }
        assert!(all_charts(&some).iter().all(|(_, chart)| chart.is_some()));
        assert!(all_charts(&nothing).iter().all(|(_, chart)| chart.is_none()));
        assert!(!is_there(&some, "beauty"));
    }
}
