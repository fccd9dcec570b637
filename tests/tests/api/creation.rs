//! Posting jobs.

use crate::{body, catalog, header, job, start};
use frugal::demo::{self, DemoArgs, Way};
use frugal_domain::endpoint::Catalog;
use frugal_domain::job::Pruning;
use frugal_tests::app::TestApp;
use frugal_tests::contract::contract;
use serde_json::{Value, json};

/// The job of the API's own example, from the document that is served.
fn example() -> Value {
    let document = serde_json::to_value(frugal_api::openapi()).unwrap();
    document["components"]["schemas"]["JobPost"]["example"].clone()
}

/// The endpoint that the example names, under prices of its own.
fn example_catalog() -> Catalog {
    let price = json!({"input_usd_per_million": 0.1, "output_usd_per_million": 0.2});
    let catalog = json!({"endpoints": {"local": {
        "base_url": "http://127.0.0.1:1/v1",
        "models": {"gemma-3-270m": price, "smollm2-135m-instruct": price}
    }}});
    serde_json::from_value(catalog).unwrap()
}

#[tokio::test]
async fn a_job_may_be_urgent_and_may_be_put_off() {
    let app = start().await;
    let mut later = job();
    later["priority"] = json!(9);
    later["not_before"] = json!("2999-12-31T23:00:00-01:00");
    let later = app.api.json(&app.api.submit(&later).await).await;
    assert_eq!(later["priority"], 9);
    assert_eq!(later["not_before"], "3000-01-01T00:00:00Z");
    let mut over = job();
    over["not_before"] = json!("2020-01-01T00:00:00Z");
    let over = app.api.submit(&over).await;
    let mut urgent = job();
    urgent["priority"] = json!(1);
    let urgent = app.api.submit(&urgent).await;
    let taken = [crate::claim(&app).await, crate::claim(&app).await];
    assert_eq!(
        taken.map(|claim| claim.job),
        [crate::id(&urgent), crate::id(&over)]
    );
    app.end().await;
}

#[tokio::test]
async fn a_created_job_waits_and_says_where_it_is() {
    let app = start().await;
    let response = app.api.post("/jobs", &job()).await;
    let location = header(&response, "location").unwrap().to_owned();
    assert!(header(&response, "idempotency-replayed").is_none());
    let created = body(response, 201).await;
    insta::assert_json_snapshot!("created_job", created, {
        ".id" => "[id]",
        ".created_at" => "[time]",
        ".search.seed" => "[seed]",
        ".links" => "[links]",
    });

    let id = created["id"].as_str().unwrap();
    assert_eq!(location, format!("/jobs/{id}"));
    assert_eq!(&id[14..15], "7", "the id is a UUIDv7");
    let time = created["created_at"].as_str().unwrap();
    assert!(time.ends_with('Z'), "{time} is in UTC");
    let seed = created["search"]["seed"].as_u64().unwrap();
    assert!(seed < 1 << 53, "any JSON reader can hold the seed");
    // What may be a mistake is shown with the job too.
    assert_eq!(app.api.json(&location).await, created);
    for (link, status) in [
        ("self", 200),
        ("trials", 200),
        ("events", 200),
        ("report", 409),
    ] {
        let path = created["links"][link].as_str().unwrap();
        body(app.api.get(path).await, status).await;
    }
    let cancel = created["links"]["cancel"].as_str().unwrap();
    body(app.api.post(cancel, &Value::Null).await, 202).await;
    app.end().await;
}

#[tokio::test]
async fn a_job_of_the_least_fields_has_good_defaults() {
    let app = start().await;
    let mut least = job();
    for key in ["name", "labels", "search_space", "budgets"] {
        least.as_object_mut().unwrap().remove(key);
    }
    contract().check_request("/jobs", &least).unwrap();
    let created = body(app.api.post("/jobs", &least).await, 201).await;
    insta::assert_json_snapshot!("created_job_of_the_least_fields", created, {
        ".id" => "[id]",
        ".created_at" => "[time]",
        ".search.seed" => "[seed]",
        ".links" => "[links]",
    });
    app.end().await;
}

