//! Formats results as a table for the terminal.

use std::fmt::Write;

use super::architectures::Architecture;
use super::metric::Metric;
use super::results::{Cell, Results};
use super::workloads::Workload;

/// The metrics in the columns behind workload, architecture and connections, with their headings.
pub const COLUMNS: [(Metric, &str); 9] = [
    (Metric::Throughput, "req/s"),
    (Metric::P50, "p50 ms"),
    (Metric::P99, "p99 ms"),
    (Metric::Cpu, "CPU s/1k"),
    (Metric::Busy, "CPU %"),
    (Metric::Memory, "MiB"),
    (Metric::Threads, "threads"),
    (Metric::Switches, "switches"),
    (Metric::Fairness, "fair"),
];

/// Formats a block for each workload: medians, and half the distance between the extremes of the rate.
pub fn table(results: &Results) -> String {
    let mut text = String::new();
    for chunk in results.cells.chunk_by(|a, b| a.workload == b.workload) {
        let id = &chunk[0].workload;
        let title = Workload::named(id).map_or("", |workload| workload.title);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{id}: {title}");
        let _ = write!(text, "{:20} {:>6}", "", "conns");
        for (metric, name) in COLUMNS {
            let _ = write!(text, " {name:>9}");
            if metric == Metric::Throughput {
                text.push_str("      ±");
            }
        }
        text.push('\n');
        for cell in in_order(chunk) {
            let _ = writeln!(text, "{}", row(cell).trim_end());
        }
    }
    text
}

/// The cells of one workload by connections, then in the order of architectures.
pub fn in_order<'c>(cells: impl IntoIterator<Item = &'c Cell>) -> Vec<&'c Cell> {
    let mut cells: Vec<&Cell> = cells.into_iter().collect();
    let place = |id: &str| Architecture::ALL.iter().position(|architecture| architecture.id() == id);
    cells.sort_by_key(|cell| (cell.connections, place(&cell.architecture)));
    cells
}

/// A remark beside the numbers: a failure, or a driver that was the bottleneck.
pub fn remark(cell: &Cell) -> String {
    match &cell.failure {
        Some(why) => format!("FAILED: {why}"),
        None if cell.is_driver_bound() => "the driver could do no more".to_owned(),
        None => String::new(),
    }
}

fn row(cell: &Cell) -> String {
    let title = Architecture::named(&cell.architecture).map_or("", Architecture::title);
    let mut row = format!("{title:20} {:>6}", cell.connections);
    if cell.failure.is_none() {
        for (metric, _) in COLUMNS {
            let spread = cell.spread(metric);
            let value = spread.map_or_else(|| "-".to_owned(), |spread| metric.format(spread.middle));
            let _ = write!(row, " {value:>9}");
            if metric == Metric::Throughput {
                let relative =
                    spread.map_or_else(String::new, |spread| format!("{:.0}%", spread.relative() * 100.0));
                let _ = write!(row, " {relative:>6}");
            }
        }
    }
    row + "  " + &remark(cell)
}
