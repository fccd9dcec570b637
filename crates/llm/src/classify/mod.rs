//! What a refusal means. Servers agree on few words, so the verdict goes by status, `param`,
//! `code` and `type` first, and by several wordings last.

mod context;
mod error_body;
mod parameter;
mod wordings;

pub(crate) use error_body::ErrorBody;
pub(crate) use parameter::{Problem, Refused, Sent};

use crate::decode::Unusable;
use crate::error::Scope;

/// What to do about an attempt that yielded no completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Give the configuration up; the setting to blame, where it is known.
    Infeasible(Refused),
    /// A result, not a fault: the endpoint's filter refused the prompt.
    Filtered,
    /// Try again.
    Transient,
    /// Try again later: too much is asked just now, and this cost nothing.
    Limited,
    /// Give this request up, for what it asks.
    Failed(Scope),
    /// Give the job up.
    Fatal(Scope),
}

/// An attempt that yielded no completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptFault {
    pub(crate) verdict: Verdict,
    /// The endpoint's words or this crate's, not yet fit for users.
    pub(crate) reason: String,
    pub(crate) possibly_billed: bool,
    /// Whether there may be no endpoint at all.
    pub(crate) absence: Option<Absence>,
}

/// What speaks for it that there is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absence {
    /// No connection came about.
    Unreachable,
    /// It answers with success, but with a page for people, or with something else that no model says.
    NoReply,
}

impl AttemptFault {
    /// A fault without anything special about it.
    pub(crate) fn new(verdict: Verdict, reason: impl Into<String>, possibly_billed: bool) -> Self {
        Self {
            verdict,
            reason: reason.into(),
            possibly_billed,
            absence: None,
        }
    }
}

/// What is known of a request that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    /// The names of the settings that were sent.
    pub(crate) settings: &'a [String],
    /// Responses that were asked for.
    pub(crate) n: u32,
    /// The model.
    pub(crate) model: &'a str,
    /// Whether the model has answered before, to the same key and under the same URL. Then none of
    /// them is to blame for a refusal that says nothing.
    pub(crate) has_answered: bool,
    /// Whether the base URL names a version, as in `/v1`.
    pub(crate) has_version: bool,
}

impl Circumstances<'_> {
    fn hint(&self) -> &'static str {
        match self.has_version {
            true => "is base_url right?",
            false => "does base_url lack /v1?",
        }
    }

    fn sent(&self) -> Sent<'_> {
        Sent {
            settings: self.settings,
            n: self.n,
        }
    }
}

/// A reply without a status of success.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// Where a redirect leads, without its query.
    pub(crate) location: Option<&'a str>,
    /// Whether the endpoint asks for a wait.
    pub(crate) asks_to_wait: bool,
}

/// Judges a reply without a status of success.
pub(crate) fn refusal(refusal: Refusal<'_>, about: Circumstances<'_>) -> AttemptFault {
    let Refusal { status, .. } = refusal;
    let error = ErrorBody::parse(refusal.body);
    let verdict = match verdict(status, &error, about) {
        Verdict::Transient if refusal.asks_to_wait && may_ask_to_wait(status) => Verdict::Limited,
        // A status that nobody knows, with a word of when to come back.
        Verdict::Failed(_) if refusal.asks_to_wait && is_unknown(status) => Verdict::Limited,
        verdict => verdict,
    };
    let said = with_parameter(&error);
    let mut reason = match said.is_empty() {
        true => format!("the endpoint answered with status {status}"),
        false => format!("the endpoint answered with status {status}: {said}"),
    };
    if let (300..=399, Some(location)) = (status, refusal.location) {
        reason.push_str(&format!(
            "; it redirects to {location}, where the key is not sent; set base_url to where it leads"
        ));
    } else if verdict == Verdict::Fatal(Scope::Endpoint) {
        reason = format!("{}; {}", reason.trim_end_matches(['.', ' ']), about.hint());
    }
    AttemptFault::new(verdict, reason, is_possibly_billed(status))
}

/// The endpoint's words, with the parameter that they are about.
fn with_parameter(error: &ErrorBody) -> String {
    match error.parameters.first() {
        Some(name) if !error.message.is_empty() && !error.lower.contains(name.as_str()) => {
            format!("{name}: {}", error.message)
        }
        _ => error.message.clone(),
    }
}

/// Judges a reply with a status of success that holds no response.
pub(crate) fn unusable(fault: &Unusable, about: Circumstances<'_>) -> AttemptFault {
    let transient = |reason: &str| AttemptFault::new(Verdict::Transient, reason, true);
    match fault {
        Unusable::Error(body) => {
            let error = ErrorBody::of(body);
            let status = error.status_within_success();
            let verdict = verdict(status, &error, about);
            let reason = format!(
                "the endpoint answered with an error: {}",
                with_parameter(&error)
            );
            // What is refused for what it asks was not worked on; what broke down may have been.
            let possibly_billed = matches!(verdict, Verdict::Transient) && status >= 500;
            AttemptFault::new(verdict, reason, possibly_billed)
        }
        Unusable::Page(title) => {
            let title = match title.is_empty() {
                true => String::new(),
                false => format!(", {title:?}"),
            };
            let hint = about.hint();
            let reason =
                format!("the endpoint answered with an HTML page{title}, not JSON; {hint}");
            // Whatever sent a page for people did not run a model.
            AttemptFault {
                absence: Some(Absence::NoReply),
                ..AttemptFault::new(Verdict::Transient, reason, false)
            }
        }
        Unusable::NoReply(beginning) => {
            let hint = about.hint();
            let reason = format!("the endpoint's answer is none of a model: {beginning}; {hint}");
            AttemptFault {
                absence: Some(Absence::NoReply),
                ..AttemptFault::new(Verdict::Transient, reason, false)
            }
        }
        Unusable::NotJson => transient("the endpoint's answer is cut or is no JSON"),
        Unusable::StreamCut => {
            transient("the endpoint answered with a stream of events that breaks off")
        }
        Unusable::Unreadable => transient("the endpoint's answer cannot be decompressed"),
        Unusable::Interrupted(word) => {
            transient(&format!("the endpoint broke its answer off: {word}"))
        }
        Unusable::NoChoices => transient("the endpoint's answer holds no response"),
    }
}

