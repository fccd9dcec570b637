//! Asks an endpoint without a socket.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use frugal_simulator::{CellKey, Endpoint, RecordedResponse, Recordings, SimulatorOptions};
use serde_json::{Map, Value, json};
use tower::ServiceExt;

pub const COMPLETIONS: &str = "/v1/completions";
pub const CHAT: &str = "/v1/chat/completions";
pub const GEMMA: &str = "gemma-3-270m";

/// The cell that most tests ask.
pub const CELL: CellKey<'static> = CellKey {
    task: "arithmetic",
    model: GEMMA,
    prompt: "cot",
    instance: "arith-0",
};

pub fn endpoint(options: SimulatorOptions) -> Endpoint {
    Endpoint::new(Recordings::embedded().unwrap(), options).unwrap()
}

pub fn prompt_of(key: &CellKey<'_>) -> String {
    Recordings::embedded()
        .unwrap()
        .render(key.task, key.prompt, key.instance)
        .unwrap()
}

/// A completions request to a cell, with further fields (which replace the cell's).
pub fn request_to(key: &CellKey<'_>, further: Value) -> Value {
    let mut request = json!({"model": key.model, "prompt": prompt_of(key)});
    let Value::Object(further) = further else {
        panic!("not an object: {further}")
    };
    request.as_object_mut().unwrap().extend(further);
    request
}

pub fn request(further: Value) -> Value {
    request_to(&CELL, further)
}

/// A chat request with these messages and further fields.
pub fn chat(messages: Value, further: Value) -> Value {
    let mut request = Map::from_iter([
        ("model".to_owned(), json!(GEMMA)),
        ("messages".to_owned(), messages),
    ]);
    request.extend(further.as_object().unwrap().clone());
    Value::Object(request)
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// What could be read of the body.
    pub text: String,
    /// Whether the body ended as HTTP says.
    pub whole: bool,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The texts of the choices, in order.
    pub fn texts(&self) -> Vec<String> {
        let body = self.json();
        let choices = body["choices"]
            .as_array()
            .unwrap_or_else(|| panic!("no choices: {body}"));
        let text = |choice: &Value| {
            choice
                .get("text")
                .unwrap_or(&choice["message"]["content"])
                .as_str()
                .unwrap()
                .to_owned()
        };
        choices.iter().map(text).collect()
    }

    /// Status, code and param of an error.
    pub fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{error}"
        );
        assert!(error["type"].is_string(), "{error}");
        let word = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), word("code"), word("param"))
    }
}

pub async fn send(endpoint: &Endpoint, request: Request<Body>) -> Reply {
    let response = endpoint.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await;
    Reply {
        status: parts.status,
        headers: parts.headers,
        whole: body.is_ok(),
        text: String::from_utf8(body.unwrap_or_default().to_vec()).unwrap(),
    }
}

pub async fn post_text(endpoint: &Endpoint, path: &str, body: &str) -> Reply {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()));
    send(endpoint, request.unwrap()).await
}

pub async fn post(endpoint: &Endpoint, path: &str, body: &Value) -> Reply {
    post_text(endpoint, path, &body.to_string()).await
}

pub async fn get(endpoint: &Endpoint, path: &str) -> Reply {
    send(endpoint, Request::get(path).body(Body::empty()).unwrap()).await
}

/// How often each text was recorded.
pub fn tally<'a>(
    responses: impl IntoIterator<Item = &'a RecordedResponse>,
) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for response in responses {
        *counts.entry(response.text.as_str()).or_default() += 1;
    }
    counts
}
