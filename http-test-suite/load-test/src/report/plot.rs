//! Draws charts as SVG with bars, lines or dots, for phones as well: text has at least 12 pixels, and panels stand one
//! below the other. The style sheet is in the picture, so that it follows the reader's choice of a dark theme.

use std::collections::BTreeSet;

use super::axis::{Axis, label};
use super::results::{Colour, Spread, SubjectLabel};
use super::table::escape;

/// The style sheet of all charts. Its rules apply only inside an element of the class `chart`.
pub const STYLE: &str = include_str!("plot.css");

/// The width of a chart that stands alone, in pixels: a phone shows it unscaled.
pub const WIDE: f64 = 420.0;
/// The width of a chart of which three stand side by side on a desktop, in pixels.
pub const NARROW: f64 = 270.0;

/// The empty space around the contents of a chart, in pixels.
const MARGIN: f64 = 12.0;
/// The average width of a character, as a share of the font size.
const CHARACTER: f64 = 0.6;
/// The font size of all text but the title, in pixels.
const SMALL: f64 = 12.0;
/// The font size of the title, in pixels.
const LARGE: f64 = 15.0;
/// The distance from the top of one bar to that of the next, in pixels.
const BAR_ROW: f64 = 24.0;
/// The thickness of a bar, in pixels.
const BAR: f64 = 14.0;
/// The height of the plot area of a panel with lines, in pixels.
const LINES: f64 = 130.0;
/// The distance between two rows of dots, in pixels.
const DOT_ROW: f64 = 34.0;

/// One diagram of a chart; a chart has one or more, one below the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel<'a> {
    /// The line above the diagram: what its numbers are, with the unit.
    pub heading: String,
    /// Whether the points are drawn as bars, lines or dots.
    pub marks: Marks,
    /// The values that the diagram shows.
    pub points: Vec<Point<'a>>,
}

/// How the points of a diagram are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// A horizontal bar from 0 for each point, with the title of the subject and the number.
    Bars,
    /// A line for each subject over the number of connections. Points of a subject stand together, by connections.
    Lines,
    /// Dots on one logarithmic scale of ratios, with a line at 1. Successive points with the same title share a row.
    Dots,
}

/// A value in a diagram: a metric of one subject, with one number of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Point<'a> {
    /// The title of the row of dots that the point is in; `""` for bars and lines.
    pub row_title: &'a str,
    /// The subject: its title, its colour, and whether it is bold.
    pub subject: &'a SubjectLabel,
    /// The number of connections: where the point of a line lies on the horizontal axis.
    pub connections: usize,
    /// The value to draw: its median and its extremes over the rounds.
    pub spread: Spread,
    /// The median as text, which stands to the right of a bar.
    pub number: String,
}

/// Draws a chart as an SVG document, which can also stand in an HTML page: a title, a legend if colours need one, and
/// those panels that have points one below the other; `None` if none has. The description is for screen readers.
pub fn svg(title: &str, description: &str, width: f64, mut panels: Vec<Panel<'_>>) -> Option<String> {
    panels.retain(|panel| !panel.points.is_empty());
    let mut canvas = Canvas { svg: String::new(), width, y: MARGIN };
    canvas.paragraph("title", LARGE, title);
    canvas.legend(&panels);
    for Panel { heading, marks, points } in &panels {
        canvas.y += 8.0;
        canvas.paragraph("heading", SMALL, heading);
        match marks {
            Marks::Bars => canvas.bars(points),
            Marks::Lines => canvas.lines(points),
            Marks::Dots => canvas.dots(points),
        }
    }
    let (title, description, height) = (escape(title), escape(description), (canvas.y + MARGIN).round());
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<desc>{description}</desc>\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
        canvas.svg
    );
    (!panels.is_empty()).then_some(svg)
}

/// A picture while it is drawn from the top down.
struct Canvas {
    /// The elements drawn so far, as SVG.
    svg: String,
    /// The width of the picture in pixels.
    width: f64,
    /// Where the next element is drawn: the distance from the top in pixels.
    y: f64,
}

