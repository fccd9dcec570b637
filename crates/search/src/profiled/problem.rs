//! What a profiled search is about: rows, prices, budgets, the objective.

use frugal_domain::job::{JobSpec, Objective};
use frugal_domain::metric::Constraint;
use frugal_domain::money::{Prices, Unit};

/// What a search is built from, apart from its space. Amounts are pico-dollars or tokens, each budget
/// in its own unit.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The order in which the rows are looked at: each of them once.
    pub order: Vec<usize>,
    /// The models, by position.
    pub models: Vec<Model>,
    /// Upper bounds on the tokens of each row's prompt, by the prompt's position.
    pub prompt_token_bounds: Vec<Vec<f64>>,
    /// The most that one instance may cost; none where that does not matter.
    pub inference_budget: Option<f64>,
    /// What the search may spend.
    pub optimization_budget: f64,
    /// What is sought.
    pub objective: Objective,
    /// Whether a selector looks at the answers.
    pub selects: bool,
    /// What must be kept besides.
    pub constraints: Vec<Constraint>,
    /// What is known of the baseline, where it was evaluated.
    pub baseline: Option<BaselineEstimate>,
    /// What it costs to have a response judged before anything is known, in the unit of the optimization
    /// budget; none where scores cost nothing.
    pub judging: Option<f64>,
    /// Fixes all random draws.
    pub seed: u64,
}

/// What is known of the baseline before the search.
#[derive(Debug, Clone, Copy)]
pub struct BaselineEstimate {
    /// The mean of the metric that says how good answers are, and its standard error.
    pub quality: (f64, f64),
    /// What one instance costs under it, in the unit of the inference budget.
    pub cost: f64,
}

/// What a model charges.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// In the unit of the inference budget.
    pub inference: Rates,
    /// In the unit of the optimization budget.
    pub spending: Rates,
    /// The most responses that one request yields; no limit where absent.
    pub most_per_request: Option<u32>,
}

/// Prices of a token and a request in some unit.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// A token of a prompt.
    pub input: f64,
    /// A token of a response.
    pub output: f64,
    /// A request.
    pub request: f64,
}

impl Rates {
    fn of(unit: Unit, prices: Prices) -> Self {
        let prices = unit.prices(prices);
        Self {
            input: prices.input_pico as f64,
            output: prices.output_pico as f64,
            request: prices.request_pico as f64,
        }
    }
}

impl Problem {
    /// The search of a job over so many rows. `available` is what it may spend, in the unit of the
    /// optimization budget.
    #[must_use]
    pub fn for_job(
        spec: &JobSpec,
        rows: usize,
        most_per_request: &[Option<u32>],
        prompt_token_bounds: Vec<Vec<f64>>,
        available: f64,
    ) -> Self {
        let models = spec.models.iter().enumerate();
        let model = |(position, choice): (usize, &frugal_domain::job::ModelChoice)| Model {
            inference: Rates::of(spec.cost_unit(), choice.prices),
            spending: Rates::of(spec.optimization_budget.unit(), choice.prices),
            most_per_request: most_per_request.get(position).copied().flatten(),
        };
        Self {
            order: spec.row_order(rows),
            models: models.map(model).collect(),
            prompt_token_bounds,
            inference_budget: spec.inference_budget.map(|budget| budget.amount() as f64),
            optimization_budget: available,
            objective: spec.objective,
            selects: spec.selector.is_some(),
            constraints: spec.constraints.clone(),
            baseline: None,
            judging: None,
            seed: spec.search.seed,
        }
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.order.len()
    }

    /// Prompts.
    #[must_use]
    pub fn prompts(&self) -> usize {
        self.prompt_token_bounds.len()
    }
}
