//! What a model turns out to take is known to later jobs, in other processes too, and told.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use frugal_domain::id::JobId;
use frugal_store::jobs;
use frugal_tests::client::ApiClient;
use frugal_tests::postgres::TestDatabase;
use frugal_tests::processes::Setting;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const MOST: u64 = 4;

/// A model that gives no more than so many responses at once; how often it had to say so.
async fn answer(State(refusals): State<Arc<AtomicU64>>, Json(body): Json<Value>) -> Response {
    let n = body["n"].as_u64().unwrap_or(1);
    if n > MOST {
        refusals.fetch_add(1, Ordering::Relaxed);
        let error = json!({"error": {
            "message": format!("n must be at most {MOST}"),
            "type": "invalid_request_error",
            "param": "n"
        }});
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    }
    let choice = |index| {
        json!({
            "index": index,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "The answer is 4."}
        })
    };
    Json(json!({
        "choices": (0..n).map(choice).collect::<Vec<_>>(),
        "usage": {"prompt_tokens": 12, "completion_tokens": 6 * n, "total_tokens": 12 + 6 * n}
    }))
    .into_response()
}

fn job(seed: u64) -> Value {
    let rows: Vec<Value> = (0..4)
        .map(|row| json!({"question": format!("{row} + {}", 4 - row), "answer": "4"}))
        .collect();
    json!({
        "data": {"instances": rows},
        "model": {"endpoint": "local", "model": "m"},
        "prompt": "Q: {{ question }}\nA:",
        "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 16, "n": 8},
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
        "budgets": {"optimization": {"usd": 0.01}},
        "limits": {"trials": 3},
        "search": {"seed": seed, "parallel_trials": 1, "requests_in_flight": 1}
    })
}

#[tokio::test]
async fn what_one_job_finds_out_the_next_one_knows() {
    let refusals = Arc::new(AtomicU64::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/v1/chat/completions", post(answer))
        .with_state(Arc::clone(&refusals));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let database = TestDatabase::create().await;
    let setting = Setting {
        endpoints: format!(
            "[endpoints.local]\nbase_url = \"http://{address}/v1\"\n\
             [endpoints.local.models.m]\ninput_usd_per_million = 1\noutput_usd_per_million = 2\n"
        ),
        ..Setting::local(database.url(), "")
    };
    let pool = frugal_store::connect(database.url(), 2).unwrap();
    let mut begun_with = Vec::new();
    for seed in [1, 2] {
        let (server, url) = setting.serve(1).await;
        let api = ApiClient::new(&url);
        let path = api.submit(&job(seed)).await;
        api.follow(&path, None).await;
        assert_eq!(api.json(&path).await["state"], "succeeded");
        let id: JobId = path.rsplit('/').next().unwrap().parse().unwrap();
        let mut connection = pool.acquire().await.unwrap();
        begun_with.push(jobs::most_per_request(&mut connection, id).await.unwrap());
        // What it saw last is told when it stops.
        assert!(server.stop().await);
    }
    assert_eq!(begun_with, [Some(vec![None]), Some(vec![Some(4)])]);
    // Nobody had to be refused again, in a process that was told of it.
    assert_eq!(refusals.load(Ordering::Relaxed), 1);

    let (server, url) = setting.serve(0).await;
    let endpoint = ApiClient::new(&url).json("/endpoints/local").await;
    let model = &endpoint["models"][0];
    assert_eq!(model["max_n"], MOST);
    assert!(model["abilities_found_at"].is_string(), "{model}");
    let health = &model["health"];
    assert!(health["answered"].as_u64() > Some(20), "{health}");
    assert_eq!(
        (&health["refused"], &health["failed"]),
        (&json!(0), &json!(0))
    );
    assert!(health["last_success_at"].is_string(), "{health}");
    assert_eq!(health["outage"], Value::Null);
    assert!(server.stop().await);
    pool.close().await;
    database.drop().await;
}
