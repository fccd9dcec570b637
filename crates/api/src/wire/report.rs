//! The report of a job, for its description only: a worker writes it, and it is served as it was
//! stored.

use super::{
    Budget, Budgets, Configuration, CostEstimate, Coverage, Estimate, Improvement, Interval,
    Metric, Objective, Reference, RefusalScope, Spend, SpendCategory, StopReason, Unit,
    UntriedReason, WarmStartReport,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a job has found, and how sure that is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Report {
    /// What it says to somebody who decides, in a sentence or two: what to set, what that gains and with which
    /// certainty, and what it costs. Absent from reports that were made before it was told.
    #[schema(
        required = false,
        example = "Use small with prompt think, temperature 0.4, max_tokens 58, n 6 (trial 12): on 40 rows that the search never saw it scores 0.82 where the baseline scores 0.61 (+0.21, 95 % interval 0.08 to 0.34), which is more than chance would do (95 % confidence). A row costs $0.0012, 2.4 times as much as under the baseline."
    )]
    pub summary: String,
    /// What the search was after.
    pub objective: Objective,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// The configuration that the winner is compared with.
    pub baseline: Option<Scored>,
    /// The best valid configuration, if any was found.
    pub winner: Option<Scored>,
    /// Winner less baseline, paired by instance, on the instances that the search saw.
    pub difference: Option<IntervalEstimate>,
    /// Both on the instances that the search did not see.
    pub holdout: Option<Holdout>,
    /// Metrics of all instances together, which are no means over them: `corpus_bleu` with the scorer `bleu`,
    /// and `corpus_f1`, `corpus_precision` and `corpus_recall` with `token_f1` (of words), `json` with `expected`
    /// (of fields) and `choice` (of labels). Absent with other scorers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus: Option<CorpusReport>,
    /// The winner's answers beside those that they must be as good as, where the cheapest was sought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_good: Option<AsGood>,
    /// Whether the winner is better than the baseline; where the cheapest was sought that is as good,
    /// whether it is cheaper and as good: `significant` where all of the interval of its answers'
    /// difference from the reference's is within the margin, on held-out instances. Only held-out instances can show that it
    /// is significant: the search chose the winner on the others.
    pub improvement: Improvement,
    /// The same in words.
    #[schema(
        example = "no held-out instances: the search chose the winner on the same instances, so its lead is too hopeful; give data.holdout"
    )]
    pub improvement_detail: String,
    /// Trials by outcome, requests, responses.
    pub trials: BTreeMap<String, u64>,
    /// The budgets.
    pub budgets: Budgets,
    /// What was spent, all roles together.
    pub spend: Spend,
    /// What was spent, by role.
    pub spend_by_role: BTreeMap<SpendCategory, Spend>,
    /// What pruning and the use of responses for several trials saved.
    pub savings: Savings,
    /// The evaluated configurations that no other beats in both utility and inference cost,
    /// cheapest first. Where the cheapest was sought that is as good, in the quality of answers and
    /// inference cost.
    pub front: Vec<Scored>,
    /// The cheapest valid configuration that is nearly as good as the winner and costs at most half
    /// as much. `null` where there is none, and where the objective is itself a cost.
    pub nearly_as_good: Option<NearlyAsGood>,
    /// What is known of the inference budget, by model, prompt and stop texts.
    pub feasible: Vec<Feasible>,
    /// What the numbers rest on.
    pub diagnostics: Diagnostics,
    /// What the job took over from an earlier one; absent where it was not to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<WarmStartReport>,
    /// Why something is not there that one may look for, and what would change that. Empty where
    /// there is nothing to say; absent from reports that were made before it was told.
    #[schema(required = false)]
    pub notes: Vec<Note>,
}

/// Metrics of all instances together, on both parts of the data.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CorpusReport {
    /// On the instances that the search saw. In a profiled search they are those of the responses as they
    /// were drawn, under limits at least as large as the winner's `max_tokens`.
    pub tuning: CorpusComparison,
    /// On those that it did not see.
    pub holdout: Option<CorpusComparison>,
}

