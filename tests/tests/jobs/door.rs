//! Jobs whose data, templates or scores are not what their authors take them for: told at the door, before
//! anything is paid, or scored as they are.

use crate::{World, job};
use frugal_simulator::{Script, SimulatorOptions, parse_faults};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

/// A job over these rows with one prompt.
fn over(rows: Value, prompt: &str) -> Value {
    json!({
        "data": {"instances": rows},
        "model": {"endpoint": "local", "model": "gemma-3-270m"},
        "prompt": prompt,
        "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 40, "n": 1},
        "scoring": {"scorer": {"type": "numeric", "expected": "{{ answer }}"}},
        "budgets": {"optimization": {"usd": 0.01}},
        "limits": {"trials": 2},
        "search": {"seed": 1}
    })
}

async fn posted(api: &ApiClient, path: &str, body: &Value) -> (u16, Value) {
    let answer = api.post(path, body).await;
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
    )
}

#[tokio::test]
async fn faults_of_rows_and_templates_are_told_with_their_place() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let nested = json!([
        {"question": "1 + 1", "answer": "2", "meta": {"topic": "sums"}},
        {"question": "2 + 1", "answer": "3", "meta": {}}
    ]);
    let null = json!([
        {"question": "1 + 1", "answer": "2"}, {"question": "2 + 1", "answer": null}
    ]);
    let spaced = json!([{"Standard Question": "1 + 1", "answer": "2"}]);
    let mut exact = over(null, "{{ question }}");
    exact["scoring"]["scorer"]["type"] = json!("exact");
    let cases = [
        (
            over(nested, "{{ meta.topic }}: {{ question }}"),
            ["row 1", "`meta.topic`"],
        ),
        (exact, ["row 1", "`answer` is null"]),
        (
            over(spaced, "Q: {{ Standard Question }}"),
            ["`Standard Question`", "{{ row[\"Standard Question\"] }}"],
        ),
    ];
    for (body, told) in cases {
        for path in ["/jobs", "/jobs/estimate"] {
            let (status, problem) = posted(&api, path, &body).await;
            assert_eq!(status, 422, "{problem}");
            let detail = problem["errors"][0]["detail"].as_str().unwrap();
            for words in told {
                assert!(detail.contains(words), "{words}: {detail}");
            }
        }
    }
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_is_probably_a_mistake_is_taken_and_told() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let rows = json!([{"question": "1 + 1", "answer": "2"}]);
    let mut body = over(rows, "What is the answer?");
    body["search_space"]["temprature"] = json!({"float": [0, 1]});
    body["scoring"]["reduce"] = json!("mean");
    let (status, job) = posted(&api, "/jobs", &body).await;
    assert_eq!(status, 201, "{job}");
    let (_, estimate) = posted(&api, "/jobs/estimate", &body).await;
    assert_eq!(job["warnings"], estimate["warnings"]);
    let pointers: Vec<_> = job["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        [
            "/prompt",
            "/search_space/temprature",
            "/budgets/optimization"
        ]
    );
    let detail = job["warnings"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("every row asks the same"), "{detail}");
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(api.json(&path).await["warnings"], job["warnings"]);
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn numbers_are_compared_to_the_last_digit() {
    let line = json!({"answers": ["9007199254740992"]}).to_string();
    let options = SimulatorOptions {
        script: Some(Script::parse(&line).unwrap()),
        ..SimulatorOptions::default()
    };
    let world = World::with(options).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    for (answer, right) in [("9007199254740993", 0.0), ("9007199254740992", 1.0)] {
        let rows = json!([{"question": "2^53?", "answer": answer}]);
        let path = api.submit(&over(rows, "{{ question }}")).await;
        api.follow(&path, None).await;
        let baseline = api.json(&format!("{path}/trials/0")).await;
        assert_eq!(baseline["utility"]["mean"], right, "{baseline}");
    }
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn connections_that_are_closed_while_they_idle_cost_nothing() {
    let options = SimulatorOptions {
        faults: parse_faults("idle_closed=1").unwrap(),
        ..SimulatorOptions::default()
    };
    let world = World::with(options).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&job(5, 2)).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let billed = world.simulator.statistics().billed();
    assert_eq!(
        job["spend"]["tokens"],
        billed.prompt_tokens + billed.completion_tokens
    );
    assert!(job["spend"]["by_role"]["uncertain"].is_null(), "{job}");
    assert!(server.stop().await);
    world.end().await;
}
