//! Requests out, answers in: a batch is closed once every one of its requests is answered.

use frugal_domain::money::{Spend, Usage};
use frugal_domain::request::{RequestKey, Scope};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A request to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPlan {
    /// Which request. The ordinals of a trial's requests are 0, 1, 2, …
    pub key: RequestKey,
    /// The instance, by its index.
    pub instance: usize,
    /// Responses to ask for.
    pub n: u32,
    /// The most tokens of one response.
    pub max_tokens: u32,
    /// The prompt's tokens, or the bound on them.
    pub prompt_tokens: u64,
    /// Whether that is the endpoint's own count.
    pub prompt_is_counted: bool,
    /// The most that it can cost: these and n·`max_tokens`, at the model's prices. What a model has
    /// been seen to bill beyond its bounds is not in it.
    pub worst_case: Spend,
}

/// What came back for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Tokens of the whole request.
    pub usage: Usage,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// The responses. There may be fewer than asked for; some endpoints ignore `n`.
    pub responses: Vec<ReceivedResponse>,
}

/// One response, as far as the evaluation needs to know it before it is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedResponse {
    /// An estimate of its length. The request's completion tokens are shared out over its
    /// responses in proportion to it.
    pub estimated_tokens: u64,
    /// It ended by itself and was not cut at `max_tokens`.
    pub ended: bool,
}

/// Why nothing came back for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", content = "detail", rename_all = "snake_case")]
pub enum RequestFailure {
    /// The endpoint refuses the configuration, for this reason.
    Infeasible(String),
    /// The endpoint refuses more or less than the configuration, for this reason.
    Refused {
        /// How far the refusal reaches.
        scope: Scope,
        /// Why.
        reason: String,
    },
    /// It failed for good, for this reason.
    Failed(String),
    /// It was not sent, as its worst case did not fit into the optimization budget.
    Unaffordable,
}

/// An answer that was not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotExpected {
    /// No request of the current batch has this ordinal.
    #[error("request {0} is not under way")]
    Unknown(u32),
    /// The request was answered before.
    #[error("request {0} is answered already")]
    Again(u32),
}

pub(crate) type Reply = Result<Receipt, RequestFailure>;

/// The requests of a trial: those of the current batch, and a count of all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange {
    batch: Vec<RequestPlan>,
    replies: BTreeMap<u32, Reply>,
    sent: u32,
}

impl Exchange {
    /// An exchange whose first request has this ordinal.
    pub(crate) fn starting_at(first: u32) -> Self {
        Self {
            sent: first,
            ..Self::default()
        }
    }

    /// The ordinal of the next request.
    pub(crate) fn next_ordinal(&self) -> u32 {
        self.sent
    }

    /// Opens a batch. Its requests are numbered on from [`Self::next_ordinal`].
    pub(crate) fn open(&mut self, batch: Vec<RequestPlan>) {
        self.sent = self
            .sent
            .saturating_add(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        self.batch = batch;
    }

    /// Whether a batch is open and some of it has not come back.
    pub(crate) fn waiting(&self) -> bool {
        self.replies.len() < self.batch.len()
    }

    /// The requests of the current batch that are not answered.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = &RequestPlan> {
        self.batch
            .iter()
            .filter(|plan| !self.replies.contains_key(&plan.key.ordinal))
    }

    pub(crate) fn receive(&mut self, ordinal: u32, reply: Reply) -> Result<(), NotExpected> {
        if ordinal >= self.sent {
            return Err(NotExpected::Unknown(ordinal));
        }
        if self
            .batch
            .first()
            .is_none_or(|first| ordinal < first.key.ordinal)
        {
            return Err(NotExpected::Again(ordinal));
        }
        if self.replies.contains_key(&ordinal) {
            return Err(NotExpected::Again(ordinal));
        }
        self.replies.insert(ordinal, reply);
        Ok(())
    }

    /// Takes the batch with what came back, in the order of the ordinals, whatever the order
    /// of arrival was.
    pub(crate) fn close(&mut self) -> Vec<(RequestPlan, Reply)> {
        let mut replies = std::mem::take(&mut self.replies);
        std::mem::take(&mut self.batch)
            .into_iter()
            .filter_map(|plan| replies.remove(&plan.key.ordinal).map(|reply| (plan, reply)))
            .collect()
    }
}
