//! Answers in the shape of OpenAI's, whole or broken on purpose.

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::recordings::Recordings;
use crate::refusal::Refusal;
use crate::replay::ReplayedAnswer;
use crate::request::{DEFAULT_MAX_TOKENS, Generation, MAX_N, MAX_STOP_STRINGS, Surface};
use crate::statistics::Statistics;

/// `created` of every answer: the day of the recording, 2026-11-23, in Unix seconds.
const RECORDED_AT: u64 = 1_795_392_000;

/// What `usage` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageShown {
    True,
    /// Completion tokens of the first choice alone.
    FirstChoice,
    Null,
    /// No field at all.
    Absent,
    /// More completion tokens than allowed, and a total of none.
    Impossible,
    /// As many reasoning tokens again, in the details and the total alone.
    ReasoningApart,
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
        UsageShown::True | UsageShown::ReasoningApart => Some(answer.completion_tokens()),
        UsageShown::Impossible => Some(1000 * u64::from(request.n) * u64::from(request.max_tokens)),
        UsageShown::FirstChoice => answer
            .cuts
            .first()
            .map(|cut| u64::from(cut.completion_tokens)),
        UsageShown::Null | UsageShown::Absent => None,
    };
    let counts = completion_tokens.map(|completion_tokens| {
        json!({
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": answer.prompt_tokens + completion_tokens,
        })
    });
    let mut counts = counts.unwrap_or_default();
    match usage {
        UsageShown::Impossible => counts["total_tokens"] = json!(0),
        UsageShown::ReasoningApart => {
            let tokens = answer.completion_tokens();
            counts["completion_tokens_details"] = json!({"reasoning_tokens": tokens});
            counts["total_tokens"] = json!(answer.prompt_tokens + 2 * tokens);
        }
        _ => {}
    }
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
    let mut body = json!({
        "id": format!("{prefix}-{id}"),
        "object": object,
        "created": RECORDED_AT,
        "model": request.model,
        "choices": choices,
    });
    if usage != UsageShown::Absent {
        body["usage"] = counts;
    }
    body
}

/// Puts another reason, or null, into every choice.
pub(crate) fn set_finish_reason(body: &mut Value, reason: Option<&str>) {
    for choice in body["choices"].as_array_mut().into_iter().flatten() {
        choice["finish_reason"] = json!(reason);
    }
}

/// `GET /stats`: the statistics, with what is billed of each model.
pub(crate) fn statistics(statistics: &Statistics) -> Value {
    let mut body = json!(statistics);
    for (name, model) in &statistics.models {
        body["models"][name]["billed"] = json!(model.billed());
    }
    body["billed"] = json!(statistics.billed());
    body
}

/// `GET /v1/models`.
pub(crate) fn models(models: &[&str]) -> Value {
    let models: Vec<Value> = models
        .iter()
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
    page("Please wait").into_response()
}

/// Status 502 and the page of a proxy.
pub(crate) fn bad_gateway() -> Response {
    (StatusCode::BAD_GATEWAY, page("502 Bad Gateway")).into_response()
}

fn page(title: &str) -> impl IntoResponse {
    let text = format!(
        "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    );
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text)
}

/// A body that breaks at once, for a connection that is reset.
pub(crate) fn broken() -> Response {
    let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(stream::iter([Err::<Bytes, _>(error)])).into_response()
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
