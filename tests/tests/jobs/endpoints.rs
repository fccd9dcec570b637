//! Jobs on endpoints that answer and refuse as real ones do, each from a public report: what they
//! bill is what is booked, and what ends a job says why.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use frugal_tests::client::ApiClient;
use frugal_tests::postgres::TestDatabase;
use frugal_tests::processes::{Frugal, Setting};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TEXT: &str = "The answer is 4.";
const PROMPT_TOKENS: u64 = 12;
const TOKENS: u64 = 6;

/// Requests and tokens billed, by case; and the window of the one that limits its rate.
#[derive(Clone, Default)]
struct Books(
    Arc<Mutex<BTreeMap<String, (u64, u64)>>>,
    Arc<Mutex<Option<(Instant, u64)>>>,
);

impl Books {
    /// Counts a request; how many there were of this case.
    fn count(&self, case: &str) -> u64 {
        let mut books = self.0.lock().unwrap();
        let (requests, _) = books.entry(case.to_owned()).or_default();
        *requests += 1;
        *requests
    }

    /// Whether a limit of three requests in half a second lets another one through.
    fn lets_through(&self) -> bool {
        let mut window = self.1.lock().unwrap();
        let (since, count) = window.get_or_insert((Instant::now(), 0));
        if since.elapsed() >= Duration::from_millis(500) {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        *count <= 3
    }

    fn bill(&self, case: &str, tokens: u64) {
        self.0.lock().unwrap().get_mut(case).unwrap().1 += tokens;
    }

    fn of(&self, case: &str) -> (u64, u64) {
        self.0
            .lock()
            .unwrap()
            .get(case)
            .copied()
            .unwrap_or_default()
    }
}

fn refused(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

/// A reply of one response.
fn reply(text: &str, finish_reason: Value, usage: Value) -> Response {
    axum::Json(json!({
        "id": "x",
        "choices": [{
            "index": 0,
            "finish_reason": finish_reason,
            "message": {"role": "assistant", "content": text}
        }],
        "usage": usage
    }))
    .into_response()
}

fn usage(completion_tokens: u64) -> Value {
    json!({
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": completion_tokens,
        "total_tokens": PROMPT_TOKENS + completion_tokens
    })
}

async fn answer(State(books): State<Books>, request: Request) -> Response {
    let case = request.uri().path().split('/').nth(1).unwrap().to_owned();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let count = books.count(&case);
    let is_second_row = body["messages"].to_string().contains("(row 2)");
    let cap = body["max_tokens"].as_u64().unwrap_or_default();
    let fine = || reply(TEXT, json!("stop"), usage(TOKENS));
    let (response, billed) = match case.as_str() {
        "reasoning_outside" => {
            let mut usage = usage(TOKENS);
            usage["total_tokens"] = json!(PROMPT_TOKENS + cap);
            (reply(TEXT, json!("stop"), usage), cap)
        }
        "finish_null" if cap < 20 => (reply("The", json!(null), usage(cap)), cap),
        "max_completion_tokens" if body.get("max_tokens").is_some() => {
            let error = json!({"error": {
                "message": "this model takes no max_tokens; send max_completion_tokens",
                "type": "invalid_request_error",
                "param": "max_tokens",
                "code": "unsupported_parameter"
            }});
            return refused(400, error);
        }
        "seed" if body.get("seed").is_some() => {
            let complaint = json!({"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"});
            return refused(422, json!({"detail": [complaint]}));
        }
        "status_498" if count % 3 == 0 => {
            let error = json!({"message": "no capacity just now", "type": "capacity_exceeded"});
            return refused(498, json!({"error": error}));
        }
        "row_too_long" if is_second_row => {
            let error = json!({
                "message": "the prompt has 1300 tokens and the context length is 512",
                "type": "invalid_request_error",
                "code": "context_length_exceeded"
            });
            return refused(400, json!({"error": error}));
        }
        "rate_window" if !books.lets_through() => {
            let error = json!({"message": "too many requests", "type": "rate_limit_error"});
            return refused(429, json!({"error": error}));
        }
        "gzip" => {
            let plain = json!({
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": TEXT}}],
                "usage": usage(TOKENS)
            });
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain.to_string().as_bytes()).unwrap();
            let body = encoder.finish().unwrap();
            (([(CONTENT_ENCODING, "gzip")], body).into_response(), TOKENS)
        }
        "event_stream" => {
            let chunk = json!({
                "object": "chat.completion.chunk",
                "choices": [{
                    "index": 0,
                    "delta": {"role": "assistant", "content": TEXT},
                    "finish_reason": "stop"
                }]
            });
            let body = format!("data: {chunk}\n\ndata: [DONE]\n\n");
            let answer = ([(CONTENT_TYPE, "text/event-stream")], body).into_response();
            (answer, TOKENS)
        }
        "impossible_usage" => {
            let usage = json!({"prompt_tokens": u32::MAX, "completion_tokens": u32::MAX});
            (reply(TEXT, json!("stop"), usage), TOKENS)
        }
        "row_403" if is_second_row => {
            let error = json!({
                "message": "the provider refused this input",
                "code": 403,
                "metadata": {"raw": "PERMISSION_DENIED", "provider_name": "P"}
            });
            return refused(403, json!({"error": error}));
        }
        "surrogate" => {
            let text = format!(
                r#"{{"id":"x","choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"{TEXT} \ud83d"}}}}],"usage":{}}}"#,
                usage(TOKENS)
            );
            (Bytes::from(text).into_response(), TOKENS)
        }
        "temperature" => {
            let error = json!({"error": {
                "message": "Unsupported parameter: this model has none of these",
                "type": "invalid_request_error",
                "param": "temperature",
                "code": "unsupported_parameter"
            }});
            return refused(400, error);
        }
        "cut" => return (StatusCode::OK, r#"{"id":"x","choices":[{"#).into_response(),
        "two" if body["model"] == "gone" => {
            let error = json!({
                "message": "The model `gone` does not exist",
                "type": "invalid_request_error",
                "code": "model_not_found"
            });
            return refused(404, json!({"error": error}));
        }
        "no_v1" => return refused(404, json!({"detail": "Not Found"})),
        "html" => {
            let page =
                "<!DOCTYPE html><html><head><title>Sign in</title></head><body>x</body></html>";
            return axum::response::Html(page).into_response();
        }
        "key" => {
            let error = json!({
                "message": "the key is not valid",
                "code": 400,
                "status": "INVALID_ARGUMENT",
                "details": [{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "API_KEY_INVALID"
                }]
            });
            return refused(400, json!([{"error": error}]));
        }
        _ => (fine(), TOKENS),
    };
    books.bill(&case, PROMPT_TOKENS + billed);
    response
}

fn job(endpoint: &str) -> Value {
    let rows: Vec<Value> = (0..5)
        .map(|row| json!({"question": format!("{} + {} (row {row})", row, 4 - row), "answer": "4"}))
        .collect();
    json!({
        "data": {"instances": rows},
        "model": {"endpoint": endpoint, "model": "m"},
        "prompt": "Q: {{ question }}\nA:",
        "search_space": {
            "temperature": {"float": [0, 1]}, "max_tokens": {"int": [16, 64]}, "n": 1
        },
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
        "budgets": {"optimization": {"usd": 0.01}},
        "limits": {"trials": 3},
        "search": {"seed": 1, "parallel_trials": 2}
    })
}

/// A server with a scripted endpoint for each case.
async fn serve(cases: impl Iterator<Item = &'static str>) -> (Books, TestDatabase, Frugal, String) {
    let books = Books::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(books.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let endpoints = cases.map(|case| {
        let version = if case == "no_v1" { "" } else { "/v1" };
        format!(
            "[endpoints.{case}]\nbase_url = \"http://{address}/{case}{version}\"\n\
             [endpoints.{case}.models.m]\ninput_usd_per_million = 1\noutput_usd_per_million = 2\n\
             [endpoints.{case}.models.gone]\ninput_usd_per_million = 1\noutput_usd_per_million = 2\n\
             [endpoints.{case}.limits]\nmax_attempts = 3\n"
        )
    });
    let database = TestDatabase::create().await;
    let setting = Setting {
        endpoints: endpoints.collect(),
        ..Setting::local(database.url(), "")
    };
    let (server, url) = setting.serve(4).await;
    (books, database, server, url)
}

/// The notes of a report with a code.
fn notes(report: &Value, code: &str) -> Vec<Value> {
    let notes = report["notes"].as_array().unwrap().iter();
    notes.filter(|note| note["code"] == code).cloned().collect()
}

#[tokio::test]
async fn what_endpoints_bill_is_booked_and_what_they_refuse_is_told() {
    const FINE: [&str; 10] = [
        "gzip",
        "row_too_long",
        "rate_window",
        "reasoning_outside",
        "finish_null",
        "max_completion_tokens",
        "seed",
        "status_498",
        "surrogate",
        "row_403",
    ];
    const UNUSABLE: [(&str, &str); 3] = [
        ("no_v1", "does base_url lack /v1?"),
        ("html", "an HTML page, \"Sign in\", not JSON"),
        ("key", "the key is not valid"),
    ];
    // What they bill is not said, or cannot be.
    const ESTIMATED: [&str; 2] = ["event_stream", "impossible_usage"];
    let cases = || {
        let answering = FINE.into_iter().chain(ESTIMATED);
        answering.chain(UNUSABLE.map(|(case, _)| case))
    };
    let (books, database, server, url) = serve(cases()).await;
    let api = ApiClient::new(&url);
    let mut paths = BTreeMap::new();
    for case in cases() {
        let mut job = job(case);
        if case == "rate_window" {
            // It takes time in earnest.
            job["limits"]["trials"] = json!(1);
            job["budgets"]["optimization"]["usd"] = json!(0.002);
        }
        paths.insert(case, api.submit(&job).await);
    }
    for case in FINE {
        api.follow(&paths[case], None).await;
        let job = api.json(&paths[case]).await;
        assert_eq!(job["state"], "succeeded", "{case}: {job}");
        let (requests, billed) = books.of(case);
        assert!(requests > 0 && billed > 0, "{case}");
        assert_eq!(job["spend"]["tokens"], billed, "{case}: {job}");
        assert!(job["best"]["utility"]["mean"].is_number(), "{case}: {job}");
    }
    for case in ESTIMATED {
        api.follow(&paths[case], None).await;
        let job = api.json(&paths[case]).await;
        assert_eq!(job["state"], "succeeded", "{case}: {job}");
        let (_, billed) = books.of(case);
        let booked = job["spend"]["tokens"].as_u64().unwrap();
        // Within what an estimate of tokens may be off by.
        assert!(
            (billed / 2..=2 * billed).contains(&booked),
            "{case}: {booked} booked, {billed} billed"
        );
        let report = api.json(&format!("{}/report", paths[case])).await;
        assert_eq!(notes(&report, "usage_estimated").len(), 1, "{report}");
    }
    for (case, detail) in UNUSABLE {
        api.follow(&paths[case], None).await;
        let job = api.json(&paths[case]).await;
        assert_eq!(job["stop_reason"], "endpoint_unusable", "{case}: {job}");
        assert!(
            job["detail"].as_str().unwrap().contains(detail),
            "{case}: {job}"
        );
        assert_eq!(job["state"], "failed", "{case}: {job}");
        assert_eq!(job["spend"]["tokens"], 0, "{case}: {job}");
        // What it came to is told all the same, and the endpoint was not asked much.
        let report = api.json(&format!("{}/report", paths[case])).await;
        assert_eq!(report["stop_reason"], "endpoint_unusable", "{case}");
        let failed = notes(&report, "requests_failed");
        assert!(!failed.is_empty(), "{case}: {report}");
        let (requests, _) = books.of(case);
        assert!(requests <= 50, "{case}: {requests}");
    }
    for (case, words) in [
        ("row_403", "the provider refused this input"),
        ("row_too_long", "the context length is 512"),
    ] {
        let report = api.json(&format!("{}/report", paths[case])).await;
        let left_out = notes(&report, "rows_left_out");
        assert_eq!(left_out[0]["rows"], json!([2]), "{report}");
        let detail = left_out[0]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    }
    assert!(server.stop().await);
    database.drop().await;
}

#[tokio::test]
async fn a_job_of_which_nothing_could_be_evaluated_has_failed_and_says_why() {
    let (books, database, server, url) = serve(["temperature", "cut", "two"].into_iter()).await;
    let api = ApiClient::new(&url);
    let mut paths = BTreeMap::new();
    for case in ["temperature", "cut", "two"] {
        let mut job = job(case);
        if case == "two" {
            let model = |name: &str| json!({"endpoint": case, "model": name});
            job.as_object_mut().unwrap().remove("model");
            job["models"] = json!([model("gone"), model("m")]);
            job["limits"] = json!({"trials": 6});
        }
        paths.insert(case, api.submit(&job).await);
    }
    let ended = async |case: &str| {
        api.follow(&paths[case], None).await;
        let report = api.json(&format!("{}/report", paths[case])).await;
        (api.json(&paths[case]).await, report)
    };

    // The parameter is named that no configuration can do without.
    let (job, report) = ended("temperature").await;
    assert_eq!(job["state"], "failed", "{job}");
    assert_eq!(job["stop_reason"], "nothing_evaluated", "{job}");
    let detail = job["detail"].as_str().unwrap();
    assert!(detail.contains("temperature"), "{detail}");
    assert_eq!(
        notes(&report, "requests_failed")[0]["scope"],
        "configuration"
    );

    // What it may have billed stands apart, bounded, and is no part of what was billed.
    let (job, report) = ended("cut").await;
    assert_eq!(job["state"], "failed", "{job}");
    assert!(!job["detail"].as_str().unwrap().is_empty());
    let uncertain = &job["spend"]["by_role"]["uncertain"];
    assert!(uncertain["tokens"].as_u64().unwrap() > 0, "{job}");
    assert_eq!(job["spend"]["tokens"], uncertain["tokens"], "{job}");
    assert!(job["spend"]["usd"].as_f64().unwrap() < 0.01);
    assert_eq!(notes(&report, "uncertain_spend").len(), 1, "{report}");
    let (requests, _) = books.of("cut");
    assert!(requests <= 3 * 24, "{requests}");

    // One model that is not there does not keep the other from winning.
    let (job, report) = ended("two").await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(report["winner"]["configuration"]["model"], "m", "{report}");
    let refused = notes(&report, "model_refused");
    assert_eq!(refused[0]["model"], "gone", "{report}");
    assert!(server.stop().await);
    database.drop().await;
}
