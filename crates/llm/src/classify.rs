//! What a refusal means. Servers agree on few words, so the verdict goes by status, `param`,
//! `code` and `type` first, and by several wordings last.

use crate::wire::Unusable;
use serde_json::Value;

/// What to do about an attempt that yielded no completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Give the configuration up; the setting to blame, where it is known.
    Infeasible(Option<String>),
    /// A result, not a fault: the endpoint's filter refused the prompt.
    Filtered,
    /// Try again.
    Transient,
    /// Give this request up.
    Failed,
    /// Give the job up.
    Fatal,
}

/// An attempt that yielded no completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptFault {
    pub(crate) verdict: Verdict,
    /// The endpoint's words or this crate's, not yet fit for users.
    pub(crate) reason: String,
    pub(crate) possibly_billed: bool,
}

/// Judges a reply without a status of success. `settings` are the names of what was sent.
pub(crate) fn refusal(status: u16, body: &[u8], settings: &[String]) -> AttemptFault {
    let error = ErrorBody::parse(body);
    let reason = match error.message.is_empty() {
        true => format!("the endpoint answered with status {status}"),
        false => format!(
            "the endpoint answered with status {status}: {}",
            error.message
        ),
    };
    AttemptFault {
        verdict: verdict(status, &error, settings),
        reason,
        // A gateway gives up waiting while the model behind it works on; Azure bills 408.
        possibly_billed: matches!(status, 408 | 502 | 504 | 524),
    }
}

/// Judges a reply with a status of success that holds no response. Whether it was billed
/// cannot be known.
pub(crate) fn unusable(fault: &Unusable, settings: &[String]) -> AttemptFault {
    let (verdict, reason) = match fault {
        Unusable::Error(body) => {
            let error = ErrorBody::of(body);
            let verdict = verdict(error.status_within_success(), &error, settings);
            let reason = format!("the endpoint answered with an error: {}", error.message);
            (verdict, reason)
        }
        Unusable::NotJson => (
            Verdict::Transient,
            "the endpoint's answer is cut or is no JSON".to_owned(),
        ),
        Unusable::NoChoices => (
            Verdict::Transient,
            "the endpoint's answer holds no response".to_owned(),
        ),
    };
    AttemptFault {
        verdict,
        reason,
        possibly_billed: true,
    }
}

const NO_CREDIT: [&str; 5] = [
    "insufficient_quota",
    "insufficient_credits",
    "insufficient_balance",
    "billing_hard_limit_reached",
    "billing_not_active",
];

const FILTERED: [&str; 4] = [
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "moderation_blocked",
];

const UNKNOWN_MODEL: [&str; 3] = ["model_not_found", "deploymentnotfound", "invalid_model"];

const REFUSED_SETTING: [&str; 5] = [
    "unsupported_parameter",
    "unsupported_value",
    "unknown_parameter",
    "invalid_value",
    "invalid_parameter",
];

fn verdict(status: u16, error: &ErrorBody, settings: &[String]) -> Verdict {
    if error.says(&NO_CREDIT) {
        return Verdict::Fatal;
    }
    if error.says(&FILTERED) || error.flagged {
        return Verdict::Filtered;
    }
    if error.says(&UNKNOWN_MODEL) {
        return Verdict::Fatal;
    }
    // Rate limits speak of "too many tokens" as well, and 401 to 404 are never about length.
    if !matches!(status, 401..=404 | 429) && error.is_about_context_length() {
        return Verdict::Infeasible(error.setting(settings));
    }
    match status {
        400 | 422 | 501 => refused_setting(error, settings),
        // A redirect, or a method or a path that the server does not know: a wrong base URL.
        300..=399 | 401..=405 | 410 => Verdict::Fatal,
        // The limit per minute is below this one request: waiting does not help.
        429 if error.lower().starts_with("request too large") => Verdict::Failed,
        408 | 409 | 425 | 429 => Verdict::Transient,
        505 => Verdict::Failed,
        500..=599 => Verdict::Transient,
        _ => Verdict::Failed,
    }
}

fn refused_setting(error: &ErrorBody, settings: &[String]) -> Verdict {
    if error.param.as_deref() == Some("model") {
        return Verdict::Fatal;
    }
    // The instance's own prompt is to blame, not what is tuned.
    if matches!(
        error.param.as_deref(),
        Some("messages" | "prompt" | "input")
    ) {
        return Verdict::Failed;
    }
    let setting = error.setting(settings);
    let is_refused = setting.is_some()
        || error.says(&REFUSED_SETTING)
        || error.lower().contains("value must be between");
    if is_refused {
        Verdict::Infeasible(setting)
    } else {
        Verdict::Failed
    }
}

/// What an error says, from the several shapes that servers give it.
#[derive(Debug, Default)]
struct ErrorBody {
    message: String,
    /// `code`, `type` and the codes within, in lower case.
    words: Vec<String>,
    /// The parameter, without index or path.
    param: Option<String>,
    /// A `code` that is a status of HTTP.
    status: Option<u16>,
    /// Whether a moderation reports the input as flagged.
    flagged: bool,
}

