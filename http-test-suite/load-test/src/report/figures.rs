//! The figures that documents show: which numbers stand in each table, each chart and each line, by name.

use super::charts;
use super::metric::{Metric, thousands};
use super::plot::{Chart, NARROW, WIDE};
use super::results::{Cell, Results, Run};
use super::table::{Field, Row, Table, value};

/// The names of the figures that can stand between markers in a document.
pub const NAMES: [&str; 7] = ["proof", "ab", "cpu", "libraries", "conformance", "architectures", "machine"];

/// A figure of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// A table.
    Table(Table),
    /// A line of text.
    Line(String),
}

/// The server whose numbers are 1 in ratios.
const BASE: &str = "nginx";
/// The servers of the proof, each as it runs by default.
const PROOF: [&str; 5] = ["httpd", "nginx", "lighttpd", "h2o", "apache"];
/// The servers of the table of all workloads.
const SERVERS: [&str; 6] = ["httpd", "httpd-blocking", "nginx", "lighttpd", "h2o", "apache"];
/// The other programs of the workloads: the least that any server does, and servers on Rust libraries.
const LIBRARIES: [&str; 8] =
    ["httpd", "nginx", "limit", "limit-eager", "hyper-hello", "hyper-dir", "actix-dir", "tiny-http"];
/// The shapes in which one application is run.
const ARCHITECTURES: [&str; 6] = ["threads", "prefork-threads", "loop", "loops", "prefork-loops", "nginx"];
/// What the table of architectures shows, each with the largest number of connections.
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
/// The workloads of the chart of a bystander.
const BYSTANDER: [&str; 5] =
    ["beside-none", "beside-offloaded", "beside-inline", "beside-idle", "beside-slow"];
/// The workloads of the architectures that have a chart of their own.
const CHARTS: [&str; 5] = ["hello", "io-task", "thousand-waits", "beside-idle", "beside-slow"];

/// The figure with this name; `None` if there is no such figure, or the results have no numbers for it.
pub fn figure(results: &Results, name: &str) -> Option<Figure> {
    let table = match name {
        "proof" => Table::by_subject(results, &proof_rows(), &PROOF, None),
        "ab" => by_metric(results, "ab"),
        "cpu" => Table::by_subject(results, &server_rows(results), &SERVERS, Some(BASE)),
        "libraries" => Table::by_subject(results, &server_rows(results), &LIBRARIES, Some(BASE)),
        "conformance" => by_metric(results, "conformance"),
        "architectures" => Table::by_subject(results, &architecture_rows(results), &ARCHITECTURES, None),
        "machine" => return machine(results).map(Figure::Line),
        _ => return None,
    };
    (!table.rows.is_empty() && table.head.len() > 1).then_some(Figure::Table(table))
}

/// The charts, each with the name of its file without `.svg`; `None` for a chart without numbers.
pub fn all_charts(results: &Results) -> Vec<(&'static str, Option<Chart>)> {
    let [cpu, conformance, memory] = proof_rows();
    let proof = |row: Row<'static>, title: &str, heading: &str| {
        let row = Row { title: heading.to_owned(), ..row };
        charts::of_rows(results, title, &[row], &PROOF, NARROW)
    };
    let beside = |id: &&'static str| {
        let title = results.run_of(id)?.workload(id)?.title.clone();
        Some(Row { title, workload: id, connections: None, metric: Metric::P99 })
    };
    let bystander: Vec<Row<'_>> = BYSTANDER.iter().filter_map(beside).collect();
    let mut all = vec![
        ("proof-cpu", proof(cpu, "CPU per request, µs", "file of 1 KiB; less is better")),
        ("proof-conformance", proof(conformance, "HTTP/1.1 conformance", "MUST requirements met")),
        ("proof-memory", proof(memory, "Memory per idle client", "bytes; less is better")),
        (
            "cpu",
            charts::of_ratios(results, "CPU and memory beside nginx", &server_rows(results), &SERVERS, BASE),
        ),
        (
            "bystander",
            charts::of_rows(
                results,
                "Latency of one client beside others: 99th percentile, ms",
                &bystander,
                &ARCHITECTURES,
                WIDE,
            ),
        ),
    ];
    for id in CHARTS {
        let run = results.run_of(id);
        let chart = run.and_then(|run| charts::of_workload(results, run, run.workload(id)?));
        all.push((id, chart));
    }
    all
}

