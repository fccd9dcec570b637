//! One varying setting: its values, and where they lie between 0 and 1.

use frugal_domain::grid::{rounded, steps};
use frugal_domain::space::{Domain, Scale};
use serde_json::{Number, Value};

/// The values of one setting that a search varies.
#[derive(Debug, Clone, PartialEq)]
pub enum Axis {
    /// Numbers, floats or integers.
    Number {
        /// The smallest value.
        low: f64,
        /// The largest value that is on the grid.
        high: f64,
        /// Whether distances are ratios.
        log: bool,
        /// The distance of neighbours: the step of a stepped axis, 1 for other integers.
        step: Option<f64>,
        /// Whether the values are integers.
        integer: bool,
    },
    /// One of several values.
    Choice {
        /// The values.
        values: Vec<Value>,
        /// Whether neighbours in the list are alike.
        ordered: bool,
    },
}

impl Axis {
    /// The axis of a domain; `None` for one that does not vary or that branches.
    ///
    /// # Errors
    /// What is wrong with a domain that has no values or no distances.
    pub(crate) fn of(domain: &Domain) -> Result<Option<Self>, &'static str> {
        let axis = match domain {
            Domain::Float {
                low,
                high,
                scale,
                step,
            } => Self::number(*low, *high, *scale, *step, false)?,
            Domain::Int {
                low,
                high,
                scale,
                step,
            } => Self::number(
                *low as f64,
                *high as f64,
                *scale,
                Some(step.unwrap_or(1) as f64),
                true,
            )?,
            Domain::Choice { values, ordered } => {
                if values.is_empty() {
                    return Err("a choice needs at least one value");
                }
                Self::Choice {
                    values: values.clone(),
                    ordered: *ordered,
                }
            }
            Domain::OneOf { .. } | Domain::Constant { .. } => return Ok(None),
        };
        Ok(Some(axis))
    }

    fn number(
        low: f64,
        high: f64,
        scale: Scale,
        step: Option<f64>,
        integer: bool,
    ) -> Result<Self, &'static str> {
        if !(low.is_finite() && high.is_finite() && (high - low).is_finite()) || low > high {
            return Err("the bounds must be finite and low must not be above high");
        }
        let log = scale == Scale::Log;
        if log && low <= 0.0 {
            return Err("a logarithmic scale needs a low above 0");
        }
        if step.is_some_and(|step| !(step > 0.0 && step.is_finite())) {
            return Err("the step must be above 0");
        }
        let high = match step {
            // The last value of the grid.
            Some(step) => (low + steps(low, high, step) * step).min(high),
            None => high,
        };
        Ok(Self::Number {
            low,
            high,
            log,
            step,
            integer,
        })
    }

    /// Whether the axis has no order: it holds values that are alike to no other.
    #[must_use]
    pub fn is_unordered(&self) -> bool {
        matches!(self, Self::Choice { ordered: false, .. })
    }

    /// How many values there are; `None` for a continuum.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Number {
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
                let steps = ((high - low) / step).round() as u64;
                Some(steps.saturating_add(1))
            }
            Self::Number { low, high, .. } => (low == high).then_some(1),
            Self::Choice { values, .. } => u64::try_from(values.len()).ok(),
        }
    }

    /// The value with the given position among [`Self::count`] values.
    #[must_use]
    pub(crate) fn nth(&self, index: u64, exact: bool) -> Value {
        match self {
            Self::Number { low, step, .. } => {
                self.place(low + step.unwrap_or(0.0) * index as f64, exact)
            }
            Self::Choice { values, .. } => usize::try_from(index)
                .ok()
                .and_then(|index| values.get(index))
                .cloned()
                .unwrap_or(Value::Null),
        }
    }

    /// The position of a value among the choices; `None` for numbers and unknown values.
    #[must_use]
    pub fn position(&self, value: &Value) -> Option<usize> {
        match self {
            Self::Choice { values, .. } => values.iter().position(|v| v == value),
            Self::Number { .. } => None,
        }
    }

    /// Where a value lies in [0, 1]. An ordered choice of k values is cut into k equal parts,
    /// each value in the middle of its own; an unordered one lies at 0.5 (reference rule: it
    /// has no place of its own). An axis of one value lies at 0.5. `None` where the value is
    /// not one of the axis.
    #[must_use]
    pub fn encode(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Number { low, high, log, .. } => {
                let value = value.as_f64()?;
                if low == high {
                    return Some(0.5);
                }
                Some(if *log {
                    (value / low).ln() / (high / low).ln()
                } else {
                    (value - low) / (high - low)
                })
            }
            Self::Choice { values, ordered } => {
                let index = self.position(value)?;
                Some(if *ordered {
                    (index as f64 + 0.5) / values.len() as f64
                } else {
                    0.5
                })
            }
        }
    }

    /// The value at a place in [0, 1]: the nearest one of a grid (ties to the even one). With
    /// `exact`, floats keep all their digits; else they are rounded to twelve.
    #[must_use]
    pub fn decode(&self, unit: f64, exact: bool) -> Value {
        match self {
            Self::Number { low, high, log, .. } => {
                let raw = if low == high {
                    *low
                } else if *log {
                    (high / low).powf(unit) * low
                } else {
                    unit * (high - low) + low
                };
                self.place(raw, exact)
            }
            Self::Choice { values, .. } => {
                let index = bucket(unit, values.len());
                values.get(index).cloned().unwrap_or(Value::Null)
            }
        }
    }

    /// The value that a uniform draw from [0, 1) stands for: every value of a linear grid and of
    /// a choice is equally likely, and every ratio on a logarithmic scale.
    pub(crate) fn drawn(&self, unit: f64, exact: bool) -> Value {
        match (self, self.count()) {
            (Self::Number { log: false, .. }, Some(count)) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                self.nth(bucket(unit, count) as u64, exact)
            }
            _ => self.decode(unit, exact),
        }
    }

    /// A permitted value near a number.
    fn place(&self, raw: f64, exact: bool) -> Value {
        let Self::Number {
            low,
            high,
            step,
            integer,
            ..
        } = self
        else {
            return Value::Null;
        };
        let snapped = match step {
            Some(step) if *integer && *step == 1.0 => raw.round_ties_even(),
            Some(step) => {
                // Ties are those of whole multiples of the step wherever the grid is made of
                // such (reference rule), else those of its own points.
                let offset = low - (low / step).round() * step;
                ((raw - offset) / step).round_ties_even() * step + offset
            }
            None => raw,
        };
        if *integer {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "within integer bounds, or saturated to them"
            )]
            let whole = snapped.clamp(*low, *high) as i64;
            return Value::from(whole);
        }
        let value = if exact { snapped } else { rounded(snapped) };
        // Adding 0 turns a negative zero into a plain one, which prints alike.
        float(value.clamp(*low, *high) + 0.0)
    }

    /// The value in the form that this search proposes it in: floats as floats, integers as
    /// integers, so that equal values print alike. `None` where it is not one of the axis.
    #[must_use]
    pub(crate) fn normal_form(&self, value: &Value) -> Option<Value> {
        let Self::Number {
            low,
            high,
            step,
            integer,
            ..
        } = self
        else {
            return self.position(value).map(|_| value.clone());
        };
        let number = value.as_f64()?;
        let on_grid = step.is_none_or(|step| {
            let steps = (number - low) / step;
            (steps - steps.round()).abs() < 1e-6
        });
        if !on_grid || !(*low..=*high).contains(&number) {
            return None;
        }
        if *integer {
            value.as_i64().map(Value::from)
        } else {
            Some(float(number + 0.0))
        }
    }

    /// The part of the step size's lower bound that does not depend on where the search is
    /// (reference rule): one grid step of a linear axis, over the number of values between the
    /// bounds. `None` where there is none.
    pub(crate) fn fixed_step_bound(&self) -> Option<f64> {
        match self {
            Self::Number {
                low,
                high,
                log: false,
                step: Some(step),
                ..
            } => Some(step / (high - low + 1.0)),
            _ => None,
        }
    }

    /// The part of the step size's lower bound that depends on the best value (reference
    /// rule): one grid step of a logarithmic axis, taken at that value.
    pub(crate) fn step_bound_at(&self, best: &Value) -> Option<f64> {
        match self {
            Self::Number {
                low,
                high,
                log: true,
                step: Some(step),
                ..
            } => {
                let best = best.as_f64()?;
                Some((1.0 + step / best).ln() / (high / low).ln())
            }
            _ => None,
        }
    }
}

