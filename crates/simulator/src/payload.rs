//! The bytes of an answer, in one piece or as an event stream, whole or broken on purpose.

use std::io::Write as _;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use serde_json::{Value, json};

use crate::request::{Streaming, Surface};

/// Stands for the half of a surrogate pair, which no string of ours can hold. Of the private use
/// area: no recorded text has it.
const SURROGATE_PLACE: char = '\u{f8ff}';

/// What is sent with status 200.
pub(crate) struct Payload {
    content_type: &'static str,
    text: String,
}

impl Payload {
    /// The answer in one piece.
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            content_type: "application/json",
            text: body.to_string(),
        }
    }

    /// The answer as chunks: of each choice its role first (in chat), then word after word, then why
    /// it ended. The choices take turns.
    pub(crate) fn event_stream(surface: Surface, body: &Value, streaming: Streaming) -> Self {
        let mut chunks = Vec::new();
        let choices = body["choices"].as_array().map_or(&[][..], Vec::as_slice);
        let pieces: Vec<Vec<Value>> = choices
            .iter()
            .map(|choice| pieces(surface, choice))
            .collect();
        let longest = pieces.iter().map(Vec::len).max().unwrap_or(0);
        for turn in 0..longest {
            for piece in pieces.iter().filter_map(|pieces| pieces.get(turn)) {
                chunks.push(chunk(surface, body, json!([piece])));
            }
        }
        if streaming.include_usage {
            for chunk in &mut chunks {
                chunk["usage"] = Value::Null;
            }
            if let Some(usage) = body.get("usage") {
                let mut last = chunk(surface, body, json!([]));
                last["usage"] = usage.clone();
                chunks.push(last);
            }
        }
        let mut text: String = chunks
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n"))
            .collect();
        text.push_str("data: [DONE]\n\n");
        Self {
            content_type: "text/event-stream",
            text,
        }
    }

    /// The same with the first half of a surrogate pair where [`mark_surrogates`] has marked it.
    #[must_use]
    pub(crate) fn with_surrogates(self) -> Self {
        Self {
            text: self.text.replace(SURROGATE_PLACE, "\\ud83d"),
            ..self
        }
    }

    /// All of it.
    pub(crate) fn whole(self) -> Response {
        let bytes = Bytes::from(self.text);
        response(self.content_type, Body::from(bytes))
    }

    /// A body that HTTP takes for whole and that ends in the middle.
    pub(crate) fn truncated(self) -> Response {
        let bytes = Bytes::from(self.text);
        let half = bytes.slice(..bytes.len() / 2);
        response(self.content_type, Body::from(half))
    }

    /// The whole body's length, half of the body, and then the connection closes.
    pub(crate) fn closed(self) -> Response {
        let bytes = Bytes::from(self.text);
        let half = bytes.slice(..bytes.len() / 2);
        let pieces = stream::unfold(Some(half), |half| async move {
            match half {
                Some(half) => Some((Ok(half), None)),
                None => {
                    // Lets the server flush the half before it learns of the end.
                    tokio::task::yield_now().await;
                    Some((
                        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted)),
                        None,
                    ))
                }
            }
        });
        let mut response = response(self.content_type, Body::from_stream(pieces));
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        response
    }

    /// All of it, gzipped.
    pub(crate) fn gzip(self) -> Response {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let encoded = encoder
            .write_all(self.text.as_bytes())
            .and_then(|()| encoder.finish());
        let Ok(bytes) = encoded else {
            // Writing to memory does not fail.
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut response = response(self.content_type, Body::from(bytes));
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    }
}

/// Marks the end of each choice's text as the place of half a surrogate pair.
pub(crate) fn mark_surrogates(body: &mut Value) {
    for choice in body["choices"].as_array_mut().into_iter().flatten() {
        let text = match choice.get_mut("message") {
            Some(message) => &mut message["content"],
            None => &mut choice["text"],
        };
        if let Value::String(text) = text {
            text.push(SURROGATE_PLACE);
        }
    }
}

/// The choices of the chunks that one choice is sent in.
fn pieces(surface: Surface, choice: &Value) -> Vec<Value> {
    let part = |what: Value, reason: &Value| {
        let name = match surface {
            Surface::Completions => "text",
            Surface::Chat => "delta",
        };
        json!({"index": choice["index"], name: what, "logprobs": null, "finish_reason": reason})
    };
    let text = match surface {
        Surface::Completions => &choice["text"],
        Surface::Chat => &choice["message"]["content"],
    };
    let words = text.as_str().unwrap_or_default().split_inclusive(' ');
    let reason = &choice["finish_reason"];
    let mut pieces = Vec::new();
    match surface {
        Surface::Completions => {
            pieces.extend(words.map(|word| part(json!(word), &Value::Null)));
            pieces.push(part(json!(""), reason));
        }
        Surface::Chat => {
            let role = json!({"role": "assistant", "content": "", "refusal": null});
            pieces.push(part(role, &Value::Null));
            pieces.extend(words.map(|word| part(json!({"content": word}), &Value::Null)));
            pieces.push(part(json!({}), reason));
        }
    }
    pieces
}

/// A chunk of an answer with these choices.
fn chunk(surface: Surface, body: &Value, choices: Value) -> Value {
    let object = match surface {
        Surface::Completions => "text_completion",
        Surface::Chat => "chat.completion.chunk",
    };
    json!({
        "id": body["id"],
        "object": object,
        "created": body["created"],
        "model": body["model"],
        "choices": choices,
    })
}

fn response(content_type: &'static str, body: Body) -> Response {
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}
