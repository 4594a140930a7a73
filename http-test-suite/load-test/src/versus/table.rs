//! Formats results as a page of Markdown: the machine, the settings, and a table for each work.

use std::fmt::Write;

use super::results::{Cell, Number, Results};
use super::rivals::{Rival, Side};
use super::works::{self, Task, Work};
use crate::lab::metric::{thousands, three_digits};

/// The server to which all others are compared.
pub(super) const REFERENCE: &str = "nginx";

/// The columns for one work.
struct Columns<'a> {
    results: &'a Results,
    work: &'static Work,
    /// Whether the limit took part in the work.
    has_limit: bool,
    /// The name of the first point, if there are several points.
    first_point: Option<&'static str>,
}

/// Formats the page.
pub fn page(results: &Results) -> String {
    let mut page = circumstances(results);
    for work in works::ALL.iter().filter(|work| results.of_work(work.id).next().is_some()) {
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {}\n\n`{}`: {}\n\n", work.title, work.id, work.shows);
        page.push_str(&table(results, work));
    }
    page
}

/// The machine, the date, the settings and the servers.
fn circumstances(results: &Results) -> String {
    let Results { machine, settings, servers, left_out, .. } = results;
    let gib = machine.memory_bytes as f64 / (1u64 << 30) as f64;
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut text = format!(
        "# httpd beside other servers\n\n\
         {}, {} × {}, {gib:.1} GiB, {}; load average before {:.2}.\n\n\
         {} of {} seconds for each number, interleaved: each round measures every server in turn. A server is started \
         for each measurement, with {}, on CPU {}, the driver on CPU {}. CPU is user and system time of all of a server's \
         processes per right answer: the median of the rounds, with the smallest and the largest. A ratio is the median of \
         the ratios of single rounds; below 1 the server needs less than the other. Status and content of every answer \
         were checked. `≥`: the driver was the bottleneck, so the server could answer more.\n\n",
        machine.date,
        machine.cpus,
        machine.cpu,
        machine.kernel,
        machine.load_before,
        plural(settings.rounds, "round"),
        settings.seconds,
        plural(settings.workers, "worker"),
        list(&settings.server_cpus),
        list(&settings.driver_cpus),
    );
    text.push_str("| server | version |\n|---|---|\n");
    for server in servers {
        let _ = writeln!(text, "| {} | {} |", name(&server.server), cell_text(&server.version));
    }
    if !left_out.is_empty() {
        text.push_str("\nLeft out:\n\n");
        for line in left_out {
            let _ = writeln!(text, "- {line}");
        }
    }
    text
}

fn table(results: &Results, work: &'static Work) -> String {
    let columns = Columns {
        results,
        work,
        has_limit: results.of_work(work.id).any(|cell| cell.server == work.limit()),
        first_point: if work.points.len() > 1 { Some(work.points[0].name) } else { None },
    };
    let heads = columns.heads();
    let left = 1 + usize::from(columns.first_point.is_some());
    let rule: Vec<&str> = (0..heads.len()).map(|index| if index < left { "---" } else { "--:" }).collect();
    let mut text = format!("{}{}", row(&heads), row(&rule));
    for cell in in_order(results, work) {
        text.push_str(&row(&columns.of(cell)));
    }
    text
}

impl Columns<'_> {
    fn heads(&self) -> Vec<String> {
        let (cost, unit) = self.work.cost();
        let mut heads: Vec<String> = self.first_point.map(|_| "at".to_owned()).into_iter().collect();
        heads.extend(["server".to_owned(), format!("{cost}, {unit}"), "min–max".to_owned()]);
        heads.extend(self.rivals().map(|rival| format!("× {rival}")));
        heads.extend(self.first_point.map(|name| format!("× {name}")));
        match self.work.task {
            Task::Load(_) => {
                heads.push("req/s".to_owned());
                heads.extend(self.rivals().map(|rival| format!("× {rival}")));
                heads.extend(["p50 µs", "p99 µs"].map(str::to_owned));
            }
            Task::Idle => heads.push("start-up, KiB".to_owned()),
            Task::Start => {}
        }
        heads.push("wrong".to_owned());
        heads
    }

    fn of(&self, cell: &Cell) -> Vec<String> {
        let number = |number, format: fn(f64) -> String| {
            cell.spread(number).map(|spread| format(spread.middle)).unwrap_or_default()
        };
        let mut texts: Vec<String> = self.first_point.map(|_| cell.point.clone()).into_iter().collect();
        texts.extend([name(&cell.server), number(Number::Cost, three_digits)]);
        texts.push(cell.spread(Number::Cost).map_or_else(String::new, |spread| {
            format!("{}–{}", three_digits(spread.low), three_digits(spread.high))
        }));
        texts.extend(self.rivals().map(|rival| self.ratio(cell, rival, Number::Cost)));
        texts.extend(self.first_point.map(|point| self.ratio_to_point(cell, point)));
        match self.work.task {
            Task::Load(_) => {
                let bound = if cell.is_driver_bound() { "≥ " } else { "" };
                texts.push(format!("{bound}{}", number(Number::Throughput, thousands)));
                texts.extend(self.rivals().map(|rival| self.ratio(cell, rival, Number::Throughput)));
                texts.extend([Number::P50, Number::P99].map(|latency| number(latency, thousands)));
            }
            Task::Idle => texts.push(number(Number::StartMemory, |bytes| thousands(bytes / 1024.0))),
            Task::Start => {}
        }
        texts.push(wrong(cell));
        texts
    }

    /// The servers to which each server is compared.
    fn rivals(&self) -> impl Iterator<Item = &'static str> + use<> {
        let limit = self.has_limit.then(|| self.work.limit());
        [REFERENCE].into_iter().chain(limit)
    }

    fn ratio(&self, cell: &Cell, to: &str, number: Number) -> String {
        ratio(self.results.ratio(cell, to, number).map(|spread| spread.middle))
    }

    fn ratio_to_point(&self, cell: &Cell, point: &str) -> String {
        let first = self.results.cell((&cell.work, point, &cell.server));
        ratio(first.and_then(|first| cell.ratio(first, Number::Cost)).map(|spread| spread.middle))
    }
}

