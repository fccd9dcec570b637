//! Configurations that owners put into jobs, as far as no worker is needed.

use crate::{body, claim, finish, header, id, job, start, success};
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::trial::TrialRole;
use frugal_store::changes::{self, OwnerChange};
use frugal_store::queue::Claim;
use frugal_store::trials::{self, NewTrial};
use frugal_tests::app::TestApp;
use reqwest::{Method, Response};
use serde_json::{Value, json};

fn wanted(temperature: f64, n: u32) -> Value {
    json!({"configuration": {"temperature": temperature, "n": n}})
}

async fn put(app: &TestApp, path: &str, trial: &Value) -> Response {
    app.api.post(&format!("{path}/trials"), trial).await
}

/// Begins a trial, as a worker would.
async fn begin(app: &TestApp, claim: Claim, number: u32, configuration: Value) {
    let configuration: Configuration = serde_json::from_value(configuration).unwrap();
    let mut connection = app.pool.acquire().await.unwrap();
    let job = frugal_store::jobs::find(&mut connection, claim.job)
        .await
        .unwrap()
        .unwrap();
    let settings: Settings = job.spec.settings(&configuration).unwrap();
    let trial = NewTrial {
        number: frugal_domain::id::TrialNumber(number),
        role: TrialRole::Search,
        origin: "owner".to_owned(),
        configuration,
        settings,
    };
    trials::begin(&mut connection, claim, &trial, chrono::Utc::now())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_put_in_waits_for_the_worker_and_is_told_of() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let tag = header(&app.api.get(&path).await, "etag")
        .unwrap()
        .to_owned();
    let answer = body(put(&app, &path, &wanted(0.25, 2)).await, 202).await;
    assert_eq!(
        (&answer["number"], &answer["trial"]),
        (&json!(1), &Value::Null)
    );
    let shown = json!({
        "endpoint": "local", "model": "m", "prompt": "prompt-0",
        "temperature": 0.25, "max_tokens": 64, "n": 2
    });
    assert_eq!(answer["configuration"], shown);
    assert_ne!(
        header(&app.api.get(&path).await, "etag"),
        Some(tag.as_str())
    );
    let events = app.api.all(&format!("{path}/events")).await;
    let told = events.last().unwrap();
    assert_eq!(told["type"], "trial.enqueued");
    assert_eq!(told["data"], json!({"number": 1, "configuration": shown}));

    // As trials show it; what the job has is not put in again, and told with its number.
    let again = put(&app, &path, &json!({"configuration": shown})).await;
    assert_eq!(body(again, 202).await, answer);
    // Of a profiled search the sampling settings tell.
    let other = body(put(&app, &path, &wanted(0.25, 5)).await, 202).await;
    assert_eq!(other["number"], 1);
    assert_eq!(
        app.api.all(&format!("{path}/events")).await.len(),
        events.len()
    );

    // Changes of both kinds are numbered together.
    let patch = json!({"limits": {"trials": 7}});
    let request = app.api.request(Method::PATCH, &path).json(&patch);
    body(app.api.send(request).await, 200).await;
    let third = body(put(&app, &path, &wanted(0.75, 1)).await, 202).await;
    assert_eq!(third["number"], 3);
    let mut connection = app.pool.acquire().await.unwrap();
    for (after, expected) in [(0, vec![1, 2, 3]), (1, vec![2, 3]), (3, vec![])] {
        let changes = changes::after(&mut connection, id(&path), after)
            .await
            .unwrap();
        let numbers: Vec<u32> = changes.iter().map(OwnerChange::number).collect();
        assert_eq!(numbers, expected);
        assert!(
            changes.iter().all(|change| {
                matches!(change, OwnerChange::Terms(_)) == (change.number() == 2)
            })
        );
    }
    drop(connection);
    let export = app
        .api
        .get(&format!("{path}/export"))
        .await
        .text()
        .await
        .unwrap();
    let lines: Vec<Value> = export
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| {
            line["data"]["place"] == Value::Null && line["data"]["number"].is_u64()
        })
        .filter(|line| line["type"] == "enqueued_trial")
        .collect();
    assert_eq!(lines.len(), 2, "{export}");
    assert_eq!(lines[0]["data"]["configuration"], shown);
    let audit = app.api.all("/audit").await;
    let put_in = audit
        .iter()
        .filter(|entry| entry["action"] == "enqueue_trial");
    let subjects: Vec<_> = put_in.map(|entry| entry["subject"].clone()).collect();
    assert_eq!(subjects, vec![json!(format!("{path}/trials")); 4]);
    app.end().await;
}

