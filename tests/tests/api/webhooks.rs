//! Webhooks: what a receiver is sent, through its failures and the server's restarts.

use crate::{append, body, catalog, claim, finish, header, id, job, start, success};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use frugal_api::Guard;
use frugal_domain::event::EventBody;
use frugal_domain::money::Spend;
use frugal_tests::app::{Limits, Server, TestApp};
use frugal_tests::client::ApiClient;
use frugal_tests::postgres::tables_with;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A service that takes messages, once it has failed some.
#[derive(Clone)]
struct Receiver {
    url: String,
    /// With what it answers, by how many came before.
    answers: Arc<dyn Fn(usize) -> StatusCode + Send + Sync>,
    /// Ids and bodies that came with a good signature.
    came: Arc<Mutex<Vec<(String, Value)>>>,
    count: watch::Sender<usize>,
}

impl Receiver {
    async fn start(answers: impl Fn(usize) -> StatusCode + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            answers: Arc::new(answers),
            came: Arc::default(),
            count: watch::Sender::new(0),
        };
        let router = Router::new()
            .route("/hook", post(take))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    /// What came, once so much has.
    async fn arrived(&self, count: usize) -> Vec<(String, Value)> {
        let mut counts = self.count.subscribe();
        counts.wait_for(|come| *come >= count).await.unwrap();
        self.came.lock().unwrap().clone()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    if verifier.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let mut came = receiver.came.lock().unwrap();
    let answer = (receiver.answers)(came.len());
    came.push((id, serde_json::from_slice(&body).unwrap()));
    receiver.count.send_replace(came.len());
    answer
}

/// Lets messages go to this machine.
fn limits() -> Limits {
    let mut guard = Guard::default();
    guard.webhooks.networks = vec!["127.0.0.1/32".parse().unwrap()];
    Limits {
        guard,
        ..Limits::default()
    }
}

async fn register(api: &ApiClient, receiver: &Receiver, more: Value) -> String {
    let mut post = json!({"url": receiver.url, "secret": SECRET});
    post.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let answer = api.post("/webhooks", &post).await;
    let path = header(&answer, "location").unwrap().to_owned();
    let made = body(answer, 201).await;
    assert_eq!(
        (&made["url"], &made["secret"]),
        (&json!(receiver.url), &json!(SECRET))
    );
    path
}

fn news() -> EventBody {
    EventBody::BudgetUpdated {
        spend: Spend::default(),
    }
}

/// The log of a webhook, once all of it is in one of these states.
async fn settled(api: &ApiClient, path: &str, count: usize, states: &[&str]) -> Vec<Value> {
    loop {
        let log = api.all(&format!("{path}/deliveries")).await;
        let is_settled = |delivery: &Value| {
            states.contains(&delivery["state"].as_str().unwrap())
                && delivery["attempted_at"].is_string()
        };
        if log.len() == count && log.iter().all(is_settled) {
            return log;
        }
        tokio::task::yield_now().await;
    }
}

/// Has everything that waits sent at once.
async fn hurry(app: &TestApp) {
    sqlx::query("UPDATE deliveries SET next_attempt_at = now() WHERE state = 'pending'")
        .execute(&app.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn ends_are_told_always_and_others_where_they_are_asked_for() {
    let app = TestApp::with_limits(catalog(), limits()).await;
    let receiver = Receiver::start(|_| StatusCode::NO_CONTENT).await;
    let chosen = Receiver::start(|_| StatusCode::OK).await;
    let plain = register(&app.api, &receiver, json!({})).await;
    let more = json!({"types": ["budget.updated"], "labels": {"team": "ads"}});
    let labelled = register(&app.api, &chosen, more).await;
    let mut other = job();
    other["labels"] = json!({"team": "ads"});
    let (first, second) = (app.api.submit(&job()).await, app.api.submit(&other).await);
    append(&app, &first, &[news()]).await;
    append(&app, &second, &[news()]).await;
    for _ in 0..2 {
        let claim = claim(&app).await;
        finish(&app, claim, &success(None)).await;
    }
    let told = receiver.arrived(2).await;
    let jobs: Vec<_> = told
        .iter()
        .map(|(_, event)| event["job_id"].clone())
        .collect();
    assert!(
        told.iter()
            .all(|(_, event)| event["type"] == "job.succeeded"),
        "{told:?}"
    );
    assert!(jobs.contains(&json!(id(&first).to_string())));
    let told = chosen.arrived(2).await;
    let seqs: Vec<_> = told
        .iter()
        .map(|(_, event)| (&event["type"], &event["seq"]))
        .collect();
    assert_eq!(
        seqs,
        [
            (&json!("budget.updated"), &json!(2)),
            (&json!("job.succeeded"), &json!(4))
        ]
    );
    // The body is the event as streams have it.
    let events = app.api.all(&format!("{second}/events")).await;
    assert_eq!(told[1].1, events[3]);

    let log = settled(&app.api, &labelled, 2, &["delivered"]).await;
    assert_eq!(
        (&log[0]["type"], &log[0]["status"]),
        (&json!("job.succeeded"), &json!(200))
    );
    assert_eq!(log[0]["id"], told[1].0);
    assert_eq!(settled(&app.api, &plain, 2, &["delivered"]).await.len(), 2);
    app.end().await;
}

#[tokio::test]
async fn what_messages_are_signed_with_is_told_once_and_stands_in_one_place() {
    let app = TestApp::with_limits(catalog(), limits()).await;
    let receiver = Receiver::start(|_| StatusCode::INTERNAL_SERVER_ERROR).await;
    let path = register(&app.api, &receiver, json!({})).await;
    let job = app.api.submit(&job()).await;
    let running = claim(&app).await;
    finish(&app, running, &success(None)).await;
    settled(&app.api, &path, 1, &["pending"]).await;
    let (_, coded) = SECRET.split_once('_').unwrap();
    for answered in [
        "/webhooks",
        &path,
        &format!("{path}/deliveries"),
        "/audit",
        "/events?after=0",
        &job,
        &format!("{job}/events"),
        &format!("{job}/export"),
        "/metrics",
    ] {
        let answer = app.api.get(answered).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(
            status.is_success() && !text.contains(coded),
            "{answered}: {text}"
        );
    }
    let tables = tables_with(&mut app.pool.acquire().await.unwrap(), coded).await;
    assert_eq!(tables, ["webhooks"]);
    app.end().await;
}

#[tokio::test]
async fn a_receiver_that_fails_at_first_is_sent_it_again_whichever_server_is_left() {
    let app = TestApp::with_limits(catalog(), limits()).await;
    let other = Server::start(app.pool.clone(), catalog(), limits()).await;
    let receiver = Receiver::start(|before| match before {
        0 => StatusCode::SERVICE_UNAVAILABLE,
        1 => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    })
    .await;
    let path = register(&app.api, &receiver, json!({})).await;
    app.api.submit(&job()).await;
    let running = claim(&app).await;
    finish(&app, running, &success(None)).await;
    for (attempts, status) in [(1, 503), (2, 404)] {
        let log = loop {
            let log = settled(&app.api, &path, 1, &["pending"]).await;
            if log[0]["status"] == status {
                break log;
            }
        };
        assert_eq!(log[0]["attempts"], attempts);
        assert!(log[0]["next_attempt_at"].is_string(), "{log:?}");
        hurry(&app).await;
    }
    other.stop().await;
    let log = settled(&app.api, &path, 1, &["delivered"]).await;
    let came = receiver.arrived(3).await;
    assert_eq!(came.len(), 3, "each attempt was one server's");
    assert!(
        came.iter().all(|message| message == &came[0]),
        "the same id and body each time"
    );
    assert_eq!(
        (&log[0]["attempts"], &log[0]["fault"]),
        (&json!(3), &Value::Null)
    );
    app.end().await;
}

#[tokio::test]
async fn what_is_refused_for_good_or_deleted_is_sent_no_more() {
    let app = TestApp::with_limits(catalog(), limits()).await;
    let receiver = Receiver::start(|_| StatusCode::GONE).await;
    let path = register(&app.api, &receiver, json!({})).await;
    app.api.submit(&job()).await;
    let running = claim(&app).await;
    finish(&app, running, &success(None)).await;
    let log = settled(&app.api, &path, 1, &["failed"]).await;
    assert_eq!(
        (&log[0]["status"], &log[0]["attempts"]),
        (&json!(410), &json!(1))
    );
    assert!(log[0]["fault"].as_str().unwrap().contains("410"), "{log:?}");
    let deleted = app.api.send(app.api.request(Method::DELETE, &path)).await;
    assert_eq!(deleted.status(), 204);
    body(app.api.get(&path).await, 404).await;
    assert_eq!(app.api.all("/webhooks").await, Vec::<Value>::new());
    app.end().await;
}

#[tokio::test]
async fn what_makes_no_sense_or_leads_inside_is_refused() {
    let app = start().await;
    for (post, word) in [
        (json!({}), "url"),
        (json!({"url": "https://example.com/", "uri": 1}), "uri"),
        (json!({"url": "http://example.com/"}), "https"),
        (json!({"url": "https://127.0.0.1/"}), "public"),
        (json!({"url": "https://169.254.169.254/latest"}), "public"),
        (json!({"url": "https://[::ffff:10.0.0.1]/"}), "public"),
        (json!({"url": "https://a:b@example.com/"}), "password"),
        (
            json!({"url": "https://example.com/", "types": ["job.ended"]}),
            "types",
        ),
        (
            json!({"url": "https://example.com/", "secret": "whsec_short"}),
            "secret",
        ),
    ] {
        let refused = body(app.api.post("/webhooks", &post).await, 422).await;
        assert_eq!(refused["code"], "invalid_webhook", "{post}");
        assert!(
            refused["detail"].as_str().unwrap().contains(word),
            "{refused}"
        );
    }
    // One that is made where none is given, and a name that leads inside only once it is looked up.
    let hook = json!({"url": "https://localhost:1/"});
    let answer = app.api.post("/webhooks", &hook).await;
    let path = header(&answer, "location").unwrap().to_owned();
    let made = body(answer, 201).await;
    assert!(standardwebhooks::Webhook::new(made["secret"].as_str().unwrap()).is_ok());
    app.api.submit(&job()).await;
    let running = claim(&app).await;
    finish(&app, running, &success(None)).await;
    let log = settled(&app.api, &path, 1, &["pending"]).await;
    assert!(
        log[0]["fault"]
            .as_str()
            .unwrap()
            .contains("no public address"),
        "{log:?}"
    );
    for _ in 1..20 {
        body(app.api.post("/webhooks", &hook).await, 201).await;
    }
    let full = body(app.api.post("/webhooks", &hook).await, 429).await;
    assert_eq!(full["code"], "too_many_webhooks");
    app.end().await;
}
