//! Which parameter an error is about, and what is wrong with it.

use super::error_body::ErrorBody;
use super::wordings;

/// A parameter that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Its name as it was sent, where it is known.
    pub(crate) name: Option<String>,
    pub(crate) problem: Problem,
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The model does not take it.
    Unsupported,
    /// It may be this at most.
    AtMost(u32),
    /// Its value will not do, or not together with another's.
    Value,
    /// It will not do together with the value of another parameter.
    Combination,
}

/// Names that say what is asked rather than how.
const CONTENT: [&str; 7] = [
    "messages",
    "prompt",
    "input",
    "inputs",
    "input_tokens",
    "content",
    "model",
];

/// What is asked, as far as a refusal may be about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    /// The names of the settings that were sent.
    pub(crate) settings: &'a [String],
    /// Responses that were asked for.
    pub(crate) n: u32,
}

/// The parameter that an error is about, if it is about one.
pub(crate) fn refused(error: &ErrorBody, sent: Sent<'_>) -> Option<Refused> {
    let name = setting(error, sent.settings).or_else(|| unnamed_n(error, sent));
    if name.is_none() && !wordings::refused_parameter(error) {
        return None;
    }
    let problem = if wordings::unsupported(error) || names_another_cap(error, name.as_deref()) {
        Problem::Unsupported
    } else if name.as_deref() == Some("n") {
        problem_of_n(&error.lower, sent.n)
    } else if is_about_a_value(error) {
        Problem::Value
    } else {
        Problem::Unsupported
    };
    Some(Refused { name, problem })
}

/// The setting that an error is about: as its fields name it, or the first that was sent and that
/// the message names.
pub(crate) fn setting(error: &ErrorBody, settings: &[String]) -> Option<String> {
    let named = &error.parameters;
    if let Some(sent) = named.iter().find(|name| settings.contains(name)) {
        return Some(sent.clone());
    }
    if !named.is_empty() {
        return named
            .iter()
            .find(|name| !CONTENT.contains(&name.as_str()))
            .cloned();
    }
    let message = &error.lower;
    let place = |setting: &String| match setting.as_str() {
        "n" => place_of_n(message),
        setting => place_of(message, setting),
    };
    let places = settings
        .iter()
        .filter_map(|setting| Some((place(setting)?, setting)));
    places.min().map(|(_, setting)| setting.clone())
}

/// Whether the content of the request is what a field of the error names.
pub(crate) fn is_content(error: &ErrorBody) -> bool {
    !error.parameters.is_empty()
        && error
            .parameters
            .iter()
            .all(|name| CONTENT.contains(&name.as_str()) && name != "model")
}

/// A value may be refused in the words for a parameter that is not supported at all.
fn is_about_a_value(error: &ErrorBody) -> bool {
    error.says(&[
        "unsupported_value",
        "invalid_value",
        "invalid_parameter_value",
    ]) || error.mentions(&[
        "must be",
        "should be",
        "too large",
        "too small",
        "too many",
        "greater than",
        "less than",
        "at least",
        "at most",
        "out of range",
        "unsupported value",
    ])
}

/// An error about the most tokens that speaks of another name for them, and not of how many.
fn names_another_cap(error: &ErrorBody, name: Option<&str>) -> bool {
    let other = match name {
        Some("max_tokens") => "max_completion_tokens",
        // The shorter name is in the longer one.
        Some("max_completion_tokens") => "max_tokens",
        _ => return false,
    };
    let is_about_size = error.mentions(&[
        "too large",
        "too small",
        "at most",
        "at least",
        "less than",
        "greater than",
        "exceed",
        "maximum",
        "<=",
        ">=",
    ]);
    place_of(&error.lower, other).is_some() && !is_about_size
}

/// An error that names no parameter that was sent, but speaks of how many responses there are to be:
/// as other APIs call that, in so many words, or by the number that was asked for.
fn unnamed_n(error: &ErrorBody, sent: Sent<'_>) -> Option<String> {
    const OTHER_NAMES: [&str; 6] = [
        "candidatecount",
        "candidate_count",
        "candidate count",
        "num_return_sequences",
        "num_completions",
        "num_generations",
    ];
    const RESPONSES: [&str; 6] = [
        "completions",
        "choices",
        "candidates",
        "one completion",
        "one choice",
        "one candidate",
    ];
    const MANY: [&str; 5] = [
        "multiple",
        "more than one",
        "only one",
        "single",
        "too many",
    ];
    if sent.n > 1
        && error.parameters.is_empty()
        && (error.mentions(&OTHER_NAMES) || error.mentions(&RESPONSES) && error.mentions(&MANY))
    {
        return Some("n".to_owned());
    }
    let got = format!("got {}", sent.n);
    let ends = |at: usize| {
        !error.lower[at + got.len()..].starts_with(|c: char| c.is_ascii_digit() || c == '.')
    };
    let is_n = sent.n > 1
        && error.parameters.is_empty()
        && error.lower.contains("value must be between")
        && error.lower.find(&got).is_some_and(ends);
    is_n.then(|| "n".to_owned())
}

