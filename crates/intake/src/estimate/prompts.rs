//! What an estimate rests on: prompts rendered, their tokens counted.

use super::{Basis, ModelBasis, PromptTokens, TEMPLATE_ALLOWANCE};
use crate::sample::{as_sent, shuffled};
use frugal_domain::endpoint::{Api, Catalog, Endpoint, Model};
use frugal_domain::job::{Data, Instance, JobSpec, ModelChoice};
use frugal_domain::prompt::Prompt;
use frugal_scoring::{CompiledPrompt, RenderedPrompt, Scorer};
use std::sync::Arc;

/// The most prompts that are rendered for one estimate, and the most bytes of them; a sample of
/// the rows is counted where all of them are more. (Each prompt is rendered at least once.)
pub(super) const MOST_RENDERED: usize = 10_000;
/// The most rows that a judge's question is counted for.
const MOST_QUESTIONS: usize = 200;
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// What the operator says of a model.
pub(super) fn of_catalog<'a>(
    choice: &ModelChoice,
    catalog: &'a Catalog,
) -> Option<(&'a Endpoint, &'a Model)> {
    let endpoint = catalog.endpoint(&choice.endpoint)?;
    Some((endpoint, endpoint.model(&choice.model)?))
}

/// What is known of a job before anything is sent, from so many of its prompts rendered at most.
pub(crate) fn basis(spec: &JobSpec, data: &Data, catalog: &Catalog, most_rendered: usize) -> Basis {
    let models = spec.models.iter();
    let models: Vec<_> = models.map(|choice| of_catalog(choice, catalog)).collect();
    let apis: Vec<Api> = models
        .iter()
        .map(|found| found.map_or_else(Api::default, |(endpoint, model)| endpoint.api_of(model)))
        .collect();
    let counts = count_all(spec, data, &apis, most_rendered);
    Basis {
        tuning_rows: u64::try_from(data.tuning.len()).unwrap_or(u64::MAX),
        holdout_rows: u64::try_from(data.holdout.len()).unwrap_or(u64::MAX),
        judge_prompts: judge_prompts(spec, data),
        models: models
            .iter()
            .zip(&apis)
            .map(|(found, api)| ModelBasis {
                max_n: found.and_then(|(_, model)| model.max_n),
                prompt_allowance: match api {
                    Api::Chat => TEMPLATE_ALLOWANCE,
                    Api::Completions => 0,
                },
                prompts: counts
                    .iter()
                    .find(|(counted, _)| counted == api)
                    .map(|(_, prompts)| prompts.clone())
                    .unwrap_or_default(),
            })
            .collect(),
    }
}

/// By judge, the tokens of a question about an empty answer, the most over a sample of the rows.
fn judge_prompts(spec: &JobSpec, data: &Data) -> Vec<u64> {
    let Ok(scorer) = Scorer::compile(&spec.scorer) else {
        return Vec::new();
    };
    let of_judge = |judge| {
        let first = scorer.questions_of(judge).start;
        let rows = shuffled(&data.tuning).take(MOST_QUESTIONS);
        let tokens = rows.filter_map(|row| {
            let question = scorer
                .expectation(row)
                .ok()?
                .question(row, "", first)
                .ok()?;
            Some(frugal_tokens::count_prompt(as_sent(&question, Api::Chat)))
        });
        tokens.max().unwrap_or_default()
    };
    (0..scorer.judges().count()).map(of_judge).collect()
}

/// The tokens of every prompt in each form in which some model gets it.
fn count_all(
    spec: &JobSpec,
    data: &Data,
    apis: &[Api],
    most_rendered: usize,
) -> Vec<(Api, Vec<PromptTokens>)> {
    let mut forms: Vec<Api> = Vec::new();
    for api in apis {
        if !forms.contains(api) {
            forms.push(*api);
        }
    }
    let parts = (forms.len() * spec.prompts.len()).max(1);
    let most = Most {
        rows: (most_rendered / parts).max(1),
        bytes: MOST_BYTES / parts,
    };
    let pool = spec.pool.as_slice().into();
    let count_in = |api| {
        let prompts = spec.prompts.iter();
        (
            api,
            prompts
                .map(|it| count(it, &pool, data, api, most))
                .collect(),
        )
    };
    forms.into_iter().map(count_in).collect()
}

/// The most work that one prompt may make.
#[derive(Clone, Copy)]
struct Most {
    rows: usize,
    bytes: usize,
}

/// Counts a prompt's tokens on the rows, within its part of the work that an estimate may take.
fn count(
    prompt: &Prompt,
    pool: &Arc<[Instance]>,
    data: &Data,
    api: Api,
    most: Most,
) -> PromptTokens {
    // A job is not read whose prompts cannot be compiled, or rendered for every row.
    let Ok(compiled) = CompiledPrompt::of_job(prompt, pool) else {
        return PromptTokens::new(&[], &[]);
    };
    let mut rows_left = most.rows;
    let mut bytes_left = most.bytes;
    let mut count = |rows: &[Instance]| {
        let mut tokens = Vec::new();
        for row in shuffled(rows) {
            if rows_left == 0 {
                break;
            }
            let Ok(rendered) = compiled.render(row) else {
                continue;
            };
            tokens.push(frugal_tokens::count_prompt(as_sent(&rendered, api)));
            bytes_left = bytes_left.saturating_sub(length(&rendered));
            rows_left = if bytes_left == 0 { 0 } else { rows_left - 1 };
        }
        tokens
    };
    let tuning = count(&data.tuning);
    let holdout = count(&data.holdout);
    PromptTokens::new(&tuning, &holdout)
}

fn length(rendered: &RenderedPrompt) -> usize {
    match rendered {
        RenderedPrompt::Text(text) => text.len(),
        RenderedPrompt::Messages(messages) => {
            messages.iter().map(|message| message.content.len()).sum()
        }
    }
}
