//! Cancelling, and what a job leaves behind.

use crate::{body, claim, finish, job, start, success};
use frugal_domain::event::EventBody;
use frugal_domain::state::{JobState, StopReason};
use frugal_store::queue::End;
use frugal_tests::app::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

async fn cancel(app: &TestApp, path: &str, status: u16) -> Value {
    let response = app.api.post(&format!("{path}/cancel"), &Value::Null).await;
    body(response, status).await
}

async fn names(app: &TestApp, path: &str) -> Vec<String> {
    let events = app.api.all(&format!("{path}/events")).await;
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_job_that_waits_is_cancelled_at_once() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let cancelled = cancel(&app, &path, 202).await;
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(cancelled["stop_reason"], "cancelled");
    assert!(cancelled["finished_at"].is_string());
    assert!(cancelled["started_at"].is_null());
    assert_eq!(names(&app, &path).await, ["job.queued", "job.cancelled"]);
    assert_eq!(app.api.json(&path).await, cancelled);

    let problem = cancel(&app, &path, 409).await;
    insta::assert_json_snapshot!("cancelled_twice", problem);
    let report = app.api.get(&format!("{path}/report")).await;
    insta::assert_json_snapshot!("no_report_of_a_cancelled_job", body(report, 409).await);
    app.end().await;
}

#[tokio::test]
async fn a_job_that_runs_is_cancelled_by_its_worker() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let claim = claim(&app).await;
    for _ in 0..2 {
        let cancelling = cancel(&app, &path, 202).await;
        assert_eq!(cancelling["state"], "cancelling");
        assert!(cancelling["finished_at"].is_null());
    }
    assert_eq!(names(&app, &path).await, ["job.queued", "job.running"]);
    let end = End {
        state: JobState::Cancelled,
        stop_reason: StopReason::Cancelled,
        detail: None,
        report: None,
        event: EventBody::JobCancelled {},
    };
    finish(&app, claim, &end).await;
    let job = app.api.json(&path).await;
    assert_eq!(job["state"], "cancelled");
    assert_eq!(
        names(&app, &path).await,
        ["job.queued", "job.running", "job.cancelled"]
    );
    cancel(&app, &path, 409).await;
    app.end().await;
}

#[tokio::test]
async fn a_job_that_has_ended_cannot_be_cancelled() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let failure = End {
        state: JobState::Failed,
        stop_reason: StopReason::EndpointUnusable,
        detail: Some("the endpoint refuses the key".to_owned()),
        report: None,
        event: EventBody::JobFailed {
            stop_reason: StopReason::EndpointUnusable,
            detail: "the endpoint refuses the key".to_owned(),
        },
    };
    finish(&app, claim(&app).await, &failure).await;
    let failed = app.api.json(&path).await;
    assert_eq!(failed["detail"], "the endpoint refuses the key");
    let problem = cancel(&app, &path, 409).await;
    assert_eq!(problem["code"], "invalid_transition");
    assert_eq!(app.api.json(&path).await, failed);
    app.end().await;
}

#[tokio::test]
async fn the_report_is_there_once_the_job_has_ended() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let report = format!("{path}/report");
    let problem = body(app.api.get(&report).await, 409).await;
    assert_eq!(problem["code"], "report_not_ready");
    let id = path.strip_prefix("/jobs/").unwrap();
    let detail = problem["detail"].as_str().unwrap().replace(id, "[id]");
    insta::assert_snapshot!("report_not_ready", detail);

    // What a job without a single evaluated trial leaves.
    let nothing = json!({"usd": 0.0, "tokens": 0});
    let written = json!({
        "objective": {"metric": "expected_success", "direction": "maximize"},
        "stop_reason": "trial_limit",
        "baseline": null, "winner": null, "difference": null, "holdout": null,
        "improvement": "none", "improvement_detail": "no valid configuration was found",
        "trials": {"evaluated": 0},
        "budgets": {"inference": null, "optimization": {"usd": 0.25}},
        "spend": nothing, "spend_by_role": {},
        "savings": {
            "spent": nothing, "full_evaluation": nothing,
            "pruned": {"known_invalid": 0, "over_budget": 0, "inferior": 0},
            "reused_responses": 0
        },
        "front": [], "feasible": [],
        "diagnostics": {
            "cut_responses": 0, "cut_rate": null, "empty_responses": 0, "empty_rate": null,
            "failed_requests": 0, "failed_rate": null, "estimated_usage": 0,
            "violation_count": 0, "violations": []
        }
    });
    let claim = claim(&app).await;
    body(app.api.get(&report).await, 409).await;
    finish(&app, claim, &success(Some(written.clone()))).await;
    assert_eq!(app.api.json(&report).await, written);
    app.end().await;
}

#[tokio::test]
async fn a_job_that_has_ended_can_be_deleted() {
    let app = start().await;
    let post = || app.api.request(Method::POST, "/jobs").json(&job());
    let post = async || app.api.send(post().header("idempotency-key", "once")).await;
    let created = body(post().await, 201).await;
    let path = created["links"]["self"].as_str().unwrap();
    let delete = async || app.api.send(app.api.request(Method::DELETE, path)).await;
    insta::assert_json_snapshot!("deleted_too_early", body(delete().await, 409).await);
    cancel(&app, path, 202).await;
    assert_eq!(delete().await.status(), 204);
    for at in ["", "/trials", "/events", "/report", "/export"] {
        let gone = body(app.api.get(&format!("{path}{at}")).await, 404).await;
        assert_eq!(gone["code"], "not_found", "{at}");
    }
    assert_eq!(body(delete().await, 404).await["code"], "not_found");
    assert_eq!(app.api.json("/jobs").await["data"], json!([]));
    // Its idempotency key went with it.
    let again = body(post().await, 201).await;
    assert_ne!(again["id"], created["id"]);
    app.end().await;
}
