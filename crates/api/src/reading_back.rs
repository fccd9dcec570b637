//! Responses read again for people: the prompt that they answer, the part that their extent leaves, and what
//! the scorer extracts of it. Scores are those that were stored, and nothing is scored here.

use crate::drawn::Seen;
use crate::errors::ApiError;
use crate::wire::{PartValidation, RenderedPrompt, ResponseSource, TrialResponse};
use frugal_domain::job::{Instance, JobSpec};
use frugal_domain::prompt::{Prompt, PromptBody};
use frugal_domain::request::ResponseId;
use frugal_evaluation::Used;
use frugal_scoring::{CompiledPrompt, Expectation, ExplainedPart, Scorer};
use frugal_store::responses::StoredResponse;
use std::collections::BTreeMap;

/// Reads responses of one job.
pub(crate) struct Reader {
    prompts: Vec<Option<(String, CompiledPrompt)>>,
    scorer: Scorer,
    texts: BTreeMap<ResponseId, StoredResponse>,
}

impl Reader {
    /// A reader of a job's responses.
    ///
    /// # Errors
    /// Its scorer cannot be compiled, though it was when the job was posted.
    pub(crate) fn new(
        spec: &JobSpec,
        texts: BTreeMap<ResponseId, StoredResponse>,
    ) -> Result<Self, ApiError> {
        let pool = spec.pool.as_slice().into();
        let prompts = spec.prompts.iter();
        let prompt = |prompt: &Prompt| {
            let compiled = CompiledPrompt::of_job(prompt, &pool).ok()?;
            Some((prompt.name.clone(), compiled))
        };
        let scorer = Scorer::compile(&spec.scorer);
        Ok(Self {
            prompts: prompts.map(prompt).collect(),
            scorer: scorer.map_err(|error| ApiError::internal(&error))?,
            texts,
        })
    }

    /// The prompt of a row under a trial's settings.
    pub(crate) fn prompt(&self, seen: &Seen, row: &Instance) -> Option<RenderedPrompt> {
        let prompt = self.prompts.get(seen.settings.sampling.prompt)?;
        let (name, compiled) = prompt.as_ref()?;
        let body = match compiled.render(row).ok()? {
            frugal_scoring::RenderedPrompt::Text(text) => PromptBody::Text(text),
            frugal_scoring::RenderedPrompt::Messages(messages) => PromptBody::Messages(messages),
        };
        let rendered = Prompt {
            name: name.clone(),
            body,
            demonstrations: None,
        };
        Some(rendered.into())
    }

    /// A trial's responses to a row. One whose text is gone meanwhile is left out.
    pub(crate) fn responses(
        &self,
        seen: &Seen,
        row: &Instance,
        used: &[Used],
    ) -> Vec<TrialResponse> {
        let expectation = self.scorer.expectation(row).ok();
        let one = |used: &Used| self.response(seen, expectation.as_ref(), used);
        used.iter().filter_map(one).collect()
    }

    fn response(
        &self,
        seen: &Seen,
        expectation: Option<&Expectation<'_>>,
        used: &Used,
    ) -> Option<TrialResponse> {
        let id = used.draw.id;
        let (facts, stored) = (seen.facts(&id)?, self.texts.get(&id)?);
        let limit = used.key.max_tokens;
        let text = match limit {
            None => stored.text.as_str(),
            Some(limit) => frugal_tokens::cut_as_billed(
                &stored.text,
                facts.counted,
                used.draw.tokens,
                limit.into(),
            ),
        };
        let score = used.observed.map(|said| said.score);
        let told = |part| score.filter(|_| part == 0 && !self.scorer.is_composite());
        let parts = expectation.map(|expectation| expectation.reading(text, told));
        let mut parts = parts.unwrap_or_default();
        let alone = match self.scorer.is_composite() {
            true => None,
            false => parts.pop(),
        };
        let alone = alone.as_ref();
        let of = |field: fn(&ExplainedPart) -> Option<&String>| alone.and_then(field).cloned();
        Some(TrialResponse {
            finish_reason: match limit {
                None => facts.finish_reason.as_str().to_owned(),
                Some(_) => "length".to_owned(),
            },
            cut: limit.is_some(),
            completion_tokens: used.tokens(),
            prompt_tokens: facts.prompt_tokens,
            cost: facts.cost.into(),
            latency_ms: used.draw.latency_ms,
            score,
            failure: seen.failure(&used.key).map(str::to_owned),
            why: alone
                .filter(|_| score.is_some())
                .map(|part| part.why.clone()),
            extracted: of(|part| part.extracted.as_ref()),
            answer: of(|part| part.answer.as_ref()),
            expected: of(|part| part.expected.as_ref()),
            parts: parts.into_iter().map(PartValidation::from).collect(),
            preference: used.observed.and_then(|said| said.preference),
            source: ResponseSource {
                job: id.job.map(|job| job.0),
                purpose: id.request.purpose.as_str(),
                trial: id.request.trial.0,
                request: id.request.ordinal,
                position: id.position,
            },
            text: text.to_owned(),
        })
    }
}
