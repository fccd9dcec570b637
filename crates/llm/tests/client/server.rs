//! A server that answers from a script and remembers what it was asked.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use frugal_domain::endpoint::{Api, Endpoint, Limits};
use frugal_llm::{ApiKey, Backoff, Client, CompletionRequest, PromptInput};
use futures::stream;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with one request.
pub enum Turn {
    /// Answers with a status and a JSON body.
    Json(u16, Value),
    /// Answers with a status, a header and any body.
    With(u16, (&'static str, &'static str), &'static str),
    /// Answers with a status, headers and any bytes.
    Bytes(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Begins to answer with status 200 and breaks the connection.
    Cut(&'static str),
    /// Never answers.
    Silence,
    /// Answers with status 200 and endless bytes.
    Flood,
}

/// What the server was asked.
#[derive(Clone)]
pub struct Asked {
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: Value,
}

/// What a server does with a request, by what it is asked.
type Rule = dyn Fn(&Asked) -> Turn + Send + Sync;

#[derive(Clone, Default)]
struct Script {
    turns: Arc<Mutex<VecDeque<Turn>>>,
    rule: Option<Arc<Rule>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

pub struct Server {
    pub base_url: String,
    script: Script,
}

impl Server {
    /// A server that takes these turns, one per request, and answers 418 after them.
    pub async fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        let script = Script {
            turns: Arc::new(Mutex::new(turns.into_iter().collect())),
            ..Script::default()
        };
        Self::of(script).await
    }

    /// A server that goes by a rule.
    pub async fn by_rule(rule: impl Fn(&Asked) -> Turn + Send + Sync + 'static) -> Self {
        let script = Script {
            rule: Some(Arc::new(rule)),
            ..Script::default()
        };
        Self::of(script).await
    }

    async fn of(script: Script) -> Self {
        let router = Router::new().fallback(answer).with_state(script.clone());
        let base_url = serve(router).await;
        Self { base_url, script }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }

    pub fn client(&self) -> Client {
        client(&endpoint(&self.base_url), None)
    }
}

/// Serves a router on loopback until the test ends and gives its base URL.
pub async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}/v1")
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let asked = Asked {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap(),
    };
    script.asked.lock().unwrap().push(asked.clone());
    let turn = match &script.rule {
        Some(rule) => Some(rule(&asked)),
        None => script.turns.lock().unwrap().pop_front(),
    };
    let status = |status| StatusCode::from_u16(status).unwrap();
    match turn {
        Some(Turn::Json(code, body)) => (status(code), axum::Json(body)).into_response(),
        Some(Turn::With(code, header, body)) => (status(code), [header], body).into_response(),
        Some(Turn::Bytes(code, headers, body)) => {
            let mut response = (status(code), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Some(Turn::Cut(beginning)) => {
            let broken = Err(std::io::Error::other("broken on purpose"));
            let parts = [Ok(Bytes::from_static(beginning.as_bytes())), broken];
            Body::from_stream(stream::iter(parts)).into_response()
        }
        Some(Turn::Silence) => std::future::pending().await,
        Some(Turn::Flood) => {
            let block = Bytes::from(vec![b' '; 1024 * 1024]);
            let blocks = stream::repeat_with(move || Ok::<_, std::io::Error>(block.clone()));
            Body::from_stream(blocks).into_response()
        }
        None => StatusCode::IM_A_TEAPOT.into_response(),
    }
}

pub fn endpoint(base_url: &str) -> Endpoint {
    Endpoint {
        base_url: base_url.to_owned(),
        api: Api::Completions,
        limits: Limits {
            max_attempts: 3,
            ..Limits::default()
        },
        allow_unlisted_models: true,
        ..Endpoint::default()
    }
}

/// A client that does not wait between attempts.
pub fn client(endpoint: &Endpoint, key: Option<&str>) -> Client {
    let at_once = Backoff {
        base: Duration::ZERO,
        most: Duration::ZERO,
        most_asked_for: Duration::ZERO,
    };
    let key = key.map(|key| ApiKey::new(key).unwrap());
    Client::with_backoff("test", endpoint, key.into(), at_once, 1).unwrap()
}

pub fn request(n: u32) -> CompletionRequest {
    CompletionRequest {
        model: "m".to_owned(),
        prompt: PromptInput::Text("hello world".to_owned()),
        n,
        max_tokens: 16,
        temperature: None,
        top_p: None,
        stop: Vec::new(),
        seed: None,
        extra: BTreeMap::new(),
    }
}

/// A completion of these texts, with a usage.
pub fn completed(texts: &[&str], prompt_tokens: u64, completion_tokens: u64) -> Turn {
    let choices: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"index": index, "text": text, "finish_reason": "stop"}))
        .collect();
    let usage = json!({"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens});
    Turn::Json(200, json!({"choices": choices, "usage": usage}))
}
