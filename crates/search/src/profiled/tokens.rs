//! How long prompts and responses are, and what an extent costs.
//!
//! Prompt tokens are known once an endpoint has counted them; before, they are guessed from their
//! bounds and from what other rows and prompts came to. The log of a response's length is a sum of
//! effects of the row, the model, the prompt and both (a ridge regression, the effects' deviations
//! being the penalties); it fills in the rows that an arm has not seen.

use super::arm::{Arm, Heat};
use super::constants::{PRIOR_LENGTH, PRIOR_TOKENS_PER_BYTE, UNCOUNTED_PROMPT};
use super::problem::{Model, Problem, Rates};
use nalgebra::{Cholesky, DMatrix, DVector};

/// Deviations of the effects on the log of a length: all, row, model, prompt, both.
const ALL: f64 = 1.0;
const ROW: f64 = 0.4;
const MODEL: f64 = 0.5;
const PROMPT: f64 = 0.6;
const PAIR: f64 = 0.3;
/// The variance of a row's mean log length that no number of responses takes away, and that of one
/// response.
const MEAN_VARIANCE: f64 = 0.05;
const ONE_VARIANCE: f64 = 0.15;
/// Half the variance of what the regression does not explain: the mean lies above the median.
const ABOVE_MEDIAN: f64 = 0.05;
/// Hotter arms do not speak for the lengths of others, and are longer themselves.
const HOTTEST: f64 = 1.1;
const LONGER_WHEN_HOT: f64 = 1.1;
/// Lengths are shared between temperatures up to this one that lie no further apart than that.
const COLD: f64 = 0.96;
const NEAR: f64 = 0.55;
/// The squared coefficient of variation of one row's lengths before it was seen, worth so many
/// degrees of freedom.
const PRIOR_VARIATION: f64 = 0.16;
const PRIOR_FREEDOM: f64 = 4.0;
/// The variance of an unseen row's mean about its guess, and of a guess's level per row seen.
const GUESS_VARIANCE: f64 = 0.04;
const LEVEL_VARIANCE: f64 = 0.06;

/// Guesses of all lengths, from what was drawn so far.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    /// Prompt tokens by model, prompt and row.
    prompts: Vec<Vec<Vec<f64>>>,
    /// Whether the endpoint has counted any prompt of a model.
    counted: Vec<bool>,
    /// Tokens of a response by model, prompt and row.
    lengths: Vec<Vec<Vec<f64>>>,
}

/// What an arm costs under one limit of tokens, the mean over the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cost {
    /// A request with its prompt, against the inference budget.
    pub(super) prompt: f64,
    /// One response, against the inference budget.
    pub(super) response: f64,
    /// The same two, as money spent on the search.
    pub(super) spent_prompt: f64,
    pub(super) spent_response: f64,
    /// Tokens of one response.
    pub(super) tokens: f64,
    /// The standard error of a response's cost, as a share of it.
    pub(super) error: f64,
    /// The same of the log of the prompt's.
    pub(super) prompt_error: f64,
}

impl Cost {
    /// What n responses cost, a request yielding so many at most.
    pub(super) fn of(&self, n: f64, most_per_request: Option<u32>) -> f64 {
        self.prompt * requests(n, most_per_request) + n * self.response
    }

    /// The same, as money spent.
    pub(super) fn spent(&self, n: f64, most_per_request: Option<u32>) -> f64 {
        self.spent_prompt * requests(n, most_per_request) + n * self.spent_response
    }
}

/// How many requests it takes to have n responses.
pub(super) fn requests(n: f64, most_per_request: Option<u32>) -> f64 {
    most_per_request.map_or(1.0, |most| (n / f64::from(most.max(1))).ceil())
}

/// What the endpoint has counted: prompt tokens by model, prompt and row.
pub(super) type Counted = Vec<Vec<Vec<Option<f64>>>>;

