//! Jobs that change their worker: killed, stopped, frozen and awake again.

use crate::takeover::outcomes;
use crate::{World, job};
use chrono::{DateTime, TimeDelta, Utc};
use frugal_tests::client::ApiClient;
use frugal_tests::processes::Frugal;
use futures::StreamExt;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

/// Requests that the jobs here have in flight at once.
const IN_FLIGHT: u64 = 4;

/// A job that keeps [`IN_FLIGHT`] requests under way.
fn steady_job() -> Value {
    let mut body = job(10, 12);
    body["search"]["requests_in_flight"] = json!(IN_FLIGHT);
    body
}

/// The attempts at a job, the first one first.
async fn attempts(api: &ApiClient, job: &str) -> Vec<Value> {
    let mut attempts = api.all(&format!("{job}/attempts")).await;
    attempts.reverse();
    attempts
}

fn endings(attempts: &[Value]) -> Vec<&str> {
    let ending = |attempt: &Value| attempt["ending"].as_str().map(str::to_owned);
    assert!(attempts.iter().all(|attempt| ending(attempt).is_some()));
    attempts
        .iter()
        .filter_map(|attempt| attempt["ending"].as_str())
        .collect()
}

fn moment(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// Waits until a job has been taken so many times.
async fn taken(api: &ApiClient, job: &str, times: i64) {
    let mut events = api.stream(job, None).await;
    while let Some(event) = events.next().await {
        if event.name == "job.running" && event.payload["data"]["attempt"] == times {
            return;
        }
    }
}

#[tokio::test]
async fn the_job_of_a_killed_worker_goes_on_when_its_lease_has_run_out() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let first = world.setting.worker().await;
    let path = api.submit(&steady_job()).await;
    gate.arrived(25).await;
    let second = world.setting.worker().await;
    let mut connection = PgConnection::connect(world.database.url()).await.unwrap();
    let killed_at: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    first.kill().await;
    gate.open();
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded");

    let attempts = attempts(&api, &path).await;
    assert_eq!(endings(&attempts), ["lost", "succeeded"]);
    assert_ne!(attempts[0]["worker"], attempts[1]["worker"]);
    let lease = TimeDelta::seconds(world.setting.lease_seconds.into());
    let lost_at = moment(&attempts[0]["ended_at"]);
    assert!(lost_at <= killed_at + lease, "the lease was not extended");
    // Its lease ran out before it was taken, and it was taken as soon as that was so; the bound is
    // generous, for machines that do much besides.
    let taken_at = moment(&attempts[1]["started_at"]);
    assert!(taken_at >= lost_at - TimeDelta::milliseconds(100));
    assert!(
        taken_at < lost_at + TimeDelta::seconds(2),
        "{taken_at} is long after {lost_at}"
    );
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_worker_that_was_frozen_past_its_lease_changes_nothing() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let mut frozen = world.setting.worker().await;
    let path = api.submit(&steady_job()).await;
    // All before these are stored, or there would be no room for them.
    gate.until(|progress| progress.in_flight() == IN_FLIGHT)
        .await;
    frozen.signal("STOP").await;
    let held = gate.progress();
    let second = world.setting.worker().await;
    taken(&api, &path, 2).await;
    // It asks again for what the first has in flight, and for nothing else.
    gate.until(|progress| progress.in_flight() == 2 * IN_FLIGHT)
        .await;
    frozen.signal("CONT").await;
    frozen
        .wait_for("the job is another worker's, and let go")
        .await;
    // It has dropped what it had in flight.
    gate.abandoned(IN_FLIGHT).await;
    gate.open();
    let events = api.follow(&path, None).await;
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..).take(ids.len()).collect::<Vec<i64>>());
    assert_eq!(endings(&attempts(&api, &path).await), ["lost", "succeeded"]);
    let disturbed = gate.progress();

    let undisturbed = api.submit(&steady_job()).await;
    api.follow(&undisturbed, None).await;
    assert_eq!(
        outcomes(&api, &path).await,
        outcomes(&api, &undisturbed).await
    );
    let asked = gate.progress().arrived - disturbed.arrived;
    assert_eq!(held.in_flight(), IN_FLIGHT);
    assert_eq!(
        disturbed.arrived,
        asked + IN_FLIGHT,
        "asked twice: what was in flight, and nothing else"
    );
    assert!(frozen.stop().await && second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_stopped_worker_stores_what_comes_home_and_says_so() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let mut first = world.setting.worker().await;
    let path = api.submit(&steady_job()).await;
    gate.until(|progress| progress.in_flight() == IN_FLIGHT)
        .await;
    first.signal("TERM").await;
    first
        .wait_for("stopping; a second signal stops at once")
        .await;
    gate.open();
    assert!(first.ended().await.success());
    let given_back = attempts(&api, &path).await;
    assert_eq!(endings(&given_back), ["given_back"]);
    let lost = api.json(&path).await["spend"]["by_role"]["lost"].clone();
    assert_eq!(lost, json!(null), "all of it came home");
    let arrived = gate.progress().arrived;
    assert_eq!(arrived, 24 + IN_FLIGHT, "nothing was sent any more");
    let second = world.setting.worker().await;
    api.follow(&path, None).await;
    let attempts = attempts(&api, &path).await;
    assert_eq!(endings(&attempts), ["given_back", "succeeded"]);
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

/// How a process ended that was told to stop while its requests do not come home.
async fn stopped_in_vain(queue: &str, second_signal: bool) -> (Option<i32>, Value) {
    let mut world = World::new().await;
    world.setting.queue = queue.to_owned();
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let mut worker: Frugal = world.setting.worker().await;
    let path = api.submit(&steady_job()).await;
    gate.until(|progress| progress.in_flight() == IN_FLIGHT)
        .await;
    worker.signal("TERM").await;
    worker
        .wait_for("stopping; a second signal stops at once")
        .await;
    if second_signal {
        worker.signal("TERM").await;
    }
    let status = worker.ended().await;
    let attempt = attempts(&api, &path).await.remove(0);
    gate.open();
    assert!(server.stop().await);
    world.end().await;
    (status.code(), attempt["ending"].clone())
}

#[tokio::test]
async fn what_does_not_come_home_within_the_grace_is_not_waited_for() {
    let ended = stopped_in_vain("grace_seconds = 1", false).await;
    assert_eq!(ended, (Some(0), json!("given_back")));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    // The grace is longer than any test takes.
    let ended = stopped_in_vain("grace_seconds = 3600", true).await;
    assert_eq!(ended, (Some(143), json!(null)), "its lease runs out");
}

/// What becomes of a job that another version has begun: it is given back, and no worker of that version
/// comes. What is stored of its requests may be changed meanwhile, so that it cannot be lived through.
async fn taken_over(change: Option<&'static str>) -> (Value, Value, Vec<Value>) {
    let mut world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(60);
    let first = world.setting.worker().await;
    let path = api.submit(&steady_job()).await;
    gate.until(|progress| progress.in_flight() == IN_FLIGHT)
        .await;
    let stopping = tokio::spawn(first.stop());
    gate.open();
    assert!(stopping.await.unwrap());
    let mut connection = PgConnection::connect(world.database.url()).await.unwrap();
    for statement in ["UPDATE jobs SET decided_by = 4711"]
        .into_iter()
        .chain(change)
    {
        sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    // One that would wait for workers of that version does not take it.
    let patient = world.setting.worker().await;
    world.setting.queue = "other_version_seconds = 0".to_owned();
    let second = world.setting.worker().await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    let report = api.get(&format!("{path}/report")).await;
    assert_eq!(report.status(), 200);
    let report = serde_json::from_str(&report.text().await.unwrap()).unwrap();
    let attempts = attempts(&api, &path).await;
    assert!(patient.stop().await && second.stop().await && server.stop().await);
    world.end().await;
    (job, report, attempts)
}

#[tokio::test]
async fn a_job_of_another_version_goes_on_where_it_can_be_lived_through() {
    let (job, _, attempts) = taken_over(None).await;
    assert_eq!(job["state"], "succeeded");
    assert_eq!(endings(&attempts), ["given_back", "succeeded"]);
}

#[tokio::test]
async fn a_job_of_another_version_that_differs_is_ended_with_what_it_found() {
    let change = "UPDATE requests SET max_tokens = max_tokens + 1 WHERE trial > 0";
    let (job, report, attempts) = taken_over(Some(change)).await;
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&json!("failed"), &json!("other_version"))
    );
    assert!(job["detail"].as_str().unwrap().contains("another version"));
    assert_eq!(report["stop_reason"], "other_version");
    assert_eq!(job["progress"]["trials"]["running"], 0);
    assert!(job["spend"]["tokens"].as_u64().unwrap() > 0);
    assert_eq!(endings(&attempts), ["given_back", "failed"]);
}