/// Which of `count` equal parts of [0, 1] a place falls into.
pub(crate) fn bucket(unit: f64, count: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "cut to a whole number; what is below 0 or too large saturates"
    )]
    let index = (unit * count as f64).floor() as usize;
    index.min(count.saturating_sub(1))
}

fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn axis(domain: &Domain) -> Axis {
        Axis::of(domain).unwrap().unwrap()
    }

    fn int(low: i64, high: i64, scale: Scale, step: Option<i64>) -> Axis {
        axis(&Domain::Int {
            low,
            high,
            scale,
            step,
        })
    }

    #[test]
    fn integer_bounds_are_reached_on_both_scales() {
        for scale in [Scale::Linear, Scale::Log] {
            let axis = int(50, 999, scale, None);
            assert_eq!(axis.decode(0.0, false), json!(50));
            assert_eq!(axis.decode(1.0, false), json!(999));
            assert_eq!(axis.encode(&json!(999)), Some(1.0));
            assert_eq!(axis.count(), Some(950));
        }
    }

    #[test]
    fn a_grid_ends_below_a_bound_that_is_not_on_it() {
        let axis = int(1, 10, Scale::Linear, Some(4));
        assert_eq!(axis.count(), Some(3));
        assert_eq!(axis.decode(1.0, false), json!(9));
        assert_eq!(
            (0..3).map(|i| axis.nth(i, false)).collect::<Vec<_>>(),
            [json!(1), json!(5), json!(9)]
        );
    }

    #[test]
    fn floats_are_rounded_unless_exact() {
        let axis = axis(&Domain::Float {
            low: 0.0,
            high: 2.0,
            scale: Scale::Linear,
            step: None,
        });
        assert_eq!(axis.decode(0.35 + 1e-16, false), json!(0.7));
        assert_eq!(axis.decode(1.0 / 3.0, false), json!(0.666_666_666_667));
        assert_ne!(axis.decode(1.0 / 3.0, true), json!(0.666_666_666_667));
    }

    #[test]
    fn an_axis_of_one_value_stays_on_it() {
        for axis in [
            int(3, 3, Scale::Linear, None),
            int(3, 3, Scale::Log, None),
            axis(&Domain::Choice {
                values: vec![json!(3)],
                ordered: false,
            }),
        ] {
            assert_eq!(axis.encode(&json!(3)), Some(0.5));
            for unit in [0.0, 0.4, 1.0] {
                assert_eq!(axis.decode(unit, false), json!(3));
            }
        }
    }

    #[test]
    fn domains_without_values_are_refused() {
        for domain in [
            Domain::Int {
                low: 2,
                high: 1,
                scale: Scale::Linear,
                step: None,
            },
            Domain::Float {
                low: 0.0,
                high: 1.0,
                scale: Scale::Log,
                step: None,
            },
            Domain::Float {
                low: f64::NAN,
                high: 1.0,
                scale: Scale::Linear,
                step: None,
            },
            Domain::Choice {
                values: vec![],
                ordered: true,
            },
        ] {
            assert!(Axis::of(&domain).is_err(), "{domain:?}");
        }
    }
}
