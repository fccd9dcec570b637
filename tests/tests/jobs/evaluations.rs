//! Evaluations from POST to report: what is known to be true is found, a killed worker changes nothing, and
//! where the budget ends all configurations were seen alike.

use crate::World;
use frugal_simulator::{Script, SimulatorOptions};
use frugal_tests::client::ApiClient;
use frugal_tests::contract::contract;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Rows, of which `large` answers all but the first four right, and `small` the first two and eighteen
/// more.
const ROWS: usize = 40;

fn is_right(model: &str, row: usize) -> bool {
    match model {
        "large" => row >= 4,
        _ => row < 2 || (4..22).contains(&row),
    }
}

/// What the models answer: at temperature 0 always the same, and above it now and then the other.
fn script() -> Script {
    let mut lines = Vec::new();
    for row in 0..ROWS {
        for model in ["large", "small"] {
            let (likely, other) = match is_right(model, row) {
                true => ("yes", "no"),
                false => ("no", "yes"),
            };
            lines.push(json!({
                "contains": format!("question {row}?"), "model": model,
                "answers": [{"text": likely, "weight": 3}, {"text": other, "weight": 1}]
            }));
        }
    }
    Script::parse(&json!(lines).to_string()).unwrap()
}

async fn world() -> World {
    let mut world = World::with(SimulatorOptions {
        script: Some(script()),
        ..SimulatorOptions::default()
    })
    .await;
    world.setting.endpoints = format!(
        r#"
        [endpoints.local]
        base_url = "{}"
        [endpoints.local.models.small]
        input_usd_per_million = 0.1
        output_usd_per_million = 0.4
        [endpoints.local.models.large]
        input_usd_per_million = 1
        output_usd_per_million = 4
        "#,
        world.simulator.base_url()
    );
    world
}

/// `large` as it is run today, `small` in its place, and `small` with a vote among five.
fn evaluation() -> Value {
    let rows: Vec<Value> = (0..ROWS)
        .map(|row| json!({"q": format!("question {row}?"), "a": "yes"}))
        .collect();
    json!({
        "name": "today and two candidates",
        "data": {"instances": rows},
        "models": [{"endpoint": "local", "model": "large"}, {"endpoint": "local", "model": "small"}],
        "prompt": "Answer yes or no: {{ q }}",
        "scoring": {"scorer": {"type": "exact", "expected": "{{ a }}"}, "reduce": "majority"},
        "configurations": [
            {"name": "today", "model": "large", "temperature": 0, "max_tokens": 8},
            {"name": "small", "model": "small", "temperature": 0, "max_tokens": 8},
            {"name": "votes", "model": "small", "temperature": 1, "n": 5, "max_tokens": 8}
        ],
        "budgets": {"inference": {"usd": 0.00001}, "evaluation": {"usd": 0.05}},
        "limits": {"requests_in_flight": 6},
        "seed": 11
    })
}

/// Runs an evaluation to its end; it, and its report.
pub(crate) async fn run(api: &ApiClient, body: &Value) -> (Value, Value) {
    let path = api.evaluate(body).await;
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded", "{events:?}");
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    assert!(
        ids.iter().zip(1..).all(|(id, expected)| *id == expected),
        "{ids:?}"
    );
    let report = api.json(&format!("{path}/report")).await;
    (api.json(&path).await, report)
}

fn close(value: &Value, expected: f64) -> bool {
    (value.as_f64().unwrap() - expected).abs() < 1e-9
}

