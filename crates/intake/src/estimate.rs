//! What a job may cost, from the tokens of its prompts alone: before anything is sent.
//!
//! Amounts are whole numbers. The cost of an instance is that of the inference cost: the prompt
//! once per request, as many requests as the responses take, and the responses.

mod points;
mod posted;
mod prompts;
mod side_by_side;

pub use posted::{Estimated, EvaluationEstimated, of_document, of_evaluation};
pub(crate) use prompts::basis;
pub use side_by_side::{EvaluationEstimate, PayableRows, side_by_side};

use frugal_domain::configuration::{Configuration, Extent, Sampling, Settings};
use frugal_domain::job::points::NotAPoint;
use frugal_domain::job::{JobSpec, JudgeSpec, Split};
use frugal_domain::money::{Budget, Spend, Unit, Usd};

/// What an estimate rests on, besides the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// Rows that every trial is evaluated on, at least one.
    pub tuning_rows: u64,
    /// Rows held out from the search.
    pub holdout_rows: u64,
    /// What is known of the job's models, by their positions.
    pub models: Vec<ModelBasis>,
    /// By judge, the tokens of a question about an empty answer, on the row where it has most.
    pub judge_prompts: Vec<u64>,
}

/// Tokens of a chat template beyond the usual ones, a short system prompt of the model's own included:
/// allowed for in what a configuration costs at most. An endpoint that adds more than that, or whose
/// tokenizer makes many more tokens of the same texts, shows it with its first answer.
pub const TEMPLATE_ALLOWANCE: u64 = 32;

/// What an estimate needs to know of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelBasis {
    /// The most responses that one request yields; no limit where absent.
    pub max_n: Option<u32>,
    /// Tokens that each request's prompt may have besides those counted: [`TEMPLATE_ALLOWANCE`] where
    /// the model puts messages into a chat template of its own, else 0.
    pub prompt_allowance: u64,
    /// The tokens of the job's prompts as this model gets them, by their positions.
    pub prompts: Vec<PromptTokens>,
}

/// The tokens of a prompt over the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptTokens {
    counted: u64,
    total: u64,
    largest: u64,
}

impl PromptTokens {
    /// From the prompt's tokens on tuning rows and on held-out rows, or on samples of them. The
    /// mean is that of the tuning rows; 0 where none was counted.
    #[must_use]
    pub fn new(tuning: &[u64], holdout: &[u64]) -> Self {
        Self {
            counted: u64::try_from(tuning.len()).unwrap_or(u64::MAX),
            total: tuning.iter().fold(0, |sum, one| sum.saturating_add(*one)),
            largest: tuning.iter().chain(holdout).copied().max().unwrap_or(0),
        }
    }

    /// The mean over the tuning rows that were counted.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn mean(&self) -> f64 {
        self.total as f64 / self.counted.max(1) as f64
    }

    /// The largest of any row that was counted, held out or not.
    #[must_use]
    pub const fn largest(&self) -> u64 {
        self.largest
    }

    /// Tuning rows that were counted.
    #[must_use]
    pub const fn counted(&self) -> u64 {
        self.counted
    }

    /// The tokens of all tuning rows, those not counted taken at the mean; rounded up.
    fn over(&self, rows: u64) -> u128 {
        let total = u128::from(self.total) * u128::from(rows);
        total.div_ceil(u128::from(self.counted.max(1)))
    }
}

/// What a job may cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The baseline, if the job has one.
    pub baseline: Option<Point>,
    /// The middle of the search space: every numeric setting in the middle of its scale, the
    /// first of each choice, the first model and prompt.
    pub mid_space: Point,
    /// The largest `n` and `max_tokens`, with the model and the prompt that then cost most in
    /// the unit of inference costs; the rest as in the middle of the space.
    pub most_expensive: Point,
    /// What is kept back from the search for the held-out rows, if anything is.
    pub kept_for_holdout: Option<Budget>,
    /// How far the optimization budget goes.
    pub trials: Trials,
}