/// The cells of a work by point, then by cost; cells without numbers come last.
pub(super) fn in_order<'r>(results: &'r Results, work: &'r Work) -> Vec<&'r Cell> {
    let point = |cell: &Cell| work.points.iter().position(|point| point.name == cell.point);
    let cost = |cell: &Cell| cell.spread(Number::Cost).map_or(f64::INFINITY, |spread| spread.middle);
    let mut cells: Vec<&Cell> = results.of_work(work.id).collect();
    cells.sort_by(|a, b| point(a).cmp(&point(b)).then(cost(a).total_cmp(&cost(b))));
    cells
}

/// The number of wrong answers by fault, and other failures.
fn wrong(cell: &Cell) -> String {
    let faults = cell.faults().into_iter().map(|(fault, count)| format!("**{count}** × {fault}"));
    let failures = cell.failures.iter().map(|failure| format!("**FAILED** {}", cell_text(failure)));
    let all: Vec<String> = faults.chain(failures).collect();
    if all.is_empty() { "0".to_owned() } else { all.join("; ") }
}

fn ratio(value: Option<f64>) -> String {
    value.map(three_digits).unwrap_or_default()
}

/// A server's name; the project's own in bold.
fn name(id: &str) -> String {
    let is_ours = Rival::named(id).is_some_and(|rival| rival.side == Side::Ours);
    if is_ours { format!("**{id}**") } else { id.to_owned() }
}

/// Escapes text for a cell of a Markdown table.
fn cell_text(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|")
}

fn row<T: AsRef<str>>(cells: &[T]) -> String {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::results::Sample;
    use super::super::results::by_hand::{cell, results};
    use super::*;
    use crate::load::Fault;

    /// Compares the rows of the table of one work.
    fn check(cells: Vec<Cell>, expected: &[&str]) {
        let page = page(&results(cells));
        let table = page.split_once("\n## ").unwrap().1;
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(rows[0].matches('|').count(), rows[1].matches('|').count());
        assert_eq!(rows[2..], *expected, "{page}");
    }

    #[test]
    fn a_row_for_each_server_by_cost() {
        let at = |server| ("keep-alive", "", server);
        check(
            vec![
                cell(at("nginx"), &[8.0, 10.0, 12.0]),
                cell(at("limit"), &[4.0, 4.0, 4.0]),
                cell(at("httpd"), &[4.0, 5.0, 6.0]),
            ],
            &[
                "| limit | 4.00 | 4.00–4.00 | 0.40 | 1.00 | 250,000 | 2.50 | 1.00 | 1,234 | 5,678 | 0 |",
                "| **httpd** | 5.00 | 4.00–6.00 | 0.50 | 1.25 | 200,000 | 2.00 | 0.80 | 1,234 | 5,678 | 0 |",
                "| nginx | 10.0 | 8.00–12.0 | 1.00 | 2.50 | 100,000 | 1.00 | 0.40 | 1,234 | 5,678 | 0 |",
            ],
        );
    }

    #[test]
    fn points_are_compared_with_the_first() {
        let at = |point, server| ("directory", point, server);
        check(
            vec![
                cell(at("100 of 100,000", "httpd"), &[6.0]),
                cell(at("100 of 100", "nginx"), &[8.0]),
                cell(at("100 of 100", "httpd"), &[4.0]),
            ],
            &[
                "| 100 of 100 | **httpd** | 4.00 | 4.00–4.00 | 0.50 | 1.00 | 250,000 | 2.00 | 1,234 | 5,678 | 0 |",
                "| 100 of 100 | nginx | 8.00 | 8.00–8.00 | 1.00 | 1.00 | 125,000 | 1.00 | 1,234 | 5,678 | 0 |",
                "| 100 of 100,000 | **httpd** | 6.00 | 6.00–6.00 |  | 1.50 | 166,667 |  | 1,234 | 5,678 | 0 |",
            ],
        );
    }

    #[test]
    fn names_faults_and_bottlenecks() {
        let at = |server| ("absent", "", server);
        let mut cells = vec![cell(at("httpd"), &[5.0]), Cell::at(at("nginx"))];
        if let Sample::Load { wrong, driver_busy, .. } = &mut cells[0].rounds[0].sample {
            wrong.insert(Fault::WrongStatus, 7);
            *driver_busy = 1.0;
        }
        cells[1].failures.push("round 1: a | b\nc".into());
        check(
            cells,
            &[
                "| **httpd** | 5.00 | 5.00–5.00 |  | ≥ 200,000 |  | 1,234 | 5,678 | **7** × wrong status |",
                "| nginx |  |  |  |  |  |  |  | **FAILED** round 1: a \\| b c |",
            ],
        );
    }

    #[test]
    fn describes_machine_and_servers() {
        let page = page(&results(Vec::new()));
        for words in
            ["2026-01-01T00:00:00Z", "a <fast> one", "3 rounds of 2 seconds", "| **httpd** | httpd 1 |"]
        {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(page.contains("Left out:\n\n- h2o: not installed\n"), "{page}");
    }
}
