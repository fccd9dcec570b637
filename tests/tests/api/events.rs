//! Events, as pages and as streams.

use crate::{append, body, claim, finish, header, id, job, start, success};
use frugal_domain::event::EventBody;
use frugal_domain::money::Spend;
use frugal_tests::app::TestApp;
use frugal_tests::client::StreamedEvent;
use futures::StreamExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Events that change nothing else.
fn news(count: u64) -> Vec<EventBody> {
    let event = |tokens| EventBody::BudgetUpdated {
        spend: Spend {
            tokens,
            ..Spend::default()
        },
    };
    (0..count).map(event).collect()
}

/// A job with this many events so far, the first being `job.queued`.
async fn with_events(app: &TestApp, count: u64) -> String {
    let path = app.api.submit(&job()).await;
    append(app, &path, &news(count - 1)).await;
    path
}

fn ids(events: &[StreamedEvent]) -> Vec<i64> {
    events.iter().map(|event| event.id).collect()
}

fn seqs(page: &Value) -> Vec<i64> {
    let rows = page["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row["seq"].as_i64().unwrap())
        .collect()
}

/// The request for a stream of a job's events.
fn stream(app: &TestApp, path: &str, query: &str) -> RequestBuilder {
    let path = format!("{path}/events{query}");
    let request = app.api.request(Method::GET, &path);
    request.header("accept", "text/event-stream")
}

#[tokio::test]
async fn pages_come_oldest_first_and_go_on_later() {
    let app = start().await;
    let path = with_events(&app, 5).await;
    let events = format!("{path}/events");
    let first = app.api.json(&format!("{events}?limit=3")).await;
    assert_eq!(seqs(&first), [1, 2, 3]);
    assert_eq!(
        (&first["has_more"], &first["next"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(first["data"][0]["type"], "job.queued");
    assert_eq!(first["data"][0]["job_id"], id(&path).to_string());
    let second = app.api.json(&format!("{events}?limit=3&after=3")).await;
    assert_eq!(seqs(&second), [4, 5]);
    assert_eq!(
        (&second["has_more"], &second["next"]),
        (&json!(false), &json!(5))
    );

    // The end of the list is where the next events come.
    let nothing = app.api.json(&format!("{events}?after=5")).await;
    assert_eq!((seqs(&nothing), &nothing["next"]), (vec![], &json!(5)));
    append(&app, &path, &news(2)).await;
    assert_eq!(
        seqs(&app.api.json(&format!("{events}?after=5")).await),
        [6, 7]
    );

    let all = app.api.json(&events).await;
    assert_eq!(seqs(&all), [1, 2, 3, 4, 5, 6, 7]);
    app.end().await;
}

#[tokio::test]
async fn an_event_of_each_page_is_as_it_was_written() {
    let app = start().await;
    let path = with_events(&app, 2).await;
    finish(&app, claim(&app).await, &success(None)).await;
    let page = app.api.json(&format!("{path}/events")).await;
    insta::assert_json_snapshot!("events", page, {
        ".data[].job_id" => "[id]",
        ".data[].created_at" => "[time]",
    });
    app.end().await;
}

#[tokio::test]
async fn a_stream_goes_from_the_first_event_to_the_last_through_a_reconnect() {
    let app = start().await;
    // More than are read from the table at once.
    let path = with_events(&app, 450).await;
    let mut seen = Vec::new();
    let mut stream = app.api.stream(&path, None).await;
    while seen.len() < 230 {
        seen.push(stream.next().await.unwrap());
    }
    drop(stream);

    // While the client is away, things go on.
    let claim = claim(&app).await;
    append(&app, &path, &news(3)).await;
    let mut stream = app.api.stream(&path, Some(seen[229].id)).await;
    while seen.len() < 454 {
        seen.push(stream.next().await.unwrap());
    }
    finish(&app, claim, &success(None)).await;
    seen.push(stream.next().await.unwrap());
    assert!(
        stream.next().await.is_none(),
        "the stream ends with the job"
    );

    assert_eq!(ids(&seen), (1..=455).collect::<Vec<_>>());
    assert_eq!(seen[0].name, "job.queued");
    assert_eq!(seen[450].name, "job.running");
    assert_eq!(seen[454].name, "job.succeeded");
    for event in &seen {
        assert_eq!(event.payload["seq"], event.id);
        assert_eq!(event.payload["type"], event.name);
    }
    let payloads: Vec<_> = seen.into_iter().map(|event| event.payload).collect();
    let pages = app.api.all(&format!("{path}/events")).await;
    assert_eq!(pages, payloads, "pages and stream tell the same");
    app.end().await;
}

#[tokio::test]
async fn streams_see_every_event_that_is_written_while_they_are_open() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    let writes = async {
        for count in (1..=20).cycle().take(60) {
            append(&app, &path, &news(count)).await;
        }
        finish(&app, claim, &success(None)).await;
    };
    let reconnecting = async {
        let mut seen: Vec<StreamedEvent> = Vec::new();
        while seen.last().is_none_or(|event| !event.is_terminal()) {
            let last = seen.last().map(|event| event.id);
            let stream = app.api.stream(&path, last).await;
            seen.extend(stream.take(37).collect::<Vec<_>>().await);
        }
        seen
    };
    let ((), first, second, third) = tokio::join!(
        writes,
        app.api.follow(&path, None),
        app.api.follow(&path, Some(2)),
        reconnecting
    );
    let last = 2 + 3 * 210 + 1;
    assert_eq!(ids(&first), (1..=last).collect::<Vec<_>>());
    assert_eq!(ids(&second), (3..=last).collect::<Vec<_>>());
    assert_eq!(ids(&third), (1..=last).collect::<Vec<_>>());
    app.end().await;
}

#[tokio::test]
async fn a_stream_begins_after_what_the_client_names() {
    let app = start().await;
    let path = with_events(&app, 9).await;
    finish(&app, claim(&app).await, &success(None)).await;
    let read = async |request| {
        let events: Vec<_> = app.api.open(request).await.collect().await;
        ids(&events)
    };
    let all: Vec<_> = (1..=11).collect();
    assert_eq!(read(stream(&app, &path, "")).await, all);
    assert_eq!(read(stream(&app, &path, "?after=0")).await, all);
    assert_eq!(read(stream(&app, &path, "?after=8")).await, [9, 10, 11]);
    // A reconnecting client repeats the URL that it began with: the header is newer.
    let both = stream(&app, &path, "?after=3").header("last-event-id", "10");
    assert_eq!(read(both).await, [11]);
    // A browser sends an empty one where it has seen no id.
    let empty = stream(&app, &path, "?after=9").header("last-event-id", "");
    assert_eq!(read(empty).await, [10, 11]);
    app.end().await;
}

#[tokio::test]
async fn nothing_comes_after_the_last_event() {
    let app = start().await;
    let path = with_events(&app, 3).await;
    finish(&app, claim(&app).await, &success(None)).await;
    for last in ["5", "6", "9223372036854775807"] {
        let request = stream(&app, &path, "").header("last-event-id", last);
        assert_eq!(app.api.send(request).await.status(), 204, "{last}");
    }
    let after = stream(&app, &path, "?after=5");
    assert_eq!(app.api.send(after).await.status(), 204);
    let page = app.api.json(&format!("{path}/events?after=5")).await;
    assert_eq!(seqs(&page), [0; 0]);
    app.end().await;
}

/// A number that no event has yet, from a client that confuses jobs.
#[tokio::test]
async fn a_stream_from_the_future_ends_with_the_job() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    for last in [50, i64::MAX] {
        let mut events = app.api.stream(&path, Some(last)).await;
        if last == 50 {
            append(&app, &path, &news(49)).await;
            assert_eq!(events.next().await.unwrap().id, 51);
        } else {
            finish(&app, claim, &success(None)).await;
            assert!(events.next().await.is_none());
        }
    }
    app.end().await;
}

#[tokio::test]
async fn frames_have_numbers_types_and_one_line_of_data() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    let infeasible = EventBody::TrialInfeasible {
        trial: frugal_domain::id::TrialNumber(1),
        detail: "two\nlines\r\nand \u{2028}".to_owned(),
        spend: Spend::default(),
    };
    append(&app, &path, &[infeasible]).await;
    finish(&app, claim, &success(None)).await;
    let response = app.api.send(stream(&app, &path, "")).await;
    assert_eq!(header(&response, "cache-control"), Some("no-cache"));
    let text = response.text().await.unwrap();
    let frames: Vec<_> = text.split_terminator("\n\n").collect();
    assert_eq!(frames.len(), 4);
    let pages = app.api.all(&format!("{path}/events")).await;
    for (frame, event) in frames.iter().zip(&pages) {
        let mut fields: Vec<_> = frame
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        fields.sort();
        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["data", "event", "id"], "{frame}");
        let data: Value = serde_json::from_str(fields[0].1).unwrap();
        assert_eq!(&data, event);
        assert_eq!(event["type"], fields[1].1);
        assert_eq!(event["seq"].to_string(), fields[2].1);
    }
    app.end().await;
}