/// Metrics of all instances together, by name: `mean` is the metric, `standard_error` the jackknife's.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CorpusComparison {
    /// The winner's.
    pub winner: BTreeMap<String, IntervalEstimate>,
    /// The baseline's.
    pub baseline: BTreeMap<String, IntervalEstimate>,
    /// Winner less baseline, on the instances that both have.
    pub difference: BTreeMap<String, IntervalEstimate>,
}

/// Something that a report says of what it does not show: a `code` for programs, a `detail` for
/// people.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Note {
    /// The cheapest was sought that is as good as a reference, and nothing is, or nothing but the
    /// baseline; what comes closest of what would win else.
    NothingAsGood {
        /// The metric of the quality of answers.
        metric: Metric,
        /// The trial that comes closest; `null` where none was evaluated that might have been as good.
        #[schema(example = 4)]
        trial: Option<u32>,
        /// Its mean less the reference's, on the instances of the search.
        #[schema(example = -0.02)]
        difference: Option<f64>,
        /// What that is no less than, with this confidence.
        #[schema(example = -0.08)]
        lower_bound: Option<f64>,
        /// How much lower it might be.
        #[schema(example = 0.05)]
        margin: f64,
        /// How sure that had to be.
        #[schema(example = 0.95)]
        confidence: f64,
        /// What an instance costs under it, in the unit of the inference budget.
        #[schema(example = 0.0013)]
        inference_cost: Option<f64>,
        /// That as a share of what one costs under the baseline.
        #[schema(example = 0.31)]
        cost_ratio: Option<f64>,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// There is no winner; why a model has no valid configuration. One for each model.
    NoValidConfiguration {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// What an instance costs under its cheapest configuration, in the unit of the inference
        /// budget.
        #[schema(example = 0.0042)]
        inference_cost: Option<f64>,
        /// Whether responses tell that cost. Else it is an estimate of the least that it can be:
        /// the prompt and a response of one token.
        measured: bool,
        /// How many times the inference budget that is.
        #[schema(example = 2.1)]
        budget_ratio: Option<f64>,
        /// The metrics whose constraints its evaluated configurations within the inference budget
        /// miss.
        violated: Vec<String>,
        /// The same in words, with the remedy.
        #[schema(
            example = "the cheapest configuration of `gpt-x` costs $0.0042 an instance, 2.1 times the inference budget of $0.002: raise `budgets.inference`, lower `max_tokens`, or give a cheaper model"
        )]
        detail: String,
    },
    /// Nothing more was asked of a model: its endpoint refuses it, or refuses everything, or none of
    /// many requests was answered.
    ModelRefused {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// How far the refusal reaches.
        scope: RefusalScope,
        /// The same in words, with the endpoint's own.
        #[schema(
            example = "`gpt-x` was not asked any more, which its endpoint's operator can mend: the endpoint answered with status 404: no such model"
        )]
        detail: String,
    },
    /// The endpoint refuses the prompts of some rows, whatever the configuration. They were left out for
    /// this model and this prompt, and asked for once each.
    RowsLeftOut {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// The prompt's name.
        prompt: String,
        /// The rows, by position among those that the search sees, from 0.
        #[schema(example = json!([3, 17]))]
        rows: Vec<usize>,
        /// The same in words, with the endpoint's own.
        detail: String,
    },
    /// Requests failed for good, all for the same reason, whatever became of their trials. The most
    /// frequent reasons come first.
    RequestsFailed {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// How far the refusal reaches; `null` where they were not refused: they failed, as by time-outs.
        scope: Option<RefusalScope>,
        /// How many.
        #[schema(example = 3)]
        requests: u64,
        /// The same in words, with the endpoint's own.
        detail: String,
    },
    /// Attempts brought nothing and may have been billed all the same, such as time-outs. The budget
    /// holds them back, and they are the category `uncertain` of what was spent.
    UncertainSpend {
        /// What they cost at most.
        most: Spend,
        /// The same in words.
        detail: String,
    },
    /// How far a judge may be trusted: its ratings beside those of people, all from 0 to 1.
    JudgeAgreement {
        /// Its number among the judges of a composite, from 0; absent where there is one alone.
        #[serde(skip_serializing_if = "Option::is_none")]
        judge: Option<u64>,
        /// Answers that both have rated.
        #[schema(example = 24)]
        answers: u64,
        /// Answers of which the judge says nothing.
        #[schema(example = 0)]
        silent: u64,
        /// How far apart the ratings are, the mean over the answers.
        #[schema(example = 0.12)]
        mean_absolute_difference: f64,
        /// By how much the judge rates higher, the mean over the answers.
        #[schema(example = 0.05)]
        mean_difference: f64,
        /// Of the pairs of answers that people rate differently, the share that the judge orders as they
        /// do; one that it rates alike counts half. Null where there is no such pair.
        #[schema(example = 0.88)]
        same_order: Option<f64>,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// A judge said nothing that could be read of some answers, which count neither as good nor as bad.
    JudgeSilent {
        /// Answers that judges were asked about.
        #[schema(example = 240)]
        answers: u64,
        /// Those that have no score.
        #[schema(example = 3)]
        silent: u64,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// A judge's share of the optimization budget was used up, but for what was kept for held-out rows, and the
    /// search ended with it.
    JudgeShare {
        /// Its number among the judges of a composite, from 0; absent where there is one alone.
        #[serde(skip_serializing_if = "Option::is_none")]
        judge: Option<u64>,
        /// The part of the budget.
        #[schema(example = 0.5)]
        share: f64,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// Latency is in the objective or in a constraint: each configuration was asked for by requests of
    /// its own, so many of the job in flight at most.
    LatencyLoad {
        /// The most requests of the job that were in flight.
        #[schema(example = 1)]
        requests_in_flight: u32,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// The baseline was seen on some of the rows only: it is over the inference budget, or its share
    /// of the optimization budget paid for no more.
    BaselinePartial {
        /// Instances seen.
        instances: u32,
        /// Instances that the search sees.
        of: u32,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// Values of a listed setting that no trial used, all for the same reason.
    NeverTried {
        /// The setting: `model`, `prompt`, or one with a list of values.
        #[schema(example = "prompt")]
        setting: String,
        /// The values.
        #[schema(example = json!(["cot"]))]
        values: Vec<Value>,
        /// The model that the setting belongs to, where each has settings of its own.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// Why.
        reason: UntriedReason,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// Configurations that the job's owner has put in and that have no trial.
    EnqueuedUntried {
        /// How many.
        #[schema(example = 1)]
        configurations: u64,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// The job was continued after held-out rows had judged a winner: they do so again, and the chance that
    /// one of the verdicts calls an improvement significant that is none grows with their number.
    HoldoutSeenBefore {
        /// How often they have before.
        #[schema(example = 1)]
        times: u32,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// More than half of all responses were cut at `max_tokens`.
    ResponsesCut {
        /// Responses cut.
        cut_responses: u64,
        /// All responses.
        responses: u64,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// A model bills more than the bounds that worst cases rest on: its endpoint puts a prompt of its
    /// own before the job's, or bills reasoning outside of `max_tokens`. Costs have it in them.
    Overhead {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// The most tokens that a prompt had above the bound on them.
        #[schema(example = 1_640)]
        prompt_tokens: u64,
        /// The most tokens that a response had above `max_tokens`.
        #[schema(example = 0)]
        response_tokens: u64,
        /// The same in words.
        detail: String,
    },
    /// The usage of a model's answers was not reported, or cannot be right, and was estimated.
    UsageEstimated {
        /// The endpoint's name.
        endpoint: String,
        /// The model's name.
        model: String,
        /// Answers whose usage was estimated.
        #[schema(example = 12)]
        answers: u64,
        /// All answers of the model.
        #[schema(example = 80)]
        of: u64,
        /// The same in words.
        detail: String,
    },
    /// An evaluation ended before every configuration was seen on every row.
    RowsNotSeen {
        /// Rows that all were seen on.
        #[schema(example = 140)]
        seen: u64,
        /// Rows of the data.
        #[schema(example = 200)]
        of: u64,
        /// The same in words, with the remedy.
        detail: String,
    },
    /// Configurations of an evaluation used responses that others asked for.
    ResponsesShared {
        /// How many, each as often as it was used so.
        #[schema(example = 200)]
        responses: u64,
        /// The same in words.
        detail: String,
    },
    /// More than a tenth of the optimization budget was not spent, by a job that nobody cancelled.
    BudgetLeft {
        /// What was left.
        left: Budget,
        /// Its share of the budget.
        #[schema(example = 0.35)]
        share: f64,
        /// The same in words, with what would use it.
        detail: String,
    },
}

/// The winner's answers beside those that they must be as good as.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AsGood {
    /// The metric of the quality of answers.
    pub metric: Metric,
    /// What it is held against.
    pub as_good_as: Reference,
    /// How much lower its mean may be.
    #[schema(example = 0.05)]
    pub margin: f64,
    /// How sure it is to be that it is no lower.
    #[schema(example = 0.95)]
    pub confidence: f64,
    /// The mean that it is held against, on the instances that the search saw; `null` where the
    /// baseline was not evaluated.
    #[schema(example = 0.82)]
    pub reference: Option<f64>,
    /// The winner's mean less that, on the instances that the search saw and chose it by; `null` where
    /// it is the baseline's own.
    pub difference: Option<QualityDifference>,
    /// The same on the instances that the search did not see.
    pub holdout: Option<HeldOutDifference>,
    /// What the winner saves of what the baseline costs; `null` where the baseline stays.
    pub saving: Option<Saving>,
}

/// The mean of a metric less that of a reference, on the instances that the search saw.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QualityDifference {
    /// The mean difference; below 0 where it is worse. In a profiled search it is the search's
    /// estimate, which also rests on what else was drawn for the baseline's settings.
    #[schema(example = -0.01)]
    pub mean: f64,
    /// How far the mean may be off: one standard deviation.
    #[schema(example = 0.02)]
    pub standard_error: Option<f64>,
    /// What the mean difference is no less than, with the confidence that the job asks for.
    #[schema(example = -0.043)]
    pub lower_bound: f64,
}

/// The mean of a metric less that of a reference, on held-out instances; paired by instance where the
/// reference is the baseline.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HeldOutDifference {
    /// The mean difference; below 0 where the winner is worse.
    #[schema(example = -0.012)]
    pub mean: f64,
    /// The standard deviation of the sample over √count; absent below two instances.
    #[schema(example = 0.018)]
    pub standard_error: Option<f64>,
    /// Instances that the mean is over.
    #[schema(example = 120)]
    pub count: u32,
    /// The bounds of the mean, each with the confidence that the job asks for.
    pub bounds: Bounds,
}

/// What a mean is between, each end with the confidence that the job asks for.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Bounds {
    /// The lower end.
    #[schema(example = -0.045)]
    pub low: f64,
    /// The upper end.
    #[schema(example = 0.021)]
    pub high: f64,
}

/// What one instance costs less under the winner than under the baseline.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Saving {
    /// Dollars or tokens.
    pub unit: Unit,
    /// So much, below 0 where it costs more.
    #[schema(example = 0.0031)]
    pub per_instance: f64,
    /// Its share of the baseline's cost.
    #[schema(example = 0.72)]
    pub share: f64,
    /// Whether both were measured on the held-out instances.
    pub held_out: bool,
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
    /// The names of the metrics whose means violate a constraint of the job, or of that which is not
    /// shown to be as good as it must be.
    pub violated: Vec<String>,
    /// Whether the inference cost is within the inference budget and nothing is violated.
    pub valid: bool,
    /// How far it was looked at.
    pub coverage: Option<Coverage>,
    /// The 95 % interval of the objective's mean, on the instances that the search saw. It reckons
    /// with the choice of instances alone: a configuration that was chosen for its mean here, as the
    /// winner was, is as a rule worth less on others.
    pub utility_interval: Option<Interval>,
}

/// A configuration that is nearly as good as the winner and costs at most half as much.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NearlyAsGood {
    /// Its trial.
    #[schema(example = 12)]
    pub trial: u32,
    /// What it asks of the endpoint.
    pub configuration: Configuration,
    /// Its objective, on the instances that the search saw.
    pub utility: IntervalEstimate,
    /// What one instance costs under it.
    pub inference_cost: CostEstimate,
    /// Its objective less the winner's, paired by instance, on the instances that the search saw.
    /// The winner was chosen by these, which makes it look better than it is, and this no closer.
    pub difference: IntervalEstimate,
    /// How much worse the mean difference was allowed to be: what one instance weighs in the mean,
    /// but at least 0.02 and at most 0.05 of the metric's range, or of the winner's utility where
    /// the metric has no upper bound.
    #[schema(example = 0.025)]
    pub margin: f64,
    /// Its inference cost as a share of the winner's.
    #[schema(example = 0.34)]
    pub cost_ratio: f64,
    /// The same in words.
    #[schema(
        example = "trial 12 is as good as the winner within 0.015 (95 % interval of the difference -0.061 to +0.032) at a third of the cost"
    )]
    pub detail: String,
}

