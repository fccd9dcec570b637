//! Polling: entity tags and long polls.

use crate::{append, body, claim, finish, header, job, start, success};
use frugal_domain::event::EventBody;
use frugal_domain::money::Spend;
use frugal_tests::app::TestApp;
use futures::future::join_all;
use reqwest::{Method, Response};
use serde_json::Value;

/// An event that changes nothing else.
fn news() -> EventBody {
    EventBody::BudgetUpdated {
        spend: Spend::default(),
    }
}

/// The job, unless the client has it already.
async fn poll(app: &TestApp, path: &str, seen: &str) -> Response {
    let request = app.api.request(Method::GET, path);
    app.api.send(request.header("if-none-match", seen)).await
}

async fn tag(app: &TestApp, path: &str) -> String {
    let response = app.api.get(path).await;
    header(&response, "etag").unwrap().to_owned()
}

#[tokio::test]
async fn a_job_is_sent_again_only_when_it_has_changed() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let queued = tag(&app, &path).await;
    for seen in [queued.as_str(), "*", &format!("\"x\", W/{queued}")] {
        let response = poll(&app, &path, seen).await;
        assert_eq!(response.status(), 304, "{seen}");
        assert_eq!(header(&response, "etag"), Some(queued.as_str()));
    }
    body(poll(&app, &path, "\"x\"").await, 200).await;

    // Every step changes the tag: a claim, an event, a request to stop, the end.
    let mut tags = vec![queued];
    let claim = claim(&app).await;
    for step in 0..4 {
        match step {
            0 => {}
            1 => drop(append(&app, &path, &[news()]).await),
            2 => drop(app.api.post(&format!("{path}/cancel"), &Value::Null).await),
            _ => finish(&app, claim, &success(None)).await,
        }
        let response = poll(&app, &path, tags.last().unwrap()).await;
        let tag = header(&response, "etag").unwrap().to_owned();
        body(response, 200).await;
        assert!(!tags.contains(&tag), "step {step}");
        tags.push(tag);
    }
    app.end().await;
}

#[tokio::test]
async fn a_wait_ends_with_the_change_that_it_waits_for() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let seen = tag(&app, &path).await;
    let wait = format!("{path}?wait=60");
    let news = [news()];
    let (answer, _) = tokio::join!(poll(&app, &wait, &seen), append(&app, &path, &news));
    assert_ne!(header(&answer, "etag"), Some(seen.as_str()));
    body(answer, 200).await;

    // What has changed already is told at once.
    body(poll(&app, &wait, &seen).await, 200).await;
    app.end().await;
}

#[tokio::test]
async fn a_wait_without_a_tag_ends_with_the_next_change() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let before = tag(&app, &path).await;
    let changes = async {
        // Until one comes after the request has arrived.
        loop {
            append(&app, &path, &[news()]).await;
        }
    };
    let wait = format!("{path}?wait=60");
    let answer = tokio::select! {
        answer = app.api.get(&wait) => answer,
        () = changes => unreachable!("changes do not end"),
    };
    assert_ne!(header(&answer, "etag"), Some(before.as_str()));
    body(answer, 200).await;
    app.end().await;
}

#[tokio::test]
async fn a_wait_in_vain_ends_with_what_there_is() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let seen = tag(&app, &path).await;
    for seconds in [0, 1] {
        let wait = format!("{path}?wait={seconds}");
        assert_eq!(poll(&app, &wait, &seen).await.status(), 304);
        assert_eq!(app.api.json(&wait).await["state"], "queued");
    }
    app.end().await;
}

/// Nothing can change any more, so nobody waits a minute for it.
#[tokio::test]
async fn an_ended_job_is_not_waited_for() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    finish(&app, claim(&app).await, &success(None)).await;
    let seen = tag(&app, &path).await;
    let wait = format!("{path}?wait=60");
    assert_eq!(poll(&app, &wait, &seen).await.status(), 304);
    assert_eq!(app.api.json(&wait).await["state"], "succeeded");
    app.end().await;
}

/// One picture is drawn for all who poll at the same time, and never for longer than it is true.
#[tokio::test]
async fn however_many_poll_each_sees_what_was_there_when_it_asked() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    let mut last = app.api.json(&path).await;
    for _ in 0..5 {
        append(&app, &path, &[news()]).await;
        let asked = (0..4).map(|_| app.api.json(&path));
        for job in join_all(asked).await {
            assert_eq!(job["state"], "running");
            let seq = last["last_seq"].as_i64().map(|seq| seq + 1);
            assert_eq!(job["last_seq"].as_i64(), seq);
        }
        last = app.api.json(&path).await;
    }
    finish(&app, claim, &success(None)).await;
    for _ in 0..2 {
        assert_eq!(app.api.json(&path).await["state"], "succeeded");
    }
    app.api.send(app.api.request(Method::DELETE, &path)).await;
    assert_eq!(app.api.get(&path).await.status(), 404);
    app.end().await;
}
