//! What is known of a trial: its role, its outcome, its numbers.

use crate::id::TrialNumber;
use crate::money::Unit;
use crate::names::names;
use crate::state::TrialState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

names! {
    /// What a trial is for.
    pub enum TrialRole: "trial role" {
        /// Evaluating a configuration that the searcher proposed.
        Search = "search",
        /// Evaluating the configuration that the winner is compared with.
        Baseline = "baseline",
        /// Evaluating a configuration that an evaluation was given.
        Evaluation = "evaluation",
    }
}

/// A mean over instances, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the sample over √count; absent below two instances.
    pub standard_error: Option<f64>,
    /// Instances that the mean is over.
    pub count: u32,
}

/// A confidence interval of a mean, both ends within it; of 95 % where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The mean of a metric of a configuration less that of what it is to be as good as.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QualityDifference {
    /// The mean difference; below 0 where it is worse.
    pub mean: f64,
    /// How far the mean may be off: one standard deviation.
    pub standard_error: Option<f64>,
    /// What the mean difference is no less than, with the confidence that the job asks for.
    pub lower_bound: f64,
}

names! {
    /// Whether a configuration is better than the one that it is compared with, as far as the
    /// instances show that were not used to choose it.
    pub enum Improvement: "improvement" {
        /// Better, and by more than chance would have it.
        Significant = "significant",
        /// Better on these instances; that may be chance.
        NotSignificant = "not_significant",
        /// Not better, or there is nothing to compare.
        None = "none",
    }
}

names! {
    /// Why no trial used a value of the search space.
    pub enum UntriedReason: "reason why a value was not tried" {
        /// Its prompts alone are over the inference budget.
        OverInferenceBudget = "over_inference_budget",
        /// The optimization budget was spent before.
        OptimizationBudget = "optimization_budget",
        /// The limit on trials was reached before.
        TrialLimit = "trial_limit",
        /// The limit on time was reached before.
        Deadline = "deadline",
        /// A client cancelled the job before.
        Cancelled = "cancelled",
        /// The search ended by itself, and did not expect it to be worth its price.
        NotProposed = "not_proposed",
    }
}

/// A cost per instance, in the unit of the inference budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CostEstimate {
    /// Dollars or tokens.
    pub unit: Unit,
    /// The cost of one instance, prompt and all responses.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// What a trial's evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The objective.
    pub utility: Estimate,
    /// Every metric, the objective among them, by name.
    pub metrics: BTreeMap<String, Estimate>,
    /// What one instance costs under the configuration.
    pub inference_cost: CostEstimate,
    /// The names of the metrics whose means violate a constraint of the job, or that are not shown to
    /// be as good as the objective asks, each once.
    #[serde(default)]
    pub violated: Vec<String>,
    /// Whether the inference cost is within the inference budget and nothing is violated.
    pub valid: bool,
    /// How far it was looked at; absent in what was stored before this was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// The interval of the objective, on the instances that the search sees; absent where it is not known,
    /// and in what was stored before this was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utility_interval: Option<Interval>,
}

/// How far a configuration was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Instances with responses.
    pub instances: u32,
    /// Instances of the job that the search sees.
    pub of: u32,
    /// The fewest responses of an instance that has any.
    pub responses: u32,
    /// Whether every instance was asked for.
    pub complete: bool,
}

impl Evaluation {
    /// Whether it was looked at on every instance.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.coverage.is_none_or(|coverage| coverage.complete)
    }
}

/// Why a trial was pruned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum PruneReason {
    /// Known to be over the inference budget from an earlier trial; nothing was requested.
    KnownInvalid,
    /// Found to be over the inference budget on the way.
    OverBudget {
        /// Responses per instance when it showed.
        n: u32,
        /// Instances seen at that `n`.
        instances: u32,
    },
    /// Significantly worse than the best trial when it began, on the instances seen.
    Inferior {
        /// The trial that it was compared with.
        than: TrialNumber,
        /// Its objective less that trial's, paired by instance, on the instances seen.
        difference: Estimate,
    },
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TrialOutcome {
    /// Evaluated: on every instance (but for a stated share of failures), or as far as its
    /// [coverage](Evaluation::coverage) says.
    Evaluated(Evaluation),
    /// Ended early because it cannot be worth its price.
    Pruned {
        /// Why.
        #[serde(flatten)]
        reason: PruneReason,
    },
    /// The endpoint refuses the configuration.
    Infeasible {
        /// What the endpoint said.
        detail: String,
    },
    /// Requests failed for good on too many instances.
    Failed {
        /// What went wrong.
        detail: String,
    },
    /// Cut off by the end of the job.
    Stopped,
}

impl TrialOutcome {
    /// The state that a trial with this outcome is in.
    #[must_use]
    pub const fn state(&self) -> TrialState {
        match self {
            Self::Evaluated(_) => TrialState::Evaluated,
            Self::Pruned { .. } => TrialState::Pruned,
            Self::Infeasible { .. } => TrialState::Infeasible,
            Self::Failed { .. } => TrialState::Failed,
            Self::Stopped => TrialState::Stopped,
        }
    }
}

/// How many trials ended in which way, how many requests were sent, how many responses came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Trials being evaluated.
    pub running: u32,
    /// Trials evaluated on every instance.
    pub evaluated: u32,
    /// Trials pruned before any request.
    pub pruned_before_requests: u32,
    /// Trials pruned on the way.
    pub pruned_on_the_way: u32,
    /// Trials that the endpoint refused.
    pub infeasible: u32,
    /// Trials that failed.
    pub failed: u32,
    /// Trials cut off by the end of the job.
    pub stopped: u32,
    /// Requests sent.
    pub requests: u64,
    /// Responses received.
    pub responses: u64,
}

impl Progress {
    /// Counts a trial that has ended.
    pub const fn count_end(&mut self, outcome: &TrialOutcome) {
        let count = match outcome {
            TrialOutcome::Evaluated(_) => &mut self.evaluated,
            TrialOutcome::Pruned {
                reason: PruneReason::KnownInvalid,
            } => &mut self.pruned_before_requests,
            TrialOutcome::Pruned { .. } => &mut self.pruned_on_the_way,
            TrialOutcome::Infeasible { .. } => &mut self.infeasible,
            TrialOutcome::Failed { .. } => &mut self.failed,
            TrialOutcome::Stopped => &mut self.stopped,
        };
        *count += 1;
    }

    /// Trials begun.
    #[must_use]
    pub const fn trials(&self) -> u32 {
        self.running
            + self.evaluated
            + self.pruned_before_requests
            + self.pruned_on_the_way
            + self.infeasible
            + self.failed
            + self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_is_counted_once() {
        let mut progress = Progress::default();
        let pruned = |reason| TrialOutcome::Pruned { reason };
        let over_budget = PruneReason::OverBudget { n: 1, instances: 1 };
        for outcome in [
            pruned(PruneReason::KnownInvalid),
            pruned(over_budget),
            TrialOutcome::Infeasible {
                detail: String::new(),
            },
            TrialOutcome::Failed {
                detail: String::new(),
            },
            TrialOutcome::Stopped,
        ] {
            progress.count_end(&outcome);
        }
        assert_eq!(progress.trials(), 5);
        assert_eq!((progress.pruned_before_requests, progress.running), (1, 0));
    }
}
