//! Draws charts as SVG with bars, lines or dots, for phones as well: text has at least 12 pixels, and panels stand one
//! below the other. The style sheet is in the picture, so that it follows the reader's choice of a dark theme.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::axis::{Axis, label};
use super::results::{Colour, Spread};
use super::table::escape;

/// The style sheet of all charts. Its rules apply only inside an element of the class `chart`.
pub const STYLE: &str = include_str!("plot.css");

/// The width of a chart that stands alone, in pixels: a phone shows it unscaled.
pub const WIDE: f64 = 420.0;
/// The width of a chart of which three stand side by side on a desktop, in pixels.
pub const NARROW: f64 = 270.0;

/// Pixels around the contents.
const MARGIN: f64 = 12.0;
/// The average width of a character, as a share of the font size.
const CHARACTER: f64 = 0.6;
/// The font size of all text but the title.
const SMALL: f64 = 12.0;
/// The font size of the title.
const LARGE: f64 = 15.0;
/// The distance from one bar to the next.
const BAR_ROW: f64 = 24.0;
/// The thickness of a bar.
const BAR: f64 = 14.0;
/// The height of the plot area of a panel with lines.
const LINES: f64 = 130.0;
/// The distance between two rows of dots.
const DOT_ROW: f64 = 34.0;

/// A picture: a title, a legend if colours need one, and panels one below the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// The title, also for readers who hear it.
    pub title: String,
    /// What the chart shows, in sentences; only for readers who hear it.
    pub description: String,
    /// The width in pixels.
    pub width: f64,
    /// The diagrams.
    pub panels: Vec<Panel>,
}

/// One diagram of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What its numbers are, with the unit.
    pub heading: String,
    /// The data.
    pub marks: Marks,
}

/// The data of a diagram, and how it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Marks {
    /// A horizontal bar from 0 for each point, with the name of the series and the number.
    Bars(Vec<Series>),
    /// A line for each series over the number of connections.
    Lines(Vec<Series>),
    /// Rows of dots on one logarithmic scale of ratios, with a line at 1. Each row has a title and its series.
    Dots(Vec<(String, Vec<Series>)>),
}

/// The values of one subject in a diagram.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The name in the legend or before the bar.
    pub name: String,
    /// The colour of bars, lines and dots.
    pub colour: Colour,
    /// Whether the name before a bar is bold.
    pub is_bold: bool,
    /// The values by number of connections, ascending.
    pub points: Vec<Point>,
}

/// A value of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The number of connections.
    pub connections: usize,
    /// The median and the extremes of the rounds.
    pub spread: Spread,
    /// The median as text, which stands behind a bar.
    pub number: String,
}

/// A picture while it is drawn from the top down.
struct Canvas {
    svg: String,
    width: f64,
    /// Where the next thing is drawn.
    y: f64,
}

impl Chart {
    /// Draws the chart as an SVG document, which can also stand in an HTML page.
    pub fn svg(&self) -> String {
        let mut canvas = Canvas { svg: String::new(), width: self.width, y: MARGIN };
        for line in wrap(&self.title, canvas.characters(LARGE)) {
            canvas.line_of_text("title", LARGE, &line);
        }
        canvas.legend(&self.legend());
        for panel in &self.panels {
            canvas.panel(panel);
        }
        let (width, height) = (self.width, (canvas.y + MARGIN).round());
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n<style>\n{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
            escape(&self.title),
            escape(&self.description),
            canvas.svg
        )
    }

    /// The names and colours that the panels do not explain themselves.
    fn legend(&self) -> Vec<(&str, Colour)> {
        let mut legend: Vec<(&str, Colour)> = Vec::new();
        for panel in &self.panels {
            let series: Vec<&Series> = match &panel.marks {
                Marks::Bars(_) => Vec::new(),
                Marks::Lines(lines) => lines.iter().collect(),
                Marks::Dots(rows) => rows.iter().flat_map(|(_, series)| series).collect(),
            };
            for Series { name, colour, .. } in series {
                if !legend.contains(&(name, *colour)) {
                    legend.push((name, *colour));
                }
            }
        }
        legend
    }
}