#[tokio::test]
async fn a_job_shows_how_it_is_searched() {
    let app = start().await;
    for (algorithm, options) in [
        (
            "blendsearch",
            json!({"global": "random", "startup_trials": 5, "candidates": 12, "step_size": 0.05}),
        ),
        ("cfo", json!({"low_cost_starts": false})),
        ("tpe", json!({"startup_trials": 20})),
        ("random", json!({"sequence": "sobol"})),
        ("grid", json!({"points": 4, "order": "sequential"})),
    ] {
        let mut job = job();
        job["search"] = json!({"algorithm": algorithm, "options": options, "seed": 3});
        job["limits"] = json!({"trials_without_improvement": 20});
        contract().check_request("/jobs", &job).unwrap();
        let path = app.api.submit(&job).await;
        let job = app.api.json(&path).await;
        let shown = json!({"limits": job["limits"], "search": job["search"]});
        insta::assert_json_snapshot!(format!("search_by_{algorithm}"), shown);

        // A search can be posted as it is shown.
        let mut again = crate::job();
        again["search"] = shown["search"].clone();
        again["limits"] = shown["limits"].clone();
        let again = app.api.json(&app.api.submit(&again).await).await;
        assert_eq!(again["search"], shown["search"]);
        assert_eq!(again["limits"], shown["limits"]);
    }
    app.end().await;
}

#[tokio::test]
async fn a_job_shows_what_it_is_after() {
    let app = start().await;
    let mut job = job();
    job["objective"] = json!({"metric": "completion_tokens", "direction": "minimize"});
    job["constraints"] = json!([
        {"metric": "latency_ms", "at_most": 2000},
        {"metric": "cut_rate", "at_most": 0.1},
        {"metric": "success", "at_least": 0.5}
    ]);
    contract().check_request("/jobs", &job).unwrap();
    let path = app.api.submit(&job).await;
    let shown = app.api.json(&path).await;
    let shown = json!({"objective": shown["objective"], "constraints": shown["constraints"]});
    insta::assert_json_snapshot!("objective_and_constraints", shown);

    // They can be posted as they are shown.
    let mut again = crate::job();
    again["objective"] = shown["objective"].clone();
    again["constraints"] = shown["constraints"].clone();
    contract().check_request("/jobs", &again).unwrap();
    let again = app.api.json(&app.api.submit(&again).await).await;
    assert_eq!(again["objective"], shown["objective"]);
    assert_eq!(again["constraints"], shown["constraints"]);
    app.end().await;
}

#[tokio::test]
async fn the_example_of_the_description_is_accepted_and_as_described() {
    let app = TestApp::start(example_catalog()).await;
    contract().check_request("/jobs", &example()).unwrap();
    let path = app.api.submit(&example()).await;
    let job = app.api.json(&path).await;
    assert_eq!(job["search"]["seed"], 1);
    app.end().await;
}

#[tokio::test]
async fn the_jobs_of_the_demo_are_accepted_and_as_described() {
    let args = DemoArgs::default();
    let catalog = demo::catalog(&args, Some("http://127.0.0.1:1/v1")).unwrap();
    let app = TestApp::start(catalog).await;
    for way in [Way::Default, Way::Searched(Pruning::Off)] {
        let job = demo::job(&args, way).unwrap();
        contract().check_request("/jobs", &job).unwrap();
        app.api.submit(&job).await;
    }
    app.end().await;
}

