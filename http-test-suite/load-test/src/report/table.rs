//! Tables of results, from one description as Markdown (for documents and the terminal) and as HTML. A table shows
//! medians of rounds; it never shows a number of a cell that failed.

use clap::ValueEnum;

use super::metric::{Metric, thousands, three_digits};
use super::results::{Cell, Results, Run, Spread, SubjectLabel, WorkloadLabel};

/// The subjects to which all others are compared, if they took part: a server, and the least that any server does.
pub const REFERENCES: [&str; 2] = ["nginx", "limit"];

/// What a table shows in place of a number that was not measured.
const NOTHING: &str = "–";

/// A table with a row of headings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The headings of the columns.
    pub head: Vec<String>,
    /// The fields, row by row.
    pub rows: Vec<Vec<Field>>,
    /// How many columns from the left hold words, which are aligned to the left; numbers are aligned to the right.
    pub words: usize,
}

/// What stands in one column of one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// The first line.
    pub text: String,
    /// A second line in small letters, or `""`.
    pub note: String,
    /// Whether the first line is bold.
    pub is_bold: bool,
}

/// A metric of one workload with one number of connections: a row of a table with a column for each subject.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// What the first column says.
    pub title: String,
    /// [`WorkloadLabel::id`].
    pub workload: &'a str,
    /// The number of connections; `None` for the largest that was measured.
    pub connections: Option<usize>,
    /// The metric that is shown.
    pub metric: Metric,
}

/// Makes the field of a column from the cell of a row.
type Column<'a> = Box<dyn Fn(&Cell) -> Field + 'a>;

/// Writes a table for each workload, with headings, as Markdown.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    for run in results.runs.values() {
        for workload in run.workloads.iter().filter(|label| results.of_workload(&label.id).next().is_some()) {
            let table = Table::of_workload(results, run, workload, &workload.metrics);
            text += &format!("## {}\n\n`{}`: {}\n\n", workload.title, workload.id, workload.description);
            text += &format!("{}\n", table.markdown());
        }
        for reason in &run.left_out {
            text += &format!("Left out: {reason}\n");
        }
    }
    text
}

