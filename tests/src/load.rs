//! How soon a server answers: whoever polls jobs that run, whoever posts a large one, whoever lists among many.
#![expect(
    clippy::expect_used,
    reason = "a world that does not start fails here, as it would at an assertion"
)]

use crate::bench::Bench;
use crate::client::ApiClient;
use crate::times::Times;
use frugal_simulator::Recordings;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Times that large jobs are posted.
const POSTS: usize = 10;
/// Times that each list is asked for.
const LISTS: usize = 200;
/// How long each answer of the endpoint takes.
const LATENCY: Duration = Duration::from_millis(200);
/// Jobs of a page.
const PAGE: usize = 100;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program; the one beside this one where there is none.
    pub program: Option<PathBuf>,
    /// How often a second a job is asked for, whether earlier answers have come or not.
    pub rate: u32,
    /// For how long.
    pub period: Duration,
    /// Jobs that run meanwhile, which are those that are asked for.
    pub running: usize,
    /// Rows of a large job.
    pub rows: usize,
    /// Jobs that have ended, among which the lists look.
    pub ended: i32,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// `GET /jobs/{id}`, from the moment that it was due.
    pub polls: Times,
    /// How many of them came a second.
    pub polls_per_second: f64,
    /// `POST /jobs` with many rows.
    pub posts: Times,
    /// Pages of a list among many jobs, by what they were asked with.
    pub lists: Vec<(String, Times)>,
}

