//! Every algorithm, and the ends that a search comes to by itself.

use crate::takeover::outcomes;
use crate::{World, job};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A job of a few trials by this algorithm.
fn searched(algorithm: &str, options: Value) -> Value {
    let mut body = job(4, 14);
    body["search"]["algorithm"] = json!(algorithm);
    body["search"]["options"] = options;
    body["search"]["extent"] = json!("searched");
    body
}

/// The trials that the searcher proposed, in that order.
async fn proposed(api: &ApiClient, path: &str) -> Vec<Value> {
    let mut trials = api.all(&format!("{path}/trials")).await;
    trials.retain(|trial| trial["role"] == "search");
    trials.reverse();
    let numbers: Vec<_> = trials.iter().map(|trial| &trial["number"]).collect();
    let expected: Vec<_> = (1..=trials.len()).collect();
    assert_eq!(json!(numbers), json!(expected));
    trials
}

/// Whether a configuration is in the space of the test job.
fn is_inside(body: &Value, configuration: &Value) -> bool {
    let names = |of: &Value, name: &str| -> BTreeSet<String> {
        let of = of.as_array().unwrap().iter();
        of.map(|one| one[name].as_str().unwrap().to_owned())
            .collect()
    };
    let mut given: BTreeSet<&str> = configuration
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let settings = ["temperature", "max_tokens", "n"];
    let rest = settings.iter().all(|name| {
        let dimension = &body["search_space"][name];
        let range = dimension.get("float").or(dimension.get("int")).unwrap();
        let (low, high) = (range[0].as_f64().unwrap(), range[1].as_f64().unwrap());
        given.remove(name) && (low..=high).contains(&configuration[name].as_f64().unwrap())
    });
    let known = ["endpoint", "model", "prompt", "stop"];
    rest && given == BTreeSet::from(known)
        && configuration["endpoint"] == "local"
        && names(&body["models"], "model").contains(configuration["model"].as_str().unwrap())
        && names(&body["prompts"], "name").contains(configuration["prompt"].as_str().unwrap())
        && configuration["stop"] == body["search_space"]["stop"]
}

#[tokio::test]
async fn every_algorithm_tries_new_points_of_the_space_and_the_same_under_the_same_seed() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(2).await;
    let api = ApiClient::new(&url);
    // What proposes.
    for (algorithm, options, rules) in [
        (
            "blendsearch",
            json!({"startup_trials": 3}),
            ["global", "local"].as_slice(),
        ),
        ("cfo", json!({"step_size": 0.3}), &["local"]),
        (
            "tpe",
            json!({"startup_trials": 3, "candidates": 8}),
            &["global"],
        ),
        ("random", json!({"sequence": "halton"}), &["random"]),
        ("grid", json!({"points": 3}), &["grid"]),
    ] {
        let body = searched(algorithm, options);
        let (one, two) = tokio::join!(api.submit(&body), api.submit(&body));
        tokio::join!(api.follow(&one, None), api.follow(&two, None));
        for path in [&one, &two] {
            let job = api.json(path).await;
            assert_eq!(
                (&job["state"], &job["stop_reason"]),
                (&json!("succeeded"), &json!("trial_limit")),
                "{algorithm}"
            );
            assert!(!job["best"].is_null(), "{algorithm}");
        }
        let trials = proposed(&api, &one).await;
        assert_eq!(trials.len(), 14, "{algorithm}");
        let mut tried = BTreeSet::new();
        let mut proposers = BTreeSet::new();
        for trial in &trials {
            let configuration = &trial["configuration"];
            assert!(is_inside(&body, configuration), "{algorithm}: {trial}");
            assert!(
                tried.insert(configuration.to_string()),
                "{algorithm} tried {configuration} twice"
            );
            let origin = trial["origin"].as_str().unwrap();
            proposers.insert(origin.split(':').next().unwrap().to_owned());
        }
        for rule in rules {
            assert!(proposers.contains(*rule), "{algorithm}: {proposers:?}");
        }
        assert_eq!(
            outcomes(&api, &one).await,
            outcomes(&api, &two).await,
            "{algorithm}"
        );
    }
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_grid_is_tried_whole_and_each_point_of_it_once() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = searched("grid", json!({"points": 3, "order": "sequential"}));
    body["prompts"] = json!([body["prompts"][0]]);
    body["search_space"] = json!({
        "temperature": {"float": [0.2, 1]},
        "max_tokens": {"choice": [16, 64]},
        "n": {"int": [1, 2]},
        "stop": ["\n\n"]
    });
    body["limits"]["trials"] = json!(1000);
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let job = api.json(&path).await;
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&json!("succeeded"), &json!("space_exhausted"))
    );

    // The first setting changes fastest: the model, then those of `search_space` by name.
    let mut grid = Vec::new();
    for temperature in [0.2, 0.6, 1.0] {
        for n in [1, 2] {
            for max_tokens in [16, 64] {
                for model in ["gemma-3-270m", "smollm2-135m-instruct"] {
                    grid.push(json!({
                        "endpoint": "local", "model": model,
                        "prompt": body["prompts"][0]["name"], "temperature": temperature,
                        "max_tokens": max_tokens, "n": n, "stop": ["\n\n"]
                    }));
                }
            }
        }
    }
    let trials = proposed(&api, &path).await;
    let tried: Vec<_> = trials.iter().map(|trial| &trial["configuration"]).collect();
    assert_eq!(json!(tried), json!(grid));
    assert!(trials.iter().all(|trial| trial["origin"] == "grid"));
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_search_without_improvement_ends() {
    const PATIENCE: usize = 6;
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    for parallel in [1, 3] {
        let mut body = searched("random", json!({"low_cost_starts": false}));
        body["search"]["parallel_trials"] = json!(parallel);
        body["limits"] = json!({"trials": 1000, "trials_without_improvement": PATIENCE});
        let path = api.submit(&body).await;
        api.follow(&path, None).await;
        let job = api.json(&path).await;
        assert_eq!(
            (&job["state"], &job["stop_reason"]),
            (&json!("succeeded"), &json!("no_improvement"))
        );
        let trials = proposed(&api, &path).await;
        let mut best = None;
        let mut last_better = 0;
        for (trial, number) in trials.iter().zip(1..) {
            let valid = trial["valid"] == true;
            let utility = trial["utility"]["mean"].as_f64().filter(|_| valid);
            if utility > best {
                best = utility;
                last_better = number;
            }
        }
        assert!(best.is_some(), "there was something to improve on");
        // Random search always has something to propose: when the patience is over, the other
        // trials in the air have begun already.
        assert_eq!(trials.len(), last_better + PATIENCE + parallel - 1);
    }
    assert!(server.stop().await);
    world.end().await;
}
