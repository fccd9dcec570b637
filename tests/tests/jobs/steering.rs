//! Jobs that their owner steers while they run.

use crate::takeover::{assert_same, outcomes};
use crate::{World, job};
use frugal_tests::client::{ApiClient, StreamedEvent};
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

/// Reads a job's events from one on up to one of this name.
pub(crate) async fn until(api: &ApiClient, path: &str, after: i64, name: &str) -> StreamedEvent {
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
pub(crate) async fn ask(api: &ApiClient, path: &str, what: &str) -> Value {
    let response = api.post(&format!("{path}/{what}"), &json!({})).await;
    assert_eq!(response.status(), 202, "{what}");
    response.json().await.unwrap()
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

/// Changes a job, which takes it.
async fn change(api: &ApiClient, path: &str, patch: &Value) -> Value {
    let response = api.send(api.request(Method::PATCH, path).json(patch)).await;
    let status = response.status();
    let job: Value = response.json().await.unwrap();
    assert_eq!(status, 200, "{job}");
    job
}

#[tokio::test]
async fn a_change_is_obeyed_while_the_job_runs_and_keeps_its_place_when_its_worker_dies() {
    for extent in ["profiled", "searched"] {
        let world = World::new().await;
        let (server, url) = world.setting.serve(0).await;
        let api = ApiClient::new(&url);
        let mut body = job(10, 12);
        body["search"]["extent"] = json!(extent);
        let gate = world.simulator.gate();
        gate.hold_after(24);
        let first = world.setting.worker().await;
        let path = api.submit(&body).await;
        gate.arrived(25).await;
        let patch = json!({
            "limits": {"trials": 20, "seconds": 3600},
            "budgets": {"optimization": {"usd": 0.2}},
            "search": {"requests_in_flight": 8}
        });
        assert_eq!(change(&api, &path, &patch).await["limits"]["trials"], 20);
        // Its worker tells of it though all its requests are held back, and dies then.
        let updated = until(&api, &path, 0, "job.updated").await;
        assert_eq!(
            updated.payload["data"]["changes"].as_array().unwrap().len(),
            4
        );
        first.kill().await;
        gate.open();
        let second = world.setting.worker().await;
        let events = api.follow(&path, None).await;
        let told = events
            .iter()
            .filter(|event| event.name == "job.updated")
            .count();
        assert_eq!(told, 1, "it is told of once");
        assert!(events.iter().zip(1..).all(|(event, seq)| event.id == seq));
        let job = api.json(&path).await;
        assert_eq!(job["budgets"]["optimization"], json!({"usd": 0.2}));
        let trials = api.all(&format!("{path}/trials")).await;
        match extent {
            "searched" => assert_eq!(trials.len(), 21, "twenty and the baseline"),
            _ => assert!(job["stop_reason"] != "trial_limit" || trials.len() == 21),
        }
        let most = gate.progress().most_in_flight;
        assert!(most <= 32, "{most}");

        // What it came to is a function of the change and its place: lived through once more from the
        // rows alone, nothing is asked for and the trials are the same.
        let before = outcomes(&api, &path).await;
        let arrived = gate.progress().arrived;
        let more = json!({"limits": {"trials_without_improvement": 1, "trials": 21}, "budgets": {"optimization": {"usd": 0.3}}});
        ask_with(&api, &path, "continue", &more).await;
        api.follow(&path, events.last().map(|event| event.id)).await;
        let after = outcomes(&api, &path).await;
        if extent == "searched" {
            assert_eq!(
                before[..],
                after[after.len() - before.len()..],
                "the first trials stand"
            );
        }
        assert!(
            gate.progress().arrived - arrived < arrived,
            "nothing that is known is asked for again"
        );
        assert!(second.stop().await && server.stop().await);
        world.end().await;
    }
}

async fn ask_with(api: &ApiClient, path: &str, what: &str, body: &Value) -> Value {
    let response = api.post(&format!("{path}/{what}"), body).await;
    let status = response.status();
    let job: Value = response.json().await.unwrap();
    assert_eq!(status, 202, "{what}: {job}");
    job
}

/// Lowers the budget of a job. The least that it may be, where that is more.
async fn refused_below(api: &ApiClient, path: &str, usd: f64) -> Option<f64> {
    let patch = json!({"budgets": {"optimization": {"usd": usd}}});
    let response = api
        .send(api.request(Method::PATCH, path).json(&patch))
        .await;
    let status = response.status();
    let answer: Value = response.json().await.unwrap();
    if status == 200 {
        return None;
    }
    assert_eq!(status, 422, "{answer}");
    let fault = &answer["errors"][0];
    assert_eq!(fault["pointer"], "/budgets/optimization");
    let (_, told) = fault["detail"].as_str().unwrap().split_once('$').unwrap();
    let (least, _) = told.split_once(':').unwrap();
    Some(least.parse().unwrap())
}

#[tokio::test]
async fn a_budget_that_shrinks_stops_the_job_with_what_is_on_its_way() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(40);
    let path = api.submit(&job(10, 100)).await;
    gate.arrived(41).await;
    let spent = api.json(&path).await["spend"]["usd"].as_f64().unwrap();
    // So much that what is in flight is covered, and little more. While the last requests are on their way to the
    // gate, more is set aside than was told a moment before.
    let mut amount = 0.000_000_1;
    while let Some(least) = refused_below(&api, &path, amount).await {
        assert!(least > spent && least > amount, "{least} {amount}");
        amount = least + 0.000_000_1;
    }
    assert!(amount > spent);
    until(&api, &path, 0, "job.updated").await;
    gate.open();
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded");
    let job = api.json(&path).await;
    assert_eq!(job["stop_reason"], "budget_exhausted");
    let (spent, budget) = (
        job["spend"]["usd"].as_f64(),
        job["budgets"]["optimization"]["usd"].as_f64(),
    );
    assert!(spent <= budget, "{spent:?} {budget:?}");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_job_is_continued_with_all_that_it_knows() {
    for extent in ["profiled", "searched"] {
        let world = World::new().await;
        let (server, url) = world.setting.serve(1).await;
        let api = ApiClient::new(&url);
        let mut body = job(16, 60);
        body["search"]["extent"] = json!(extent);
        body["data"]["holdout"] = json!({"share": 0.25});
        body["budgets"]["optimization"] = json!({"usd": 0.000_6});
        let path = api.submit(&body).await;
        let first = api.follow(&path, None).await;
        let ended = api.json(&path).await;
        assert_eq!(ended["stop_reason"], "budget_exhausted", "{ended}");
        let report = api.json(&format!("{path}/report")).await;
        let arrived = world.simulator.gate().progress().arrived;
        assert_eq!(arrived, ended["progress"]["requests"].as_u64().unwrap());

        let more = json!({"budgets": {"optimization": {"usd": 0.001_8}}});
        assert_eq!(ask_with(&api, &path, "continue", &more).await["run"], 2);
        let second = api.follow(&path, first.last().map(|event| event.id)).await;
        let ids: Vec<_> = first.iter().chain(&second).map(|event| event.id).collect();
        assert!(ids.iter().zip(1..).all(|(id, seq)| *id == seq), "{ids:?}");
        assert_eq!(second[0].name, "job.continued");
        let all = api.json(&path).await;
        let arrived = world.simulator.gate().progress().arrived;
        assert_eq!(
            arrived,
            all["progress"]["requests"].as_u64().unwrap(),
            "nothing is asked twice"
        );
        let usd = |job: &Value| job["spend"]["usd"].as_f64().unwrap();
        assert!(
            usd(&all) > usd(&ended) && usd(&all) <= 0.001_8,
            "{} {}",
            usd(&ended),
            usd(&all)
        );
        assert_eq!(all["progress"]["trials"]["running"], 0);
        let anew = api.json(&format!("{path}/report")).await;
        assert_ne!(anew, report);
        assert_eq!(api.json(&format!("{path}/report?run=1")).await, report);
        assert_eq!(api.json(&format!("{path}/report?run=2")).await, anew);
        let noted = anew["notes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|note| note["code"] == "holdout_seen_before");
        assert_eq!(noted, !report["holdout"].is_null(), "{:?}", anew["notes"]);
        let utility = |report: &Value| report["winner"]["utility"]["mean"].as_f64();
        assert!(utility(&anew).is_some(), "{extent}");
        assert!(server.stop().await);
        world.end().await;
    }
}
