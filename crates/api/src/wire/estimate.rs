//! What a job may cost, before it is posted.

use super::{Budget, Budgets, Configuration, FieldError};
use frugal_domain::grid::rounded;
use frugal_domain::job::JobSpec;
use frugal_domain::money::Spend;
use frugal_intake::estimate::{self, Basis, Estimated, Point, PromptTokens};
use serde::Serialize;
use utoipa::ToSchema;

/// What a job may cost. Tokens of prompts are counted with the tokenizer `o200k_base`, whatever
/// the models' own are, and a usual chat template is added where messages are sent: an endpoint
/// may count some more or fewer, which only its own answers tell. What a configuration costs `at_most`
/// allows for 32 tokens more in each request to a chat model. Everything else follows from these counts, the prices and the
/// search space; nothing is sent to an endpoint.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobEstimate {
    /// What is probably a mistake though it is taken, as `POST /jobs` tells it too.
    pub warnings: Vec<FieldError>,
    /// Rows of the data.
    pub rows: RowCounts,
    /// The tokens of each prompt.
    pub prompt_tokens: Vec<PromptTokenEstimate>,
    /// The baseline, if the job has one.
    pub baseline: Option<ConfigurationEstimate>,
    /// The middle of the search space: every numeric setting in the middle of its scale, the
    /// first value of each `choice`, the first of each `one_of`, the first model and prompt.
    pub mid_space: ConfigurationEstimate,
    /// The most expensive configuration: the largest `n` and `max_tokens`, with the model and the
    /// prompt that then cost most.
    pub most_expensive: ConfigurationEstimate,
    /// What the job may spend.
    pub budgets: Budgets,
    /// What the search leaves for scoring the winner and the baseline on the held-out rows: what
    /// both may cost under the inference budget, and at most a quarter of the optimization
    /// budget. `null` where nothing is left for it.
    pub kept_for_holdout: Option<Budget>,
    /// How far the optimization budget goes.
    pub trials: TrialEstimate,
}

/// Rows of a job's data.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct RowCounts {
    /// Rows that trials are evaluated on.
    #[schema(example = 140)]
    pub tuning: u64,
    /// Rows that only the winner and the baseline are scored on.
    #[schema(example = 60)]
    pub holdout: u64,
}

/// The tokens of a prompt with a row's values in it. Where the job has models that are sent the
/// bare text and models that are sent messages, those of the messages.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PromptTokenEstimate {
    /// The prompt's name.
    #[schema(example = "direct")]
    pub prompt: String,
    /// The mean over the tuning rows.
    #[schema(example = 41.5)]
    pub mean: f64,
    /// The most on any row, held out or not.
    #[schema(example = 58)]
    pub largest: u64,
    /// Tuning rows that were counted: all of them, or a sample where they are many or long. The
    /// mean then stands for those not counted, and `largest` is that of the sample.
    #[schema(example = 140)]
    pub counted_rows: u64,
}

/// What a configuration may cost.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConfigurationEstimate {
    /// The configuration.
    pub configuration: Configuration,
    /// Where responses have half of `max_tokens`: a convention, for how long responses are is not
    /// known before the first of them. What a judge is paid is in it, and in what it costs at most.
    pub expected: ConfigurationCost,
    /// Where every response has `max_tokens`, and each request to a chat model 32 tokens of prompt
    /// more than were counted.
    pub at_most: ConfigurationCost,
    /// Whether one instance is within the inference budget, on the mean of the tuning rows;
    /// `null` without such a budget.
    pub within_inference_budget: Option<WithinBudget>,
}

/// What a configuration costs: the prompt once per request, as many requests as `n` responses
/// take, and the responses.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ConfigurationCost {
    /// One instance, on the mean of the tuning rows.
    pub per_instance: InstanceCost,
    /// All tuning rows.
    pub full_evaluation: EvaluationCost,
}

/// What one instance costs.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct InstanceCost {
    /// US dollars; `null` for a model without a price.
    #[schema(example = 0.000_041)]
    pub usd: Option<f64>,
    /// Tokens of prompts and completions.
    #[schema(example = 273.5)]
    pub tokens: f64,
}

/// What a full evaluation costs.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct EvaluationCost {
    /// US dollars; `null` for a model without a price.
    #[schema(example = 0.005_74)]
    pub usd: Option<f64>,
    /// Tokens of prompts and completions.
    #[schema(example = 38_290)]
    pub tokens: u64,
}

