//! Tokens where the endpoint is silent or cannot be right. Nothing is ever taken for 0.

use crate::request::Choice;
use crate::wire::{RawChoice, RawUsage};
use frugal_domain::money::Usage;
use frugal_domain::request::FinishReason;

/// A response with its count of tokens, from all that can be seen of it.
pub(crate) fn counted(raw: RawChoice, max_tokens: u32) -> Choice {
    let seen = frugal_tokens::count(&raw.text);
    let seen = seen.saturating_add(frugal_tokens::count(&raw.reasoning));
    let estimated_tokens = if seen == 0 && raw.finish_reason == FinishReason::Length {
        u64::from(max_tokens)
    } else {
        seen.max(1)
    };
    Choice {
        text: raw.text,
        finish_reason: raw.finish_reason,
        estimated_tokens,
    }
}

/// The completion tokens of a request: as reported, or else as estimated, and whether it is
/// the estimate. `choices` are all responses that came, also those beyond `n`.
pub(crate) fn completion_tokens(reported: Option<u64>, choices: &[Choice]) -> (u64, bool) {
    let estimate = sum(choices.iter());
    match reported {
        Some(tokens) if is_plausible(tokens, choices) => (tokens, false),
        _ => (estimate, true),
    }
}

/// Some servers report one response of several: then the number is smaller than the number of
/// responses, or far below what can be seen. `o200k_base` has one of the largest vocabularies
/// in use, so an honest count is rarely below its own, let alone below three fifths of it.
fn is_plausible(reported: u64, choices: &[Choice]) -> bool {
    let with_text = || choices.iter().filter(|choice| !choice.text.is_empty());
    let visible = sum(with_text());
    let responses = u64::try_from(with_text().count()).unwrap_or(u64::MAX);
    reported >= responses
        && (choices.len() < 2 || reported.saturating_mul(5) >= visible.saturating_mul(3))
}

fn sum<'a>(choices: impl Iterator<Item = &'a Choice>) -> u64 {
    choices.fold(0, |sum, choice| sum.saturating_add(choice.estimated_tokens))
}

/// The usage of a request and whether any of it is an estimate. The prompt is only counted
/// where its number is missing or 0, as some servers report a prompt that they had cached.
pub(crate) fn settle(
    reported: RawUsage,
    choices: &[Choice],
    count_prompt: impl FnOnce() -> u64,
) -> (Usage, bool) {
    let (completion_tokens, guessed) = completion_tokens(reported.completion_tokens, choices);
    let prompt = reported.prompt_tokens.filter(|tokens| *tokens > 0);
    let usage = Usage {
        prompt_tokens: prompt.unwrap_or_else(count_prompt),
        completion_tokens,
    };
    (usage, guessed || prompt.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(estimated_tokens: u64) -> Choice {
        Choice {
            text: "x".to_owned(),
            finish_reason: FinishReason::Stop,
            estimated_tokens,
        }
    }

    #[test]
    fn completion_tokens_that_cannot_be_right_are_estimated() {
        let one = &[choice(40)][..];
        let four = &[choice(40), choice(60), choice(40), choice(60)][..];
        for (reported, choices, expected) in [
            (Some(55), one, (55, false)),
            // One response alone: tokenizers differ, so the report stands.
            (Some(10), one, (10, false)),
            (Some(0), one, (40, true)),
            (None, one, (40, true)),
            (Some(210), four, (210, false)),
            (Some(160), four, (160, false)),
            // One response of four was reported.
            (Some(50), four, (200, true)),
            (Some(3), four, (200, true)),
            (None, four, (200, true)),
            // Hidden reasoning makes the report larger than what is seen.
            (Some(9_000), four, (9_000, false)),
        ] {
            assert_eq!(
                completion_tokens(reported, choices),
                expected,
                "{reported:?}"
            );
        }
    }

    #[test]
    fn a_response_cut_without_text_counts_in_full() {
        let raw = |finish_reason| RawChoice {
            text: String::new(),
            reasoning: String::new(),
            finish_reason,
        };
        assert_eq!(
            counted(raw(FinishReason::Length), 256).estimated_tokens,
            256
        );
        assert_eq!(counted(raw(FinishReason::Stop), 256).estimated_tokens, 1);
        // A report is believed where nothing can be seen.
        let empty = [counted(raw(FinishReason::Length), 256)];
        assert_eq!(completion_tokens(Some(100), &empty), (100, false));
        assert_eq!(completion_tokens(None, &empty), (256, true));
    }

    #[test]
    fn reasoning_counts_though_it_is_no_text() {
        let raw = RawChoice {
            text: "world".to_owned(),
            reasoning: "hello world".to_owned(),
            finish_reason: FinishReason::Stop,
        };
        assert_eq!(counted(raw, 256).estimated_tokens, 3);
    }

    #[test]
    fn prompt_tokens_of_zero_are_estimated() {
        let choices = [choice(5)];
        for (prompt_tokens, expected) in [
            (Some(7), (7, false)),
            (Some(0), (11, true)),
            (None, (11, true)),
        ] {
            let reported = RawUsage {
                prompt_tokens,
                completion_tokens: Some(5),
            };
            let (usage, estimated) = settle(reported, &choices, || 11);
            assert_eq!((usage.prompt_tokens, estimated), expected);
            assert_eq!(usage.completion_tokens, 5);
        }
    }
}
