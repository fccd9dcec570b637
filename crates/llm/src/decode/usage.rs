//! The usage of a reply: which number stands where, and which is no number of tokens at all.

use serde_json::Value;

/// Counts above this are no counts: an overflow, or a nonsense.
const MOST_TOKENS: f64 = 1e12;

/// The usage as reported, each number on its own where it is there at all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawUsage {
    /// Tokens of the prompt, those read from a cache included.
    pub(crate) prompt_tokens: Option<u64>,
    /// Tokens of all responses. Some servers leave reasoning out.
    pub(crate) completion_tokens: Option<u64>,
    pub(crate) total_tokens: Option<u64>,
    /// Those of the prompt that were read from a cache.
    pub(crate) cached_tokens: Option<u64>,
    /// Those of the responses that are reasoning.
    pub(crate) reasoning_tokens: Option<u64>,
    /// How many numbers there were that cannot be counts.
    pub(crate) impossible: u32,
}

/// Reads the usage of a reply, from wherever it stands.
pub(crate) fn read(reply: &Value) -> RawUsage {
    let places = ["/usage", "/x_groq/usage", "/choices/0/usage"];
    let found = places.iter().filter_map(|place| reply.pointer(place));
    found
        .filter(|usage| usage.is_object())
        .map(of)
        .next()
        .unwrap_or_default()
}

fn of(usage: &Value) -> RawUsage {
    let mut reader = Reader {
        usage,
        impossible: 0,
    };
    let prompt = reader.first(&["/prompt_tokens", "/input_tokens"]);
    let completion = reader.first(&["/completion_tokens", "/output_tokens"]);
    let total = reader.first(&["/total_tokens"]);
    // Anthropic's own names. What they count is not in `input_tokens`, but is in the
    // `prompt_tokens` of most servers that translate.
    let read = reader.first(&["/cache_read_input_tokens"]);
    let written = reader.first(&["/cache_creation_input_tokens"]);
    let cached = reader.first(&[
        "/prompt_tokens_details/cached_tokens",
        "/input_tokens_details/cached_tokens",
        "/prompt_cache_hit_tokens",
        "/cached_tokens",
        "/prompt_tokens_details/cache_read_input_tokens",
    ]);
    let reasoning = reader.first(&[
        "/completion_tokens_details/reasoning_tokens",
        "/output_tokens_details/reasoning_tokens",
        "/reasoning_tokens",
        "/completion_tokens_details/thinking_tokens",
    ]);
    let beside = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
    let anthropic = usage.get("prompt_tokens").is_none() && beside > 0;
    let cached = cached.filter(|tokens| *tokens > 0).or(read);
    let prompt = prompt.map(|prompt| {
        let missing = cached.is_some_and(|cached| cached > prompt)
            || anthropic
            || beside > 0
                && total.zip(completion).is_some_and(|(total, completion)| {
                    reasoning.unwrap_or(0) == 0
                        && total == prompt.saturating_add(completion).saturating_add(beside)
                });
        let outside = if beside > 0 {
            beside
        } else {
            cached.unwrap_or(0)
        };
        if missing {
            prompt.saturating_add(outside)
        } else {
            prompt
        }
    });
    RawUsage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: total,
        cached_tokens: cached,
        reasoning_tokens: reasoning,
        impossible: reader.impossible,
    }
}

struct Reader<'a> {
    usage: &'a Value,
    impossible: u32,
}

impl Reader<'_> {
    /// The first of these places with a number.
    fn first(&mut self, places: &[&str]) -> Option<u64> {
        places.iter().find_map(|place| self.number(place))
    }

    fn number(&mut self, place: &str) -> Option<u64> {
        let number = match self.usage.pointer(place)? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        let count = whole(number);
        self.impossible += u32::from(count.is_none());
        count
    }
}

/// A count, which may come as a float.
fn whole(number: f64) -> Option<u64> {
    let sensible = (0.0..=MOST_TOKENS).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    sensible.then_some(number.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(usage: &Value) -> RawUsage {
        super::read(&json!({"usage": usage}))
    }

    #[test]
    fn numbers_are_read_in_all_their_forms() {
        for (number, expected, impossible) in [
            (json!(7), Some(7), 0),
            (json!(7.0), Some(7), 0),
            (json!("7"), Some(7), 0),
            (json!(" 7.0 "), Some(7), 0),
            (json!(4_294_967_295_u32), Some(4_294_967_295), 0),
            (json!(-1), None, 1),
            (json!(18_446_744_073_709_551_615_u64), None, 1),
            (json!(1e300), None, 1),
            (json!("NaN"), None, 1),
            (json!(null), None, 0),
            (json!("many"), None, 0),
            (json!({}), None, 0),
        ] {
            let usage = read(&json!({"prompt_tokens": number}));
            assert_eq!(
                (usage.prompt_tokens, usage.impossible),
                (expected, impossible),
                "{number}"
            );
        }
    }

    #[test]
    fn cached_tokens_are_found_and_never_counted_twice() {
        for (usage, prompt, cached) in [
            (
                json!({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 60}}),
                100,
                60,
            ),
            (
                json!({"prompt_tokens": 100, "prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40}),
                100,
                60,
            ),
            (json!({"prompt_tokens": 100, "cached_tokens": 60}), 100, 60),
            (
                json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 60}}),
                100,
                60,
            ),
            // Anthropic's own: beside each other.
            (
                json!({"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10}),
                100,
                60,
            ),
            // A translation that has put them together, and two that have not.
            (
                json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "cache_read_input_tokens": 60}),
                100,
                60,
            ),
            (
                json!({"prompt_tokens": 70, "completion_tokens": 5, "total_tokens": 135, "cache_read_input_tokens": 60}),
                130,
                60,
            ),
            (
                json!({"prompt_tokens": 40, "cache_read_input_tokens": 60}),
                100,
                60,
            ),
        ] {
            let read = read(&usage);
            assert_eq!(
                (read.prompt_tokens, read.cached_tokens),
                (Some(prompt), Some(cached)),
                "{usage}"
            );
        }
    }

    #[test]
    fn the_usage_is_found_where_streams_put_it() {
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 4});
        for reply in [
            json!({"usage": usage}),
            json!({"usage": null, "x_groq": {"usage": usage}}),
            json!({"choices": [{"usage": usage}]}),
        ] {
            assert_eq!(super::read(&reply).completion_tokens, Some(4), "{reply}");
        }
        assert_eq!(super::read(&json!({"usage": [1]})), RawUsage::default());
    }

    proptest! {
        #[test]
        fn no_count_passes_its_bound(numbers in prop::collection::vec(any::<i64>(), 6)) {
            let usage = read(&json!({
                "prompt_tokens": numbers[0], "completion_tokens": numbers[1], "total_tokens": numbers[2],
                "cache_read_input_tokens": numbers[3], "cached_tokens": numbers[4], "reasoning_tokens": numbers[5],
            }));
            prop_assert!(usage.prompt_tokens.is_none_or(|tokens| tokens <= 3_000_000_000_000));
        }
    }
}
