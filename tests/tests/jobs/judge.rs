//! Jobs whose answers a model judges: what it is asked, what it costs, and what becomes of it where it
//! says nothing or cannot be asked.

use crate::World;
use crate::takeover::assert_same;
use frugal_simulator::{Script, SimulatorOptions};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};

pub(crate) const SUBJECTS: [&str; 6] = ["ferries", "tides", "owls", "bridges", "maps", "bells"];

pub(crate) const JUDGE: &str = "smollm2-135m-instruct";

/// One model writes, the other judges: it likes explanations, finds the rest bad, and has nothing to say
/// of answers that are cut off.
fn script() -> Script {
    let writes = SUBJECTS.iter().map(|subject| {
        json!({
            "contains": format!("Explain {subject}"), "model": "gemma-3-270m",
            "answers": [
                {"text": format!("{subject} are explained"), "weight": 3},
                {"text": "no idea", "weight": 2},
                {"text": "hm", "weight": 0.2}
            ]
        })
    });
    let judges = [
        json!({"contains": "explained\n</answer>", "model": JUDGE, "answers": ["True.\nRating: 5"]}),
        json!({"contains": "no idea\n</answer>", "model": JUDGE, "answers": ["Not an answer.\nRating: 1"]}),
        json!({"contains": "<answer>", "model": JUDGE, "answers": ["I cannot say."]}),
    ];
    let lines: Vec<Value> = judges.into_iter().chain(writes).collect();
    Script::parse(&json!(lines).to_string()).unwrap()
}

fn body() -> Value {
    let rows: Vec<Value> = SUBJECTS
        .iter()
        .map(|subject| json!({"subject": subject}))
        .collect();
    json!({
        "data": {"instances": rows, "holdout": {"share": 0.34}},
        "models": [{"endpoint": "local", "model": "gemma-3-270m"}],
        "prompts": [{"name": "plain", "text": "Explain {{ subject }}."}],
        "search_space": {"temperature": {"float": [0, 1]}, "max_tokens": 40, "n": 1},
        "scoring": {"scorer": {
            "type": "judge", "endpoint": "local", "model": JUDGE,
            "rubric": "Is {{ subject }} explained?"
        }},
        "budgets": {"inference": {"usd": 0.0001}, "optimization": {"usd": 0.02}},
        "limits": {"trials": 8},
        "search": {"seed": 3}
    })
}

pub(crate) async fn world() -> World {
    World::with(SimulatorOptions {
        script: Some(script()),
        ..SimulatorOptions::default()
    })
    .await
}