#[tokio::test]
async fn a_stream_must_be_asked_for_rightly() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    for last in ["one", "-1", "1.5", "99999999999999999999"] {
        let request = stream(&app, &path, "").header("last-event-id", last);
        let problem = body(app.api.send(request).await, 400).await;
        assert_eq!(problem["code"], "invalid_parameter", "{last}");
    }
    let absent = "/jobs/019abf3e-5f00-7000-8000-000000000000";
    body(app.api.send(stream(&app, absent, "")).await, 404).await;
    // Anyone who would rather have JSON gets it.
    for accept in [
        "application/json",
        "*/*",
        "application/json, text/event-stream",
    ] {
        let request = app.api.request(Method::GET, &format!("{path}/events"));
        let page = app.api.send(request.header("accept", accept)).await;
        assert_eq!(seqs(&body(page, 200).await), [1], "{accept}");
    }
    app.end().await;
}

#[tokio::test]
async fn the_end_of_the_server_ends_streams() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let mut events = app.api.stream(&path, None).await;
    assert_eq!(events.next().await.unwrap().name, "job.queued");
    let (rest, ()) = tokio::join!(events.collect::<Vec<_>>(), app.end());
    assert_eq!(rest, []);
}

#[tokio::test]
async fn events_that_are_gone_are_told_of_and_not_passed_over() {
    let app = start().await;
    let path = with_events(&app, 5).await;
    let claim = claim(&app).await;
    finish(&app, claim, &success(None)).await;
    let shown = app.api.json(&path).await;
    assert!(shown["pruned"].is_null());
    let before = header(&app.api.get(&path).await, "etag")
        .unwrap()
        .to_owned();
    let pruned = sqlx::query(
        "WITH gone AS (DELETE FROM events WHERE job_id = $1 AND seq <= 4)
         UPDATE jobs SET events_pruned_through = 4 WHERE id = $1",
    );
    pruned.bind(id(&path).0).execute(&app.pool).await.unwrap();

    let known = app.api.request(Method::GET, &path);
    let known = app.api.send(known.header("if-none-match", &before)).await;
    let shown = body(known, 200).await;
    assert_eq!(
        shown["pruned"],
        json!({"events_through": 4, "responses_at": null})
    );
    for request in [
        app.api.request(Method::GET, &format!("{path}/events")),
        app.api
            .request(Method::GET, &format!("{path}/events?after=3")),
        stream(&app, &path, ""),
        stream(&app, &path, "").header("last-event-id", "3"),
    ] {
        let told = body(app.api.send(request).await, 410).await;
        assert_eq!(told["code"], "events_pruned");
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains("go on after 4"), "{detail}");
    }
    let page = app.api.json(&format!("{path}/events?after=4")).await;
    assert_eq!(seqs(&page), [5, 6, 7]);
    assert_eq!(ids(&app.api.follow(&path, Some(4)).await), [5, 6, 7]);
    app.end().await;
}

#[tokio::test]
async fn the_stream_of_a_job_that_is_deleted_ends() {
    let app = start().await;
    let path = with_events(&app, 3).await;
    let claim = claim(&app).await;
    let mut followed = app.api.stream(&path, Some(3)).await;
    assert_eq!(followed.next().await.unwrap().name, "job.running");
    // It ends unseen by its follower, who is still waiting when it goes.
    let ended = sqlx::query(
        "UPDATE jobs SET state = 'succeeded', finished_at = now(), lease_expires_at = NULL WHERE id = $1",
    );
    ended.bind(claim.job.0).execute(&app.pool).await.unwrap();
    let request = app.api.request(Method::DELETE, &path);
    assert_eq!(app.api.send(request).await.status(), 204);
    assert!(followed.next().await.is_none());
    let again = app
        .api
        .send(stream(&app, &path, "").header("last-event-id", "4"));
    assert_eq!(body(again.await, 404).await["code"], "not_found");
    app.end().await;
}
