//! Axes of charts: the scale, and a few round numbers beside it. The scale is logarithmic if a linear one would show
//! only the largest value. An axis draws nothing.

use std::collections::BTreeSet;

use super::results::Spread;

/// The ratio of the largest to the smallest median above which the scale is logarithmic.
const LINEAR_UP_TO: f64 = 20.0;

/// The largest number of steps between the numbers beside a linear axis.
const STEPS: f64 = 5.0;

/// An axis of a chart: a scale from the lowest to the highest value, and the numbers written beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Whether the scale is logarithmic: equal distances are equal ratios.
    pub is_log: bool,
    /// The numbers written beside the axis, ascending.
    pub ticks: Vec<f64>,
    /// The value at the lower end of the axis.
    low: f64,
    /// The value at the upper end of the axis.
    high: f64,
}

impl Axis {
    /// An axis for these values, none of which may be negative: linear from zero, or logarithmic. It covers all rounds,
    /// but only medians decide the scale, so that an outlier cannot change it.
    pub fn fitting(spreads: &[Spread]) -> Axis {
        let ends = |of: fn(&Spread) -> f64| {
            let positive = spreads.iter().map(of).filter(|value| *value > 0.0);
            positive.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (low, high) = (ends(|spread| spread.low).0, ends(|spread| spread.high).1);
        let (lowest_median, highest_median) = ends(|spread| spread.median);
        if high == 0.0 {
            return Axis { is_log: false, ticks: vec![0.0, 1.0], low: 0.0, high: 1.0 };
        }
        let is_log = highest_median / lowest_median > LINEAR_UP_TO;
        if is_log { Axis::log(low.min(lowest_median), high) } else { Axis::linear(high) }
    }

    /// A logarithmic axis with exactly these numbers, and some space at both ends.
    pub fn at(ticks: &BTreeSet<usize>) -> Axis {
        let ticks: Vec<f64> = ticks.iter().map(|tick| *tick as f64).collect();
        let (low, high) = (ticks.first().unwrap_or(&1.0) / 1.4, ticks.last().unwrap_or(&1.0) * 1.4);
        Axis { is_log: true, ticks, low, high }
    }

    /// A logarithmic axis from below the lowest value to above the highest; both must be greater than 0.
    pub fn log(lowest: f64, highest: f64) -> Axis {
        let decades = highest.log10().floor() as i32 - lowest.log10().floor() as i32;
        let factors: &[f64] = if decades > 2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let exponents = lowest.log10().floor() as i32 - 1..=highest.log10().ceil() as i32;
        let all =
            exponents.flat_map(|exponent| factors.iter().map(move |factor| factor * 10_f64.powi(exponent)));
        let all: Vec<f64> = all.collect();
        let first = all.iter().rposition(|tick| *tick < lowest / 1.3).unwrap_or(0);
        let last = all.iter().position(|tick| *tick >= highest).unwrap_or(all.len() - 1);
        let ticks = all[first..=last].to_vec();
        Axis { is_log: true, low: ticks[0], high: ticks[ticks.len() - 1] * 1.2, ticks }
    }

    /// A linear axis from 0 to the next step above the highest value.
    fn linear(highest: f64) -> Axis {
        let rough = highest / STEPS;
        let decade = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let count = (highest / step).ceil();
        let ticks = (0..=count as u32).map(|index| f64::from(index) * step).collect();
        Axis { is_log: false, ticks, low: 0.0, high: count * step }
    }

    /// The position of a value between two ends: `from` for the lowest value of the axis, `to` for the highest. A value
    /// beyond an end lies at that end.
    pub fn position(&self, value: f64, (from, to): (f64, f64)) -> f64 {
        let scaled = |value: f64| if self.is_log { value.log10() } else { value };
        let (low, high) = (scaled(self.low), scaled(self.high));
        from + (to - from) * (scaled(value.clamp(self.low, self.high)) - low) / (high - low)
    }
}

/// Writes a number beside an axis, without digits that come from rounding errors: `0.5`, `20`, `100k`, `2M`.
pub fn label(value: f64) -> String {
    // Removes the rounding error of multiplying by powers of ten.
    let value = format!("{value:.3e}").parse().unwrap_or(value);
    match value {
        1e6.. => format!("{}M", value / 1e6),
        1e4.. => format!("{}k", value / 1e3),
        _ => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the numbers beside the axis for one exact value and one with a spread, and whether it covers both.
    fn check(exact: f64, [low, median, high]: [f64; 3], is_log: bool, ticks: &str) {
        let spreads = [Spread { low: exact, median: exact, high: exact }, Spread { low, median, high }];
        let axis = Axis::fitting(&spreads);
        let labels: Vec<String> = axis.ticks.iter().map(|tick| label(*tick)).collect();
        assert_eq!((axis.is_log, labels.join(" ")), (is_log, ticks.to_owned()), "{axis:?}");
        assert!(axis.high >= high && axis.high >= exact, "{axis:?}");
    }

    #[test]
    fn ticks_are_round_and_few() {
        check(0.0, [0.0; 3], false, "0 1");
        check(41_000.0, [98_000.0; 3], false, "0 20k 40k 60k 80k 100k");
        check(0.007, [0.011; 3], false, "0 0.005 0.01 0.015");
        check(0.21, [40.0; 3], true, "0.1 0.2 0.5 1 2 5 10 20 50");
        check(3.0, [2e6; 3], true, "1 10 100 1000 10k 100k 1M 10M");
        // Outliers do not change the scale.
        check(3.0, [0.01, 4.0, 40.0], false, "0 10 20 30 40");
        check(3.0, [0.0, 100.0, 900.0], true, "2 5 10 20 50 100 200 500 1000");
    }

    #[test]
    fn values_lie_in_order_between_the_ends() {
        let linear = Axis { is_log: false, ticks: vec![], low: 0.0, high: 200.0 };
        for (axis, middle) in [(linear, 100.0), (Axis::at(&[1, 16, 256].into()), 16.0)] {
            let position = |value| axis.position(value, (100.0, 0.0)).round();
            let positions = [axis.low, middle, axis.high, f64::MAX].map(position);
            assert_eq!(positions, [100.0, 50.0, 0.0, 0.0], "{axis:?}");
        }
    }
}