/// What a configuration may cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The configuration.
    pub settings: Settings,
    /// A full evaluation on all tuning rows, where a response, and a judge's reply, has half of its
    /// `max_tokens`. Dollars are zero for a model without prices.
    pub expected: Spend,
    /// The same where every response has `max_tokens`, and every prompt the
    /// [allowance](ModelBasis::prompt_allowance) besides.
    pub at_most: Spend,
    /// Whether it is within the inference budget, if there is one.
    pub within_inference_budget: Option<Within>,
}

/// Whether a configuration is within the inference budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// Whatever the lengths of the responses, if the endpoint counts prompts as the estimate does, or the
    /// allowance more. Only its own count can make that certain.
    Likely,
    /// If the responses are short enough.
    Possible,
    /// Not even with responses of no length: the prompts alone cost more.
    Impossible,
}

/// How many full evaluations the optimization budget buys, after the baseline and what is kept
/// for the held-out rows; never more than the limit on trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trials {
    /// Of the middle of the space, with responses as long as expected.
    pub expected: u32,
    /// Of the middle of the space, every response at `max_tokens`.
    pub at_least: u32,
    /// Of configurations that cost the whole inference budget, which no valid one passes, after
    /// a baseline with every response at `max_tokens`. Absent without an inference budget, where the two
    /// budgets are in different units, and where a judge has to be paid besides.
    pub at_least_within_budget: Option<u32>,
}

/// What a job may cost.
///
/// # Errors
/// The middle of the search space or the baseline asks for nothing that could be sent, because a
/// setting is missing there.
pub fn estimate(spec: &JobSpec, basis: &Basis) -> Result<Estimate, NotAPoint> {
    let costs = Costs { spec, basis };
    let baseline = spec.baseline.as_ref();
    let baseline = baseline.map(|it| spec.settings(it)).transpose()?;
    let mid_space = spec.settings(&points::middle(&spec.space))?;
    let most_expensive = costs.most_expensive()?;
    let kept_for_holdout = spec.kept_for_holdout(basis.holdout_rows);
    let trials = costs.trials(baseline.as_ref(), &mid_space, kept_for_holdout);
    Ok(Estimate {
        baseline: baseline.map(|settings| costs.point(settings)),
        mid_space: costs.point(mid_space),
        most_expensive: costs.point(most_expensive),
        kept_for_holdout,
        trials,
    })
}

/// What the prompts alone of the cheapest model and prompt cost on an instance, in a unit: no configuration
/// costs less. With the positions of the two.
pub(crate) fn cheapest_prompts(
    spec: &JobSpec,
    basis: &Basis,
    unit: Unit,
) -> Option<(Budget, usize, usize)> {
    let costs = Costs { spec, basis };
    let pairs = (0..spec.models.len())
        .flat_map(|model| (0..spec.prompts.len()).map(move |prompt| (model, prompt)));
    let all = pairs.map(|(model, prompt)| {
        let cost = costs.of(model, prompt, 1, 1, Responses::Empty).of(unit);
        (cost, model, prompt)
    });
    let (cost, model, prompt) = all.min()?;
    let rows = u128::from(basis.tuning_rows.max(1));
    let each = u64::try_from(cost.div_ceil(rows)).unwrap_or(u64::MAX);
    Some((unit.budget(each), model, prompt))
}

/// The most responses that a configuration of the job has for a row.
pub(crate) fn largest_n(spec: &JobSpec) -> Option<u32> {
    let models = 0..spec.models.len();
    let largest = models.flat_map(|model| points::largest(&spec.space, model));
    largest.map(|(n, ..)| n).max()
}

/// What configurations of a job cost.
struct Costs<'a> {
    spec: &'a JobSpec,
    basis: &'a Basis,
}

/// How long responses are.
#[derive(Clone, Copy)]
enum Responses {
    Empty,
    Half,
    Full,
}

