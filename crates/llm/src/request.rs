//! What is asked of an endpoint and what comes back, whatever its wire format.

use crate::error::Attempts;
use frugal_domain::money::{Usage, UsageDetails};
use frugal_domain::prompt::Message;
use frugal_domain::request::FinishReason;
use frugal_tokens::Prompt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// One call of an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// The model, by the endpoint's name for it.
    pub model: String,
    /// What it is asked.
    pub prompt: PromptInput,
    /// How many responses are wanted, at least 1.
    pub n: u32,
    /// The most tokens per response, at least 1.
    pub max_tokens: u32,
    /// The sampling temperature, where it is set.
    pub temperature: Option<f64>,
    /// The nucleus sampling mass, where it is set.
    pub top_p: Option<f64>,
    /// Texts that end a response.
    pub stop: Vec<String>,
    /// The seed of the sampling, where it is set. Best effort at every endpoint.
    pub seed: Option<i64>,
    /// Further parameters, sent as they are at the top level. A named parameter wins over one
    /// of the same name here.
    pub extra: BTreeMap<String, Value>,
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptInput {
    /// A text to go on from, or the one message of a user, as the endpoint's API has it.
    Text(String),
    /// A conversation, for chat endpoints only.
    Messages(Vec<Message>),
}

impl PromptInput {
    /// As it is counted where an endpoint does not say how many tokens it has.
    pub(crate) fn counted(&self) -> Prompt<'_> {
        match self {
            Self::Text(text) => Prompt::Text(text),
            Self::Messages(messages) => Prompt::Messages(messages),
        }
    }

    /// Its bytes: a token has at least one.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Text(text) => text.len(),
            Self::Messages(messages) => messages
                .iter()
                .map(|message| message.role.len() + message.content.len())
                .sum(),
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// The responses to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Tokens of the request and of all its responses, those beyond `n` included.
    pub usage: Usage,
    /// Whether any number of the usage is an estimate, because the endpoint gave none or one
    /// that cannot be right.
    pub usage_estimated: bool,
    /// Parts of the usage that are of interest apart.
    pub usage_details: UsageDetails,
    /// What was odd about the answer, and on the way to it.
    pub diagnostics: Diagnostics,
    /// The responses in the endpoint's order: at most `n`, at least one. Where there are fewer
    /// than `n`, the rest has to be asked for again.
    pub choices: Vec<Choice>,
    /// What was sent, the successful attempt included.
    pub attempts: Attempts,
    /// How long the successful attempt took.
    pub latency: Duration,
}

/// What was odd about an answer, and on the way to it. None of it changes what is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// Numbers of the usage that cannot be right and were left out of account.
    pub impossible_counts: u32,
    /// Whether the answer's text had to be put right: bytes that are no UTF-8, halves of surrogate
    /// pairs, numbers that JSON has no form for.
    pub mended: bool,
    /// Whether it came as a stream of events though it was asked for whole.
    pub streamed: bool,
    /// How often a connection turned out to have been closed while it idled, and the request went
    /// out anew. Nothing was read of it before.
    pub reconnections: u32,
    /// How often the endpoint refused the request because too much was asked just then.
    pub rate_limited: u32,
    /// How often it was sent otherwise than before, after a parameter had been refused.
    pub adaptations: u32,
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The text; empty where the model gave none.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Its tokens by this crate's own count, at least 1: weights for sharing out the usage.
    /// A response that was cut without any text is counted at `max_tokens`, since hidden
    /// reasoning used it up.
    pub estimated_tokens: u64,
}
