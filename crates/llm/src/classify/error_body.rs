//! What an error says, from the several shapes that servers give it.

use crate::decode::{json, page_title};
use serde_json::Value;

/// How deep errors are looked into; gateways wrap what others wrapped.
const MOST_LEVELS: u32 = 6;

/// The most characters of JSON that are shown where it holds no message.
const MOST_SHOWN: usize = 160;

/// Fields that hold a message, or an error within, the most telling first.
const MESSAGES: [&str; 12] = [
    "error",
    "message",
    "msg",
    "detail",
    "error_description",
    "error_msg",
    "errors",
    "details",
    "description",
    "title",
    "cause",
    "raw",
];

/// Fields that hold an error within, and no message.
const WITHIN: [&str; 6] = [
    "innererror",
    "inner_error",
    "metadata",
    "data",
    "body",
    "response",
];

/// Fields that hold a code.
const CODES: [&str; 8] = [
    "code",
    "type",
    "status",
    "reason",
    "error_code",
    "error_type",
    "errorCode",
    "__type",
];

/// Fields that name a parameter.
const PARAMETERS: [&str; 3] = ["param", "parameter", "field"];

/// An error in one form.
#[derive(Debug, Default)]
pub(crate) struct ErrorBody {
    /// What it says to people, in its first words; empty where it says nothing.
    pub(crate) message: String,
    /// All that it says to people, in lower case.
    pub(crate) lower: String,
    /// `code`, `type` and the codes within, in lower case.
    words: Vec<String>,
    /// The parameters that it names in so many words, without index or path.
    pub(crate) parameters: Vec<String>,
    /// A `code` that is a status of HTTP.
    pub(crate) status: Option<u16>,
    /// Whether a moderation reports the input as flagged.
    pub(crate) flagged: bool,
    /// Tokens of the prompt and of the context, where they stand as numbers.
    pub(crate) context: Option<(u64, u64)>,
}

impl ErrorBody {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let text = json::text(body);
        if let Some(title) = page_title(&text) {
            let message = match title.is_empty() {
                true => "a web page".to_owned(),
                false => format!("a web page, {title:?}"),
            };
            return Self {
                lower: message.to_lowercase(),
                message,
                ..Self::default()
            };
        }
        // An error at the head of a stream of events.
        let bare = text.trim_start();
        let bare = bare.strip_prefix("data:").unwrap_or(bare);
        match json::parse(bare) {
            Some(parsed) => Self::of(&parsed.values[0]),
            None => Self {
                lower: text.to_lowercase(),
                message: text,
                ..Self::default()
            },
        }
    }

    pub(crate) fn of(body: &Value) -> Self {
        let mut error = Self::default();
        error.gather(body, MOST_LEVELS);
        if error.message.is_empty() && body.as_object().is_some_and(|fields| !fields.is_empty()) {
            error.message = body.to_string().chars().take(MOST_SHOWN).collect();
        }
        error
    }

    /// Takes in what a value says, and what is within it.
    fn gather(&mut self, value: &Value, levels: u32) {
        let Some(levels) = levels.checked_sub(1) else {
            return;
        };
        match value {
            Value::Array(list) => list.iter().for_each(|inner| self.gather(inner, levels)),
            Value::String(text) => self.say(text, levels),
            Value::Object(_) => self.gather_fields(value, levels),
            _ => {}
        }
    }

    fn gather_fields(&mut self, fields: &Value, levels: u32) {
        for name in CODES {
            match fields.get(name) {
                Some(Value::String(word)) => {
                    self.words.push(word.to_ascii_lowercase());
                    self.status = self.status.or_else(|| status(word.parse().ok()?));
                }
                Some(Value::Number(number)) => {
                    self.words.push(number.to_string());
                    self.status = self.status.or_else(|| status(number.as_u64()?));
                }
                _ => {}
            }
        }
        for name in PARAMETERS {
            let named = fields.get(name).and_then(Value::as_str);
            self.parameters.extend(named.and_then(bare_name));
        }
        if let Some(Value::Array(place)) = fields.get("loc") {
            let names = place.iter().filter_map(Value::as_str);
            let named = names.filter(|name| *name != "body").filter_map(bare_name);
            self.parameters.extend(named);
        }
        let number = |name: &str| fields.get(name).and_then(Value::as_u64);
        let context = number("n_prompt_tokens").zip(number("n_ctx"));
        self.context = self.context.or(context);
        self.flagged |= fields.get("flagged_input").is_some();
        for name in MESSAGES.iter().chain(&WITHIN) {
            if let Some(inner) = fields.get(*name) {
                self.gather(inner, levels);
            }
        }
    }

    fn say(&mut self, text: &str, levels: u32) {
        if text.is_empty() {
            return;
        }
        if self.message.is_empty() {
            text.clone_into(&mut self.message);
        }
        if !self.lower.is_empty() {
            self.lower.push('\n');
        }
        self.lower.push_str(&text.to_lowercase());
        // Gateways put the error of the server behind them into their message as it came.
        if let Some(start) = text.find(['{', '['])
            && let Ok(inner @ (Value::Object(_) | Value::Array(_))) = first_value(&text[start..])
        {
            self.gather(&inner, levels);
        }
    }

    /// Whether a code is one of these.
    pub(crate) fn says(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    /// Whether the message has one of these in it.
    pub(crate) fn mentions(&self, wordings: &[&str]) -> bool {
        wordings.iter().any(|wording| self.lower.contains(wording))
    }

    /// The status that an error under a status of success would have had.
    pub(crate) fn status_within_success(&self) -> u16 {
        let invalid = self.says(&["invalid_request_error", "badrequesterror"]);
        self.status.unwrap_or(if invalid { 400 } else { 500 })
    }
}