/// A cost that no sum overflows, in both units.
#[derive(Clone, Copy)]
struct Cost {
    pico: u128,
    tokens: u128,
}

impl Cost {
    const fn and(self, other: Self) -> Self {
        Self {
            pico: self.pico.saturating_add(other.pico),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }

    const fn of(self, unit: Unit) -> u128 {
        match unit {
            Unit::Usd => self.pico,
            Unit::Tokens => self.tokens,
        }
    }

    fn spend(self) -> Spend {
        let whole = |amount: u128| u64::try_from(amount).unwrap_or(u64::MAX);
        Spend {
            usd: Usd::from_pico(whole(self.pico)),
            tokens: whole(self.tokens),
        }
    }
}

impl Costs<'_> {
    /// What a full evaluation on all tuning rows costs.
    fn full(&self, settings: &Settings, responses: Responses) -> Cost {
        let Sampling { model, prompt, .. } = settings.sampling;
        let Extent { max_tokens, n } = settings.extent;
        self.of(model, prompt, n, max_tokens, responses)
    }

    /// What it costs besides to have all judges asked about all responses.
    fn judged(&self, settings: &Settings, responses: Responses) -> Cost {
        let judges = self.spec.judges.iter().enumerate();
        judges.fold(Cost { pico: 0, tokens: 0 }, |sum, (number, judge)| {
            let prompt = self.basis.judge_prompts.get(number).copied();
            sum.and(self.judged_by(judge, prompt.unwrap_or_default(), settings, responses))
        })
    }

    /// The same of one judge, whose questions about an empty answer have so many tokens.
    fn judged_by(
        &self,
        judge: &JudgeSpec,
        prompt: u64,
        settings: &Settings,
        responses: Responses,
    ) -> Cost {
        let Extent { max_tokens, n } = settings.extent;
        let questions =
            u128::from(self.basis.tuning_rows) * u128::from(n) * u128::from(judge.questions);
        let long = |most: u32| match responses {
            Responses::Empty => 0,
            Responses::Half => u128::from(most.div_ceil(2)),
            Responses::Full => u128::from(most),
        };
        let prompt = questions * (u128::from(prompt) + long(max_tokens));
        let replies = questions * long(judge.max_tokens);
        let prices = judge.model.prices;
        Cost {
            pico: questions * u128::from(prices.request_pico)
                + prompt * u128::from(prices.input_pico)
                + replies * u128::from(prices.output_pico),
            tokens: prompt + replies,
        }
    }

    /// What a full evaluation takes of the optimization budget.
    fn spent(&self, settings: &Settings, responses: Responses) -> Cost {
        self.full(settings, responses)
            .and(self.judged(settings, responses))
    }

    fn of(
        &self,
        model: usize,
        prompt: usize,
        n: u32,
        max_tokens: u32,
        responses: Responses,
    ) -> Cost {
        let rows = self.basis.tuning_rows;
        let prices = self.spec.models[model].prices;
        let ModelBasis {
            max_n,
            prompt_allowance,
            prompts,
        } = &self.basis.models[model];
        let requests = u128::from(max_n.map_or(1, |most| n.div_ceil(most.max(1))));
        let allowance = match responses {
            Responses::Empty | Responses::Half => 0,
            Responses::Full => u128::from(rows) * u128::from(*prompt_allowance),
        };
        let prompt_tokens = requests * (prompts[prompt].over(rows) + allowance);
        let longest = u128::from(rows) * u128::from(n) * u128::from(max_tokens);
        let completion_tokens = match responses {
            Responses::Empty => 0,
            Responses::Half => longest.div_ceil(2),
            Responses::Full => longest,
        };
        Cost {
            pico: requests * u128::from(rows) * u128::from(prices.request_pico)
                + prompt_tokens * u128::from(prices.input_pico)
                + completion_tokens * u128::from(prices.output_pico),
            tokens: prompt_tokens + completion_tokens,
        }
    }

