//! The report of an evaluation: how good given configurations are, what each costs, and whether the
//! differences are real.

use crate::comparison::{Comparison, Correction};
use crate::interval_estimate::IntervalEstimate;
use crate::notes::Note;
use crate::report::Diagnostics;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{Objective, TrialReference};
use frugal_domain::money::{Budget, Spend, Unit};
use frugal_domain::spend::SpendByCategory;
use frugal_domain::state::{StopReason, TrialState};
use frugal_domain::trial::{Coverage, Progress};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The report of an evaluation, as it is stored and served.
#[derive(Debug, Clone, Serialize)]
pub struct EvaluationReport {
    /// What was found, in a sentence.
    pub verdict: String,
    /// What the configurations are ranked by.
    pub objective: Objective,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// The name of the configuration that the others are compared with.
    pub reference: String,
    /// How far it got.
    pub rows: Rows,
    /// Every configuration, in the order in which they were given.
    pub configurations: Vec<Evaluated>,
    /// The others held against the reference, in the same order; those aside of which nothing was found.
    pub comparisons: Vec<Comparison>,
    /// How several comparisons were reckoned with.
    pub correction: Correction,
    /// The evaluated configurations, best first.
    pub ranking: Vec<Ranked>,
    /// The budgets.
    pub budgets: Budgets,
    /// What was spent, all categories together.
    pub spend: Spend,
    /// What was spent, by category.
    pub spend_by_role: SpendByCategory,
    /// Configurations by outcome, requests, responses.
    pub trials: Progress,
    /// What the numbers rest on.
    pub diagnostics: Diagnostics,
    /// What else is to be said.
    pub notes: Vec<Note>,
}

/// How far an evaluation got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Rows of the data.
    pub of: usize,
    /// Rows on which every configuration was seen that was evaluated.
    pub seen_by_all: usize,
}

/// The budgets of an evaluation.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Budgets {
    /// The most that one instance may cost under a configuration.
    pub inference: Option<Budget>,
    /// The most that the whole evaluation may spend.
    pub evaluation: Budget,
}

/// A configuration with its numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluated {
    /// Its name.
    pub name: String,
    /// Its trial.
    pub trial: TrialNumber,
    /// What it asks of the endpoint.
    pub configuration: Map<String, Value>,
    /// The trial of another job that it was taken from.
    pub source: Option<TrialReference>,
    /// What became of it.
    pub state: TrialState,
    /// Why it has no numbers, in words.
    pub detail: Option<String>,
    /// How far it was looked at.
    pub coverage: Option<Coverage>,
    /// Every metric by name.
    pub metrics: BTreeMap<String, IntervalEstimate>,
    /// What one instance costs under it, prompt and all responses.
    pub inference_cost: Option<CostInterval>,
    /// Whether that is within the inference budget; nothing where there is none.
    pub within_inference_budget: Option<bool>,
    /// The names of the metrics whose means violate a constraint.
    pub violated: Vec<String>,
    /// Whether it is within the inference budget and nothing is violated.
    pub valid: Option<bool>,
    /// Tokens of the prompts of the rows and of the responses that it used.
    pub tokens: Tokens,
    /// What the requests cost that were sent for it.
    pub spend: Spend,
    /// Requests sent for it.
    pub requests: u32,
    /// Responses received for it.
    pub responses: u32,
    /// Responses that it used and that were bought for another configuration, or by another job.
    pub shared_responses: u64,
    /// Requests that failed for good.
    pub failed_requests: u64,
    /// Rows that have no answer.
    pub rows_without_answer: usize,
}

/// A cost per instance with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CostInterval {
    /// Dollars or tokens.
    pub unit: Unit,
    /// The mean over the rows.
    #[serde(flatten)]
    pub cost: IntervalEstimate,
}

/// Tokens that a configuration takes on the rows that it was seen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Of the prompts, each once.
    pub prompt: u64,
    /// Of the responses that it used.
    pub completion: u64,
}

/// A place in the ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// From 1; those that are valid come first.
    pub rank: usize,
    /// The configuration's name.
    pub configuration: String,
    /// Its trial.
    pub trial: TrialNumber,
    /// The mean of the objective.
    pub utility: f64,
    /// What one instance costs, the mean.
    pub inference_cost: f64,
    /// Whether it is within the inference budget and violates no constraint.
    pub valid: bool,
    /// Whether no other is at least as good and costs less, or is better and costs no more.
    pub on_front: bool,
}
