//! Answers in the shape of OpenAI's, whole or broken on purpose.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::recordings::Recordings;
use crate::refusal::Refusal;
use crate::replay::ReplayedAnswer;
use crate::request::{DEFAULT_MAX_TOKENS, Generation, MAX_N, MAX_STOP_STRINGS, Surface};

/// `created` of every answer: the day of the recording, 2026-11-23, in Unix seconds.
const RECORDED_AT: u64 = 1_795_392_000;

/// What `usage` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageShown {
    True,
    /// Completion tokens of the first choice alone.
    FirstChoice,
    Null,
}

/// The body of an answer.
pub(crate) fn body(
    surface: Surface,
    request: &Generation,
    answer: &ReplayedAnswer,
    usage: UsageShown,
) -> Value {
    let choices: Vec<Value> = answer
        .cuts
        .iter()
        .enumerate()
        .map(|(index, cut)| {
            let finish_reason = cut.finish_reason.as_str();
            match surface {
                Surface::Completions => {
                    json!({"index": index, "text": cut.text, "logprobs": null, "finish_reason": finish_reason})
                }
                Surface::Chat => {
                    let message = json!({"role": "assistant", "content": cut.text, "refusal": null});
                    json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish_reason})
                }
            }
        })
        .collect();
    let completion_tokens = match usage {
        UsageShown::True => Some(answer.completion_tokens()),
        UsageShown::FirstChoice => answer
            .cuts
            .first()
            .map(|cut| u64::from(cut.completion_tokens)),
        UsageShown::Null => None,
    };
    let usage = completion_tokens.map(|completion_tokens| {
        json!({
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": answer.prompt_tokens + completion_tokens,
        })
    });
    let (prefix, object) = match surface {
        Surface::Completions => ("cmpl", "text_completion"),
        Surface::Chat => ("chatcmpl", "chat.completion"),
    };
    let choices = Value::Array(choices);
    let digest = Sha256::new()
        .chain_update(&request.prompt)
        .chain_update(choices.to_string())
        .finalize();
    let id: String = digest
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({
        "id": format!("{prefix}-{id}"),
        "object": object,
        "created": RECORDED_AT,
        "model": request.model,
        "choices": choices,
        "usage": usage,
    })
}

/// `GET /v1/models`.
pub(crate) fn models(recordings: &Recordings) -> Value {
    let models: Vec<Value> = recordings
        .all_models()
        .into_iter()
        .map(|id| json!({"id": id, "object": "model", "created": RECORDED_AT, "owned_by": "frugal-simulator"}))
        .collect();
    json!({"object": "list", "data": models})
}

/// `GET /v1/recordings`: what there is to replay.
pub(crate) fn recordings(recordings: &Recordings) -> Value {
    let tasks: Vec<Value> = recordings
        .tasks()
        .into_iter()
        .map(|task| {
            let prompts: Vec<Value> = recordings
                .prompts(task)
                .iter()
                .map(|prompt| {
                    let temperatures: serde_json::Map<String, Value> = recordings
                        .models(task)
                        .into_iter()
                        .map(|model| (model.to_owned(), json!(recordings.temperatures(task, model, &prompt.name))))
                        .collect();
                    json!({"name": prompt.name, "template": prompt.template, "temperatures": temperatures})
                })
                .collect();
            json!({"task": task, "models": recordings.models(task), "prompts": prompts, "instances": recordings.instances(task)})
        })
        .collect();
    json!({
        "object": "list",
        "data": tasks,
        "limits": {
            "max_tokens": recordings.max_tokens(),
            "default_max_tokens": DEFAULT_MAX_TOKENS,
            "n": MAX_N,
            "stop_strings": MAX_STOP_STRINGS,
        },
        "always_stops_at": recordings.stop(),
    })
}

/// A page such as a proxy sends, with status 200.
pub(crate) fn html() -> Response {
    let page = "<!DOCTYPE html><html><head><title>Please wait</title></head><body><h1>Please wait</h1></body></html>";
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// An error object under status 200.
pub(crate) fn error_inside() -> Response {
    let refusal = Refusal::new(
        500,
        "server_error",
        None,
        "The upstream provider failed to answer.",
    );
    axum::Json(refusal.body()).into_response()
}

/// Status 200 and a body that HTTP takes for whole and that ends in the middle of its JSON.
pub(crate) fn truncated(body: &Value) -> Response {
    let mut bytes = body.to_string().into_bytes();
    bytes.truncate(bytes.len() / 2);
    json_response(Body::from(bytes))
}

/// Status 200, the whole body's length, half of the body, and then the connection closes.
pub(crate) fn closed(body: &Value) -> Response {
    let bytes = Bytes::from(body.to_string());
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
    let mut response = json_response(Body::from_stream(pieces));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    response
}

fn json_response(body: Body) -> Response {
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, "application/json")],
        body,
    )
        .into_response()
}
