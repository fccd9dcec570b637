//! Whether a prompt is too long by itself, or together with what may come after it.

use super::error_body::ErrorBody;

/// Words for what comes after the prompt.
const COMPLETION: [&str; 9] = [
    "completion",
    "output token",
    "output length",
    "max_tokens",
    "max_new_tokens",
    "max_output_tokens",
    "you requested",
    "new tokens",
    "generate",
];

/// Words for the prompt.
const PROMPT: [&str; 4] = ["prompt", "input", "message", "document"];

/// Whether an error that is about the length of the context says that the prompt alone is too long:
/// then no configuration with this prompt can mend it. Where it does not say so, it may well be
/// `max_tokens` that is too large.
pub(crate) fn prompt_alone_is_too_long(error: &ErrorBody) -> bool {
    let sizes = error.context.or_else(|| {
        let limit = limit(&error.lower)?;
        Some((prompt_tokens(&error.lower)?, limit))
    });
    match sizes {
        Some((prompt, limit)) if error.mentions(&COMPLETION) || error.context.is_some() => {
            prompt >= limit
        }
        _ => error.mentions(&PROMPT) && !error.mentions(&COMPLETION),
    }
}

/// The number of tokens that there is room for.
fn limit(message: &str) -> Option<u64> {
    const BEFORE: [&str; 7] = [
        "context length",
        "context window",
        "context size",
        "maximum model length",
        "max_model_len",
        "must be <=",
        "maximum",
    ];
    let found = BEFORE.iter().find_map(|words| message.find(words));
    numbers(message)
        .find(|number| Some(number.start) > found && found.is_some())
        .map(|number| number.value)
}

/// The number of tokens that the prompt has.
fn prompt_tokens(message: &str) -> Option<u64> {
    const AFTER: [&str; 9] = [
        "input token",
        "prompt token",
        "`inputs` token",
        "in the message",
        "in your message",
        "in the prompt",
        "in your prompt",
        "in the input",
        "from the input",
    ];
    const BEFORE: [&str; 5] = [
        "messages resulted in",
        "prompt has",
        "prompt contains",
        "input length",
        "prompt is",
    ];
    let before = AFTER
        .iter()
        .flat_map(|words| message.match_indices(words))
        .find_map(|(at, _)| numbers(&message[..at]).last());
    let after = || {
        let ends = BEFORE
            .iter()
            .filter_map(|words| Some(message.find(words)? + words.len()));
        ends.filter_map(|end| numbers(&message[end..]).next())
            .next()
    };
    before.or_else(after).map(|number| number.value)
}

/// A number in a message.
struct Number {
    start: usize,
    value: u64,
}

/// The whole numbers in a message that are words of their own, in their order.
fn numbers(message: &str) -> impl Iterator<Item = Number> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + message[at..].find(|c: char| c.is_ascii_digit())?;
            let rest = &message[start..];
            let length = rest
                .find(|c: char| !c.is_ascii_digit() && c != ',')
                .unwrap_or(rest.len());
            at = start + length;
            let own = !message[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let digits: String = rest[..length].chars().filter(|c| *c != ',').collect();
            if let (true, Ok(value)) = (own, digits.parse()) {
                return Some(Number { start, value });
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn alone(message: &str) -> bool {
        let body = json!({"error": {"message": message}}).to_string();
        prompt_alone_is_too_long(&ErrorBody::parse(body.as_bytes()))
    }

    #[test]
    fn a_prompt_that_is_too_long_by_itself_is_told_from_a_large_cap() {
        for message in [
            "the prompt has 1300 tokens and the context length is 512",
            "prompt is too long: 9 tokens > 8 maximum",
            "Input is too long for requested model.",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            "This model's maximum context length is 2,048 tokens. However, you requested 3000 tokens (2500 in the messages, 500 in the completion).",
            "This model's maximum context length is 1024 tokens. However, your request has 1300 input tokens. Please reduce the length of the input messages.",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 20 `max_new_tokens`",
        ] {
            assert!(alone(message), "{message}");
        }
        for message in [
            "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (4000 in your prompt; 1000 for the completion).",
            "You passed 25 input tokens and requested 1000 output tokens. However, the model's context length is only 1024 tokens, resulting in a maximum input length of 24 tokens.",
            "'max_tokens' or 'max_completion_tokens' is too large: 1000. This model's maximum context length is 1024 tokens and your request has 25 input tokens (1000 > 1024 - 25).",
            "This model's maximum context length is 4097 tokens, however you requested 5000 tokens.",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 50 `inputs` tokens and 5000 `max_new_tokens`",
            "Requested tokens (900) exceed context window of 512",
        ] {
            assert!(!alone(message), "{message}");
        }
        let sizes = |prompt: u32| {
            let body = json!({"error": {"message": "x", "n_prompt_tokens": prompt, "n_ctx": 256}});
            prompt_alone_is_too_long(&ErrorBody::of(&body))
        };
        assert!(sizes(1407) && !sizes(100));
    }

    proptest! {
        #[test]
        fn any_message_is_read_without_panic(message in "(context length|[0-9,]{1,22}|input tokens|ä| ){0,12}") {
            alone(&message);
        }
    }
}