#[tokio::test]
async fn an_evaluation_finds_what_is_true() {
    let world = world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let (evaluation, report) = run(&api, &evaluation()).await;
    assert_eq!(
        (&evaluation["state"], &evaluation["stop_reason"]),
        (&json!("succeeded"), &json!("completed"))
    );
    assert_eq!(evaluation["progress"]["trials"]["evaluated"], 3);
    assert_eq!(report["rows"], json!({"of": ROWS, "seen_by_all": ROWS}));
    let of = |name: &str| {
        let all = report["configurations"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap().clone()
    };
    // 36 and 20 of 40 are right; Wilson's intervals of these shares.
    let (today, small) = (of("today"), of("small"));
    assert!(close(&today["metrics"]["majority"]["mean"], 0.9), "{today}");
    assert!(close(&small["metrics"]["majority"]["mean"], 0.5), "{small}");
    let interval = &today["metrics"]["majority"]["interval"];
    assert!(
        (interval["low"].as_f64().unwrap() - 0.769).abs() < 0.001,
        "{interval}"
    );
    assert!(
        (interval["high"].as_f64().unwrap() - 0.960).abs() < 0.001,
        "{interval}"
    );
    // Two rows speak for `small` and eighteen against it: McNemar's exact test has p = 422 / 2^20.
    let comparisons = report["comparisons"].as_array().unwrap();
    let against = |name: &str, metric: &str| {
        let of = comparisons
            .iter()
            .find(|one| one["configuration"] == name)
            .unwrap();
        assert_eq!(
            (&of["reference"], &of["instances"]),
            (&json!("today"), &json!(ROWS))
        );
        of["metrics"][metric].clone()
    };
    let worse = against("small", "majority");
    assert!(close(&worse["mean"], -0.4), "{worse}");
    assert!(
        (worse["p_value"].as_f64().unwrap() - 422.0 / 1_048_576.0).abs() < 1e-7,
        "{worse}"
    );
    assert_eq!(
        (&worse["significant"], &worse["better"]),
        (&json!(true), &json!("reference"))
    );
    assert!(worse["interval"]["high"].as_f64().unwrap() < 0.0);
    let cheaper = against("small", "inference_cost");
    assert_eq!(
        (&cheaper["significant"], &cheaper["better"]),
        (&json!(true), &json!("configuration"))
    );
    assert_eq!(
        report["correction"],
        json!({"method": "holm", "comparisons": 2, "level": 0.05})
    );
    // What was paid is on the trials, and all of it is the evaluation's.
    let spent: f64 = ["today", "small", "votes"]
        .iter()
        .map(|name| of(name)["spend"]["usd"].as_f64().unwrap())
        .sum();
    assert!(close(&report["spend"]["usd"], spent), "{report}");
    assert!(
        close(&report["spend_by_role"]["evaluation"]["usd"], spent),
        "{report}"
    );
    for one in report["configurations"].as_array().unwrap() {
        let cost = one["inference_cost"]["mean"].as_f64().unwrap();
        assert!(
            close(&one["spend"]["usd"], cost * 40.0),
            "nothing is shared: {one}"
        );
        assert!(one["metrics"].get("latency_ms").is_none());
    }
    // `large` costs ten times what `small` does.
    assert_eq!(
        (
            &today["within_inference_budget"],
            &small["within_inference_budget"]
        ),
        (&json!(false), &json!(true))
    );
    let ranking = report["ranking"].as_array().unwrap();
    assert_eq!(
        ranking.last().unwrap()["configuration"],
        "today",
        "it is over the inference budget"
    );
    let verdict = report["verdict"].as_str().unwrap();
    assert!(
        verdict.starts_with("`today` is better than every other in majority"),
        "{verdict}"
    );

    // Its trials show what the report does.
    let trials = api
        .all(&format!(
            "{}/trials",
            evaluation["links"]["self"].as_str().unwrap()
        ))
        .await;
    let names: Vec<&Value> = trials.iter().map(|trial| &trial["name"]).collect();
    assert_eq!(names, ["votes", "small", "today"]);
    for trial in &trials {
        assert_eq!(
            (&trial["role"], &trial["origin"]),
            (&json!("evaluation"), &json!("given"))
        );
        let name = trial["name"].as_str().unwrap();
        assert_eq!(
            trial["metrics"]["majority"]["mean"],
            of(name)["metrics"]["majority"]["mean"]
        );
        assert_eq!(trial["coverage"]["complete"], true);
    }
    // Everything of it can be taken away: a response and its score for each row under each.
    let export = api
        .get(evaluation["links"]["export"].as_str().unwrap())
        .await;
    let mut lines = BTreeMap::<String, usize>::new();
    for line in export.text().await.unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        contract().check_export_line(&line).unwrap();
        let name = line["type"].as_str().unwrap().to_owned();
        *lines.entry(name).or_default() += 1;
    }
    let of = |name: &str| lines.get(name).copied().unwrap_or_default();
    assert_eq!(
        (of("evaluation"), of("instance"), of("trial")),
        (1, ROWS, 3)
    );
    assert_eq!((of("response"), of("score")), (7 * ROWS, 7 * ROWS));
    assert_eq!((of("evaluation_report"), of("end")), (1, 1));
    assert!(server.stop().await);
    world.end().await;
}

