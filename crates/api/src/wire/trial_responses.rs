//! What a trial drew, row by row.

use super::{Metric, PartValidation, RenderedPrompt, Spend};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// A page of the rows that a trial was looked at on, with its responses to each.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrialResponses {
    /// Always `list`.
    #[schema(example = "list", pattern = "^list$")]
    pub object: &'static str,
    /// The trial.
    pub trial: u32,
    /// The trial that stands beside it, where one was asked for.
    pub beside: Option<u32>,
    /// What `value` and `difference` are of: the metric of answers that the job is about.
    pub metric: Metric,
    /// The rows.
    pub data: Vec<TrialRow>,
    /// Whether there are more rows.
    pub has_more: bool,
    /// The `cursor` of the next page, where there is one.
    pub next: Option<String>,
}

/// A row with a trial's responses to it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrialRow {
    /// The part of the data: `tuning`, or `holdout` for rows that the search does not see.
    #[schema(pattern = "^(tuning|holdout)$")]
    pub split: &'static str,
    /// Its position within that, from 0.
    pub row: u32,
    /// Its fields, as they were posted.
    pub fields: Map<String, Value>,
    /// What the trial's responses to it are worth together, at the trial's `n`; `null` where none has a
    /// score.
    pub value: Option<f64>,
    /// That less the value of the trial beside it; `null` where either has none.
    pub difference: Option<f64>,
    /// The prompt as it was sent.
    pub prompt: Option<RenderedPrompt>,
    /// The trial's responses to it, in the order in which they are used.
    pub responses: Vec<TrialResponse>,
    /// The same of the trial beside it.
    pub beside: Option<BesideRow>,
}

/// What another trial has on the same row.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BesideRow {
    /// What its responses are worth together, at its own `n`; `null` where none has a score.
    pub value: Option<f64>,
    /// The prompt as it was sent.
    pub prompt: Option<RenderedPrompt>,
    /// Its responses.
    pub responses: Vec<TrialResponse>,
}

/// A response, as a trial uses it: whole, or cut to the trial's `max_tokens`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrialResponse {
    /// The text. Of one that is cut, what the limit leaves.
    pub text: String,
    /// Why it ended: `stop`, `length`, `content_filter`, or the endpoint's own word. One that is cut here
    /// ends with `length`.
    #[schema(example = "stop")]
    pub finish_reason: String,
    /// Whether it was drawn under a larger `max_tokens` and is cut to the trial's.
    pub cut: bool,
    /// Its tokens, as it is used: its share of those that its request was billed for.
    pub completion_tokens: u64,
    /// Tokens of its prompt, as billed.
    pub prompt_tokens: u64,
    /// Its share of what its request cost the job, whole as it was drawn; nothing for one that was taken over
    /// from another job.
    pub cost: Spend,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
    /// From 0 for wrong to 1 for right; `null` where it has none.
    pub score: Option<f64>,
    /// Why it has none, where it was tried.
    pub failure: Option<String>,
    /// Why it has its score, in a sentence; `null` where it has none.
    #[schema(example = "extracted `13`, expected `12`")]
    pub why: Option<String>,
    /// The part of it that is looked at; `null` where there is none, and of a composite, whose `parts` have it.
    /// Texts beyond 1,000 characters are cut, here and below.
    #[schema(example = "13")]
    pub extracted: Option<String>,
    /// The answer that it gives, written as answers are compared; `null` where it gives none, or the scorer does
    /// not tell answers apart.
    #[schema(example = "13")]
    pub answer: Option<String>,
    /// What is expected for the row; `null` where nothing in particular is.
    #[schema(example = "12")]
    pub expected: Option<String>,
    /// What each part of a composite says; empty for other scorers.
    pub parts: Vec<PartValidation>,
    /// How highly the selector thinks of it, from 0 to 1; `null` where there is none.
    pub preference: Option<f64>,
    /// Where it came from.
    pub source: ResponseSource,
}

/// Where a response came from.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ResponseSource {
    /// The job that bought it; `null` where it is this one.
    pub job: Option<Uuid>,
    /// What its request was sent for.
    #[schema(example = "search")]
    pub purpose: &'static str,
    /// The trial that its request was sent for. Trials with the same sampling settings share responses.
    pub trial: u32,
    /// Which request of that trial.
    pub request: u32,
    /// Its position in what the request brought, from 0.
    pub position: u32,
}
