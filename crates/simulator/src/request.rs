//! Reads a request as OpenAI's endpoints do, and refuses what a replay cannot honour.

use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// Completion tokens per response where the request names no cap, as OpenAI's completions have it.
pub const DEFAULT_MAX_TOKENS: u32 = 16;
/// The largest `n`.
pub const MAX_N: u32 = 128;
/// The most stop strings of a request.
pub const MAX_STOP_STRINGS: usize = 4;

/// Which of the two ways to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    Completions,
    Chat,
}

impl Surface {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Completions => "/v1/completions",
            Self::Chat => "/v1/chat/completions",
        }
    }
}

/// A request that can be replayed, if its model and prompt are recorded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Generation {
    pub(crate) model: String,
    pub(crate) prompt: String,
    /// The field that the prompt came in.
    pub(crate) prompt_field: &'static str,
    pub(crate) temperature: f64,
    pub(crate) n: u32,
    pub(crate) max_tokens: u32,
    /// Whether the cap came as `max_tokens`, the older name.
    pub(crate) names_max_tokens: bool,
    pub(crate) stop: Vec<String>,
    pub(crate) seed: Option<i128>,
    /// How the answer is to be sent, if not in one piece.
    pub(crate) stream: Option<Streaming>,
}

/// An answer that is to be sent as an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Streaming {
    /// Whether a last chunk tells the usage.
    pub(crate) include_usage: bool,
}

/// What a request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The most tokens of a response.
    pub(crate) longest: u32,
    /// Whether only what was recorded may be asked for: no parameter that recordings know nothing of, no
    /// conversation.
    pub(crate) is_recorded: bool,
}

impl Generation {
    /// Reads the body of a request.
    pub(crate) fn parse(surface: Surface, body: &[u8], scope: Scope) -> Result<Self, Refusal> {
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            Refusal::invalid(
                None,
                None,
                format!("We could not parse the JSON body of your request: {error}"),
            )
        })?;
        let Value::Object(fields) = body else {
            return Err(Refusal::invalid(
                None,
                None,
                "The body of your request is not a JSON object.",
            ));
        };
        if scope.is_recorded {
            for (name, value) in &fields {
                check_field(surface, name, value)?;
            }
        }
        let (prompt_field, prompt) = match surface {
            Surface::Completions => ("prompt", prompt(&fields)?),
            Surface::Chat => ("messages", prompt_of_messages(&fields, scope.is_recorded)?),
        };
        Ok(Self {
            model: model(&fields)?,
            prompt,
            prompt_field,
            temperature: temperature(&fields)?,
            n: integer(&fields, "n", MAX_N)?.unwrap_or(1),
            max_tokens: max_tokens(&fields, surface, scope)?,
            names_max_tokens: given(&fields, "max_tokens").is_some(),
            stop: stop(&fields)?,
            seed: seed(&fields)?,
            stream: streaming(&fields)?,
        })
    }
}

/// The value of a field; null is as good as absent.
fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// Refuses a field that would change the answer in a way that the recordings know nothing of.
fn check_field(surface: Surface, name: &str, value: &Value) -> Result<(), Refusal> {
    let without_effect = match name {
        "model" | "max_tokens" | "temperature" | "n" | "stop" | "seed" => true,
        "prompt" => surface == Surface::Completions,
        "messages" | "max_completion_tokens" => surface == Surface::Chat,
        _ if value.is_null() => true,
        "top_p" | "repetition_penalty" => value.as_f64() == Some(1.0),
        "presence_penalty" | "frequency_penalty" | "min_p" => value.as_f64() == Some(0.0),
        "top_k" => matches!(value.as_i64(), Some(0 | -1)),
        "echo" | "logprobs" | "store" => value.as_bool() == Some(false),
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "user" => value.is_string(),
        "metadata" => value.is_object(),
        "stream" => value.is_boolean(),
        "stream_options" => value.is_object(),
        _ => false,
    };
    if without_effect {
        return Ok(());
    }
    let message = format!(
        "Unsupported parameter: '{name}' with this value is not supported by recorded answers."
    );
    Err(Refusal::invalid(
        Some("unsupported_parameter"),
        Some(name),
        message,
    ))
}

