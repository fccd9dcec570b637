//! Why a response ended, from words that differ from server to server.

use frugal_domain::request::FinishReason;
use serde_json::Value;

/// The most characters of a word that are kept.
const MOST_CHARS: usize = 40;

/// How a response ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is a response: whole, cut or filtered.
    Ended(FinishReason),
    /// The server broke it off, so it is none; in the server's word.
    Interrupted(String),
}

/// The ending that a choice of a reply tells of. Only what is known to be whole is: a response
/// without a reason is taken for one that was cut.
///
/// A call of a tool without text is a response as it is: the model ended by itself, with nothing
/// that can be scored.
pub(crate) fn ending(choice: &Value) -> Ending {
    let names = ["finish_reason", "native_finish_reason"];
    let given = names.iter().find_map(|name| word(choice.get(name)?));
    let given = given.or_else(|| word(choice.pointer("/finish_details/type")?));
    match given {
        Some(word) => of_word(word),
        None => Ending::Ended(FinishReason::Length),
    }
}

/// A word that says something.
fn word(value: &Value) -> Option<&str> {
    let word = value.as_str().or_else(|| value.get("type")?.as_str())?;
    let none = ["", "null", "none", "unspecified", "unknown"];
    (!none.contains(&bare(word).as_str())).then_some(word)
}

/// `FinishReason.STOP` and `FINISH_REASON_STOP` are `stop`.
fn bare(word: &str) -> String {
    let lower = word.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    let lower = lower.rsplit('.').next().unwrap_or_default();
    let lower = lower.trim_start_matches("finish_reason_");
    lower.trim_start_matches("finishreason_").to_owned()
}

fn of_word(word: &str) -> Ending {
    let reason = match bare(word).as_str() {
        "stop" | "stopped" | "stop_sequence" | "stop_string" | "stop_str" | "stop_word"
        | "stop_token" | "eos" | "eos_token" | "eot" | "end" | "end_turn" | "end_of_turn"
        | "end_of_text" | "complete" | "completed" | "finish" | "finished" | "done" | "success"
        | "normal" => FinishReason::Stop,
        "length"
        | "max_length"
        | "model_length"
        | "max_tokens"
        | "max_token"
        | "max_new_tokens"
        | "max_output_tokens"
        | "max_completion_tokens"
        | "token_limit"
        | "length_limit"
        | "limit"
        | "incomplete"
        | "truncated"
        | "context_length"
        | "context_length_exceeded"
        | "context_window_exceeded"
        | "model_context_window_exceeded" => FinishReason::Length,
        "content_filter"
        | "content_filtered"
        | "contentfilter"
        | "filtered"
        | "safety"
        | "recitation"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "refusal"
        | "sensitive"
        | "moderation"
        | "flagged"
        | "guardrail_intervened" => FinishReason::ContentFilter,
        "insufficient_system_resource"
        | "abort"
        | "aborted"
        | "error"
        | "error_toxic"
        | "cancel"
        | "cancelled"
        | "canceled"
        | "interrupt"
        | "interrupted"
        | "timeout"
        | "time_limit"
        | "network_error"
        | "server_error"
        | "internal_error"
        | "engine_error"
        | "failed"
        | "failure"
        | "overloaded"
        | "disconnect"
        | "disconnected"
        | "preempted"
        | "shutdown"
        | "unload" => return Ending::Interrupted(short(word)),
        _ => FinishReason::Other(short(word)),
    };
    Ending::Ended(reason)
}

fn short(word: &str) -> String {
    word.chars().take(MOST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_of_many_servers_have_one_meaning_each() {
        let other = |word: &str| FinishReason::Other(word.to_owned());
        for (word, expected) in [
            ("stop", FinishReason::Stop),
            ("eos_token", FinishReason::Stop),
            ("COMPLETE", FinishReason::Stop),
            ("FinishReason.STOP", FinishReason::Stop),
            ("FINISH_REASON_STOP", FinishReason::Stop),
            ("LENGTH", FinishReason::Length),
            ("model_length", FinishReason::Length),
            ("MAX_TOKENS", FinishReason::Length),
            ("FINISH_REASON_UNSPECIFIED", FinishReason::Length),
            ("", FinishReason::Length),
            ("null", FinishReason::Length),
            ("content_filter", FinishReason::ContentFilter),
            ("SAFETY", FinishReason::ContentFilter),
            ("tool_calls", other("tool_calls")),
            ("odd", other("odd")),
        ] {
            let choice = json!({"finish_reason": word});
            assert_eq!(ending(&choice), Ending::Ended(expected), "{word}");
        }
        for word in [
            "insufficient_system_resource",
            "abort",
            "error",
            "CANCELLED",
        ] {
            let choice = json!({"finish_reason": word});
            assert_eq!(ending(&choice), Ending::Interrupted(word.to_owned()));
        }
    }

    #[test]
    fn other_places_are_looked_at_where_the_usual_one_is_empty() {
        for (choice, expected) in [
            (json!({}), FinishReason::Length),
            (json!({"finish_reason": null}), FinishReason::Length),
            (
                json!({"finish_reason": null, "native_finish_reason": "STOP"}),
                FinishReason::Stop,
            ),
            (
                json!({"finish_reason": {"type": "stop"}}),
                FinishReason::Stop,
            ),
            (
                json!({"finish_details": {"type": "max_tokens"}}),
                FinishReason::Length,
            ),
        ] {
            assert_eq!(ending(&choice), Ending::Ended(expected), "{choice}");
        }
        assert_eq!(short(&"x".repeat(90)).len(), MOST_CHARS);
    }
}