    fn point(&self, settings: Settings) -> Point {
        Point {
            expected: self.spent(&settings, Responses::Half).spend(),
            at_most: self.spent(&settings, Responses::Full).spend(),
            within_inference_budget: self.within(&settings),
            settings,
        }
    }

    fn within(&self, settings: &Settings) -> Option<Within> {
        let budget = self.spec.inference_budget?;
        let most = u128::from(budget.amount()) * u128::from(self.basis.tuning_rows);
        let fits = |responses| self.full(settings, responses).of(budget.unit()) <= most;
        Some(if fits(Responses::Full) {
            Within::Likely
        } else if fits(Responses::Empty) {
            Within::Possible
        } else {
            Within::Impossible
        })
    }

    /// Of configurations that cost the same, the one of the first model and prompt.
    fn most_expensive(&self) -> Result<Settings, NotAPoint> {
        let unit = self.spec.cost_unit();
        let mut most: Option<(u128, Configuration, usize)> = None;
        for model in 0..self.spec.models.len() {
            for (n, max_tokens, configuration) in points::largest(&self.spec.space, model) {
                for prompt in 0..self.spec.prompts.len() {
                    let cost = self.of(model, prompt, n, max_tokens, Responses::Full);
                    let cost = cost.of(unit);
                    if most.as_ref().is_none_or(|(most, ..)| cost > *most) {
                        most = Some((cost, configuration.clone(), prompt));
                    }
                }
            }
        }
        let (_, configuration, prompt) = most.ok_or_else(|| NotAPoint("n".to_owned()))?;
        let mut settings = self.spec.settings(&configuration)?;
        settings.sampling.prompt = prompt;
        Ok(settings)
    }

    fn trials(
        &self,
        baseline: Option<&Settings>,
        mid_space: &Settings,
        kept: Option<Budget>,
    ) -> Trials {
        let budget = self.spec.optimization_budget;
        let unit = budget.unit();
        let left = |responses| {
            let spent = baseline.map_or(0, |it| self.spent(it, responses).of(unit));
            let kept = kept.map_or(0, Budget::amount);
            u128::from(budget.amount().saturating_sub(kept)).saturating_sub(spent)
        };
        // A judge may have a share of its own, which can be used up before.
        let judged = |responses| {
            let judges = self.spec.judges.iter().enumerate();
            let shares = judges.filter_map(|(number, judge)| {
                let has_holdout = self.basis.holdout_rows > 0;
                let share = judge.allowance(budget, Split::Tuning, has_holdout)?;
                let prompt = self
                    .basis
                    .judge_prompts
                    .get(number)
                    .copied()
                    .unwrap_or_default();
                let cost = |it| self.judged_by(judge, prompt, it, responses).of(unit);
                let left = u128::from(share).saturating_sub(baseline.map_or(0, cost));
                Some((left, cost(mid_space)))
            });
            shares.collect::<Vec<_>>()
        };
        let limit = self.spec.limits.trials;
        let buys = |left: u128, cost: u128| match left.checked_div(cost) {
            None => limit,
            Some(trials) => u32::try_from(trials).map_or(limit, |trials| trials.min(limit)),
        };
        let of_mid_space = |responses| {
            let all = buys(left(responses), self.spent(mid_space, responses).of(unit));
            let judged = judged(responses).into_iter();
            judged
                .map(|(left, cost)| buys(left, cost))
                .fold(all, u32::min)
        };
        let inference = self.spec.inference_budget;
        let within =
            inference.filter(|inference| inference.unit() == unit && self.spec.judges.is_empty());
        Trials {
            expected: of_mid_space(Responses::Half),
            at_least: of_mid_space(Responses::Full),
            at_least_within_budget: within.map(|inference| {
                let cost = u128::from(inference.amount()) * u128::from(self.basis.tuning_rows);
                buys(left(Responses::Full), cost)
            }),
        }
    }
}

#[cfg(test)]
mod tests;
