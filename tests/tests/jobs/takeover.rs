//! Workers that die or stop in the middle of a job.

use crate::{World, job};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

/// What a job's trials came to, without what may differ between two runs of the same job: times,
/// and the requests that a run paid for.
pub async fn outcomes(api: &ApiClient, job: &str) -> Vec<Value> {
    let trials = api.all(&format!("{job}/trials")).await;
    trials
        .into_iter()
        .map(|mut trial| {
            for varying in ["started_at", "finished_at", "links"] {
                trial.as_object_mut().unwrap().remove(varying);
            }
            if let Some(metrics) = trial["metrics"].as_object_mut() {
                metrics.remove("latency_ms");
            }
            trial
        })
        .collect()
}

/// A job that something happened to, and one of the same body that nothing does, have the same trials and
/// winner, and the same spend but for what was lost.
pub async fn assert_same(api: &ApiClient, disturbed: &str, body: &Value) {
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
async fn a_killed_worker_is_replaced_and_the_trials_stay_the_same() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let body = job(10, 12);

    // The endpoint stops answering in the middle of the job, and its worker is killed there.
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let first = world.setting.worker().await;
    let disturbed = api.submit(&body).await;
    gate.arrived(25).await;
    first.kill().await;
    let held = gate.progress();
    assert!(held.arrived > held.answered, "requests were under way");
    gate.open();
    let second = world.setting.worker().await;
    let events = api.follow(&disturbed, None).await;

    let attempts: Vec<_> = events
        .iter()
        .filter(|event| event.name == "job.running")
        .map(|event| event.payload["data"]["attempt"].clone())
        .collect();
    assert_eq!(attempts, [1, 2]);
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert!(
        ids.iter().zip(1..).all(|(id, expected)| *id == expected),
        "{ids:?}"
    );

    // Nothing was asked twice but what was in flight, and that is on the books.
    assert_same(&api, &disturbed, &body).await;
    let lost = &api.json(&disturbed).await["spend"]["by_role"]["lost"]["tokens"];
    assert!(
        lost.as_u64().unwrap() > 0,
        "what was in flight counts at its worst case"
    );

    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_takeover_after_the_deadline_keeps_every_result() {
    let mut world = World::new().await;
    // The job's time is over before the lease of its first worker runs out.
    world.setting.lease_seconds = 10;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let mut body = job(10, 200);
    // Its trials end one by one.
    body["search"]["extent"] = json!("searched");
    body["limits"]["seconds"] = json!(8);
    let gate = world.simulator.gate();
    gate.hold_after(120);
    let first = world.setting.worker().await;
    let path = api.submit(&body).await;
    gate.arrived(121).await;
    first.kill().await;
    let ended = |trials: Vec<Value>| -> Vec<Value> {
        let ended = |trial: &Value| trial["state"] != "running";
        trials.into_iter().filter(ended).collect()
    };
    let before = ended(outcomes(&api, &path).await);
    let best = api.json(&path).await["best"].clone();
    assert!(before.len() > 3 && !best.is_null(), "{before:?}");
    gate.open();
    let second = world.setting.worker().await;
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded");
    let after = outcomes(&api, &path).await;
    for trial in &before {
        assert!(after.contains(trial), "{trial} is lost");
    }
    let report = api.json(&format!("{path}/report")).await;
    assert_eq!(report["stop_reason"], "deadline");
    let utility = |scored: &Value| scored["utility"]["mean"].as_f64().unwrap();
    assert!(utility(&report["winner"]) >= utility(&best));
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_stopped_worker_gives_its_job_back_at_once() {
    let mut world = World::new().await;
    // Were it not given back, the next worker would wait for this long.
    world.setting.lease_seconds = 3600;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let first = world.setting.worker().await;
    let path = api.submit(&job(10, 6)).await;
    gate.arrived(25).await;
    let stopping = tokio::spawn(first.stop());
    gate.open();
    assert!(stopping.await.unwrap());
    let second = world.setting.worker().await;
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded");
    let job = api.json(&path).await;
    assert_eq!(
        job["spend"]["by_role"]
            .get("lost")
            .cloned()
            .unwrap_or(json!(null)),
        json!(null)
    );
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_cancelled_job_stops_and_keeps_what_it_found() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(40);
    let path = api.submit(&job(10, 50)).await;
    gate.arrived(41).await;
    let cancelled = api.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status(), 202);
    gate.open();
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.cancelled");
    let job = api.json(&path).await;
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert_eq!(job["progress"]["trials"]["running"], 0);
    let report = api.json(&format!("{path}/report")).await;
    assert_eq!(report["stop_reason"], "cancelled");
    let again = api.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(again.status(), 409);
    assert!(server.stop().await);
    world.end().await;
}
