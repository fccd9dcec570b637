//! The HTTP API on real PostgreSQL, without a worker: jobs stay queued unless a test drives them
//! through the store. The client holds every answer against openapi.yaml.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails like an assertion"
)]

mod all_events;
mod bodies;
mod connections;
mod creation;
mod dashboard;
mod datasets;
mod endpoints;
mod enqueued;
mod estimate;
mod evaluations;
mod events;
mod export;
mod guard;
mod idempotency;
mod keys;
mod life;
mod lists;
mod polling;
mod problems;
mod service;
mod steering;
mod streams;
mod trials;
mod validation;
mod webhooks;

use chrono::Utc;
use frugal_domain::endpoint::Catalog;
use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use frugal_domain::state::{JobState, StopReason};
use frugal_store::events as event_log;
use frugal_store::queue::{self, Claim, Claimant, End};
use frugal_tests::app::TestApp;
use reqwest::Response;
use serde_json::{Value, json};

/// One endpoint, `local`, with a model `m` that has a price and a model `free` that has none.
fn catalog() -> Catalog {
    let catalog = json!({"endpoints": {"local": {
        "base_url": "http://127.0.0.1:1/v1",
        "models": {
            "m": {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0},
            "free": {}
        }
    }}});
    serde_json::from_value(catalog).unwrap()
}

/// A small job that is accepted.
fn job() -> Value {
    json!({
        "name": "sums",
        "labels": {"team": "search"},
        "data": {"instances": [
            {"id": "a", "question": "2 + 2", "answer": "4"},
            {"id": "b", "question": "3 + 4", "answer": "7"}
        ]},
        "model": {"endpoint": "local", "model": "m"},
        "prompt": "What is {{ question }}?",
        "search_space": {
            "temperature": {"float": [0, 1]},
            "n": {"int": [1, 8], "scale": "log"},
            "max_tokens": 64
        },
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
        "budgets": {"inference": {"usd": 0.001}, "optimization": {"usd": 0.25}}
    })
}

async fn start() -> TestApp {
    TestApp::start(catalog()).await
}

/// The JSON of an answer, which must have this status.
async fn body(response: Response, status: u16) -> Value {
    let found = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(found.as_u16(), status, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A header of an answer, as text.
fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

/// The job that a path names.
fn id(path: &str) -> JobId {
    path.strip_prefix("/jobs/").unwrap().parse().unwrap()
}

/// Writes events as a worker would.
async fn append(app: &TestApp, path: &str, bodies: &[EventBody]) -> i64 {
    let mut transaction = app.pool.begin().await.unwrap();
    let last = event_log::append(&mut transaction, id(path), bodies, Utc::now())
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    last
}

/// Takes the oldest job that waits, as a worker would.
async fn claim(app: &TestApp) -> Claim {
    let mut transaction = app.pool.begin().await.unwrap();
    let claimant = Claimant::new("test", 600);
    let claimed = queue::claim(&mut transaction, &claimant, Utc::now())
        .await
        .unwrap()
        .unwrap();
    transaction.commit().await.unwrap();
    let mut connection = app.pool.acquire().await.unwrap();
    let told = event_log::tell(&mut connection, claimed.claim.job).await;
    told.unwrap();
    claimed.claim
}

/// Ends a job, as a worker would.
async fn finish(app: &TestApp, claim: Claim, end: &End) {
    let mut transaction = app.pool.begin().await.unwrap();
    queue::finish(&mut transaction, claim, end, Utc::now())
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

/// A good end, with this report.
fn success(report: Option<Value>) -> End {
    End {
        state: JobState::Succeeded,
        stop_reason: StopReason::TrialLimit,
        detail: None,
        report,
        event: EventBody::JobSucceeded {
            stop_reason: StopReason::TrialLimit,
        },
    }
}
