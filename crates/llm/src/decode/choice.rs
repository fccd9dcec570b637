//! One choice of a reply: its texts, in the shapes that servers give them.

use crate::finish::{self, Ending};
use frugal_domain::request::FinishReason;
use serde_json::Value;

/// One response as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawChoice {
    pub(crate) text: String,
    /// Reasoning that the endpoint shows apart from the text. It is billed all the same.
    pub(crate) reasoning: String,
    pub(crate) finish_reason: FinishReason,
}

/// A choice that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A response.
    Response(RawChoice),
    /// The server broke it off, for this reason.
    Interrupted(String),
    /// It failed on its own, as some gateways report it, or is no response at all.
    Failed,
}

/// The texts of a message, by what they are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) content: String,
    pub(crate) reasoning: String,
    pub(crate) refusal: String,
}

/// Reads a choice.
pub(crate) fn read(choice: &Value) -> Read {
    if is_given(choice.get("error")) {
        return Read::Failed;
    }
    let finish_reason = match finish::ending(choice) {
        Ending::Ended(reason) => reason,
        Ending::Interrupted(word) => return Read::Interrupted(word),
    };
    let said = match (choice.get("message"), choice.get("text")) {
        (Some(message @ Value::Object(_)), _) => texts(message),
        (Some(Value::String(text)), _) | (_, Some(Value::String(text))) => Texts {
            content: text.clone(),
            ..Texts::default()
        },
        (_, Some(Value::Null)) => Texts::default(),
        _ => return Read::Failed,
    };
    // A refusal stands in the place of the content.
    let text = if said.content.is_empty() {
        said.refusal
    } else {
        said.content
    };
    Read::Response(RawChoice {
        text,
        reasoning: said.reasoning,
        finish_reason,
    })
}

/// Whether a value is there and is not null.
pub(crate) fn is_given(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null())
}

/// The texts of a message, or of what a stream adds to one.
pub(crate) fn texts(message: &Value) -> Texts {
    let mut texts = Texts::default();
    if let Some(content) = message.get("content") {
        gather(content, &mut texts);
    }
    // Both names are in use, at some servers at once and with the same content.
    let shown = ["reasoning_content", "reasoning", "thinking"];
    let shown = shown
        .iter()
        .filter_map(|name| message.get(name)?.as_str())
        .find(|text| !text.is_empty());
    if let Some(reasoning) = shown {
        reasoning.clone_into(&mut texts.reasoning);
    }
    if let Some(refusal) = message.get("refusal").and_then(Value::as_str) {
        texts.refusal.push_str(refusal);
    }
    texts
}

/// Adds a text, or the texts of a list of parts, each to what it is.
fn gather(content: &Value, texts: &mut Texts) {
    match content {
        Value::String(text) => texts.content.push_str(text),
        Value::Array(parts) => parts.iter().for_each(|part| gather(part, texts)),
        Value::Object(part) => {
            let text = |name: &str| part.get(name).and_then(Value::as_str);
            let kind = text("type").unwrap_or("text");
            if kind.contains("thinking") || kind.contains("reasoning") {
                let mut inside = Texts::default();
                for name in ["thinking", "reasoning", "text", "summary"] {
                    if let Some(value) = part.get(name) {
                        gather(value, &mut inside);
                    }
                }
                texts.reasoning.push_str(&inside.content);
            } else if let Some(refusal) = text("refusal") {
                texts.refusal.push_str(refusal);
            } else if let Some(inside) = part.get("text") {
                // Some nest the text once more, as {"text": {"value": …}}.
                gather(inside.get("value").unwrap_or(inside), texts);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn contents_of_all_shapes_are_read() {
        for (message, content, reasoning) in [
            (json!({"content": "a"}), "a", ""),
            (json!({"content": null}), "", ""),
            (json!({}), "", ""),
            (
                json!({"content": [{"type": "text", "text": "a"}, {"text": "b"}, "c"]}),
                "abc",
                "",
            ),
            (json!({"content": {"type": "text", "text": "a"}}), "a", ""),
            (
                json!({"content": [{"type": "output_text", "text": {"value": "a"}}]}),
                "a",
                "",
            ),
            (
                json!({"content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "r"}]},
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "x"}}
                ]}),
                "a",
                "r",
            ),
            (
                json!({"content": "a", "reasoning_content": "r", "reasoning": "r"}),
                "a",
                "r",
            ),
            (
                json!({"content": "a", "reasoning_content": "", "reasoning": "r"}),
                "a",
                "r",
            ),
        ] {
            let read = texts(&message);
            assert_eq!(
                (read.content.as_str(), read.reasoning.as_str()),
                (content, reasoning)
            );
        }
        let refused =
            json!({"message": {"content": null, "refusal": "no"}, "finish_reason": "stop"});
        let Read::Response(choice) = read(&refused) else {
            panic!("{refused}");
        };
        assert_eq!(choice.text, "no");
    }

    #[test]
    fn what_is_no_response_is_told_apart() {
        let interrupted = json!({"message": {"content": "a"}, "finish_reason": "abort"});
        assert_eq!(read(&interrupted), Read::Interrupted("abort".to_owned()));
        for choice in [
            json!({"message": {"content": "a"}, "error": {"code": 502}}),
            json!({"message": 3}),
            json!({}),
            json!(7),
        ] {
            assert_eq!(read(&choice), Read::Failed, "{choice}");
        }
    }
}