impl Canvas {
    /// Draws a panel with its heading below what is there, and moves down.
    fn panel(&mut self, panel: &Panel) {
        self.y += 8.0;
        for line in wrap(&panel.heading, self.characters(SMALL)) {
            self.line_of_text("heading", SMALL, &line);
        }
        match &panel.marks {
            Marks::Bars(bars) => self.bars(bars),
            Marks::Lines(lines) => self.lines(lines),
            Marks::Dots(rows) => self.dots(rows),
        }
    }

    /// Draws bars with names on their left and numbers on their right.
    fn bars(&mut self, series: &[Series]) {
        let bars = || series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)));
        let longest_name = series.iter().map(|series| width_of(&series.name)).fold(0.0, f64::max);
        let longest_number = bars().map(|(_, point)| width_of(&point.number)).fold(0.0, f64::max);
        let (left, right) = (MARGIN + longest_name + 8.0, self.width - MARGIN - longest_number - 8.0);
        let highest = bars().map(|(_, point)| point.spread.high).fold(0.0, f64::max);
        let share = |value: f64| if highest > 0.0 { value.max(0.0) / highest } else { 0.0 };
        let x = |value: f64| left + share(value) * (right - left);
        self.y += 6.0;
        for (Series { name, colour, is_bold, .. }, Point { spread, number, .. }) in bars() {
            let (top, baseline) = (self.y, self.y + BAR - 3.0);
            let bold = if *is_bold { "bold" } else { "" };
            self.text(left - 8.0, baseline, format!("end {bold}").trim_end(), name);
            // A bar of no length at all would look like a missing one.
            let width = (x(spread.median) - left).max(1.0);
            self.draw(format_args!(
                "<rect class=\"{}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR}\"/>",
                class_of(*colour)
            ));
            let (low, high, middle) = (x(spread.low), x(spread.high), top + BAR / 2.0);
            self.segment("spread", (low, middle), (high, middle));
            self.text(high.max(left + width) + 6.0, baseline, bold, number);
            self.y += BAR_ROW;
        }
    }

    /// Draws axes, grid, lines, and whiskers for the spread.
    fn lines(&mut self, lines: &[Series]) {
        let points = || lines.iter().flat_map(|line| &line.points);
        let connections: BTreeSet<usize> = points().map(|point| point.connections).collect();
        let connections: Vec<usize> = connections.into_iter().collect();
        let across = Axis::at(&connections);
        let up = Axis::fitting(&points().map(|point| point.spread).collect::<Vec<_>>());

        let left = MARGIN + up.ticks.iter().map(|tick| width_of(&label(*tick))).fold(0.0, f64::max) + 8.0;
        let (top, right) = (self.y + 8.0, self.width - MARGIN);
        let bottom = top + LINES;
        let x = |connections: usize| across.position(connections as f64, (left, right));
        let y = |value: f64| up.position(value, (bottom, top));
        let mut lowest_label = f64::INFINITY;
        for tick in &up.ticks {
            let height = y(*tick);
            self.segment("grid", (left, height), (right, height));
            if lowest_label - height >= SMALL + 2.0 {
                self.text(left - 6.0, height + 4.0, "end", &label(*tick));
                lowest_label = height;
            }
        }
        for connections in connections {
            self.text(x(connections), bottom + 16.0, "middle", &label(connections as f64));
        }
        self.text(right, bottom + 31.0, "note end", "connections");
        for line in lines {
            let class = class_of(line.colour);
            let at = |point: &Point| (x(point.connections), y(point.spread.median));
            let path = line.points.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>();
            self.draw(format_args!("<polyline class=\"{class} line\" points=\"{}\"/>", path.join(" ")));
            for point in &line.points {
                let (x, median) = at(point);
                let ends = [point.spread.low, point.spread.high].map(|value| (x, y(value)));
                self.segment(&format!("{class} whisker"), ends[0], ends[1]);
                self.dot(&class, x, median);
            }
        }
        self.y = bottom + 36.0;
    }

    /// Draws rows of dots over a grid of ratios.
    fn dots(&mut self, rows: &[(String, Vec<Series>)]) {
        let spread = |series: &Series| series.points.first().map(|point| point.spread);
        let spreads: Vec<Spread> = rows.iter().flat_map(|(_, series)| series).filter_map(spread).collect();
        let lowest = spreads.iter().map(|spread| spread.low).filter(|low| *low > 0.0).fold(1.0, f64::min);
        let highest = spreads.iter().map(|spread| spread.high).fold(1.0, f64::max);
        let axis = Axis::log(lowest, highest);
        let (left, right) = (MARGIN + 10.0, self.width - MARGIN - 10.0);
        let x = |ratio: f64| axis.position(ratio, (left, right));
        let (top, bottom) = (self.y + 18.0, self.y + 22.0 + DOT_ROW * rows.len() as f64);
        let mut rightmost_label = f64::NEG_INFINITY;
        for tick in &axis.ticks {
            let class = if *tick == 1.0 { "one" } else { "grid" };
            self.segment(class, (x(*tick), top), (x(*tick), bottom));
            let text = format!("{}×", label(*tick));
            if x(*tick) - rightmost_label >= width_of(&text) + 4.0 {
                self.text(x(*tick), top - 5.0, "middle", &text);
                self.text(x(*tick), bottom + 15.0, "middle", &text);
                rightmost_label = x(*tick);
            }
        }
        for (index, (title, series)) in rows.iter().enumerate() {
            let baseline = top + 15.0 + index as f64 * DOT_ROW;
            let middle = baseline + 11.0;
            self.text(MARGIN, baseline, "over", title);
            // The first of the legend is drawn last, and so lies on top.
            for series in series.iter().rev() {
                let Some(spread) = spread(series) else { continue };
                let class = class_of(series.colour);
                self.segment(&format!("{class} whisker"), (x(spread.low), middle), (x(spread.high), middle));
                self.dot(&class, x(spread.median), middle);
            }
        }
        self.y = bottom + 18.0;
    }

    /// Draws a dot and a name for each entry, in as many lines as it takes.
    fn legend(&mut self, legend: &[(&str, Colour)]) {
        let mut x = MARGIN;
        for (index, (name, colour)) in legend.iter().enumerate() {
            let width = 16.0 + width_of(name);
            if x + width > self.width - MARGIN {
                (x, self.y) = (MARGIN, self.y + SMALL + 6.0);
            }
            if index == 0 {
                self.y += 4.0;
            }
            self.dot(&class_of(*colour), x + 5.0, self.y + 7.0);
            self.text(x + 14.0, self.y + 11.0, "", name);
            x += width + 14.0;
        }
        if !legend.is_empty() {
            self.y += SMALL + 6.0;
        }
    }

    /// Draws a dot around a point.
    fn dot(&mut self, class: &str, x: f64, y: f64) {
        self.draw(format_args!("<circle class=\"{class} dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>"));
    }

    /// Draws a straight line between two points.
    fn segment(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.draw(format_args!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// Writes a line of text from the left margin, and moves down.
    fn line_of_text(&mut self, class: &str, size: f64, text: &str) {
        self.y += size + 2.0;
        self.text(MARGIN, self.y, class, text);
        self.y += 4.0;
    }

    /// Draws text whose baseline begins, ends or has its middle at a point, as the class says.
    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.draw(format_args!("<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text)));
    }

    /// Appends an element on a line of its own.
    fn draw(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.svg, "{element}");
    }

    /// How many characters of this font size fit into a line.
    fn characters(&self, size: f64) -> usize {
        ((self.width - 2.0 * MARGIN) / (size * CHARACTER)) as usize
    }
}

/// The approximate width of small text, in pixels.
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * SMALL * CHARACTER
}

