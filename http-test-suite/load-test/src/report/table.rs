//! Tables of results, from one description as Markdown (for documents and the terminal) and as HTML. A table shows
//! medians of rounds; it never shows a number of a cell that failed.

use super::metric::{Metric, thousands, three_digits};
use super::results::{Cell, Results, Spread, SubjectLabel, WorkloadLabel};

/// The subjects to which all others are compared, if they took part: a server, and the least that any server does.
const REFERENCES: [&str; 2] = ["nginx", "bare-loop"];

/// What a table shows in place of a number that was not measured.
const NOTHING: &str = "–";

/// A table of texts with a row of headings, to be written as Markdown or HTML.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The headings of the columns; the first column has the titles of the rows.
    pub head: Vec<String>,
    /// The fields, row by row. The first of a row is a title, aligned to the left; numbers are aligned to the right.
    pub rows: Vec<Vec<Field>>,
}

/// A field of a [`Table`]: what stands in one column of one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// The first line: a number or a title.
    pub text: String,
    /// A second line in small letters, or `""`.
    pub note: String,
    /// Whether the first line is bold, as for programs of this project.
    pub is_bold: bool,
}

/// A metric of one workload with one number of connections: a row of a table with a column for each subject.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The text in the first column of the row.
    pub title: String,
    /// The [`WorkloadLabel::id`] of the workload.
    pub workload: &'a str,
    /// The number of connections: [`Cell::connections`].
    pub connections: usize,
    /// The metric that the row shows.
    pub metric: Metric,
}

/// Writes the conditions of each run, and a table for each workload, with headings, as Markdown.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    for run in results.runs.values() {
        let (load, cpus) = (run.load_before, results.machine.cpus);
        text += &format!("{}; load average before the run {load:.2} on {cpus} CPUs.\n\n", run.conditions());
        for WorkloadLabel { id, title, description, metrics, .. } in results.measured(run) {
            let table = Table::of_workload(results, id, metrics).markdown();
            text += &format!("## {title}\n\n`{id}`: {description}\n\n{table}\n");
        }
        text.extend(run.left_out.iter().map(|reason| format!("Left out: {reason}\n")));
    }
    text
}

impl Table {
    /// Makes a table of a workload, with a row for each subject and number of connections: by connections, then by the
    /// first metric, the best first. The first metric is shown with its extremes, if there are several rounds, and its
    /// ratios to the reference subjects (nginx and the bare loop), unless it counts conformance cases.
    pub fn of_workload(results: &Results, workload: &str, metrics: &[Metric]) -> Table {
        let mut cells: Vec<&Cell> = results.of_workload(workload).collect();
        let first = metrics.first().copied().unwrap_or(Metric::Throughput);
        let sign = if first.more_is_better() { -1.0 } else { 1.0 };
        let cost = |cell: &Cell| cell.median(first).map_or(f64::INFINITY, |median| sign * median);
        cells.sort_by(|a, b| a.connections.cmp(&b.connections).then(cost(a).total_cmp(&cost(b))));
        let mut table = Table { head: Vec::new(), rows: vec![Vec::new(); cells.len()] };
        let mut add = |heading: &str, field: &dyn Fn(&Cell) -> Field| {
            table.head.push(heading.to_owned());
            table.rows.iter_mut().zip(&cells).for_each(|(row, cell)| row.push(field(cell)));
        };
        add("server", &|cell| results.subject(cell).map(Field::title).unwrap_or_default());
        if cells.iter().any(|cell| cell.connections != cells[0].connections) {
            add("connections", &|cell| thousands(cell.connections as f64).into());
        }
        for (index, metric) in metrics.iter().copied().enumerate() {
            add(metric.heading(), &|cell| value(cell, metric).into());
            if index == 0 && metric.total().is_none() {
                if cells.iter().any(|cell| cell.samples.len() > 1) {
                    add("min–max", &|cell| extremes(cell, metric).into());
                }
                for id in REFERENCES.into_iter().filter(|id| cells.iter().any(|cell| cell.subject == *id)) {
                    let base = |cell: &Cell| results.cell((workload, id, cell.connections));
                    let ratio = |cell: &Cell| Some(three_digits(cell.ratio(base(cell)?, metric)?.median));
                    add(&format!("÷ {id}"), &|cell| ratio(cell).unwrap_or(NOTHING.into()).into());
                }
            }
        }
        if cells.iter().any(|cell| !remarks(cell).is_empty()) {
            add("remarks", &|cell| remarks(cell).into());
        }
        table
    }

