//! What the configurations of an evaluation are scored by: metrics of all rows together, a judge, prompts that
//! show demonstrations.

use crate::World;
use crate::evaluations::run;
use crate::judge::{self, JUDGE, SUBJECTS};
use frugal_simulator::{Script, SimulatorOptions};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

const TUNED: &str = "gemma-3-270m";

fn close(value: &Value, expected: f64) -> bool {
    (value.as_f64().unwrap() - expected).abs() < 1e-9
}

/// What was found of a configuration.
fn of(report: &Value, name: &str) -> Value {
    let all = report["configurations"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

fn note<'r>(report: &'r Value, code: &str) -> Option<&'r Value> {
    let notes = report["notes"].as_array().unwrap();
    notes.iter().find(|note| note["code"] == code)
}

/// `large` is right where answers are long, the other model where they are short: by the mean of the rows they are
/// alike, and of all words together `large` has far more right.
#[tokio::test]
async fn all_rows_together_tell_what_their_mean_does_not() {
    let long = "one two three four five six seven eight";
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for row in 0..8 {
        let (right, wrong_long, wrong_short) = match row % 2 {
            0 => (long, "zero", None),
            _ => ("red", "red", Some("blue")),
        };
        let question = format!("question {row}?");
        lines.push(json!({"contains": question, "model": TUNED, "answers": [wrong_long]}));
        lines.push(json!({"contains": question, "answers": [wrong_short.unwrap_or(right)]}));
        rows.push(json!({"q": question, "a": right}));
    }
    let world = World::with(SimulatorOptions {
        script: Some(Script::parse(&json!(lines).to_string()).unwrap()),
        ..SimulatorOptions::default()
    })
    .await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let body = json!({
        "data": {"instances": rows},
        "models": [{"endpoint": "local", "model": JUDGE}, {"endpoint": "local", "model": TUNED}],
        "prompt": "{{ q }}",
        "scoring": {"scorer": {"type": "token_f1", "expected": "{{ a }}"}},
        "configurations": [
            {"name": "long", "model": JUDGE, "max_tokens": 40},
            {"name": "short", "model": TUNED, "max_tokens": 40}
        ],
        "limits": {"requests_in_flight": 4}
    });
    let (evaluation, report) = run(&api, &body).await;
    let (longer, shorter) = (of(&report, "long"), of(&report, "short"));
    for one in [&longer, &shorter] {
        assert!(close(&one["metrics"]["mean"]["mean"], 0.5), "{one}");
    }
    // Of 36 words 32 are right and nothing else is said but four wrong ones; and 4 of 36, of 8 that are said.
    for (one, metric, expected) in [
        (&longer, "corpus_f1", 64.0 / 72.0),
        (&shorter, "corpus_f1", 8.0 / 44.0),
        (&shorter, "corpus_precision", 4.0 / 8.0),
        (&shorter, "corpus_recall", 4.0 / 36.0),
    ] {
        let found = &one["metrics"][metric];
        assert!(close(&found["mean"], expected), "{metric}: {found}");
        assert_eq!(found["count"], 8);
        let interval = &found["interval"];
        let ends = ["low", "high"].map(|end| interval[end].as_f64().unwrap());
        assert!(
            ends[0] < expected && expected < ends[1],
            "{metric}: {found}"
        );
    }
    let differences = &report["comparisons"][0]["metrics"];
    let difference = &differences["corpus_f1"];
    assert!(close(&difference["mean"], 8.0 / 44.0 - 64.0 / 72.0));
    assert_eq!(
        (&difference["better"], &difference["count"]),
        (&json!("reference"), &json!(8))
    );
    let p_value = difference["p_value"].as_f64().unwrap();
    let high = difference["interval"]["high"].as_f64().unwrap();
    assert_eq!(p_value < 0.05, high < 0.0, "{difference}");
    assert!(close(&differences["mean"]["mean"], 0.0));
    // Trials show them too.
    let path = evaluation["links"]["self"].as_str().unwrap();
    for trial in api.all(&format!("{path}/trials")).await {
        let name = trial["name"].as_str().unwrap();
        let reported = of(&report, name);
        assert_eq!(
            trial["metrics"]["corpus_f1"]["mean"],
            reported["metrics"]["corpus_f1"]["mean"]
        );
    }
    assert!(server.stop().await);
    world.end().await;
}

