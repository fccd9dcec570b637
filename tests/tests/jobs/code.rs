//! Jobs whose answers are programs: they are run, and what is sought is programs that pass.

use crate::World;
use frugal_simulator::{Script, SimulatorOptions};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

pub const GOOD: &str = "gemma-3-270m";
pub const BAD: &str = "smollm2-135m-instruct";

/// Beginnings of functions, what is right to follow, and what holds each to it.
pub fn tasks() -> Vec<Value> {
    let task = |(name, rest, test): (&str, &str, &str)| {
        json!({
            "prompt": format!("def {name}(x):\n"),
            "rest": rest,
            "entry_point": name,
            "test": format!("def check(candidate):\n    {test}\n")
        })
    };
    [
        ("double", "    return x * 2\n", "assert candidate(2) == 4"),
        (
            "last",
            "    return x[-1]\n",
            "assert candidate('ab') == 'b'",
        ),
        (
            "is_odd",
            "    return x % 2 == 1\n",
            "assert candidate(3) and not candidate(4)",
        ),
        // The model knows no better here.
        ("square", "    return x + x\n", "assert candidate(3) == 9"),
    ]
    .map(task)
    .to_vec()
}

/// One model says what follows and goes on to something else; the other leaves before the tests.
pub fn lines(rows: &[Value]) -> Vec<Value> {
    let lines = rows.iter().flat_map(|row| {
        let right = format!("{}\nprint('and then', 1 / 0)\n", row["rest"].as_str().unwrap());
        [
            json!({"contains": row["prompt"], "model": GOOD, "answers": [right]}),
            json!({"contains": row["prompt"], "model": BAD, "answers": ["    import os; os._exit(0)\n"]}),
        ]
    });
    lines.collect()
}

fn script(rows: &[Value]) -> Script {
    Script::parse(&json!(lines(rows)).to_string()).unwrap()
}

/// Completions are held against the tests of their rows.
pub fn scorer() -> Value {
    json!({
        "type": "code", "tests": "{{ test }}", "entry_point": "{{ entry_point }}",
        "prefix": "{{ prompt }}", "stop_at": ["\nprint"], "seconds": 5
    })
}

pub fn job(rows: &[Value], scorer: &Value) -> Value {
    json!({
        "data": {"instances": rows},
        "models": [{"endpoint": "local", "model": BAD}, {"endpoint": "local", "model": GOOD}],
        "prompts": [{"name": "plain", "text": "{{ prompt }}"}],
        "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 100, "n": 1},
        "scoring": {"scorer": scorer, "reduce": "mean"},
        "budgets": {"optimization": {"usd": 0.01}},
        "limits": {"trials": 6},
        "search": {"extent": "searched", "seed": 3}
    })
}