/// Serves, has jobs run, asks, and measures. Everything ends with it.
///
/// # Panics
/// Where programs do not start, or an answer is another than asked for.
pub async fn measure(plan: &Plan) -> Measured {
    let bench = Bench::start(plan.program.as_deref(), LATENCY).await;
    let setting = &bench.setting;
    let (mut server, url) = setting.serve(0).await;
    server.read_on();
    let api = ApiClient::new(&url);
    let mut paths = Vec::new();
    for seed in 0..plan.running {
        paths.push(api.submit(&endless(seed)).await);
    }
    let slots = u32::try_from(plan.running).unwrap_or(u32::MAX);
    let mut worker = setting.worker_with(slots.max(1)).await;
    worker.read_on();
    for path in &paths {
        until_running(&api, path).await;
    }
    let (polls, took) = poll(&api, &paths, plan).await;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let polls_per_second = polls.len() as f64 / took.as_secs_f64();
    assert!(worker.stop().await, "the worker stops when it is asked to");

    let mut posts = Vec::new();
    for seed in 0..POSTS {
        let body = large(plan.rows, seed);
        let request = api.request(Method::POST, "/jobs").json(&body);
        let begun = Instant::now();
        let response = request.send().await.expect("the server answers");
        posts.push(begun.elapsed());
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    store_ended(&setting.database_url, plan.ended).await;
    let mut lists = Vec::new();
    for query in [
        "",
        "&state=succeeded",
        "&label=team:search",
        "&name=answers",
    ] {
        let path = format!("/jobs?limit={PAGE}{query}");
        let mut times = Vec::new();
        for _ in 0..LISTS {
            let begun = Instant::now();
            let response = get(&api, &path).await;
            let page: Value = response.json().await.expect("the answer is JSON");
            times.push(begun.elapsed());
            let jobs = page["data"].as_array().map_or(0, Vec::len);
            assert_eq!(jobs, PAGE, "{path}");
        }
        lists.push((path, Times::of(&times)));
    }
    assert!(server.stop().await, "the server stops when it is asked to");
    bench.end().await;
    Measured {
        polls: Times::of(&polls),
        polls_per_second,
        posts: Times::of(&posts),
        lists,
    }
}

async fn until_running(api: &ApiClient, path: &str) {
    let last = Instant::now() + Duration::from_secs(60);
    loop {
        let job = api.json(path).await;
        if job["state"] == "running" && job["progress"]["requests"].as_u64() > Some(0) {
            return;
        }
        assert!(Instant::now() < last, "{path} does not run: {job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An answer as it comes: to hold it against openapi.yaml would take more time than it does.
async fn get(api: &ApiClient, path: &str) -> Response {
    let response = api.request(Method::GET, path).send().await;
    let response = response.expect("the server answers");
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response
}

/// Asks for jobs, one after the other, at a rate; how long each answer took, and all of it.
async fn poll(api: &ApiClient, paths: &[String], plan: &Plan) -> (Vec<Duration>, Duration) {
    let (api, paths, plan) = (api.clone(), paths.to_vec(), plan.clone());
    let runtime = Handle::current();
    // By a thread of its own: the timers of the runtime are up to a millisecond late.
    let asking = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let mut asked = Vec::new();
        for (number, path) in (0..).zip(paths.iter().cycle()) {
            // A late request counts from when it was due.
            let due = Duration::from_secs(1) * number / plan.rate.max(1);
            if due >= plan.period {
                break;
            }
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            let (api, path) = (api.clone(), path.clone());
            asked.push(runtime.spawn(async move {
                let response = get(&api, &path).await;
                response.bytes().await.expect("the answer comes");
                begun.elapsed() - due
            }));
        }
        (asked, begun)
    });
    let (asked, begun) = asking.await.expect("requests are sent");
    let mut times = Vec::with_capacity(asked.len());
    for one in asked {
        times.push(one.await.expect("the job is there"));
    }
    (times, begun.elapsed())
}

/// Copies the newest job so many times, as one that has ended, half of them another team's.
async fn store_ended(url: &str, count: i32) {
    let connection = PgConnection::connect(url).await;
    let mut connection = connection.expect("the database is there");
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(attname) FROM pg_attribute
         WHERE attrelid = 'jobs'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''
         AND attname NOT IN ('id', 'state', 'labels', 'name', 'created_at', 'finished_at', 'idempotency_key')",
    )
    .fetch_all(&mut connection)
    .await
    .expect("there is a table of jobs");
    let columns = columns.join(", ");
    let copy = format!(
        "INSERT INTO jobs (id, state, labels, name, created_at, finished_at, {columns})
         SELECT gen_random_uuid(), 'succeeded',
                jsonb_build_object('team', CASE WHEN number % 2 = 0 THEN 'search' ELSE 'other' END),
                'answers ' || number, now() - number * interval '1 second', now(), {columns}
         FROM (SELECT * FROM jobs ORDER BY created_at LIMIT 1) AS job, generate_series(1, $1) AS number"
    );
    let copied = sqlx::query(sqlx::AssertSqlSafe(copy))
        .bind(count)
        .execute(&mut connection);
    copied.await.expect("the copies can be stored");
    let vacuum = sqlx::query("VACUUM ANALYZE jobs").execute(&mut connection);
    vacuum.await.expect("the table can be looked through");
    connection.close().await.expect("the database is there");
}

/// A job that goes on for longer than it is measured.
fn endless(seed: usize) -> Value {
    let recordings = Recordings::embedded().expect("there are recordings");
    let prompt = recordings.prompts("arithmetic").first();
    let mut job = job(recordings.instances("arithmetic").to_vec(), seed);
    job["prompt"] = json!(prompt.map(|prompt| &prompt.template));
    job
}

/// A job over so many rows, which no worker takes.
fn large(rows: usize, seed: usize) -> Value {
    let row = |row: usize| {
        let question =
            format!("What do {row} and {seed} apples come to, if nobody eats any meanwhile?");
        json!({"question": question, "answer": (row + seed).to_string()})
    };
    job((0..rows).map(row).collect(), seed)
}

fn job(rows: Vec<Value>, seed: usize) -> Value {
    json!({
        "name": "answers",
        "labels": {"team": "search"},
        "data": {"instances": rows},
        "model": {"endpoint": "local", "model": "gemma-3-270m"},
        "prompt": "{{ question }}",
        "search_space": {
            "temperature": {"float": [0, 1.3]},
            "max_tokens": {"int": [16, 128]},
            "n": {"int": [1, 10]}
        },
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
        "budgets": {"optimization": {"usd": 100}},
        "limits": {"trials": 100_000},
        "baseline": false,
        "search": {"seed": seed, "algorithm": "random", "extent": "searched"}
    })
}
