//! Parzen estimators: a density over configurations, one kernel per observation.

use crate::axis::Axis;
use crate::draws::Draws;
use crate::encoding::{Active, Encoding, random_value};
use frugal_domain::configuration::Configuration;
use serde_json::Value;

/// A configuration as coordinates: absent where inactive.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    slots: Vec<Option<Coordinate>>,
    branches: Vec<Option<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Coordinate {
    Place(f64),
    Category(usize),
}

impl Point {
    pub(crate) fn of(encoding: &Encoding, configuration: &Configuration) -> Self {
        let Active { slots, branches } = encoding.active(configuration);
        let mut point = Self {
            slots: vec![None; encoding.slots().len()],
            branches: vec![None; encoding.branchings()],
        };
        for index in slots {
            let Some(slot) = encoding.slots().get(index) else {
                continue;
            };
            let coordinate = if slot.axis.is_unordered() {
                configuration
                    .get(&slot.name)
                    .and_then(|value| slot.axis.position(value))
                    .map(Coordinate::Category)
            } else {
                encoding.place(index, configuration).map(Coordinate::Place)
            };
            if let Some(place) = point.slots.get_mut(index) {
                *place = coordinate;
            }
        }
        for (branching, branch) in branches {
            if let Some(place) = point.branches.get_mut(branching) {
                *place = Some(branch);
            }
        }
        point
    }
}

/// A mixture of one kernel per observation and one uniform prior, all of the same weight.
pub(crate) struct Density<'p> {
    kernels: Vec<Kernel<'p>>,
    /// The standard deviation per slot.
    widths: Vec<f64>,
    /// The share of an observed category, before the uniform share of the prior.
    certainty: f64,
    /// Per slot, for unordered choices.
    categories: Vec<Shares>,
    /// Per branching.
    branches: Vec<Shares>,
}

/// The logs of a category's shares in a kernel.
#[derive(Clone, Copy)]
struct Shares {
    /// Where it is the observed one.
    same: f64,
    /// Where another one was observed.
    different: f64,
    /// Where none was observed: an equal share for each.
    none: f64,
}

impl Shares {
    fn new(count: usize, certainty: f64) -> Self {
        let equal = 1.0 / count.max(1) as f64;
        Self {
            same: (certainty + (1.0 - certainty) * equal).ln(),
            different: ((1.0 - certainty) * equal).ln(),
            none: equal.ln(),
        }
    }

    fn of(&self, category: usize, observed: Option<usize>) -> f64 {
        match observed {
            Some(observed) if observed == category => self.same,
            Some(_) => self.different,
            None => self.none,
        }
    }
}

struct Kernel<'p> {
    point: &'p Point,
    /// Per slot, the log of the normal kernel's constant: its height over its share of [0, 1].
    heights: Vec<f64>,
}

impl<'p> Density<'p> {
    pub(crate) fn new(encoding: &Encoding, points: Vec<&'p Point>) -> Self {
        let count = points.len().max(1) as f64;
        let dimensions = encoding.slots().len() as f64;
        // Scott's rule with the constants of the usual multivariate estimator, and no narrower
        // than the observations can tell apart.
        let scott = 0.2 * count.powf(-1.0 / (dimensions + 4.0));
        let narrowest = 1.0 / (1.0 + count).min(100.0);
        let widths: Vec<f64> = encoding
            .slots()
            .iter()
            .map(|slot| {
                let grid = slot.axis.count().map_or(0.0, |count| 0.5 / count as f64);
                scott.max(narrowest).max(grid).min(1.0)
            })
            .collect();
        let kernels = points
            .into_iter()
            .map(|point| Kernel {
                heights: point
                    .slots
                    .iter()
                    .zip(&widths)
                    .map(|(coordinate, width)| match coordinate {
                        Some(Coordinate::Place(center)) => {
                            let share = normal_share(-center / width, (1.0 - center) / width);
                            -(width * std::f64::consts::TAU.sqrt() * share.max(1e-12)).ln()
                        }
                        _ => 0.0,
                    })
                    .collect(),
                point,
            })
            .collect();
        let certainty = count / (count + 1.0);
        Self {
            kernels,
            widths,
            certainty,
            categories: encoding
                .slots()
                .iter()
                .map(|slot| match &slot.axis {
                    Axis::Choice { values, .. } => Shares::new(values.len(), certainty),
                    Axis::Number { .. } => Shares::new(1, certainty),
                })
                .collect(),
            branches: encoding
                .branch_counts()
                .into_iter()
                .map(|count| Shares::new(count, certainty))
                .collect(),
        }
    }

    /// The log density at a point.
    pub(crate) fn log(&self, point: &Point) -> f64 {
        let logs: Vec<f64> = self
            .kernels
            .iter()
            .map(Some)
            .chain(std::iter::once(None))
            .map(|kernel| self.log_kernel(kernel, point))
            .collect();
        let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs.iter().map(|log| (log - highest).exp()).sum();
        highest + (sum / logs.len() as f64).ln()
    }

