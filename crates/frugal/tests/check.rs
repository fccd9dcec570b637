//! `frugal endpoints check` against the simulator and against models that take less.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use frugal::check::{self, CheckArgs, Found};
use frugal::config::{Config, Flags};
use frugal_domain::endpoint::Catalog;
use frugal_simulator::{Recordings, SimulatorOptions};
use serde_json::{Value, json};

fn args(prompt: &str) -> CheckArgs {
    CheckArgs {
        endpoints: Vec::new(),
        prompt: prompt.to_owned(),
        timeout: 20,
        json: true,
    }
}

/// A prompt that the simulator has answers to.
fn recorded_prompt() -> String {
    let recordings = Recordings::embedded().unwrap();
    let instance = &recordings.instances("arithmetic")[0];
    let prompt = &recordings.prompts("arithmetic")[0].name;
    let id = instance["id"].as_str().unwrap();
    recordings.render("arithmetic", prompt, id).unwrap()
}

/// A model that takes neither `max_tokens` by that name nor a seed, gives one response at once, and
/// does not say what it bills.
async fn poor(Json(body): Json<Value>) -> Response {
    let refusal = |name: &str| {
        let message = format!("Unsupported parameter: '{name}'");
        let error = json!({"error": {
            "message": message, "param": name, "code": "unsupported_parameter"
        }});
        (StatusCode::BAD_REQUEST, Json(error)).into_response()
    };
    for name in ["max_tokens", "seed"] {
        if body.get(name).is_some() {
            return refusal(name);
        }
    }
    if body["n"].as_u64().is_some_and(|n| n > 1) {
        return refusal("n");
    }
    let message = json!({"role": "assistant", "content": "OK."});
    Json(json!({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}))
        .into_response()
}

async fn poor_endpoint() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/v1/chat/completions", post(poor));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}/v1")
}

fn catalog(endpoints: Value) -> Catalog {
    serde_json::from_value(json!({"endpoints": endpoints})).unwrap()
}

#[tokio::test]
async fn what_models_can_do_is_found_out() {
    let simulator = frugal_simulator::serve(SimulatorOptions::default())
        .await
        .unwrap();
    let priced = json!({"input_usd_per_million": 1.0, "output_usd_per_million": 1.0});
    let catalog = catalog(json!({
        "keyless": {
            "base_url": "http://127.0.0.1:1/v1", "models": {"m": {}},
            "api_key_env": "FRUGAL_TEST_VARIABLE_THAT_IS_NOT_SET"
        },
        "local": {
            "base_url": simulator.base_url(), "api": "completions",
            "models": {"gemma-3-270m": priced, "no-such-model": {}}
        },
        "poor": {"base_url": poor_endpoint().await, "models": {"m": {}}},
        "two": {
            "base_url": poor_endpoint().await, "models": {"m": {}},
            "deployments": [{"name": "away", "base_url": "http://127.0.0.1:1/v1"}]
        }
    }));
    let mut found = check::check(&catalog, &args(&recorded_prompt())).await;
    for model in &mut found {
        if let Some(latency) = &mut model.latency_ms {
            *latency = 7;
        }
    }
    let names: Vec<_> = found
        .iter()
        .map(|it| (it.endpoint.as_str(), it.model.as_str()))
        .collect();
    let expected = [
        ("keyless", "m"),
        ("local", "gemma-3-270m"),
        ("local", "no-such-model"),
        ("poor", "m"),
        ("two", "m"),
        ("two", "m"),
    ];
    assert_eq!(names, expected);
    let reason = |found: &Found| found.reason.clone().unwrap();
    assert!(!found[0].works);
    assert!(reason(&found[0]).contains("FRUGAL_TEST_VARIABLE_THAT_IS_NOT_SET is not set"));
    let good = Found {
        endpoint: "local".to_owned(),
        deployment: None,
        model: "gemma-3-270m".to_owned(),
        works: true,
        reason: None,
        responses_of_two: Some(2),
        max_tokens_name: "max_tokens".to_owned(),
        takes_seed: Some(true),
        reports_usage: Some(true),
        latency_ms: Some(7),
        has_price: true,
    };
    assert_eq!(found[1], good);
    assert!(!found[2].works);
    assert!(reason(&found[2]).contains("no-such-model"), "{found:?}");
    let poor = Found {
        endpoint: "poor".to_owned(),
        model: "m".to_owned(),
        responses_of_two: Some(1),
        max_tokens_name: "max_completion_tokens".to_owned(),
        takes_seed: Some(false),
        reports_usage: Some(false),
        has_price: false,
        ..good
    };
    assert_eq!(found[3], poor);
    let of_two = |found: &Found| (found.deployment.clone().unwrap(), found.works);
    assert_eq!(of_two(&found[4]), ("first".to_owned(), true));
    assert_eq!(of_two(&found[5]), ("away".to_owned(), false));
    simulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_model_that_does_not_work_is_an_error_after_all_are_told() {
    let base_url = poor_endpoint().await;
    let mut config = Config::resolve(None, |_| None, &Flags::default(), false).unwrap();
    config.endpoints = catalog(json!({
        "down": {"base_url": format!("{base_url}/elsewhere"), "models": {"m": {}}},
        "poor": {"base_url": base_url, "models": {"m": {}}}
    }));
    let run = async |args: &CheckArgs| {
        let mut printed = String::new();
        let ended = check::run(&config, args, |text| {
            printed.push_str(text);
            Ok(())
        });
        let ended = ended.await.map_err(|error| error.to_string());
        (printed, ended)
    };
    let (printed, ended) = run(&args("Say OK.")).await;
    assert_eq!(ended, Err("1 of 2 models do not work".to_owned()));
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed[0]["works"], false);
    assert_eq!(printed[1]["works"], true);

    let only = |name: &str| CheckArgs {
        endpoints: vec![name.to_owned()],
        json: false,
        ..args("Say OK.")
    };
    let (printed, ended) = run(&only("poor")).await;
    assert_eq!(ended, Ok(()));
    let line = printed.lines().find(|line| line.contains("poor")).unwrap();
    for cell in [
        "yes",
        "1 at once",
        "max_completion_tokens",
        "left out",
        "estimated",
        "none",
    ] {
        assert!(line.contains(cell), "{cell}: {printed}");
    }
    let (printed, ended) = run(&only("down")).await;
    assert_eq!(ended, Err("1 of 1 models do not work".to_owned()));
    let reason = printed.lines().last().unwrap();
    assert!(reason.starts_with("down m: "), "{printed}");
    let (printed, ended) = run(&only("por")).await;
    assert_eq!(printed, "");
    assert_eq!(
        ended,
        Err("there is no endpoint `por`; there is down, poor".to_owned())
    );
}
