//! Event streams of many who follow the same job: they share one reader, and the slow ones among them hold
//! nobody up.

use crate::{append, claim, finish, job, start, success};
use frugal_domain::event::EventBody;
use frugal_domain::id::TrialNumber;
use frugal_domain::money::Spend;
use frugal_tests::app::TestApp;
use futures::StreamExt;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An event of so many bytes.
fn large(bytes: usize) -> EventBody {
    EventBody::TrialInfeasible {
        trial: TrialNumber(1),
        detail: "x".repeat(bytes),
        spend: Spend::default(),
    }
}

/// Asks for a job's stream over a connection of its own, and reads nothing of it.
async fn ask(app: &TestApp, path: &str) -> TcpStream {
    let request = app.api.request(Method::GET, "/").build().unwrap();
    let address = request.url().socket_addrs(|| None).unwrap()[0];
    let mut connection = TcpStream::connect(address).await.unwrap();
    let asked = format!(
        "GET {path}/events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\nLast-Event-ID: 1\r\n\r\n"
    );
    connection.write_all(asked.as_bytes()).await.unwrap();
    connection
}

#[tokio::test]
async fn who_comes_in_the_middle_is_shown_the_job_first() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    append(&app, &path, &[large(10), large(10)]).await;
    let stream = |query: &str| {
        let path = format!("{path}/events?snapshot=true{query}");
        app.api.request(Method::GET, &path)
    };
    let mut late = app.api.open(stream("")).await;
    let first = late.next().await.unwrap();
    assert_eq!((first.name.as_str(), first.id), ("snapshot", 4));
    let shown = app.api.json(&path).await;
    assert_eq!(first.payload["job"], shown, "it is the job as it is");
    assert_eq!(shown["last_seq"], 4);
    append(&app, &path, &[large(10)]).await;
    assert_eq!(late.next().await.unwrap().id, 5);
    // Who has a part of the events goes on after it.
    let mut again = app.api.open(stream("&after=3")).await;
    assert_eq!(again.next().await.unwrap().id, 4);
    let resumed = stream("").header("last-event-id", "4");
    let mut resumed = app.api.open(resumed).await;
    assert_eq!(resumed.next().await.unwrap().id, 5);
    finish(&app, claim, &success(None)).await;
    let ended: Vec<_> = app.api.open(stream("")).await.collect().await;
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].payload["job"]["state"], "succeeded");
    let job_of_pages = app.api.json(&format!("{path}/events?snapshot=true")).await;
    assert_eq!(job_of_pages["data"][0]["seq"], 1, "pages begin with none");
    app.end().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_holds_nobody_up_and_is_told_to_come_again() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    let mut still = ask(&app, &path).await;
    // It is served: its first bytes are there.
    still.peek(&mut [0]).await.unwrap();
    let mut quick = app.api.stream(&path, Some(2)).await;
    // Far more than is at hand for it and than its connection holds.
    for _ in 0..40 {
        let events: Vec<_> = (0..10).map(|_| large(60_000)).collect();
        let last = append(&app, &path, &events).await;
        while quick.next().await.unwrap().id < last {}
    }
    finish(&app, claim, &success(None)).await;
    assert_eq!(quick.next().await.unwrap().name, "job.succeeded");

    // Now it reads on, and is told where its stream ends.
    let (mut text, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
    while !text.ends_with(b"0\r\n\r\n") {
        let count = still.read(&mut chunk).await.unwrap();
        assert!(count > 0, "the stream ends in good order");
        text.extend_from_slice(&chunk[..count]);
    }
    let text = String::from_utf8_lossy(&text);
    let tail = &text[text.len().saturating_sub(400)..];
    assert!(tail.contains("reconnect with Last-Event-ID"), "{tail}");
    let mut ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
    let last: i64 = ids.next_back().unwrap().parse().unwrap();
    assert!(last < 400, "it was not sent all: {last}");
    // It loses nothing by it.
    let rest = app.api.follow(&path, Some(last)).await;
    assert_eq!(rest.first().unwrap().id, last + 1);
    assert_eq!(rest.last().unwrap().id, 403);
    app.end().await;
}

#[tokio::test]
async fn clients_that_vanish_hold_nobody_up() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    let mut stays = app.api.stream(&path, Some(2)).await;
    for round in 0..5_i64 {
        let mut vanishing = Vec::new();
        for _ in 0..40 {
            vanishing.push(ask(&app, &path).await);
        }
        for connection in &vanishing {
            connection.peek(&mut [0]).await.unwrap();
        }
        drop(vanishing);
        append(&app, &path, &[large(1_000)]).await;
        assert_eq!(stays.next().await.unwrap().id, 3 + round);
    }
    finish(&app, claim, &success(None)).await;
    assert_eq!(stays.next().await.unwrap().name, "job.succeeded");
    assert!(stays.next().await.is_none());
    app.end().await;
}

#[tokio::test]
async fn many_who_follow_a_job_see_all_of_it() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(app.api.stream(&path, Some(2)).await);
    }
    for round in 0..20 {
        append(&app, &path, &[large(100)]).await;
        for stream in &mut streams {
            assert_eq!(stream.next().await.unwrap().id, 3 + round);
        }
    }
    finish(&app, claim, &success(None)).await;
    for mut stream in streams {
        assert_eq!(stream.next().await.unwrap().name, "job.succeeded");
        assert!(stream.next().await.is_none());
    }
    app.end().await;
}