fn model(fields: &Map<String, Value>) -> Result<String, Refusal> {
    match given(fields, "model") {
        Some(Value::String(model)) => Ok(model.clone()),
        Some(_) => Err(invalid_type("model", "a string")),
        None => Err(missing("model")),
    }
}

fn prompt(fields: &Map<String, Value>) -> Result<String, Refusal> {
    match given(fields, "prompt") {
        Some(Value::String(prompt)) => Ok(prompt.clone()),
        Some(Value::Array(prompts)) => match prompts.as_slice() {
            [Value::String(prompt)] => Ok(prompt.clone()),
            _ => Err(invalid_type(
                "prompt",
                "a string, or an array of one string",
            )),
        },
        Some(_) => Err(invalid_type("prompt", "a string")),
        None => Err(missing("prompt")),
    }
}

/// The text of the messages, one after the other. Recorded was one from the user, with or without one
/// from the system before it.
fn prompt_of_messages(fields: &Map<String, Value>, is_recorded: bool) -> Result<String, Refusal> {
    let messages = match given(fields, "messages") {
        Some(Value::Array(messages)) => messages,
        Some(_) => return Err(invalid_type("messages", "an array of messages")),
        None => return Err(missing("messages")),
    };
    let mut texts = Vec::new();
    for message in messages {
        let Some(role) = message["role"].as_str() else {
            return Err(invalid_type(
                "messages",
                "an array of messages, each with a role",
            ));
        };
        texts.push((role, message_text(&message["content"])?));
    }
    match texts.as_slice() {
        texts if !is_recorded => Ok(texts.iter().map(|(_, text)| text.as_str()).collect()),
        [("user", text)] => Ok(text.clone()),
        [("system" | "developer", before), ("user", text)] => Ok(format!("{before}{text}")),
        _ => {
            let message =
                "Only a user message, or a system message and a user message, were recorded.";
            Err(Refusal::invalid(
                Some("unknown_prompt"),
                Some("messages"),
                message,
            ))
        }
    }
}

/// A message's content: a string, or parts of the type `text`.
fn message_text(content: &Value) -> Result<String, Refusal> {
    let not_text = || {
        invalid_type(
            "messages",
            "messages whose content is a string or parts of text",
        )
    };
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => parts
            .iter()
            .map(|part| {
                part["text"]
                    .as_str()
                    .filter(|_| part["type"] == "text")
                    .ok_or_else(not_text)
            })
            .collect(),
        _ => Err(not_text()),
    }
}

fn temperature(fields: &Map<String, Value>) -> Result<f64, Refusal> {
    let Some(value) = given(fields, "temperature") else {
        return Ok(1.0);
    };
    let Some(temperature) = value.as_f64() else {
        return Err(invalid_type("temperature", "a number"));
    };
    if temperature < 0.0 {
        let message = format!("Invalid 'temperature': {temperature} is below the minimum value 0.");
        return Err(Refusal::invalid(
            Some("invalid_value"),
            Some("temperature"),
            message,
        ));
    }
    // Takes -0.0 to 0.0, which is to draw the same.
    Ok(temperature + 0.0)
}

/// An integer from 1 to `largest`, if the field is given.
fn integer(fields: &Map<String, Value>, name: &str, largest: u32) -> Result<Option<u32>, Refusal> {
    let Some(value) = given(fields, name) else {
        return Ok(None);
    };
    if !(value.is_i64() || value.is_u64()) {
        return Err(invalid_type(name, "an integer"));
    }
    match value.as_u64().and_then(|value| u32::try_from(value).ok()) {
        Some(value) if (1..=largest).contains(&value) => Ok(Some(value)),
        _ => {
            let message = format!(
                "Invalid '{name}': expected an integer from 1 to {largest}, but got {value} instead."
            );
            Err(Refusal::invalid(Some("invalid_value"), Some(name), message))
        }
    }
}