/// Answers at temperature 0, and drawn ones that two configurations share; some of the rows have answers that
/// people have rated.
fn judged() -> Value {
    let rated = [
        ("owls are explained", 5),
        ("no idea", 2),
        ("no idea", 2),
        ("hm", 1),
    ];
    let rows = SUBJECTS.iter().enumerate().map(|(row, subject)| {
        let mut instance = json!({"subject": subject});
        if let Some((sample, rating)) = rated.get(row) {
            instance["sample"] = json!(sample);
            instance["rating"] = json!(rating);
        }
        instance
    });
    json!({
        "data": {"instances": rows.collect::<Vec<_>>()},
        "model": {"endpoint": "local", "model": TUNED},
        "prompt": "Explain {{ subject }}.",
        "scoring": {"scorer": {
            "type": "judge", "endpoint": "local", "model": JUDGE, "rubric": "Is {{ subject }} explained?",
            "labels": {"answer": "{{ sample }}", "rating": "{{ rating }}"}
        }},
        "configurations": [
            {"name": "sure", "temperature": 0, "max_tokens": 40},
            {"name": "drawn", "temperature": 1, "max_tokens": 40},
            {"name": "thrice", "temperature": 1, "max_tokens": 40, "n": 3}
        ],
        "limits": {"requests_in_flight": 4},
        "seed": 5
    })
}