/// The winner and the baseline on the held-out instances.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Holdout {
    /// Instances held out.
    pub instances: u64,
    /// The winner's objective.
    pub winner: IntervalEstimate,
    /// What one instance costs under the winner.
    pub winner_inference_cost: CostEstimate,
    /// The baseline's objective.
    pub baseline: Option<IntervalEstimate>,
    /// What one instance costs under the baseline.
    pub baseline_inference_cost: Option<CostEstimate>,
    /// Winner less baseline, paired by instance.
    pub difference: Option<IntervalEstimate>,
}

/// A mean over instances, and how sure it is, with its interval.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct IntervalEstimate {
    /// The mean.
    #[schema(example = 0.82)]
    pub mean: f64,
    /// The standard deviation of the sample over √count; absent below two instances.
    #[schema(example = 0.03)]
    pub standard_error: Option<f64>,
    /// Instances that the mean is over.
    #[schema(example = 60)]
    pub count: u32,
    /// The 95 % interval of the mean. It is made for few instances and means close to an end of the
    /// range: where all instances have the same value it still tells how far others might differ.
    pub interval: Interval,
}

/// What pruning and the use of responses for several trials saved.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Savings {
    /// What the trials of the search cost.
    pub spent: Spend,
    /// What evaluating every one of them in full would have cost, by estimate.
    pub full_evaluation: Spend,
    /// Trials that were pruned.
    pub pruned: Pruned,
    /// Responses that trials of the search took from earlier ones and did not have to buy, each
    /// as often as it was taken.
    pub reused_responses: u64,
}

