//! The configuration that the winner is compared with.

use super::{example, read};
use frugal_domain::configuration::Settings;
use serde_json::{Value, json};

fn baseline(body: &Value) -> Settings {
    let (spec, _) = read(body).unwrap();
    spec.settings(spec.baseline.as_ref().unwrap()).unwrap()
}

/// The example with an inference budget and a baseline. Its first model costs twice as much as its
/// second: with a short prompt and 256 tokens, 0.0000103 dollars.
fn under(budget: f64, given: Option<Value>) -> Value {
    let mut body = example();
    body["budgets"]["inference"]["usd"] = json!(budget);
    if let Some(given) = given {
        body["baseline"] = given;
    }
    body
}

#[test]
fn the_default_is_of_the_first_model_that_can_be_afforded() {
    for (budget, model) in [(0.000_02, 0), (0.000_008, 1), (0.000_000_1, 1)] {
        let settings = baseline(&under(budget, None));
        assert_eq!(settings.sampling.model, model, "{budget}");
        assert_eq!(settings.sampling.temperature, Some(1.0));
        assert_eq!((settings.extent.max_tokens, settings.extent.n), (256, 1));
    }
    let mut body = under(0.000_000_1, None);
    body["models"].as_array_mut().unwrap().reverse();
    assert_eq!(
        baseline(&body).sampling.model,
        0,
        "the cheapest stands first"
    );
    body["budgets"].as_object_mut().unwrap().remove("inference");
    body["models"].as_array_mut().unwrap().reverse();
    assert_eq!(
        baseline(&body).sampling.model,
        0,
        "without a budget it is the first"
    );
}

#[test]
fn a_response_is_expected_to_have_no_more_than_256_tokens() {
    let mut body = under(0.000_02, None);
    body["search_space"]["max_tokens"]["int"] = json!([16, 4096]);
    let settings = baseline(&body);
    assert_eq!(
        (settings.sampling.model, settings.extent.max_tokens),
        (0, 4096)
    );
    body["search_space"]["max_tokens"]["int"] = json!([16, 20]);
    body["budgets"]["inference"]["usd"] = json!(0.000_002);
    assert_eq!(baseline(&body).sampling.model, 0);
}

#[test]
fn prompts_are_counted() {
    // A thousand words at 0.02 dollars per million tokens are more than what is left.
    let mut body = under(0.000_02, None);
    for row in body["data"]["instances"].as_array_mut().unwrap() {
        row["question"] = json!("word ".repeat(1_000));
    }
    assert_eq!(baseline(&body).sampling.model, 1);
}

#[test]
fn a_baseline_that_leaves_the_model_out_has_the_same_one() {
    let model = |given: Value| baseline(&under(0.000_008, Some(given))).sampling.model;
    assert_eq!(model(json!({"temperature": 0.5})), 1);
    assert_eq!(model(json!({"model": "gemma-3-270m", "n": 2})), 0);
    // What only one model has speaks of it.
    let mut body = under(0.000_02, Some(json!({"min_p": 0.1})));
    assert_eq!(baseline(&body).sampling.model, 1);
    body["budgets"]["inference"]["usd"] = json!(0.000_008);
    body["models"].as_array_mut().unwrap().reverse();
    assert_eq!(baseline(&body).sampling.model, 0);
    // Configurations to try first follow it.
    let mut body = under(0.000_008, None);
    body["start"] = json!([{"n": 2}, {"n": 2, "model": "gemma-3-270m"}]);
    let (spec, _) = read(&body).unwrap();
    let models = spec
        .start
        .iter()
        .map(|one| spec.settings(one).unwrap().sampling.model);
    assert_eq!(models.collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn a_baseline_may_lie_outside_the_search_space() {
    let mut body = under(0.000_02, None);
    body["search_space"]["temperature_or_top_p"] =
        json!({"one_of": [{"temperature": {"float": [0.5, 1]}}, {"top_p": {"float": [0.5, 1]}}]});
    body["baseline"] = json!({
        "temperature": 0.2, "top_p": 0.1, "max_tokens": 1_000, "n": 64, "stop": ["END"],
        "presence_penalty": 1, "prompt": "steps", "min_p": 0.9,
    });
    let (spec, _) = read(&body).unwrap();
    assert!(!spec.space.contains(spec.baseline.as_ref().unwrap()));
    let settings = baseline(&body);
    assert_eq!(
        Value::Object(spec.describe(&settings)),
        json!({
            "endpoint": "local", "model": "smollm2-135m-instruct", "prompt": "steps",
            "temperature": 0.2, "top_p": 0.1, "max_tokens": 1_000, "n": 64, "stop": ["END"],
            "presence_penalty": 1, "min_p": 0.9
        })
    );
    // A setting of another model, and what is left out.
    body["baseline"] = json!({"model": "gemma-3-270m", "min_p": 0.9});
    let settings = baseline(&body);
    assert_eq!(settings.sampling.model, 0);
    assert_eq!(settings.sampling.extra["min_p"], 0.9);
    assert_eq!(
        (settings.sampling.temperature, settings.extent.n),
        (Some(1.0), 1)
    );
    // Configurations to try are points of the space.
    body["start"] = json!([{"temperature": 0.2}]);
    assert_eq!(read(&body).unwrap_err()[0].pointer, "/start/0/temperature");
}

#[test]
fn a_baseline_is_one_of_the_job() {
    for (given, pointer, words) in [
        (
            json!({"model": "gpt-9"}),
            "/baseline/model",
            "not among the job's models",
        ),
        (
            json!({"prompt": "other"}),
            "/baseline/prompt",
            "not among the prompts",
        ),
        (
            json!({"temperature": -1}),
            "/baseline/temperature",
            "must be a number",
        ),
        (
            json!({"max_tokens": 0}),
            "/baseline/max_tokens",
            "must be a whole number",
        ),
        (
            json!({"temprature": 0.2}),
            "/baseline/temprature",
            "no setting of the search space",
        ),
        (
            json!({"temperature_or_top_p": 2}),
            "/baseline/temperature_or_top_p",
            "no branch 2",
        ),
    ] {
        let faults = read(&under(0.000_02, Some(given))).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].pointer, pointer);
        assert!(faults[0].detail.contains(words), "{}", faults[0].detail);
    }
    let mut body = under(0.000_02, Some(json!({"prompt": "other"})));
    body["prompts"].as_array_mut().unwrap().truncate(1);
    assert_eq!(read(&body).unwrap_err()[0].pointer, "/baseline/prompt");
}
