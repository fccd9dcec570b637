//! Evaluations: posted, estimated, listed apart from jobs, and found where they are.

use crate::{body, claim, header, job, start};
use frugal_domain::endpoint::Catalog;
use frugal_tests::app::TestApp;
use frugal_tests::contract::contract;
use reqwest::Method;
use serde_json::{Value, json};

/// A small evaluation that is accepted.
fn evaluation() -> Value {
    let job = job();
    json!({
        "name": "today and a candidate",
        "labels": {"team": "search"},
        "data": job["data"],
        "model": job["model"],
        "prompt": job["prompt"],
        "scoring": job["scoring"],
        "configurations": [
            {"name": "today", "temperature": 0, "max_tokens": 64},
            {"name": "votes", "temperature": 0.8, "n": 5, "max_tokens": 64, "stop": ["\n"], "presence_penalty": 0.1}
        ],
        "budgets": {"inference": {"usd": 0.001}, "evaluation": {"usd": 0.25}},
        "limits": {"seconds": 600},
        "seed": 4
    })
}

#[tokio::test]
async fn a_created_evaluation_waits_and_says_where_it_is() {
    let app = start().await;
    contract()
        .check_request("/evaluations", &evaluation())
        .unwrap();
    let response = app.api.post("/evaluations", &evaluation()).await;
    let location = header(&response, "location").unwrap().to_owned();
    let created = body(response, 201).await;
    insta::assert_json_snapshot!("created_evaluation", created, {
        ".id" => "[id]",
        ".created_at" => "[time]",
        ".links" => "[links]",
    });
    assert_eq!(
        location,
        format!("/evaluations/{}", created["id"].as_str().unwrap())
    );
    assert_eq!(app.api.json(&location).await, created);
    for (link, status) in [
        ("self", 200),
        ("trials", 200),
        ("events", 200),
        ("report", 409),
    ] {
        let path = created["links"][link].as_str().unwrap();
        assert!(path.starts_with(&location), "{path}");
        body(app.api.get(path).await, status).await;
    }
    let events = app.api.json(&format!("{location}/events")).await;
    assert_eq!(events["data"][0]["type"], "job.queued");
    // Once claimed it is a job like any other.
    claim(&app).await;
    let response = app.api.get(&location).await;
    let tag = header(&response, "etag").unwrap().to_owned();
    assert_eq!(body(response, 200).await["state"], "running");
    let request = app.api.request(Method::GET, &format!("{location}?wait=0"));
    let unchanged = app.api.send(request.header("if-none-match", tag)).await;
    assert_eq!(unchanged.status(), 304);
    let cancel = created["links"]["cancel"].as_str().unwrap();
    let cancelled = body(app.api.post(cancel, &Value::Null).await, 202).await;
    assert_eq!(cancelled["state"], "cancelling");
    app.end().await;
}

#[tokio::test]
async fn jobs_and_evaluations_are_not_confused() {
    let app = start().await;
    let a_job = app.api.submit(&job()).await;
    let an_evaluation = app.api.evaluate(&evaluation()).await;
    let ids = |page: &Value| -> Vec<String> {
        let rows = page["data"].as_array().unwrap().iter();
        rows.map(|row| row["links"]["self"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&app.api.json("/jobs").await), [a_job.as_str()]);
    assert_eq!(
        ids(&app.api.json("/evaluations").await),
        [an_evaluation.as_str()]
    );
    assert_eq!(
        ids(&app.api.json("/evaluations?state=queued&limit=1").await),
        [an_evaluation.as_str()]
    );
    assert!(ids(&app.api.json("/evaluations?state=failed").await).is_empty());
    let elsewhere = |path: &str| match path.strip_prefix("/jobs/") {
        Some(id) => format!("/evaluations/{id}"),
        None => format!("/jobs/{}", path.strip_prefix("/evaluations/").unwrap()),
    };
    for path in [&a_job, &an_evaluation] {
        for below in ["", "/trials", "/trials/1", "/events", "/report", "/export"] {
            let wrong = format!("{}{below}", elsewhere(path));
            let problem = body(app.api.get(&wrong).await, 404).await;
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.ends_with(&format!("it is at `{path}`")),
                "{wrong}: {detail}"
            );
        }
        let cancel = format!("{}/cancel", elsewhere(path));
        body(app.api.post(&cancel, &Value::Null).await, 404).await;
        assert_eq!(
            app.api.json(path).await["state"],
            "queued",
            "it was not cancelled"
        );
    }
    for none in [
        "/evaluations/x",
        "/evaluations/019abf3e-5f00-7000-8000-000000000000",
    ] {
        let problem = body(app.api.get(none).await, 404).await;
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .starts_with("there is no evaluation `")
        );
    }
    app.end().await;
}