#[tokio::test]
async fn what_has_a_trial_is_answered_with_it() {
    let app = start().await;
    let mut searched = job();
    searched["search"] = json!({"extent": "searched"});
    for (posted, extents_tell) in [(job(), false), (searched, true)] {
        let path = app.api.submit(&posted).await;
        let claim = claim(&app).await;
        let configuration = json!({"temperature": 0.25, "max_tokens": 64, "n": 2});
        begin(&app, claim, 1, configuration).await;
        let answer = put(&app, &path, &wanted(0.25, 2)).await;
        let trial = format!("{path}/trials/1");
        assert_eq!(header(&answer, "location"), Some(trial.as_str()));
        let answer = body(answer, 200).await;
        assert_eq!(answer["number"], Value::Null);
        assert_eq!(answer["trial"], app.api.json(&trial).await);
        let other = put(&app, &path, &wanted(0.25, 3)).await;
        assert_eq!(other.status(), if extents_tell { 202 } else { 200 });
        // What was put in has its number beside its trial.
        let number = body(put(&app, &path, &wanted(0.5, 1)).await, 202).await["number"].clone();
        begin(
            &app,
            claim,
            2,
            json!({"temperature": 0.5, "max_tokens": 64, "n": 1}),
        )
        .await;
        let answer = body(put(&app, &path, &wanted(0.5, 1)).await, 200).await;
        assert_eq!(answer["number"], number);
        assert_eq!(answer["trial"]["origin"], "owner");
        assert_eq!(answer["trial"]["number"], 2);
    }
    app.end().await;
}

#[tokio::test]
async fn a_configuration_that_is_no_point_is_refused_with_its_place() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let mut told = Vec::new();
    for wrong in [
        json!({}),
        json!([]),
        json!({"configuration": {}, "name": "mine"}),
        json!({"configuration": {"temperature": 1.5}}),
        json!({"configuration": {"temperature": "hot"}}),
        json!({"configuration": {"n": 0}}),
        json!({"configuration": {"max_tokens": 65}}),
        json!({"configuration": {"top_p": 0.5}}),
        json!({"configuration": {"prompt": "other"}}),
        json!({"configuration": {"model": "free"}}),
        json!({"configuration": {"prompt": "a\u{0}b"}}),
    ] {
        let problem = body(put(&app, &path, &wrong).await, 422).await;
        assert_eq!(problem["code"], "invalid_trial");
        told.push(json!({"posted": wrong, "errors": problem["errors"]}));
    }
    insta::assert_json_snapshot!("what_is_no_point", told);
    assert_eq!(app.api.all(&format!("{path}/events")).await.len(), 1);
    app.end().await;
}

#[tokio::test]
async fn a_key_puts_one_configuration_in() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let other = app.api.submit(&job()).await;
    let put = async |path: &str, trial: &Value| {
        let request = app.api.request(Method::POST, &format!("{path}/trials"));
        let request = request.json(trial).header("idempotency-key", "k");
        app.api.send(request).await
    };
    let first = put(&path, &wanted(0.25, 2)).await;
    assert!(header(&first, "idempotency-replayed").is_none());
    let first = body(first, 202).await;
    // The answer is the first one, whatever has become of it.
    let claim = claim(&app).await;
    begin(
        &app,
        claim,
        1,
        json!({"temperature": 0.25, "max_tokens": 64, "n": 2}),
    )
    .await;
    let again = put(&path, &wanted(0.25, 2)).await;
    assert_eq!(header(&again, "idempotency-replayed"), Some("true"));
    assert_eq!(body(again, 202).await, first);
    for (path, trial) in [(&path, wanted(0.5, 2)), (&other, wanted(0.25, 2))] {
        let problem = body(put(path, &trial).await, 422).await;
        assert_eq!(problem["code"], "idempotency_key_reused");
    }
    assert_eq!(app.api.all(&format!("{other}/events")).await.len(), 1);
    // Several at once are one.
    let request = async || {
        let request = app.api.request(Method::POST, &format!("{other}/trials"));
        let request = request
            .json(&wanted(0.75, 1))
            .header("idempotency-key", "other");
        body(app.api.send(request).await, 202).await
    };
    let answers = futures::future::join_all((0..4).map(|_| request())).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(app.api.all(&format!("{other}/events")).await.len(), 2);
    app.end().await;
}

#[tokio::test]
async fn so_many_are_put_in_and_only_while_the_job_goes_on() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    for number in 1..=32 {
        let answer = put(&app, &path, &wanted(f64::from(number) / 64.0, 1)).await;
        assert_eq!(body(answer, 202).await["number"], number);
    }
    let problem = body(put(&app, &path, &wanted(0.99, 1)).await, 429).await;
    insta::assert_json_snapshot!("too_many_trials", problem);
    body(put(&app, &path, &wanted(0.25, 1)).await, 202).await;

    // A job that is paused takes it up once it goes on.
    let paused = app.api.submit(&job()).await;
    body(
        app.api.post(&format!("{paused}/pause"), &json!({})).await,
        202,
    )
    .await;
    body(put(&app, &paused, &wanted(0.25, 1)).await, 202).await;
    body(
        app.api.post(&format!("{paused}/cancel"), &json!({})).await,
        202,
    )
    .await;
    let problem = body(put(&app, &paused, &wanted(0.5, 1)).await, 409).await;
    assert_eq!(problem["code"], "invalid_transition");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(&format!("POST {paused}/continue")),
        "{detail}"
    );

    let claim = claim(&app).await;
    assert_eq!(claim.job, id(&path));
    finish(&app, claim, &success(None)).await;
    body(put(&app, &path, &wanted(0.99, 1)).await, 409).await;
    app.end().await;
}
