//! Where latency counts it is each configuration's own, under a load that is stated.

use crate::{World, job};
use frugal_simulator::{Latency, SimulatorOptions};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};
use std::time::Duration;

const BASE: u64 = 20;
const PER_TOKEN: u64 = 2;

/// A job that goes through `n` and `max_tokens` at one temperature, where others would share responses.
fn grid(constraint: Value) -> Value {
    let mut body = job(4, 4);
    body["models"] = json!([body["models"][0]]);
    body["prompts"] = json!([body["prompts"][0]]);
    body["search_space"] = json!({
        "temperature": 0.7, "stop": ["\n\n"],
        "n": {"choice": [1, 4]}, "max_tokens": {"choice": [16, 96]}
    });
    body["budgets"] = json!({"optimization": {"usd": 0.1}});
    body["baseline"] = json!(false);
    body["constraints"] = constraint;
    body["search"] = json!({"algorithm": "grid", "options": {"order": "sequential"}, "seed": 3});
    body
}

fn mean(trial: &Value, metric: &str) -> f64 {
    trial["metrics"][metric]["mean"].as_f64().unwrap()
}

#[tokio::test]
async fn each_configuration_is_asked_for_by_requests_of_its_own_one_at_a_time() {
    let options = SimulatorOptions {
        latency: Latency {
            base: Duration::from_millis(BASE),
            per_token: Duration::from_millis(PER_TOKEN),
        },
        ..SimulatorOptions::default()
    };
    let world = World::with(options).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let limit = BASE + 40 * PER_TOKEN;
    let path = api
        .submit(&grid(json!([{"metric": "latency_ms", "at_most": limit}])))
        .await;
    api.follow(&path, None).await;
    let trials = api.all(&format!("{path}/trials")).await;
    assert_eq!(trials.len(), 4);
    let mut responses = 0;
    for trial in &trials {
        let n = trial["configuration"]["n"].as_u64().unwrap();
        let requests = trial["requests"].as_u64().unwrap();
        responses += n * requests;
        if trial["state"] == "pruned" {
            continue;
        }
        assert_eq!((&trial["state"], requests), (&json!("evaluated"), 4));
        // An endpoint takes no less than this for what it wrote: the longest of n is no shorter
        // than their mean.
        let tokens = mean(trial, "completion_tokens") / n as f64;
        let least = BASE as f64 + PER_TOKEN as f64 * tokens;
        assert!(mean(trial, "latency_ms") >= least, "{trial}");
        let fits = mean(trial, "latency_ms") <= limit as f64;
        assert_eq!(trial["valid"], fits, "{trial}");
    }
    assert_eq!(trials[0]["state"], "evaluated");
    let asked = world.simulator.statistics();
    assert_eq!(asked.most_in_flight, 1);
    assert_eq!(
        asked.billed().responses,
        responses,
        "nothing is shared, nothing is asked for in parts"
    );
    let job = api.json(&path).await;
    assert_eq!(job["search"]["requests_in_flight"], 1);
    let report = api.json(&format!("{path}/report")).await;
    let load = |note: &&Value| note["code"] == "latency_load";
    let note = report["notes"]
        .as_array()
        .unwrap()
        .iter()
        .find(load)
        .unwrap();
    assert_eq!(note["requests_in_flight"], 1);
    assert!(server.stop().await);
    world.end().await;
}