impl Table {
    /// A row for each subject and number of connections of a workload, the best first. The first metric is shown with
    /// its extremes and its ratios to [`REFERENCES`], unless it counts conformance cases.
    pub fn of_workload(results: &Results, run: &Run, workload: &WorkloadLabel, metrics: &[Metric]) -> Table {
        let cells = in_order(results, workload);
        let took_part = |id: &&str| cells.iter().any(|cell| cell.subject == *id);
        let name = |cell: &Cell| run.subject(&cell.subject).map(Field::of_subject).unwrap_or_default();

        let mut columns: Vec<(String, Column<'_>)> = vec![("server".into(), Box::new(name))];
        if cells.iter().any(|cell| cell.connections != cells[0].connections) {
            columns.push(("connections".into(), Box::new(|cell| thousands(cell.connections as f64).into())));
        }
        for (index, metric) in metrics.iter().copied().enumerate() {
            columns.push((metric.heading(), Box::new(move |cell| value(cell, metric).into())));
            if index == 0 && metric.total().is_none() {
                columns.push(("min–max".into(), Box::new(move |cell| extremes(cell, metric).into())));
                for id in REFERENCES.into_iter().filter(took_part) {
                    let base = |cell: &Cell| results.cell((&cell.workload, id, cell.connections));
                    let ratio = move |cell: &Cell| Some(cell.ratio(base(cell)?, metric)?.median);
                    let ratio = move |cell: &Cell| ratio(cell).map_or(NOTHING.into(), three_digits).into();
                    columns.push((format!("÷ {id}"), Box::new(ratio)));
                }
            }
        }
        if cells.iter().any(|cell| !remark(cell).is_empty()) {
            columns.push(("remarks".into(), Box::new(|cell| remark(cell).into())));
        }
        let row = |cell: &&Cell| columns.iter().map(|(_, field)| field(cell)).collect();
        let rows = cells.iter().map(row).collect();
        Table { head: columns.iter().map(|(head, _)| head.clone()).collect(), rows, words: 1 }
    }

    /// A column for each of the subjects that has a cell in one of the rows. A note below a number says its ratio to
    /// `base` with the extremes of the rounds, if there is a base, else the extremes of the number itself.
    pub fn by_subject(results: &Results, rows: &[Row<'_>], subjects: &[&str], base: Option<&str>) -> Table {
        let is_measured = |row: &&Row<'_>| {
            let mut cells = subjects.iter().filter_map(|subject| row.cell(results, subject));
            cells.any(|cell| !cell.failures.is_empty() || cell.spread(row.metric).is_some())
        };
        let rows: Vec<&Row<'_>> = rows.iter().filter(is_measured).collect();
        let label = |id: &&str| {
            let row = rows.iter().find(|row| row.cell(results, id).is_some())?;
            results.run_of(row.workload)?.subject(id)
        };
        let subjects: Vec<&SubjectLabel> = subjects.iter().filter_map(label).collect();

        let field = |row: &Row<'_>, subject: &SubjectLabel| {
            let Some(cell) = row.cell(results, &subject.id) else { return Field::from(NOTHING) };
            let ratio = base.and_then(|base| cell.ratio(row.cell(results, base)?, row.metric));
            let note = match (base, ratio) {
                (None, _) if row.metric.total().is_none() => extremes(cell, row.metric),
                (Some(base), Some(Spread { low, median, high })) if base != subject.id => {
                    format!("{}× ({}–{})", three_digits(median), three_digits(low), three_digits(high))
                }
                _ => String::new(),
            };
            Field { text: value(cell, row.metric), note, is_bold: subject.is_ours }
        };
        let fields = |row: &&Row<'_>| {
            let numbers = subjects.iter().map(|subject| field(row, subject));
            [row.title.as_str().into()].into_iter().chain(numbers).collect()
        };
        let titles = subjects.iter().map(|subject| subject.title.clone());
        let head = [String::new()].into_iter().chain(titles).collect();
        Table { head, rows: rows.iter().map(fields).collect(), words: 1 }
    }

    /// Writes the table as Markdown, with columns of one width, and a line break before a note.
    pub fn markdown(&self) -> String {
        let text = |field: &Field| {
            let bold = if field.is_bold { "**" } else { "" };
            let note = if field.note.is_empty() { String::new() } else { format!("<br>{}", field.note) };
            format!("{bold}{}{bold}{note}", field.text).replace(['\n', '\r'], " ").replace('|', "\\|")
        };
        let mut lines = vec![self.head.clone()];
        lines.extend(self.rows.iter().map(|row| row.iter().map(text).collect()));
        let width =
            |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let rule = widths.iter().enumerate().map(|(column, width)| {
            if column < self.words { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
        });
        lines.insert(1, rule.collect());
        let pad = |(column, text): (usize, &String)| {
            let width = widths[column];
            if column < self.words { format!("| {text:width$} ") } else { format!("| {text:>width$} ") }
        };
        lines.iter().map(|line| line.iter().enumerate().map(pad).collect::<String>() + "|\n").collect()
    }

    /// Writes the table as HTML, inside an element that scrolls if the table is wider than the page.
    pub fn html(&self) -> String {
        let class = |column: usize| if column < self.words { "" } else { " class=\"number\"" };
        let head = |(column, text): (usize, &String)| {
            format!("<th scope=\"col\"{}>{}</th>", class(column), escape(text))
        };
        let field = |(column, field): (usize, &Field)| {
            let text = escape(&field.text);
            let text = if field.is_bold { format!("<strong>{text}</strong>") } else { text };
            let note = escape(&field.note);
            let note = if note.is_empty() { note } else { format!("<br><small>{note}</small>") };
            format!("<td{}>{text}{note}</td>", class(column))
        };
        let row = |row: &Vec<Field>| {
            format!("<tr>{}</tr>\n", row.iter().enumerate().map(field).collect::<String>())
        };
        format!(
            "<div class=\"table\">\n<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n</div>\n",
            self.head.iter().enumerate().map(head).collect::<String>(),
            self.rows.iter().map(row).collect::<String>()
        )
    }
}

impl Row<'_> {
    /// The cell of a subject in this row.
    pub fn cell<'r>(&self, results: &'r Results, subject: &str) -> Option<&'r Cell> {
        let is_wanted = |cell: &&Cell| {
            let connections = self.connections.unwrap_or(cell.connections);
            cell.key() == (self.workload, subject, connections)
        };
        results.cells.iter().filter(is_wanted).max_by_key(|cell| cell.connections)
    }
}

