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

/// The SVG of a chart with a row of dots for each row: the ratios of some subjects to `base`, by the metric of the
/// row.
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

/// A point of a chart for a cell and its spread of a metric; `None` if there is no spread.
fn point<'r>(
    results: &'r Results,
    row_title: &'r str,
    cell: &Cell,
    metric: Metric,
    spread: Option<Spread>,
) -> Option<Point<'r>> {
    let (subject, number) = (results.subject(cell)?, value(cell, metric));
    Some(Point { row_title, subject, connections: cell.connections, spread: spread?, number })
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{cell, results};
    use super::*;

    /// The numbers of an attribute of all elements with this start, in order.
    fn numbers(svg: &str, element: &str, name: &str) -> Vec<f64> {
        let elements = svg.lines().filter(|line| line.starts_with(element));
        let values = elements.map(|line| line.split_once(&format!(" {name}=\"")).unwrap().1);
        let values = values.flat_map(|value| value.split('"').next().unwrap().split([' ', ',']));
        values.map(|number| number.parse().unwrap()).collect()
    }

    #[test]
    fn bars_are_proportional_to_the_values() {
        let svg = of_workload(&results(), "ab").unwrap();
        let [httpd, nginx] =
            ["blue", "grey"].map(|colour| numbers(&svg, &format!("<rect class=\"{colour}\""), "width"));
        assert!((nginx[0] / httpd[0] - 0.8).abs() < 0.01, "{svg}");
        assert_eq!(nginx[1], 1.0, "an empty bar is still seen");
        assert!(!svg.contains("<circle"), "bars name themselves, so there is no legend: {svg}");
        let svg = of_workload(&results(), "keep-alive").unwrap();
        let headings = [">CPU per request, µs; less is better<", ">requests/s; more is better<"];
        for text in headings.iter().chain(&["class=\"end bold\"", ">httpd<", ">≥ 110,000<"]) {
            assert!(svg.contains(text) && !svg.contains("h2o"), "{text}: {svg}");
        }
    }

    #[test]
    fn a_line_has_its_points_in_order_and_an_entry_in_the_legend() {
        let mut results = results();
        results.runs.get_mut("servers").unwrap().workloads[1].title = "a < b".into();
        let svg = of_workload(&results, "crowd").unwrap();
        let [httpd, nginx] =
            ["blue", "grey"].map(|colour| numbers(&svg, &format!("<polyline class=\"{colour}"), "points"));
        let [x64, y64, x1000, y1000] = httpd[..4] else { panic!("{svg}") };
        assert!(x64 < x1000 && x1000 == nginx[0], "{svg}");
        // The values are 5.5, 6.5 and 13.0. A larger one is higher up, where y is less.
        assert!(y64 > y1000 && ((y1000 - nginx[1]) / (y64 - y1000) - 6.5).abs() < 0.2, "{svg}");
        assert_eq!(
            numbers(&svg, "<circle", "r").len(),
            2 + 2 * 3,
            "the legend, and two panels of three dots"
        );
        assert!(svg.find(">httpd<") < svg.find(">nginx<"), "{svg}");
        for text in ["<title>a &lt; b</title>\n<desc>Clients do crowd.", ">1000<", ">connections<"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }

    #[test]
    fn dots_lie_left_and_right_of_the_line_at_one() {
        let mut results = results();
        let twice = Cell { subject: "h2o".into(), connections: 1000, ..cell(Metric::Cpu, &[26.0]) };
        results.cells.push(twice);
        let row = |(workload, connections): (&'static str, usize)| Row {
            title: workload.to_owned(),
            workload,
            connections,
            metric: Metric::Cpu,
        };
        let rows = [("keep-alive", 64), ("crowd", 1000)].map(row);
        let svg = of_ratios(&results, "title", &rows, &["httpd", "nginx", "h2o"], "nginx").unwrap();
        let one = numbers(&svg, "<line class=\"one\"", "x1")[0];
        // The first circles are the legend; the last dot of a row is drawn first.
        let (x, y) = (&numbers(&svg, "<circle", "cx")[2..], &numbers(&svg, "<circle", "cy")[2..]);
        assert!(x[0] < one && x[0] == x[2] && (x[1] - one - (one - x[0])).abs() < 0.2, "{svg}");
        assert!(y[0] < y[1] && y[1] == y[2], "{svg}");
        assert!(svg.contains(">crowd<") && !svg.contains(">nginx<"), "{svg}");
    }
}