impl Tokens {
    pub(super) fn guess(problem: &Problem, arms: &[Arm], counted: &Counted) -> Self {
        Self {
            prompts: guess_prompts(problem, counted),
            counted: counted
                .iter()
                .map(|prompts| prompts.iter().flatten().any(Option::is_some))
                .collect(),
            lengths: guess_lengths(problem, arms),
        }
    }

    /// The mean tokens of a prompt.
    fn prompt(&self, model: usize, prompt: usize) -> f64 {
        mean(&self.prompts[model][prompt])
    }

    /// What an arm costs under a limit of tokens.
    pub(super) fn cost(&self, problem: &Problem, arms: &[Arm], which: usize, cap: f64) -> Cost {
        let arm = &arms[which];
        let (model, prompt) = (arm.place.model, arm.place.prompt);
        let hot = matches!(arm.place.heat, Heat::Temperature(heat) if heat > HOTTEST);
        let factor = if hot { LONGER_WHEN_HOT } else { 1.0 };
        let guesses: Vec<f64> = self.lengths[model][prompt]
            .iter()
            .map(|guess| (guess * factor).min(cap))
            .collect();
        let (tokens, error) = length(arms, which, cap, &guesses);
        let Model {
            inference,
            spending,
            ..
        } = problem.models[model];
        let prompt_tokens = self.prompt(model, prompt);
        let once = |rates: Rates| rates.request + rates.input * prompt_tokens;
        Cost {
            prompt: once(inference),
            response: inference.output * tokens,
            spent_prompt: once(spending),
            spent_response: spending.output * tokens + problem.judging.unwrap_or(0.0),
            tokens,
            error,
            prompt_error: if self.counted[model] {
                0.0
            } else {
                UNCOUNTED_PROMPT
            },
        }
    }
}

/// The mean tokens of a response, and its standard error as a share of it.
fn length(arms: &[Arm], which: usize, cap: f64, guesses: &[f64]) -> (f64, f64) {
    let arm = &arms[which];
    let rows = guesses.len() as f64;
    if arm.seen == 0 {
        let known = arms.iter().any(|other| {
            other.seen > 0
                && (other.place.model, other.place.prompt) == (arm.place.model, arm.place.prompt)
        });
        return (mean(guesses), if known { 0.15 } else { 0.4 });
    }
    let siblings: Vec<&Arm> = arms
        .iter()
        .enumerate()
        .filter(|(index, other)| *index == which || share_lengths(arm, other))
        .map(|(_, other)| other)
        .collect();
    // The total, the number and the squares of each row's lengths.
    let (mut sum, mut squares, mut seen) = (0.0, 0.0, 0.0);
    let (mut freedom, mut scale, mut own_variance) = (0.0, 0.0, Vec::new());
    let mut seen_guess = 0.0;
    let mut estimates = guesses.to_vec();
    for (row, estimate) in estimates.iter_mut().enumerate() {
        let (mut count, mut total, mut square) = (0.0, 0.0, 0.0);
        let drawn = siblings.iter().filter_map(|arm| arm.rows[row].as_ref());
        for tokens in drawn.flat_map(|row| &row.tokens) {
            let tokens = tokens.min(cap);
            count += 1.0;
            total += tokens;
            square += tokens * tokens;
        }
        if count == 0.0 {
            continue;
        }
        let mean = total / count;
        seen_guess += *estimate;
        *estimate = mean;
        seen += 1.0;
        sum += mean;
        squares += (square - count * mean * mean).max(0.0);
        freedom += count - 1.0;
        scale += mean * mean * (count - 1.0);
        own_variance.push(mean * mean / count);
    }
    let all_guess = mean(guesses);
    let half = 0.5 * all_guess;
    let ratio = (sum + half) / (seen_guess + half).max(1e-9);
    let unseen_rows = rows - seen;
    let seen_sum = sum;
    let unseen_sum = (all_guess * rows - seen_guess).max(0.0) * ratio;
    let mean = (seen_sum + unseen_sum) / rows;
    let variation = if freedom > 0.0 {
        let weight = freedom / (freedom + PRIOR_FREEDOM);
        squares / scale.max(1e-9) * weight + PRIOR_VARIATION * (1.0 - weight)
    } else {
        PRIOR_VARIATION
    };
    let own: f64 = own_variance
        .iter()
        .map(|variance| variance * variation)
        .sum();
    let guessed = unseen_rows * (variation + GUESS_VARIANCE) * mean * mean;
    let level = (unseen_rows * mean).powi(2) * LEVEL_VARIANCE / seen.max(1.0);
    let error = (own + guessed + level).sqrt() / rows / mean.max(1e-9);
    (mean, error)
}

