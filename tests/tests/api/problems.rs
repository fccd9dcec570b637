//! What a client is told when its request makes no sense.

use crate::{body, catalog, header, job, start};
use frugal_tests::app::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

/// Posts the job after a change and returns the 422.
async fn refusal(app: &TestApp, change: impl FnOnce(&mut Value)) -> Value {
    let mut job = job();
    change(&mut job);
    body(app.api.post("/jobs", &job).await, 422).await
}

fn remove(job: &mut Value, key: &str) {
    job.as_object_mut().unwrap().remove(key);
}

#[tokio::test]
async fn each_fault_of_a_job_is_named_with_its_place() {
    let app = start().await;

    let missing_model = refusal(&app, |job| remove(job, "model")).await;
    insta::assert_json_snapshot!("missing_model", missing_model);

    let empty_data = refusal(&app, |job| job["data"]["instances"] = json!([])).await;
    insta::assert_json_snapshot!("empty_data", empty_data);

    let unknown_scorer = refusal(&app, |job| {
        job["scoring"]["scorer"]["type"] = json!("vibes");
    })
    .await;
    insta::assert_json_snapshot!("unknown_scorer", unknown_scorer);

    let broken_template = refusal(&app, |job| job["prompt"] = json!("{{ question")).await;
    insta::assert_json_snapshot!("broken_template", broken_template);

    let absent_variable = refusal(&app, |job| job["prompt"] = json!("{{ qestion }}")).await;
    insta::assert_json_snapshot!("absent_variable", absent_variable);

    let no_budget = refusal(&app, |job| {
        job["budgets"]["optimization"] = json!({"usd": 0});
    })
    .await;
    insta::assert_json_snapshot!("no_budget", no_budget);

    let low_above_high = refusal(&app, |job| {
        job["search_space"]["temperature"] = json!({"float": [1, 0]});
    })
    .await;
    insta::assert_json_snapshot!("low_above_high", low_above_high);

    let duplicate_choice = refusal(&app, |job| {
        job["search_space"]["stop"] = json!({"choice": ["\n", ";", "\n"]});
    })
    .await;
    insta::assert_json_snapshot!("duplicate_choice", duplicate_choice);

    let unknown_endpoint = refusal(&app, |job| {
        job["model"] = json!({"endpoint": "lokal", "model": "m"});
    })
    .await;
    insta::assert_json_snapshot!("unknown_endpoint", unknown_endpoint);

    let no_number = refusal(&app, |job| {
        job["data"]["instances"][1]["answer"] = json!("seven");
    })
    .await;
    insta::assert_json_snapshot!("row_that_cannot_be_scored", no_number);

    let no_price = refusal(&app, |job| job["model"]["model"] = json!("free")).await;
    insta::assert_json_snapshot!("dollars_without_a_price", no_price);

    app.end().await;
}

#[tokio::test]
async fn a_search_that_cannot_be_run_is_refused() {
    let app = start().await;

    let grid_too_large = refusal(&app, |job| {
        job["search_space"]["top_p"] = json!({"float": [0, 1]});
        job["search"] = json!({"algorithm": "grid", "options": {"points": 50}});
    })
    .await;
    insta::assert_json_snapshot!("grid_too_large", grid_too_large);

    let option_of_another_algorithm = refusal(&app, |job| {
        job["search"] = json!({"algorithm": "tpe", "options": {"candidates": 8, "points": 4}});
    })
    .await;
    insta::assert_json_snapshot!("option_of_another_algorithm", option_of_another_algorithm);

    app.end().await;
}

#[tokio::test]
async fn constraints_that_make_no_sense_are_refused() {
    let app = start().await;

    let faults_of_constraints = refusal(&app, |job| {
        job["constraints"] = json!([
            {"metric": "speed", "at_most": 1},
            {"metric": "latency_ms"},
            {"metric": "cut_rate", "at_most": 10},
            {"metric": "success", "at_least": 0.5, "at_most": 0.9}
        ]);
    })
    .await;
    insta::assert_json_snapshot!("faults_of_constraints", faults_of_constraints);

    let constrained_cost = refusal(&app, |job| {
        job["constraints"] = json!([{"metric": "inference_cost", "at_most": 0.001}]);
    })
    .await;
    insta::assert_json_snapshot!("constrained_cost", constrained_cost);

    app.end().await;
}

#[tokio::test]
async fn all_faults_come_at_once() {
    let app = start().await;
    let faults = refusal(&app, |job| {
        job["budgets"]["inference"] = json!({"usd": -1});
        job["data"]["instances"][0] = json!("a row");
        job["model"] = json!({"endpoint": "local", "model": "gpt-9"});
        job["search_space"]["n"] = json!({"int": [0, 2.5]});
        job["limits"] = json!({"trails": 10});
        remove(job, "scoring");
    })
    .await;
    insta::assert_json_snapshot!("several_faults", faults);
    let whole = refusal(&app, |job| *job = json!([1])).await;
    insta::assert_json_snapshot!("not_an_object", whole);
    let jobs = app.api.json("/jobs").await;
    assert_eq!(jobs["data"], json!([]), "a refused job leaves nothing");
    app.end().await;
}

