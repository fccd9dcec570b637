//! Counts of tokens where an endpoint gives none. They are estimates: the tokenizer is
//! `o200k_base` whatever the model's own is.

use crate::request::PromptInput;
use std::sync::LazyLock;
use tiktoken_rs::CoreBPE;

/// Building it takes a good part of a second, so it is done once and only when it is needed.
static TOKENIZER: LazyLock<Option<CoreBPE>> = LazyLock::new(|| tiktoken_rs::o200k_base().ok());

/// Texts are counted in pieces of at most so many bytes: the tokenizer's work on one unbroken
/// piece grows faster than its length, and what a model wrote may be one letter a million times.
/// Each seam costs at most a token or so.
const PIECE_BYTES: usize = 8 * 1024;

/// Bytes per token where there is no tokenizer; low, so that the count is rather too high.
const FALLBACK_BYTES_PER_TOKEN: usize = 3;

/// Tokens that a chat template adds to each message, and to the whole (as published for
/// OpenAI's models; other templates are close).
const TOKENS_PER_MESSAGE: u64 = 4;
const TOKENS_PER_CHAT: u64 = 3;

/// The estimated number of tokens of a text; 0 for the empty one.
///
/// The first call builds the tokenizer, and long texts take their time: from asynchronous code
/// it is best called on a thread for blocking work.
#[must_use]
pub fn count(text: &str) -> u64 {
    let tokens = match TOKENIZER.as_ref() {
        Some(tokenizer) => pieces(text)
            .map(|piece| tokenizer.encode_ordinary(piece).len())
            .sum(),
        None => text.len().div_ceil(FALLBACK_BYTES_PER_TOKEN),
    };
    u64::try_from(tokens).unwrap_or(u64::MAX)
}

/// The estimated number of tokens of a prompt, with what a chat template adds; at least 1.
#[must_use]
pub fn count_prompt(prompt: &PromptInput) -> u64 {
    match prompt {
        PromptInput::Text(text) => count(text).max(1),
        PromptInput::Messages(messages) => messages
            .iter()
            .map(|message| count(&message.role) + count(&message.content) + TOKENS_PER_MESSAGE)
            .sum::<u64>()
            .saturating_add(TOKENS_PER_CHAT),
    }
}

/// A text in pieces of at most [`PIECE_BYTES`], cut between characters.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::prompt::Message;
    use proptest::prelude::*;

    #[test]
    fn known_counts() {
        for (text, tokens) in [("", 0), ("hello world", 2), ("a", 1), (" ", 1)] {
            assert_eq!(count(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn texts_that_are_hard_on_tokenizers_are_counted() {
        for unit in ["a", " ", "\n", "é", "<|endoftext|>"] {
            let tokens = count(&unit.repeat(40_000));
            assert!(tokens > 100, "{unit:?}: {tokens}");
        }
    }

    #[test]
    fn a_chat_counts_more_than_its_text() {
        let message = Message {
            role: "user".to_owned(),
            content: "hello world".to_owned(),
        };
        let chat = PromptInput::Messages(vec![message]);
        assert_eq!(count_prompt(&chat), 2 + 1 + 4 + 3);
        assert_eq!(count_prompt(&PromptInput::Text(String::new())), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pieces_make_up_the_text(text in ".{0,200}", times in 1_usize..200) {
            let long = text.repeat(times);
            let cut: Vec<&str> = pieces(&long).collect();
            prop_assert!(cut.iter().all(|piece| piece.len() <= PIECE_BYTES));
            prop_assert_eq!(cut.concat(), long);
        }
    }
}
