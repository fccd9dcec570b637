//! How many small jobs workers finish in a second, by the number of workers: real processes, a PostgreSQL that
//! flushes to disk at each commit, and an endpoint that takes its time.
#![expect(
    clippy::expect_used,
    reason = "a world that does not start fails here, as it would at an assertion"
)]

use crate::bench::Bench;
use crate::client::ApiClient;
use frugal_simulator::Recordings;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Jobs that each worker finishes before it is measured: connections and pages are new at first.
const WARM_UP: u32 = 2;

/// How often it is looked how many have ended.
const LOOK: Duration = Duration::from_millis(100);

/// How long a round may take.
const ENOUGH: Duration = Duration::from_secs(600);

/// What is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program; the one beside this one where there is none.
    pub program: Option<PathBuf>,
    /// Jobs that each worker is to finish.
    pub jobs: u32,
    /// How long each answer of the endpoint takes.
    pub latency: Duration,
    /// The most requests that may be in flight at the endpoint, of all workers together.
    pub requests_in_flight: u32,
}

/// What a number of workers came to.
#[derive(Debug, Clone, Copy)]
pub struct Drained {
    /// Worker processes, with one job at a time each.
    pub workers: u32,
    /// Jobs that were measured.
    pub jobs: u32,
    /// How many ended in a second.
    pub per_second: f64,
    /// How many calls of the endpoint that were, in a second.
    pub calls_per_second: f64,
}

/// Has a number of workers finish jobs that wait for them.
///
/// # Panics
/// Where programs do not start, or jobs do not end.
pub async fn run(plan: &Plan, workers: u32) -> Drained {
    let mut bench = Bench::start(plan.program.as_deref(), plan.latency).await;
    let setting = &mut bench.setting;
    setting.lease_seconds = 30;
    let limit = format!(
        "[endpoints.local.limits]\nrequests_in_flight = {}\n",
        plan.requests_in_flight
    );
    setting.endpoints.push_str(&limit);
    let (mut server, url) = setting.serve(0).await;
    server.read_on();
    let api = ApiClient::new(&url);
    let (warm_up, measured) = (workers * WARM_UP, workers * plan.jobs);
    for seed in 0..warm_up + measured {
        api.submit(&job(seed)).await;
    }
    let mut processes = Vec::new();
    for _ in 0..workers {
        let mut worker = setting.worker().await;
        worker.read_on();
        processes.push(worker);
    }
    let connection = PgConnection::connect(&bench.setting.database_url).await;
    let mut connection = connection.expect("the database is there");
    ended(&mut connection, warm_up).await;
    let (begun, asked) = (Instant::now(), bench.simulator.gate().progress().answered);
    let before = count(&mut connection).await;
    let after = ended(&mut connection, warm_up + measured).await;
    let took = begun.elapsed().as_secs_f64();
    let calls = bench.simulator.gate().progress().answered - asked;
    let jobs = after - before;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let calls = calls as f64;
    for worker in processes {
        assert!(worker.stop().await, "a worker stops when it is asked to");
    }
    assert!(server.stop().await, "the server stops when it is asked to");
    connection.close().await.expect("the database is there");
    bench.end().await;
    Drained {
        workers,
        jobs,
        per_second: f64::from(jobs) / took,
        calls_per_second: calls / took,
    }
}

async fn count(connection: &mut PgConnection) -> u32 {
    let query = "SELECT count(*) FROM jobs WHERE state = 'succeeded'";
    let count: i64 = sqlx::query_scalar(query)
        .fetch_one(connection)
        .await
        .expect("the database answers");
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Waits until so many jobs have ended, and tells how many have.
async fn ended(connection: &mut PgConnection, wanted: u32) -> u32 {
    let until = Instant::now() + ENOUGH;
    loop {
        let ended = count(connection).await;
        if ended >= wanted {
            return ended;
        }
        assert!(
            Instant::now() < until,
            "{ended} of {wanted} jobs have ended"
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// A small job: a few configurations on some rows.
fn job(seed: u32) -> Value {
    let recordings = Recordings::embedded().expect("there are recordings");
    let rows: Vec<_> = recordings.instances("arithmetic").iter().take(8).collect();
    let prompt = recordings.prompts("arithmetic").first();
    json!({
        "data": {"instances": rows},
        "model": {"endpoint": "local", "model": "gemma-3-270m"},
        "prompt": prompt.map(|prompt| &prompt.template),
        "search_space": {
            "temperature": {"float": [0, 1.3]},
            "max_tokens": 48,
            "n": 1,
            "stop": ["\n\n"]
        },
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}", "extract": "first_line_last_number"}
        },
        "budgets": {"optimization": {"usd": 0.1}},
        "limits": {"trials": 4},
        "baseline": false,
        "search": {"seed": seed, "algorithm": "random", "extent": "searched", "parallel_trials": 1}
    })
}