/// Whether the lengths of one arm tell those of another: all but the temperature is the same, and
/// that is near enough.
fn share_lengths(one: &Arm, other: &Arm) -> bool {
    other.seen > 0
        && one.same_but_heat(other)
        && one.place.heat.same_kind(other.place.heat)
        && (one.place.heat.value() - other.place.heat.value()).abs() <= NEAR
        && one.place.heat.value().max(other.place.heat.value()) <= COLD
}

fn guess_prompts(problem: &Problem, counted: &Counted) -> Vec<Vec<Vec<f64>>> {
    let (rows, prompts) = (problem.rows(), problem.prompts());
    let bound = |prompt: usize, row: usize| problem.prompt_token_bounds[prompt][problem.order[row]];
    // What the models counted for each prompt and row, on average.
    let by_any = |prompt: usize, row: usize| {
        let counts: Vec<f64> = counted
            .iter()
            .filter_map(|model| model[prompt][row])
            .collect();
        (!counts.is_empty()).then(|| mean(&counts))
    };
    let known: Vec<Vec<Option<f64>>> = (0..prompts)
        .map(|prompt| (0..rows).map(|row| by_any(prompt, row)).collect())
        .collect();
    let (mut tokens, mut bytes) = (0.0, 0.0);
    for (prompt, of_prompt) in known.iter().enumerate() {
        for (row, count) in of_prompt.iter().enumerate() {
            if let Some(count) = count {
                tokens += count;
                bytes += bound(prompt, row);
            }
        }
    }
    let ratio = if bytes > 0.0 {
        tokens / bytes
    } else {
        PRIOR_TOKENS_PER_BYTE
    };
    // A row's length apart from the prompt's, and a prompt's offset from the rows' mean.
    let of_row: Vec<Option<f64>> = (0..rows)
        .map(|row| {
            let counts: Vec<f64> = known.iter().filter_map(|prompt| prompt[row]).collect();
            (!counts.is_empty()).then(|| mean(&counts))
        })
        .collect();
    let offset: Vec<Option<f64>> = known
        .iter()
        .map(|of_prompt| {
            let both = of_prompt.iter().zip(&of_row);
            let differences: Vec<f64> = both
                .filter_map(|(count, row)| Some((*count)? - (*row)?))
                .collect();
            (!differences.is_empty()).then(|| mean(&differences))
        })
        .collect();
    let shared: Vec<Vec<f64>> = (0..prompts)
        .map(|prompt| {
            (0..rows)
                .map(
                    |row| match (known[prompt][row], of_row[row], offset[prompt]) {
                        (Some(count), _, _) => count,
                        (None, Some(row), Some(offset)) => (row + offset).max(1.0),
                        _ => (bound(prompt, row) * ratio).max(1.0),
                    },
                )
                .collect()
        })
        .collect();
    counted
        .iter()
        .map(|model| {
            // A tokenizer of its own: a factor on what all models count, shrunk towards 1.
            let (mut own, mut others) = (0.0, 0.0);
            for (counts, guesses) in model.iter().zip(&shared) {
                for (count, guess) in counts.iter().zip(guesses) {
                    if let Some(count) = count {
                        own += count;
                        others += guess;
                    }
                }
            }
            let pull = shared.iter().flatten().copied().next().unwrap_or(1.0);
            let factor = (own + pull) / (others + pull);
            let of_prompt = |(counts, guesses): (&Vec<Option<f64>>, &Vec<f64>)| {
                let both = counts.iter().zip(guesses);
                both.map(|(count, guess)| count.unwrap_or(guess * factor))
                    .collect()
            };
            model.iter().zip(&shared).map(of_prompt).collect()
        })
        .collect()
}

