//! Budgets that end, endpoints that misbehave.

use crate::{World, job};
use frugal_simulator::{Fault, Faults, SimulatorOptions};
use frugal_tests::client::{ApiClient, StreamedEvent};
use serde_json::{Value, json};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

#[tokio::test]
async fn the_optimization_budget_is_never_passed() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = job(10, 500);
    body["budgets"]["optimization"] = json!({"usd": 0.0015});
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["stop_reason"], "budget_exhausted");
    assert!(
        job["spend"]["usd"].as_f64().unwrap() <= 0.0015,
        "{}",
        job["spend"]
    );
    let billed = world.simulator.statistics().billed();
    assert_eq!(
        job["spend"]["tokens"],
        billed.prompt_tokens + billed.completion_tokens
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_is_kept_for_the_held_out_rows_is_not_waited_for() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    // A quarter of the budget is kept back. Once the rest is spent, a request would fit only
    // into what is kept, which the search does not get.
    let mut body = job(20, 500);
    body["data"]["holdout"] = json!({"share": 0.5});
    body["budgets"]["optimization"] = json!({"usd": 0.0015});
    body["search"] = json!({"extent": "searched"});
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["stop_reason"], "budget_exhausted");
    assert!(
        job["spend"]["usd"].as_f64().unwrap() <= 0.0015,
        "{}",
        job["spend"]
    );
    let report = api.json(&format!("{path}/report")).await;
    assert_eq!(
        report["holdout"]["winner"]["count"], 10,
        "there was enough for them"
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_budget_of_tokens_needs_no_prices() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = job(6, 500);
    body["budgets"] = json!({"inference": {"tokens": 600}, "optimization": {"tokens": 40_000}});
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["stop_reason"], "budget_exhausted");
    assert!(job["spend"]["tokens"].as_u64().unwrap() <= 40_000);
    assert_eq!(job["best"]["inference_cost"]["unit"], "tokens");
    assert!(job["best"]["inference_cost"]["mean"].as_f64().unwrap() <= 600.0);
    assert!(server.stop().await);
    world.end().await;
}

/// A fault for 30 of 100 requests, of all kinds that pass.
fn faults_of_a_bad_day(seed: u64) -> Faults {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let fault = |request: u64| {
        let drawn = hasher.hash_one((seed, request));
        let fault = match (drawn / 100) % 7 {
            0 => Fault::rate_limited(Some("0")),
            1 => Fault::rate_limited(None),
            2 => Fault::internal_error(),
            3 => Fault::unavailable(),
            4 => Fault::Closed,
            5 => Fault::Truncated,
            _ => Fault::Delayed(Duration::from_millis(50)),
        };
        (drawn % 100 < 30).then_some((request, fault))
    };
    Faults::script((1..=10_000).filter_map(fault))
}

#[tokio::test]
async fn passing_faults_of_the_endpoint_change_nothing_but_the_bill() {
    const SEED: u64 = 1;
    let mut troubled = World::with(SimulatorOptions {
        faults: faults_of_a_bad_day(SEED),
        ..SimulatorOptions::default()
    })
    .await;
    // With six attempts one request in a thousand would be given up.
    let limits = "[endpoints.local.limits]\nmax_attempts = 20\n";
    troubled.setting.endpoints.push_str(limits);
    let quiet = World::new().await;
    let mut seen = Vec::new();
    for world in [&troubled, &quiet] {
        let (server, url) = world.setting.serve(1).await;
        let api = ApiClient::new(&url);
        let path = api.submit(&job(5, 2)).await;
        api.follow(&path, None).await;
        let trials = crate::takeover::outcomes(&api, &path).await;
        let found: Vec<_> = trials
            .iter()
            .map(|trial| {
                json!([
                    trial["number"],
                    trial["configuration"],
                    trial["utility"],
                    trial["state"]
                ])
            })
            .collect();
        let job = api.json(&path).await;
        seen.push(((found, job["best"]["trial"].clone()), job["spend"].clone()));
        assert!(server.stop().await);
    }
    assert_eq!(seen[0].0, seen[1].0, "seed of the faults: {SEED}");
    // What was lost on the way may have been billed, and stands apart; nothing else is booked twice.
    let tokens = |spend: &Value| spend["tokens"].as_u64().unwrap_or_default();
    let uncertain = tokens(&seen[0].1["by_role"]["uncertain"]);
    assert!(uncertain > 0);
    assert_eq!(
        tokens(&seen[0].1) - uncertain,
        tokens(&seen[1].1),
        "seed of the faults: {SEED}"
    );
    troubled.end().await;
    quiet.end().await;
}

#[tokio::test]
async fn what_one_deployment_does_not_answer_another_does() {
    let options = SimulatorOptions {
        api_key: Some("right".to_owned()),
        ..SimulatorOptions::default()
    };
    let mut world = World::with(options).await;
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "right").unwrap();
    let api_key_file = key.path().display();
    // The endpoint's own entry has no key, one further deployment is not there, one has the key.
    let further = format!(
        "[[endpoints.local.deployments]]\nname = \"away\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
         [[endpoints.local.deployments]]\nname = \"right\"\napi_key_file = \"{api_key_file}\"\n"
    );
    world.setting.endpoints.push_str(&further);
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&job(5, 2)).await;
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded");
    let told = |event: &&StreamedEvent| event.name.starts_with("endpoint.");
    assert_eq!(
        events.iter().filter(told).count(),
        0,
        "the endpoint as a whole works"
    );
    let job = api.json(&path).await;
    assert_eq!(job["stop_reason"], "trial_limit", "{job}");
    assert!(job["spend"]["by_role"]["uncertain"].is_null());
    let report = api.json(&format!("{path}/report")).await;
    let failed = |note: &Value| note["code"] == "requests_failed";
    assert!(!report["notes"].as_array().unwrap().iter().any(failed));
    let endpoint = api.json("/endpoints/local").await;
    let names: Vec<_> = endpoint["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["first", "away", "right"]);
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_the_key_fails_the_job_with_a_reason() {
    let options = SimulatorOptions {
        api_key: Some("right".to_owned()),
        ..SimulatorOptions::default()
    };
    let world = World::with(options).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&job(4, 4)).await;
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.failed");
    let job = api.json(&path).await;
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&json!("failed"), &json!("endpoint_unusable"))
    );
    assert!(!job["detail"].as_str().unwrap().is_empty());
    assert_eq!(job["spend"]["tokens"], 0);
    assert_eq!(job["progress"]["trials"]["running"], 0);
    let trials = api.all(&format!("{path}/trials")).await;
    assert!(trials.iter().all(|trial| trial["state"] == "stopped"));
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_the_endpoint_refuses_is_infeasible_and_never_wins() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    // The recordings end at 128 tokens and temperature 1.3: beyond, the endpoint refuses. Were
    // a refused trial given a utility of 0, it would win this job, which minimises.
    let mut body = job(6, 12);
    body["search"]["extent"] = json!("searched");
    body["search_space"]["temperature"] = json!({"float": [0, 2]});
    body["objective"] = json!({"direction": "minimize"});
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let trials = api.all(&format!("{path}/trials")).await;
    let infeasible: Vec<_> = trials
        .iter()
        .filter(|trial| trial["state"] == "infeasible")
        .collect();
    assert!(!infeasible.is_empty());
    assert!(infeasible.iter().all(|trial| trial["utility"].is_null()));
    let job = api.json(&path).await;
    assert!(
        infeasible
            .iter()
            .all(|trial| trial["number"] != job["best"]["trial"])
    );
    assert!(server.stop().await);
    world.end().await;
}
