//! What is measured of a configuration, and what may be asked of a measure.
//!
//! Every metric has a value on each instance; a configuration's is their mean. One metric is the
//! job's objective, and any may be held to bounds by [`Constraint`]s.

use crate::names::names;
use crate::scoring::Reducer;
use crate::trial::Estimate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

names! {
    /// A number that each instance has under a configuration.
    pub enum Metric: "metric" {
        /// [`Reducer::ExpectedSuccess`] over the scores of the instance's responses.
        ExpectedSuccess = "expected_success",
        /// [`Reducer::Success`] over the same.
        Success = "success",
        /// [`Reducer::Mean`] over the same.
        Mean = "mean",
        /// [`Reducer::Min`] over the same.
        Min = "min",
        /// [`Reducer::Majority`] over the same and the answers that they give.
        Majority = "majority",
        /// [`Reducer::BestOfN`] over the same and what the selector says of them.
        BestOfN = "best_of_n",
        /// Milliseconds until all responses of the instance were there. Where they came with several
        /// requests, these are taken to go out together: the slowest counts. A response that is used
        /// again counts with the request that it was bought with; where latency
        /// [counts](crate::job::JobSpec::measures_own_latency), none is.
        LatencyMs = "latency_ms",
        /// The share of the instance's responses that were cut at `max_tokens`.
        CutRate = "cut_rate",
        /// Tokens of the instance's n responses, all together.
        CompletionTokens = "completion_tokens",
        /// What the instance costs, prompt and all responses, in dollars or tokens: the job's
        /// [cost unit](crate::job::JobSpec::cost_unit).
        InferenceCost = "inference_cost",
    }
}

names! {
    /// A number of all responses together, which is no mean over instances.
    pub enum CorpusMetric: "metric of a corpus" {
        /// BLEU of the corpus: the precisions and the lengths are those of all texts.
        Bleu = "corpus_bleu",
        /// The harmonic mean of the two that follow (micro-averaged).
        F1 = "corpus_f1",
        /// What of all that the responses say is right.
        Precision = "corpus_precision",
        /// What of all that is right the responses say.
        Recall = "corpus_recall",
    }
}

impl Metric {
    /// The largest value that it can take, if there is one. No metric is ever below 0.
    #[must_use]
    pub const fn largest(self) -> Option<f64> {
        match self {
            Self::ExpectedSuccess
            | Self::Success
            | Self::Mean
            | Self::Min
            | Self::Majority
            | Self::BestOfN
            | Self::CutRate => Some(1.0),
            Self::LatencyMs | Self::CompletionTokens | Self::InferenceCost => None,
        }
    }
}

impl From<Reducer> for Metric {
    fn from(reducer: Reducer) -> Self {
        match reducer {
            Reducer::ExpectedSuccess => Self::ExpectedSuccess,
            Reducer::Success => Self::Success,
            Reducer::Mean => Self::Mean,
            Reducer::Min => Self::Min,
            Reducer::Majority => Self::Majority,
            Reducer::BestOfN => Self::BestOfN,
        }
    }
}

/// How far a mean may be beyond a bound, as a share of the bound: the rounding of a sum over many
/// instances stays below it.
const ROUNDING: f64 = 1e-9;

/// What a configuration must keep to be valid: a bound on the mean of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// The metric.
    pub metric: Metric,
    /// The bound on its mean over the instances.
    #[serde(flatten)]
    pub bound: Bound,
}

/// A bound, in the metric's own unit. It is itself allowed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Bound {
    /// Whether a mean keeps the bound. One that is beyond it by rounding alone does.
    #[must_use]
    pub fn allows(self, mean: f64) -> bool {
        match self {
            Self::AtMost(bound) => mean <= bound + bound.abs() * ROUNDING,
            Self::AtLeast(bound) => mean >= bound - bound.abs() * ROUNDING,
        }
    }
}

/// The names of the metrics whose means violate a constraint, each once, in the order of the
/// constraints. The mean alone decides, however sure it is; a metric without one violates.
#[must_use]
pub fn violated(constraints: &[Constraint], metrics: &BTreeMap<String, Estimate>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for Constraint { metric, bound } in constraints {
        let name = metric.as_str();
        let kept = metrics
            .get(name)
            .is_some_and(|estimate| bound.allows(estimate.mean));
        if !kept && names.iter().all(|other| other != name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn means(values: &[(Metric, f64)]) -> BTreeMap<String, Estimate> {
        let estimate = |mean| Estimate {
            mean,
            standard_error: None,
            count: 1,
        };
        values
            .iter()
            .map(|(metric, mean)| (metric.as_str().to_owned(), estimate(*mean)))
            .collect()
    }

    #[test]
    fn a_metric_is_stored_under_its_name() {
        for metric in Metric::ALL {
            assert_eq!(json!(metric), metric.as_str());
        }
        for reducer in Reducer::ALL {
            assert_eq!(json!(reducer), json!(Metric::from(*reducer)));
        }
    }

    #[test]
    fn a_constraint_is_stored_as_it_is_written() {
        let constraint = Constraint {
            metric: Metric::CutRate,
            bound: Bound::AtMost(0.1),
        };
        let stored = json!({"metric": "cut_rate", "at_most": 0.1});
        assert_eq!(json!(constraint), stored);
        let read: Constraint = serde_json::from_value(stored).unwrap();
        assert_eq!(read, constraint);
    }

    #[test]
    fn a_bound_is_itself_allowed() {
        // Ten times 0.1, summed and divided, is not 0.1 to the last bit.
        let tenth = (0..10).map(|_| 0.1).sum::<f64>() / 10.0;
        for bound in [Bound::AtMost(0.1), Bound::AtLeast(0.1)] {
            assert!(bound.allows(0.1) && bound.allows(tenth));
        }
        assert!(!Bound::AtMost(0.1).allows(0.100_001) && Bound::AtMost(0.1).allows(0.0));
        assert!(!Bound::AtLeast(0.1).allows(0.099_999) && Bound::AtLeast(0.1).allows(1.0));
        assert!(Bound::AtMost(0.0).allows(0.0) && !Bound::AtMost(0.0).allows(1e-12));
        assert!(!Bound::AtMost(1.0).allows(f64::NAN) && !Bound::AtLeast(0.0).allows(f64::NAN));
    }

    #[test]
    fn each_violated_metric_is_named_once() {
        let at = |metric, bound| Constraint { metric, bound };
        let constraints = [
            at(Metric::LatencyMs, Bound::AtMost(100.0)),
            at(Metric::CutRate, Bound::AtMost(0.5)),
            at(Metric::Success, Bound::AtLeast(0.5)),
            at(Metric::Success, Bound::AtLeast(0.9)),
            at(Metric::LatencyMs, Bound::AtMost(50.0)),
        ];
        let found = means(&[
            (Metric::LatencyMs, 75.0),
            (Metric::CutRate, 0.5),
            (Metric::Success, 0.25),
        ]);
        assert_eq!(violated(&constraints, &found), ["success", "latency_ms"]);
        assert_eq!(violated(&[], &found), Vec::<String>::new());
        assert_eq!(
            violated(&constraints[1..2], &means(&[])),
            ["cut_rate"],
            "what was not measured is not kept"
        );
    }
}
