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
}

impl ScoreKey {
    /// The whole response.
    #[must_use]
    pub const fn whole(response: ResponseId) -> Self {
        Self {
            response,
            max_tokens: None,
        }
    }
}

/// A response to score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScorePlan {
    /// What is scored.
    pub key: ScoreKey,
    /// The instance that it answers, by its index.
    pub instance: usize,
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
