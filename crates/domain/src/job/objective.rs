//! What a search is after: the most or the least of a metric, or the least cost of answers that are
//! as good as what one has.

use crate::metric::{Bound, Constraint, Metric};
use crate::names::names;
use crate::trial::QualityDifference;
use serde::{Deserialize, Serialize};

/// What the search is after.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// The metric, whose mean over the instances is the utility.
    pub metric: Metric,
    /// Whether more is better.
    pub direction: Direction,
    /// How good answers must be, where the objective is the least inference cost of answers that are
    /// as good as others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cheapest: Option<NonInferiority>,
}

/// Whether the objective or a constraint is about [`Metric::LatencyMs`].
#[must_use]
pub fn measures_latency(objective: &Objective, constraints: &[Constraint]) -> bool {
    objective.metric == Metric::LatencyMs
        || constraints
            .iter()
            .any(|constraint| constraint.metric == Metric::LatencyMs)
}

impl Objective {
    /// The least inference cost of answers that are as good as others.
    #[must_use]
    pub const fn cheapest(standard: NonInferiority) -> Self {
        Self {
            metric: Metric::InferenceCost,
            direction: Direction::Minimize,
            cheapest: Some(standard),
        }
    }

    /// The metric that says how good answers are: what must be as good where the cheapest is sought,
    /// else the objective's own.
    #[must_use]
    pub fn quality(&self) -> Metric {
        self.cheapest
            .map_or(self.metric, |standard| standard.metric)
    }

    /// Whether the baseline is what answers must be as good as.
    #[must_use]
    pub fn refers_to_baseline(&self) -> bool {
        self.cheapest
            .is_some_and(|standard| standard.as_good_as == Reference::Baseline)
    }
}

/// When a configuration is as good as a reference: where the mean of a metric is, with some confidence,
/// no lower than the reference's less a margin. (The test of a trial for non-inferiority.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NonInferiority {
    /// A metric of the quality of answers, more being better.
    pub metric: Metric,
    /// What it is held against.
    pub as_good_as: Reference,
    /// How much lower the mean may be, in the metric's own unit; above 0 and below 1.
    pub margin: f64,
    /// How sure it is to be that it is no lower: the chance, from one half to below 1, of not taking a
    /// configuration for as good that misses the margin.
    pub confidence: f64,
}

impl NonInferiority {
    /// Whether a difference from the reference shows that the margin is kept. One that is beyond it by
    /// rounding alone does.
    #[must_use]
    pub fn holds(&self, difference: &QualityDifference) -> bool {
        Bound::AtLeast(-self.margin).allows(difference.lower_bound)
    }
}

/// What a configuration is to be as good as.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenReference", into = "WrittenReference")]
pub enum Reference {
    /// The baseline, on the same instances.
    Baseline,
    /// A mean.
    Value(f64),
}

/// A reference as it is posted and stored: `"baseline"` or a number.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenReference {
    Named(ReferenceName),
    Value(f64),
}

/// A reference with a name.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReferenceName {
    Baseline,
}

impl From<WrittenReference> for Reference {
    fn from(written: WrittenReference) -> Self {
        match written {
            WrittenReference::Named(ReferenceName::Baseline) => Self::Baseline,
            WrittenReference::Value(value) => Self::Value(value),
        }
    }
}

impl From<Reference> for WrittenReference {
    fn from(reference: Reference) -> Self {
        match reference {
            Reference::Baseline => Self::Named(ReferenceName::Baseline),
            Reference::Value(value) => Self::Value(value),
        }
    }
}

names! {
    /// Whether more is better.
    pub enum Direction: "direction" {
        /// More is better.
        Maximize = "maximize",
        /// Less is better.
        Minimize = "minimize",
    }
}

impl Direction {
    /// Which way a metric is better, all else being equal: the quality of answers as high as can be,
    /// what they take as low.
    #[must_use]
    pub const fn better_of(metric: Metric) -> Self {
        match metric {
            Metric::ExpectedSuccess
            | Metric::Success
            | Metric::Mean
            | Metric::Min
            | Metric::Majority
            | Metric::BestOfN => Self::Maximize,
            Metric::LatencyMs
            | Metric::CutRate
            | Metric::CompletionTokens
            | Metric::InferenceCost => Self::Minimize,
        }
    }

    /// A utility as a loss: less is always better.
    #[must_use]
    pub fn loss(self, utility: f64) -> f64 {
        match self {
            Self::Maximize => -utility,
            Self::Minimize => utility,
        }
    }

    /// Whether a utility is better than another.
    #[must_use]
    pub fn better(self, utility: f64, than: f64) -> bool {
        self.loss(utility) < self.loss(than)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_objective_is_stored_as_it_is_posted() {
        let standard = |as_good_as| NonInferiority {
            metric: Metric::ExpectedSuccess,
            as_good_as,
            margin: 0.02,
            confidence: 0.9,
        };
        for (reference, written) in [
            (Reference::Baseline, json!("baseline")),
            (Reference::Value(0.5), json!(0.5)),
        ] {
            let objective = Objective::cheapest(standard(reference));
            let stored = json!({
                "metric": "inference_cost",
                "direction": "minimize",
                "cheapest": {"metric": "expected_success", "as_good_as": written,
                             "margin": 0.02, "confidence": 0.9}
            });
            assert_eq!(json!(objective), stored);
            assert_eq!(
                serde_json::from_value::<Objective>(stored).unwrap(),
                objective
            );
            assert_eq!(objective.quality(), Metric::ExpectedSuccess);
        }
        let other = json!({"metric": "mean", "direction": "maximize"});
        let read: Objective = serde_json::from_value(other.clone()).unwrap();
        assert_eq!((json!(read), read.quality()), (other, Metric::Mean));
        let unknown = json!({"metric": "inference_cost", "direction": "minimize",
                             "cheapest": {"metric": "mean", "as_good_as": "winner", "margin": 0.1, "confidence": 0.9}});
        assert!(serde_json::from_value::<Objective>(unknown).is_err());
    }
}