#[tokio::test]
async fn a_judge_scores_given_configurations() {
    let world = judge::world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let (evaluation, report) = run(&api, &judged()).await;
    assert_eq!(evaluation["stop_reason"], "completed");
    assert_eq!(report["objective"]["metric"], "mean");
    assert_eq!(
        report["rows"]["seen_by_all"].as_u64().map(|rows| rows > 3),
        Some(true)
    );
    let sure = of(&report, "sure");
    assert!(close(&sure["metrics"]["mean"]["mean"], 1.0), "{sure}");
    let drawn = of(&report, "thrice")["metrics"]["mean"]["mean"]
        .as_f64()
        .unwrap();
    assert!((0.2..1.0).contains(&drawn), "{drawn}");
    // How far the judge may be trusted.
    let agreement = note(&report, "judge_agreement").unwrap();
    assert_eq!(
        (
            &agreement["answers"],
            &agreement["silent"],
            &agreement["same_order"]
        ),
        (&json!(3), &json!(1), &json!(1.0))
    );
    assert!(close(&agreement["mean_difference"], -1.0 / 6.0));
    // It is paid, by itself and once for each answer: those that two configurations share are asked about once.
    let tokens = |of: &Value| of["tokens"].as_u64().unwrap();
    let by_role = &report["spend_by_role"];
    assert!(tokens(&by_role["judge"]) > 0 && tokens(&by_role["evaluation"]) > 0);
    let billed = world.simulator.statistics();
    let total = billed.billed();
    assert_eq!(
        tokens(&report["spend"]),
        total.prompt_tokens + total.completion_tokens
    );
    let rows = SUBJECTS.len() as u64;
    assert_eq!(billed.models[JUDGE].delivered.requests, 4 + rows + 3 * rows);
    // No judge is asked in use.
    let cost = sure["inference_cost"]["mean"].as_f64().unwrap() * rows as f64;
    let spent = sure["spend"]["usd"].as_f64().unwrap();
    assert!(spent > 1.5 * cost, "{sure}");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_crash_among_a_judges_questions_leaves_no_trace_in_an_evaluation() {
    let world = judge::world().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(20);
    let first = world.setting.worker().await;
    let disturbed = api.evaluate(&judged()).await;
    gate.arrived(21).await;
    first.kill().await;
    gate.open();
    let second = world.setting.worker().await;
    api.follow(&disturbed, None).await;
    let undisturbed = api.evaluate(&judged()).await;
    api.follow(&undisturbed, None).await;
    let found = async |path: &str| {
        let report = api.json(&format!("{path}/report")).await;
        let metrics = ["sure", "drawn", "thrice"].map(|name| of(&report, name)["metrics"].clone());
        (
            metrics,
            report["comparisons"].clone(),
            report["verdict"].clone(),
        )
    };
    assert_eq!(found(&disturbed).await, found(&undisturbed).await);
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_a_judge_said_of_another_jobs_answers_is_not_asked_again() {
    let world = judge::world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = judged();
    body["scoring"]["scorer"]
        .as_object_mut()
        .unwrap()
        .remove("labels");
    let asked = || {
        world.simulator.statistics().models[JUDGE]
            .delivered
            .requests
    };
    let (_, first) = run(&api, &body).await;
    let before = asked();
    assert!(before > 0);
    body["reuse"] = json!("owner");
    let (_, second) = run(&api, &body).await;
    assert_eq!(second["spend"]["tokens"], 0, "{second}");
    assert_eq!(asked(), before);
    let mean = |report: &Value, name: &str| of(report, name)["metrics"]["mean"]["mean"].clone();
    for name in ["sure", "thrice"] {
        assert_eq!(mean(&first, name), mean(&second, name));
    }
    // Another rubric is another question, and so is another row behind the same prompt.
    body["scoring"]["scorer"]["rubric"] = json!("Are {{ subject }} explained well?");
    let (_, third) = run(&api, &body).await;
    let after = asked();
    assert!(after >= 2 * before, "{after} after {before}");
    assert_eq!(
        third["spend_by_role"]["evaluation"]["tokens"]
            .as_u64()
            .unwrap_or(0),
        0
    );
    for row in body["data"]["instances"].as_array_mut().unwrap() {
        row["level"] = json!("simple");
    }
    run(&api, &body).await;
    assert!(asked() >= after + before, "{} after {after}", asked());
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_judges_share_ends_an_evaluation_in_words() {
    let world = judge::world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = judged();
    let scorer = body["scoring"]["scorer"].as_object_mut().unwrap();
    scorer.remove("labels");
    scorer.insert("share".to_owned(), json!(0.1));
    body["budgets"] = json!({"evaluation": {"usd": 0.0006}});
    let rows = body["data"]["instances"].as_array().unwrap();
    // To have all of them judged would take 0.0001 dollars.
    let many: Vec<Value> = rows.iter().cycle().take(5 * rows.len()).cloned().collect();
    body["data"]["instances"] = json!(many);
    let (evaluation, report) = run(&api, &body).await;
    assert_eq!(evaluation["stop_reason"], "budget_exhausted", "{report}");
    let spent = report["spend_by_role"]["judge"]["usd"].as_f64().unwrap();
    assert!(spent > 0.0 && spent <= 0.000_06, "{spent}");
    let detail = |code: &str| {
        note(&report, code).unwrap()["detail"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let told = "may use 10 % of the budget, which was used up: the evaluation ended with it; raise `share`, or \
                take fewer rows";
    assert!(detail("judge_share").ends_with(told), "{report}");
    let told = "the judge's share of the budget ended there: raise `share`, or take fewer rows";
    assert!(detail("rows_not_seen").contains(told), "{report}");
    assert!(server.stop().await);
    world.end().await;
}

/// A model that knows only what it is shown.
#[tokio::test]
async fn a_configuration_says_which_demonstrations_it_shows() {
    let lines = json!([
        {"contains": "As before.", "answers": ["yes"]},
        {"contains": "?", "answers": ["who knows"]}
    ]);
    let world = World::with(SimulatorOptions {
        script: Some(Script::parse(&lines.to_string()).unwrap()),
        ..SimulatorOptions::default()
    })
    .await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let rows: Vec<Value> = (0..12)
        .map(|row| json!({"q": format!("question {row}?"), "a": "yes"}))
        .collect();
    let mut body = json!({
        "data": {"instances": rows},
        "model": {"endpoint": "local", "model": TUNED},
        "prompts": [{"name": "plain", "text":
            "{% for one in demonstrations %}{{ one.q }} {{ one.a }}\n{% endfor %}{% if demonstrations %}As before. \
             {% endif %}{{ q }}"}],
        "demonstrations": {"count": {"int": [0, 4]}, "choice": ["first", "similar"]},
        "scoring": {"scorer": {"type": "exact", "expected": "{{ a }}"}},
        "search_space": {"temperature": 0, "max_tokens": 8, "n": 1},
        "baseline": {"prompt": "plain", "demonstrations": {"count": 0}},
        "budgets": {"optimization": {"usd": 0.02}},
        "search": {"seed": 2}
    });
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let report = api.json(&format!("{path}/report")).await;
    let baseline = &report["baseline"]["configuration"];
    assert_eq!(
        (&baseline["prompt"], &baseline["demonstrations"]),
        (&json!("plain (no demonstrations)"), &json!({"count": 0}))
    );
    let winner = &report["winner"]["configuration"];
    let shown = winner["demonstrations"].clone();
    assert!(shown["count"].as_u64() > Some(0), "{winner}");
    assert!(["first", "similar"].contains(&shown["choice"].as_str().unwrap()));
    let job = api.json(&path).await;
    assert_eq!(job["best"]["configuration"], *winner);
    for trial in api.all(&format!("{path}/trials")).await {
        assert!(
            trial["configuration"]["demonstrations"]["count"].is_u64(),
            "{trial}"
        );
    }
    // What was found can be posted again, as a baseline and beside others.
    body["baseline"] = winner.clone();
    let posted = api.post("/jobs/estimate", &body).await;
    let posted: Value = serde_json::from_str(&posted.text().await.unwrap()).unwrap();
    assert_eq!(posted["baseline"]["configuration"], *winner, "{posted}");
    for field in ["search_space", "baseline", "budgets", "search"] {
        body.as_object_mut().unwrap().remove(field);
    }
    let again = json!({"name": "again", "prompt": "plain", "demonstrations": shown, "max_tokens": 8, "temperature": 0});
    let none =
        json!({"name": "none", "demonstrations": {"count": 0}, "max_tokens": 8, "temperature": 0});
    body["configurations"] = json!([again, none]);
    let (_, report) = run(&api, &body).await;
    assert_eq!(of(&report, "again")["configuration"], *winner);
    let mean = |name: &str| of(&report, name)["metrics"]["expected_success"]["mean"].clone();
    assert!(close(&mean("again"), 1.0) && close(&mean("none"), 0.0));
    assert!(server.stop().await);
    world.end().await;
}
