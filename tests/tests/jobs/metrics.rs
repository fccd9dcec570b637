//! Jobs that minimise, that are after other metrics than answers' scores, and that hold metrics
//! to bounds.

use crate::World;
use frugal_domain::id::JobId;
use frugal_domain::request::Purpose;
use frugal_domain::scoring::{Observation, Reducer};
use frugal_evaluation::{Corpus, reduce};
use frugal_simulator::{Fault, Faults, Latency, Recordings, Refusal, SimulatorOptions};
use frugal_store::scores;
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Every metric of a trial.
const METRICS: [&str; 8] = [
    "completion_tokens",
    "cut_rate",
    "expected_success",
    "inference_cost",
    "latency_ms",
    "mean",
    "min",
    "success",
];

/// A job on the first recorded questions for capitals, with all of the search space tried.
fn grid(instances: usize, search_space: &Value) -> Value {
    let recordings = Recordings::embedded().unwrap();
    let rows: Vec<_> = recordings
        .instances("capitals")
        .iter()
        .take(instances)
        .collect();
    json!({
        "data": {"instances": rows},
        "models": [
            {"endpoint": "local", "model": "gemma-3-270m"},
            {"endpoint": "local", "model": "smollm2-135m-instruct"}
        ],
        "prompt": recordings.prompts("capitals")[0].template,
        "search_space": search_space,
        "scoring": {
            "scorer": {"type": "contains", "expected": "{{ answer }}"},
            "reduce": "mean"
        },
        "budgets": {"optimization": {"usd": 0.1}},
        "search": {"algorithm": "grid", "seed": 5, "pruning": "off"},
        "baseline": false
    })
}

/// Posts a job and waits for its end. Returns its path, itself, and its trials in order.
async fn run(api: &ApiClient, body: &Value) -> (String, Value, Vec<Value>) {
    let path = api.submit(body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    let mut trials = api.all(&format!("{path}/trials")).await;
    trials.sort_by_key(|trial| trial["number"].as_u64());
    (path, job, trials)
}

fn mean(trial: &Value, metric: &str) -> f64 {
    trial["metrics"][metric]["mean"].as_f64().unwrap()
}

fn in_state<'t>(trials: &'t [Value], state: &str) -> Vec<&'t Value> {
    let found = trials.iter().filter(|trial| trial["state"] == state);
    found.collect()
}

