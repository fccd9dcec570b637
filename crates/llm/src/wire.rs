//! The JSON of requests and replies, in both wire formats.

use crate::request::{CompletionRequest, PromptInput};
use frugal_domain::endpoint::{Api, Model};
use frugal_domain::request::FinishReason;
use serde_json::{Map, Value, json};

/// A request as it is sent.
#[derive(Debug)]
pub(crate) struct Call {
    /// Where to, below the base URL.
    pub(crate) path: &'static str,
    /// The JSON body.
    pub(crate) body: Vec<u8>,
    /// The names of the settings in it: what a refusal may be about.
    pub(crate) settings: Vec<String>,
}

/// Why a request cannot be sent at all, and which setting is to blame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unsendable {
    pub(crate) reason: String,
    pub(crate) setting: &'static str,
}

/// Names that say what is asked rather than how; a refusal of these is not one of a setting.
const CONTENT: [&str; 3] = ["model", "prompt", "messages"];

/// Names that would change the form of the reply.
const REPLY_FORM: [&str; 2] = ["stream", "stream_options"];

/// The request for a model: tuned settings always in so many words, since servers have
/// defaults of their own. Of equal names the request's own win, then its extra parameters,
/// then those of the model.
pub(crate) fn encode(
    request: &CompletionRequest,
    model: &Model,
    text_api: Api,
) -> Result<Call, Unsendable> {
    let mut body: Map<String, Value> = Map::new();
    for (name, value) in model.extra.iter().chain(&request.extra) {
        body.insert(name.clone(), value.clone());
    }
    for setting in REPLY_FORM {
        let value = body.remove(setting).unwrap_or_default();
        if !value.is_null() && value != json!(false) {
            let reason = format!("{setting} cannot be set: replies are read whole");
            return Err(Unsendable { reason, setting });
        }
    }
    for content in CONTENT {
        body.remove(content);
    }

    body.insert("n".to_owned(), count("n", request.n, model.max_n)?);
    let max_tokens = count("max_tokens", request.max_tokens, None)?;
    body.insert("max_tokens".to_owned(), max_tokens);
    for (setting, value) in [
        ("temperature", request.temperature),
        ("top_p", request.top_p),
    ] {
        if let Some(value) = value {
            if !value.is_finite() {
                let reason = format!("{setting} is not a finite number");
                return Err(Unsendable { reason, setting });
            }
            body.insert(setting.to_owned(), json!(value));
        }
    }
    if !request.stop.is_empty() {
        body.insert("stop".to_owned(), json!(request.stop));
    }
    if let Some(seed) = request.seed {
        body.insert("seed".to_owned(), json!(seed));
    }
    let settings = body.keys().cloned().collect();

    body.insert("model".to_owned(), json!(request.model));
    let path = match (&request.prompt, text_api) {
        (PromptInput::Text(text), Api::Completions) => {
            body.insert("prompt".to_owned(), json!(text));
            "completions"
        }
        (PromptInput::Text(text), Api::Chat) => {
            let message = json!([{"role": "user", "content": text}]);
            body.insert("messages".to_owned(), message);
            "chat/completions"
        }
        (PromptInput::Messages(messages), Api::Chat) => {
            body.insert("messages".to_owned(), json!(messages));
            "chat/completions"
        }
        (PromptInput::Messages(_), Api::Completions) => {
            return Err(Unsendable {
                reason: format!(
                    "model {} completes plain text and takes no messages; give the prompt as one text",
                    request.model
                ),
                setting: "prompt",
            });
        }
    };
    Ok(Call {
        path,
        body: Value::Object(body).to_string().into_bytes(),
        settings,
    })
}

fn count(setting: &'static str, value: u32, most: Option<u32>) -> Result<Value, Unsendable> {
    if value == 0 {
        let reason = format!("{setting} must be at least 1");
        return Err(Unsendable { reason, setting });
    }
    Ok(json!(value.min(most.unwrap_or(u32::MAX))))
}

/// A reply as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The responses, in the order of their index; never none.
    pub(crate) choices: Vec<RawChoice>,
    /// The usage as reported.
    pub(crate) usage: RawUsage,
}

