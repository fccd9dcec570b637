//! Which of two trials is to be preferred.

use crate::id::TrialNumber;
use crate::job::Direction;
use crate::trial::TrialOutcome;

/// How good a valid trial is among others: better first; of equal ones the cheaper, then the
/// earlier. The order in which trials end does not matter.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rank {
    loss: f64,
    cost: f64,
    trial: TrialNumber,
}

impl Rank {
    /// The rank of a trial; nothing where it was not evaluated or is not valid.
    #[must_use]
    pub fn of(trial: TrialNumber, outcome: &TrialOutcome, direction: Direction) -> Option<Self> {
        match outcome {
            TrialOutcome::Evaluated(evaluation) if evaluation.valid => Some(Self {
                loss: direction.loss(evaluation.utility.mean),
                cost: evaluation.inference_cost.estimate.mean,
                trial,
            }),
            _ => None,
        }
    }

    /// The trial.
    #[must_use]
    pub const fn trial(&self) -> TrialNumber {
        self.trial
    }

    /// Whether it is to be preferred to another.
    #[must_use]
    pub fn beats(&self, other: &Self) -> bool {
        self < other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Unit;
    use crate::trial::{CostEstimate, Estimate, Evaluation};
    use std::collections::BTreeMap;

    fn evaluated(utility: f64, cost: f64, valid: bool) -> TrialOutcome {
        let estimate = |mean| Estimate {
            mean,
            standard_error: None,
            count: 1,
        };
        TrialOutcome::Evaluated(Evaluation {
            utility: estimate(utility),
            metrics: BTreeMap::new(),
            inference_cost: CostEstimate {
                unit: Unit::Usd,
                estimate: estimate(cost),
            },
            violated: Vec::new(),
            valid,
            coverage: None,
            utility_interval: None,
        })
    }

    #[test]
    fn the_better_then_the_cheaper_then_the_earlier_trial_is_preferred() {
        let rank = |number, outcome: &TrialOutcome, direction| {
            Rank::of(TrialNumber(number), outcome, direction)
        };
        let beats = |direction, one: (u32, f64, f64), other: (u32, f64, f64)| {
            let of = |(number, utility, cost)| {
                rank(number, &evaluated(utility, cost, true), direction).unwrap()
            };
            of(one).beats(&of(other))
        };
        assert!(beats(Direction::Maximize, (2, 0.9, 5.0), (1, 0.8, 1.0)));
        assert!(beats(Direction::Minimize, (2, 0.8, 5.0), (1, 0.9, 1.0)));
        assert!(beats(Direction::Maximize, (2, 0.9, 1.0), (1, 0.9, 5.0)));
        assert!(beats(Direction::Maximize, (1, 0.9, 1.0), (2, 0.9, 1.0)));
        assert!(!beats(Direction::Maximize, (1, 0.9, 1.0), (1, 0.9, 1.0)));
        assert!(rank(1, &evaluated(0.9, 1.0, false), Direction::Maximize).is_none());
        assert!(rank(1, &TrialOutcome::Stopped, Direction::Maximize).is_none());
    }
}
