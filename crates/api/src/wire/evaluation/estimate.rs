//! What an evaluation may cost, before it is posted.

use super::super::estimate::{cost, prompt_tokens};
use super::super::{
    Configuration, ConfigurationCost, EvaluationCost, FieldError, PromptTokenEstimate, WithinBudget,
};
use super::EvaluationBudgets;
use frugal_domain::money::Spend;
use frugal_intake::estimate::EvaluationEstimated;
use serde::Serialize;
use utoipa::ToSchema;

/// What an evaluation may cost. Tokens are counted and costs follow from them as in the estimate of a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EvaluationEstimate {
    /// What is probably a mistake though it is taken, as `POST /evaluations` tells it too.
    pub warnings: Vec<FieldError>,
    /// The tokens of each prompt.
    pub prompt_tokens: Vec<PromptTokenEstimate>,
    /// Each configuration by itself, in the order in which they are given.
    pub configurations: Vec<EvaluationCosts>,
    /// All of them on all rows, where responses have half of `max_tokens`. Responses that several
    /// configurations use are paid for once.
    pub expected: EvaluationCost,
    /// The same where every response has `max_tokens`, and each request to a chat model 32 tokens of prompt
    /// more than were counted.
    pub at_most: EvaluationCost,
    /// What the evaluation may spend.
    pub budgets: EvaluationBudgets,
    /// Rows that the budget pays for under every configuration.
    pub rows: PayableRows,
}

/// What a configuration may cost by itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EvaluationCosts {
    /// Its name.
    #[schema(example = "today")]
    pub name: String,
    /// What it asks of the endpoint.
    pub configuration: Configuration,
    /// Where responses have half of `max_tokens`.
    pub expected: ConfigurationCost,
    /// Where every response has `max_tokens`.
    pub at_most: ConfigurationCost,
    /// Whether one instance is within the inference budget, on the mean of the rows; `null` without such a
    /// budget.
    pub within_inference_budget: Option<WithinBudget>,
}

/// Rows that the budget of an evaluation pays for under every configuration; never more than there are.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct PayableRows {
    /// Rows of the data.
    #[schema(example = 200)]
    pub of: u64,
    /// At what is `expected`.
    #[schema(example = 200)]
    pub expected: u64,
    /// At what it costs `at_most`.
    #[schema(example = 131)]
    pub at_least: u64,
}

impl From<EvaluationEstimated> for EvaluationEstimate {
    fn from(estimated: EvaluationEstimated) -> Self {
        let EvaluationEstimated {
            spec,
            basis,
            estimate,
            has_price,
            warnings,
            ..
        } = &estimated;
        let priced = |model: usize| has_price.get(model).copied().unwrap_or_default();
        let named = spec.evaluation.iter().flat_map(|it| &it.configurations);
        let points = named.zip(&estimate.configurations);
        let of_all = |spend: Spend| EvaluationCost {
            usd: has_price
                .iter()
                .all(|has| *has)
                .then(|| spend.usd.dollars()),
            tokens: spend.tokens,
        };
        Self {
            warnings: warnings.iter().cloned().map(FieldError::from).collect(),
            prompt_tokens: prompt_tokens(spec, basis),
            configurations: points
                .map(|(named, point)| {
                    let has_price = priced(point.settings.sampling.model);
                    EvaluationCosts {
                        name: named.name.clone(),
                        configuration: Configuration::new(spec, &point.settings),
                        expected: cost(point.expected, basis, has_price),
                        at_most: cost(point.at_most, basis, has_price),
                        within_inference_budget: point.within_inference_budget.map(Into::into),
                    }
                })
                .collect(),
            expected: of_all(estimate.expected),
            at_most: of_all(estimate.at_most),
            budgets: EvaluationBudgets::from(spec),
            rows: PayableRows {
                of: estimate.rows.of,
                expected: estimate.rows.expected,
                at_least: estimate.rows.at_least,
            },
        }
    }
}