/// One response as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawChoice {
    pub(crate) text: String,
    /// Reasoning that the endpoint shows apart from the text. It is billed all the same.
    pub(crate) reasoning: String,
    pub(crate) finish_reason: FinishReason,
}

/// The usage as reported, each number on its own where it is there at all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawUsage {
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
}

/// Why a reply with a status of success cannot be used.
#[derive(Debug, PartialEq)]
pub(crate) enum Unusable {
    /// It is an error all the same.
    Error(Value),
    /// It is no JSON: cut, or a page of some proxy.
    NotJson,
    /// It is JSON, but holds no response.
    NoChoices,
}

/// Reads a reply. Responses that failed on their own, as some gateways report them, are left
/// out, like responses that never came.
pub(crate) fn decode(body: &[u8]) -> Result<Reply, Unusable> {
    let mut reply: Value = serde_json::from_slice(body).map_err(|_| Unusable::NotJson)?;
    let usage = reply.get("usage").map(read_usage).unwrap_or_default();
    let mut choices = match reply.get_mut("choices").map(Value::take) {
        Some(Value::Array(choices)) => choices,
        _ => Vec::new(),
    };
    choices.sort_by_key(|choice| choice.get("index").and_then(Value::as_u64));
    let read: Vec<RawChoice> = choices.iter().filter_map(read_choice).collect();
    if !read.is_empty() {
        return Ok(Reply {
            choices: read,
            usage,
        });
    }
    let failed = choices
        .iter_mut()
        .find(|choice| is_given(choice.get("error")));
    match failed {
        Some(choice) => Err(Unusable::Error(choice.take())),
        None if is_given(reply.get("error")) || reply.get("object") == Some(&json!("error")) => {
            Err(Unusable::Error(reply))
        }
        None => Err(Unusable::NoChoices),
    }
}

fn is_given(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null())
}

fn read_choice(choice: &Value) -> Option<RawChoice> {
    let finish_reason = choice.get("finish_reason").and_then(Value::as_str);
    if is_given(choice.get("error")) || finish_reason == Some("error") {
        return None;
    }
    let (text, reasoning) = match (choice.get("message"), choice.get("text")) {
        (Some(message @ Value::Object(_)), _) => {
            let part = |name| message.get(name).map(read_text).unwrap_or_default();
            // Both names are in use, at some servers at once and with the same content.
            let reasoning = [part("reasoning_content"), part("reasoning")];
            let reasoning = reasoning.into_iter().find(|text| !text.is_empty());
            // A refusal stands in the place of the content.
            let text = [part("content"), part("refusal")];
            let text = text.into_iter().find(|text| !text.is_empty());
            (text.unwrap_or_default(), reasoning.unwrap_or_default())
        }
        (_, Some(text @ (Value::String(_) | Value::Null))) => (read_text(text), String::new()),
        _ => return None,
    };
    Some(RawChoice {
        text,
        reasoning,
        finish_reason: meaning_of(finish_reason),
    })
}

/// A text, or the texts of a list of parts.
fn read_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    }
}

fn read_usage(usage: &Value) -> RawUsage {
    let tokens = |name: &str| {
        let number = usage.get(name)?;
        number.as_u64().or_else(|| whole(number.as_f64()?))
    };
    RawUsage {
        prompt_tokens: tokens("prompt_tokens"),
        completion_tokens: tokens("completion_tokens"),
    }
}

/// A count that came as a float.
fn whole(number: f64) -> Option<u64> {
    let sensible = (0.0..=1e12).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    sensible.then_some(number.ceil() as u64)
}

/// The meaning of an endpoint's word for why a response ended, which differs from server to server.
fn meaning_of(word: Option<&str>) -> FinishReason {
    let word = word.unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" | "max_output_tokens" => FinishReason::Length,
        "content_filter" | "safety" => FinishReason::ContentFilter,
        _ => FinishReason::Other(word.chars().take(40).collect()),
    }
}

#[cfg(test)]
mod tests;