/// Whether a model may have worked behind a status: gateways give up waiting while it works on. With
/// the others nothing ran, or what ran is not charged for.
fn is_possibly_billed(status: u16) -> bool {
    matches!(status, 499 | 502 | 504 | 520 | 524)
}

/// Statuses that come with a wait where a server is busy, before anything ran.
fn may_ask_to_wait(status: u16) -> bool {
    matches!(status, 409 | 425 | 429 | 498 | 503 | 529)
}

fn is_unknown(status: u16) -> bool {
    matches!(status, 402..=499)
        && !matches!(status, 402..=406 | 410..=418 | 421..=424 | 426 | 428 | 431 | 451)
}

fn verdict(status: u16, error: &ErrorBody, about: Circumstances<'_>) -> Verdict {
    if wordings::no_credit(error) {
        return Verdict::Fatal(Scope::Key);
    }
    if wordings::filtered(error) {
        return Verdict::Filtered;
    }
    if wordings::rate_limit_code(error) && !matches!(status, 401 | 402 | 413) {
        return limited(error);
    }
    // Rate limits speak of "too many tokens" as well, and 401 to 404 are never about length.
    if !matches!(status, 401..=404 | 429) && wordings::about_context_length(error) {
        return too_long(error, about);
    }
    match status {
        400 | 422 | 501 => bad_request(error, about),
        // A redirect, or a method or a path that the server does not know: a wrong base URL.
        300..=399 | 405 | 410 => no_such_path(about),
        401 | 402 | 407 => Verdict::Fatal(Scope::Key),
        403 => forbidden(error, about),
        404 => not_found(error, about),
        413 | 414 | 451 => Verdict::Failed(Scope::Row),
        429 => limited(error),
        498 if wordings::about_key(error) => Verdict::Fatal(Scope::Key),
        408 | 409 | 425 | 498 | 499 => Verdict::Transient,
        505 => Verdict::Failed(Scope::Endpoint),
        500..=599 => Verdict::Transient,
        _ if wordings::rate_limited(error) || wordings::busy(error) => Verdict::Limited,
        _ => Verdict::Failed(Scope::Row),
    }
}

fn limited(error: &ErrorBody) -> Verdict {
    // The limit per minute is below this one request: waiting does not help.
    match error.lower.starts_with("request too large") {
        true => Verdict::Failed(Scope::Row),
        false => Verdict::Limited,
    }
}

fn too_long(error: &ErrorBody, about: Circumstances<'_>) -> Verdict {
    if context::prompt_alone_is_too_long(error) {
        return Verdict::Failed(Scope::Row);
    }
    Verdict::Infeasible(Refused {
        name: parameter::setting(error, about.settings),
        problem: Problem::Value,
    })
}

fn bad_request(error: &ErrorBody, about: Circumstances<'_>) -> Verdict {
    if error.parameters.iter().any(|name| name == "model") {
        return Verdict::Fatal(Scope::Model);
    }
    // The instance's own prompt is to blame, not what is tuned.
    if parameter::is_content(error) {
        return Verdict::Failed(Scope::Row);
    }
    // A message about the model or the key may name a setting by chance, and the other way round:
    // what the fields name goes first.
    let by_field = !error.parameters.is_empty();
    if !by_field && wordings::about_key(error) {
        return Verdict::Fatal(Scope::Key);
    }
    let refused = parameter::refused(error, about.sent());
    let by_name = refused
        .as_ref()
        .is_some_and(|refused| refused.name.is_some());
    if !by_name && wordings::about_model(error, about.model) {
        return Verdict::Fatal(Scope::Model);
    }
    refused.map_or(Verdict::Failed(Scope::Row), Verdict::Infeasible)
}

/// A 403 is about the key as a rule; gateways also send it for what a prompt says.
fn forbidden(error: &ErrorBody, about: Circumstances<'_>) -> Verdict {
    let access = [
        "permission",
        "access",
        "not allowed",
        "not authorized",
        "entitled",
    ];
    let names_model = error.lower.contains("model") && error.mentions(&access);
    if wordings::about_model(error, about.model) || names_model {
        return Verdict::Fatal(Scope::Model);
    }
    if wordings::about_key(error) {
        return Verdict::Fatal(Scope::Key);
    }
    if wordings::rate_limited(error) {
        return Verdict::Limited;
    }
    if wordings::about_content(error) {
        return Verdict::Failed(Scope::Row);
    }
    if wordings::about_access(error) || !about.has_answered {
        return Verdict::Fatal(Scope::Key);
    }
    Verdict::Failed(Scope::Row)
}

fn not_found(error: &ErrorBody, about: Circumstances<'_>) -> Verdict {
    let names_model = wordings::about_model(error, about.model)
        || error.mentions(&["model", "deployment"])
        || error.parameters.iter().any(|name| name == "model");
    match names_model {
        true => Verdict::Fatal(Scope::Model),
        false if error.mentions(&["parameter"]) => bad_request(error, about),
        false => no_such_path(about),
    }
}

/// Where there was a path before, a gateway has lost its way for a while.
fn no_such_path(about: Circumstances<'_>) -> Verdict {
    match about.has_answered {
        true => Verdict::Transient,
        false => Verdict::Fatal(Scope::Endpoint),
    }
}

#[cfg(test)]
mod tests;
