//! Scorers, tried on responses before a job is posted.

use crate::{body, start};
use frugal_tests::app::TestApp;
use frugal_tests::contract::contract;
use serde_json::{Value, json};

/// Where scorers are tried.
const PATH: &str = "/scorers/validate";

/// What a scorer says, in a request that is as the description says.
async fn validated(app: &TestApp, posted: &Value) -> Value {
    contract().check_request(PATH, posted).unwrap();
    body(app.api.post(PATH, posted).await, 200).await
}

#[tokio::test]
async fn a_scorer_says_what_it_extracted_and_why_it_scores_so() {
    let app = start().await;
    // It asks nothing of the database.
    app.pool.close().await;
    let numbers = json!({
        "scoring": {
            "scorer": {"type": "numeric", "expected": "{{ answer }}"},
            "reduce": "majority"
        },
        "rows": [
            {"question": "6 + 6", "answer": "12"},
            {"question": "2 + 3", "answer": 5}
        ],
        "responses": [["It is 12.", "13", "so 12.0", "no idea"], ["5"]],
        "prompts": [
            "What is {{ question }}?",
            {"name": "chat", "messages": [
                {"role": "system", "content": "Answer with a number."},
                {"role": "user", "content": "{{ question }}"}
            ]}
        ]
    });
    insta::assert_json_snapshot!("validated_numbers", validated(&app, &numbers).await);

    let schema = json!({"type": "object", "required": ["city"],
                        "properties": {"city": {"type": "string"}}});
    let parts = json!({
        "scorer": {"type": "composite", "parts": [
            {"required": true, "scorer": {"type": "json", "schema": schema}},
            {"weight": 3, "scorer": {"type": "json", "expected": "{{ answer | tojson }}"}}
        ]},
        "rows": [{"answer": {"city": "Rome", "country": "Italy"}}],
        "responses": [[
            "{\"city\": \"Rome\", \"country\": \"Spain\"}",
            "{\"city\": 7}",
            "Rome"
        ]]
    });
    insta::assert_json_snapshot!("validated_parts", validated(&app, &parts).await);
    app.end().await;
}

#[tokio::test]
async fn the_example_of_the_description_is_scored() {
    let app = start().await;
    let document = serde_json::to_value(frugal_api::openapi()).unwrap();
    let example = &document["components"]["schemas"]["ValidationPost"]["example"];
    let found = validated(&app, example).await;
    let whys = found["rows"][0]["responses"].as_array().unwrap();
    let whys: Vec<_> = whys.iter().map(|one| &one["why"]).collect();
    assert_eq!(
        whys,
        [
            "extracted `12`, as expected (`12`)",
            "extracted `13`, expected `12`",
            "nothing to score: the response holds no number"
        ]
    );
    app.end().await;
}

#[tokio::test]
async fn faults_are_listed_as_of_a_job() {
    let app = start().await;
    let posted = json!({
        "scorer": {"type": "composite", "parts": [
            {"scorer": {"type": "exact", "expected": "{{ solution }}"}},
            {"scorer": {"type": "regex", "pattern": "("}}
        ]},
        "rows": [{"answer": "12"}, {"answer": "13"}],
        "responses": [["12", 13]],
        "prompt": "What is {{ question }}?",
        "model": "m"
    });
    let problem = body(app.api.post(PATH, &posted).await, 422).await;
    insta::assert_json_snapshot!("faults_of_a_validation", problem);
    app.end().await;
}
