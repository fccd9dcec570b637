//! The report of a job, for its description only: a worker writes it, and it is served as it was
//! stored.

use super::{Budgets, Configuration, CostEstimate, Estimate, Objective, Role, Spend, StopReason};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a job has found, and how sure that is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Report {
    /// What the search was after.
    pub objective: Objective,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// The configuration that the winner is compared with.
    pub baseline: Option<Scored>,
    /// The best valid configuration, if any was found.
    pub winner: Option<Scored>,
    /// Winner less baseline, paired by instance, on the instances that the search saw.
    pub difference: Option<Estimate>,
    /// Both on the instances that the search did not see.
    pub holdout: Option<Holdout>,
    /// Trials by outcome, requests, responses.
    pub trials: BTreeMap<String, u64>,
    /// The budgets.
    pub budgets: Budgets,
    /// What was spent, all roles together.
    pub spend: Spend,
    /// What was spent, by role.
    pub spend_by_role: BTreeMap<Role, Spend>,
    /// What pruning and the use of responses for several trials saved.
    pub savings: Savings,
    /// The evaluated configurations that no other beats in both utility and inference cost,
    /// cheapest first.
    pub front: Vec<Scored>,
    /// What is known of the inference budget, by model, prompt and stop texts.
    pub feasible: Vec<Feasible>,
    /// What the numbers rest on.
    pub diagnostics: Diagnostics,
}

/// A configuration with its numbers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Scored {
    /// Its trial.
    pub trial: u32,
    /// What it asks of the endpoint.
    pub configuration: Configuration,
    /// The objective's mean over the instances.
    pub utility: Estimate,
    /// Every metric by name, the objective among them.
    pub metrics: BTreeMap<String, Estimate>,
    /// What one instance costs.
    pub inference_cost: CostEstimate,
    /// Whether that is within the inference budget.
    pub valid: bool,
}

/// The winner and the baseline on the held-out instances.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Holdout {
    /// Instances held out.
    pub instances: u64,
    /// The winner's objective.
    pub winner: Estimate,
    /// What one instance costs under the winner.
    pub winner_inference_cost: CostEstimate,
    /// The baseline's objective.
    pub baseline: Option<Estimate>,
    /// What one instance costs under the baseline.
    pub baseline_inference_cost: Option<CostEstimate>,
    /// Winner less baseline, paired by instance.
    pub difference: Option<Estimate>,
}

/// What pruning and the use of responses for several trials saved.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Savings {
    /// What the trials of the search cost.
    pub spent: Spend,
    /// What evaluating every one of them in full would have cost, by estimate.
    pub full_evaluation: Spend,
}

/// What is known of the inference budget for one model, prompt and stop texts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Feasible {
    /// The model's name.
    pub model: String,
    /// The prompt's name.
    pub prompt: String,
    /// The stop texts.
    pub stop: Vec<String>,
    /// By `max_tokens`, the largest `n` known to be within the budget.
    pub largest_valid_n: BTreeMap<String, u32>,
    /// By `max_tokens`, the smallest `n` known to be over it.
    pub smallest_invalid_n: BTreeMap<String, u32>,
}

/// What the numbers rest on.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Diagnostics {
    /// Responses cut at `max_tokens`.
    pub cut_responses: u64,
    /// Responses without any text.
    pub empty_responses: u64,
    /// Requests that failed for good.
    pub failed_requests: u64,
    /// Requests whose usage is an estimate because the endpoint gave none.
    pub estimated_usage: u64,
    /// Measurements against the assumption that cost grows with `n` and `max_tokens`.
    pub violations: Vec<Violation>,
}

/// A measurement that contradicts what was taken as known.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Violation {
    /// The trial that measured it.
    pub trial: u32,
    /// Its configuration.
    pub configuration: Configuration,
    /// Whether it was found within the budget although known to be over it, or the reverse.
    pub measured_valid: bool,
}