impl ErrorBody {
    fn parse(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::of(&value),
            Err(_) => Self {
                message: plain_text(&String::from_utf8_lossy(body)),
                ..Self::default()
            },
        }
    }

    fn of(body: &Value) -> Self {
        // Some wrap the error in a list, some in `error`, some not at all.
        let body = body.get(0).unwrap_or(body);
        let error = body
            .get("error")
            .filter(|error| !error.is_null())
            .unwrap_or(body);
        if let Some(message) = error.as_str() {
            return Self {
                message: message.to_owned(),
                ..Self::default()
            };
        }
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let inner = error.get("innererror").or_else(|| error.get("inner_error"));
        let codes = [
            text("code"),
            text("type"),
            text("status"),
            inner
                .and_then(|inner| inner.get("code"))
                .and_then(Value::as_str),
        ];
        let words = codes
            .into_iter()
            .flatten()
            .map(str::to_ascii_lowercase)
            .collect();
        let detail = error.get("detail");
        let complaint = detail.and_then(|detail| detail.get(0));
        let message = text("message")
            .or_else(|| detail.and_then(Value::as_str))
            .or_else(|| complaint.and_then(|complaint| complaint.get("msg")?.as_str()));
        let location = || complaint.and_then(|complaint| complaint.get("loc")?.get(1)?.as_str());
        Self {
            message: message.unwrap_or_default().to_owned(),
            words,
            param: text("param").or_else(location).and_then(bare_name),
            status: status_code(error.get("code")),
            flagged: error.pointer("/metadata/flagged_input").is_some(),
        }
    }

    fn says(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    fn lower(&self) -> String {
        self.message.to_lowercase()
    }

    /// The status that an error under a status of success would have had.
    fn status_within_success(&self) -> u16 {
        let invalid = self.says(&["invalid_request_error", "badrequesterror"]);
        self.status.unwrap_or(if invalid { 400 } else { 500 })
    }

    fn is_about_context_length(&self) -> bool {
        const WORDS: [&str; 4] = [
            "context_length_exceeded",
            "context_window_exceeded",
            "exceed_context_size_error",
            "prompt_too_long",
        ];
        const WORDINGS: [&str; 14] = [
            "context length",
            "context window",
            "context size",
            "maximum model length",
            "max_model_len",
            "maximum input length",
            "maximum sequence length",
            "maximum number of tokens",
            "maximum allowed number of input tokens",
            "prompt is too long",
            "input is too long",
            "too many tokens",
            "must be <= max_total_tokens",
            "`inputs` tokens + `max_new_tokens`",
        ];
        let message = self.lower();
        self.says(&WORDS)
            || self.param.as_deref() == Some("input_tokens")
            || WORDINGS.iter().any(|wording| message.contains(wording))
    }

    /// The setting that the error is about: `param`, or a sent one that the message names.
    fn setting(&self, settings: &[String]) -> Option<String> {
        let content = ["messages", "prompt", "input", "input_tokens", "model"];
        if let Some(param) = &self.param {
            return (!content.contains(&param.as_str())).then(|| param.clone());
        }
        let message = self.lower();
        let named = |setting: &&String| match setting.as_str() {
            "n" => names_n(&message),
            setting => message
                .split(|c: char| !is_name(c))
                .any(|word| word == setting),
        };
        settings.iter().find(named).cloned()
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a message speaks of the parameter `n`: quoted, compared, or the subject.
fn names_n(message: &str) -> bool {
    let verbs = [
        "must", "is", "should", "cannot", "greater", "exceeds", "not",
    ];
    message.match_indices('n').any(|(at, _)| {
        let (before, after) = (&message[..at], &message[at + 1..]);
        let quote = before.chars().next_back();
        if matches!(quote, Some('\'' | '"' | '`')) {
            return after.chars().next() == quote;
        }
        // An apostrophe before it was dealt with, so "don't" and "'n'" are not confused.
        if quote.is_some_and(is_name) || after.starts_with(is_name) {
            return false;
        }
        let next = after.trim_start();
        next.starts_with(['>', '<', '=', ':'])
            || (after.len() > next.len()
                && next
                    .split(|c: char| !is_name(c))
                    .next()
                    .is_some_and(|word| verbs.contains(&word)))
    })
}

/// `messages[0].content` and `body.messages` are about `messages`.
fn bare_name(param: &str) -> Option<String> {
    let param = param.trim().trim_start_matches("body.");
    let name = param.split(['.', '[']).next().unwrap_or_default();
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

fn status_code(code: Option<&Value>) -> Option<u16> {
    let number = match code? {
        Value::String(text) => text.parse().ok()?,
        number => number.as_u64()?,
    };
    u16::try_from(number)
        .ok()
        .filter(|status| (400..600).contains(status))
}

/// The title of a page, or else the text as it is.
fn plain_text(body: &str) -> String {
    let body = body.trim_start();
    if !body.starts_with('<') {
        return body.to_owned();
    }
    let lower = body.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = start + lower[start..].find("</title>")?;
        Some(body[start..end].trim())
    });
    match title {
        Some(title) if !title.is_empty() => format!("a web page, {title:?}"),
        _ => "a web page".to_owned(),
    }
}

#[cfg(test)]
mod tests;
