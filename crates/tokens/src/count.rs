//! Counts of tokens.

use crate::tokenizer::{FALLBACK_BYTES_PER_TOKEN, pieces, tokenizer};
use frugal_domain::prompt::Message;
use tiktoken_rs::CoreBPE;

/// Tokens that a chat template adds to each message, and to the whole (as published for
/// OpenAI's models; other templates are close).
const TOKENS_PER_MESSAGE: u64 = 4;
const TOKENS_PER_CHAT: u64 = 3;

/// What is sent to a model, as the model gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt<'a> {
    /// A text to go on from, without a chat template.
    Text(&'a str),
    /// The one message of a user.
    User(&'a str),
    /// A conversation.
    Messages(&'a [Message]),
}

/// The estimated number of tokens of a text; 0 for the empty one.
#[must_use]
pub fn count(text: &str) -> u64 {
    tokens(count_with(tokenizer(), text))
}

/// The estimated number of tokens of a prompt, with what a chat template adds; at least 1.
#[must_use]
pub fn count_prompt(prompt: Prompt<'_>) -> u64 {
    match prompt {
        Prompt::Text(text) => count(text).max(1),
        Prompt::User(text) => message("user", text).saturating_add(TOKENS_PER_CHAT),
        Prompt::Messages(messages) => messages
            .iter()
            .map(|one| message(&one.role, &one.content))
            .sum::<u64>()
            .saturating_add(TOKENS_PER_CHAT),
    }
}

fn message(role: &str, content: &str) -> u64 {
    count(role) + count(content) + TOKENS_PER_MESSAGE
}

fn count_with(tokenizer: Option<&CoreBPE>, text: &str) -> usize {
    match tokenizer {
        Some(tokenizer) => pieces(text)
            .map(|piece| tokenizer.encode_ordinary(piece).len())
            .sum(),
        None => text.len().div_ceil(FALLBACK_BYTES_PER_TOKEN),
    }
}

fn tokens(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let chat = count_prompt(Prompt::Messages(&[message]));
        assert_eq!(chat, 2 + 1 + 4 + 3);
        assert_eq!(count_prompt(Prompt::User("hello world")), chat);
        assert_eq!(count_prompt(Prompt::Text("hello world")), 2);
        assert_eq!(count_prompt(Prompt::Text("")), 1);
    }

    #[test]
    fn without_a_tokenizer_bytes_are_counted() {
        for (text, tokens) in [("", 0), ("a", 1), ("abc", 1), ("abcd", 2), ("\u{1F980}", 2)] {
            assert_eq!(count_with(None, text), tokens, "{text:?}");
        }
    }
}