fn first_value(text: &str) -> Result<Value, serde_json::Error> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    values.next().unwrap_or(Ok(Value::Null))
}

fn status(number: u64) -> Option<u16> {
    u16::try_from(number)
        .ok()
        .filter(|status| (400..600).contains(status))
}

/// `messages[0].content` and `body.messages` are about `messages`.
fn bare_name(param: &str) -> Option<String> {
    let param = param.trim().trim_start_matches("body.");
    let name = param.split(['.', '[']).next().unwrap_or_default();
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_of_many_shapes_say_the_same() {
        for body in [
            json!({"error": {"message": "no seed", "param": "seed", "code": "unknown"}}),
            json!({"error": {"message": "no seed", "param": "body.seed", "type": "Unknown"}}),
            json!({"message": "no seed", "param": "seed", "code": "unknown", "error": null}),
            json!({"detail": [{"loc": ["body", "seed"], "msg": "no seed", "type": "unknown"}]}),
            json!({"detail": [{"loc": ["seed"], "msg": "no seed", "type": "unknown"}]}),
            json!({"detail": {"error": {"message": "no seed", "param": "seed", "code": "unknown"}}}),
            json!([{"error": {"message": "no seed", "param": "seed", "status": "UNKNOWN"}}]),
            json!({"error": {"message": "no seed", "metadata": {
                "raw": "{\"error\": {\"param\": \"seed\", \"code\": \"unknown\"}}"
            }}}),
            json!({"errors": [{"message": "no seed", "field": "seed", "code": "unknown"}]}),
        ] {
            let error = ErrorBody::parse(body.to_string().as_bytes());
            assert_eq!(error.message, "no seed", "{body}");
            assert_eq!(error.parameters, ["seed"], "{body}");
            assert!(error.says(&["unknown"]), "{body}");
        }
    }

    #[test]
    fn what_says_nothing_is_shown_as_it_is() {
        assert_eq!(ErrorBody::parse(b"oops").message, "oops");
        assert_eq!(ErrorBody::parse(b"{\"odd\": 1}").message, "{\"odd\":1}");
        assert_eq!(ErrorBody::parse(b"{}").message, "");
        assert_eq!(
            ErrorBody::parse(b"<html><title> Down </title>").message,
            "a web page, \"Down\""
        );
    }
}
