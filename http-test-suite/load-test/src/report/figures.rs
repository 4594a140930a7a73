//! The figures that documents show: which numbers stand in each table, each chart and each line, by name.

use std::collections::BTreeSet;

use super::charts;
use super::metric::{Metric, thousands};
use super::plot::{Chart, NARROW, WIDE};
use super::results::{Machine, Results, Run, WorkloadLabel};
use super::table::{Row, Table};

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
        "cpu" => Table::by_subject(results, &server_rows(results), &SERVERS, Some(BASE)),
        "libraries" => Table::by_subject(results, &server_rows(results), &LIBRARIES, Some(BASE)),
        "architectures" => Table::by_subject(results, &architecture_rows(results), &ARCHITECTURES, None),
        "ab" | "conformance" => {
            let run = results.run_of(name)?;
            let workload = run.workload(name)?;
            Table::of_workload(results, run, workload, &workload.metrics)
        }
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
        ("cpu", charts::of_ratios(results, "Servers beside nginx", &server_rows(results), &SERVERS, BASE)),
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

/// The machine, and how and when it was measured, in one line; `None` if nothing was run.
pub fn machine(results: &Results) -> Option<String> {
    let conditions = results.runs.values().map(conditions).collect::<BTreeSet<String>>();
    let conditions = match conditions.len() {
        0 => return None,
        1 => conditions.into_iter().collect(),
        _ => {
            let named = results.runs.iter().map(|(id, run)| format!("{id}: {}", self::conditions(run)));
            named.collect::<Vec<_>>().join("; ")
        }
    };
    let Machine { cpu, cpus, memory_gib, kernel } = &results.machine;
    Some(format!("{cpus} × {cpu}, {memory_gib} GiB, {kernel}; {conditions}."))
}

/// What is pinned where, how many rounds there were, and the days of measurement.
fn conditions(run: &Run) -> String {
    let list = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let earlier = run.workloads.iter().filter_map(|label| label.earlier_date.as_deref());
    let days = earlier.chain([&*run.date]).map(|date| date.split('T').next().unwrap_or(date));
    let days: Vec<&str> = days.collect::<BTreeSet<_>>().into_iter().collect();
    format!(
        "servers on CPU {}, driver on CPU {}, medians of {} interleaved round{}, {}",
        list(&run.server_cpus),
        list(&run.driver_cpus),
        run.rounds,
        if run.rounds == 1 { "" } else { "s" },
        days.join(" and ")
    )
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
/// Its title names the metric unless that is CPU time.
fn server_rows(results: &Results) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let workloads = results.runs.get("servers").map_or(&[][..], |run| &run.workloads);
    for workload in workloads.iter().filter(|workload| !["ab", "conformance"].contains(&&*workload.id)) {
        let cells = results.of_workload(&workload.id);
        let connections: BTreeSet<usize> = cells.map(|cell| cell.connections).collect();
        let metrics: &[Metric] = match workload.metrics.first() {
            Some(Metric::MemoryPerConnection) => &[Metric::MemoryPerConnection, Metric::MemoryAtStart],
            first => first.map_or(&[], std::slice::from_ref),
        };
        for metric in metrics {
            for connections in &connections {
                let row = row(results, workload, *connections, *metric);
                let title = row.title.replace(&format!(": {}", Metric::Cpu.heading()), "");
                rows.push(Row { title, ..row });
            }
        }
    }
    rows
}

/// The rows of [`ARCHITECTURE_ROWS`] that were measured.
fn architecture_rows(results: &Results) -> Vec<Row<'_>> {
    let row = |(id, metric): (&str, Metric)| {
        let connections = results.of_workload(id).map(|cell| cell.connections).max()?;
        Some(row(results, results.run_of(id)?.workload(id)?, connections, metric))
    };
    ARCHITECTURE_ROWS.into_iter().filter_map(row).collect()
}