/// The job's end; nothing where this kernel has no namespaces, so that the server refuses it.
pub async fn ended(world: &World, body: &Value) -> Option<(Value, Value)> {
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let estimated = api.post("/jobs/estimate", body).await;
    if estimated.status().as_u16() == 422 {
        let problem = estimated.text().await.unwrap();
        assert!(problem.contains("can be made"), "{problem}");
        #[expect(clippy::print_stderr, reason = "a test that proves nothing says so")]
        {
            eprintln!("not tested: {problem}");
        }
        return None;
    }
    let path = api.submit(body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    let baseline = api.json(&format!("{path}/trials/0")).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert!(server.stop().await);
    Some((job, baseline))
}

#[tokio::test]
async fn completions_are_tuned_by_the_tests_that_they_pass() {
    let rows = tasks();
    let world = World::with(SimulatorOptions {
        script: Some(script(&rows)),
        ..SimulatorOptions::default()
    })
    .await;
    if let Some((job, baseline)) = ended(&world, &job(&rows, &scorer())).await {
        assert_eq!(job["best"]["configuration"]["model"], GOOD, "{job}");
        assert_eq!(job["best"]["utility"]["mean"], 0.75, "{job}");
        // Leaving with exit code 0 is no pass.
        assert_eq!(baseline["configuration"]["model"], BAD, "{baseline}");
        assert_eq!(baseline["utility"]["mean"], 0.0, "{baseline}");
    }
    world.end().await;
}

#[tokio::test]
async fn programs_are_tuned_by_what_they_write() {
    let cases = json!({"inputs": ["1\n2\n", "5\n-5\n"], "outputs": ["3\n", "0\n"]});
    let rows = [json!({"prompt": "Write a program that adds two numbers.", "cases": cases})];
    let answer = |says: &str| format!("Here it is:\n```python\n{says}\n```\nIt adds.");
    let lines = json!([
        {"contains": "adds", "model": GOOD, "answers": [answer("print(int(input()) + int(input()))")]},
        {"contains": "adds", "model": BAD, "answers": [answer("print(3)\nexit()")]}
    ]);
    let world = World::with(SimulatorOptions {
        script: Some(Script::parse(&lines.to_string()).unwrap()),
        ..SimulatorOptions::default()
    })
    .await;
    let scorer = json!({"type": "code", "cases": "{{ cases }}", "partial": true});
    if let Some((job, baseline)) = ended(&world, &job(&rows, &scorer)).await {
        assert_eq!(job["best"]["utility"]["mean"], 1.0, "{job}");
        assert_eq!(baseline["utility"]["mean"], 0.5, "{baseline}");
    }
    world.end().await;
}

#[tokio::test]
async fn programs_are_tried_before_a_job() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let posted = json!({
        "scorer": {"type": "composite", "parts": [
            {"required": true, "scorer": scorer()},
            {"scorer": {"type": "regex", "pattern": "\\*"}}
        ]},
        "rows": &tasks()[..1],
        "responses": [["    return x * 2\n", "    return x + 2\n", "    return x + x + 1\n", "    return y\n"]]
    });
    let answer = api.post("/scorers/validate", &posted).await;
    let (status, body) = (answer.status().as_u16(), answer.text().await.unwrap());
    if status == 422 && body.contains("can be made") {
        return world.end().await;
    }
    assert_eq!(status, 200, "{body}");
    let found: Value = serde_json::from_str(&body).unwrap();
    let responses = found["rows"][0]["responses"].as_array().unwrap();
    let said: Vec<Value> = responses
        .iter()
        .map(|one| json!([one["score"], one["why"], one["parts"][0]["why"]]))
        .collect();
    let missed = "part 0 is required and scores 0";
    insta::assert_json_snapshot!(said, @r#"
    [
      [
        1.0,
        "part 0 scores 1 (weight 1), part 1 scores 1 (weight 1)",
        "the tests pass"
      ],
      [
        0.5,
        "part 0 scores 1 (weight 1), part 1 scores 0 (weight 1)",
        "the tests pass"
      ],
      [
        0.0,
        "part 0 is required and scores 0",
        "the tests do not pass: AssertionError"
      ],
      [
        0.0,
        "part 0 is required and scores 0",
        "the tests do not pass: NameError: name 'y' is not defined"
      ]
    ]
    "#);
    assert!(responses[2]["why"] == missed, "{responses:?}");
    let values = &found["rows"][0]["values"];
    assert_eq!(values["mean"], 0.375, "{values}");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_server_that_cannot_run_programs_refuses_such_jobs() {
    let mut world = World::new().await;
    world.setting.endpoints += "\n[sandbox]\npython = \"/nowhere/python3\"\n";
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let body = job(&tasks(), &json!({"type": "code", "tests": "{{ test }}"}));
    let tried = json!({
        "scoring": body["scoring"], "rows": &tasks()[..1], "responses": [["    return x * 2"]]
    });
    for (path, body) in [
        ("/jobs", &body),
        ("/jobs/estimate", &body),
        ("/scorers/validate", &tried),
    ] {
        let refused = api.post(path, body).await;
        assert_eq!(refused.status().as_u16(), 422);
        let problem: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
        let fault = &problem["errors"][0];
        assert_eq!(fault["pointer"], "/scoring/scorer/type", "{problem}");
        let detail = fault["detail"].as_str().unwrap();
        assert!(detail.contains("/nowhere/python3 does not run"), "{detail}");
        assert!(detail.contains("install Python 3"), "{detail}");
    }
    assert!(server.stop().await);
    world.end().await;
}
