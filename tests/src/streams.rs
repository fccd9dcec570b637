//! Many who follow jobs through one server: how soon each has an event after its commit, and what a follower
//! costs in memory.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a measurement whose parts do not start ends here, as it would at an assertion"
)]

use crate::client::ApiClient;
use crate::postgres::TestDatabase;
use crate::processes::{Setting, resident_kib};
use crate::times::Times;
use chrono::Utc;
use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use frugal_domain::money::Spend;
use frugal_store::PgPool;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Who follows what.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Clients, each with a connection of its own, spread evenly over the jobs.
    pub subscribers: usize,
    /// Jobs.
    pub jobs: usize,
    /// Events of each job, written one after the other.
    pub events: usize,
    /// How long to wait between them.
    pub pause: Duration,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Times from commit to client.
    pub delays: Times,
    /// Events that should have arrived, over all clients.
    pub expected: usize,
    /// Resident memory of the server with its followers beyond that without, in KiB for each.
    pub kib_each: f64,
}

/// When events were committed, by job and number.
type Commits = Arc<Mutex<HashMap<(usize, i64), Instant>>>;

/// Serves, has clients follow jobs, writes events, and measures. Everything ends with it.
pub async fn measure(plan: Plan) -> Measured {
    let database = TestDatabase::create().await;
    let setting = Setting::local(database.url(), "http://127.0.0.1:1/v1");
    let (mut server, url) = setting.serve(0).await;
    let process = server.id();
    server.read_on();
    let api = ApiClient::new(&url);
    let mut paths = Vec::new();
    for _ in 0..plan.jobs {
        paths.push(api.submit(&job()).await);
    }
    let before = resident_kib(process);
    let (arrivals, mut arrived) = mpsc::unbounded_channel();
    let open = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for number in 0..plan.subscribers {
        let job = number % plan.jobs;
        let (arrivals, opened) = (arrivals.clone(), Arc::clone(&open));
        let (url, path) = (url.clone(), paths[job].clone());
        clients.push(tokio::spawn(async move {
            follow(&url, &path, |seq, at| {
                if seq == 1 {
                    opened.fetch_add(1, Ordering::Relaxed);
                }
                let _ = arrivals.send((job, seq, at));
            })
            .await;
        }));
        // The server's queue of connections is bounded.
        if number % 64 == 63 {
            until(|| open.load(Ordering::Relaxed) + 64 > number).await;
        }
    }
    drop(arrivals);
    until(|| open.load(Ordering::Relaxed) == plan.subscribers).await;
    let commits = Commits::default();
    let pool = frugal_store::connect(database.url(), 4).expect("the URL is one");
    write(&pool, &paths, plan, &commits).await;
    let expected = plan.subscribers * plan.events;
    let mut delays = Vec::with_capacity(expected);
    let last = tokio::time::Instant::now() + Duration::from_secs(60);
    while delays.len() < expected {
        let Ok(Some((job, seq, at))) = tokio::time::timeout_at(last, arrived.recv()).await else {
            break;
        };
        let commits = commits.lock().unwrap_or_else(PoisonError::into_inner);
        // The first event of each job was there before.
        if let Some(committed) = commits.get(&(job, seq)) {
            delays.push(at.saturating_duration_since(*committed));
        }
    }
    // While all of them follow, and have had their events.
    let after = resident_kib(process);
    #[expect(clippy::cast_precision_loss, reason = "kilobytes and clients are few")]
    let kib_each = after.saturating_sub(before) as f64 / plan.subscribers as f64;
    for client in clients {
        client.abort();
    }
    pool.close().await;
    server.stop().await;
    database.drop().await;
    Measured {
        delays: Times::of(&delays),
        expected,
        kib_each,
    }
}

/// Writes the events of all jobs, and when each was committed.
async fn write(pool: &PgPool, paths: &[String], plan: Plan, commits: &Commits) {
    for count in 0..plan.events {
        for (job, path) in paths.iter().enumerate() {
            let id: JobId = path
                .strip_prefix("/jobs/")
                .and_then(|id| id.parse().ok())
                .expect("a job's path ends in its id");
            let tokens = u64::try_from(count).expect("a small number");
            let event = EventBody::BudgetUpdated {
                spend: Spend {
                    tokens,
                    ..Spend::default()
                },
            };
            let mut transaction = pool.begin().await.expect("the database is there");
            let seq =
                frugal_store::events::append(&mut transaction, id, &[event], Utc::now()).await;
            let seq = seq.expect("the event can be written");
            // Taken just before, so that what is measured is no less than the true delay.
            note(commits, job, seq);
            transaction.commit().await.expect("the event is committed");
        }
        tokio::time::sleep(plan.pause).await;
    }
}

/// Notes that an event is committed now.
fn note(commits: &Commits, job: usize, seq: i64) {
    let mut commits = commits.lock().unwrap_or_else(PoisonError::into_inner);
    commits.insert((job, seq), Instant::now());
}

/// Follows a job over a connection of its own, and tells of each event when its frame is there.
async fn follow(url: &str, path: &str, mut tell: impl FnMut(i64, Instant)) {
    let address = url.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address)
        .await
        .expect("the server listens");
    let request = format!(
        "GET {path}/events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n"
    );
    let sent = connection.write_all(request.as_bytes()).await;
    sent.expect("the request is sent");
    let (mut held, mut chunk) = (Vec::new(), vec![0; 4096]);
    while let Ok(count @ 1..) = connection.read(&mut chunk).await {
        let at = Instant::now();
        held.extend_from_slice(&chunk[..count]);
        let mut taken = 0;
        while let Some(end) = held[taken..].windows(2).position(|pair| pair == b"\n\n") {
            let frame = String::from_utf8_lossy(&held[taken..taken + end]);
            let id = frame.lines().find_map(|line| line.strip_prefix("id: "));
            if let Some(seq) = id.and_then(|id| id.parse().ok()) {
                tell(seq, at);
            }
            taken += end + 2;
        }
        held.drain(..taken);
    }
}

async fn until(done: impl Fn() -> bool) {
    let last = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < last, "clients are not served");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A job that waits for ever: nothing drives it.
fn job() -> Value {
    json!({
        "data": {"instances": [{"question": "2 + 2", "answer": "4"}]},
        "model": {"endpoint": "local", "model": "gemma-3-270m"},
        "prompt": "What is {{ question }}?",
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
        "budgets": {"optimization": {"usd": 0.1}}
    })
}
