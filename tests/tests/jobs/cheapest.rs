//! Jobs that seek the cheapest configuration that is as good as the baseline.

use crate::World;
use frugal_simulator::Recordings;
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

/// A job on all recorded questions for capitals, half of them held out. What is run today asks for
/// many long answers of the dear model.
fn job(extent: &str, margin: f64, search_space: &Value, baseline: &Value) -> Value {
    let recordings = Recordings::embedded().unwrap();
    json!({
        "data": {"instances": recordings.instances("capitals"), "holdout": {"share": 0.5}},
        "models": [
            {"endpoint": "local", "model": "gemma-3-270m"},
            {"endpoint": "local", "model": "smollm2-135m-instruct"}
        ],
        "prompt": recordings.prompts("capitals")[0].template,
        "search_space": search_space,
        "scoring": {"scorer": {"type": "contains", "expected": "{{ answer }}"}},
        "objective": {"cheapest": {"as_good_as": "baseline", "margin": margin, "confidence": 0.9}},
        "budgets": {"optimization": {"usd": 0.02}},
        "limits": {"trials": 30},
        "search": {"extent": extent, "seed": 5},
        "baseline": baseline
    })
}

/// Runs a job to its end; the job and its report.
async fn run(api: &ApiClient, body: &Value) -> (Value, Value) {
    let path = api.submit(body).await;
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded");
    let report = api.json(&format!("{path}/report")).await;
    (api.json(&path).await, report)
}

/// What the report says of the objective, numbers to six digits.
fn said(report: &Value) -> Value {
    let notes = report["notes"].as_array().unwrap().iter();
    let notes = notes.filter(|note| note["code"] == "nothing_as_good");
    rounded(&json!({
        "winner": report["winner"]["configuration"],
        "as_good": report["as_good"],
        "improvement": report["improvement"],
        "improvement_detail": report["improvement_detail"],
        "notes": notes.collect::<Vec<_>>(),
    }))
}

fn rounded(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let text = format!("{:.5e}", number.as_f64().unwrap());
            json!(text.parse::<f64>().unwrap())
        }
        Value::Array(items) => items.iter().map(rounded).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), rounded(member)))
            .collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn less_is_paid_for_answers_that_are_as_good() {
    let space = json!({
        "temperature": {"float": [0, 1.3]},
        "max_tokens": {"int": [4, 64], "scale": "log"},
        "n": {"int": [1, 16], "scale": "log"},
        "stop": "\n\n"
    });
    let baseline = json!({"model": "gemma-3-270m", "temperature": 1, "max_tokens": 64, "n": 16});
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    for extent in ["profiled", "searched"] {
        let (posted, report) = run(&api, &job(extent, 0.15, &space, &baseline)).await;
        assert_eq!(
            posted["objective"],
            json!({
                "metric": "inference_cost", "direction": "minimize",
                "cheapest": {"metric": "expected_success", "as_good_as": "baseline",
                             "margin": 0.15, "confidence": 0.9}
            })
        );
        assert_eq!(report["objective"], posted["objective"]);
        insta::assert_json_snapshot!(format!("as_good_{extent}"), said(&report));
    }
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn where_nothing_cheaper_is_as_good_the_baseline_stays_and_the_report_says_why() {
    let space = json!({
        "temperature": {"float": [0, 1.3]}, "max_tokens": 16, "n": 1, "stop": "\n"
    });
    let baseline = json!({"model": "gemma-3-270m", "temperature": 0, "max_tokens": 16, "n": 1});
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    for extent in ["profiled", "searched"] {
        let (posted, report) = run(&api, &job(extent, 0.02, &space, &baseline)).await;
        insta::assert_json_snapshot!(format!("nothing_as_good_{extent}"), said(&report));
        assert_eq!(posted["best"]["trial"], 0);
    }
    assert!(server.stop().await);
    world.end().await;
}
