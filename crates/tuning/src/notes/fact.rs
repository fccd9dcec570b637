//! What notes say: as programs read it, and in words.

use frugal_domain::id::TrialNumber;
use frugal_domain::metric::Metric;
use frugal_domain::money::{Budget, Spend};
use frugal_domain::request::Scope;
use frugal_domain::trial::UntriedReason;
use serde::Serialize;
use serde_json::Value;

/// Something that a report says of what it does not show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Note {
    /// What it says.
    #[serde(flatten)]
    pub fact: Fact,
    /// The same in words, with what would change it.
    pub detail: String,
}

/// What a note says, as programs read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Fact {
    /// Nothing is as good as it must be, or nothing but the baseline; what comes closest of what would
    /// win else.
    NothingAsGood {
        /// The metric of the quality of answers.
        metric: Metric,
        /// The trial that comes closest.
        trial: Option<TrialNumber>,
        /// Its mean less that which it must be as good as, on the instances of the search.
        difference: Option<f64>,
        /// What that is no less than, with the confidence that the job asks for.
        lower_bound: Option<f64>,
        /// How much lower it might be.
        margin: f64,
        /// How sure that had to be.
        confidence: f64,
        /// What an instance costs under it, in dollars or tokens.
        inference_cost: Option<f64>,
        /// That as a share of what one costs under the baseline.
        cost_ratio: Option<f64>,
    },
    /// There is no winner; why a model has no valid configuration.
    NoValidConfiguration {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// What an instance costs under its cheapest configuration, in dollars or tokens.
        inference_cost: Option<f64>,
        /// Whether responses tell that cost; else it is the least that it can be.
        measured: bool,
        /// How many times the inference budget that is.
        budget_ratio: Option<f64>,
        /// The metrics whose constraints its evaluated configurations within the inference budget
        /// miss.
        violated: Vec<String>,
    },
    /// Nothing more was asked of a model.
    ModelRefused {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// How far the refusal reaches.
        scope: Scope,
    },
    /// The endpoint refuses the prompts of some rows, which were left out.
    RowsLeftOut {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// The prompt's name.
        prompt: String,
        /// The rows, by position among those that the search sees.
        rows: Vec<usize>,
    },
    /// Requests failed for good, all for the same reason.
    RequestsFailed {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// How far the refusal reaches; none where they were not refused.
        scope: Option<Scope>,
        /// How many.
        requests: u64,
    },
    /// Attempts brought nothing and may have been billed all the same.
    UncertainSpend {
        /// What they cost at most.
        most: Spend,
    },
    /// How a judge's ratings compare with those of people. All are from 0 to 1.
    JudgeAgreement {
        /// Its number among the judges of the scorer, from 0; nothing where there is one alone.
        #[serde(skip_serializing_if = "Option::is_none")]
        judge: Option<usize>,
        /// Answers that both have rated.
        answers: usize,
        /// Answers of which the judge says nothing.
        silent: usize,
        /// How far apart they are, the mean over the answers.
        mean_absolute_difference: f64,
        /// By how much the judge rates higher, the mean over the answers.
        mean_difference: f64,
        /// Of the pairs of answers that people rate differently, the share that the judge orders alike.
        same_order: Option<f64>,
    },
    /// The judge said nothing of some answers.
    JudgeSilent {
        /// Answers that it was asked about.
        answers: u64,
        /// Those that have no score.
        silent: u64,
    },
    /// A judge's share of the optimization budget was used up.
    JudgeShare {
        /// Its number among the judges of the scorer, from 0; nothing where there is one alone.
        #[serde(skip_serializing_if = "Option::is_none")]
        judge: Option<usize>,
        /// The part of the budget.
        share: f64,
    },
    /// Latency counts, and was measured under a load.
    LatencyLoad {
        /// The most requests of the job that were in flight.
        requests_in_flight: u32,
    },
    /// The baseline was seen on some of the rows only.
    BaselinePartial {
        /// Instances seen.
        instances: u32,
        /// Instances that the search sees.
        of: u32,
    },
    /// Values of a listed setting that no trial used.
    NeverTried {
        /// The setting: `model`, `prompt`, or one of a list of values.
        setting: String,
        /// The values.
        values: Vec<Value>,
        /// The model that the setting belongs to, where each has settings of its own.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// Why.
        reason: UntriedReason,
    },
    /// Configurations that the job's owner has put in and that have no trial.
    EnqueuedUntried {
        /// How many.
        configurations: usize,
    },
    /// The held-out rows have judged winners of the job before it was continued.
    HoldoutSeenBefore {
        /// How often.
        times: u32,
    },
    /// More than half of all responses were cut at `max_tokens`.
    ResponsesCut {
        /// Responses cut.
        cut_responses: u64,
        /// All responses.
        responses: u64,
    },
    /// A model bills more than the bounds that worst cases rest on.
    Overhead {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// The most tokens that a prompt had above the bound on them.
        prompt_tokens: u64,
        /// The most tokens that a response had above `max_tokens`.
        response_tokens: u64,
    },
    /// The usage of a model's answers was estimated.
    UsageEstimated {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// Answers whose usage was estimated.
        answers: u64,
        /// All answers of the model.
        of: u64,
    },
    /// An evaluation ended before every configuration was seen on every row.
    RowsNotSeen {
        /// Rows that all were seen on.
        seen: usize,
        /// Rows of the data.
        of: usize,
    },
    /// Configurations of an evaluation used responses that others asked for.
    ResponsesShared {
        /// How many, each as often as it was used so.
        responses: u64,
    },
    /// More than a tenth of the optimization budget was not spent.
    BudgetLeft {
        /// What was left.
        left: Budget,
        /// Its share of the budget.
        share: f64,
    },
}

/// A part of a whole as a share; nothing where there is no whole.
#[expect(clippy::cast_precision_loss, reason = "told to people, not booked")]
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