/// A report without what may differ between two runs of the same evaluation.
fn comparable(mut report: Value) -> Value {
    for varying in ["spend", "spend_by_role"] {
        report.as_object_mut().unwrap().remove(varying);
    }
    report
}

#[tokio::test]
async fn a_killed_worker_leaves_no_trace_in_the_report_and_nothing_is_asked_twice() {
    let world = world().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(50);
    let first = world.setting.worker().await;
    let disturbed = api.evaluate(&evaluation()).await;
    gate.arrived(51).await;
    first.kill().await;
    let held = gate.progress();
    assert!(held.arrived > held.answered, "requests were under way");
    gate.open();
    let second = world.setting.worker().await;
    let events = api.follow(&disturbed, None).await;
    let attempts: Vec<&Value> = events
        .iter()
        .filter(|event| event.name == "job.running")
        .map(|event| &event.payload["data"]["attempt"])
        .collect();
    assert_eq!(attempts, [&json!(1), &json!(2)]);
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    assert!(
        ids.iter().zip(1..).all(|(id, expected)| *id == expected),
        "{ids:?}"
    );

    let undisturbed = api.evaluate(&evaluation()).await;
    api.follow(&undisturbed, None).await;
    let of = async |path: &str| {
        (
            api.json(path).await,
            api.json(&format!("{path}/report")).await,
        )
    };
    let ((one, report), (two, expected)) = (of(&disturbed).await, of(&undisturbed).await);
    // Nothing was asked twice but what was in flight, and that is on the books.
    let lost = one["spend"]["by_role"]["lost"]["tokens"].as_u64().unwrap();
    assert!(lost > 0, "what was in flight counts at its worst case");
    let spent = |evaluation: &Value| evaluation["spend"]["tokens"].as_u64().unwrap();
    assert_eq!(spent(&one) - lost, spent(&two));
    for evaluation in [&expected, &report] {
        let all = evaluation["configurations"].as_array().unwrap();
        assert!(
            all.iter().all(|one| one["requests"] == ROWS),
            "{evaluation}"
        );
    }
    assert_eq!(comparable(report), comparable(expected));
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn where_the_budget_runs_out_the_configurations_were_seen_alike() {
    let world = world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = evaluation();
    body["budgets"]["evaluation"] = json!({"usd": 0.0006});
    let created = api.post("/evaluations", &body).await;
    let created: Value = serde_json::from_str(&created.text().await.unwrap()).unwrap();
    let warning = &created["warnings"][0];
    assert_eq!(warning["pointer"], "/budgets/evaluation");
    assert!(
        warning["detail"].as_str().unwrap().contains("of 40 rows"),
        "{warning}"
    );
    let path = created["links"]["self"].as_str().unwrap();
    api.follow(path, None).await;
    let report = api.json(&format!("{path}/report")).await;
    assert_eq!(report["stop_reason"], "budget_exhausted");
    assert!(report["spend"]["usd"].as_f64().unwrap() <= 0.0006);
    let seen = report["rows"]["seen_by_all"].as_u64().unwrap();
    assert!(seen > 4 && seen < ROWS as u64, "{seen}");
    for one in report["configurations"].as_array().unwrap() {
        let rows = one["coverage"]["instances"].as_u64().unwrap();
        // Two blocks of two rows are in the air.
        assert!(rows >= seen && rows <= seen + 4, "{rows} of {seen}");
        assert_eq!(one["coverage"]["complete"], false);
    }
    for comparison in report["comparisons"].as_array().unwrap() {
        assert!(comparison["instances"].as_u64().unwrap() >= seen);
    }
    let notes = report["notes"].as_array().unwrap();
    let note = notes
        .iter()
        .find(|note| note["code"] == "rows_not_seen")
        .unwrap();
    assert_eq!(note["seen"], seen);
    let verdict = report["verdict"].as_str().unwrap();
    assert!(verdict.contains("where the budget ended"), "{verdict}");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_cancelled_evaluation_tells_what_was_seen() {
    let world = world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(40);
    let path = api.evaluate(&evaluation()).await;
    gate.arrived(41).await;
    let cancelled = api.post(&format!("{path}/cancel"), &Value::Null).await;
    assert_eq!(cancelled.status(), 202);
    gate.open();
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.cancelled");
    let report = api.json(&format!("{path}/report")).await;
    assert_eq!(report["stop_reason"], "cancelled");
    let seen = report["rows"]["seen_by_all"].as_u64().unwrap();
    assert!(seen > 0 && seen < ROWS as u64, "{seen}");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn the_winner_of_a_job_is_tested_on_fresh_rows() {
    let world = world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let all = evaluation();
    let rows = all["data"]["instances"].as_array().unwrap();
    let job = json!({
        "data": {"instances": rows[..20]},
        "models": all["models"],
        "prompt": all["prompt"],
        "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 8, "n": {"int": [1, 5]}},
        "scoring": {"scorer": {"type": "exact", "expected": "{{ a }}"}, "reduce": "mean"},
        "budgets": {"inference": {"usd": 0.0001}, "optimization": {"usd": 0.01}},
        "limits": {"trials": 10},
        "search": {"seed": 2}
    });
    let job_path = api.submit(&job).await;
    let id = job_path.strip_prefix("/jobs/").unwrap();
    let line = json!({"data": {"instances": rows[20..]}, "configurations": [{"job": id}]});
    api.follow(&job_path, None).await;
    let job_report = api.json(&format!("{job_path}/report")).await;
    let winner = &job_report["winner"];
    assert!(!winner.is_null(), "{job_report}");

    let (evaluation, report) = run(&api, &line).await;
    let found = &report["configurations"][0];
    assert_eq!(found["configuration"], winner["configuration"]);
    assert_eq!(
        found["source"],
        json!({"job": id, "trial": winner["trial"]})
    );
    assert_eq!(evaluation["configurations"][0]["source"], found["source"]);
    // What was not said is as the job has it.
    assert_eq!(evaluation["objective"]["metric"], "mean");
    assert_eq!(evaluation["budgets"]["inference"], json!({"usd": 0.0001}));
    assert_eq!(report["rows"], json!({"of": 20, "seen_by_all": 20}));
    // On the rows of the job `small` was right in eighteen of twenty, and won. Of these it knows two.
    assert_eq!(found["configuration"]["model"], "small");
    let mean = |one: &Value| one["metrics"]["mean"]["mean"].as_f64().unwrap();
    assert!(mean(winner) > 0.7 && mean(found) < 0.3, "{winner} {found}");
    let verdict = report["verdict"].as_str().unwrap();
    assert!(
        verdict.starts_with("`configuration-0` comes to "),
        "{verdict}"
    );

    // Beside the job's baseline, and a trial of the evaluation itself.
    let of_evaluation = evaluation["id"].as_str().unwrap();
    let more = json!({
        "data": {"instances": rows[20..]},
        "configurations": [
            {"name": "baseline", "job": id, "trial": 0},
            {"name": "winner", "job": of_evaluation, "trial": 1}
        ]
    });
    let (_, report) = run(&api, &more).await;
    assert_eq!(
        report["configurations"][1]["configuration"],
        winner["configuration"]
    );
    assert_eq!(report["comparisons"][0]["configuration"], "winner");
    let problem = api
        .post(
            "/evaluations",
            &json!({"data": {"instances": rows[20..]}, "configurations": [{"job": of_evaluation}]}),
        )
        .await;
    assert_eq!(problem.status(), 422);
    let problem = problem.text().await.unwrap();
    assert!(
        problem.contains("is an evaluation, which has no winner"),
        "{problem}"
    );
    assert!(server.stop().await);
    world.end().await;
}
