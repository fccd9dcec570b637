//! Exports that are long, and clients that leave them.

use crate::{append, body, claim, id, job, start};
use frugal_domain::event::EventBody;
use frugal_domain::money::{Spend, Usd};
use frugal_tests::app::TestApp;
use reqwest::{Method, Response};
use serde_json::Value;
use std::time::Duration;

/// Gives a job so many responses of two kilobytes.
async fn fill(app: &TestApp, path: &str, responses: i32) {
    for statement in [
        "INSERT INTO requests (job_id, purpose, trial, ordinal, attempt, state, instance, n, max_tokens,
                               worst_usd_pico, worst_tokens, cost_usd_pico, cost_tokens, sent_at,
                               answered_at)
         SELECT $1, 'search', 1, number, 1, 'answered', 0, 1, 16, 1, 1, 1, 1, now(), now()
         FROM generate_series(1, $2) AS number",
        "INSERT INTO responses (job_id, purpose, trial, ordinal, attempt, position, text, finish_reason,
                                estimated_tokens)
         SELECT $1, 'search', 1, number, 1, 0, repeat('a word ', 300), 'stop', 1
         FROM generate_series(1, $2) AS number",
    ] {
        sqlx::query(statement)
            .bind(id(path).0)
            .bind(responses)
            .execute(&app.pool)
            .await
            .unwrap();
    }
}

/// How many connections are sending rows to somebody who does not take them.
async fn blocked(app: &TestApp) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND state = 'active' AND wait_event = 'ClientWrite'",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

/// How many connections hold a picture of the database.
async fn open(app: &TestApp) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

/// Asks again and again until it is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    let asking = async { while !is_so().await {} };
    let so = tokio::time::timeout(Duration::from_secs(60), asking).await;
    assert!(so.is_ok(), "it does not come to be so");
}

/// Begins an export and takes its first bytes alone.
async fn begin(app: &TestApp, path: &str) -> (Response, Vec<u8>) {
    let request = app.api.request(Method::GET, &format!("{path}/export"));
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let first = response.chunk().await.unwrap().unwrap();
    (response, first.to_vec())
}

#[tokio::test]
async fn rows_stay_in_the_database_until_the_client_takes_them() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    claim(&app).await;
    // More than all buffers between hold.
    fill(&app, &path, 8_000).await;
    let (mut response, mut taken) = begin(&app, &path).await;
    until(async || blocked(&app).await > 0).await;

    // What happens meanwhile is not in it.
    let spend = Spend {
        usd: Usd::ZERO,
        tokens: 1,
    };
    append(&app, &path, &[EventBody::BudgetUpdated { spend }]).await;
    fill_one_more(&app, &path).await;
    while let Some(chunk) = response.chunk().await.unwrap() {
        taken.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(taken).unwrap();
    assert!(text.len() > 16_000_000);
    let end: Value = serde_json::from_str(text.lines().next_back().unwrap()).unwrap();
    assert_eq!(end["type"], "end");
    assert_eq!(end["data"]["lines"]["response"], 8_000);
    assert_eq!(end["data"]["lines"]["event"], 2);
    app.end().await;
}

async fn fill_one_more(app: &TestApp, path: &str) {
    let inserted = sqlx::query(
        "INSERT INTO responses SELECT job_id, purpose, trial, ordinal, attempt, 1, text, finish_reason,
                                      estimated_tokens
         FROM responses WHERE job_id = $1 AND ordinal = 8000",
    )
    .bind(id(path).0)
    .execute(&app.pool)
    .await
    .unwrap();
    assert_eq!(inserted.rows_affected(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_connection() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    claim(&app).await;
    fill(&app, &path, 8_000).await;
    // More than there are turns: none is kept by those who left.
    for _ in 0..5 {
        let (response, _) = begin(&app, &path).await;
        until(async || blocked(&app).await > 0).await;
        drop(response);
        until(async || open(&app).await == 0).await;
    }
    app.end().await;
}

#[tokio::test]
async fn there_is_no_export_of_no_job() {
    let app = start().await;
    let nothing = "/jobs/01900000-0000-7000-8000-000000000000/export";
    let problem = body(app.api.get(nothing).await, 404).await;
    assert_eq!(problem["code"], "not_found");
    app.end().await;
}
