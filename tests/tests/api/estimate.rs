//! What a job may cost, before it is posted.

use crate::{body, catalog, job, start};
use frugal_domain::endpoint::Catalog;
use frugal_tests::app::TestApp;
use frugal_tests::contract::contract;
use serde_json::{Value, json};

/// Where estimates are asked for.
const PATH: &str = "/jobs/estimate";

/// The estimate of a job that is as the description says.
async fn estimate(app: &TestApp, job: &Value) -> Value {
    contract().check_request(PATH, job).unwrap();
    body(app.api.post(PATH, job).await, 200).await
}

#[tokio::test]
async fn a_job_is_estimated_and_nothing_is_stored() {
    let app = start().await;
    let mut job = job();
    job["budgets"]["optimization"]["usd"] = json!(0.02);
    insta::assert_json_snapshot!("estimate", estimate(&app, &job).await);
    let jobs = app.api.json("/jobs").await;
    assert_eq!(jobs["data"], json!([]));

    // Without its database the server answers all the same.
    app.pool.close().await;
    let again = estimate(&app, &job).await;
    assert_eq!(again["rows"]["tuning"], 2);
    app.end().await;
}

#[tokio::test]
async fn the_example_of_the_description_is_estimated() {
    let document = serde_json::to_value(frugal_api::openapi()).unwrap();
    let example = &document["components"]["schemas"]["JobPost"]["example"];
    let catalog: Catalog = serde_json::from_value(json!({"endpoints": {"local": {
        "base_url": "http://127.0.0.1:1/v1",
        "models": {
            "gemma-3-270m": {"input_usd_per_million": 0.02, "output_usd_per_million": 0.04},
            "smollm2-135m-instruct": {"input_usd_per_million": 0.01, "output_usd_per_million": 0.05, "max_n": 8}
        }
    }}}))
    .unwrap();
    let app = TestApp::start(catalog).await;
    insta::assert_json_snapshot!("estimate_of_the_example", estimate(&app, example).await);
    app.end().await;
}

#[tokio::test]
async fn a_job_without_prices_is_estimated_in_tokens() {
    let app = start().await;
    let mut tokens = job();
    tokens["model"]["model"] = json!("free");
    tokens["budgets"] = json!({"inference": {"tokens": 200}, "optimization": {"tokens": 20_000}});
    tokens["data"]["holdout"] =
        json!({"instances": [{"question": "1 + 2 + 3 + 4", "answer": "10"}]});
    tokens["baseline"] = json!(false);
    insta::assert_json_snapshot!("estimate_in_tokens", estimate(&app, &tokens).await);
    app.end().await;
}

#[tokio::test]
async fn a_prompt_may_alone_be_over_the_inference_budget() {
    let app = start().await;
    let mut long = job();
    long["prompt"] = json!("{{ question }} is what? ".repeat(100));
    long["budgets"]["inference"]["usd"] = json!(0.000_1);
    let estimate = estimate(&app, &long).await;
    for point in ["baseline", "mid_space", "most_expensive"] {
        assert_eq!(estimate[point]["within_inference_budget"], "impossible");
    }
    insta::assert_json_snapshot!("estimate_over_the_inference_budget", estimate);
    app.end().await;
}

#[tokio::test]
async fn models_that_are_sent_bare_text_have_fewer_tokens() {
    let catalog = |api: &str| {
        let mut catalog = serde_json::to_value(catalog()).unwrap();
        catalog["endpoints"]["local"]["api"] = json!(api);
        serde_json::from_value(catalog).unwrap()
    };
    let mut means = Vec::new();
    for api in ["completions", "chat"] {
        let app = TestApp::start(catalog(api)).await;
        let estimate = estimate(&app, &job()).await;
        means.push(estimate["prompt_tokens"][0]["mean"].as_f64().unwrap());
        app.end().await;
    }
    // The role, four tokens around a message and three around the chat.
    assert_eq!(means[0] + 8.0, means[1]);
}

#[tokio::test]
async fn of_many_rows_a_sample_is_counted() {
    let app = start().await;
    let mut many = job();
    let rows =
        (0..10_100).map(|row| json!({"question": format!("{} + 4", row % 10), "answer": "4"}));
    many["data"]["instances"] = rows.collect();
    let estimate = estimate(&app, &many).await;
    assert_eq!(estimate["rows"]["tuning"], 10_100);
    assert_eq!(estimate["prompt_tokens"][0]["counted_rows"], 10_000);
    // Every row has as many tokens as any other.
    let tokens = estimate["prompt_tokens"][0]["mean"].as_f64().unwrap();
    assert_eq!(
        estimate["prompt_tokens"][0]["largest"].as_f64(),
        Some(tokens)
    );
    // 64 tokens of a response, and 32 that a chat template may add.
    let baseline = &estimate["baseline"]["at_most"];
    assert_eq!(baseline["per_instance"]["tokens"], tokens + 64.0 + 32.0);
    app.end().await;
}

#[tokio::test]
async fn a_job_that_makes_no_sense_has_the_faults_of_one_that_is_posted() {
    let app = start().await;
    let mut wrong = job();
    wrong["model"]["endpoint"] = json!("lokal");
    wrong["limits"] = json!({"trails": 10});
    let estimated = body(app.api.post(PATH, &wrong).await, 422).await;
    let posted = body(app.api.post("/jobs", &wrong).await, 422).await;
    assert_eq!(estimated, posted);
    insta::assert_json_snapshot!("estimate_of_no_job", estimated);
    app.end().await;
}

#[tokio::test]
async fn a_prompt_that_cannot_be_rendered_is_a_fault() {
    let app = start().await;
    let mut broken = job();
    broken["prompt"] = json!("What is {{ question.first }}?");
    broken["data"]["instances"][0]["question"] = json!({"first": "2 + 2"});
    let problem = body(app.api.post(PATH, &broken).await, 422).await;
    assert_eq!(problem["errors"][0]["pointer"], "/prompt");

    let prompts = json!([
        {"name": "good", "text": "What is it?"},
        {"name": "bad", "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is {{ question.first }}?"}
        ]}
    ]);
    let members = broken.as_object_mut().unwrap();
    members.remove("prompt");
    members.insert("prompts".to_owned(), prompts);
    let problem = body(app.api.post(PATH, &broken).await, 422).await;
    let posted = body(app.api.post("/jobs", &broken).await, 422).await;
    assert_eq!(posted, problem);
    insta::assert_json_snapshot!("estimate_of_a_prompt_that_cannot_be_rendered", problem);
    app.end().await;
}

#[tokio::test]
async fn a_space_without_n_in_some_branch_is_a_fault() {
    let app = start().await;
    let mut holed = job();
    holed["search_space"] = json!({"shape": {"one_of": [{"temperature": 0.5}, {"n": 4}]}});
    let problem = body(app.api.post(PATH, &holed).await, 422).await;
    insta::assert_json_snapshot!("estimate_of_a_space_with_a_hole", problem);
    app.end().await;
}
