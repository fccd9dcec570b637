//! Scorers tried on responses: what is posted, and what they say.

use super::Reducer;
use super::post::{PromptPost, ScoringPost};
use super::scorer::ScorerPost;
use frugal_domain::prompt::{Prompt, PromptBody};
use frugal_intake::{Explained, ExplainedPart, ValidatedRow};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A scorer with responses to try it on: either `scoring` or `scorer`, and at most one of `prompt` and
/// `prompts`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "scorer": {"type": "numeric", "expected": "{{ answer }}"},
    "rows": [{"question": "6 + 6", "answer": "12"}],
    "responses": [["It is 12.", "13", "no idea"]],
    "prompt": "What is {{ question }}?"
}))]
pub struct ValidationPost {
    /// How answers are scored, as in a job.
    pub scoring: Option<ScoringPost>,
    /// The scorer alone.
    pub scorer: Option<ScorerPost>,
    /// The rows that the responses answer, as `data.instances` of a job.
    #[schema(min_items = 1, max_items = 100)]
    pub rows: Vec<Map<String, Value>>,
    /// For each row, in their order, the responses to it: at least one, and 1,000 in all.
    #[schema(min_items = 1, max_items = 100)]
    pub responses: Vec<Vec<String>>,
    /// A prompt to render for each row.
    pub prompt: Option<PromptPost>,
    /// The same, several.
    #[schema(min_items = 1)]
    pub prompts: Option<Vec<PromptPost>>,
}

/// What a scorer says of responses.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Validation {
    /// What a job would make of a row's scores, unless its objective is another.
    pub reduce: Reducer,
    /// The rows, in the order in which they were given.
    pub rows: Vec<RowValidation>,
}

/// What it says of the responses to one row.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RowValidation {
    /// The responses, in the order in which they were given.
    pub responses: Vec<ResponseValidation>,
    /// What the reducers make of those responses that have scores, by name, n being how many these are; none where
    /// none has a score. The majority's is there where the scorer tells answers apart, and that of the best of n
    /// where there is a selector.
    #[schema(example = json!({"mean": 0.5, "success": 1.0, "min": 0.0, "expected_success": 0.75, "majority": 0.5}))]
    pub values: BTreeMap<String, f64>,
    /// The prompts with the row's values in them.
    pub prompts: Vec<RenderedPrompt>,
}

/// What it says of one response. Of a composite, `extracted`, `answer` and `expected` are in its `parts`.
/// Texts beyond 1,000 characters are cut.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ResponseValidation {
    /// From 0 for wrong to 1 for right; `null` where it has none, since a program could not be run, or a webhook
    /// gives none.
    #[schema(example = 0.0)]
    pub score: Option<f64>,
    /// Why, in a sentence.
    #[schema(example = "extracted `13`, expected `12`")]
    pub why: String,
    /// How highly the selector thinks of it, from 0 to 1; `null` where there is none.
    pub preference: Option<f64>,
    /// The part of the response that is looked at; `null` where it has none.
    #[schema(example = "13")]
    pub extracted: Option<String>,
    /// The answer that it gives, written as answers are compared: two responses give the same one where
    /// these texts are the same. `null` where it gives none, or the scorer does not tell answers apart.
    #[schema(example = "13")]
    pub answer: Option<String>,
    /// What is expected for the row; `null` where nothing in particular is.
    #[schema(example = "12")]
    pub expected: Option<String>,
    /// What each part of a composite says; empty for other scorers.
    pub parts: Vec<PartValidation>,
}

/// What a part of a composite says of a response.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PartValidation {
    /// From 0 for wrong to 1 for right; `null` where it has none, or another part settled the score before.
    pub score: Option<f64>,
    /// Why, in a sentence.
    pub why: String,
    /// The part of the response that is looked at; `null` where it has none.
    pub extracted: Option<String>,
    /// The answer that it gives, as answers are compared, if it gives one.
    pub answer: Option<String>,
    /// What is expected for the row; `null` where nothing in particular is.
    pub expected: Option<String>,
}

/// A prompt with a row's values in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RenderedPrompt {
    /// The prompt's name.
    #[schema(example = "prompt-0")]
    pub name: String,
    /// The text, where it is one.
    #[schema(example = "What is 6 + 6?")]
    pub text: Option<String>,
    /// The messages, where it has these.
    pub messages: Option<Vec<RenderedMessage>>,
}

/// A chat message with a row's values in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RenderedMessage {
    /// Whose it is.
    pub role: String,
    /// Its text.
    pub content: String,
}

impl From<frugal_intake::Validation> for Validation {
    fn from(found: frugal_intake::Validation) -> Self {
        Self {
            reduce: found.reduce.into(),
            rows: found.rows.into_iter().map(RowValidation::from).collect(),
        }
    }
}

impl From<ValidatedRow> for RowValidation {
    fn from(row: ValidatedRow) -> Self {
        let values = row.values.into_iter();
        Self {
            responses: row.responses.into_iter().map(Into::into).collect(),
            values: values
                .map(|(reducer, value)| (reducer.as_str().to_owned(), value))
                .collect(),
            prompts: row.prompts.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Explained> for ResponseValidation {
    fn from(explained: Explained) -> Self {
        let Explained {
            observation,
            why,
            mut parts,
        } = explained;
        let alone = match parts.len() {
            1 => parts.pop(),
            _ => None,
        };
        let (extracted, answer, expected) = alone.map_or((None, None, None), |part| {
            (part.extracted, part.answer, part.expected)
        });
        Self {
            score: observation.map(|observed| observed.score),
            preference: observation.and_then(|observed| observed.preference),
            why,
            extracted,
            answer,
            expected,
            parts: parts.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ExplainedPart> for PartValidation {
    fn from(part: ExplainedPart) -> Self {
        Self {
            score: part.score,
            why: part.why,
            extracted: part.extracted,
            answer: part.answer,
            expected: part.expected,
        }
    }
}

impl From<Prompt> for RenderedPrompt {
    fn from(prompt: Prompt) -> Self {
        let (text, messages) = match prompt.body {
            PromptBody::Text(text) => (Some(text), None),
            PromptBody::Messages(messages) => (None, Some(messages)),
        };
        let message = |message: frugal_domain::prompt::Message| RenderedMessage {
            role: message.role,
            content: message.content,
        };
        Self {
            name: prompt.name,
            text,
            messages: messages.map(|all| all.into_iter().map(message).collect()),
        }
    }
}
