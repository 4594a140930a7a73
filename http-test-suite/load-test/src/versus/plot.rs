//! Draws results as a picture: for each work and server a bar, with its cost relative to nginx. The SVG is written by
//! hand, so that it can follow the reader's choice of a light or dark theme.

use std::fmt::Write;

use super::results::{Cell, Number, Results};
use super::rivals::{Rival, Side};
use super::table::{REFERENCE, in_order};
use super::works::{self, Point, Work};
use crate::lab::metric::three_digits;
use crate::lab::results::Spread;

const STYLE: &str = include_str!("plot.css");

/// Panels side by side.
const COLUMNS: usize = 3;
/// Pixels of a panel, and between two.
const PANEL_WIDTH: f64 = 366.0;
const GAP: f64 = 28.0;
/// Pixels of a panel above its bars, of a bar with the space below it, and of the bar alone.
const PANEL_HEAD: f64 = 46.0;
const ROW: f64 = 20.0;
const BAR: f64 = 13.0;
/// Pixels from the left of a panel to its bars, and the longest bar.
const LABEL: f64 = 114.0;
const LONGEST: f64 = 144.0;
/// Where the numbers behind the bars end: the ratio, and the cost.
const RATIO: f64 = LABEL + LONGEST + 52.0;
const COST: f64 = RATIO + 50.0;
/// Pixels above all panels, and around everything.
const HEADER: f64 = 92.0;
const MARGIN: f64 = 24.0;
/// The longest bar, as a multiple of the reference's bar. A longer bar is drawn with a cut mark.
const CUT: f64 = 2.0;

/// The legend: the meaning of each CSS class.
const LEGEND: [(Side, &str, &str); 4] = [
    (Side::Ours, "ours", "this project"),
    (Side::Packaged, "packaged", "servers from Debian"),
    (Side::Library, "library", "libraries"),
    (Side::Limit, "limit", "the limit: the least that an epoll loop can do"),
];

/// A diagram of one work at one point.
struct Panel<'a> {
    results: &'a Results,
    work: &'static Work,
    point: &'static Point,
    /// The cells by cost; cells without numbers come last.
    cells: Vec<(&'a Cell, Option<Spread>)>,
    /// The cost of the reference; if it has none, half the largest cost.
    reference: f64,
    has_reference: bool,
}

