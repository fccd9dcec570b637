//! Which values the settings may have that Frugal knows by name.

use crate::fault::shortened;
use serde_json::Value;

/// The most tokens per response that a job may ask for.
const MAX_TOKENS: i64 = 1_000_000;

/// The most responses per instance that a job may ask for.
const MAX_N: i64 = 1024;

/// The most texts in `stop` (the limit of the OpenAI API).
const MAX_STOP: usize = 4;

/// Whether a value can be the setting of this name; names that are not Frugal's own go to the
/// endpoint as they are.
///
/// # Errors
/// Why not, in words.
pub fn explain_value(name: &str, value: &Value) -> Result<(), String> {
    let within = |low: f64, high: f64| match value.as_f64() {
        Some(number) if (low..=high).contains(&number) => Ok(()),
        _ => Err(format!(
            "`{name}` must be a number from {low} to {high}, not {}{}",
            shortened(&value.to_string(), MOST_LETTERS),
            range(name, "float", value)
        )),
    };
    let whole = |high: i64| match value.as_i64() {
        Some(number) if (1..=high).contains(&number) => Ok(()),
        _ => Err(format!(
            "`{name}` must be a whole number from 1 to {high}, not {}{}",
            shortened(&value.to_string(), MOST_LETTERS),
            range(name, "int", value)
        )),
    };
    match name {
        "temperature" => within(0.0, 100.0),
        "top_p" => within(0.0, 1.0),
        "max_tokens" => whole(MAX_TOKENS),
        "n" => whole(MAX_N),
        "stop" => match stop_texts(value) {
            Some(texts) if texts.len() <= MAX_STOP && texts.iter().all(|text| !text.is_empty()) => {
                Ok(())
            }
            _ => Err(format!(
                "`stop` must be null, a text, or a list of at most {MAX_STOP} texts, none empty"
            )),
        },
        _ => Ok(()),
    }
}

/// How many letters of a value are told.
const MOST_LETTERS: usize = 60;

/// How what looks like a range or a list is written, where the value does.
fn range(name: &str, form: &str, value: &Value) -> String {
    let is_meant = match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
        _ => false,
    };
    match is_meant {
        true => format!(
            "; where it is to vary, `search_space` has a range {{\"{name}\": {{\"{form}\": [low, high]}}}} or \
             a list {{\"{name}\": {{\"choice\": [one, another]}}}}"
        ),
        false => String::new(),
    }
}

/// The texts of a `stop` value: null, one text, or a list.
#[must_use]
pub fn stop_texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(texts) => texts
            .iter()
            .map(|text| Some(text.as_str()?.to_owned()))
            .collect(),
        _ => None,
    }
}