fn place_of(message: &str, word: &str) -> Option<usize> {
    let found = message.match_indices(word).find(|(at, _)| {
        !message[..*at].ends_with(is_name) && !message[at + word.len()..].starts_with(is_name)
    });
    found.map(|(at, _)| at)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a message speaks of the parameter `n`: quoted, compared, or the subject.
fn place_of_n(message: &str) -> Option<usize> {
    let verbs = [
        "must", "is", "should", "cannot", "greater", "exceeds", "not", "larger", "higher",
    ];
    let found = message.match_indices('n').find(|(at, _)| {
        let (before, after) = (&message[..*at], &message[at + 1..]);
        let quote = before.chars().next_back();
        if matches!(quote, Some('\'' | '"' | '`')) {
            return after.chars().next() == quote;
        }
        if quote == Some('(') {
            return after.starts_with(')');
        }
        // An apostrophe before it was dealt with, so "don't" and "'n'" are not confused.
        if quote.is_some_and(is_name) || after.starts_with(is_name) {
            return false;
        }
        let named = [
            "parameter",
            "argument",
            "field",
            "property",
            "value for",
            "value of",
        ];
        let lead = before.trim_end().trim_end_matches(':');
        if named.iter().any(|word| lead.ends_with(word)) {
            return true;
        }
        let next = after.trim_start();
        next.starts_with(['>', '<', '=', ':'])
            || (after.len() > next.len()
                && next
                    .split(|c: char| !is_name(c))
                    .next()
                    .is_some_and(|word| verbs.contains(&word)))
    });
    found.map(|(at, _)| at)
}

/// What is wrong with a number of responses: too many at once, as a rule.
fn problem_of_n(message: &str, n: u32) -> Problem {
    if message.contains("greedy") || place_of(message, "temperature").is_some() {
        return Problem::Combination;
    }
    most_of_n(message, n).map_or(Problem::Value, Problem::AtMost)
}

/// The most responses that a message allows, fewer than were asked for.
fn most_of_n(message: &str, n: u32) -> Option<u32> {
    const ONE: [&str; 5] = [
        "only one",
        "more than one",
        "multiple",
        "single",
        "must be one",
    ];
    const UP_TO: [&str; 22] = [
        "less than or equal to",
        "smaller than or equal to",
        "at most",
        "no more than",
        "not more than",
        "not exceed",
        "up to",
        "maximum value is",
        "maximum of",
        "maximum is",
        "maximum",
        "max is",
        "limit of",
        "limit is",
        "<=",
        "n > ",
        "n>",
        "greater than",
        "larger than",
        "higher than",
        "more than",
        "above",
    ];
    let fits = |most: u32| (1..n).contains(&most).then_some(most);
    // "between 1 and 4", "between 1 <= value <= 4", "range [1, 4]", "from 1 to 4".
    for words in ["between", "range", "interval", "from 1", "in [", "in 1"] {
        let range = message.find(words).map(|at| &message[at..]);
        let mut numbers = range.into_iter().flat_map(numbers);
        if let (Some(1), Some(most)) = (numbers.next(), numbers.next())
            && let Some(most) = fits(most)
        {
            return Some(most);
        }
    }
    let after = |words: &str| numbers_near(message, words);
    let up_to = UP_TO.iter().find_map(|words| fits(after(words)?));
    let below = |words: &str| fits(after(words)?.checked_sub(1)?);
    let only = || {
        ["n = ", "n=", "be ", "only "]
            .iter()
            .find_map(|words| fits(after(words)?))
    };
    up_to
        .or_else(|| below("less than "))
        .or_else(|| below("smaller than "))
        .or_else(|| {
            ONE.iter()
                .any(|words| message.contains(words))
                .then_some(1)
                .and_then(fits)
        })
        .or_else(only)
}

fn numbers(text: &str) -> impl Iterator<Item = u32> + '_ {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
}

