//! The report of an evaluation, for its description only: a worker writes it, and it is served as it was
//! stored.

use super::super::{
    Configuration, Coverage, Diagnostics, Interval, IntervalEstimate, Note, Objective, Spend,
    SpendCategory, StopReason, TrialState, Unit,
};
use super::{EvaluationBudgets, TrialReference};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How good each configuration is, what it costs, and whether the differences are real.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EvaluationReport {
    /// What was found, in a sentence.
    #[schema(
        example = "`votes` is better than `today` in majority by +0.12 (95 % interval 0.04 to 0.2; p = 0.008 after Holm's correction for 2 comparisons) and costs 5.2 times as much, on 200 rows"
    )]
    pub verdict: String,
    /// What the configurations are ranked by.
    pub objective: Objective,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// The name of the configuration that the others are compared with.
    #[schema(example = "today")]
    pub reference: String,
    /// How far it got.
    pub rows: SeenRows,
    /// Every configuration, in the order in which they were given.
    pub configurations: Vec<Evaluated>,
    /// The others held against the reference, in the same order; without those of which nothing was found.
    pub comparisons: Vec<Comparison>,
    /// How several comparisons were reckoned with.
    pub correction: Correction,
    /// The evaluated configurations, best first: valid ones before others, then by the objective, then by
    /// cost.
    pub ranking: Vec<Ranked>,
    /// The budgets.
    pub budgets: EvaluationBudgets,
    /// What was spent, all roles together.
    pub spend: Spend,
    /// What was spent, by role.
    pub spend_by_role: BTreeMap<SpendCategory, Spend>,
    /// Trials by outcome, one for each configuration; requests, responses.
    pub trials: BTreeMap<String, u64>,
    /// What the numbers rest on.
    pub diagnostics: Diagnostics,
    /// What else is to be said.
    pub notes: Vec<Note>,
}

/// How far an evaluation got.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct SeenRows {
    /// Rows of the data.
    #[schema(example = 200)]
    pub of: u64,
    /// Rows on which every configuration was seen that was evaluated.
    #[schema(example = 200)]
    pub seen_by_all: u64,
}

/// A configuration with its numbers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Evaluated {
    /// Its name.
    #[schema(example = "votes")]
    pub name: String,
    /// Its trial.
    #[schema(example = 2)]
    pub trial: u32,
    /// What it asks of the endpoint.
    pub configuration: Configuration,
    /// The trial of another job that it was taken from, if it was.
    pub source: Option<TrialReference>,
    /// What became of it: `evaluated`, `infeasible`, `failed`, or `stopped` where it was seen on no row.
    pub state: TrialState,
    /// Why it has no numbers, in words.
    pub detail: Option<String>,
    /// How far it was looked at.
    pub coverage: Option<Coverage>,
    /// Every metric by name, with its 95 % interval. `latency_ms` is there where it was measured, and metrics of
    /// all rows together (`corpus_bleu`, `corpus_f1`, `corpus_precision`, `corpus_recall`) where the scorer counts
    /// what they take.
    pub metrics: BTreeMap<String, IntervalEstimate>,
    /// What one instance costs under it, prompt and all responses, as if it had asked for all of them.
    pub inference_cost: Option<CostInterval>,
    /// Whether that is within the inference budget; `null` without such a budget.
    pub within_inference_budget: Option<bool>,
    /// The names of the metrics whose means violate a constraint.
    pub violated: Vec<String>,
    /// Whether it is within the inference budget and nothing is violated.
    pub valid: Option<bool>,
    /// Tokens of the prompts of the rows, each once, and of the responses that it used.
    pub tokens: TokenCounts,
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
    pub rows_without_answer: u64,
}

/// What one instance costs, with its 95 % interval.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CostInterval {
    /// What it is in.
    pub unit: Unit,
    /// The mean over the instances.
    #[schema(example = 0.000_12)]
    pub mean: f64,
    /// The standard deviation of the sample over √count; absent below two instances.
    #[schema(example = 0.000_004)]
    pub standard_error: Option<f64>,
    /// Instances that the mean is over.
    #[schema(example = 200)]
    pub count: u32,
    /// The 95 % interval of the mean.
    pub interval: Interval,
}

/// Tokens that a configuration takes on the rows that it was seen on.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct TokenCounts {
    /// Of the prompts, each once.
    pub prompt: u64,
    /// Of the responses that it used.
    pub completion: u64,
}

/// A configuration held against the reference.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Comparison {
    /// The configuration's name.
    #[schema(example = "votes")]
    pub configuration: String,
    /// Its trial.
    #[schema(example = 2)]
    pub trial: u32,
    /// The name of the one that it is compared with.
    #[schema(example = "today")]
    pub reference: String,
    /// Rows that both were seen on.
    #[schema(example = 200)]
    pub instances: u32,
    /// By the metric's name, its mean less the reference's, paired by row.
    pub metrics: BTreeMap<String, Difference>,
}

/// The mean of a metric less that of the reference, paired by row.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Difference {
    /// The mean difference.
    #[schema(example = 0.12)]
    pub mean: f64,
    /// The standard deviation of the sample over √count; absent below two rows.
    #[schema(example = 0.03)]
    pub standard_error: Option<f64>,
    /// Rows that the mean is over.
    #[schema(example = 200)]
    pub count: u32,
    /// The 95 % interval of this difference by itself.
    pub interval: Interval,
    /// The two-sided p-value of no difference, by itself: below 0.05 where the interval leaves 0 out. Where
    /// rows are right or wrong it is that of McNemar's exact test.
    #[schema(example = 0.004)]
    pub p_value: f64,
    /// The same, corrected for all comparisons of the metric.
    #[schema(example = 0.008)]
    pub adjusted_p_value: f64,
    /// Whether the corrected one is below the level.
    pub significant: bool,
    /// Which of the two is better by the mean: by the objective's direction or, of other metrics, more of
    /// the quality of answers and less of everything else.
    pub better: Better,
}

/// Which of two configurations is better.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The configuration.
    Configuration,
    /// The reference.
    Reference,
    /// Neither.
    Neither,
}

/// How several comparisons were reckoned with: at most the level is the chance that any configuration is
/// taken for different from the reference in a metric in which none is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Correction {
    /// The procedure: Holm's.
    #[schema(example = "holm")]
    pub method: String,
    /// The comparisons that it is over: those of one metric. Metrics are not corrected for one another.
    #[schema(example = 2)]
    pub comparisons: u64,
    /// The level.
    #[schema(example = 0.05)]
    pub level: f64,
}

/// A place in the ranking.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ranked {
    /// From 1.
    #[schema(example = 1)]
    pub rank: u64,
    /// The configuration's name.
    #[schema(example = "votes")]
    pub configuration: String,
    /// Its trial.
    #[schema(example = 2)]
    pub trial: u32,
    /// The mean of the objective.
    #[schema(example = 0.82)]
    pub utility: f64,
    /// What one instance costs, the mean, in the unit of inference costs.
    #[schema(example = 0.000_12)]
    pub inference_cost: f64,
    /// Whether it is within the inference budget and violates no constraint.
    pub valid: bool,
    /// Whether no other is at least as good and costs less, or is better and costs no more.
    pub on_front: bool,
}
