//! Configurations that are put into jobs while these run.

use crate::steering::{ask, until};
use crate::takeover::outcomes;
use crate::{World, job};
use frugal_simulator::{Script, SimulatorOptions};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

/// Puts a configuration in, which has no trial.
async fn put(api: &ApiClient, path: &str, configuration: &Value) -> Value {
    let trial = json!({"configuration": configuration});
    let response = api.post(&format!("{path}/trials"), &trial).await;
    let status = response.status();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(status, 202, "{answer}");
    answer
}

/// The trial of the owner's that has these settings, the extent apart.
async fn trial_of(api: &ApiClient, path: &str, configuration: &Value) -> Value {
    let trials = api.all(&format!("{path}/trials")).await;
    let settings = configuration.as_object().unwrap();
    let same = |trial: &&Value| {
        settings
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "n" | "max_tokens"))
            .all(|(name, value)| trial["configuration"][name] == *value)
    };
    let of_owner = trials.iter().filter(|trial| trial["origin"] == "owner");
    let found: Vec<&Value> = of_owner.filter(same).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

/// A world in which those are right who are asked to take care, and a job that does not come to ask them so.
async fn careless(extent: &str) -> (World, Value) {
    let lines = json!([
        {"contains": "carefully", "answers": ["7"]},
        {"answers": ["5"]}
    ]);
    let world = World::with(SimulatorOptions {
        script: Some(Script::parse(&lines.to_string()).unwrap()),
        ..SimulatorOptions::default()
    })
    .await;
    let rows: Vec<Value> = (0..12)
        .map(|row| json!({"id": format!("row-{row}"), "question": format!("3 + 4, no. {row}?"), "answer": "7"}))
        .collect();
    let body = json!({
        "data": {"instances": rows, "holdout": {"share": 0.25}},
        "model": {"endpoint": "local", "model": "gemma-3-270m"},
        "prompts": [
            {"name": "plain", "text": "{{ question }}"},
            {"name": "careful", "text": "Think carefully. {{ question }}"}
        ],
        "search_space": {
            "temperature": {"float": [0, 1.3]}, "max_tokens": 16, "n": {"int": [1, 2]}
        },
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
        "budgets": {"inference": {"usd": 0.00002}, "optimization": {"usd": 0.1}},
        "limits": {"trials": 1},
        "search": {"seed": 5, "extent": extent, "requests_in_flight": 4}
    });
    (world, body)
}

#[tokio::test]
async fn what_is_put_in_is_evaluated_and_wins_where_it_is_the_best() {
    for extent in ["profiled", "searched"] {
        let (world, body) = careless(extent).await;
        let (server, url) = world.setting.serve(1).await;
        let api = ApiClient::new(&url);
        let gate = world.simulator.gate();
        gate.hold_after(3);
        let path = api.submit(&body).await;
        gate.arrived(4).await;
        let wanted = json!({"prompt": "careful", "temperature": 0.35, "n": 1});
        let told = put(&api, &path, &wanted).await;
        let event = until(&api, &path, 0, "trial.enqueued").await;
        assert_eq!(event.payload["data"]["number"], told["number"]);
        gate.open();
        api.follow(&path, None).await;
        let trial = trial_of(&api, &path, &wanted).await;
        assert_eq!(trial["state"], "evaluated", "{trial}");
        let report = api.json(&format!("{path}/report")).await;
        assert_eq!(
            report["winner"]["trial"], trial["number"],
            "{extent}: {report}"
        );
        assert_eq!(report["winner"]["configuration"]["prompt"], "careful");
        assert_eq!(report["holdout"]["winner"]["mean"], 1.0);
        // It is one more than the search may propose, which a profiled one need not do any more.
        let trials = api.all(&format!("{path}/trials")).await.len();
        assert!(
            trials == 3 || extent == "profiled" && trials == 2,
            "{trials}"
        );
        let job = api.json(&path).await;
        assert!(job["spend"]["usd"].as_f64() <= Some(0.1));
        assert_eq!(
            gate.progress().arrived,
            job["progress"]["requests"].as_u64().unwrap()
        );
        assert!(server.stop().await);
        world.end().await;
    }
}

#[tokio::test]
async fn what_is_put_in_keeps_its_place_when_the_worker_is_killed() {
    for extent in ["profiled", "searched"] {
        let world = World::new().await;
        let (server, url) = world.setting.serve(0).await;
        let api = ApiClient::new(&url);
        let mut body = job(10, 6);
        body["search"]["extent"] = json!(extent);
        let gate = world.simulator.gate();
        gate.hold_after(24);
        let first = world.setting.worker().await;
        let path = api.submit(&body).await;
        gate.arrived(25).await;
        let wanted = |temperature: f64| json!({"model": "gemma-3-270m", "temperature": temperature, "max_tokens": 64, "n": 2});
        // One while the job runs, one while it is paused, and one whose worker is killed before it has told of
        // anything more.
        put(&api, &path, &wanted(0.55)).await;
        ask(&api, &path, "pause").await;
        gate.open();
        until(&api, &path, 0, "job.paused").await;
        put(&api, &path, &wanted(0.95)).await;
        let arrived = gate.progress().arrived;
        gate.hold_after(arrived + 8);
        ask(&api, &path, "resume").await;
        gate.arrived(arrived + 9).await;
        put(&api, &path, &wanted(1.25)).await;
        first.kill().await;
        gate.open();
        let second = world.setting.worker().await;
        let events = api.follow(&path, None).await;
        assert!(events.iter().zip(1..).all(|(event, seq)| event.id == seq));
        for temperature in [0.55, 0.95, 1.25] {
            let trial = trial_of(&api, &path, &wanted(temperature)).await;
            assert_ne!(trial["state"], "running", "{extent}: {trial}");
        }
        // What it came to is a function of what was put in and its places: lived through once more from the rows
        // alone, the trials are the same and none of them is asked for again.
        let before = outcomes(&api, &path).await;
        let arrived = gate.progress().arrived;
        let more = json!({"limits": {"trials": 7}, "budgets": {"optimization": {"usd": 0.3}}});
        let response = api.post(&format!("{path}/continue"), &more).await;
        assert_eq!(response.status(), 202);
        api.follow(&path, events.last().map(|event| event.id)).await;
        let after = outcomes(&api, &path).await;
        assert!(after.len() >= before.len());
        if extent == "searched" {
            assert_eq!(before[..], after[after.len() - before.len()..]);
        }
        assert!(gate.progress().arrived - arrived < arrived);
        assert!(second.stop().await && server.stop().await);
        world.end().await;
    }
}
