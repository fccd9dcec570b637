//! What a server answered, as a reply. Servers of one wire format agree on its outline alone, so
//! everything beyond that is read in all the forms that it is known to come in.

mod choice;
pub(crate) mod coding;
pub(crate) mod json;
mod stream;
mod usage;

pub(crate) use choice::RawChoice;
pub(crate) use usage::RawUsage;

use choice::{Read, is_given};
use serde_json::{Value, json};

/// A reply as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The responses, in the order of their index; never none.
    pub(crate) choices: Vec<RawChoice>,
    /// The usage as reported.
    pub(crate) usage: RawUsage,
    /// Whether the text had to be put right before it could be read.
    pub(crate) mended: bool,
    /// Whether it came as a stream of events.
    pub(crate) streamed: bool,
}

/// Why a reply with a status of success cannot be used.
#[derive(Debug, PartialEq)]
pub(crate) enum Unusable {
    /// It is an error all the same.
    Error(Value),
    /// It is a page for people, with this title.
    Page(String),
    /// It is neither JSON nor the beginning of it, or JSON that has nothing of a reply about it; this
    /// is how it begins.
    NoReply(String),
    /// It is cut, or no JSON.
    NotJson,
    /// It is a stream of events that breaks off.
    StreamCut,
    /// It is compressed, and not as its header says.
    Unreadable,
    /// The server broke every response off, for this reason.
    Interrupted(String),
    /// It is JSON, but holds no response.
    NoChoices,
}

/// Reads a reply. Responses that failed on their own, as some gateways report them, are left
/// out, like responses that never came.
pub(crate) fn decode(body: &[u8]) -> Result<Reply, Unusable> {
    let text = json::text(body);
    if let Some(title) = page_title(&text) {
        return Err(Unusable::Page(title));
    }
    if stream::is_stream(&text) {
        return from_stream(stream::read(&text));
    }
    let Some(parsed) = json::parse(&text) else {
        let may_be_cut = text.trim_start().starts_with(['{', '[']) || text.trim().is_empty();
        return Err(match may_be_cut {
            true => Unusable::NotJson,
            false => Unusable::NoReply(beginning(&text)),
        });
    };
    let mut values = parsed.values;
    let is_chunk = |value: &Value| value.pointer("/choices/0/delta").is_some();
    if values.len() > 1 && values.iter().any(is_chunk) {
        return from_stream(stream::merge(values));
    }
    match values.swap_remove(0) {
        // Encoded once more, as some functions in the cloud return it.
        Value::String(inner) if inner.trim_start().starts_with('{') => decode(inner.as_bytes()),
        value => of_value(value, parsed.mended),
    }
}

fn from_stream(merged: stream::Merged) -> Result<Reply, Unusable> {
    if !merged.ended {
        // What came before an error, or before the end of the connection, is part of a response.
        return Err(match is_given(merged.reply.get("error")) {
            true => Unusable::Error(merged.reply),
            false => Unusable::StreamCut,
        });
    }
    let reply = of_value(merged.reply, merged.mended)?;
    Ok(Reply {
        streamed: true,
        ..reply
    })
}

fn of_value(mut reply: Value, mended: bool) -> Result<Reply, Unusable> {
    let usage = usage::read(&reply);
    if ["choices", "usage"]
        .iter()
        .all(|name| reply.get(*name).is_none())
        && !is_error(&reply)
    {
        return Err(Unusable::NoReply(beginning(&reply.to_string())));
    }
    let mut choices = match reply.get_mut("choices").map(Value::take) {
        Some(Value::Array(choices)) => choices,
        _ => Vec::new(),
    };
    choices.sort_by_key(|choice| choice.get("index").and_then(Value::as_u64));
    let mut responses = Vec::new();
    let mut interrupted = None;
    let mut failed = None;
    for choice in choices {
        match choice::read(&choice) {
            Read::Response(response) => responses.push(response),
            Read::Interrupted(word) => interrupted = Some(word),
            Read::Failed if is_given(choice.get("error")) => failed = Some(choice),
            Read::Failed => {}
        }
    }
    if !responses.is_empty() {
        return Ok(Reply {
            choices: responses,
            usage,
            mended,
            streamed: false,
        });
    }
    Err(match (failed, interrupted) {
        (Some(choice), _) => Unusable::Error(choice),
        (None, Some(word)) => Unusable::Interrupted(word),
        (None, None) if is_error(&reply) => Unusable::Error(reply),
        (None, None) => Unusable::NoChoices,
    })
}

/// Whether JSON without a response is an error: under its usual name, or by what it says.
fn is_error(reply: &Value) -> bool {
    let says = |name: &str| is_given(reply.get(name));
    says("error")
        || reply.get("object") == Some(&json!("error"))
        || says("detail")
        || says("errors")
        || (says("message") && reply.get("choices").is_none())
}

/// The most characters of an answer that are shown.
const MOST_SHOWN: usize = 80;

fn beginning(text: &str) -> String {
    text.chars().take(MOST_SHOWN).collect()
}

/// The title of a page for people, if a text is one; empty where it has none.
pub(crate) fn page_title(text: &str) -> Option<String> {
    let text = text.trim_start();
    if !text.starts_with('<') {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|start| {
        let start = start + lower[start..].find('>')? + 1;
        let end = start + lower[start..].find("</title")?;
        Some(text[start..end].trim().to_owned())
    });
    Some(title.unwrap_or_default())
}

#[cfg(test)]
mod tests;