/// Draws the picture.
pub fn svg(results: &Results) -> String {
    let panels: Vec<Panel<'_>> = works::ALL
        .iter()
        .flat_map(|work| work.points.iter().filter_map(|point| Panel::of(results, work, point)))
        .collect();
    let rows: Vec<&[Panel<'_>]> = panels.chunks(COLUMNS).collect();
    let width = 2.0 * MARGIN + COLUMNS as f64 * (PANEL_WIDTH + GAP) - GAP;
    let height = HEADER + rows.iter().map(|row| row_height(row)).sum::<f64>() + MARGIN / 2.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>What each server costs beside {REFERENCE}</title>\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    head(&mut svg, results);
    let mut y = HEADER;
    for row in rows {
        for (column, panel) in row.iter().enumerate() {
            let x = MARGIN + column as f64 * (PANEL_WIDTH + GAP);
            // Writing to a string cannot fail.
            let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
            panel.draw(&mut svg);
            svg.push_str("</g>\n");
        }
        y += row_height(row);
    }
    svg + "</svg>\n"
}

fn row_height(row: &[Panel<'_>]) -> f64 {
    let most = row.iter().map(|panel| panel.cells.len()).max().unwrap_or(0);
    PANEL_HEAD + most as f64 * ROW + GAP
}

fn head(svg: &mut String, results: &Results) {
    let machine = &results.machine;
    text(svg, (MARGIN, 34.0), "title", &format!("What each server costs beside {REFERENCE}"));
    let when = machine.date.split('T').next().unwrap_or_default();
    let rounds = results.settings.rounds;
    let plural = if rounds == 1 { "" } else { "s" };
    let how = format!(
        "shorter is better; dotted: {REFERENCE}; median and extremes of {rounds} round{plural}; ✗: not all answers were \
         right; {} × {}, {when}",
        machine.cpus, machine.cpu
    );
    text(svg, (MARGIN, 54.0), "note", &how);
    let mut x = MARGIN;
    for (_, class, meaning) in LEGEND {
        let _ = writeln!(
            svg,
            "<rect class=\"bar {class}\" x=\"{x}\" y=\"66\" width=\"13\" height=\"13\" rx=\"2\"/>"
        );
        text(svg, (x + 19.0, 77.0), "note", meaning);
        x += 44.0 + 6.6 * meaning.chars().count() as f64;
    }
}

impl<'a> Panel<'a> {
    /// The panel of a work at a point; `None` if there are no numbers.
    fn of(results: &'a Results, work: &'static Work, point: &'static Point) -> Option<Panel<'a>> {
        let here = in_order(results, work).into_iter().filter(|cell| cell.point == point.name);
        let cells: Vec<_> = here.map(|cell| (cell, cell.spread(Number::Cost))).collect();
        let most = cells.iter().filter_map(|(_, spread)| *spread).next_back()?.middle;
        let reference = cells.iter().find(|(cell, _)| cell.server == REFERENCE);
        let reference = reference.and_then(|(_, spread)| *spread).map(|spread| spread.middle);
        let has_reference = reference.is_some();
        Some(Panel { results, work, point, cells, reference: reference.unwrap_or(most / CUT), has_reference })
    }

    fn draw(&self, svg: &mut String) {
        let (cost, unit) = self.work.cost();
        let place = if self.point.name.is_empty() { String::new() } else { format!("{}: ", self.point.name) };
        text(svg, (0.0, 14.0), "name", self.work.title);
        text(svg, (0.0, 31.0), "note", &format!("{place}{cost}, {unit}"));
        let bottom = PANEL_HEAD + self.cells.len() as f64 * ROW;
        if self.has_reference {
            let x = LABEL + LONGEST / CUT;
            let top = PANEL_HEAD - 6.0;
            let _ = writeln!(
                svg,
                "<line class=\"reference\" x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\"/>"
            );
        }
        for (index, (cell, spread)) in self.cells.iter().enumerate() {
            self.row(svg, PANEL_HEAD + index as f64 * ROW, cell, *spread);
        }
    }

    /// Draws the row of a server: its name, its bar and its numbers.
    fn row(&self, svg: &mut String, y: f64, cell: &Cell, spread: Option<Spread>) {
        let side = Rival::named(&cell.server).map(|rival| rival.side);
        let class = LEGEND.iter().find(|(of, ..)| Some(*of) == side).map_or("library", |(_, class, _)| class);
        let baseline = y + BAR - 2.5;
        text(svg, (LABEL - 8.0, baseline), &format!("server {class}-name"), &cell.server);
        if let Some(spread) = spread {
            self.bar(svg, y, class, spread);
            text(svg, (COST, baseline), "cost", &three_digits(spread.middle));
        }
        if let Some(ratio) = self.results.ratio(cell, REFERENCE, Number::Cost) {
            text(svg, (RATIO, baseline), "ratio", &format!("{}×", three_digits(ratio.middle)));
        }
        if cell.wrong() > 0 || !cell.failures.is_empty() {
            text(svg, (COST + 3.0, baseline), "wrong", "✗");
        }
    }

    /// Draws a bar as long as the median, with a line from the smallest to the largest value; a bar that is too long is
    /// cut.
    fn bar(&self, svg: &mut String, y: f64, class: &str, spread: Spread) {
        let length = |value: f64| (value / self.reference).clamp(0.0, CUT) / CUT * LONGEST;
        let width = length(spread.middle);
        let _ = writeln!(
            svg,
            "<rect class=\"bar {class}\" x=\"{LABEL}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>"
        );
        let _ = if spread.middle > CUT * self.reference {
            let (x, bottom, up) = (LABEL + LONGEST - 14.0, y + BAR + 1.0, BAR + 2.0);
            writeln!(svg, "<path class=\"cut\" d=\"M{x} {bottom} l5 -{up} m0 {up} l5 -{up}\"/>")
        } else {
            let (from, to, y) = (LABEL + length(spread.low), LABEL + length(spread.high), y + BAR / 2.0);
            writeln!(svg, "<line class=\"spread\" x1=\"{from:.1}\" y1=\"{y}\" x2=\"{to:.1}\" y2=\"{y}\"/>")
        };
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::super::results::by_hand::{cell, results};
    use super::*;

    /// Draws cells of one work and returns the widths of its bars, top down, with their classes.
    fn check(costs: &[(&str, &[f64])], expected: &[(&str, f64)]) -> String {
        let cells = costs.iter().map(|(server, costs)| cell(("head", "", server), costs)).collect();
        let svg = svg(&results(cells));
        let value = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let bars = svg
            .lines()
            .filter(|line| line.contains("class=\"bar") && line.contains(&format!("x=\"{LABEL}\"")));
        let bars = bars.map(|line| (value(line, "class"), value(line, "width").parse::<f64>().unwrap()));
        let expected = expected.iter().map(|(class, width)| (format!("bar {class}"), *width));
        assert_eq!(bars.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{svg}");
        svg
    }

    #[test]
    fn bars_are_proportional_to_cost() {
        let svg = check(
            &[("nginx", &[10.0]), ("httpd", &[4.0, 5.0, 6.0]), ("hyper-dir", &[90.0])],
            &[("ours", LONGEST / 4.0), ("packaged", LONGEST / 2.0), ("library", LONGEST)],
        );
        // A value beyond the longest bar is cut.
        assert_eq!(svg.matches("class=\"cut\"").count(), 1);
        assert!(svg.contains("class=\"reference\"") && svg.contains("a &lt;fast> one"), "{svg}");
        for number in [">0.40×<", ">1.00×<", ">9.00×<", ">5.00<", ">10.0<", ">90.0<"] {
            assert!(svg.contains(number), "{number}: {svg}");
        }
    }

    #[test]
    fn scales_to_the_longest_bar_without_the_reference() {
        let svg =
            check(&[("h2o", &[8.0]), ("httpd", &[4.0])], &[("ours", LONGEST / 2.0), ("packaged", LONGEST)]);
        assert!(!svg.contains("×<") && !svg.contains("class=\"reference\""), "{svg}");
        check(&[("h2o", &[])], &[]);
    }

    #[test]
    fn shows_servers_that_failed() {
        let mut cells = vec![cell(("head", "", "h2o"), &[8.0]), cell(("head", "", "httpd"), &[])];
        cells[1].failures.push("round 1: no".into());
        let svg = svg(&results(cells));
        assert!(svg.contains(">httpd<") && svg.contains("class=\"wrong\""), "{svg}");
    }
}
