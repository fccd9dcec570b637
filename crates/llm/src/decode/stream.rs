//! Streams of events where a whole reply was asked for: some gateways answer with nothing else.

use super::choice;
use super::json;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a stream said in all.
#[derive(Debug, PartialEq)]
pub(crate) struct Merged {
    /// As a reply that came whole would have said it.
    pub(crate) reply: Value,
    /// Whether something had to be put right.
    pub(crate) mended: bool,
    /// Whether it came to its end: by its mark, or by a reason to end for every response.
    pub(crate) ended: bool,
}

/// Whether a text is a stream of events.
pub(crate) fn is_stream(text: &str) -> bool {
    let first = text.trim_start();
    ["data:", "event:", "id:", "retry:", ":"]
        .iter()
        .any(|field| first.starts_with(field))
}

/// Reads a stream of events and puts its chunks together. An event that is no JSON is left out.
pub(crate) fn read(text: &str) -> Merged {
    let mut chunks = Vec::new();
    let mut mended = false;
    let mut marked = false;
    for event in events(text) {
        if event.trim() == "[DONE]" {
            marked = true;
            break;
        }
        if let Some(parsed) = json::parse(&event) {
            mended |= parsed.mended;
            chunks.extend(parsed.values);
        }
    }
    let merged = merge(chunks);
    Merged {
        mended,
        ended: marked || merged.ended,
        ..merged
    }
}

/// The data of each event, its lines joined.
fn events(text: &str) -> Vec<String> {
    let mut events = Vec::new();
    let mut data: Option<String> = None;
    for line in text.lines().chain([""]) {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            events.extend(data.take());
        } else if let Some(rest) = line.strip_prefix("data:") {
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            // Servers that forget the empty line between events write one object a line.
            let whole = |data: &String| data == "[DONE]" || json::parse(data).is_some();
            if data.as_ref().is_some_and(whole) {
                events.extend(data.take());
            }
            match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(rest);
                }
                None => data = Some(rest.to_owned()),
            }
        }
    }
    events
}

/// One response so far.
#[derive(Default)]
struct Gathered {
    text: String,
    reasoning: String,
    refusal: String,
    /// A whole message, where the stream ends with one.
    message: Option<Value>,
    finish_reason: Value,
}

/// Puts chunks together: texts in their order, the last reason to end, the last usage.
pub(crate) fn merge(chunks: Vec<Value>) -> Merged {
    let mut responses: BTreeMap<u64, Gathered> = BTreeMap::new();
    let mut reply = Map::new();
    for mut chunk in chunks {
        if let Some(error) = chunk.get_mut("error").map(Value::take)
            && !error.is_null()
        {
            reply.insert("error".to_owned(), error);
        }
        let usage = chunk
            .pointer("/x_groq/usage")
            .or_else(|| chunk.get("usage"));
        if let Some(usage) = usage.filter(|usage| usage.is_object()) {
            reply.insert("usage".to_owned(), usage.clone());
        }
        let Some(Value::Array(choices)) = chunk.get_mut("choices").map(Value::take) else {
            continue;
        };
        for (position, mut part) in (0..).zip(choices) {
            let index = part
                .get("index")
                .and_then(Value::as_u64)
                .unwrap_or(position);
            let gathered = responses.entry(index).or_default();
            if let Some(usage) = part.get("usage").filter(|usage| usage.is_object()) {
                reply.insert("usage".to_owned(), usage.clone());
            }
            if let Some(delta) = part.get("delta") {
                let said = choice::texts(delta);
                gathered.text.push_str(&said.content);
                gathered.reasoning.push_str(&said.reasoning);
                gathered.refusal.push_str(&said.refusal);
            }
            if let Some(text) = part.get("text").and_then(Value::as_str) {
                gathered.text.push_str(text);
            }
            if let Some(message) = part.get_mut("message").map(Value::take)
                && message.is_object()
            {
                gathered.message = Some(message);
            }
            if let Some(reason) = part.get_mut("finish_reason").map(Value::take)
                && !reason.is_null()
            {
                gathered.finish_reason = reason;
            }
        }
    }
    let ended = !responses.is_empty()
        && responses
            .values()
            .all(|response| !response.finish_reason.is_null());
    let choices: Vec<Value> = responses
        .into_iter()
        .map(|(index, response)| {
            let said = response.text.is_empty() && response.refusal.is_empty();
            let message = response.message.filter(|_| said).unwrap_or_else(|| {
                serde_json::json!({
                    "content": response.text,
                    "reasoning_content": response.reasoning,
                    "refusal": response.refusal,
                })
            });
            serde_json::json!({"index": index, "message": message, "finish_reason": response.finish_reason})
        })
        .collect();
    reply.insert("choices".to_owned(), Value::Array(choices));
    Merged {
        reply: Value::Object(reply),
        mended: false,
        ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together() {
        let text = ": comment\r\n\r\nevent: message\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n\
            data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},\"finish_reason\":null},{\"index\":0,\"delta\":{\"content\":\"a\",\"reasoning_content\":\"r\"}}]}\r\n\r\n\
            data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":null}\r\n\r\n\
            data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"length\"}]}\r\n\r\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\r\n\r\ndata: [DONE]\r\n\r\n";
        assert!(is_stream(text));
        let merged = read(text);
        assert!(merged.ended && !merged.mended);
        assert_eq!(
            merged.reply,
            serde_json::json!({
                "choices": [
                    {"index": 0, "message": {"content": "aa", "reasoning_content": "r", "refusal": ""}, "finish_reason": "stop"},
                    {"index": 1, "message": {"content": "b", "reasoning_content": "", "refusal": ""}, "finish_reason": "length"}
                ],
                "usage": {"prompt_tokens": 3}
            })
        );
    }

    #[test]
    fn streams_of_texts_without_empty_lines_and_of_whole_messages_are_read() {
        let texts = "data: {\"choices\":[{\"text\":\"on\"}]}\ndata: {\"choices\":[{\"text\":\"e\",\"finish_reason\":\"stop\"}]}\ndata: [DONE]\n";
        let merged = read(texts);
        assert_eq!(merged.reply["choices"][0]["message"]["content"], "one");
        assert!(merged.ended);
        let whole =
            "data:{\"choices\":[{\"message\":{\"content\":\"one\"},\"finish_reason\":\"stop\"}]}";
        assert_eq!(read(whole).reply["choices"][0]["message"]["content"], "one");
    }

    #[test]
    fn a_stream_that_breaks_off_has_not_ended() {
        let text =
            "data: {\"choices\":[{\"delta\":{\"content\":\"on\"}}]}\n\ndata: {\"choices\":[{\"de";
        assert!(!read(text).ended);
        assert!(!read("data: {\"error\": {\"message\": \"busy\"}}\n\n").ended);
        assert!(!is_stream("{\"choices\": []}"));
    }
}
