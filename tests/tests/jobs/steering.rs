//! Jobs that their owner steers while they run.

use crate::takeover::outcomes;
use crate::{World, job};
use frugal_tests::client::{ApiClient, StreamedEvent};
use futures::StreamExt;
use serde_json::{Value, json};

/// Reads a job's events from one on up to one of this name.
async fn until(api: &ApiClient, path: &str, after: i64, name: &str) -> StreamedEvent {
    let mut stream = api.stream(path, Some(after)).await;
    loop {
        let event = stream.next().await.unwrap();
        assert!(!event.is_terminal(), "the job ends before {name}");
        if event.name == name {
            return event;
        }
    }
}

/// Asks something of a job, which it takes.
async fn ask(api: &ApiClient, path: &str, what: &str) -> Value {
    let response = api.post(&format!("{path}/{what}"), &json!({})).await;
    assert_eq!(response.status(), 202, "{what}");
    response.json().await.unwrap()
}

/// Two jobs' trials and winners are the same, and their spend but for what was lost.
async fn assert_same(api: &ApiClient, disturbed: &str, body: &Value) {
    let undisturbed = api.submit(body).await;
    api.follow(&undisturbed, None).await;
    assert_eq!(
        outcomes(api, disturbed).await,
        outcomes(api, &undisturbed).await
    );
    let (one, two) = (api.json(disturbed).await, api.json(&undisturbed).await);
    assert_eq!(one["best"], two["best"]);
    let spent = |job: &Value| {
        let lost = job["spend"]["by_role"]["lost"]["tokens"].as_u64();
        job["spend"]["tokens"].as_u64().unwrap() - lost.unwrap_or(0)
    };
    assert_eq!(spent(&one), spent(&two));
}

#[tokio::test]
async fn a_paused_job_goes_on_with_the_same_trials() {
    for extent in ["profiled", "searched"] {
        let world = World::new().await;
        let (server, url) = world.setting.serve(1).await;
        let api = ApiClient::new(&url);
        let mut body = job(10, 12);
        body["search"]["extent"] = json!(extent);
        let gate = world.simulator.gate();
        gate.hold_after(24);
        let path = api.submit(&body).await;
        gate.arrived(25).await;
        assert_eq!(ask(&api, &path, "pause").await["state"], "pausing");
        gate.open();
        let paused = until(&api, &path, 0, "job.paused").await;
        let arrived = gate.progress();
        assert_eq!(
            arrived.arrived, arrived.answered,
            "what was in flight came home"
        );
        assert_eq!(ask(&api, &path, "pause").await["state"], "paused");
        let job = api.json(&path).await;
        assert_eq!(
            job["spend"]["by_role"].get("lost"),
            None,
            "nothing was lost"
        );
        assert_eq!(job["progress"]["requests"], arrived.answered);
        assert_eq!(ask(&api, &path, "resume").await["state"], "queued");
        let events = api.follow(&path, Some(paused.id)).await;
        let names: Vec<_> = events
            .iter()
            .map(|event| event.name.as_str())
            .take(2)
            .collect();
        assert_eq!(names, ["job.resumed", "job.running"]);
        assert_eq!(
            gate.progress().arrived,
            api.json(&path).await["progress"]["requests"]
                .as_u64()
                .unwrap(),
            "nothing was asked twice"
        );
        assert_same(&api, &path, &body).await;
        assert!(server.stop().await);
        world.end().await;
    }
}

#[tokio::test]
async fn a_job_whose_worker_is_killed_while_it_pauses_is_paused() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let body = job(10, 12);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let first = world.setting.worker().await;
    let path = api.submit(&body).await;
    gate.arrived(25).await;
    ask(&api, &path, "pause").await;
    first.kill().await;
    let arrived = gate.progress().arrived;
    gate.open();
    let second = world.setting.worker().await;
    let paused = until(&api, &path, 0, "job.paused").await;
    assert_eq!(gate.progress().arrived, arrived, "nothing more is sent");
    let job = api.json(&path).await;
    assert_eq!(job["state"], "paused");
    assert!(job["spend"]["by_role"]["lost"]["tokens"].as_u64() > Some(0));
    ask(&api, &path, "resume").await;
    api.follow(&path, Some(paused.id)).await;
    assert_same(&api, &path, &body).await;
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_pause_may_be_taken_back_and_a_paused_job_cancelled() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let body = job(10, 12);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let path = api.submit(&body).await;
    gate.arrived(25).await;
    assert_eq!(ask(&api, &path, "pause").await["state"], "pausing");
    assert_eq!(ask(&api, &path, "resume").await["state"], "running");
    gate.open();
    api.follow(&path, None).await;
    assert_same(&api, &path, &body).await;

    // Cancelled while it pauses: its worker ends it, with its report.
    let arrived = gate.progress().arrived;
    gate.hold_after(arrived + 24);
    let path = api.submit(&body).await;
    gate.arrived(arrived + 25).await;
    ask(&api, &path, "pause").await;
    assert_eq!(ask(&api, &path, "cancel").await["state"], "cancelling");
    gate.open();
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.cancelled");
    assert_eq!(
        api.json(&format!("{path}/report")).await["stop_reason"],
        "cancelled"
    );

    // Cancelled once it is paused: at once, and its trials are closed.
    let arrived = gate.progress().arrived;
    gate.hold_after(arrived + 24);
    let path = api.submit(&body).await;
    gate.arrived(arrived + 25).await;
    ask(&api, &path, "pause").await;
    gate.open();
    until(&api, &path, 0, "job.paused").await;
    assert_eq!(ask(&api, &path, "cancel").await["state"], "cancelled");
    assert_eq!(api.json(&path).await["progress"]["trials"]["running"], 0);
    for what in ["pause", "resume"] {
        let response = api.post(&format!("{path}/{what}"), &json!({})).await;
        assert_eq!(response.status(), 409);
    }
    assert!(server.stop().await);
    world.end().await;
}
