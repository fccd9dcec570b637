//! One stream over all jobs that somebody reaches, and its pages.

use crate::{append, body, catalog, claim, finish, id, job, start, success};
use chrono::Utc;
use frugal_api::Guard;
use frugal_domain::access::Scope;
use frugal_domain::event::EventBody;
use frugal_domain::money::Spend;
use frugal_store::events as event_log;
use frugal_store::retention::{Before, prune};
use frugal_tests::app::{Limits, Server, TestApp};
use frugal_tests::client::{ApiClient, StreamedEvent};
use futures::{FutureExt, Stream, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};

const BOTH: &[Scope] = &[Scope::Read, Scope::Write];

/// Opens the stream, after a position where one is given.
async fn open(
    api: &ApiClient,
    query: &str,
    last: Option<i64>,
) -> impl Stream<Item = StreamedEvent> + Unpin + use<> {
    let mut request = api.request(Method::GET, &format!("/events{query}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last.to_string());
    }
    api.open(request).await
}

fn news(tokens: u64) -> EventBody {
    EventBody::BudgetUpdated {
        spend: Spend {
            tokens,
            ..Spend::default()
        },
    }
}

/// Which job an event is of, and its number there.
fn of(event: &Value) -> (String, i64) {
    let job = event["job_id"].as_str().unwrap().to_owned();
    (job, event["seq"].as_i64().unwrap())
}

/// The numbers of the events of a job among some, in their order.
fn seqs(events: &[StreamedEvent], path: &str) -> Vec<i64> {
    let job = id(path).to_string();
    let payloads = events.iter().map(|event| of(&event.payload));
    payloads
        .filter(|(of, _)| *of == job)
        .map(|(_, seq)| seq)
        .collect()
}

async fn take(
    stream: &mut (impl Stream<Item = StreamedEvent> + Unpin),
    count: usize,
) -> Vec<StreamedEvent> {
    stream.take(count).collect().await
}

#[tokio::test]
async fn two_jobs_are_followed_by_one_stream_through_cuts_and_restarts() {
    let app = start().await;
    let mut stream = open(&app.api, "", None).await;
    let (first, second) = (app.api.submit(&job()).await, app.api.submit(&job()).await);
    let mut seen = take(&mut stream, 2).await;
    let running = claim(&app).await;
    for round in 0..60 {
        append(&app, &first, &[news(round)]).await;
        append(&app, &second, &[news(round), news(round)]).await;
    }
    seen.extend(take(&mut stream, 50).await);
    drop(stream);
    let last = seen.last().unwrap().id;

    // Another server of the same database goes on where the first was left, with what came meanwhile.
    append(&app, &first, &[news(60)]).await;
    finish(&app, running, &success(None)).await;
    let other = Server::start(app.pool.clone(), catalog(), Limits::default()).await;
    let mut stream = open(&other.api, "", Some(last)).await;
    // Queued and running, the news, the end; queued and the news.
    let all = (2 + 60 + 1 + 1) + (1 + 120);
    seen.extend(take(&mut stream, all - seen.len()).await);
    assert_eq!(seqs(&seen, &first), (1..=64).collect::<Vec<_>>());
    assert_eq!(seqs(&seen, &second), (1..=121).collect::<Vec<_>>());
    assert!(seen.is_sorted_by(|a, b| a.id < b.id), "ids grow");
    assert_eq!(stream.next().now_or_never(), None, "it goes on");

    // Pages tell the same, from the first on.
    let pages = app.api.all("/events").await;
    let payloads: Vec<_> = seen.iter().map(|event| event.payload.clone()).collect();
    assert_eq!(pages, payloads);
    // And so does a stream from the beginning.
    let mut again = open(&app.api, "?after=0", None).await;
    assert_eq!(take(&mut again, all).await, seen);
    other.stop().await;
    app.end().await;
}

#[tokio::test]
async fn what_is_committed_late_is_not_passed_over() {
    let app = start().await;
    let (early, late) = (app.api.submit(&job()).await, app.api.submit(&job()).await);
    let mut stream = open(&app.api, "", None).await;
    // Drawn first and committed last.
    let mut slow = app.pool.begin().await.unwrap();
    event_log::append(&mut slow, id(&early), &[news(1)], Utc::now())
        .await
        .unwrap();
    append(&app, &late, &[news(2)]).await;
    let page = app.api.json("/events?after=2").await;
    assert_eq!(
        page["data"],
        json!([]),
        "nothing before what may come first"
    );
    assert_eq!(page["next"], 2);
    slow.commit().await.unwrap();
    let seen = take(&mut stream, 2).await;
    assert_eq!(
        (seqs(&seen, &early), seqs(&seen, &late)),
        (vec![2], vec![2])
    );
    assert_eq!(
        seqs(&seen[..1], &early),
        [2],
        "in the order in which they were drawn"
    );

    // What is taken back holds nobody up.
    let mut undone = app.pool.begin().await.unwrap();
    event_log::append(&mut undone, id(&early), &[news(3)], Utc::now())
        .await
        .unwrap();
    append(&app, &late, &[news(4)]).await;
    undone.rollback().await.unwrap();
    let next = stream.next().await.unwrap();
    assert_eq!(of(&next.payload), (id(&late).to_string(), 3));
    app.end().await;
}

#[tokio::test]
async fn nobody_follows_what_belongs_to_another() {
    let guard = Guard {
        require_keys: true,
        ..Guard::default()
    };
    let app = TestApp::guarded(catalog(), guard).await;
    let (ada, eve) = (
        app.client_of("ada", BOTH).await,
        app.client_of("eve", BOTH).await,
    );
    let admin = app.client_of("root", &[Scope::Admin]).await;
    let (mut of_ada, mut of_eve) = (open(&ada, "", None).await, open(&eve, "", None).await);
    let mut of_all = open(&admin, "", None).await;
    let (hers, others) = (ada.submit(&job()).await, eve.submit(&job()).await);
    for round in 0..10 {
        append(&app, &others, &[news(round)]).await;
    }
    append(&app, &hers, &[news(0)]).await;
    let seen = take(&mut of_ada, 2).await;
    assert_eq!(seqs(&seen, &hers), [1, 2]);
    assert_eq!(seqs(&take(&mut of_eve, 11).await, &others).len(), 11);
    assert_eq!(take(&mut of_all, 13).await.len(), 13);

    // Nor do late ones read it from the table, whatever they ask for.
    for query in ["?after=0", "?after=0&label=team:search"] {
        let mut late = open(&ada, query, None).await;
        assert_eq!(take(&mut late, 2).await, seen);
        assert_eq!(late.next().now_or_never(), None);
    }
    let pages = ada.all("/events").await;
    assert_eq!(pages.len(), 2);
    let mut begun = open(&ada, "?snapshot=true", None).await;
    let shown = begun.next().await.unwrap();
    assert_eq!(shown.payload["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(shown.payload["jobs"][0]["id"], id(&hers).to_string());

    // A token of the key's opens the same.
    let token = body(ada.post("/stream-tokens", &json!({})).await, 201).await;
    let query = format!("?after=0&token={}", token["token"].as_str().unwrap());
    let mut by_token = open(&app.api, &query, None).await;
    assert_eq!(take(&mut by_token, 2).await, seen);
    app.end().await;
}

#[tokio::test]
async fn a_stream_begins_with_what_is_open_and_keeps_to_what_was_asked_for() {
    let app = start().await;
    let mut other = job();
    other["labels"] = json!({"team": "ads"});
    let (search, ads) = (app.api.submit(&job()).await, app.api.submit(&other).await);
    let ended = claim(&app).await;
    finish(&app, ended, &success(None)).await;
    let mut stream = open(&app.api, "?snapshot=true&label=team:ads", None).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.name, "snapshot");
    let jobs = first.payload["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(
        (&jobs[0]["id"], &jobs[0]["last_seq"]),
        (&json!(id(&ads).to_string()), &json!(1))
    );
    append(&app, &search, &[news(1)]).await;
    append(&app, &ads, &[news(1)]).await;
    assert_eq!(
        of(&stream.next().await.unwrap().payload),
        (id(&ads).to_string(), 2)
    );
    // Who has a part goes on after it, without a snapshot.
    let mut resumed = open(&app.api, "?snapshot=true&label=team:ads", Some(first.id)).await;
    assert_eq!(
        of(&resumed.next().await.unwrap().payload),
        (id(&ads).to_string(), 2)
    );

    let page = app.api.json("/events?type=job.succeeded,job.failed").await;
    let types: Vec<_> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["type"])
        .collect();
    assert_eq!(types, ["job.succeeded"]);
    for query in ["type=job.ended", "label=team", "after=-1", "kind=x"] {
        let problem = body(app.api.get(&format!("/events?{query}")).await, 400).await;
        assert_eq!(problem["code"], "invalid_parameter", "{query}");
    }
    app.end().await;
}

#[tokio::test]
async fn what_is_gone_is_refused_rather_than_passed_over() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let running = claim(&app).await;
    finish(&app, running, &success(None)).await;
    let kept = app.api.submit(&job()).await;
    let now = Utc::now();
    let before = Before {
        events: Some(now),
        ..Before::default()
    };
    let mut transaction = app.pool.begin().await.unwrap();
    prune(&mut transaction, before, true, now).await.unwrap();
    transaction.commit().await.unwrap();
    let gone = body(app.api.get("/events?after=1").await, 410).await;
    assert_eq!(gone["code"], "events_pruned");
    // Positions are those of the order in which they were written: three of the one job came first.
    let page = app.api.json("/events?after=3").await;
    assert_eq!(of(&page["data"][0]), (id(&kept).to_string(), 1));
    // From the beginning is from the beginning of what there is.
    assert_eq!(app.api.all("/events").await.len(), 1);
    assert_eq!(app.api.get(&format!("{path}/events")).await.status(), 410);
    app.end().await;
}