    /// The log density of one kernel; without one, that of the prior, which is uniform: 1 per
    /// place, and an equal share per category.
    fn log_kernel(&self, kernel: Option<&Kernel<'_>>, point: &Point) -> f64 {
        let mut log = 0.0;
        for (index, coordinate) in point.slots.iter().enumerate() {
            let observed = kernel.and_then(|kernel| *kernel.point.slots.get(index)?);
            match (coordinate, observed) {
                (Some(Coordinate::Place(place)), Some(Coordinate::Place(center))) => {
                    let (Some(width), Some(height)) = (
                        self.widths.get(index),
                        kernel.and_then(|kernel| kernel.heights.get(index)),
                    ) else {
                        continue;
                    };
                    let distance = (place - center) / width;
                    log += height - 0.5 * distance * distance;
                }
                (Some(Coordinate::Category(category)), observed) => {
                    let observed = match observed {
                        Some(Coordinate::Category(observed)) => Some(observed),
                        _ => None,
                    };
                    if let Some(shares) = self.categories.get(index) {
                        log += shares.of(*category, observed);
                    }
                }
                _ => {}
            }
        }
        for (index, branch) in point.branches.iter().enumerate() {
            if let (Some(branch), Some(shares)) = (branch, self.branches.get(index)) {
                let observed = kernel.and_then(|kernel| *kernel.point.branches.get(index)?);
                log += shares.of(*branch, observed);
            }
        }
        log
    }

    /// A draw: a kernel first, then every active setting from it.
    pub(crate) fn draw(&self, encoding: &Encoding, draws: &mut Draws) -> Configuration {
        let kernel = self
            .kernels
            .get(draws.index(self.kernels.len() + 1))
            .map(|kernel| kernel.point);
        // Both closures of `assemble` draw, so the generator is shared between them.
        let draws = std::cell::RefCell::new(draws);
        encoding.assemble(
            &mut |branching, count| {
                let own = kernel.and_then(|point| point.branches.get(branching).copied().flatten());
                self.category(own, count, &mut draws.borrow_mut())
            },
            &mut |slot, axis| {
                let own = kernel.and_then(|point| point.slots.get(slot).copied().flatten());
                let draws = &mut draws.borrow_mut();
                match (own, axis) {
                    (Some(Coordinate::Place(center)), _) => {
                        let width = self.widths.get(slot).copied().unwrap_or(1.0);
                        axis.decode(truncated_normal(center, width, draws), encoding.is_exact())
                    }
                    (Some(Coordinate::Category(own)), Axis::Choice { values, .. }) => {
                        let index = self.category(Some(own), values.len(), draws);
                        values.get(index).cloned().unwrap_or(Value::Null)
                    }
                    _ => random_value(axis, encoding.is_exact(), draws),
                }
            },
        )
    }

    fn category(&self, own: Option<usize>, count: usize, draws: &mut Draws) -> usize {
        match own {
            Some(own) if draws.uniform() < self.certainty => own,
            _ => draws.index(count),
        }
    }
}

/// A draw from a normal distribution cut to [0, 1]; its centre lies within.
fn truncated_normal(center: f64, width: f64, draws: &mut Draws) -> f64 {
    for _ in 0..64 {
        let drawn = center + draws.gaussian(width);
        if (0.0..=1.0).contains(&drawn) {
            return drawn;
        }
    }
    center.clamp(0.0, 1.0)
}

/// The share of the standard normal distribution between two numbers.
fn normal_share(low: f64, high: f64) -> f64 {
    let below = |x: f64| 0.5 * (1.0 + error_function(x / std::f64::consts::SQRT_2));
    below(high) - below(low)
}

/// The error function, to 1.5e-7 (Abramowitz and Stegun, formula 7.1.26).
fn error_function(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ]
    .into_iter()
    .fold(0.0, |sum, coefficient| (sum + coefficient) * t);
    (1.0 - series * (-x * x).exp()).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::SearchState;
    use frugal_domain::space::{Dimension, Domain, Scale, Space};
    use serde_json::json;

    fn dimension(name: &str, domain: Domain) -> Dimension {
        Dimension {
            name: name.into(),
            domain,
        }
    }

    fn unit(name: &str) -> Dimension {
        dimension(
            name,
            Domain::Float {
                low: 0.0,
                high: 1.0,
                scale: Scale::Linear,
                step: None,
            },
        )
    }

    fn ground(dimensions: Vec<Dimension>, seed: u64) -> SearchState {
        SearchState::new(
            Encoding::new(Space { dimensions }).unwrap(),
            Draws::seeded(seed),
        )
    }

    #[test]
    fn the_error_function_has_its_known_values() {
        for (x, value) in [
            (0.0, 0.0),
            (0.5, 0.520_499_878),
            (1.0, 0.842_700_793),
            (-2.0, -0.995_322_265),
        ] {
            assert!((error_function(x) - value).abs() < 2e-7, "{x}");
        }
    }

    #[test]
    fn a_density_in_one_dimension_integrates_to_one() {
        let ground = ground(vec![unit("x")], 0);
        let points: Vec<Point> = [0.0, 0.2, 0.9]
            .into_iter()
            .map(|x| {
                let configuration = Configuration([("x".to_owned(), json!(x))].into());
                Point::of(&ground.encoding, &configuration)
            })
            .collect();
        let density = Density::new(&ground.encoding, points.iter().collect());
        let cells = 2000;
        let total: f64 = (0..cells)
            .map(|i| {
                let x = (f64::from(i) + 0.5) / f64::from(cells);
                let configuration = Configuration([("x".to_owned(), json!(x))].into());
                density
                    .log(&Point::of(&ground.encoding, &configuration))
                    .exp()
            })
            .sum::<f64>()
            / f64::from(cells);
        assert!((total - 1.0).abs() < 1e-4, "{total}");
    }
}
