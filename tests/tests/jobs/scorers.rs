//! Jobs whose answers are right in part, so that the mean of their scores is what is sought, and whose answers are
//! mathematics.

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

/// Problems whose answers may be written in several ways.
fn problems() -> Vec<Value> {
    let problem =
        |(question, answer): (&str, &str)| json!({"question": question, "answer": answer});
    let problems = [
        ("a half", "\\frac{1}{2}"),
        ("the roots of x^2 = 4", "2, -2"),
        ("the root of 12", "2\\sqrt{3}"),
        ("the square of x + 1", "x^2 + 2x + 1"),
    ];
    problems.map(problem).into()
}

/// A model that is right in other words than those of the rows, and one that is wrong in nearly the same.
fn solver() -> Script {
    let says = [
        ("The answer is 0.5.", "\\frac{1}{3}"),
        ("So $x = \\pm 2$.", "2"),
        ("\\boxed{\\sqrt{12}}", "3\\sqrt{2}"),
        ("#### (x+1)^2", "x^2 + 1"),
    ];
    let lines = problems()
        .into_iter()
        .zip(says)
        .flat_map(|(row, (right, wrong))| {
            [("gemma-3-270m", right), ("smollm2-135m-instruct", wrong)].map(|(model, text)| {
            json!({"contains": row["question"], "model": model, "answers": [text]})
        })
        });
    let lines: Vec<Value> = lines.collect();
    Script::parse(&json!(lines).to_string()).unwrap()
}

#[tokio::test]
async fn answers_are_tuned_by_what_they_mean_as_mathematics() {
    let options = SimulatorOptions {
        script: Some(solver()),
        ..SimulatorOptions::default()
    };
    let world = World::with(options).await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let body = json!({
        "data": {"instances": problems()},
        "models": [
            {"endpoint": "local", "model": "smollm2-135m-instruct"},
            {"endpoint": "local", "model": "gemma-3-270m"}
        ],
        "prompts": [{"name": "plain", "text": "What is {{ question }}?"}],
        "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 40, "n": 1},
        "scoring": {"scorer": {"type": "math", "expected": "{{ answer }}"}},
        "budgets": {"inference": {"usd": 0.0001}, "optimization": {"usd": 0.01}},
        "limits": {"trials": 8},
        "search": {"seed": 3}
    });
    let mut broken = body.clone();
    broken["data"]["instances"][1]["answer"] = json!("\\frac{1}{");
    let refused = api.post("/jobs", &broken).await;
    let status = refused.status().as_u16();
    let problem: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(status, 422, "{problem}");
    let fault = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(fault.contains("cannot be read as mathematics"), "{problem}");

    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let winner = &job["best"];
    assert_eq!(winner["configuration"]["model"], "gemma-3-270m", "{winner}");
    let mean = winner["utility"]["mean"].as_f64().unwrap();
    assert!(mean > 0.95, "right each time: {winner}");
    let baseline = api.json(&format!("{path}/trials/0")).await;
    let mean = baseline["utility"]["mean"].as_f64().unwrap();
    assert!(mean < 0.05, "wrong each time: {baseline}");
    assert!(server.stop().await);
    world.end().await;
}