fn guess_lengths(problem: &Problem, arms: &[Arm]) -> Vec<Vec<Vec<f64>>> {
    let (rows, models, prompts) = (problem.rows(), problem.models.len(), problem.prompts());
    let size = 1 + models + prompts + models * prompts;
    let places = |model: usize, prompt: usize| {
        [
            0,
            1 + model,
            1 + models + prompt,
            1 + models + prompts + model * prompts + prompt,
        ]
    };
    // The rows' effects are eliminated one by one, which leaves a system of the others.
    let mut normal = DMatrix::<f64>::zeros(size, size);
    let mut right = DVector::<f64>::zeros(size);
    for (index, deviation) in std::iter::once(ALL)
        .chain(std::iter::repeat_n(MODEL, models))
        .chain(std::iter::repeat_n(PROMPT, prompts))
        .chain(std::iter::repeat_n(PAIR, models * prompts))
        .enumerate()
    {
        normal[(index, index)] = 1.0 / (deviation * deviation);
    }
    let level = PRIOR_LENGTH.ln();
    let mut of_rows = Vec::with_capacity(rows);
    for row in 0..rows {
        let mut observed: Vec<([usize; 4], f64, f64)> = Vec::new();
        for arm in arms {
            let Some(data) = &arm.rows[row] else { continue };
            if matches!(arm.place.heat, Heat::Temperature(heat) if heat > HOTTEST) {
                continue;
            }
            let weight = 1.0 / (MEAN_VARIANCE + ONE_VARIANCE / data.responses() as f64);
            let log = data.mean_tokens(arm.lowered()).max(1.0).ln() - level;
            observed.push((places(arm.place.model, arm.place.prompt), log, weight));
        }
        let precision: f64 = 1.0 / (ROW * ROW) + observed.iter().map(|(_, _, w)| w).sum::<f64>();
        let pull: f64 = observed.iter().map(|(_, log, weight)| log * weight).sum();
        for (at, log, weight) in &observed {
            for one in at {
                right[*one] += weight * (log - pull / precision);
                for other in at {
                    normal[(*one, *other)] += weight;
                }
            }
        }
        for (one_at, _, one_weight) in &observed {
            for (other_at, _, other_weight) in &observed {
                let share = one_weight * other_weight / precision;
                for one in one_at {
                    for other in other_at {
                        normal[(*one, *other)] -= share;
                    }
                }
            }
        }
        of_rows.push((observed, precision));
    }
    let effects = Cholesky::new(normal)
        .map_or_else(|| DVector::zeros(size), |factored| factored.solve(&right));
    let total = |at: &[usize; 4]| -> f64 { at.iter().map(|index| effects[*index]).sum() };
    let row_effects: Vec<f64> = of_rows
        .iter()
        .map(|(observed, precision)| {
            let left: f64 = observed
                .iter()
                .map(|(at, log, weight)| weight * (log - total(at)))
                .sum();
            left / precision
        })
        .collect();
    let guess = |model: usize, prompt: usize| -> Vec<f64> {
        let fixed = level + total(&places(model, prompt)) + ABOVE_MEDIAN;
        let rows = row_effects.iter();
        rows.map(|effect| (fixed + effect).exp()).collect()
    };
    (0..models)
        .map(|model| (0..prompts).map(|prompt| guess(model, prompt)).collect())
        .collect()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
