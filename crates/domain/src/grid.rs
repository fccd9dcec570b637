//! Grids: finite spaces, and how many configurations they have.

use crate::space::{Dimension, Domain, Scale, Space};
use serde_json::{Value, json};

/// Significant digits of a float that Frugal makes up (of the 17 that a double may show). The
/// rounding error of a few sums and products is far below the last of them, so a value that is
/// reached again is recognised.
const SIGNIFICANT_DIGITS: usize = 12;

/// How far from a whole number of steps a bound may lie and count as on the grid, in steps: the
/// slack is for steps such as 0.1.
const SLACK: f64 = 1e-9;

/// A float rounded to twelve significant digits.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    let digits = SIGNIFICANT_DIGITS - 1;
    format!("{value:.digits$e}").parse().unwrap_or(value)
}

/// How many steps there are from `low` to the last value that is not above `high`.
#[must_use]
pub fn steps(low: f64, high: f64, step: f64) -> f64 {
    ((high - low) / step + SLACK).floor()
}

impl Space {
    /// The grid over the space: each numeric setting without a step of its own gets at most
    /// `points` values (at least 1), evenly spaced on its scale, both ends included; a single
    /// one is the middle. Integers that have no more values than that keep them all.
    #[must_use]
    pub fn grid(&self, points: u32) -> Self {
        let dimensions = self.dimensions.iter().map(|dimension| Dimension {
            name: dimension.name.clone(),
            domain: dimension.domain.grid(points.max(1)),
        });
        Self {
            dimensions: dimensions.collect(),
        }
    }

    /// How many configurations there are; `None` for a continuum or more than a u64 holds.
    /// Configurations that differ in name only, such as any `top_p` at temperature 0, count
    /// apart.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.dimensions.iter().try_fold(1_u64, |product, own| {
            product.checked_mul(own.domain.size()?)
        })
    }
}

impl Domain {
    fn grid(&self, points: u32) -> Self {
        let levels = |low: f64, high: f64, scale: Scale| {
            let at = move |share: f64| match scale {
                Scale::Linear => low + (high - low) * share,
                Scale::Log => low * (high / low).powf(share),
            };
            let last = f64::from(points - 1);
            (0..points).map(move |index| match index {
                _ if points == 1 => at(0.5),
                _ => at(f64::from(index) / last),
            })
        };
        let values: Vec<Value> = match self {
            Self::Float {
                low,
                high,
                scale,
                step: None,
            } => levels(*low, *high, *scale)
                .map(|value| json!(rounded(value).clamp(*low, *high)))
                .collect(),
            Self::Int {
                low,
                high,
                scale,
                step: None,
            } if self.size().is_none_or(|size| size > u64::from(points)) =>
            {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    reason = "rounded to a whole number and clamped to the bounds"
                )]
                levels(*low as f64, *high as f64, *scale)
                    .map(|value| json!((value.round() as i64).clamp(*low, *high)))
                    .collect()
            }
            Self::OneOf { branches } => {
                let branches = branches.iter().map(|branch| branch.grid(points)).collect();
                return Self::OneOf { branches };
            }
            whole => return whole.clone(),
        };
        let mut distinct: Vec<Value> = Vec::with_capacity(values.len());
        for value in values {
            if distinct.last() != Some(&value) {
                distinct.push(value);
            }
        }
        Self::Choice {
            values: distinct,
            ordered: true,
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Self::Float {
                low,
                high,
                step: Some(step),
                ..
            } => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number that is at least 0; a larger one than fits saturates"
                )]
                let steps = steps(*low, *high, *step) as u64;
                steps.checked_add(1)
            }
            Self::Float { low, high, .. } => (low == high).then_some(1),
            Self::Int {
                low, high, step, ..
            } => {
                let steps = high.checked_sub(*low)? / step.unwrap_or(1).max(1);
                u64::try_from(steps).ok()?.checked_add(1)
            }
            Self::Choice { values, .. } => u64::try_from(values.len()).ok(),
            Self::OneOf { branches } => branches
                .iter()
                .try_fold(0_u64, |sum, branch| sum.checked_add(branch.size()?)),
            Self::Constant { .. } => Some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(domain: Domain, points: u32) -> Vec<Value> {
        match domain.grid(points) {
            Domain::Choice { values, ordered } => {
                assert!(ordered);
                values
            }
            other => panic!("not a list of values: {other:?}"),
        }
    }

    fn int(low: i64, high: i64, scale: Scale) -> Domain {
        let step = None;
        Domain::Int {
            low,
            high,
            scale,
            step,
        }
    }

    fn float(low: f64, high: f64, scale: Scale, step: Option<f64>) -> Domain {
        Domain::Float {
            low,
            high,
            scale,
            step,
        }
    }

    #[test]
    fn values_are_evenly_spaced_on_the_scale_with_both_ends() {
        let numbers = |values: Vec<Value>| json!(values);
        assert_eq!(
            numbers(values(float(0.0, 0.3, Scale::Linear, None), 4)),
            json!([0.0, 0.1, 0.2, 0.3])
        );
        assert_eq!(
            numbers(values(float(1e-4, 1.0, Scale::Log, None), 3)),
            json!([1e-4, 0.01, 1.0])
        );
        assert_eq!(
            numbers(values(int(1, 100, Scale::Log), 3)),
            json!([1, 10, 100])
        );
        assert_eq!(numbers(values(int(0, 10, Scale::Linear), 1)), json!([5]));
    }

    #[test]
    fn values_that_round_to_one_are_one() {
        assert_eq!(
            json!(values(int(1, 8, Scale::Log), 7)),
            json!([1, 2, 3, 4, 6, 8])
        );
        assert_eq!(
            json!(values(float(0.5, 0.5, Scale::Linear, None), 3)),
            json!([0.5])
        );
    }

    #[test]
    fn what_is_finite_stays_as_it_is() {
        let stepped = float(0.0, 1.0, Scale::Linear, Some(0.1));
        assert_eq!(stepped.grid(3), stepped);
        assert_eq!(stepped.size(), Some(11));
        let few = int(2, 4, Scale::Linear);
        assert_eq!(few.grid(3), few);
        assert_eq!(few.size(), Some(3));
    }

    #[test]
    fn sizes_multiply_and_branches_add() {
        let one = |domain| Space {
            dimensions: vec![Dimension {
                name: "x".to_owned(),
                domain,
            }],
        };
        let branches = vec![
            one(int(1, 3, Scale::Linear)),
            one(float(0.0, 1.0, Scale::Linear, None)),
            Space::default(),
        ];
        let mut space = one(Domain::OneOf { branches });
        space.dimensions.push(Dimension {
            name: "y".to_owned(),
            domain: int(1, 1000, Scale::Log),
        });
        assert_eq!(space.size(), None);
        assert_eq!(space.grid(4).size(), Some((3 + 4 + 1) * 4));
        let huge = one(int(i64::MIN, i64::MAX, Scale::Linear));
        assert_eq!(huge.size(), None);
        assert_eq!(huge.grid(2).size(), Some(2));
    }
}
