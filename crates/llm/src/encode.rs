//! The JSON of requests, in both wire formats.

use crate::abilities::{Abilities, MAX_TOKENS, is_dispensable};
use crate::request::{CompletionRequest, PromptInput};
use frugal_domain::endpoint::{Api, Endpoint, Model};
use serde_json::{Map, Value, json};

/// A request as it is sent.
#[derive(Debug)]
pub(crate) struct Call {
    /// The last parts of the path that it is sent to.
    pub(crate) api: &'static str,
    /// The JSON body.
    pub(crate) body: Vec<u8>,
    /// The names of the settings in it: what a refusal may be about.
    pub(crate) settings: Vec<String>,
    /// Responses that are asked for: `n`, or as many as the model gives at once.
    pub(crate) n: u32,
}

/// Why a request cannot be sent at all, and which setting is to blame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unsendable {
    pub(crate) reason: String,
    pub(crate) setting: String,
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
    endpoint: &Endpoint,
    abilities: &Abilities,
) -> Result<Call, Unsendable> {
    let mut body: Map<String, Value> = Map::new();
    for (name, value) in model.extra.iter().chain(&request.extra) {
        body.insert(name.clone(), value.clone());
    }
    for setting in REPLY_FORM {
        let value = body.remove(setting).unwrap_or_default();
        if !value.is_null() && value != json!(false) {
            return Err(Unsendable {
                reason: format!("{setting} cannot be set: replies are read whole"),
                setting: setting.to_owned(),
            });
        }
    }
    for content in CONTENT {
        body.remove(content);
    }

    let n = at_least_one("n", request.n)?.min(abilities.max_n.unwrap_or(u32::MAX));
    body.insert("n".to_owned(), json!(n));
    let max_tokens = at_least_one(MAX_TOKENS, request.max_tokens)?;
    body.insert(abilities.max_tokens_name().to_owned(), json!(max_tokens));
    for (setting, value) in [
        ("temperature", request.temperature),
        ("top_p", request.top_p),
    ] {
        if let Some(value) = value {
            if !value.is_finite() {
                return Err(Unsendable {
                    reason: format!("{setting} is not a finite number"),
                    setting: setting.to_owned(),
                });
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
    leave_out(&mut body, model, abilities)?;
    let settings = body.keys().cloned().collect();

    body.insert("model".to_owned(), json!(request.model));
    let api = match (&request.prompt, endpoint.api_of(model)) {
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
                setting: "prompt".to_owned(),
            });
        }
    };
    Ok(Call {
        api,
        body: Value::Object(body).to_string().into_bytes(),
        settings,
        n,
    })
}

/// Takes out what the model does not take, as long as that leaves what is asked as it is.
fn leave_out(
    body: &mut Map<String, Value>,
    model: &Model,
    abilities: &Abilities,
) -> Result<(), Unsendable> {
    for name in &abilities.omit {
        let is_set = body.remove(name).is_some();
        let is_own = model.extra.contains_key(name);
        if is_set && !is_own && !is_dispensable(name) {
            return Err(Unsendable {
                reason: format!("the model does not take the parameter {name}"),
                setting: name.clone(),
            });
        }
    }
    Ok(())
}

/// Where requests go, relative to the base URL.
pub(crate) fn path(template: Option<&str>, api: &str, model: &str) -> String {
    let template = template.unwrap_or("/{api}").trim_start_matches('/');
    template
        .replace("{api}", api)
        .replace("{model}", &percent_encoded(model))
}

/// A model's name within a path. Slashes stay: names such as `org/model` are paths where they stand
/// in one.
fn percent_encoded(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/@:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn at_least_one(setting: &str, value: u32) -> Result<u32, Unsendable> {
    if value == 0 {
        return Err(Unsendable {
            reason: format!("{setting} must be at least 1"),
            setting: setting.to_owned(),
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