fn max_tokens(
    fields: &Map<String, Value>,
    surface: Surface,
    Scope {
        longest,
        is_recorded,
    }: Scope,
) -> Result<u32, Refusal> {
    let mut caps = Vec::new();
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(cap) = integer(fields, name, u32::MAX)? else {
            continue;
        };
        if cap > longest {
            let message = format!(
                "{name} is too large: {cap}. This model supports at most {longest} completion tokens, whereas you provided {cap}."
            );
            return Err(Refusal::invalid(Some("invalid_value"), Some(name), message));
        }
        caps.push(cap);
    }
    match caps.as_slice() {
        // A chat has no cap of its own; the recordings were taken as completions.
        [] if surface == Surface::Chat && !is_recorded => Ok(longest),
        [] => Ok(DEFAULT_MAX_TOKENS.min(longest)),
        [cap] => Ok(*cap),
        [first, ..] if caps.iter().all(|cap| cap == first) => Ok(*first),
        _ => {
            let message = "'max_tokens' and 'max_completion_tokens' contradict each other.";
            Err(Refusal::invalid(
                Some("invalid_value"),
                Some("max_tokens"),
                message,
            ))
        }
    }
}

fn stop(fields: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let expected = "a string or an array of up to 4 strings";
    let strings = match given(fields, "stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) => {
            let strings: Option<Vec<String>> = stops
                .iter()
                .map(|stop| stop.as_str().map(str::to_owned))
                .collect();
            strings.ok_or_else(|| invalid_type("stop", expected))?
        }
        Some(_) => return Err(invalid_type("stop", expected)),
    };
    if strings.len() > MAX_STOP_STRINGS {
        let message = format!(
            "Invalid 'stop': expected at most {MAX_STOP_STRINGS} strings, but got {} instead.",
            strings.len()
        );
        return Err(Refusal::invalid(
            Some("array_above_max_length"),
            Some("stop"),
            message,
        ));
    }
    if strings.iter().any(String::is_empty) {
        return Err(Refusal::invalid(
            Some("invalid_value"),
            Some("stop"),
            "Invalid 'stop': a stop string is empty.",
        ));
    }
    Ok(strings)
}

fn seed(fields: &Map<String, Value>) -> Result<Option<i128>, Refusal> {
    let Some(value) = given(fields, "seed") else {
        return Ok(None);
    };
    let seed = value
        .as_i64()
        .map(i128::from)
        .or_else(|| value.as_u64().map(i128::from));
    seed.map(Some)
        .ok_or_else(|| invalid_type("seed", "an integer"))
}

/// Whether and how the answer is to be streamed.
fn streaming(fields: &Map<String, Value>) -> Result<Option<Streaming>, Refusal> {
    let options = given(fields, "stream_options");
    if given(fields, "stream").and_then(Value::as_bool) != Some(true) {
        if options.is_some() {
            let message =
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(Refusal::invalid(None, Some("stream_options"), message));
        }
        return Ok(None);
    }
    let include_usage = match options.and_then(|options| options.get("include_usage")) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(include_usage)) => *include_usage,
        Some(_) => return Err(invalid_type("stream_options.include_usage", "a boolean")),
    };
    Ok(Some(Streaming { include_usage }))
}

fn invalid_type(name: &str, expected: &str) -> Refusal {
    Refusal::invalid(
        Some("invalid_type"),
        Some(name),
        format!("Invalid type for '{name}': expected {expected}."),
    )
}

fn missing(name: &str) -> Refusal {
    let message = format!("Missing required parameter: '{name}'.");
    Refusal::invalid(Some("missing_required_parameter"), Some(name), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_zeros_are_one_temperature() {
        let parse = |temperature: &str| {
            let body =
                format!("{{\"model\": \"m\", \"prompt\": \"p\", \"temperature\": {temperature}}}");
            let scope = Scope {
                longest: 128,
                is_recorded: true,
            };
            Generation::parse(Surface::Completions, body.as_bytes(), scope)
                .unwrap()
                .temperature
                .to_bits()
        };
        assert_eq!(parse("-0.0"), parse("0"));
        assert_ne!(parse("0.1"), parse("0"));
    }
}