impl Field {
    /// The title of a subject, in bold if it is a program of this project.
    pub fn of_subject(subject: &SubjectLabel) -> Field {
        Field { text: subject.title.clone(), is_bold: subject.is_ours, ..Field::default() }
    }
}

/// Makes a plain field.
impl<T: Into<String>> From<T> for Field {
    fn from(text: T) -> Field {
        Field { text: text.into(), ..Field::default() }
    }
}

/// The cells of a workload by connections, then by its first metric, the best first; cells without numbers come last.
fn in_order<'r>(results: &'r Results, workload: &WorkloadLabel) -> Vec<&'r Cell> {
    let cost = |cell: &Cell| {
        let metric = *workload.metrics.first()?;
        let median = cell.median(metric)?;
        Some(if metric.more_is_better() { -median } else { median })
    };
    let cost = |cell: &Cell| cost(cell).unwrap_or(f64::INFINITY);
    let mut cells: Vec<&Cell> = results.cells.iter().filter(|cell| cell.workload == workload.id).collect();
    cells.sort_by(|a, b| a.connections.cmp(&b.connections).then(cost(a).total_cmp(&cost(b))));
    cells
}

/// The metrics that a cell of the workload has: first those of its label, then all others.
pub fn metrics_of(results: &Results, workload: &WorkloadLabel) -> Vec<Metric> {
    let mut metrics = workload.metrics.clone();
    for metric in Metric::value_variants() {
        let is_measured = results.of_workload(&workload.id).any(|cell| cell.median(*metric).is_some());
        if is_measured && !metrics.contains(metric) {
            metrics.push(*metric);
        }
    }
    metrics
}

/// The median of a metric without its unit, or `–`. A rate that the driver limited is marked with `≥`, and a number of
/// conformance cases is followed by their total.
pub fn value(cell: &Cell, metric: Metric) -> String {
    let Some(median) = cell.median(metric) else { return NOTHING.into() };
    let bound = if metric == Metric::Throughput && cell.is_driver_bound() { "≥ " } else { "" };
    let total = metric.total().and_then(|total| Some(format!(" of {}", total.format(cell.median(total)?))));
    format!("{bound}{}{}", metric.format(median), total.unwrap_or_default())
}

/// Escapes text for the content and the attributes of HTML and SVG.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The smallest and the largest value of a metric, or `–`.
fn extremes(cell: &Cell, metric: Metric) -> String {
    let text = |spread: Spread| format!("{}–{}", metric.format(spread.low), metric.format(spread.high));
    cell.spread(metric).map_or(NOTHING.into(), text)
}

