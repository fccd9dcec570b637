//! The prompts of a job and of its judges, rendered for its rows.

use crate::error::DriveError;
use frugal_domain::configuration::Sampling;
use frugal_domain::job::{Instance, JobSpec, ModelChoice};
use frugal_scoring::{CompiledPrompt, Judge, RenderedPrompt, Scorer};
use frugal_store::requests::ReuseKey;
use frugal_tuning::LabelledAnswer;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compiles the prompts of a job, by position.
pub(crate) fn compile(spec: &JobSpec) -> Result<Vec<CompiledPrompt>, DriveError> {
    let pool = spec.pool.as_slice().into();
    let compiled = spec.prompts.iter().enumerate().map(|(prompt, source)| {
        let compiled = CompiledPrompt::of_job(source, &pool);
        compiled.map_err(|source| DriveError::Prompt { prompt, source })
    });
    compiled.collect()
}

/// Upper bounds on the prompt tokens of each row, by prompt.
pub(crate) fn token_bounds(
    prompts: &[CompiledPrompt],
    rows: &[Instance],
) -> Result<Vec<Arc<[u64]>>, DriveError> {
    let of = |(prompt, compiled): (usize, &CompiledPrompt)| {
        let bounds = rows
            .iter()
            .map(|row| compiled.render(row).map(|text| text.token_bound()));
        let bounds = bounds.collect::<Result<Arc<[u64]>, _>>();
        bounds.map_err(|source| DriveError::Prompt { prompt, source })
    };
    prompts.iter().enumerate().map(of).collect()
}

/// By judge, upper bounds on the tokens of a question about an empty answer to each row.
pub(crate) fn question_bounds(
    scorer: &Scorer,
    rows: &[Instance],
) -> Result<Vec<Arc<[u64]>>, DriveError> {
    let of_judge = |judge| {
        let bound = |row| {
            let expectation = scorer.expectation(row)?;
            let mut questions = scorer
                .questions_of(judge)
                .map(|number| expectation.question(row, "", number));
            questions.try_fold(0, |most: u64, question| {
                Ok(most.max(question?.token_bound()))
            })
        };
        rows.iter().map(bound).collect()
    };
    (0..scorer.judges().count()).map(of_judge).collect()
}

/// By judge, the answers of rows that people have rated.
pub(crate) fn labels(
    scorer: &Scorer,
    rows: &[Instance],
) -> Result<Vec<BTreeMap<usize, LabelledAnswer>>, DriveError> {
    let of_judge = |judge: &Judge| {
        let label = |(row, instance): (usize, &Instance)| match judge.label(instance) {
            Ok(label) => label.map(|label| {
                let answer = LabelledAnswer {
                    rating: label.rating,
                    bytes: label.answer.len() as u64,
                };
                Ok((row, answer))
            }),
            Err(error) => Some(Err(error.into())),
        };
        rows.iter().enumerate().filter_map(label).collect()
    };
    scorer.judges().map(of_judge).collect()
}

/// The prompt of a row under some settings.
pub(crate) fn rendered(
    prompts: &[CompiledPrompt],
    row: &Instance,
    sampling: &Sampling,
) -> Result<RenderedPrompt, DriveError> {
    let prompt = sampling.prompt;
    prompts[prompt]
        .render(row)
        .map_err(|source| DriveError::Prompt { prompt, source })
}

/// What a request asks of which model, hashed. The endpoint goes by its name at this server.
pub(crate) fn reuse_key(
    model: &ModelChoice,
    sampling: &Sampling,
    prompt: &RenderedPrompt,
) -> ReuseKey {
    let prompt = match prompt {
        RenderedPrompt::Text(text) => json!(text),
        RenderedPrompt::Messages(messages) => json!(messages),
    };
    let asked = json!([
        model.endpoint,
        model.model,
        prompt,
        sampling.temperature,
        sampling.top_p,
        sampling.stop,
        sampling.extra
    ]);
    Sha256::digest(asked.to_string()).into()
}
