//! The values that `n` or `max_tokens` may have.

use frugal_domain::space::Domain;
use serde_json::Value;

/// Whole numbers that a setting may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Every `step`th number from `low` to `high`, both included.
    Range {
        /// The smallest.
        low: u32,
        /// The largest.
        high: u32,
        /// The distance between neighbours; at least 1.
        step: u32,
    },
    /// These, in rising order; at least one.
    List(Vec<u32>),
}

impl Allowed {
    /// The values of a dimension; nothing where it has none that is a whole number above 0.
    #[must_use]
    pub fn of(domain: &Domain) -> Option<Self> {
        let whole = |value: &Value| {
            let value = u32::try_from(value.as_u64()?).ok()?;
            (value > 0).then_some(value)
        };
        match domain {
            Domain::Int {
                low, high, step, ..
            } => {
                let low = u32::try_from(*low).ok().filter(|low| *low > 0)?;
                let step = u32::try_from(step.unwrap_or(1)).ok()?.max(1);
                let high = u32::try_from(*high).ok().filter(|high| *high >= low)?;
                let high = high - (high - low) % step;
                Some(Self::Range { low, high, step })
            }
            Domain::Choice { values, .. } => Self::list(values.iter().filter_map(whole).collect()),
            Domain::Constant { value } => Self::list(whole(value).into_iter().collect()),
            Domain::Float { .. } | Domain::OneOf { .. } => None,
        }
    }

    fn list(mut values: Vec<u32>) -> Option<Self> {
        values.sort_unstable();
        values.dedup();
        (!values.is_empty()).then_some(Self::List(values))
    }

    /// The smallest.
    #[must_use]
    pub fn smallest(&self) -> u32 {
        match self {
            Self::Range { low, .. } => *low,
            Self::List(values) => values.first().copied().unwrap_or(1),
        }
    }

    /// The largest.
    #[must_use]
    pub fn largest(&self) -> u32 {
        match self {
            Self::Range { high, .. } => *high,
            Self::List(values) => values.last().copied().unwrap_or(1),
        }
    }

    /// The largest that is at most this.
    #[must_use]
    pub fn at_most(&self, most: f64) -> Option<u32> {
        if most.is_nan() || most < f64::from(self.smallest()) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "cut to a whole number between the smallest and the largest"
        )]
        let most = most.min(f64::from(self.largest())) as u32;
        Some(match self {
            Self::Range { low, step, .. } => most - (most - low) % step,
            Self::List(values) => {
                let above = values.partition_point(|value| *value <= most);
                values[..above].last().copied().unwrap_or(most)
            }
        })
    }

    /// The smallest that is at least this, or the largest where all are smaller.
    #[must_use]
    pub fn at_least(&self, least: f64) -> u32 {
        match self.at_most(least) {
            None => self.smallest(),
            Some(below) if f64::from(below) >= least => below,
            Some(below) => match self {
                Self::Range { high, step, .. } => below.saturating_add(*step).min(*high),
                Self::List(values) => {
                    let above = values.partition_point(|value| *value <= below);
                    values.get(above).copied().unwrap_or(below)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_are_those_of_the_dimension() {
        let int = |low, high, step| Domain::Int {
            low,
            high,
            scale: frugal_domain::space::Scale::Linear,
            step,
        };
        assert_eq!(
            Allowed::of(&int(10, 99, Some(20))),
            Some(Allowed::Range {
                low: 10,
                high: 90,
                step: 20
            })
        );
        let choice = Domain::Choice {
            values: vec![json!(8), json!(2), json!(8)],
            ordered: false,
        };
        assert_eq!(Allowed::of(&choice), Some(Allowed::List(vec![2, 8])));
        let constant = Domain::Constant { value: json!(5) };
        assert_eq!(Allowed::of(&constant), Some(Allowed::List(vec![5])));
        let none = Domain::Constant { value: json!("x") };
        assert_eq!(Allowed::of(&none), None);
    }

    proptest! {
        #[test]
        fn neighbours_are_allowed_and_nearest(
            low in 1_u32..50, span in 0_u32..200, step in 1_u32..20, asked in 0.0..400.0_f64, as_list: bool,
        ) {
            let high = low + span - span % step;
            let every: Vec<u32> = (low..=high).step_by(step as usize).collect();
            let allowed = if as_list {
                Allowed::List(every.clone())
            } else {
                Allowed::Range { low, high, step }
            };
            let below = every.iter().copied().rfind(|value| f64::from(*value) <= asked);
            prop_assert_eq!(allowed.at_most(asked), below);
            let above = every.iter().copied().find(|value| f64::from(*value) >= asked);
            prop_assert_eq!(allowed.at_least(asked), above.unwrap_or(high));
        }
    }
}
