//! Makes charts from results: what stands in which panel. `plot` draws them. Without numbers there is no chart.

use super::metric::Metric;
use super::plot::{Marks, Panel, Point, WIDE, svg};
use super::results::{Cell, Results, Spread};
use super::table::{Row, value};

/// The SVG of a chart of one workload with a panel for each metric of its label. Panels have lines if there are several
/// numbers of connections, else bars.
pub fn of_workload(results: &Results, id: &str) -> Option<String> {
    let (run, workload) = results.workload(id)?;
    let mut cells: Vec<&Cell> = results.of_workload(id).collect();
    let place = |cell: &Cell| run.subjects.iter().position(|label| label.id == cell.subject);
    cells.sort_by_key(|cell| (place(cell), cell.connections));
    let is_swept = cells.iter().any(|cell| cell.connections != cells[0].connections);
    let marks = if is_swept { Marks::Lines } else { Marks::Bars };
    let panel = |metric: &Metric| {
        let better = if metric.more_is_better() { "more is better" } else { "less is better" };
        let points = cells.iter().filter_map(|cell| point(results, "", cell, *metric, cell.spread(*metric)));
        Panel { heading: format!("{}; {better}", metric.heading()), marks, points: points.collect() }
    };
    let panels = workload.metrics.iter().map(panel).collect();
    svg(&workload.title, &workload.description, WIDE, panels)
}

/// The SVG of a chart with bars for some subjects and a panel for each row, headed by the title of the row.
pub fn of_rows(
    results: &Results,
    title: &str,
    rows: &[Row<'_>],
    subjects: &[&str],
    width: f64,
) -> Option<String> {
    let panel = |row: &Row<'_>| {
        let cells = subjects.iter().filter_map(|subject| row.cell(results, subject));
        let points = cells.filter_map(|cell| point(results, "", cell, row.metric, cell.spread(row.metric)));
        Panel { heading: row.title.clone(), marks: Marks::Bars, points: points.collect() }
    };
    let headings = rows.iter().map(|row| row.title.as_str()).collect::<Vec<_>>().join("; ");
    let description = format!("Bars for {headings}. A line on a bar shows the extremes of the rounds.");
    svg(title, &description, width, rows.iter().map(panel).collect())
}

/// The SVG of a chart with a row of dots for each row: the ratios of some subjects to another one, by the metric of the row.
pub fn of_ratios(
    results: &Results,
    title: &str,
    rows: &[Row<'_>],
    subjects: &[&str],
    base: &str,
) -> Option<String> {
    let mut points = Vec::new();
    for row in rows {
        let others = subjects.iter().filter(|subject| **subject != base);
        let cells = others.filter_map(|subject| row.cell(results, subject));
        let ratio = |cell: &Cell| cell.ratio(row.cell(results, base)?, row.metric);
        points.extend(cells.filter_map(|cell| point(results, &row.title, cell, row.metric, ratio(cell))));
    }
    let heading = format!("CPU per request unless stated; {base} is the line at 1, less is better");
    let description = "A row for each workload. A ratio is the median of those of the rounds.";
    svg(title, description, WIDE, vec![Panel { heading, marks: Marks::Dots, points }])
}

/// A point for a cell; `None` if there is no spread.
fn point<'r>(
    results: &'r Results,
    row: &'r str,
    cell: &Cell,
    metric: Metric,
    spread: Option<Spread>,
) -> Option<Point<'r>> {
    let (subject, number) = (results.subject(cell)?, value(cell, metric));
    Some(Point { row, subject, connections: cell.connections, spread: spread?, number })
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn points_stand_in_order_and_failed_cells_have_none() {
        let svg = of_workload(&results(), "crowd").unwrap();
        let first = svg.lines().find(|line| line.starts_with("<polyline class=\"blue")).unwrap();
        let x: Vec<f64> =
            first.split(['"', ' ']).filter_map(|point| point.split_once(',')?.0.parse().ok()).collect();
        assert!(x.len() == 2 && x[0] < x[1] && svg.find(">httpd<") < svg.find(">nginx<"), "{svg}");
        let svg = of_workload(&results(), "keep-alive").unwrap();
        for text in [">CPU per request, µs; less is better<", ">requests/s; more is better<", ">≥ 110,000<"]
        {
            assert!(svg.contains(text) && !svg.contains("h2o"), "{text}: {svg}");
        }
    }

    #[test]
    fn dots_are_ratios_to_the_base_which_has_none() {
        let row = |workload: &'static str| Row {
            title: workload.to_owned(),
            workload,
            connections: 64,
            metric: Metric::Cpu,
        };
        let rows = ["keep-alive", "crowd"].map(row);
        let svg = of_ratios(&results(), "title", &rows, &["httpd", "nginx", "h2o"], "nginx").unwrap();
        let texts = [">httpd<", ">nginx<", ">h2o<", ">keep-alive<", ">crowd<"].map(|text| svg.contains(text));
        assert_eq!(texts, [true, false, false, true, false], "{svg}");
    }
}