/// A row titled with the workload, the number of connections if there are several, and the metric.
fn row<'r>(results: &'r Results, workload: &'r WorkloadLabel, connections: usize, metric: Metric) -> Row<'r> {
    let is_swept = results.of_workload(&workload.id).any(|cell| cell.connections != connections);
    let connections_text = format!(", {} connections", thousands(connections as f64));
    let connections_text = if is_swept { &connections_text } else { "" };
    let title = format!("{}{connections_text}: {}", workload.title, metric.heading());
    Row { title, workload: &workload.id, connections: Some(connections), metric }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::results::tests::{cell, cpu, results, workload};
    use super::super::table::Field;
    use super::*;

    /// Makes results that have numbers for each figure and chart.
    pub(in crate::report) fn complete() -> Results {
        let mut results = results(Vec::new());
        let mut architectures = results.runs["servers"].clone();
        let run = results.runs.get_mut("servers").unwrap();
        run.workloads[0].earlier_date = Some("2026-01-01T00:00:00Z".into());
        run.workloads.extend([
            workload("idle", &[Metric::MemoryPerConnection]),
            workload("ab", &[Metric::Throughput]),
            workload("conformance", &[Metric::MustMet]),
        ]);
        let cells = [
            cpu("httpd", &[4.0, 5.0, 9.0]),
            cpu("nginx", &[8.0, 20.0, 12.0]),
            cell(("crowd", "httpd", 64), Metric::Cpu, &[5.5]),
            cell(("crowd", "httpd", 1000), Metric::Cpu, &[6.5]),
            cell(("idle", "httpd", 5000), Metric::MemoryPerConnection, &[292.0]),
            cell(("ab", "nginx", 100), Metric::Throughput, &[16_000.0]),
            cell(("ab", "httpd", 100), Metric::Throughput, &[20_000.0]),
            cell(("conformance", "httpd", 1), Metric::MustMet, &[80.0]),
        ];
        results.cells.extend(cells);
        results.cells.last_mut().unwrap().samples[0].values.insert(Metric::MustTotal, 87.0);

        architectures.subjects[0].id = "loop".into();
        architectures.workloads =
            CHARTS.iter().chain(&BYSTANDER[..3]).map(|id| workload(id, &[Metric::P99])).collect();
        for workload in &architectures.workloads {
            results.cells.push(cell((&workload.id, "loop", 10), Metric::P99, &[1.5, 2.5]));
        }
        results.cells.push(cell(("beside-none", "loop", 5), Metric::P99, &[9.0]));
        results.runs.insert("architectures".into(), architectures);
        results
    }

    /// Compares the rows of a figure, with fields separated by `|` and notes in parentheses.
    fn check(name: &str, head: &str, rows: &[&str]) {
        let Some(Figure::Table(table)) = figure(&complete(), name) else { panic!("{name}") };
        assert_eq!(table.head.join("|"), head);
        let text = |field: &Field| match field.note.as_str() {
            "" => field.text.clone(),
            note => format!("{} ({note})", field.text),
        };
        let rows_are = table.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|"));
        assert_eq!(rows_are.collect::<Vec<_>>(), rows);
    }

    #[test]
    fn tables_have_the_numbers_of_their_cells() {
        let rows = [
            "CPU per request, file of 1 KiB, µs|5.00 (4.00–9.00)|12.0 (8.00–20.0)",
            "MUST requirements of HTTP/1.1 met|80 of 87|–",
            "Memory per idle connection, bytes|292 (292–292)|–",
        ];
        check("proof", "|httpd|nginx", &rows);
        let rows = [
            "Title of keep-alive|5.00 (0.50× (0.25–0.75))|12.0",
            "Title of crowd, 64 connections|5.50|–",
            "Title of crowd, 1,000 connections|6.50|–",
            "Title of idle: memory per connection, bytes|292|–",
        ];
        check("cpu", "|httpd|nginx", &rows);
        check("libraries", "|httpd|nginx", &rows);
        let rows = ["httpd|20,000|20,000–20,000|1.25", "nginx|16,000|16,000–16,000|1.00"];
        check("ab", "server|requests/s|min–max|÷ nginx", &rows);
        check("conformance", "server|MUST met", &["httpd|80 of 87"]);
        let row = |id| format!("Title of {id}: 99th percentile of latency, ms|2.00 (1.50–2.50)");
        let rows = ["beside-none, 10 connections", "beside-offloaded", "beside-inline"].map(row);
        check("architectures", "|httpd", &rows.each_ref().map(String::as_str));
    }

    #[test]
    fn describes_machine_and_runs() {
        let Some(Figure::Line(line)) = figure(&complete(), "machine") else { panic!() };
        let architectures = "servers on CPU 0, driver on CPU 1, medians of 3 interleaved rounds, 2026-01-02";
        let servers = format!("{}1 and 2026-01-02", &architectures[..architectures.len() - 1]);
        let machine = "2 × a <fast> one, 23.5 GiB, Linux 6";
        assert_eq!(line, format!("{machine}; architectures: {architectures}; servers: {servers}."));
        let alike = results(Vec::new());
        assert_eq!(super::machine(&alike), Some(format!("{machine}; {architectures}.")));
    }

    #[test]
    fn nothing_measured_gives_no_figure_and_no_chart() {
        let nothing = Results { runs: [].into(), ..results(Vec::new()) };
        assert!(NAMES.iter().all(|name| figure(&nothing, name).is_none()));
        assert!(all_charts(&nothing).iter().all(|(_, chart)| chart.is_none()));
        assert!(NAMES.iter().all(|name| figure(&complete(), name).is_some()));
        assert!(all_charts(&complete()).iter().all(|(_, chart)| chart.is_some()));
        assert_eq!(figure(&complete(), "beauty"), None);
    }
}
