//! Pictures and their panels: a title, a legend, and diagrams side by side.

use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, label};
use crate::lab::architectures::Architecture;
use crate::lab::metric::Metric;
use crate::lab::results::Spread;

/// An error of the plotting backend. Drawing into a string has no known errors.
pub type Undrawn = Box<dyn std::error::Error>;
type Sheet<'s> = DrawingArea<SVGBackend<'s>, Shift>;
type Chart<'a, 's> = ChartContext<'a, SVGBackend<'s>, Cartesian2d<Axis, Axis>>;

/// Pixels of a panel, without the title and the legend.
const PANEL: (u32, u32) = (480, 300);
/// Pixels for title and legend.
const HEADER: u32 = 76;
const GREY: RGBColor = RGBColor(0x66, 0x66, 0x66);
const FAINT: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);

/// A picture: a title, what colours mean, and panels two by two.
pub struct Picture<'a> {
    /// The title.
    pub title: &'a str,
    /// The architectures in the legend.
    pub architectures: Vec<Architecture>,
    /// The panels, in reading order.
    pub panels: Vec<Panel>,
}

/// One diagram.
pub struct Panel {
    /// The metric.
    pub metric: Metric,
    /// The kind of diagram.
    pub kind: Kind,
}

/// The data of a diagram.
pub enum Kind {
    /// A line for each architecture over the number of connections.
    Lines(Vec<(Architecture, Vec<(usize, Spread)>)>),
    /// A bar for each architecture, in groups with a name below; a single group has no name.
    Bars(Vec<(&'static str, Vec<(Architecture, Spread)>)>),
}

impl Picture<'_> {
    /// Draws it as SVG.
    ///
    /// # Errors
    ///
    /// If the plotting backend fails.
    pub fn svg(&self) -> Result<String, Undrawn> {
        let columns = self.panels.len().clamp(1, 2);
        let rows = self.panels.len().div_ceil(2).max(1);
        // Groups with names need room for them.
        let wide = self.panels.len() == 1;
        let width = if wide { PANEL.0 * 2 } else { PANEL.0 * columns as u32 };
        let height = HEADER + if wide { PANEL.1 * 4 / 3 } else { PANEL.1 * rows as u32 };
        let mut svg = String::new();
        {
            let sheet = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            sheet.fill(&WHITE)?;
            let (header, body) = sheet.split_vertically(HEADER);
            self.head(&header)?;
            for (panel, area) in self.panels.iter().zip(body.split_evenly((rows, columns))) {
                panel.draw(&area)?;
            }
            sheet.present()?;
        }
        Ok(svg)
    }

    fn head(&self, area: &Sheet<'_>) -> Result<(), Undrawn> {
        let left = Pos::new(HPos::Left, VPos::Center);
        area.draw(&Text::new(self.title, (16, 24), font(24).pos(left)))?;
        let mut x = 16;
        for architecture in &self.architectures {
            let title = architecture.title();
            area.draw(&Rectangle::new([(x, 50), (x + 14, 64)], colour(*architecture).filled()))?;
            area.draw(&Text::new(title, (x + 20, 57), font(16).pos(left)))?;
            x += 44 + title.chars().count() as i32 * 8;
        }
        Ok(())
    }
}

impl Panel {
    fn draw(&self, area: &Sheet<'_>) -> Result<(), Undrawn> {
        match &self.kind {
            Kind::Lines(lines) => self.lines(area, lines),
            Kind::Bars(groups) => self.bars(area, groups),
        }
    }

    fn lines(&self, area: &Sheet<'_>, lines: &[(Architecture, Vec<(usize, Spread)>)]) -> Result<(), Undrawn> {
        let points = || lines.iter().flat_map(|(_, points)| points);
        let mut connections: Vec<usize> = points().map(|(connections, _)| *connections).collect();
        connections.sort_unstable();
        connections.dedup();
        let x = Axis::at(&connections);
        let y = Axis::fitting(points().map(|(_, spread)| spread));
        let mut chart = self.frame(area, x, y, "connections (log scale)", label)?;
        for (architecture, points) in lines {
            let colour = colour(*architecture);
            let middles = points.iter().map(|(connections, spread)| (*connections as f64, spread.middle));
            chart.draw_series(LineSeries::new(middles, colour.stroke_width(2)))?;
            chart.draw_series(points.iter().map(|(connections, Spread { low, middle, high })| {
                ErrorBar::new_vertical(*connections as f64, *low, *middle, *high, colour.filled(), 6)
            }))?;
        }
        Ok(())
    }

    fn bars(
        &self,
        area: &Sheet<'_>,
        groups: &[(&'static str, Vec<(Architecture, Spread)>)],
    ) -> Result<(), Undrawn> {
        let bars = || groups.iter().flat_map(|(_, bars)| bars);
        let y = Axis::fitting(bars().map(|(_, spread)| spread));
        let most = groups.iter().map(|(_, bars)| bars.len()).max().unwrap_or(1).max(1) as f64;
        let names = |place: f64| groups.get(place.round() as usize).map_or("", |(name, _)| *name).to_owned();
        let floor = y.range().start;
        let mut chart = self.frame(area, Axis::groups(groups.len()), y, "", names)?;
        // A fifth of each group's room stays free.
        let width = 0.8 / most;
        for (index, (_, bars)) in groups.iter().enumerate() {
            for (number, (architecture, Spread { low, middle, high })) in bars.iter().copied().enumerate() {
                let left = index as f64 - 0.4 + width * number as f64;
                let centre = left + width / 2.0;
                let corners = [(left + width * 0.06, floor), (left + width * 0.94, middle)];
                let whisker = ErrorBar::new_vertical(centre, low, middle, high, BLACK.stroke_width(1), 0);
                let above = font(14).pos(Pos::new(HPos::Center, VPos::Bottom));
                let number = Text::new(self.metric.format(middle), (0, -4), above);
                chart.draw_series([Rectangle::new(corners, colour(architecture).filled())])?;
                chart.draw_series([whisker])?;
                chart.draw_series([EmptyElement::at((centre, high)) + number])?;
            }
        }
        Ok(())
    }

    /// Draws the empty diagram: axes, labels and grid lines.
    fn frame<'a, 's: 'a>(
        &self,
        area: &'a Sheet<'s>,
        x: Axis,
        y: Axis,
        x_title: &str,
        x_label: impl Fn(f64) -> String,
    ) -> Result<Chart<'a, 's>, Undrawn> {
        let scale = if y.is_log { " (log scale)" } else { "" };
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .caption(format!("{}{scale}", self.metric.title()), font(17))
            .x_label_area_size(if x_title.is_empty() { 28 } else { 46 })
            .y_label_area_size(60)
            .build_cartesian_2d(x, y)?;
        let mut mesh = chart.configure_mesh();
        if x_title.is_empty() {
            // Bars need no vertical grid lines.
            mesh.disable_x_mesh();
        }
        mesh.x_desc(x_title)
            .x_label_formatter(&|value: &f64| x_label(*value))
            .label_style(font(15))
            .axis_style(GREY)
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .draw()?;
        Ok(chart)
    }
}

fn colour(architecture: Architecture) -> RGBColor {
    let (red, green, blue) = architecture.colour();
    RGBColor(red, green, blue)
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&RGBColor(0x22, 0x22, 0x22))
}
