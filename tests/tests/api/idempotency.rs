//! `Idempotency-Key`: a request that is sent twice is carried out once.

use crate::{body, claim, header, job, start};
use frugal_tests::app::TestApp;
use reqwest::{Method, Response};
use serde_json::{Value, json};

async fn post(app: &TestApp, key: &str, job: &Value) -> Response {
    let request = app.api.request(Method::POST, "/jobs").json(job);
    app.api.send(request.header("idempotency-key", key)).await
}

async fn jobs(app: &TestApp) -> usize {
    app.api.all("/jobs").await.len()
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_again() {
    let app = start().await;
    let first = post(&app, "key-1", &job()).await;
    let location = header(&first, "location").unwrap().to_owned();
    assert!(header(&first, "idempotency-replayed").is_none());
    let first = body(first, 201).await;

    // The answer is the first one, whatever has become of the job.
    claim(&app).await;
    let again = post(&app, "key-1", &job()).await;
    assert_eq!(header(&again, "idempotency-replayed"), Some("true"));
    assert_eq!(header(&again, "location"), Some(location.as_str()));
    assert_eq!(body(again, 201).await, first);

    let other = post(&app, "key-2", &job()).await;
    assert!(header(&other, "idempotency-replayed").is_none());
    assert_ne!(body(other, 201).await["id"], first["id"]);
    assert_eq!(jobs(&app).await, 2);
    app.end().await;
}

#[tokio::test]
async fn a_key_stands_for_one_body() {
    let app = start().await;
    body(post(&app, "key", &job()).await, 201).await;
    let mut other = job();
    other["name"] = json!("another");
    let problem = body(post(&app, "key", &other).await, 422).await;
    insta::assert_json_snapshot!("idempotency_key_reused", problem);
    assert_eq!(jobs(&app).await, 1);
    app.end().await;
}

#[tokio::test]
async fn a_refused_request_does_not_take_its_key() {
    let app = start().await;
    let mut wrong = job();
    wrong["data"]["instances"] = json!([]);
    body(post(&app, "key", &wrong).await, 422).await;
    let right = post(&app, "key", &job()).await;
    assert!(header(&right, "idempotency-replayed").is_none());
    body(right, 201).await;
    app.end().await;
}

#[tokio::test]
async fn requests_at_once_create_one_job() {
    let app = start().await;
    for round in 0..5 {
        let key = format!("key-{round}");
        let (key, job) = (key.as_str(), &job());
        let answers = futures::future::join_all((0..4).map(|_| post(&app, key, job))).await;
        let mut created = 0;
        let mut ids = Vec::new();
        for answer in answers {
            if header(&answer, "idempotency-replayed").is_none() {
                created += 1;
            }
            ids.push(body(answer, 201).await["id"].clone());
        }
        assert_eq!(created, 1, "one of them created the job");
        ids.dedup();
        assert_eq!(ids.len(), 1, "all of them name it");
        assert_eq!(jobs(&app).await, round + 1);
    }
    app.end().await;
}

#[tokio::test]
async fn keys_are_bounded() {
    let app = start().await;
    for key in ["", " ", &"k".repeat(256)] {
        let problem = body(post(&app, key, &job()).await, 400).await;
        assert_eq!(problem["code"], "invalid_parameter");
    }
    body(post(&app, &"k".repeat(255), &job()).await, 201).await;
    assert_eq!(jobs(&app).await, 1);
    app.end().await;
}