/// Breaks text into lines of at most this many characters, at spaces.
fn wrap(text: &str, characters: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let is_full = lines.last().is_some_and(|line| {
            !line.is_empty() && line.chars().count() + 1 + word.chars().count() > characters
        });
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The class of a colour in the style sheet: its name in lower case.
fn class_of(colour: Colour) -> String {
    format!("{colour:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(value: f64) -> Spread {
        Spread { low: value, median: value, high: value }
    }

    fn series(name: &str, colour: Colour, points: &[(usize, Spread)]) -> Series {
        let point = |(connections, spread): &(usize, Spread)| Point {
            connections: *connections,
            spread: *spread,
            number: spread.median.to_string(),
        };
        Series { name: name.into(), colour, is_bold: false, points: points.iter().map(point).collect() }
    }

    fn svg(title: &str, marks: Marks) -> String {
        let panels = vec![Panel { heading: "heading".into(), marks }];
        Chart { title: title.into(), description: "about".into(), width: WIDE, panels }.svg()
    }

    /// The values of an attribute of all elements with this start, in order.
    fn attributes<'s>(svg: &'s str, element: &str, name: &str) -> Vec<&'s str> {
        let elements = svg.lines().filter(|line| line.starts_with(element));
        let value =
            |line: &'s str| line.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap();
        elements.map(value).collect()
    }

    #[test]
    fn bars_are_proportional_to_the_values() {
        let bar = |name, median, high| series(name, Colour::Blue, &[(1, Spread { low: 0.0, median, high })]);
        let bars = vec![bar("one", 5.0, 5.0), bar("two", 10.0, 20.0), bar("nil", 0.0, 0.0)];
        let svg = svg("a < b", Marks::Bars(bars));
        let widths = attributes(&svg, "<rect class=\"blue\"", "width").into_iter();
        let widths: Vec<f64> = widths.map(|width| width.parse().unwrap()).collect();
        assert!((widths[1] / widths[0] - 2.0).abs() < 0.01, "{widths:?}");
        assert_eq!(widths[2], 1.0, "an empty bar is still seen");
        assert!(svg.contains("<title>a &lt; b</title>\n<desc>about</desc>"), "{svg}");
        assert!(svg.contains(">10</text>"), "{svg}");
        // Bars name themselves: there is no legend.
        assert!(!svg.contains("<circle"), "{svg}");
    }

    #[test]
    fn a_line_has_its_points_and_an_entry_in_the_legend() {
        let line = |name, colour, [first, last]: [f64; 2]| {
            series(name, colour, &[(1, exactly(first)), (1000, exactly(last))])
        };
        let lines = vec![line("slow", Colour::Orange, [2.0, 4.0]), line("fast", Colour::Sky, [8.0, 8.0])];
        let svg = svg("lines", Marks::Lines(lines));
        let points = attributes(&svg, "<polyline", "points");
        let y = |point: &str| point.split_once(',').unwrap().1.parse::<f64>().unwrap();
        let heights: Vec<f64> = points.iter().flat_map(|points| points.split(' ').map(y)).collect();
        // A larger value is higher up, where y is less; the axis is linear from 0 to 8.
        assert!(heights[0] > heights[1] && heights[1] > heights[2], "{heights:?}");
        assert!((heights[0] - heights[1] - (heights[1] - heights[2]) / 2.0).abs() < 0.2, "{heights:?}");
        assert_eq!(heights[2], heights[3]);
        assert_eq!(attributes(&svg, "<circle", "class").len(), 2 + 4);
        for text in [">slow<", ">fast<", ">1000<", ">connections<", ">heading<"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }

    #[test]
    fn dots_lie_left_and_right_of_the_line_at_one() {
        let dot = |ratio| series("name", Colour::Green, &[(1, exactly(ratio))]);
        let svg = svg("dots", Marks::Dots(vec![("row".into(), vec![dot(0.5), dot(2.0)])]));
        let number = |text: &str| text.parse::<f64>().unwrap();
        let one = number(attributes(&svg, "<line class=\"one\"", "x1")[0]);
        // The first circle is the legend; the last dot of a row is drawn first.
        let x: Vec<f64> = attributes(&svg, "<circle", "cx").into_iter().skip(1).map(number).collect();
        assert!(x[0] > one && x[1] < one && (x[0] - one - (one - x[1])).abs() < 0.2, "{one} {x:?}");
    }

    #[test]
    fn breaks_lines_at_spaces() {
        let check = |text: &str, lines: &[&str]| assert_eq!(wrap(text, 10), lines);
        check("", &[""]);
        check("one two", &["one two"]);
        check("one two three four", &["one two", "three four"]);
        check("extraordinarily long", &["extraordinarily", "long"]);
    }

    #[test]
    fn every_colour_has_a_rule_in_light_and_dark() {
        use Colour::{Blue, Brown, Green, Grey, Orange, Purple, Silver, Sky, Vermilion};
        let all = [Blue, Sky, Green, Vermilion, Orange, Purple, Brown, Grey, Silver];
        for colour in all {
            assert_eq!(STYLE.matches(&format!(".chart .{} {{", class_of(colour))).count(), 2, "{colour:?}");
        }
    }
}
