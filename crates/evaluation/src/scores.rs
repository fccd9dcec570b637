//! What is asked of a scorer: one response, whole or cut at one cap, against one instance.

use frugal_domain::request::ResponseId;
use serde::{Deserialize, Serialize};

/// What is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScoreKey {
    /// Which response.
    pub response: ResponseId,
    /// The limit that it is cut to; nothing where it is scored whole.
    pub max_tokens: Option<u32>,
    /// The instance that it answers, by its index.
    pub instance: usize,
}

impl ScoreKey {
    /// The whole response to an instance.
    #[must_use]
    pub const fn whole(response: ResponseId, instance: usize) -> Self {
        Self {
            response,
            max_tokens: None,
            instance,
        }
    }
}

/// A response to score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScorePlan {
    /// What is scored.
    pub key: ScoreKey,
    /// How it is cut before, if it is.
    pub cut: Option<Cut>,
}

/// How a response is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Its length in tokens as billed; the tokenizer at hand may count others.
    pub tokens: u64,
    /// How many of them to keep.
    pub max_tokens: u32,
}