#[tokio::test]
async fn bodies_are_json_and_bounded() {
    let app = TestApp::with_body_limit(catalog(), 2_000).await;
    let post = || app.api.request(Method::POST, "/jobs");
    let json_post = || post().header("content-type", "application/json");

    let not_json = app.api.send(json_post().body(r#"{"name": "a",}"#)).await;
    insta::assert_json_snapshot!("not_json", body(not_json, 400).await);

    let cut = app.api.send(json_post().body(r#"{"name": "#)).await;
    assert_eq!(body(cut, 400).await["code"], "invalid_json");

    let nothing = app.api.send(json_post()).await;
    assert_eq!(body(nothing, 400).await["code"], "invalid_json");

    let no_text = app.api.send(json_post().body(vec![0xff, 0xfe])).await;
    assert_eq!(body(no_text, 400).await["code"], "invalid_json");

    let form = post().header("content-type", "application/x-www-form-urlencoded");
    let form = app.api.send(form.body("name=a")).await;
    insta::assert_json_snapshot!("wrong_content_type", body(form, 415).await);

    let undeclared = app.api.send(post().body(job().to_string())).await;
    assert_eq!(
        body(undeclared, 415).await["code"],
        "unsupported_media_type"
    );

    // A little over the limit, and far over it.
    for length in [2_001, 3_000_000] {
        let large = format!(r#"{{"name": "{}"}}"#, "n".repeat(length));
        let large = app.api.send(json_post().body(large)).await;
        insta::assert_json_snapshot!("body_too_large", body(large, 413).await);
    }

    // At the limit.
    let mut text = job().to_string();
    text.extend(std::iter::repeat_n(' ', 2_000 - text.len()));
    let created = app.api.send(json_post().body(text)).await;
    assert_eq!(body(created, 201).await["state"], "queued");
    app.end().await;
}

/// JSON that would exhaust the stack of a naive reader.
#[tokio::test]
async fn deep_bodies_are_refused() {
    let app = start().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let request = app
        .api
        .request(Method::POST, "/jobs")
        .header("content-type", "application/json")
        .body(deep);
    let problem = body(app.api.send(request).await, 400).await;
    assert_eq!(problem["code"], "invalid_json");
    app.end().await;
}

#[tokio::test]
async fn parameters_are_checked() {
    let app = start().await;
    let job = app.api.submit(&job()).await;
    for query in [
        "/jobs?limit=0",
        "/jobs?limit=101",
        "/jobs?limit=ten",
        "/jobs?limit=-1",
        "/jobs?limit=5&limit=6",
        "/jobs?state=busy",
        "/jobs?cursor=abc",
        "/jobs?cursor=",
        "/jobs?page=2",
        &format!("{job}?wait=61"),
        &format!("{job}?wait=-1"),
        &format!("{job}?wait=soon"),
        &format!("{job}?wiat=1"),
        &format!("{job}/trials?cursor=j0"),
        &format!("{job}/trials?state=queued"),
        &format!("{job}/events?after=-1"),
        &format!("{job}/events?after=first"),
        &format!("{job}/events?limit=0"),
        &format!("{job}/events?cursor=1"),
    ] {
        let problem = body(app.api.get(query).await, 400).await;
        assert_eq!(problem["code"], "invalid_parameter", "{query}");
    }
    let problem = body(app.api.get("/jobs?limit=0&state=queued").await, 400).await;
    insta::assert_json_snapshot!("limit_out_of_range", problem);
    let problem = body(app.api.get("/jobs?state=busy").await, 400).await;
    insta::assert_json_snapshot!("unknown_state", problem);
    app.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let app = start().await;
    let job = app.api.submit(&job()).await;
    let absent = "/jobs/019abf3e-5f00-7000-8000-000000000000";
    for path in [
        absent.to_owned(),
        format!("{absent}/trials"),
        format!("{absent}/trials/1"),
        format!("{absent}/events"),
        format!("{absent}/report"),
        "/jobs/seven".to_owned(),
        "/jobs/%ff".to_owned(),
        "/jobs/".to_owned(),
        format!("{job}/"),
        format!("{job}/trials/0"),
        format!("{job}/trials/-1"),
        format!("{job}/trials/4294967296"),
        format!("{job}/trials/one"),
        format!("{job}/nothing"),
        "/jobs/../healthz/x".to_owned(),
        "/nothing".to_owned(),
    ] {
        let problem = body(app.api.get(&path).await, 404).await;
        assert_eq!(problem["code"], "not_found", "{path}");
    }
    let cancelled = app
        .api
        .post(&format!("{absent}/cancel"), &Value::Null)
        .await;
    insta::assert_json_snapshot!("no_such_job", body(cancelled, 404).await);
    let nothing = app.api.get("/nothing?a=b").await;
    insta::assert_json_snapshot!("no_such_path", body(nothing, 404).await);
    app.end().await;
}

#[tokio::test]
async fn wrong_methods_are_405_and_the_right_ones_are_named() {
    let app = start().await;
    let job = app.api.submit(&job()).await;
    for (method, path, allow) in [
        (Method::PUT, "/jobs", ["GET", "HEAD", "POST"].as_slice()),
        (Method::PUT, &job, &["DELETE", "GET", "HEAD", "PATCH"]),
        (Method::GET, &format!("{job}/cancel"), &["POST"]),
        (Method::POST, &format!("{job}/events"), &["GET", "HEAD"]),
        (Method::PATCH, "/healthz", &["GET", "HEAD"]),
    ] {
        let request = app.api.request(method.clone(), path);
        let response = app.api.send(request).await;
        let allowed = header(&response, "allow").unwrap_or_default();
        let mut allowed: Vec<_> = allowed
            .split(',')
            .map(|method| method.trim().to_owned())
            .collect();
        allowed.sort();
        assert_eq!(allowed, allow, "{method} {path}");
        let problem = body(response, 405).await;
        assert_eq!(problem["code"], "method_not_allowed");
    }
    let response = app
        .api
        .send(app.api.request(Method::DELETE, "/endpoints"))
        .await;
    insta::assert_json_snapshot!("method_not_allowed", body(response, 405).await);
    app.end().await;
}
