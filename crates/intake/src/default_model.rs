//! The model of a baseline that names none: the first that can be afforded.

use crate::sample::{as_sent, shuffled};
use frugal_domain::configuration::Settings;
use frugal_domain::endpoint::{Api, Catalog};
use frugal_domain::job::{Instance, JobSpec};
use frugal_domain::money::{Spend, Usage};
use frugal_scoring::{CompiledPrompt, RenderedPrompt};

/// The most rows whose prompts are counted.
const MOST_ROWS: usize = 32;

/// The most tokens that a response is expected to have.
const EXPECTED_TOKENS: u32 = 256;

/// The position of the first model whose default configuration is expected to cost no more than the
/// inference budget; where none is, of the one that costs least. The first model where there is no
/// such budget.
///
/// Prompts are counted on a sample of the rows; responses are taken to have `max_tokens` tokens, and
/// no more than 256.
pub(crate) fn default_model(spec: &JobSpec, rows: &[&Instance], catalog: &Catalog) -> usize {
    let Some(budget) = spec.inference_budget.filter(|_| spec.models.len() > 1) else {
        return 0;
    };
    // As a rule the first can be afforded by far, and nothing needs to be counted.
    let bound = |prompt: &RenderedPrompt, _| prompt.token_bound();
    if expected_cost(spec, 0, rows, catalog, bound).is_some_and(|cost| budget.covers(cost)) {
        return 0;
    }
    let count = |prompt: &RenderedPrompt, api| frugal_tokens::count_prompt(as_sent(prompt, api));
    let costs: Vec<(usize, Spend)> = (0..spec.models.len())
        .filter_map(|model| Some((model, expected_cost(spec, model, rows, catalog, count)?)))
        .collect();
    let affordable = costs.iter().find(|(_, cost)| budget.covers(*cost));
    let cheapest = || {
        let unit = budget.unit();
        costs.iter().min_by_key(|(_, cost)| unit.of(*cost))
    };
    affordable.or_else(cheapest).map_or(0, |(model, _)| *model)
}

/// What an instance is expected to cost under a model's default configuration, its prompt having the
/// tokens that `count` says; nothing where no prompt can be rendered.
fn expected_cost(
    spec: &JobSpec,
    model: usize,
    rows: &[&Instance],
    catalog: &Catalog,
    count: impl Fn(&RenderedPrompt, Api) -> u64,
) -> Option<Spend> {
    let configuration = spec.default_configuration_of(model);
    let Settings { sampling, extent } = spec.settings(&configuration).ok()?;
    let choice = spec.models.get(model)?;
    let endpoint = catalog.endpoint(&choice.endpoint)?;
    let served = endpoint.model(&choice.model)?;
    let prompt = CompiledPrompt::of_job(
        spec.prompts.get(sampling.prompt)?,
        &spec.pool.as_slice().into(),
    )
    .ok()?;
    let api = endpoint.api_of(served);
    let prompt_tokens = mean_tokens(&prompt, rows, |rendered| count(rendered, api))?;
    let requests = served
        .max_n
        .map_or(1, |most| extent.n.div_ceil(most.max(1)));
    let one_request = |n: u32| {
        let usage = Usage {
            prompt_tokens,
            completion_tokens: u64::from(n) * u64::from(extent.max_tokens.min(EXPECTED_TOKENS)),
        };
        Spend::of(usage, choice.prices)
    };
    // The prompt is paid with each request.
    let again = (1..requests).map(|_| one_request(0));
    Some(one_request(extent.n) + again.sum())
}

/// The tokens of a prompt, the mean over a sample of the rows, rounded up. A row for which it cannot
/// be rendered is left out.
fn mean_tokens(
    prompt: &CompiledPrompt,
    rows: &[&Instance],
    count: impl Fn(&RenderedPrompt) -> u64,
) -> Option<u64> {
    let sample = shuffled(rows).take(MOST_ROWS);
    let counts: Vec<u64> = sample
        .filter_map(|row| prompt.render(row).ok())
        .map(|rendered| count(&rendered))
        .collect();
    let total: u64 = counts.iter().sum();
    (!counts.is_empty()).then(|| total.div_ceil(counts.len() as u64))
}
