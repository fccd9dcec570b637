//! The text of a response, whole or as it is scored.

use frugal_evaluation::{Cut, ScorePlan};
use frugal_store::responses::StoredResponse;
use std::sync::Arc;

/// Billed tokens over those of our own count from which on some of them must have been hidden: no
/// two tokenizers differ by so much on text.
const LARGEST_RATIO: u64 = 3;

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
            Some(cut) => frugal_tokens::cut(&self.text, kept(cut, self.estimated_tokens)),
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

/// How many tokens of a text to keep by our tokenizer, which counts `estimated` in all of it.
///
/// Tokenizers differ, so the limit is taken in proportion. Where far more was billed than the text
/// has, the rest was hidden reasoning, which comes first: the limit then leaves the text what it
/// leaves.
fn kept(cut: Cut, estimated: u64) -> u64 {
    let (billed, limit) = (cut.tokens, u64::from(cut.max_tokens));
    if billed == 0 {
        return limit;
    }
    if billed / LARGEST_RATIO > estimated {
        return limit.saturating_sub(billed - estimated);
    }
    let kept = u128::from(limit) * u128::from(estimated) / u128::from(billed);
    u64::try_from(kept).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(tokens: u64, max_tokens: u32) -> Cut {
        Cut { tokens, max_tokens }
    }

    #[test]
    fn the_limit_is_taken_in_proportion_where_tokenizers_differ() {
        assert_eq!(kept(cut(100, 50), 100), 50);
        assert_eq!(kept(cut(100, 50), 80), 40);
        assert_eq!(kept(cut(100, 50), 120), 60);
        assert_eq!(kept(cut(0, 50), 7), 50);
    }

    #[test]
    fn hidden_reasoning_uses_the_limit_up_first() {
        // 500 tokens of reasoning and 20 of text.
        assert_eq!(kept(cut(520, 300), 20), 0);
        assert_eq!(kept(cut(520, 510), 20), 10);
        assert_eq!(kept(cut(520, 519), 20), 19);
    }
}