impl Canvas {
    /// Draws a dot and a name for each subject of lines and dots, in as many lines as it takes.
    fn legend(&mut self, panels: &[Panel<'_>]) {
        let explained = panels.iter().filter(|panel| panel.marks != Marks::Bars);
        let mut subjects: Vec<&SubjectLabel> = Vec::new();
        for Point { subject, .. } in explained.flat_map(|panel| &panel.points) {
            if !subjects.contains(subject) {
                subjects.push(subject);
            }
        }
        if subjects.is_empty() {
            return;
        }
        self.y += 4.0;
        let mut x = MARGIN;
        for SubjectLabel { title, colour, .. } in subjects {
            let width = 16.0 + width_of(title);
            if x + width > self.width - MARGIN {
                (x, self.y) = (MARGIN, self.y + SMALL + 6.0);
            }
            self.dot(*colour, x + 5.0, self.y + 7.0);
            self.text(x + 14.0, self.y + 11.0, "", title);
            x += width + 14.0;
        }
        self.y += SMALL + 6.0;
    }

    /// Draws horizontal bars, with names on their left and numbers on their right.
    fn bars(&mut self, points: &[Point<'_>]) {
        let longest_name = greatest(points.iter().map(|point| width_of(&point.subject.title)));
        let longest_number = greatest(points.iter().map(|point| width_of(&point.number)));
        let (left, right) = (MARGIN + longest_name + 8.0, self.width - MARGIN - longest_number - 8.0);
        let highest = greatest(points.iter().map(|point| point.spread.high)).max(f64::MIN_POSITIVE);
        let x = |value: f64| left + value.max(0.0) / highest * (right - left);
        self.y += 6.0;
        for Point { subject, spread, number, .. } in points {
            let (top, baseline) = (self.y, self.y + BAR - 3.0);
            let bold = if subject.is_ours { "bold" } else { "" };
            self.text(left - 8.0, baseline, format!("end {bold}").trim_end(), &subject.title);
            // A bar of no length at all would look like a missing one.
            let width = (x(spread.median) - left).max(1.0);
            self.svg += &format!(
                "<rect class=\"{}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR}\"/>\n",
                class_of(subject.colour)
            );
            let (low, high, middle) = (x(spread.low), x(spread.high), top + BAR / 2.0);
            self.segment("spread", (low, middle), (high, middle));
            self.text(high.max(left + width) + 6.0, baseline, bold, number);
            self.y += BAR_ROW;
        }
    }

    /// Draws a line for each subject over the number of connections, with axes, grid, and whiskers for the spread.
    fn lines(&mut self, points: &[Point<'_>]) {
        let connections: BTreeSet<usize> = points.iter().map(|point| point.connections).collect();
        let across = Axis::at(&connections);
        let up = Axis::fitting(&points.iter().map(|point| point.spread).collect::<Vec<_>>());

        let left = MARGIN + greatest(up.ticks.iter().map(|tick| width_of(&label(*tick)))) + 8.0;
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
        for line in points.chunk_by(|a, b| a.subject == b.subject) {
            let colour = line[0].subject.colour;
            let at = |point: &Point<'_>| (x(point.connections), y(point.spread.median));
            let path = line.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>();
            let class = class_of(colour);
            self.svg += &format!("<polyline class=\"{class} line\" points=\"{}\"/>\n", path.join(" "));
            for point in line {
                let (x, median) = at(point);
                self.whisker(colour, (x, y(point.spread.low)), (x, y(point.spread.high)));
                self.dot(colour, x, median);
            }
        }
        self.y = bottom + 36.0;
    }

    /// Draws rows of dots over a grid of ratios.
    fn dots(&mut self, points: &[Point<'_>]) {
        let rows: Vec<&[Point<'_>]> = points.chunk_by(|a, b| a.row_title == b.row_title).collect();
        let lows = points.iter().map(|point| point.spread.low).filter(|low| *low > 0.0);
        let highest = points.iter().map(|point| point.spread.high).fold(1.0, f64::max);
        let axis = Axis::log(lows.fold(1.0, f64::min), highest);
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
        let mut baseline = top + 15.0;
        for row in rows {
            let middle = baseline + 11.0;
            self.text(MARGIN, baseline, "over", row[0].row_title);
            // The first of the legend is drawn last, and so lies on top.
            for Point { subject, spread, .. } in row.iter().rev() {
                self.whisker(subject.colour, (x(spread.low), middle), (x(spread.high), middle));
                self.dot(subject.colour, x(spread.median), middle);
            }
            baseline += DOT_ROW;
        }
        self.y = bottom + 18.0;
    }

    /// Draws a dot whose middle is at this point.
    fn dot(&mut self, colour: Colour, x: f64, y: f64) {
        let class = class_of(colour);
        self.svg += &format!("<circle class=\"{class} dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>\n");
    }

    /// Draws the spread of a value as a pale line through its dot.
    fn whisker(&mut self, colour: Colour, low: (f64, f64), high: (f64, f64)) {
        self.segment(&format!("{} whisker", class_of(colour)), low, high);
    }

    /// Draws a straight line of a class of the style sheet between two points.
    fn segment(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.svg += &format!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\n",
            from.0, from.1, to.0, to.1
        );
    }

    /// Writes text from the left margin, in as many lines as it takes, and moves down.
    fn paragraph(&mut self, class: &str, size: f64, text: &str) {
        let characters = (self.width - 2.0 * MARGIN) / (size * CHARACTER);
        for line in wrap(text, characters as usize) {
            self.y += size + 2.0;
            self.text(MARGIN, self.y, class, &line);
            self.y += 4.0;
        }
    }

    /// Draws text whose baseline begins, ends or has its middle at a point, as the class says.
    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.svg += &format!("<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n", escape(text));
    }
}

/// The greatest of these sizes; 0 if there are none.
fn greatest(sizes: impl Iterator<Item = f64>) -> f64 {
    sizes.fold(0.0, f64::max)
}

/// The approximate width of small text, in pixels.
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * SMALL * CHARACTER
}

/// Breaks text into lines of at most this many characters, at spaces.
fn wrap(text: &str, characters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= characters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
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

    #[test]
    fn breaks_lines_at_spaces() {
        let check = |text: &str, lines: &[&str]| assert_eq!(wrap(text, 10), lines);
        check("one two", &["one two"]);
        check("one two three four", &["one two", "three four"]);
        check("extraordinarily long", &["extraordinarily", "long"]);
    }

    #[test]
    fn every_colour_has_a_rule_in_light_and_dark() {
        use Colour::{Blue, Brown, Green, Grey, Orange, Purple, Silver, Sky, Vermilion};
        for colour in [Blue, Sky, Green, Vermilion, Orange, Purple, Brown, Grey, Silver] {
            assert_eq!(STYLE.matches(&format!(".chart .{} {{", class_of(colour))).count(), 2, "{colour:?}");
        }
    }
}
