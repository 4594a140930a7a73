//! Makes charts from results: what stands in which panel. `plot` draws them.

use super::metric::Metric;
use super::plot::{Bar, Chart, DotRow, Line, Marks, Panel, WIDE};
use super::results::{Cell, Results, Run, Spread, SubjectLabel, WorkloadLabel};
use super::table::{Row, value};

/// A chart of one workload with a panel for each metric of its label; `None` if there are no numbers. Panels have lines
/// if there are several numbers of connections, else bars.
pub fn of_workload(results: &Results, run: &Run, workload: &WorkloadLabel) -> Option<Chart> {
    let cells: Vec<&Cell> = results.of_workload(&workload.id).collect();
    let is_swept = cells.iter().any(|cell| cell.connections != cells[0].connections);
    let panel = |metric: &Metric| {
        let marks = if is_swept { lines(run, &cells, *metric) } else { bars(run, &cells, *metric) };
        let better = if metric.more_is_better() { "more is better" } else { "less is better" };
        Some(Panel { heading: format!("{}; {better}", metric.heading()), marks: marks? })
    };
    let panels: Vec<Panel> = workload.metrics.iter().filter_map(panel).collect();
    let (title, description) = (workload.title.clone(), workload.description.clone());
    (!panels.is_empty()).then_some(Chart { title, description, width: WIDE, panels })
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
        Some(Panel { heading: row.title.clone(), marks: bars(run, &cells, row.metric)? })
    };
    let panels: Vec<Panel> = rows.iter().filter_map(panel).collect();
    let headings: Vec<&str> = panels.iter().map(|panel| panel.heading.as_str()).collect();
    let description =
        format!("Bars for {}. A line on a bar shows the extremes of the rounds.", headings.join("; "));
    (!panels.is_empty()).then(|| Chart { title: title.to_owned(), description, width, panels })
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
            let label = run.subject(subject)?;
            Some((label.title.clone(), label.colour, cell.ratio(base, row.metric)?))
        };
        let dots: Vec<_> =
            subjects.iter().filter(|subject| **subject != base.subject).filter_map(dot).collect();
        (!dots.is_empty()).then(|| DotRow { title: row.title.clone(), dots })
    };
    let rows: Vec<DotRow> = rows.iter().filter_map(row).collect();
    let heading = format!("CPU per request unless stated; {base} is the line at 1, less is better");
    let description =
        format!("{} workloads. Each ratio is a median of rounds, with the extremes.", rows.len());
    let panels = vec![Panel { heading, marks: Marks::Dots(rows.clone()) }];
    (!rows.is_empty()).then(|| Chart { title: title.to_owned(), description, width: WIDE, panels })
}

/// A bar for each cell that has the metric, in the order of the subjects' labels.
fn bars(run: &Run, cells: &[&Cell], metric: Metric) -> Option<Marks> {
    let bar = |label: &SubjectLabel| {
        let cell = cells.iter().find(|cell| cell.subject == label.id)?;
        let (name, spread, number) = (label.title.clone(), cell.spread(metric)?, value(cell, metric));
        Some(Bar { name, colour: label.colour, spread, number, is_bold: label.is_ours })
    };
    let bars: Vec<Bar> = run.subjects.iter().filter_map(bar).collect();
    (!bars.is_empty()).then_some(Marks::Bars(bars))
}

/// A line for each subject that has the metric.
fn lines(run: &Run, cells: &[&Cell], metric: Metric) -> Option<Marks> {
    let line = |label: &SubjectLabel| {
        let own = cells.iter().filter(|cell| cell.subject == label.id);
        let mut points: Vec<(usize, Spread)> =
            own.filter_map(|cell| Some((cell.connections, cell.spread(metric)?))).collect();
        points.sort_by_key(|(connections, _)| *connections);
        (!points.is_empty()).then(|| Line { name: label.title.clone(), colour: label.colour, points })
    };
    let lines: Vec<Line> = run.subjects.iter().filter_map(line).collect();
    (!lines.is_empty()).then_some(Marks::Lines(lines))
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{cell, cpu, results};
    use super::*;

    fn chart(results: &Results, workload: &str) -> Option<Chart> {
        let run = &results.runs["servers"];
        of_workload(results, run, run.workload(workload).unwrap())
    }

    fn row(workload: &'static str, metric: Metric) -> Row<'static> {
        Row { title: format!("{workload} title"), workload, connections: None, metric }
    }

    #[test]
    fn one_number_of_connections_gives_bars() {
        let results = results(vec![cpu("nginx", &[8.0, 10.0, 12.0]), cpu("httpd", &[4.0, 5.0, 6.0])]);
        let chart = chart(&results, "keep-alive").unwrap();
        // Nothing has a throughput, so there is one panel.
        assert_eq!(chart.panels.len(), 1);
        assert_eq!(chart.panels[0].heading, "CPU per request, µs; less is better");
        let Marks::Bars(bars) = &chart.panels[0].marks else { panic!("{chart:?}") };
        let bars: Vec<_> =
            bars.iter().map(|bar| (&*bar.name, &*bar.number, bar.spread.high, bar.is_bold)).collect();
        assert_eq!(bars, [("httpd", "5.00", 6.0, true), ("nginx", "10.0", 12.0, false)]);
    }

    #[test]
    fn several_numbers_of_connections_give_lines_without_failed_cells() {
        let at = |subject, connections, value| cell(("crowd", subject, connections), Metric::Cpu, &[value]);
        let failed = Cell { failures: vec!["no".into()], ..at("nginx", 64, 9.0) };
        let chart =
            chart(&results(vec![at("httpd", 1000, 7.0), at("httpd", 64, 5.0), failed]), "crowd").unwrap();
        let Marks::Lines(lines) = &chart.panels[0].marks else { panic!("{chart:?}") };
        assert_eq!((lines.len(), &*lines[0].name), (1, "httpd"));
        let points = lines[0].points.iter().map(|(connections, spread)| (*connections, spread.median));
        assert_eq!(points.collect::<Vec<_>>(), [(64, 5.0), (1000, 7.0)]);
    }

    #[test]
    fn nothing_measured_gives_no_chart() {
        let failed = Cell { failures: vec!["no".into()], ..cell(("crowd", "httpd", 1), Metric::Cpu, &[1.0]) };
        let results = results(vec![failed]);
        assert_eq!((chart(&results, "crowd"), chart(&results, "keep-alive")), (None, None));
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
        let spread = Spread { low: 0.25, median: 0.5, high: 0.75 };
        let dots = vec![("httpd".to_owned(), crate::report::Colour::Blue, spread)];
        assert_eq!(*rows, [DotRow { title: "keep-alive title".into(), dots }]);
    }
}