/// The machine, and how each experiment ran, in a few sentences; `None` if nothing was run.
pub fn machine(results: &Results) -> Option<String> {
    let machine = &results.machine;
    let mut text =
        format!("{} × {}, {} GiB, {}.", machine.cpus, machine.cpu, machine.memory_gib, machine.kernel);
    for (experiment, run) in &results.runs {
        let Run { rounds, seconds, workers, .. } = run;
        let (date, _) = run.date.split_once('T').unwrap_or((&run.date, ""));
        let (server, driver) = (list(&run.server_cpus), list(&run.driver_cpus));
        text += &format!(
            " Experiment {experiment}: {date}, {rounds} interleaved rounds of {seconds} s, {workers} workers per server; \
             servers on CPU {server}, driver on CPU {driver}."
        );
    }
    (!results.runs.is_empty()).then_some(text.replace(" 1 workers per", " one worker per"))
}

/// The three rows of the proof.
fn proof_rows() -> [Row<'static>; 3] {
    let row =
        |title: &str, workload, metric| Row { title: title.to_owned(), workload, connections: None, metric };
    [
        row("CPU per request, file of 1 KiB, µs", "keep-alive", Metric::Cpu),
        row("MUST requirements of HTTP/1.1 met", "conformance", Metric::MustMet),
        row("Memory per idle connection, bytes", "idle", Metric::MemoryPerConnection),
    ]
}

/// A row for the CPU time, memory or start time of each workload and number of connections of the experiment `servers`.
fn server_rows(results: &Results) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let workloads = results.runs.get("servers").map_or(&[][..], |run| &run.workloads);
    for workload in workloads.iter().filter(|workload| !["ab", "conformance"].contains(&&*workload.id)) {
        let mut connections: Vec<usize> =
            results.of_workload(&workload.id).map(|cell| cell.connections).collect();
        connections.sort_unstable();
        connections.dedup();
        let shown: &[Metric] = match workload.metrics.first() {
            Some(Metric::MemoryPerConnection) => &[Metric::MemoryPerConnection, Metric::MemoryAtStart],
            Some(metric) => &[*metric],
            None => &[],
        };
        for (metric, count) in
            shown.iter().flat_map(|metric| connections.iter().map(move |count| (*metric, *count)))
        {
            let count_text = if connections.len() > 1 {
                format!(", {} connections", thousands(count as f64))
            } else {
                String::new()
            };
            // All rows but a few are about CPU time; the heading of the table says so.
            let metric_text =
                if metric == Metric::Cpu { String::new() } else { format!(": {}", metric.heading()) };
            let title = format!("{}{count_text}{metric_text}", workload.title);
            rows.push(Row { title, workload: &workload.id, connections: Some(count), metric });
        }
    }
    rows
}

fn architecture_rows(results: &Results) -> Vec<Row<'_>> {
    ARCHITECTURE_ROWS.into_iter().filter_map(|(id, metric)| row(results, id, metric)).collect()
}

/// A row of a workload with its largest number of connections, titled with both and the metric.
fn row<'r>(results: &'r Results, id: &'r str, metric: Metric) -> Option<Row<'r>> {
    let workload = results.run_of(id)?.workload(id)?;
    let connections = results.of_workload(id).map(|cell| cell.connections).max()?;
    let is_swept = results.of_workload(id).any(|cell| cell.connections != connections);
    let connections_text =
        if is_swept { format!(", {} connections", thousands(connections as f64)) } else { String::new() };
    let title = format!("{}{connections_text}: {}", workload.title, metric.heading());
    Some(Row { title, workload: id, connections: Some(connections), metric })
}

/// A row for each subject of a workload, in the order of the labels, and a column for each metric of its label.
fn by_metric(results: &Results, id: &str) -> Table {
    let Some((run, workload)) = results.run_of(id).and_then(|run| Some((run, run.workload(id)?))) else {
        return Table::default();
    };
    let head = workload.metrics.iter().map(|metric| metric.heading());
    let cell = |subject: &str| results.of_workload(id).find(|cell: &&Cell| cell.subject == subject);
    let rows = run.subjects.iter().filter_map(|subject| {
        let cell = cell(&subject.id)?;
        let values = workload.metrics.iter().map(|metric| Field::from(value(cell, *metric)));
        Some([Field::of_subject(subject)].into_iter().chain(values).collect())
    });
    Table { head: ["server".to_owned()].into_iter().chain(head).collect(), rows: rows.collect(), words: 1 }
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