/// What was wrong with a cell: failures, requests without a correct response, a driver that was the bottleneck.
fn remark(cell: &Cell) -> String {
    let failures = cell.failures.iter().map(|failure| format!("FAILED {failure}"));
    let wrong = cell.wrong().into_iter().map(|(fault, count)| format!("{count} × {fault}"));
    let bound = cell.is_driver_bound().then(|| "the driver was at its limit".to_owned());
    failures.chain(wrong).chain(bound).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{cell, cpu, results};
    use super::*;

    /// Compares the rows of the table of one workload, as Markdown with single spaces.
    fn check(workload: &str, cells: Vec<Cell>, expected: &[&str]) {
        let results = results(cells);
        let run = &results.runs["servers"];
        let label = run.workload(workload).unwrap();
        let table = Table::of_workload(&results, run, label, &label.metrics).markdown();
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let rows: Vec<String> = rows.filter(|row| !row.starts_with("| ---")).collect();
        assert_eq!(rows, expected, "{table}");
    }

    #[test]
    fn shows_the_best_first_with_spread_and_ratio() {
        let mut httpd = cpu("httpd", &[4.0, 5.0, 9.0]);
        for (sample, rate) in httpd.samples.iter_mut().zip([250_000.0, 200_000.0, 1234.0]) {
            sample.values.insert(Metric::Throughput, rate);
        }
        check(
            "keep-alive",
            // The ratios of the rounds are 0.5, 0.25 and 0.75.
            vec![cpu("nginx", &[8.0, 20.0, 12.0]), httpd],
            &[
                "| server | CPU per request, µs | min–max | ÷ nginx | requests/s |",
                "| **httpd** | 5.00 | 4.00–9.00 | 0.50 | 200,000 |",
                "| nginx | 12.0 | 8.00–20.0 | 1.00 | – |",
            ],
        );
    }

    #[test]
    fn shows_numbers_of_connections_in_order() {
        check(
            "crowd",
            vec![
                cell(("crowd", "httpd", 1000), Metric::Cpu, &[6.0]),
                cell(("crowd", "httpd", 64), Metric::Cpu, &[4.0]),
            ],
            &[
                "| server | connections | CPU per request, µs | min–max | 99th percentile of latency, ms |",
                "| **httpd** | 64 | 4.00 | 4.00–4.00 | – |",
                "| **httpd** | 1,000 | 6.00 | 6.00–6.00 | – |",
            ],
        );
    }

    #[test]
    fn names_failures_faults_and_bottlenecks() {
        let mut bound = cpu("httpd", &[5.0]);
        let values = [(Metric::Throughput, 1e6), (Metric::DriverBusy, 99.0), (Metric::Busy, 50.0)];
        bound.samples[0].values.extend(values);
        bound.samples[0].wrong.insert("wrong status".into(), 7);
        let failed = Cell { failures: vec!["round 1: a | b\nc".into()], ..cpu("nginx", &[1.0]) };
        check(
            "keep-alive",
            vec![failed, bound],
            &[
                "| server | CPU per request, µs | min–max | ÷ nginx | requests/s | remarks |",
                "| **httpd** | 5.00 | 5.00–5.00 | – | ≥ 1,000,000 | 7 × wrong status; the driver was at its limit |",
                "| nginx | – | – | – | – | FAILED round 1: a \\| b c |",
            ],
        );
    }

    #[test]
    fn compares_subjects_side_by_side() {
        let mut must = cell(("crowd", "httpd", 1), Metric::MustMet, &[80.0]);
        must.samples[0].values.insert(Metric::MustTotal, 87.0);
        let (httpd, nginx) = (cpu("httpd", &[4.0, 5.0, 9.0]), cpu("nginx", &[8.0, 20.0, 12.0]));
        let results = results(vec![httpd, nginx, must]);
        let row = |(workload, metric)| Row { title: "row".into(), workload, connections: None, metric };
        let rows =
            [("keep-alive", Metric::Cpu), ("crowd", Metric::MustMet), ("absent", Metric::Cpu)].map(row);
        let table = Table::by_subject(&results, &rows, &["nginx", "httpd", "h2o"], Some("nginx"));
        let expected = "\
            | row |  12.0 | **5.00**<br>0.50× (0.25–0.75) |\n\
            | row |     – |                  **80 of 87** |\n";
        let markdown = table.markdown();
        assert_eq!(markdown.lines().skip(2).map(|line| line.to_owned() + "\n").collect::<String>(), expected);
        let html = table.html();
        assert!(html.contains("<strong>5.00</strong><br><small>0.50× (0.25–0.75)</small></td>"), "{html}");
        assert!(html.contains("<tr><td>row</td>"), "{html}");

        let table = Table::by_subject(&results, &rows[..1], &["httpd"], None);
        assert_eq!(table.rows[0][1], Field { text: "5.00".into(), note: "4.00–9.00".into(), is_bold: true });
    }

    #[test]
    fn writes_a_block_for_each_workload() {
        let text = markdown(&results(vec![cpu("httpd", &[4.0])]));
        let start = "## Title of keep-alive\n\n`keep-alive`: Clients do keep-alive.\n\n| server    |";
        assert!(text.starts_with(start), "{text}");
        assert!(!text.contains("crowd") && text.ends_with("\nLeft out: h2o: not installed\n"), "{text}");
    }

    #[test]
    fn lists_the_metrics_of_the_label_first() {
        let mut cell = cpu("httpd", &[4.0]);
        cell.samples[0].values.extend([(Metric::Threads, 3.0), (Metric::P50, 1.0)]);
        let results = results(vec![cell]);
        let label = results.runs["servers"].workload("keep-alive").unwrap();
        let expected = [Metric::Cpu, Metric::Throughput, Metric::P50, Metric::Threads];
        assert_eq!(metrics_of(&results, label), expected);
    }

    #[test]
    fn escapes_markup() {
        assert_eq!(escape("a <b> & \"c\""), "a &lt;b&gt; &amp; &quot;c&quot;");
    }
}