#[tokio::test]
async fn every_fault_of_an_evaluation_is_told_with_its_place() {
    let app = start().await;
    let mut faulty = evaluation();
    faulty["configurations"][0]["n"] = json!(0);
    faulty["configurations"][1]["model"] = json!("other");
    faulty["reference"] = json!("nothing");
    faulty["search_space"] = json!({});
    for path in ["/evaluations", "/evaluations/estimate"] {
        let problem = body(app.api.post(path, &faulty).await, 422).await;
        insta::assert_json_snapshot!("evaluation_with_faults", problem);
    }
    assert_eq!(app.api.json("/evaluations").await["data"], json!([]));
    app.end().await;
}

#[tokio::test]
async fn an_evaluation_is_estimated_and_nothing_is_stored() {
    let app = start().await;
    let mut poor = evaluation();
    poor["budgets"]["evaluation"]["usd"] = json!(0.000_5);
    contract()
        .check_request("/evaluations/estimate", &poor)
        .unwrap();
    let estimate = body(app.api.post("/evaluations/estimate", &poor).await, 200).await;
    insta::assert_json_snapshot!("evaluation_estimate", estimate);
    assert_eq!(app.api.json("/evaluations").await["data"], json!([]));
    let created = body(app.api.post("/evaluations", &poor).await, 201).await;
    assert_eq!(created["warnings"], estimate["warnings"]);
    app.end().await;
}

#[tokio::test]
async fn the_example_of_the_description_is_accepted() {
    let document = serde_json::to_value(frugal_api::openapi()).unwrap();
    let example = &document["components"]["schemas"]["EvaluationPost"]["example"];
    let price = json!({"input_usd_per_million": 0.1, "output_usd_per_million": 0.2});
    let catalog: Catalog = serde_json::from_value(json!({"endpoints": {"local": {
        "base_url": "http://127.0.0.1:1/v1",
        "models": {"gemma-3-270m": price, "smollm2-135m-instruct": price}
    }}}))
    .unwrap();
    let app = TestApp::start(catalog).await;
    contract().check_request("/evaluations", example).unwrap();
    let created = body(app.api.post("/evaluations", example).await, 201).await;
    assert!(created.get("warnings").is_none(), "{created}");
    assert_eq!(created["reference"], "today");
    app.end().await;
}

#[tokio::test]
async fn a_key_gives_the_same_evaluation_again() {
    let app = start().await;
    let post = |path: &str, body: &Value| {
        let request = app
            .api
            .request(Method::POST, path)
            .header("idempotency-key", "one");
        app.api.send(request.json(body))
    };
    let first = post("/evaluations", &evaluation()).await;
    let location = header(&first, "location").unwrap().to_owned();
    let first = body(first, 201).await;
    let again = post("/evaluations", &evaluation()).await;
    assert_eq!(header(&again, "idempotency-replayed"), Some("true"));
    assert_eq!(header(&again, "location"), Some(location.as_str()));
    assert_eq!(body(again, 201).await, first);
    let elsewhere = body(post("/jobs", &job()).await, 422).await;
    assert_eq!(elsewhere["code"], "idempotency_key_reused");
    app.end().await;
}
