//! What the report of a job says, and how sure it is of it.

use crate::{World, job};
use frugal_domain::id::JobId;
use frugal_domain::request::Purpose;
use frugal_domain::scoring::Reducer;
use frugal_evaluation::reduce;
use frugal_scoring::Scorer;
use frugal_store::requests::{self, Settled};
use frugal_store::{instances, jobs};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A configuration that is seldom right.
fn weak() -> Value {
    json!({"model": "smollm2-135m-instruct", "temperature": 1.3, "n": 1, "max_tokens": 8})
}

/// One that is right more often, and dear.
fn strong() -> Value {
    json!({"model": "smollm2-135m-instruct", "temperature": 0.7, "n": 16, "max_tokens": 128})
}

/// Runs a job to its end; its path and its report.
async fn report_of(api: &ApiClient, body: &Value) -> (String, Value) {
    let path = api.submit(body).await;
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded");
    let report = api.json(&format!("{path}/report")).await;
    (path, report)
}

/// The chance of a right answer on each held-out row, by trial, from the stored texts.
async fn held_out_scores(world: &World, path: &str) -> BTreeMap<u32, BTreeMap<u32, f64>> {
    let id = JobId(path.strip_prefix("/jobs/").unwrap().parse().unwrap());
    let pool = frugal_store::connect(world.database.url(), 1).unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let job = jobs::find(&mut connection, id).await.unwrap().unwrap();
    let data = instances::load(&mut connection, id).await.unwrap();
    let settled = requests::load(&mut connection, id).await.unwrap();
    drop(connection);
    pool.close().await;
    let scorer = Scorer::compile(&job.spec.scorer).unwrap();
    let mut scores: BTreeMap<u32, BTreeMap<u32, Vec<f64>>> = BTreeMap::new();
    for (key, request) in settled {
        if key.purpose != Purpose::Validation {
            continue;
        }
        let answer = match request.settled {
            Settled::Answered(answer) => Some(answer),
            Settled::Failed { .. } => None,
        };
        let answer = answer.unwrap();
        let row = &data.holdout[request.instance as usize];
        let found = answer.responses.iter();
        let found = found.map(|response| scorer.score(row, &response.text).unwrap());
        let of_trial = scores.entry(key.trial.0).or_default();
        of_trial.entry(request.instance).or_default().extend(found);
    }
    let reduced = |scores: &Vec<f64>| reduce(Reducer::ExpectedSuccess, scores);
    scores
        .iter()
        .map(|(trial, rows)| {
            let rows = rows.iter().map(|(row, scores)| (*row, reduced(scores)));
            (*trial, rows.collect())
        })
        .collect()
}

/// Mean, standard error and count.
fn estimate(values: &[f64]) -> (f64, f64, usize) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt(), values.len())
}

/// Holds an estimate of the report against the values that it is of. Its interval reaches at least
/// about as far as Student's, 2.1 standard errors to each side, less on the side where the values
/// are closer together, and is never without a width.
fn assert_estimates(reported: &Value, values: &[f64], range: [f64; 2]) {
    let (mean, error, count) = estimate(values);
    let number = |pointer: &str| reported.pointer(pointer).unwrap().as_f64().unwrap();
    assert!((number("/mean") - mean).abs() < 1e-9, "{reported}");
    assert!(
        (number("/standard_error") - error).abs() < 1e-9,
        "{reported}"
    );
    assert_eq!(reported["count"], count);
    let [low, high] = ["/interval/low", "/interval/high"].map(number);
    assert!(range[0] <= low && high <= range[1], "{reported}");
    assert!(low <= mean && mean <= high, "{reported}");
    // One of so many may be at the end of the range without being seen.
    let least_width = (range[1] - range[0]) / (2.0 * values.len() as f64);
    assert!(high - low > (3.4 * error).max(least_width), "{reported}");
    let most_width = 5.2 * error + 8.0 * least_width;
    assert!(high - low < most_width, "{reported}");
}