#[tokio::test]
async fn answers_are_tuned_by_what_a_judge_says_of_them() {
    let world = world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&body()).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(job["objective"]["metric"], "mean", "ratings are no chances");
    let mean = job["best"]["utility"]["mean"].as_f64().unwrap();
    assert!(mean > 0.9, "explained at temperature 0: {}", job["best"]);
    let tokens = |of: &Value| of["tokens"].as_u64().unwrap();
    let judged = tokens(&job["spend"]["by_role"]["judge"]);
    assert!(judged > 0 && judged < tokens(&job["spend"]), "{job}");
    let cost = job["best"]["inference_cost"]["mean"].as_f64().unwrap();
    let answers = ["search", "baseline"].map(|role| tokens(&job["spend"]["by_role"][role]));
    assert!(
        answers.iter().sum::<u64>() > 0 && cost < 0.0001,
        "the judge is no part of it: {job}"
    );
    // Held-out rows are judged as well, and all that was spent was billed.
    let report = api.json(&format!("{path}/report")).await;
    let holdout = report["holdout"]["winner"]["mean"].as_f64();
    assert!(holdout.is_some_and(|mean| mean > 0.9), "{report}");
    let billed = world.simulator.statistics().billed();
    assert_eq!(
        tokens(&job["spend"]),
        billed.prompt_tokens + billed.completion_tokens
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn an_answer_that_the_judge_says_nothing_of_has_no_score() {
    let world = world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = body();
    // At the usual temperature one answer in twenty cannot be judged, and two in five are bad.
    body["search_space"] = json!({"temperature": 1, "max_tokens": 40, "n": 1});
    body["budgets"]["optimization"] = json!({"usd": 0.05});
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let report = api.json(&format!("{path}/report")).await;
    let mean = job["best"]["utility"]["mean"].as_f64().unwrap();
    assert!(
        (0.4..0.8).contains(&mean),
        "of what was judged three in five are good: {report}"
    );
    let notes = report["notes"].as_array().unwrap();
    let note = notes.iter().find(|note| note["code"] == "judge_silent");
    let (answers, silent) = (&note.unwrap()["answers"], &note.unwrap()["silent"]);
    assert!(
        silent.as_u64() > Some(0) && silent.as_u64() < answers.as_u64(),
        "{notes:?}"
    );
    assert!(
        note.unwrap()["detail"]
            .as_str()
            .unwrap()
            .contains("`I cannot say.`")
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_judges_share_of_the_budget_ends_the_search() {
    let world = world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = body();
    body["search_space"]["n"] = json!(2);
    body["search_space"]["temperature"] = json!({"float": [0.2, 1]});
    body["budgets"] = json!({"optimization": {"usd": 0.002}});
    body["limits"]["trials"] = json!(200);
    body["scoring"]["scorer"]["share"] = json!(0.1);
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&json!("succeeded"), &json!("budget_exhausted")),
        "{job}"
    );
    // The judge has a tenth of the budget, of which held-out rows keep a quarter.
    let spent = job["spend"]["by_role"]["judge"]["usd"].as_f64().unwrap();
    assert!((0.000_1..=0.000_2).contains(&spent), "{spent}");
    let report = api.json(&format!("{path}/report")).await;
    let holdout = report["holdout"]["winner"]["mean"].as_f64();
    assert!(holdout.is_some(), "{report}");
    let notes = report["notes"].as_array().unwrap();
    let note = notes.iter().find(|note| note["code"] == "judge_share");
    insta::assert_json_snapshot!(note.unwrap(), @r#"
    {
      "code": "judge_share",
      "detail": "the judge `smollm2-135m-instruct` may use 10 % of the optimization budget, which was used up, but for what was kept for held-out rows: the search ended with it; raise `share` to go on",
      "share": 0.1
    }
    "#);
    let left = notes.iter().find(|note| note["code"] == "budget_left");
    let detail = left.unwrap()["detail"].as_str().unwrap();
    assert!(detail.contains("raise `share` to go on"), "{detail}");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_judge_that_cannot_be_asked_ends_the_job_in_its_words() {
    let mut world = world().await;
    let nowhere = world.simulator.base_url().replace("/v1", "/v2");
    world.setting.endpoints.push_str(&format!(
        "[endpoints.elsewhere]\nbase_url = \"{nowhere}\"\n[endpoints.elsewhere.models.judge]\n\
         input_usd_per_million = 1\noutput_usd_per_million = 1\n"
    ));
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = body();
    body["scoring"]["scorer"]["endpoint"] = json!("elsewhere");
    body["scoring"]["scorer"]["model"] = json!("judge");
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&json!("failed"), &json!("endpoint_unusable"))
    );
    let detail = job["detail"].as_str().unwrap();
    assert!(
        detail.contains("the judge `judge` at `elsewhere` cannot be asked"),
        "{detail}"
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_crash_among_questions_changes_no_score_and_asks_nothing_twice() {
    let world = world().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(20);
    let first = world.setting.worker().await;
    let disturbed = api.submit(&body()).await;
    gate.arrived(21).await;
    first.kill().await;
    gate.open();
    let second = world.setting.worker().await;
    api.follow(&disturbed, None).await;
    assert_same(&api, &disturbed, &body()).await;
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_report_says_how_far_the_judge_may_be_trusted() {
    let world = world().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = body();
    // People are milder than the judge by a quarter of the scale where it likes nothing.
    let rated = [
        ("owls are explained", 5),
        ("no idea", 2),
        ("no idea", 2),
        ("hm", 1),
    ];
    let rows = body["data"]["instances"].as_array_mut().unwrap();
    for (row, (sample, rating)) in rows.iter_mut().zip(rated) {
        row["sample"] = json!(sample);
        row["rating"] = json!(rating);
    }
    body["data"].as_object_mut().unwrap().remove("holdout");
    body["scoring"]["scorer"]["labels"] =
        json!({"answer": "{{ sample }}", "rating": "{{ rating }}"});
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let report = api.json(&format!("{path}/report")).await;
    let notes = report["notes"].as_array().unwrap();
    let note = notes.iter().find(|note| note["code"] == "judge_agreement");
    insta::assert_json_snapshot!(note.unwrap(), @r#"
    {
      "answers": 3,
      "code": "judge_agreement",
      "detail": "on 3 answers that people have rated the judge is 0.17 off in the mean, from 0 to 1; it rates 0.17 lower than people; of two answers that people rate differently it prefers the same one in 100 %; of 1 more it says nothing that can be read. Differences between configurations that are smaller than what it is off by may be its own: a clearer rubric, `repeats` or another judge may come closer",
      "mean_absolute_difference": 0.16666666666666666,
      "mean_difference": -0.16666666666666666,
      "same_order": 1.0,
      "silent": 1
    }
    "#);
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn pairs_are_asked_about_in_both_orders() {
    // It says that the first is better, whichever that is, unless one is no answer.
    let answers = SUBJECTS.map(|subject| {
        json!({"contains": format!("Explain {subject}"), "model": "gemma-3-270m",
               "answers": [{"text": "no idea", "weight": 2}, "as good as it gets"]})
    });
    let judges = [
        json!({"contains": "<answer_a>\nno idea", "model": JUDGE, "answers": ["Better: B"]}),
        json!({"contains": "<answer_b>\nno idea", "model": JUDGE, "answers": ["Better: A"]}),
        json!({"contains": "<answer_a>", "model": JUDGE, "answers": ["Better: A"]}),
    ];
    let lines: Vec<Value> = judges.into_iter().chain(answers).collect();
    let world = World::with(SimulatorOptions {
        script: Some(Script::parse(&json!(lines).to_string()).unwrap()),
        ..SimulatorOptions::default()
    })
    .await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = body();
    body["data"].as_object_mut().unwrap().remove("holdout");
    body["search_space"] = json!({"temperature": 1, "max_tokens": 40, "n": 1});
    body["search"]["extent"] = json!("searched");
    body["scoring"]["scorer"]["style"] = json!("pairwise");
    body["scoring"]["scorer"]["expected"] = json!("a reference for {{ subject }}");
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    // A third of the answers is as good as the reference, so worth a half; the rest is worth nothing.
    let mean = job["best"]["utility"]["mean"].as_f64().unwrap();
    assert!((0.02..0.4).contains(&mean), "{}", job["best"]);
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_judge_is_told_before_anything_is_paid() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let mut faults = Vec::new();
    for (field, value) in [
        ("model", json!("gpt-9")),
        ("rubric", json!("Is {{ topic }} explained?")),
        ("scale", json!([5, 1])),
        ("repeats", json!(0)),
        ("share", json!(1.5)),
        ("style", json!("pairwise")),
        (
            "labels",
            json!({"answer": "{{ sample }}", "rating": "{{ rating }}"}),
        ),
    ] {
        let mut body = body();
        body["scoring"]["scorer"][field] = value;
        for path in ["/jobs", "/jobs/estimate"] {
            let refused = api.post(path, &body).await;
            assert_eq!(refused.status().as_u16(), 422, "{path} {field}");
            let problem: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
            faults.push(problem["errors"][0].clone());
        }
    }
    faults.dedup();
    insta::assert_json_snapshot!(faults, @r#"
    [
      {
        "detail": "`gpt-9` is not a model of the endpoint `local`; it has `gemma-3-270m`, `smollm2-135m-instruct`",
        "pointer": "/scoring/scorer/model"
      },
      {
        "detail": "the variable `topic` is absent from row 0 and 5 more of the data, which has `subject`",
        "pointer": "/scoring/scorer/rubric"
      },
      {
        "detail": "must begin with the worst rating and end with the best",
        "pointer": "/scoring/scorer/scale"
      },
      {
        "detail": "must be from 1 to 16, not 0",
        "pointer": "/scoring/scorer/repeats"
      },
      {
        "detail": "must be above 0 and at most 1: the part of the optimization budget that judging may use",
        "pointer": "/scoring/scorer/share"
      },
      {
        "detail": "`expected` is missing; give the answer that others are compared with",
        "pointer": "/scoring/scorer"
      },
      {
        "detail": "no row of the data has both an answer and a rating; name the fields that hold them, or leave `labels` out",
        "pointer": "/scoring/scorer/labels"
      }
    ]
    "#);
    assert!(server.stop().await);
    world.end().await;
}
