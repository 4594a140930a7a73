//! Makes charts from results: what stands in which panel. `plot` draws them.

use super::metric::Metric;
use super::plot::{Chart, Marks, Panel, Point, Series, WIDE};
use super::results::{Cell, Results, Run, SubjectLabel, WorkloadLabel};
use super::table::{Row, value};

/// A chart of one workload with a panel for each metric of its label; `None` if there are no numbers. Panels have lines
/// if there are several numbers of connections, else bars.
pub fn of_workload(results: &Results, run: &Run, workload: &WorkloadLabel) -> Option<Chart> {
    let cells: Vec<&Cell> = results.of_workload(&workload.id).collect();
    let is_swept = cells.iter().any(|cell| cell.connections != cells[0].connections);
    let panel = |metric: &Metric| {
        let better = if metric.more_is_better() { "more is better" } else { "less is better" };
        let marks = if is_swept { Marks::Lines } else { Marks::Bars };
        panel(format!("{}; {better}", metric.heading()), marks, series(run, &cells, *metric))
    };
    let panels = workload.metrics.iter().filter_map(panel).collect();
    chart(&workload.title, workload.description.clone(), WIDE, panels)
}

/// A chart with bars for some subjects and a panel for each row, headed by the title of the row.
pub fn of_rows(
    results: &Results,
    title: &str,
    rows: &[Row<'_>],
    subjects: &[&str],
    width: f64,
) -> Option<Chart> {
    let panel = |row: &Row<'_>| {
        let run = results.run_of(row.workload)?;
        let cells: Vec<&Cell> = subjects.iter().filter_map(|subject| row.cell(results, subject)).collect();
        panel(row.title.clone(), Marks::Bars, series(run, &cells, row.metric))
    };
    let headings = rows.iter().map(|row| row.title.as_str()).collect::<Vec<_>>().join("; ");
    let description = format!("Bars for {headings}. A line on a bar shows the extremes of the rounds.");
    chart(title, description, width, rows.iter().filter_map(panel).collect())
}

/// A chart with a row for each workload: the ratio of some subjects to another one, by the metric of the row.
pub fn of_ratios(
    results: &Results,
    title: &str,
    rows: &[Row<'_>],
    subjects: &[&str],
    base: &str,
) -> Option<Chart> {
    let row = |row: &Row<'_>| {
        let run = results.run_of(row.workload)?;
        let base = row.cell(results, base)?;
        let dot = |subject: &&str| {
            let cell = results.cell((row.workload, subject, base.connections))?;
            let spread = cell.ratio(base, row.metric)?;
            let points = vec![Point { connections: cell.connections, spread, number: String::new() }];
            Some(Series { points, ..of_subject(run.subject(subject)?) })
        };
        let others = subjects.iter().filter(|subject| **subject != base.subject);
        let dots: Vec<Series> = others.filter_map(dot).collect();
        (!dots.is_empty()).then(|| (row.title.clone(), dots))
    };
    let heading = format!("CPU per request unless stated; {base} is the line at 1, less is better");
    let panel = panel(heading, Marks::Dots, rows.iter().filter_map(row).collect());
    let description = "A row for each workload. A ratio is the median of those of the rounds.".to_owned();
    chart(title, description, WIDE, panel.into_iter().collect())
}

/// A chart with these panels; `None` if there are none.
fn chart(title: &str, description: String, width: f64, panels: Vec<Panel>) -> Option<Chart> {
    (!panels.is_empty()).then(|| Chart { title: title.to_owned(), description, width, panels })
}

/// A panel with this data; `None` if there are no data.
fn panel<T>(heading: String, marks: fn(Vec<T>) -> Marks, data: Vec<T>) -> Option<Panel> {
    (!data.is_empty()).then(|| Panel { heading, marks: marks(data) })
}

/// The values of each subject that has the metric, in the order of the labels.
fn series(run: &Run, cells: &[&Cell], metric: Metric) -> Vec<Series> {
    let of_label = |label: &SubjectLabel| {
        let point = |cell: &&Cell| {
            let spread = cell.spread(metric)?;
            Some(Point { connections: cell.connections, spread, number: value(cell, metric) })
        };
        let own = cells.iter().filter(|cell| cell.subject == label.id);
        let mut points: Vec<Point> = own.filter_map(point).collect();
        points.sort_by_key(|point| point.connections);
        Series { points, ..of_subject(label) }
    };
    run.subjects.iter().map(of_label).filter(|series| !series.points.is_empty()).collect()
}