#[tokio::test]
async fn held_out_rows_tell_how_sure_the_improvement_is() {
    let mut verdicts = Vec::new();
    // With the dear one as the baseline, nothing within the smaller budget is as good.
    for (baseline, budget) in [(weak(), 0.00004), (strong(), 0.000_004)] {
        let world = World::new().await;
        let (server, url) = world.setting.serve(1).await;
        let api = ApiClient::new(&url);
        let mut body = job(40, 8);
        body["data"]["holdout"] = json!({"share": 0.5});
        body["baseline"] = baseline;
        body["start"] = json!([strong()]);
        body["budgets"]["inference"]["usd"] = json!(budget);
        let (path, report) = report_of(&api, &body).await;
        let winner = report["winner"]["trial"].as_u64().unwrap();
        let scores = held_out_scores(&world, &path).await;
        let [winner, baseline] = [u32::try_from(winner).unwrap(), 0].map(|of| &scores[&of]);
        let values =
            |scores: &BTreeMap<u32, f64>| -> Vec<f64> { scores.values().copied().collect() };
        let differences: Vec<f64> = winner
            .iter()
            .map(|(row, score)| score - baseline[row])
            .collect();
        let holdout = &report["holdout"];
        assert_eq!(holdout["instances"], 20);
        assert_estimates(&holdout["winner"], &values(winner), [0.0, 1.0]);
        assert_estimates(&holdout["baseline"], &values(baseline), [0.0, 1.0]);
        assert_estimates(&holdout["difference"], &differences, [-1.0, 1.0]);

        let low = holdout["difference"]["interval"]["low"].as_f64().unwrap();
        let expected = if estimate(&differences).0 <= 0.0 {
            "none"
        } else if low > 0.0 {
            "significant"
        } else {
            "not_significant"
        };
        assert_eq!(report["improvement"], expected, "{holdout}");
        let detail = report["improvement_detail"].as_str().unwrap();
        assert!(detail.contains("20 held-out instances"), "{detail}");
        verdicts.push(expected);
        assert!(server.stop().await);
        world.end().await;
    }
    assert_eq!(verdicts, ["significant", "none"]);
}

