//! Plots as numbers: where points, lines and ticks lie in a picture. The page draws them.

use super::figures;
use frugal_domain::money::Unit;
use serde::Serialize;

/// The size of a picture, and what is left for axes around what is drawn.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 48.0;
/// From this ratio of the largest to the smallest value on, an axis is logarithmic.
const WIDE: f64 = 20.0;
/// Ticks of an axis, about.
const TICKS: f64 = 5.0;

/// What values along an axis are, for its ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Dollars or tokens.
    Amount(Unit),
    /// A score.
    Score,
}

impl Quantity {
    fn label(self, value: f64) -> String {
        match self {
            Self::Amount(unit) => figures::amount(unit, value),
            Self::Score => figures::number(value),
        }
    }
}

/// A place on an axis with its label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tick {
    /// Where it is, in the picture.
    at: f64,
    /// What stands there.
    label: String,
}

/// An axis: which values it has, and where they lie.
#[derive(Debug, Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    /// Where its ends are in the picture.
    from: f64,
    to: f64,
}

impl Axis {
    /// One that has all of these values, from one place of the picture to another.
    fn over(
        values: impl Iterator<Item = f64> + Clone,
        may_be_logarithmic: bool,
        from: f64,
        to: f64,
    ) -> Self {
        let values = values.filter(|value| value.is_finite());
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let is_logarithmic = may_be_logarithmic && low > 0.0 && high / low > WIDE;
        let (low, high) = match (is_logarithmic, high - low) {
            (true, _) => (low / 1.2, high * 1.2),
            // One value alone is in the middle.
            (false, 0.0) => (
                low - low.abs().max(1.0) / 10.0,
                high + high.abs().max(1.0) / 10.0,
            ),
            (false, span) => (low - span / 20.0, high + span / 20.0),
        };
        Self {
            low,
            high,
            is_logarithmic,
            from,
            to,
        }
    }

    /// Where a value lies, to a tenth of a pixel.
    fn at(&self, value: f64) -> f64 {
        let share = match self.is_logarithmic {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        ((self.from + share * (self.to - self.from)) * 10.0).round() / 10.0
    }

    fn ticks(&self, quantity: Quantity) -> Vec<Tick> {
        let mut values = Vec::new();
        if self.is_logarithmic {
            let mut power = 10_f64.powf(self.low.log10().floor());
            while power <= self.high {
                values.extend([power, 2.0 * power, 5.0 * power]);
                power *= 10.0;
            }
        } else {
            let rough = (self.high - self.low) / TICKS;
            let power = 10_f64.powf(rough.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
            let step = steps
                .into_iter()
                .find(|step| *step >= rough)
                .unwrap_or(rough);
            let mut count = (self.low / step).ceil();
            while count * step <= self.high {
                values.push(count * step);
                count += 1.0;
            }
        }
        let inside = values
            .into_iter()
            .filter(|value| (self.low..=self.high).contains(value));
        inside
            .map(|value| Tick {
                at: self.at(value),
                label: quantity.label(value),
            })
            .collect()
    }
}

/// A point of a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Point {
    x: f64,
    y: f64,
    /// What it is, in words.
    title: String,
    /// How it is drawn: `valid`, `invalid`, `baseline` or `winner`.
    kind: &'static str,
}

/// A picture with two axes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Plot {
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    points: Vec<Point>,
    /// A line through the picture, in the form of SVG's `points`.
    line: String,
    /// Where a budget is, across the whole of the picture.
    budget: Option<f64>,
}

/// A value to be drawn.
#[derive(Debug, Clone)]
pub(super) struct Dot {
    pub x: f64,
    pub y: f64,
    pub title: String,
    pub kind: &'static str,
}

/// What a line does between two of its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// It goes straight to the next.
    Straight,
    /// It stays as it is until the next.
    Steps,
}

impl Plot {
    /// Draws dots and a line over an amount and a score; nothing where there is nothing to draw.
    pub(super) fn new(
        unit: Unit,
        dots: &[Dot],
        (kind, line): (Line, &[(f64, f64)]),
        budget: Option<f64>,
    ) -> Option<Self> {
        if dots.is_empty() && line.is_empty() {
            return None;
        }
        let xs = dots
            .iter()
            .map(|dot| dot.x)
            .chain(line.iter().map(|at| at.0))
            .chain(budget);
        let ys = dots
            .iter()
            .map(|dot| dot.y)
            .chain(line.iter().map(|at| at.1));
        let x = Axis::over(xs, kind == Line::Straight, LEFT, WIDTH - RIGHT);
        let y = Axis::over(ys, false, HEIGHT - BOTTOM, TOP);
        let mut path = Vec::new();
        let mut before: Option<f64> = None;
        for (across, up) in line {
            let (across, up) = (x.at(*across), y.at(*up));
            if let Some(before) = before.filter(|_| kind == Line::Steps) {
                path.push(format!("{across},{before}"));
            }
            path.push(format!("{across},{up}"));
            before = Some(up);
        }
        Some(Self {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: WIDTH - RIGHT,
            top: TOP,
            bottom: HEIGHT - BOTTOM,
            x_ticks: x.ticks(Quantity::Amount(unit)),
            y_ticks: y.ticks(Quantity::Score),
            points: dots
                .iter()
                .map(|dot| Point {
                    x: x.at(dot.x),
                    y: y.at(dot.y),
                    title: dot.title.clone(),
                    kind: dot.kind,
                })
                .collect(),
            line: path.join(" "),
            budget: budget.map(|budget| x.at(budget)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn values_lie_within_the_picture_and_ticks_are_round() {
        let axis = Axis::over([0.0, 1.0].into_iter(), false, 0.0, 100.0);
        assert!(axis.at(0.0) > 0.0 && axis.at(1.0) < 100.0);
        assert_eq!(labels(&axis.ticks(Quantity::Score)), ["0", "0.5", "1"]);
        let axis = Axis::over([0.001, 1.0].into_iter(), true, 0.0, 100.0);
        let ticks = axis.ticks(Quantity::Amount(Unit::Usd));
        assert_eq!(labels(&ticks)[..4], ["$0.001", "$0.002", "$0.005", "$0.01"]);
        assert!(ticks.is_sorted_by_key(|tick| tick.at));
    }

    #[test]
    fn one_value_is_in_the_middle_and_none_is_no_picture() {
        let dot = Dot {
            x: 2.0,
            y: 0.5,
            title: "one".to_owned(),
            kind: "valid",
        };
        let plot = Plot::new(Unit::Tokens, &[dot], (Line::Straight, &[]), None).unwrap();
        assert_eq!(plot.points[0].x, f64::midpoint(LEFT, WIDTH - RIGHT));
        assert_eq!(
            Plot::new(Unit::Tokens, &[], (Line::Straight, &[]), None),
            None
        );
    }

    #[test]
    fn the_best_stays_until_there_is_a_better_one() {
        let line = [(1.0, 0.2), (2.0, 0.4)];
        let plot = Plot::new(Unit::Usd, &[], (Line::Steps, &line), None).unwrap();
        let points: Vec<&str> = plot.line.split(' ').collect();
        assert_eq!(points.len(), 3);
        let height = |point: &str| point.split_once(',').unwrap().1.to_owned();
        assert_eq!(height(points[0]), height(points[1]));
    }
}