/// A series of a subject without values.
fn of_subject(label: &SubjectLabel) -> Series {
    Series { name: label.title.clone(), colour: label.colour, is_bold: label.is_ours, points: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::results::Spread;
    use super::super::results::tests::{cell, cpu, results};
    use super::*;

    fn chart_of(results: &Results, workload: &str) -> Option<Chart> {
        let run = &results.runs["servers"];
        of_workload(results, run, run.workload(workload).unwrap())
    }

    fn row(workload: &'static str, metric: Metric) -> Row<'static> {
        Row { title: format!("{workload} title"), workload, connections: None, metric }
    }

    #[test]
    fn one_number_of_connections_gives_bars() {
        let results = results(vec![cpu("nginx", &[8.0, 10.0, 12.0]), cpu("httpd", &[4.0, 5.0, 6.0])]);
        let chart = chart_of(&results, "keep-alive").unwrap();
        // Nothing has a throughput, so there is one panel.
        assert_eq!(chart.panels.len(), 1);
        assert_eq!(chart.panels[0].heading, "CPU per request, µs; less is better");
        let Marks::Bars(bars) = &chart.panels[0].marks else { panic!("{chart:?}") };
        let bars: Vec<_> = bars
            .iter()
            .map(|bar| (&*bar.name, &*bar.points[0].number, bar.points[0].spread.high, bar.is_bold))
            .collect();
        assert_eq!(bars, [("httpd", "5.00", 6.0, true), ("nginx", "10.0", 12.0, false)]);
    }

    #[test]
    fn several_numbers_of_connections_give_lines_without_failed_cells() {
        let at = |subject, connections, value| cell(("crowd", subject, connections), Metric::Cpu, &[value]);
        let failed = Cell { failures: vec!["no".into()], ..at("nginx", 64, 9.0) };
        let chart =
            chart_of(&results(vec![at("httpd", 1000, 7.0), at("httpd", 64, 5.0), failed]), "crowd").unwrap();
        let Marks::Lines(lines) = &chart.panels[0].marks else { panic!("{chart:?}") };
        assert_eq!((lines.len(), &*lines[0].name), (1, "httpd"));
        let points = lines[0].points.iter().map(|point| (point.connections, point.spread.median));
        assert_eq!(points.collect::<Vec<_>>(), [(64, 5.0), (1000, 7.0)]);
    }

    #[test]
    fn nothing_measured_gives_no_chart() {
        let failed = Cell { failures: vec!["no".into()], ..cell(("crowd", "httpd", 1), Metric::Cpu, &[1.0]) };
        let results = results(vec![failed]);
        assert_eq!((chart_of(&results, "crowd"), chart_of(&results, "keep-alive")), (None, None));
        let rows = [row("crowd", Metric::Cpu), row("keep-alive", Metric::Cpu), row("gone", Metric::Cpu)];
        assert_eq!(of_rows(&results, "title", &rows, &["httpd"], WIDE), None);
        assert_eq!(of_ratios(&results, "title", &rows, &["httpd"], "nginx"), None);
    }

    #[test]
    fn dots_show_ratios_of_the_same_rounds() {
        let results = results(vec![
            cpu("httpd", &[4.0, 5.0, 9.0]),
            cpu("nginx", &[8.0, 20.0, 12.0]),
            cell(("crowd", "httpd", 64), Metric::Cpu, &[1.0]),
        ]);
        let rows = [row("keep-alive", Metric::Cpu), row("crowd", Metric::Cpu)];
        let chart = of_ratios(&results, "title", &rows, &["httpd", "nginx"], "nginx").unwrap();
        let Marks::Dots(rows) = &chart.panels[0].marks else { panic!("{chart:?}") };
        let [(title, dots)] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((&**title, dots.len(), &*dots[0].name), ("keep-alive title", 1, "httpd"));
        assert_eq!(dots[0].points[0].spread, Spread { low: 0.25, median: 0.5, high: 0.75 });
    }
}