#[tokio::test]
async fn without_held_out_rows_no_improvement_is_significant() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = job(40, 4);
    body["baseline"] = weak();
    body["start"] = json!([strong()]);
    body["budgets"]["inference"]["usd"] = json!(0.00004);
    let (_, report) = report_of(&api, &body).await;
    assert!(report["holdout"].is_null());
    let difference = &report["difference"];
    let number = |name: &str| difference[name].as_f64().unwrap();
    assert!(
        number("mean") > 3.0 * number("standard_error"),
        "a lead that would be significant on other rows: {difference}"
    );
    let interval = |of: &Value| ["low", "high"].map(|end| of[end].as_f64().unwrap());
    for side in [&report["winner"], &report["baseline"]] {
        let [low, high] = interval(&side["utility_interval"]);
        let mean = side["utility"]["mean"].as_f64().unwrap();
        assert!(
            0.0 <= low && low <= mean && mean <= high && high <= 1.0,
            "{side}"
        );
        assert!(high - low > 0.01, "{side}");
    }
    let [low, high] = interval(&difference["interval"]);
    assert!(low < number("mean") && number("mean") < high);
    assert_eq!(report["improvement"], "not_significant");
    assert_eq!(
        report["improvement_detail"],
        "no held-out instances: the search chose the winner on the same instances, so its lead \
         is too hopeful; give data.holdout"
    );

    body["baseline"] = json!(false);
    let (_, report) = report_of(&api, &body).await;
    assert_eq!(report["improvement"], "none");
    assert_eq!(
        report["improvement_detail"],
        "the job has no baseline to compare the winner with"
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn the_report_counts_what_was_pruned_cut_and_used_again() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = job(10, 40);
    body["search_space"]["temperature"] = json!({"choice": [0.0, 0.7]});
    body["budgets"]["inference"]["usd"] = json!(0.000_005);
    body["search"]["algorithm"] = json!("random");
    body["search"]["extent"] = json!("searched");
    let (path, report) = report_of(&api, &body).await;
    let trials = api.all(&format!("{path}/trials")).await;
    let mut pruned = json!({"known_invalid": 0, "over_budget": 0, "inferior": 0});
    for trial in &trials {
        if let Some(reason) = trial["pruned"]["reason"].as_str() {
            pruned[reason] = json!(pruned[reason].as_u64().unwrap() + 1);
        }
    }
    assert_eq!(report["savings"]["pruned"], pruned);
    let every_reason = pruned.as_object().unwrap().values();
    assert!(
        every_reason.into_iter().all(|count| *count != 0),
        "{pruned}"
    );
    let counted = |name: &str| report["savings"][name].as_u64().unwrap();
    assert!(counted("reused_responses") > 0);
    let spent = |name: &str| report["savings"][name]["usd"].as_f64().unwrap();
    assert!(spent("spent") < spent("full_evaluation"));

    let diagnostics = &report["diagnostics"];
    let progress = &report["trials"];
    for (rate, part, whole) in [
        ("cut_rate", "cut_responses", "responses"),
        ("empty_rate", "empty_responses", "responses"),
        ("failed_rate", "failed_requests", "requests"),
    ] {
        let [part, whole] = [&diagnostics[part], &progress[whole]].map(|of| of.as_f64().unwrap());
        assert_eq!(diagnostics[rate], json!(part / whole), "{rate}");
    }
    assert!(diagnostics["cut_responses"].as_u64().unwrap() > 0);
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn what_breaks_the_assumption_on_costs_is_counted_and_named() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    // Two configurations that differ in temperature alone, and so in nothing that the known n
    // are kept by.
    let mut body = job(10, 2);
    body["models"].as_array_mut().unwrap().truncate(1);
    body["prompts"].as_array_mut().unwrap().truncate(1);
    body["search_space"] = json!({
        "temperature": {"choice": [0.0, 1.3]}, "max_tokens": 128, "n": 4, "stop": ["\n\n"]
    });
    body["search"] = json!({
        "algorithm": "grid", "options": {"order": "sequential"}, "parallel_trials": 1, "seed": 5,
        "extent": "searched"
    });
    body["baseline"] = json!(false);
    body["budgets"] = json!({"optimization": {"tokens": 1_000_000}});
    let (path, report) = report_of(&api, &body).await;
    assert_eq!(report["diagnostics"]["violations"], json!([]));
    let mut trials = api.all(&format!("{path}/trials")).await;
    let cost = |trial: &Value| trial["inference_cost"]["mean"].as_f64().unwrap();
    trials.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    let temperature = |trial: &Value| trial["configuration"]["temperature"].clone();
    assert!(cost(&trials[0]) * 1.2 < cost(&trials[1]), "{trials:?}");

    // With a budget between them, the cheaper one is valid, and so by the assumption is the
    // dearer one: it has no larger n and no larger max_tokens.
    body["budgets"]["inference"] = json!({"tokens": (cost(&trials[0]) * 1.1).ceil()});
    body["search_space"]["temperature"] =
        json!({"choice": [temperature(&trials[0]), temperature(&trials[1])]});
    let (_, report) = report_of(&api, &body).await;
    let diagnostics = &report["diagnostics"];
    assert_eq!(diagnostics["violation_count"], 1, "{diagnostics}");
    let violation = &diagnostics["violations"][0];
    assert_eq!(violation["trial"], 2);
    assert_eq!(violation["configuration"], trials[1]["configuration"]);
    assert_eq!(
        (&violation["n"], &violation["measured_valid"]),
        (&json!(4), &json!(false))
    );
    assert_eq!(report["winner"]["trial"], 1);
    assert!(server.stop().await);
    world.end().await;
}
