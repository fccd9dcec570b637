//! What the demo reads of the API's answers. Fields that it does not show are left out.

use frugal_domain::job::ExtentChoice;
use frugal_domain::money::{Budget, Spend};
use frugal_domain::state::{JobState, StopReason};
use frugal_domain::trial::{CostEstimate, Estimate, Improvement, Interval, Progress};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A job that has ended well.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The job as the API tells of it.
    pub job: Job,
    /// Its report.
    pub report: Report,
}

/// A job, from `GET /jobs/{id}`.
#[derive(Debug, Clone, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Where it is in its life.
    pub state: JobState,
    /// Why its search ended.
    pub stop_reason: Option<StopReason>,
    /// Why it failed, in words.
    pub detail: Option<String>,
    /// What it may spend.
    pub budgets: Budgets,
    /// How it is searched.
    pub search: Search,
}

/// How a job is searched.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Search {
    /// How `n` and `max_tokens` are chosen.
    pub extent: ExtentChoice,
}

/// The budgets of a job.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Budgets {
    /// The most that one instance may cost.
    pub inference: Option<Budget>,
    /// The most that the job may spend.
    pub optimization: Budget,
}

/// What a job seeks.
#[derive(Debug, Clone, Deserialize)]
pub struct Objective {
    /// The metric that utilities are of.
    pub metric: String,
}

/// A job's report, from `GET /jobs/{id}/report`.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// What it says to somebody who decides; absent in those of earlier versions.
    #[serde(default)]
    pub summary: Option<String>,
    /// What was sought.
    pub objective: Objective,
    /// Why the search ended.
    pub stop_reason: StopReason,
    /// The default configuration.
    pub baseline: Option<Scored>,
    /// The best configuration within the inference budget.
    pub winner: Option<Scored>,
    /// Winner less baseline, paired by instance.
    pub difference: Option<Estimate>,
    /// Both on the instances that the search did not see.
    pub holdout: Option<Holdout>,
    /// Whether the winner is better than the default.
    pub improvement: Improvement,
    /// The same in words.
    pub improvement_detail: String,
    /// A configuration that is nearly as good as the winner and much cheaper.
    pub nearly_as_good: Option<NearlyAsGood>,
    /// Trials by outcome, requests, responses.
    pub trials: Progress,
    /// What was spent, all roles together.
    pub spend: Spend,
    /// What was saved.
    pub savings: Savings,
    /// Why something is not there that one may look for.
    pub notes: Vec<Note>,
}

impl Report {
    /// Configurations of the search whose trials came to an end of their own: evaluated or
    /// pruned. The baseline is not one of them.
    #[must_use]
    pub fn configurations_tried(&self) -> u32 {
        let Progress {
            evaluated,
            pruned_before_requests,
            pruned_on_the_way,
            ..
        } = self.trials;
        self.evaluated(evaluated) + pruned_before_requests + pruned_on_the_way
    }

    /// Of so many evaluated trials, those of the search.
    fn evaluated(&self, evaluated: u32) -> u32 {
        evaluated.saturating_sub(u32::from(self.baseline.is_some()))
    }

    /// Configurations of the search that were evaluated in full.
    #[must_use]
    pub fn configurations_evaluated(&self) -> u32 {
        self.evaluated(self.trials.evaluated)
    }
}

/// The winner and the default on the instances that the search did not see.
#[derive(Debug, Clone, Deserialize)]
pub struct Holdout {
    /// The winner's objective.
    pub winner: Estimate,
    /// The default's.
    pub baseline: Option<Estimate>,
    /// Winner less default, paired by instance.
    pub difference: Option<Estimate>,
}

/// A configuration with its numbers.
#[derive(Debug, Clone, Deserialize)]
pub struct Scored {
    /// Its trial.
    pub trial: u32,
    /// What it asks of the endpoint.
    pub configuration: Map<String, Value>,
    /// The objective.
    pub utility: Estimate,
    /// What one instance costs.
    pub inference_cost: CostEstimate,
    /// Whether that is within the inference budget.
    pub valid: bool,
    /// The 95 % interval of the objective.
    pub utility_interval: Option<Interval>,
}

/// A configuration that is nearly as good as the winner and much cheaper.
#[derive(Debug, Clone, Deserialize)]
pub struct NearlyAsGood {
    /// What is to be said of it.
    pub detail: String,
}

/// Something that the report says of what it does not show.
#[derive(Debug, Clone, Deserialize)]
pub struct Note {
    /// It in words.
    pub detail: String,
}

/// What pruning and the pool of responses saved.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Savings {
    /// What the trials of the search cost.
    pub spent: Spend,
    /// What evaluating every one of them in full would have cost, by estimate.
    pub full_evaluation: Spend,
}
