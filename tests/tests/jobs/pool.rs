//! Nothing is bought that is there: responses of the job itself, cut shorter if need be, and those
//! of other jobs of the same owner.

use crate::takeover::outcomes;
use crate::{World, job};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

/// The first trial of a job, its baseline.
async fn baseline(api: &ApiClient, path: &str) -> Value {
    api.json(&format!("{path}/trials/0")).await
}

fn requests(trial: &Value) -> u64 {
    trial["requests"].as_u64().unwrap()
}

#[tokio::test]
async fn a_smaller_cap_is_served_by_cutting_what_was_drawn_under_a_larger_one() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = job(12, 10);
    body["models"] = json!([body["models"][0]]);
    body["prompts"] = json!([body["prompts"][0]]);
    // The larger cap first; the rest is the same.
    body["search_space"] = json!({
        "temperature": 0.7, "n": 4, "stop": ["\n\n"],
        "max_tokens": {"choice": [96, 8, 40]}
    });
    body["budgets"] = json!({"optimization": {"usd": 0.1}});
    body["baseline"] = json!(false);
    body["search"] = json!({
        "algorithm": "grid", "options": {"order": "sequential"}, "seed": 3, "parallel_trials": 1,
        "extent": "searched"
    });
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let trial = |number: u32| {
        let path = format!("{path}/trials/{number}");
        let api = &api;
        async move { api.json(&path).await }
    };
    let (large, small, middle) = (trial(1).await, trial(2).await, trial(3).await);
    assert_eq!(requests(&large), 12);
    assert_eq!((requests(&small), requests(&middle)), (0, 0));
    // They are what an endpoint would have made of them: cut at the cap, and cheaper.
    for (trial, cap) in [(&small, 8.0), (&middle, 40.0)] {
        // One that is inferior is given up before the end, for nothing.
        if trial["state"] == "pruned" {
            assert_eq!(trial["pruned"]["reason"], "inferior", "{trial}");
            continue;
        }
        let metric = |name: &str| trial["metrics"][name]["mean"].as_f64().unwrap();
        assert!(metric("completion_tokens") <= 4.0 * cap);
        assert!(metric("cut_rate") > 0.0, "{trial}");
        let cost = |trial: &Value| trial["inference_cost"]["mean"].as_f64().unwrap();
        assert!(cost(trial) < cost(&large));
    }
    let settled = [&small, &middle].map(|trial| trial["state"] == "evaluated");
    assert!(settled.contains(&true), "{small} {middle}");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_another_job_has_is_used_where_it_is_asked_for() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let first = api.submit(&job(10, 6)).await;
    api.follow(&first, None).await;

    // The same job again, and once more on its own.
    let mut body = job(10, 6);
    body["search"]["reuse"] = json!("owner");
    let again = api.submit(&body).await;
    let alone = api.submit(&job(10, 6)).await;
    tokio::join!(api.follow(&again, None), api.follow(&alone, None));
    let (first_trial, again_trial) = (baseline(&api, &first).await, baseline(&api, &again).await);
    assert_eq!((requests(&first_trial), requests(&again_trial)), (10, 0));
    for figure in ["utility", "inference_cost"] {
        assert_eq!(first_trial[figure], again_trial[figure], "{figure}");
    }
    assert_eq!(requests(&baseline(&api, &alone).await), 10);
    let spent = |path: &str| {
        let path = path.to_owned();
        let api = &api;
        async move { api.json(&path).await["spend"]["tokens"].as_u64().unwrap() }
    };
    assert!(spent(&again).await < spent(&first).await / 2);
    assert_eq!(spent(&alone).await, spent(&first).await);

    // Another prompt is another question.
    body["prompts"][0]["text"] = json!("{{ question }} The answer is");
    body["prompts"] = json!([body["prompts"][0]]);
    let other = api.submit(&body).await;
    api.follow(&other, None).await;
    assert_eq!(requests(&baseline(&api, &other).await), 10);
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_a_trial_took_over_is_the_same_after_a_crash() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let first = world.setting.worker().await;
    let source = api.submit(&job(10, 3)).await;
    api.follow(&source, None).await;

    let gate = world.simulator.gate();
    let so_far = gate.progress().arrived;
    gate.hold_after(so_far + 8);
    let mut body = job(10, 10);
    body["search"]["reuse"] = json!("owner");
    let disturbed = api.submit(&body).await;
    gate.arrived(so_far + 9).await;
    first.kill().await;
    gate.open();
    // While the job waits for its next worker, another one ends that has more to offer: the
    // trials that had looked before must not see it.
    let mut more = job(10, 10);
    more["search"]["seed"] = json!(77);
    let second = world.setting.worker().await;
    let more = api.submit(&more).await;
    tokio::join!(api.follow(&more, None), api.follow(&disturbed, None));
    let job = api.json(&disturbed).await;
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&json!("succeeded"), &json!("trial_limit")),
        "{job}"
    );
    assert_eq!(requests(&baseline(&api, &disturbed).await), 0);
    assert_eq!(outcomes(&api, &disturbed).await.len(), 11);
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn the_published_schedule_runs_on_request() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = job(10, 12);
    body["search"]["pruning"] = json!("reference");
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["search"]["pruning"], "reference");
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&json!("succeeded"), &json!("trial_limit"))
    );
    // It keeps nothing for later trials, and gives none up for being worse.
    let trials = api.all(&format!("{path}/trials")).await;
    for trial in &trials {
        let known = trial["pruned"]["reason"] == "known_invalid";
        assert_eq!(requests(trial) == 0, known, "{trial}");
        assert_ne!(trial["pruned"]["reason"], "inferior");
    }
    assert!(server.stop().await);
    world.end().await;
}