/// What the API refuses for its form alone, the description refuses too.
#[test]
fn the_description_of_a_job_is_as_strict_as_the_api() {
    let accepted = |change: fn(&mut Value)| {
        let mut job = job();
        change(&mut job);
        contract().check_request("/jobs", &job)
    };
    accepted(|_| {}).unwrap();
    accepted(|job| job["baseline"] = json!(false)).unwrap();
    accepted(|job| job["data"]["holdout"] = json!({"share": 0.5})).unwrap();
    accepted(|job| job["name"] = Value::Null).unwrap();
    accepted(|job| job["constraints"] = json!([])).unwrap();
    accepted(|job| job["objective"] = json!({"metric": "inference_cost"})).unwrap();
    accepted(|job| job["search"] = json!({"options": null})).unwrap();
    accepted(|job| job["search"] = json!({"options": {"points": null}})).unwrap();
    let refused: [fn(&mut Value); 25] = [
        |job| *job = json!([]),
        |job| drop(job.as_object_mut().unwrap().remove("data")),
        |job| drop(job.as_object_mut().unwrap().remove("scoring")),
        |job| job["data"]["instances"] = json!([]),
        |job| job["scoring"]["scorer"]["type"] = json!("vibes"),
        |job| job["budgets"] = json!({"optimization": {"euro": 1}}),
        |job| job["scoring"]["reduce"] = json!("cut_rate"),
        |job| job["objective"] = json!({"metric": "speed"}),
        |job| job["constraints"] = json!({"metric": "success", "at_least": 0.5}),
        |job| job["constraints"] = json!([{"metric": "success"}]),
        |job| job["constraints"] = json!([{"metric": "speed", "at_most": 1}]),
        |job| job["constraints"] = json!([{"metric": "success", "at_least": 0, "at_most": 1}]),
        |job| job["constraints"] = json!([{"metric": "latency_ms", "at_most": -1}]),
        |job| job["constraints"] = json!(vec![json!({"metric": "mean", "at_most": 1}); 17]),
        |job| job["limits"] = json!({"trails": 10}),
        |job| job["limits"] = json!({"trials_without_improvement": 0}),
        |job| job["search"] = json!({"algorithm": "luck"}),
        |job| job["search"] = json!({"options": {"luck": true}}),
        |job| job["search"] = json!({"options": {"global": "grid"}}),
        |job| job["search"] = json!({"options": {"startup_trials": 0}}),
        |job| job["search"] = json!({"options": {"step_size": 1.5}}),
        |job| job["search"] = json!({"algorithm": "random", "options": {"sequence": "latin"}}),
        |job| job["search"] = json!({"algorithm": "grid", "options": {"points": 1001}}),
        |job| job["search"] = json!({"algorithm": "grid", "options": {"order": "random"}}),
        |job| job["more"] = json!(1),
    ];
    for (index, change) in refused.into_iter().enumerate() {
        assert!(accepted(change).is_err(), "change {index}");
    }
}

#[tokio::test]
async fn any_text_can_be_posted_that_the_database_can_hold() {
    let app = start().await;
    let mut job = job();
    job["name"] = json!("\u{1} and \u{1F980} and \u{FFFF}");
    job["labels"] = json!({"~/\u{7f}": "\"';--"});
    job["data"]["instances"][0]["question"] = json!("{{ '\\' }} \u{200B}");
    let created = app.api.json(&app.api.submit(&job).await).await;
    assert_eq!(
        (&created["name"], &created["labels"]),
        (&job["name"], &job["labels"])
    );

    job["name"] = json!("a\0b");
    let problem = body(app.api.post("/jobs", &job).await, 422).await;
    insta::assert_json_snapshot!("nul_character", problem);
    app.end().await;
}

#[tokio::test]
async fn the_catalogue_is_listed_without_its_addresses() {
    let app = start().await;
    let endpoints = app.api.json("/endpoints").await;
    insta::assert_json_snapshot!("endpoints", endpoints);
    let text = endpoints.to_string();
    let base_url = &catalog().endpoints["local"].base_url;
    assert!(!text.contains(base_url.as_str()));
    app.end().await;
}
