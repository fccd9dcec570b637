//! What the cheapest configuration of a model or a prompt costs.

use crate::ended::{BASELINE, EndedTrial};
use crate::findings::Findings;
use frugal_domain::configuration::Extent;
use frugal_domain::money::{Spend, Unit, Usage};
use frugal_evaluation::Rates;
use std::sync::Arc;

/// Tokens of a prompt per byte of its bound while the endpoint has counted none. A bound is the bytes
/// of the prompt, and what a chat template may add.
const TOKENS_PER_BYTE: f64 = 0.3;

/// The inference cost of a configuration, in dollars or tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cheapest {
    pub(super) cost: f64,
    /// Whether responses of the model tell; else it is the least that it can cost, its prompt with a
    /// response of one token.
    pub(super) measured: bool,
}

/// What the inference budget allows, in dollars or tokens.
pub(super) fn inference_budget(findings: &Findings<'_>) -> Option<f64> {
    let budget = findings.spec.inference_budget?;
    Some(budget.unit().display(real(budget.amount())))
}

/// The trials of configurations of the search space: all but a baseline that lies outside of it.
pub(super) fn within_space<'a>(findings: &Findings<'a>) -> impl Iterator<Item = &'a EndedTrial> {
    let spec = findings.spec;
    let baseline = spec.baseline.as_ref();
    let outside = baseline.is_some_and(|baseline| !spec.space.contains(baseline));
    let ended = findings.ended.values();
    ended.filter(move |ended| !(outside && ended.number == BASELINE))
}

/// The cheapest configuration of a model: of those that were tried, and of their sampling settings
/// with the fewest tokens and responses that the space allows. The least that one can cost where
/// none has responses.
pub(super) fn cheapest_of_model(findings: &Findings<'_>, model: usize) -> Option<Cheapest> {
    let smallest = smallest_extent(findings, model);
    let trials = within_space(findings).filter(|ended| ended.settings.sampling.model == model);
    let measured = trials.flat_map(|ended| {
        let found = ended.evaluation();
        let found = found.map(|found| found.inference_cost.estimate.mean);
        let drawn = [Some(ended.settings.extent), smallest];
        let drawn = drawn.into_iter().flatten();
        found
            .into_iter()
            .chain(drawn.filter_map(|extent| of_drawn(findings, ended, extent)))
    });
    let measured = measured.min_by(f64::total_cmp).map(|cost| Cheapest {
        cost,
        measured: true,
    });
    measured.or_else(|| {
        let prompts = 0..findings.spec.prompts.len();
        least(findings, prompts.map(|prompt| (model, prompt)))
    })
}

/// The least that a configuration with one of these models and prompts can cost.
pub(super) fn least(
    findings: &Findings<'_>,
    pairs: impl Iterator<Item = (usize, usize)>,
) -> Option<Cheapest> {
    let costs = pairs.filter_map(|(model, prompt)| with_one_token(findings, model, prompt));
    costs.min_by(f64::total_cmp).map(|cost| Cheapest {
        cost,
        measured: false,
    })
}

fn smallest_extent(findings: &Findings<'_>, model: usize) -> Option<Extent> {
    let starts = findings.spec.low_cost_starts();
    let settings = findings.spec.settings(starts.get(model)?).ok()?;
    Some(settings.extent)
}

/// What an extent costs by the responses to a trial's sampling settings.
fn of_drawn(findings: &Findings<'_>, ended: &EndedTrial, extent: Extent) -> Option<f64> {
    let sampling = &ended.settings.sampling;
    let rates = Rates {
        prices: findings.spec.models.get(sampling.model)?.prices,
        most_per_request: most_per_request(findings, sampling.model),
        unit: findings.spec.cost_unit(),
    };
    let prompts = prompt_tokens(findings, sampling.model, sampling.prompt);
    let prompt = |row: usize| {
        let counted =
            findings
                .evaluator
                .counted_prompt_tokens(sampling.model, sampling.prompt, row);
        counted.or_else(|| prompts.get(row).copied()).unwrap_or(0)
    };
    let arm = findings.evaluator.pool().arm(sampling)?;
    arm.cost(extent, rates, prompt)
        .map(|estimate| estimate.mean)
}

/// What a prompt costs with a response of one token, the mean over the rows.
fn with_one_token(findings: &Findings<'_>, model: usize, prompt: usize) -> Option<f64> {
    let prices = findings.spec.models.get(model)?.prices;
    let unit: Unit = findings.spec.cost_unit();
    let rows = prompt_tokens(findings, model, prompt);
    let one = |prompt_tokens: &u64| {
        let usage = Usage {
            prompt_tokens: *prompt_tokens,
            completion_tokens: 1,
        };
        unit.display(real(unit.of(Spend::of(usage, prices))))
    };
    let total: f64 = rows.iter().map(one).sum();
    (!rows.is_empty()).then(|| total / real(rows.len() as u64))
}

/// The tokens of each row's prompt: counted where the endpoint has said so, else estimated from what
/// it counted of other rows, of other models or of other prompts, in this order.
fn prompt_tokens(findings: &Findings<'_>, model: usize, prompt: usize) -> Vec<u64> {
    let bounds = findings.prompt_token_bounds.get(prompt).cloned();
    let bounds: Arc<[u64]> = bounds.unwrap_or_default();
    if counted(findings, model, prompt).next().is_some() {
        return findings
            .evaluator
            .prompt_token_estimates(model, prompt, bounds);
    }
    let models = 0..findings.spec.models.len();
    let of_prompt = ratio(models.clone().flat_map(|m| counted(findings, m, prompt)));
    let ratio = of_prompt.or_else(|| {
        let prompts = 0..findings.spec.prompts.len();
        ratio(models.flat_map(|m| prompts.clone().flat_map(move |p| counted(findings, m, p))))
    });
    let ratio = ratio.unwrap_or(TOKENS_PER_BYTE);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of a count; a cast from a float saturates"
    )]
    let scaled = |bound: &u64| (real(*bound) * ratio).round() as u64;
    bounds.iter().map(scaled).collect()
}

/// Prompts that the endpoint has counted, each with its bound.
fn counted<'a>(
    findings: &Findings<'a>,
    model: usize,
    prompt: usize,
) -> impl Iterator<Item = (u64, u64)> + 'a {
    let (evaluator, bounds) = (findings.evaluator, findings.prompt_token_bounds);
    let bounds = bounds.get(prompt).map_or(&[][..], |bounds| bounds);
    let rows = bounds.iter().enumerate();
    rows.filter_map(move |(row, bound)| {
        Some((evaluator.counted_prompt_tokens(model, prompt, row)?, *bound))
    })
}

fn ratio(counted: impl Iterator<Item = (u64, u64)>) -> Option<f64> {
    let (tokens, bounds) = counted.fold((0_u64, 0_u64), |sum, (tokens, bound)| {
        (sum.0.saturating_add(tokens), sum.1.saturating_add(bound))
    });
    (bounds > 0).then(|| real(tokens) / real(bounds))
}

fn most_per_request(findings: &Findings<'_>, model: usize) -> Option<u32> {
    findings.most_per_request.get(model).copied().flatten()
}

#[expect(clippy::cast_precision_loss, reason = "told to people, not booked")]
const fn real(amount: u64) -> f64 {
    amount as f64
}