/// The number that follows these words, with nothing but a few marks between.
fn numbers_near(message: &str, words: &str) -> Option<u32> {
    message.match_indices(words).find_map(|(at, _)| {
        let after = &message[at + words.len()..];
        let digits = after.trim_start_matches([' ', ':', '=', '(', '\'', '`', '"']);
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        digits[..end].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn sent() -> Vec<String> {
        [
            "max_tokens",
            "n",
            "seed",
            "stop",
            "temperature",
            "top_k",
            "top_p",
        ]
        .map(str::to_owned)
        .into()
    }

    fn judged(body: &Value) -> Option<(Option<String>, Problem)> {
        let error = ErrorBody::of(body);
        let sent = sent();
        let refused = refused(
            &error,
            Sent {
                settings: &sent,
                n: 8,
            },
        )?;
        Some((refused.name, refused.problem))
    }

    #[test]
    fn the_most_responses_are_read_from_the_words() {
        for (message, most) in [
            ("n must be between 1 and 4", 4),
            ("Value must be between 1 <= value <= 4, but got 8", 4),
            ("n must be 1", 1),
            ("`n` must be less than or equal to 5", 5),
            ("n must be less than 5", 4),
            ("n > 1 not supported", 1),
            ("This server does not support n > 1.", 1),
            ("Only one completion choice is allowed, got `n` = 8", 1),
            (
                "Invalid 'n': integer above maximum value. Expected a value <= 2, but got 8 instead.",
                2,
            ),
            ("parameter n: 8 exceeds the maximum of 3", 3),
            ("'n' should be in [1, 4]", 4),
            ("n cannot exceed 4; at most 4 are allowed", 4),
            ("n is too large; up to 6 choices", 6),
            ("Number of completions (n) must be 1", 1),
            ("the value for n may be 5 at most 5", 5),
            ("only n=1 is supported", 1),
            ("Multiple completions are not supported", 1),
            ("This model gives only one choice", 1),
            ("candidateCount must be between 1 and 2", 2),
        ] {
            let (name, problem) = judged(&json!({"error": message})).unwrap();
            assert_eq!(
                (name.as_deref(), problem),
                (Some("n"), Problem::AtMost(most)),
                "{message}"
            );
        }
        let greedy = json!({"message": "n must be 1 when using greedy sampling, got 8."});
        assert_eq!(judged(&greedy).unwrap().1, Problem::Combination);
        let vague = json!({"message": "too much", "param": "n"});
        assert_eq!(judged(&vague).unwrap().1, Problem::Value);
    }

    #[test]
    fn what_is_not_taken_is_told_from_a_value_that_will_not_do() {
        for (body, name, problem) in [
            (
                json!({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "param": "max_tokens", "code": "unsupported_parameter"}}),
                "max_tokens",
                Problem::Unsupported,
            ),
            (
                json!({"error": {"message": "max_tokens is too large: 9000. This model supports at most 4096 completion tokens", "param": "max_tokens"}}),
                "max_tokens",
                Problem::Value,
            ),
            (
                json!({"error": {"message": "Unsupported value: 'temperature' does not support 0.2 with this model.", "param": "temperature", "code": "unsupported_value"}}),
                "temperature",
                Problem::Value,
            ),
            (
                json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}),
                "seed",
                Problem::Unsupported,
            ),
            (
                json!({"message": "max_tokens must be given as max_completion_tokens"}),
                "max_tokens",
                Problem::Unsupported,
            ),
            (
                json!({"message": "'max_tokens' or 'max_completion_tokens' must be less than 4096"}),
                "max_tokens",
                Problem::Value,
            ),
            (
                json!({"message": "Unrecognized key: seed. Known are: max_tokens, n, temperature"}),
                "seed",
                Problem::Unsupported,
            ),
        ] {
            let judged = judged(&body).unwrap();
            assert_eq!(
                (judged.0.as_deref(), judged.1),
                (Some(name), problem),
                "{body}"
            );
        }
        assert_eq!(
            judged(&json!({"message": "image not found in an input, and none is in it"})),
            None
        );
    }

    proptest! {
        #[test]
        fn a_limit_is_always_below_what_was_asked(
            message in "(n must be|between|at most| [0-9]{1,12} |<=|ä|'n'|less than ){0,9}", n in 1_u32..200
        ) {
            if let Some(most) = most_of_n(&message, n) {
                prop_assert!((1..n).contains(&most));
            }
        }
    }
}
