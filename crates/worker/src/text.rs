//! The text of a response, whole or as it is scored.

use frugal_evaluation::ScorePlan;
use frugal_store::responses::StoredResponse;
use std::sync::Arc;

/// The text of a response, with its length in tokens by our own count.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    text: Arc<str>,
    estimated_tokens: u64,
}

impl Text {
    /// All of it.
    pub(crate) fn whole(&self) -> &str {
        &self.text
    }

    /// As a plan has it scored: whole, or cut.
    pub(crate) fn as_scored(&self, plan: &ScorePlan) -> &str {
        match plan.cut {
            Some(cut) => frugal_tokens::cut_as_billed(
                &self.text,
                self.estimated_tokens,
                cut.tokens,
                cut.max_tokens.into(),
            ),
            None => &self.text,
        }
    }
}

impl From<StoredResponse> for Text {
    fn from(response: StoredResponse) -> Self {
        Self {
            text: response.text.into(),
            estimated_tokens: response.estimated_tokens,
        }
    }
}