#[tokio::test]
async fn a_configuration_that_violates_a_constraint_never_wins() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    // One of the models knows more capitals, and chatters until it is cut.
    let space = json!({
        "temperature": 1.3,
        "max_tokens": {"choice": [4, 8, 16, 32, 64, 128]},
        "stop": ["\n\n"]
    });
    let free = grid(20, &space);
    let mut bound = free.clone();
    bound["constraints"] = json!([{"metric": "cut_rate", "at_most": 0.2}]);

    let (_, unbounded, all) = run(&api, &free).await;
    assert_eq!(unbounded["constraints"], json!([]));
    let of = |number: &Value, trials: &[Value]| -> Value {
        let mut found = trials.iter().filter(|trial| trial["number"] == *number);
        found.next().unwrap().clone()
    };
    let cut = of(&unbounded["best"]["trial"], &all);
    assert!(mean(&cut, "cut_rate") > 0.2, "{cut}");
    assert!(all.iter().all(|trial| trial["violated"] == json!([])));

    let (path, bounded, trials) = run(&api, &bound).await;
    assert_eq!(bounded["constraints"], bound["constraints"]);
    assert_eq!(in_state(&trials, "evaluated").len(), 12);
    let again = of(&cut["number"], &trials);
    assert_eq!(again["configuration"], cut["configuration"]);
    assert_eq!(again["utility"], cut["utility"], "the numbers are the same");
    for trial in &trials {
        let kept = mean(trial, "cut_rate") <= 0.2;
        let violated = if kept { json!([]) } else { json!(["cut_rate"]) };
        assert_eq!(
            (&trial["valid"], &trial["violated"]),
            (&json!(kept), &violated)
        );
    }
    let best = of(&bounded["best"]["trial"], &trials);
    assert_eq!(best["valid"], true);
    let valid = trials.iter().filter(|trial| trial["valid"] == true);
    let most = valid.map(|trial| mean(trial, "mean")).fold(0.0, f64::max);
    assert_eq!(mean(&best, "mean"), most);
    assert!(most < mean(&cut, "mean"));

    let report = api.json(&format!("{path}/report")).await;
    assert_eq!(report["winner"]["trial"], best["number"]);
    assert_eq!(report["winner"]["violated"], json!([]));
    let mut told = BTreeMap::new();
    for event in api.all(&format!("{path}/events")).await {
        let data = &event["data"];
        match event["type"].as_str().unwrap() {
            "trial.evaluated" => {
                let verdict = (data["valid"].clone(), data["violated"].clone());
                told.insert(data["trial"].as_u64().unwrap(), verdict);
            }
            "best.updated" => assert_eq!(of(&data["trial"], &trials)["valid"], true),
            _ => {}
        }
    }
    let shown = trials.iter().map(|trial| {
        let verdict = (trial["valid"].clone(), trial["violated"].clone());
        (trial["number"].as_u64().unwrap(), verdict)
    });
    assert_eq!(told, shown.collect());
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn every_metric_is_measured_on_every_instance() {
    let world = World::with(SimulatorOptions {
        latency: Latency::constant(Duration::from_millis(20)),
        ..SimulatorOptions::default()
    })
    .await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let space = json!({"temperature": 1.3, "max_tokens": 4, "n": 3, "stop": ["\n\n"]});
    let mut body = grid(8, &space);
    body["models"] = json!([body["models"][1]]);
    body["objective"] = json!({"metric": "latency_ms", "direction": "minimize"});
    let (path, job, trials) = run(&api, &body).await;
    assert_eq!(job["objective"], body["objective"]);
    let [trial] = trials.as_slice() else {
        panic!("a grid of one point is one trial: {trials:?}");
    };
    let metrics = trial["metrics"].as_object().unwrap();
    assert_eq!(metrics.keys().collect::<Vec<_>>(), METRICS);
    for (name, metric) in metrics {
        assert_eq!(metric["count"], 8, "{name}");
        assert!(metric["mean"].as_f64().unwrap() >= 0.0, "{name}: {metric}");
        assert!(metric["standard_error"].as_f64().unwrap() >= 0.0, "{name}");
    }
    assert_eq!(trial["utility"], metrics["latency_ms"]);
    assert!(mean(trial, "latency_ms") >= 20.0, "{trial}");

    // What one configuration with no predecessor cost is what the endpoint billed for it.
    let billed = world.simulator.statistics().billed();
    let in_all = |metric: &str| mean(trial, metric) * 8.0;
    assert_eq!(in_all("completion_tokens"), real(billed.completion_tokens));
    let report = api.json(&format!("{path}/report")).await;
    let cut = report["diagnostics"]["cut_responses"].as_f64().unwrap();
    assert!(cut > 0.0 && (in_all("cut_rate") * 3.0 - cut).abs() < 1e-9);
    let spent = job["spend"]["usd"].as_f64().unwrap();
    assert!((in_all("inference_cost") - spent).abs() < 1e-12);
    let cost = &trial["inference_cost"];
    for part in ["mean", "standard_error", "count"] {
        assert_eq!(cost[part], metrics["inference_cost"][part]);
    }
    assert!(server.stop().await);
    world.end().await;
}

/// A grid of one point with five responses for each row, scored by a reducer that goes by more than scores.
/// What was stored of each response comes back by row, once the trial's metrics are found to be what it
/// comes to.
async fn reduced_from_what_is_stored(reducer: Reducer, selector: Value) -> Vec<Observation> {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = crate::job(12, 1);
    body["models"] = json!([body["models"][1]]);
    body["prompts"] = json!([body["prompts"][0]]);
    body["search_space"] = json!({"temperature": 1.3, "max_tokens": 64, "n": 5, "stop": ["\n\n"]});
    body["scoring"]["reduce"] = json!(reducer);
    body["scoring"]["selector"] = selector.clone();
    body["budgets"] = json!({"optimization": {"usd": 0.1}});
    body["search"] = json!({"algorithm": "grid", "seed": 5, "pruning": "off"});
    body["baseline"] = json!(false);
    let (path, job, trials) = run(&api, &body).await;
    let name = reducer.as_str();
    assert_eq!(job["objective"]["metric"], name);
    assert_eq!(trials.len(), 1, "a grid of one point is one trial");
    let trial = &trials[0];
    let metrics = trial["metrics"].as_object().unwrap();
    // The scorer tells answers apart, so the majority is measured in any case.
    let with_it: BTreeSet<&str> = METRICS.into_iter().chain(["majority", name]).collect();
    let named: BTreeSet<&str> = metrics.keys().map(String::as_str).collect();
    assert_eq!(named, with_it);

    let id = JobId(path.strip_prefix("/jobs/").unwrap().parse().unwrap());
    let pool = frugal_store::connect(world.database.url(), 1).unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let mut rows: BTreeMap<u32, Vec<Observation>> = BTreeMap::new();
    for (key, score) in scores::load(&mut connection, id).await.unwrap() {
        rows.entry(key.instance).or_default().push(score.unwrap());
    }
    drop(connection);
    pool.close().await;
    assert!(rows.values().all(|of_row| of_row.len() == 5));
    let reduced = rows.values().map(|of_row| reduce(reducer, of_row));
    let expected = reduced.sum::<f64>() / 12.0;
    assert!((mean(trial, name) - expected).abs() < 1e-12);
    assert_eq!(trial["utility"], metrics[name]);
    assert!(server.stop().await);
    world.end().await;
    rows.into_values().flatten().collect()
}