    /// Makes a table of these rows, with a column for each subject that has a cell in one of them. A note below a
    /// number says its ratio to `base` with the extremes of the rounds, if there is a base, else the extremes of the
    /// number itself.
    pub fn by_subject(results: &Results, rows: &[Row<'_>], subjects: &[&str], base: Option<&str>) -> Table {
        let is_measured = |row: &&Row<'_>| {
            let mut cells = subjects.iter().filter_map(|subject| row.cell(results, subject));
            cells.any(|cell| !cell.failures.is_empty() || cell.spread(row.metric).is_some())
        };
        let rows: Vec<&Row<'_>> = rows.iter().filter(is_measured).collect();
        let label = |id: &&str| results.subject(rows.iter().find_map(|row| row.cell(results, id))?);
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
        let mut table = Table { head: vec![String::new()], rows: Vec::new() };
        table.head.extend(subjects.iter().map(|subject| subject.title.clone()));
        for row in rows {
            let numbers = subjects.iter().map(|subject| field(row, subject));
            table.rows.push([row.title.as_str().into()].into_iter().chain(numbers).collect());
        }
        table
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
        let rule = |(column, width): (usize, &usize)| match column {
            0 => "-".repeat(*width),
            _ => format!("{}:", "-".repeat(width - 1)),
        };
        lines.insert(1, widths.iter().enumerate().map(rule).collect());
        let pad = |(column, text): (usize, &String)| match (column, widths[column]) {
            (0, width) => format!("| {text:width$} "),
            (_, width) => format!("| {text:>width$} "),
        };
        lines.iter().map(|line| line.iter().enumerate().map(pad).collect::<String>() + "|\n").collect()
    }

    /// Writes the table as HTML, inside an element that scrolls if the table is wider than the page.
    pub fn html(&self) -> String {
        let class = |column: usize| if column == 0 { "" } else { " class=\"number\"" };
        let head = |(column, text): (usize, &String)| {
            format!("<th scope=\"col\"{}>{}</th>", class(column), escape(text))
        };
        let field = |(column, Field { text, note, is_bold }): (usize, &Field)| {
            let (strong, end) = if *is_bold { ("<strong>", "</strong>") } else { ("", "") };
            let note = if note.is_empty() { "" } else { &format!("<br><small>{}</small>", escape(note)) };
            format!("<td{}>{strong}{}{end}{note}</td>", class(column), escape(text))
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
    /// The [`Cell`] of a subject in this row; `None` if it was not measured.
    pub fn cell<'r>(&self, results: &'r Results, subject: &str) -> Option<&'r Cell> {
        results.cell((self.workload, subject, self.connections))
    }
}

impl Field {
    /// The title of a subject, in bold if it is a program of this project.
    fn title(subject: &SubjectLabel) -> Field {
        Field { text: subject.title.clone(), note: String::new(), is_bold: subject.is_ours }
    }
}

impl<T: Into<String>> From<T> for Field {
    /// Makes a field with this text, not bold, and without a note.
    fn from(text: T) -> Field {
        Field { text: text.into(), ..Field::default() }
    }
}

/// The median of a metric without its unit, or `–`. A throughput that the load driver limited is marked with `≥`, and a
/// number of conformance cases is followed by their total.
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

/// The smallest and the largest value of a metric in the rounds of a cell, or `–`.
fn extremes(cell: &Cell, metric: Metric) -> String {
    let text = |spread: Spread| format!("{}–{}", metric.format(spread.low), metric.format(spread.high));
    cell.spread(metric).map_or(NOTHING.into(), text)
}

/// What was wrong with a cell: its faults, and whether the load driver was the bottleneck.
fn remarks(cell: &Cell) -> String {
    let bound = cell.is_driver_bound().then(|| "the driver was at its limit".to_owned());
    cell.faults().into_iter().chain(bound).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn writes_a_table_for_each_measured_workload() {
        let mut results = results();
        results.runs.remove("architectures");
        assert_eq!(markdown(&results), include_str!("../../tests/report/tables.md"));
    }
}