/// How many trials were pruned, by the reason.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pruned {
    /// Known to be over the inference budget before anything was requested.
    pub known_invalid: u32,
    /// Found to be over the inference budget on the way.
    pub over_budget: u32,
    /// Significantly worse than the best.
    pub inferior: u32,
}

/// What is known of the inference budget for one model, prompt and stop texts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Feasible {
    /// The endpoint's name.
    pub endpoint: String,
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
    /// Their share of all responses; `null` where there are none.
    pub cut_rate: Option<f64>,
    /// Responses without any text.
    pub empty_responses: u64,
    /// Their share of all responses; `null` where there are none.
    pub empty_rate: Option<f64>,
    /// Requests that failed for good.
    pub failed_requests: u64,
    /// Their share of all requests; `null` where there are none.
    pub failed_rate: Option<f64>,
    /// Requests whose usage is an estimate because the endpoint gave none.
    pub estimated_usage: u64,
    /// Measurements against the assumption that cost grows with `n` and `max_tokens`, whatever
    /// the other settings: how many there are.
    pub violation_count: u64,
    /// Which trials made them, in the order in which they showed.
    pub violations: Vec<Violation>,
}

/// A measurement that contradicts what was taken as known.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Violation {
    /// The trial that measured it.
    pub trial: u32,
    /// Its configuration.
    pub configuration: Configuration,
    /// Responses per instance at which it showed; the configuration's own number at most.
    pub n: u32,
    /// Whether it was found within the budget although known to be over it, or the reverse.
    pub measured_valid: bool,
}