#[tokio::test]
async fn the_majority_is_that_of_the_stored_answers() {
    let stored = reduced_from_what_is_stored(Reducer::Majority, Value::Null).await;
    let answered = stored.iter().filter(|one| one.answer.is_some()).count();
    assert!(answered > 30, "{answered}");
    assert!(stored.iter().all(|one| one.preference.is_none()));
}

#[tokio::test]
async fn the_best_of_n_is_that_of_the_stored_preferences() {
    let selector = json!({"type": "composite", "parts": [
        {"scorer": {"type": "regex", "pattern": "^\\s*[A-Z0-9]"}},
        {"weight": 2, "scorer": {"type": "edit_similarity", "expected": "{{ question }}"}}
    ]});
    let stored = reduced_from_what_is_stored(Reducer::BestOfN, selector).await;
    let preferences = stored.iter().map(|one| one.preference.unwrap());
    let different: BTreeSet<u64> = preferences.map(f64::to_bits).collect();
    assert!(different.len() > 10, "{}", different.len());
}

#[tokio::test]
async fn a_corpus_is_scored_by_what_is_stored_of_its_responses() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let space = json!({"temperature": 0.7, "max_tokens": 16, "n": 2, "stop": ["\n\n"]});
    let mut body = grid(24, &space);
    body["models"] = json!([body["models"][0]]);
    body["data"]["holdout"] = json!({"share": 0.5});
    body["scoring"] = json!({"scorer": {"type": "token_f1", "expected": "{{ answer }}"}});
    body["baseline"] = json!({"temperature": 0.3, "max_tokens": 16, "n": 1});
    let (path, _, trials) = run(&api, &body).await;
    let trial = trials.iter().find(|trial| trial["number"] == 1).unwrap();

    let id = JobId(path.strip_prefix("/jobs/").unwrap().parse().unwrap());
    let pool = frugal_store::connect(world.database.url(), 1).unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let mut rows: BTreeMap<usize, Vec<Observation>> = BTreeMap::new();
    for (key, score) in scores::load(&mut connection, id).await.unwrap() {
        let request = key.response.request;
        if (request.purpose, request.trial.0) == (Purpose::Search, 1) {
            let row = rows.entry(key.instance as usize).or_default();
            row.push(score.unwrap());
        }
    }
    drop(connection);
    pool.close().await;
    assert_eq!(rows.len(), 12);
    let corpus = Corpus::of(rows.iter().map(|(row, said)| (*row, said))).unwrap();
    let report = api.json(&format!("{path}/report")).await;
    let parts = &report["corpus"];
    for metric in corpus.metrics() {
        let found = corpus.estimate(*metric).unwrap();
        let name = metric.as_str();
        assert!(
            (mean(trial, name) - found.estimate.mean).abs() < 1e-12,
            "{name}"
        );
        if report["winner"]["trial"] == 1 {
            let told = &parts["tuning"]["winner"][name];
            assert_eq!(told["mean"], json!(found.estimate.mean));
            assert_eq!(told["interval"]["low"], json!(found.interval.low));
        }
        for split in ["tuning", "holdout"] {
            for which in ["winner", "baseline", "difference"] {
                let told = &parts[split][which][name];
                assert_eq!(told["count"], 12, "{split} {which} {name}: {told}");
                let [low, high] =
                    ["low", "high"].map(|end| told["interval"][end].as_f64().unwrap());
                assert!(low <= high && told["standard_error"].as_f64().unwrap() >= 0.0);
            }
        }
    }
    assert!(mean(trial, "corpus_f1") > 0.0);
    assert!(server.stop().await);
    world.end().await;
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[tokio::test]
async fn a_job_whose_constraint_nothing_keeps_has_no_best() {
    let world = World::with(SimulatorOptions {
        latency: Latency::constant(Duration::from_millis(20)),
        ..SimulatorOptions::default()
    })
    .await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let space = json!({"temperature": 0.7, "max_tokens": {"choice": [4, 16]}, "stop": ["\n\n"]});
    let mut body = grid(6, &space);
    body["data"]["holdout"] = json!({"share": 0.5});
    body["baseline"] = json!({});
    body["constraints"] = json!([
        {"metric": "latency_ms", "at_most": 10},
        {"metric": "completion_tokens", "at_least": 1}
    ]);
    let (path, job, trials) = run(&api, &body).await;
    assert_eq!(job["best"], json!(null));
    assert!(!trials.is_empty());
    for trial in &trials {
        assert_eq!(
            (&trial["state"], &trial["valid"], &trial["violated"]),
            (&json!("evaluated"), &json!(false), &json!(["latency_ms"]))
        );
    }
    let report = api.json(&format!("{path}/report")).await;
    assert_eq!(
        (&report["winner"], &report["holdout"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(report["baseline"]["violated"], json!(["latency_ms"]));
    let events = api.all(&format!("{path}/events")).await;
    assert!(events.iter().all(|event| event["type"] != "best.updated"));
    assert!(server.stop().await);
    world.end().await;
}

/// Were a trial without a utility given one of 0, it would win this job, which minimises.
#[tokio::test]
async fn less_is_better_only_among_what_was_evaluated_and_is_valid() {
    // The endpoint refuses some requests for their prompts' sake, which fails trials, and all
    // with a temperature above 1.3, which makes them infeasible.
    let refused = Refusal::invalid(None, Some("prompt"), "This prompt cannot be answered.");
    let world = World::with(SimulatorOptions {
        faults: Faults::rate(Fault::Refused(refused), 0.04),
        ..SimulatorOptions::default()
    })
    .await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let space = json!({
        "temperature": {"float": [0, 2]},
        "max_tokens": {"int": [1, 128], "scale": "log"},
        "n": {"int": [1, 8], "scale": "log"},
        "stop": ["\n\n"]
    });
    let mut body = grid(10, &space);
    body["objective"] = json!({"metric": "completion_tokens", "direction": "minimize"});
    // What has the fewest tokens of all violates a constraint, so that it would win as well.
    body["constraints"] = json!([
        {"metric": "success", "at_least": 0.5},
        {"metric": "completion_tokens", "at_least": 2.5}
    ]);
    body["budgets"]["inference"] = json!({"usd": 0.000_000_8});
    body["limits"] = json!({"trials": 60});
    body["search"] = json!({"algorithm": "random", "seed": 5, "extent": "searched"});
    for pruning in ["on", "off"] {
        body["search"]["pruning"] = json!(pruning);
        let (path, job, trials) = run(&api, &body).await;
        let mut without = in_state(&trials, "infeasible");
        assert!(!without.is_empty());
        let failed = in_state(&trials, "failed");
        assert!(!failed.is_empty());
        without.extend(failed);
        let pruned = in_state(&trials, "pruned");
        assert_eq!(pruned.is_empty(), pruning == "off");
        without.extend(pruned);
        assert!(without.iter().all(|trial| trial["utility"].is_null()));

        let evaluated = in_state(&trials, "evaluated");
        let tokens = |valid: bool| {
            let chosen = evaluated
                .iter()
                .filter(move |trial| trial["valid"] == valid);
            let tokens = chosen.map(|trial| mean(trial, "completion_tokens"));
            tokens.fold(f64::INFINITY, f64::min)
        };
        let best = &job["best"];
        assert_eq!(best["utility"]["mean"], tokens(true));
        assert!((2.5..f64::INFINITY).contains(&tokens(true)));
        assert!(
            tokens(false) < 2.5,
            "something invalid has fewer tokens than the best"
        );
        let over_budget = |trial: &Value| trial["valid"] == false && trial["violated"] == json!([]);
        assert_eq!(evaluated.iter().copied().any(over_budget), pruning == "off");

        let mut least = f64::INFINITY;
        for event in api.all(&format!("{path}/events")).await {
            if event["type"] == "best.updated" {
                let utility = event["data"]["utility"]["mean"].as_f64().unwrap();
                assert!(utility <= least, "a best is never replaced by a worse one");
                least = utility;
            }
        }
        assert_eq!(best["utility"]["mean"], least);
        let report = api.json(&format!("{path}/report")).await;
        assert_eq!(report["winner"]["trial"], best["trial"]);
    }
    assert!(server.stop().await);
    world.end().await;
}