/// Whether a configuration is within the inference budget.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithinBudget {
    /// It is, even at what it costs `at_most`, if the endpoint counts no more than that.
    Likely,
    /// It is if the responses are short enough.
    Possible,
    /// It is not: the prompts alone cost more.
    Impossible,
}

/// How many full evaluations the optimization budget buys, after the baseline and what is kept
/// for the held-out rows; never more than `limits.trials`. A search can have more trials than
/// that, for pruned ones cost less and responses serve several trials; and fewer, where responses
/// are bought a few at a time and the prompt is paid again for each time.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct TrialEstimate {
    /// Of `mid_space`, at what is `expected`.
    #[schema(example = 83)]
    pub expected: u32,
    /// Of `mid_space`, at what it costs `at_most`.
    #[schema(example = 44)]
    pub at_least: u32,
    /// Of configurations that cost the whole inference budget on each row, which no valid one
    /// passes. `null` without an inference budget, where the two budgets are in different units, and
    /// where a judge has to be paid besides.
    #[schema(example = 17)]
    pub at_least_within_budget: Option<u32>,
}

impl From<estimate::Within> for WithinBudget {
    fn from(within: estimate::Within) -> Self {
        match within {
            estimate::Within::Likely => Self::Likely,
            estimate::Within::Possible => Self::Possible,
            estimate::Within::Impossible => Self::Impossible,
        }
    }
}

impl From<estimate::Trials> for TrialEstimate {
    fn from(trials: estimate::Trials) -> Self {
        Self {
            expected: trials.expected,
            at_least: trials.at_least,
            at_least_within_budget: trials.at_least_within_budget,
        }
    }
}

impl From<Estimated> for JobEstimate {
    fn from(estimated: Estimated) -> Self {
        let Estimated {
            spec,
            basis,
            estimate,
            has_price,
            warnings,
        } = &estimated;
        let has_price = |model: usize| has_price.get(model).copied().unwrap_or_default();
        let of = |point: &Point| ConfigurationEstimate {
            configuration: Configuration::new(spec, &point.settings),
            expected: cost(
                point.expected,
                basis,
                has_price(point.settings.sampling.model),
            ),
            at_most: cost(
                point.at_most,
                basis,
                has_price(point.settings.sampling.model),
            ),
            within_inference_budget: point.within_inference_budget.map(Into::into),
        };
        Self {
            warnings: warnings.iter().cloned().map(FieldError::from).collect(),
            rows: RowCounts {
                tuning: basis.tuning_rows,
                holdout: basis.holdout_rows,
            },
            prompt_tokens: prompt_tokens(spec, basis),
            baseline: estimate.baseline.as_ref().map(of),
            mid_space: of(&estimate.mid_space),
            most_expensive: of(&estimate.most_expensive),
            budgets: Budgets {
                inference: spec.inference_budget.map(Budget::from),
                optimization: spec.optimization_budget.into(),
            },
            kept_for_holdout: estimate.kept_for_holdout.map(Budget::from),
            trials: estimate.trials.into(),
        }
    }
}

pub(super) fn prompt_tokens(spec: &JobSpec, basis: &Basis) -> Vec<PromptTokenEstimate> {
    let prompts = spec.prompts.iter().enumerate();
    let most = prompts.filter_map(|(index, prompt)| {
        let by_model = basis.models.iter().filter_map(|it| it.prompts.get(index));
        let tokens: &PromptTokens = by_model.max_by(|a, b| a.mean().total_cmp(&b.mean()))?;
        Some(PromptTokenEstimate {
            prompt: prompt.name.clone(),
            mean: rounded(tokens.mean()),
            largest: tokens.largest(),
            counted_rows: tokens.counted(),
        })
    });
    most.collect()
}

#[expect(clippy::cast_precision_loss, reason = "a mean for display")]
pub(super) fn cost(full: Spend, basis: &Basis, has_price: bool) -> ConfigurationCost {
    let rows = basis.tuning_rows.max(1) as f64;
    let usd = has_price.then(|| full.usd.dollars());
    ConfigurationCost {
        per_instance: InstanceCost {
            usd: usd.map(|usd| rounded(usd / rows)),
            tokens: rounded(full.tokens as f64 / rows),
        },
        full_evaluation: EvaluationCost {
            usd,
            tokens: full.tokens,
        },
    }
}
