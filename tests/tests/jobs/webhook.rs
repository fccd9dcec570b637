//! Jobs whose answers a service of the operator's scores: what it is told, what becomes of its answers, and
//! of a job whose hook fails, delays, refuses or answers nonsense.

use crate::World;
use crate::takeover::outcomes;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use frugal_simulator::{Script, SimulatorOptions};
use frugal_tests::client::ApiClient;
use frugal_tests::postgres::tables_with;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What is secret of it.
const CODED: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOWHERE: [&str; 0] = [];

const SUBJECTS: [&str; 6] = ["ferries", "tides", "owls", "bridges", "maps", "bells"];

/// A service that scores: what explains is good, "no idea" is bad, and of "hm" it says nothing.
#[derive(Clone)]
struct Grader {
    /// How it answers a message, by how many came before: a status, or with 200 what it thinks.
    faults: Arc<dyn Fn(usize) -> Option<Response> + Send + Sync>,
    answered: Arc<Mutex<Answered>>,
    /// How many messages came.
    messages: watch::Sender<usize>,
    /// How many messages it answers before it keeps others waiting.
    open: watch::Sender<usize>,
}

/// The items of messages that it answered, by the message's id.
type Answered = BTreeMap<String, Vec<Value>>;

impl Grader {
    /// The service, and its entry in the configuration.
    async fn start(
        faults: impl Fn(usize) -> Option<Response> + Send + Sync + 'static,
    ) -> (Self, String) {
        let grader = Self {
            faults: Arc::new(faults),
            answered: Arc::default(),
            messages: watch::Sender::new(0),
            open: watch::Sender::new(usize::MAX),
        };
        let router = Router::new()
            .route("/score", post(grade))
            .with_state(grader.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let entry = format!(
            "\n[webhooks.grader]\nurl = \"http://{}/score\"\nsecret_env = \"GRADER_SECRET\"\n\
             batch_size = 4\nconcurrency = 1\nattempts = 3\n",
            listener.local_addr().unwrap()
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        (grader, entry)
    }

    /// Waits for so many messages to have come.
    async fn arrived(&self, count: usize) {
        let mut messages = self.messages.subscribe();
        messages.wait_for(|come| *come >= count).await.unwrap();
    }

    /// The items of all messages that it answered.
    fn items(&self) -> Vec<Value> {
        let answered = self.answered.lock().unwrap();
        answered.values().flatten().cloned().collect()
    }
}

async fn grade(State(grader): State<Grader>, headers: HeaderMap, body: Bytes) -> Response {
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    if verifier.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let message: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(message["type"], "score.requested");
    let items = message["data"]["items"].as_array().unwrap().clone();
    assert!(items.len() <= 4, "{}", items.len());
    let mut before = 0;
    grader.messages.send_modify(|come| {
        before = *come;
        *come += 1;
    });
    let mut open = grader.open.subscribe();
    open.wait_for(|open| before < *open).await.unwrap();
    if let Some(fault) = (grader.faults)(before) {
        return fault;
    }
    let scores: Vec<Value> = items.iter().map(score).collect();
    grader.answered.lock().unwrap().insert(id, items);
    axum::Json(json!({"scores": scores})).into_response()
}

fn score(item: &Value) -> Value {
    assert_eq!(
        item["expected"],
        format!("about {}", item["instance"]["subject"].as_str().unwrap())
    );
    match item["response"].as_str().unwrap() {
        "hm" => json!({"score": null, "reason": "too short to tell"}),
        "no idea" => json!({"score": 0.2}),
        _ => json!({"score": 1}),
    }
}

fn body(scorer: &Value) -> Value {
    let rows: Vec<Value> = SUBJECTS
        .iter()
        .map(|subject| json!({"subject": subject}))
        .collect();
    json!({
        "data": {"instances": rows, "holdout": {"share": 0.34}},
        "models": [{"endpoint": "local", "model": "gemma-3-270m"}],
        "prompts": [{"name": "plain", "text": "Explain {{ subject }}."}],
        "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 40, "n": 1},
        "scoring": {"scorer": scorer},
        "budgets": {"optimization": {"usd": 0.002}},
        "limits": {"trials": 6},
        "search": {"seed": 3}
    })
}

fn hooked() -> Value {
    json!({"type": "webhook", "name": "grader", "expected": "about {{ subject }}"})
}

async fn world(entry: &str) -> World {
    let writes = SUBJECTS.iter().map(|subject| {
        json!({
            "contains": format!("Explain {subject}"), "model": "gemma-3-270m",
            "answers": [
                {"text": format!("{subject} are explained"), "weight": 3},
                {"text": "no idea", "weight": 2},
                {"text": "hm", "weight": 0.5}
            ]
        })
    });
    let lines: Vec<Value> = writes.collect();
    let mut world = World::with(SimulatorOptions {
        script: Some(Script::parse(&json!(lines).to_string()).unwrap()),
        ..SimulatorOptions::default()
    })
    .await;
    world.setting.endpoints += entry;
    world
        .setting
        .environment
        .insert("GRADER_SECRET".to_owned(), SECRET.to_owned());
    world
}

/// How many scores are stored, and how many responses have none.
async fn stored(world: &World) -> (i64, i64) {
    let mut database = PgConnection::connect(world.database.url()).await.unwrap();
    let counted = sqlx::query_as("SELECT count(score), count(failure) FROM scores");
    counted.fetch_one(&mut database).await.unwrap()
}

#[tokio::test]
async fn answers_are_tuned_by_what_a_hook_says_of_them() {
    // It fails now and then, is busy once, and answers nonsense once.
    let (grader, entry) = Grader::start(|before| match before {
        1 => Some(StatusCode::BAD_GATEWAY.into_response()),
        3 => Some((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response()),
        5 => Some("<html>hello</html>".into_response()),
        _ => None,
    })
    .await;
    let world = world(&entry).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&body(&hooked())).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(job["objective"]["metric"], "mean", "a score is no chance");
    let mean = job["best"]["utility"]["mean"].as_f64().unwrap();
    assert!(mean > 0.9, "explained at temperature 0: {}", job["best"]);
    let report = api.json(&format!("{path}/report")).await;
    let holdout = report["holdout"]["winner"]["mean"].as_f64();
    assert!(holdout.is_some_and(|mean| mean > 0.9), "{report}");
    // What it says null of has no score, and every response was asked about once.
    let (scores, none) = stored(&world).await;
    let items = grader.items().len();
    assert!(none > 0, "{scores} scores");
    assert_eq!(i64::try_from(items).unwrap(), scores + none);
    // What messages are signed with is known to the process alone.
    let mut database = PgConnection::connect(world.database.url()).await.unwrap();
    assert_eq!(tables_with(&mut database, CODED).await, NOWHERE);
    let export = api.get(&format!("{path}/export")).await;
    let export = export.text().await.unwrap();
    assert!(export.contains("\"end\"") && !export.contains(CODED));
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_crash_among_messages_asks_nothing_twice() {
    let (grader, entry) = Grader::start(|_| None).await;
    let world = world(&entry).await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    grader.open.send_replace(5);
    let first = world.setting.worker().await;
    let disturbed = api.submit(&body(&hooked())).await;
    grader.arrived(6).await;
    first.kill().await;
    let answered = std::mem::take(&mut *grader.answered.lock().unwrap());
    assert_eq!(answered.len(), 5);
    grader.open.send_replace(usize::MAX);
    let second = world.setting.worker().await;
    api.follow(&disturbed, None).await;
    // What was on its way when the worker was killed, one message and the scores of another, may come again.
    let answered: usize = answered.values().map(Vec::len).sum();
    let (scores, none) = stored(&world).await;
    let again = answered + grader.items().len() - usize::try_from(scores + none).unwrap();
    assert!(again <= 8, "{again} items came again");
    let undisturbed = api.submit(&body(&hooked())).await;
    api.follow(&undisturbed, None).await;
    assert_eq!(
        outcomes(&api, &disturbed).await,
        outcomes(&api, &undisturbed).await
    );
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_hook_that_cannot_be_used_ends_the_job_in_words() {
    for (fault, told) in [
        (
            (|| (StatusCode::INTERNAL_SERVER_ERROR, "out of order").into_response())
                as fn() -> Response,
            "the webhook `grader` cannot be used: it answers 500: out of order (after 3 attempts)",
        ),
        (
            || (StatusCode::FORBIDDEN, "not you").into_response(),
            "the webhook `grader` cannot be used: it answers 403: not you",
        ),
        (
            || axum::Json(json!({"scores": []})).into_response(),
            "its answer makes no sense: it has 0 scores for ",
        ),
    ] {
        let (_, entry) = Grader::start(move |_| Some(fault())).await;
        let world = world(&entry).await;
        let (server, url) = world.setting.serve(1).await;
        let api = ApiClient::new(&url);
        let path = api.submit(&body(&hooked())).await;
        api.follow(&path, None).await;
        let job = api.json(&path).await;
        assert_eq!(
            (&job["state"], &job["stop_reason"]),
            (&json!("failed"), &json!("endpoint_unusable"))
        );
        let detail = job["detail"].as_str().unwrap();
        assert!(detail.contains(told), "{detail}");
        assert_eq!(stored(&world).await, (0, 0), "nothing counts as bad");
        assert!(server.stop().await);
        world.end().await;
    }
}

#[tokio::test]
async fn a_job_is_cancelled_while_its_hook_takes_its_time() {
    let (grader, entry) = Grader::start(|_| None).await;
    grader.open.send_replace(1);
    let world = world(&entry).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&body(&hooked())).await;
    grader.arrived(2).await;
    let cancelled = api.post(&format!("{path}/cancel"), &json!({})).await;
    assert!(cancelled.status().is_success(), "{}", cancelled.status());
    api.follow(&path, None).await;
    assert_eq!(api.json(&path).await["state"], "cancelled");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_a_required_part_refuses_no_hook_is_asked_about() {
    let (grader, entry) = Grader::start(|_| None).await;
    let world = world(&entry).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let scorer = json!({"type": "composite", "parts": [
        {"scorer": hooked()},
        {"required": true, "scorer": {"type": "regex", "pattern": "explained|hm"}}
    ]});
    let mut body = body(&scorer);
    body["search_space"]["temperature"] = json!(1);
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    assert_eq!(api.json(&path).await["state"], "succeeded");
    let asked = grader.items();
    assert!(!asked.is_empty() && !asked.iter().any(|item| item["response"] == "no idea"));
    // A part without a score makes none.
    let mut database = PgConnection::connect(world.database.url()).await.unwrap();
    let reasons: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT failure FROM scores WHERE part IS NULL AND failure IS NOT NULL",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    assert_eq!(
        reasons,
        ["part 0: the webhook gives no score: too short to tell"]
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_hook_that_is_not_listed_is_refused() {
    let (_, entry) = Grader::start(|_| None).await;
    let world = world(&entry).await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let refused = |scorer: Value| {
        let api = &api;
        async move {
            let refused = api.post("/jobs", &body(&scorer)).await;
            assert_eq!(refused.status().as_u16(), 422);
            let problem: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
            problem["errors"][0].clone()
        }
    };
    let unknown = refused(json!({"type": "webhook", "name": "oracle"})).await;
    assert_eq!(
        unknown,
        json!({
            "pointer": "/scoring/scorer/name",
            "detail": "`oracle` is not a webhook of this server; it has `grader`"
        })
    );
    let url = refused(json!({"type": "webhook", "name": "grader", "url": "http://10.0.0.1"})).await;
    assert_eq!(url["pointer"], "/scoring/scorer/url", "{url}");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_hook_is_tried_before_a_job_and_a_judge_is_not() {
    let (_, entry) = Grader::start(|before| {
        (before == 0).then(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
    })
    .await;
    let world = world(&entry).await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let mut posted = json!({
        "scorer": hooked(),
        "rows": [{"subject": "owls"}],
        "responses": [["owls are explained", "no idea", "hm"]]
    });
    let found = api.post("/scorers/validate", &posted).await;
    let found: Value = serde_json::from_str(&found.text().await.unwrap()).unwrap();
    let responses = found["rows"][0]["responses"].as_array().unwrap();
    let said: Vec<Value> = responses
        .iter()
        .map(|one| json!([one["score"], one["why"]]))
        .collect();
    assert_eq!(
        json!(said),
        json!([
            [1.0, "the webhook scores it 1"],
            [0.2, "the webhook scores it 0.2"],
            [null, "the webhook gives no score: too short to tell"]
        ])
    );
    assert_eq!(found["rows"][0]["values"]["mean"], 0.6, "{found}");
    let judge =
        json!({"type": "judge", "endpoint": "local", "model": "gemma-3-270m", "rubric": "Good?"});
    posted["scorer"] =
        json!({"type": "composite", "parts": [{"scorer": hooked()}, {"scorer": judge}]});
    let refused = api.post("/scorers/validate", &posted).await;
    assert_eq!(refused.status().as_u16(), 422);
    let problem: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    let fault = &problem["errors"][0];
    assert_eq!(fault["pointer"], "/scorer/parts/1/scorer/type", "{problem}");
    let detail = fault["detail"].as_str().unwrap();
    assert!(detail.contains("try it in a small job"), "{detail}");
    assert!(server.stop().await);
    world.end().await;
}
