//! Jobs whose answers are right in part: the mean of their scores is what is sought.

use crate::World;
use frugal_simulator::{Script, SimulatorOptions};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

/// Texts with two summaries each, any of which will do.
fn rows() -> Vec<Value> {
    let subjects = ["ferries", "tides", "owls", "bridges", "maps", "bells"];
    let row = |subject: &&str| {
        json!({
            "text": format!("All there is to know of {subject}."),
            "summaries": [
                format!("this text tells briefly of {subject} and their history"),
                format!("{subject} are explained")
            ]
        })
    };
    subjects.iter().map(row).collect()
}

/// A model that says the second summary now and then, and one that never says much of either.
fn script() -> Script {
    let lines = rows().into_iter().flat_map(|row| {
        let summaries = row["summaries"].as_array().unwrap().clone();
        [
            json!({
                "contains": row["text"], "model": "gemma-3-270m",
                "answers": [{"text": summaries[1], "weight": 3}, "no idea"]
            }),
            json!({
                "contains": row["text"], "model": "smollm2-135m-instruct",
                "answers": ["the text is about many things, explained"]
            }),
        ]
    });
    let lines: Vec<Value> = lines.collect();
    Script::parse(&json!(lines).to_string()).unwrap()
}

#[tokio::test]
async fn summaries_are_tuned_by_what_they_have_in_common_with_given_ones() {
    let options = SimulatorOptions {
        script: Some(script()),
        ..SimulatorOptions::default()
    };
    let world = World::with(options).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let body = json!({
        "data": {"instances": rows()},
        "models": [
            {"endpoint": "local", "model": "smollm2-135m-instruct"},
            {"endpoint": "local", "model": "gemma-3-270m"}
        ],
        "prompts": [{"name": "plain", "text": "Summarise: {{ text }}"}],
        "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 40, "n": 1},
        "scoring": {"scorer": {
            "type": "rouge", "expected": "{{ summaries | tojson }}", "references": "list"
        }},
        "budgets": {"inference": {"usd": 0.0001}, "optimization": {"usd": 0.01}},
        "limits": {"trials": 12},
        "search": {"seed": 3}
    });
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(job["objective"]["metric"], "mean", "shares are no chances");
    let winner = &job["best"];
    assert_eq!(winner["configuration"]["model"], "gemma-3-270m", "{winner}");
    // At temperature 0 the model always says the likelier, which is one of the given summaries.
    let mean = winner["utility"]["mean"].as_f64().unwrap();
    assert!(mean > 0.75, "{winner}");
    let baseline = api.json(&format!("{path}/trials/0")).await;
    let part = baseline["utility"]["mean"].as_f64().unwrap();
    assert!(part > 0.1 && part < 0.6, "right in part: {baseline}");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_row_without_a_text_to_compare_with_is_refused_before_anything_is_paid() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let body = json!({
        "data": {"instances": [{"text": "a", "summaries": ["b"]}, {"text": "c", "summaries": []}]},
        "models": [{"endpoint": "local", "model": "gemma-3-270m"}],
        "prompts": [{"name": "plain", "text": "Summarise: {{ text }}"}],
        "scoring": {"scorer": {
            "type": "chrf", "expected": "{{ summaries | tojson }}", "references": "list"
        }},
        "budgets": {"optimization": {"usd": 0.01}}
    });
    let refused = api.post("/jobs", &body).await;
    let status = refused.status().as_u16();
    let problem: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(status, 422, "{problem}");
    let fault = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(
        fault.contains("there is no text for this instance"),
        "{problem}"
    );
    assert!(server.stop().await);
    world.end().await;
}
