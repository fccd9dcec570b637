//! Changing and continuing jobs, as far as no worker is needed.

use crate::{append, body, claim, finish, header, id, job, start, success};
use frugal_domain::event::EventBody;
use frugal_domain::state::{JobState, StopReason};
use frugal_store::changes::OwnerChange;
use frugal_store::queue::End;
use frugal_tests::app::TestApp;
use futures::StreamExt;
use reqwest::{Method, Response};
use serde_json::{Value, json};

async fn patch(app: &TestApp, path: &str, patch: &Value) -> Response {
    let request = app.api.request(Method::PATCH, path).body(patch.to_string());
    let request = request.header("content-type", "application/merge-patch+json");
    app.api.send(request).await
}

async fn events(app: &TestApp, path: &str) -> Vec<(String, Value)> {
    let events = app.api.all(&format!("{path}/events")).await;
    let event = |event: &Value| {
        (
            event["type"].as_str().unwrap().to_owned(),
            event["data"].clone(),
        )
    };
    events.iter().map(event).collect()
}

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_job_that_waits_is_changed_at_once() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let tag = header(&app.api.get(&path).await, "etag")
        .unwrap()
        .to_owned();
    let change = json!({
        "name": null,
        "labels": {"team": null, "stage": "two"},
        "priority": 4,
        "budgets": {"optimization": {"usd": 2}},
        "limits": {"trials": 30, "seconds": 600},
        "search": {"requests_in_flight": 4}
    });
    let changed = patch(&app, &path, &change).await;
    let new_tag = header(&changed, "etag").unwrap().to_owned();
    assert_ne!(tag, new_tag);
    let changed = body(changed, 200).await;
    assert_eq!(changed["name"], Value::Null);
    assert_eq!(changed["labels"], json!({"stage": "two"}));
    assert_eq!(changed["priority"], 4);
    assert_eq!(changed["budgets"]["optimization"], json!({"usd": 2.0}));
    assert_eq!(changed["budgets"]["inference"], json!({"usd": 0.001}));
    assert_eq!(
        (&changed["limits"]["trials"], &changed["limits"]["seconds"]),
        (&json!(30), &json!(600))
    );
    assert_eq!(changed["search"]["requests_in_flight"], 4);
    assert_eq!(app.api.json(&path).await, changed);
    let told = events(&app, &path).await;
    assert_eq!(told.len(), 2);
    insta::assert_json_snapshot!("what_changed", told[1]);

    // The same again, and nothing at all, change nothing and are told of to nobody.
    for same in [&change, &json!({})] {
        let again = patch(&app, &path, same).await;
        assert_eq!(header(&again, "etag"), Some(new_tag.as_str()));
    }
    assert_eq!(events(&app, &path).await.len(), 2);

    // Whoever knows the job as it was before has not seen the change.
    let conditional = |tag: &str| {
        app.api
            .request(Method::PATCH, &path)
            .header("if-match", tag.to_owned())
            .json(&json!({"limits": {"trials": 31}}))
    };
    let problem = body(app.api.send(conditional(&tag)).await, 412).await;
    assert_eq!(problem["code"], "precondition_failed");
    assert_eq!(app.api.json(&path).await["limits"]["trials"], 30);
    let weak = format!("W/{new_tag}");
    body(app.api.send(conditional(&weak)).await, 412).await;
    body(app.api.send(conditional(&new_tag)).await, 200).await;
    body(app.api.send(conditional("*")).await, 200).await;
    app.end().await;
}

#[tokio::test]
async fn a_running_job_is_changed_by_its_worker_and_its_tag_at_once() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    claim(&app).await;
    let tag = header(&app.api.get(&path).await, "etag")
        .unwrap()
        .to_owned();
    let changed = patch(
        &app,
        &path,
        &json!({"limits": {"trials": 7}, "name": "other"}),
    )
    .await;
    assert_ne!(header(&changed, "etag"), Some(tag.as_str()));
    let changed = body(changed, 200).await;
    assert_eq!(changed["limits"]["trials"], 7);
    // Its name is told of; of what the search decides by its worker tells, at its place.
    let told = events(&app, &path).await;
    let change = json!({"changes": [{"pointer": "/name", "old": "sums", "new": "other"}]});
    assert_eq!(told.last().unwrap(), &("job.updated".to_owned(), change));
    let mut connection = app.pool.acquire().await.unwrap();
    let waiting = frugal_store::changes::after(&mut connection, id(&path), 0)
        .await
        .unwrap();
    let [OwnerChange::Terms(waiting)] = waiting.as_slice() else {
        panic!("one change of the terms, not {waiting:?}")
    };
    assert_eq!(
        (waiting.terms.limits.trials, waiting.place, waiting.told),
        (7, None, false)
    );
    drop(connection);
    app.end().await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_with_its_place_and_the_reason() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let before = app.api.json(&path).await;
    let bad = json!({
        "data": {"instances": []},
        "objective": {"metric": "success"},
        "budgets": {"inference": {"usd": 1}},
        "search": {"seed": 3},
        "priority_of_mine": 1
    });
    let problem = body(patch(&app, &path, &bad).await, 422).await;
    insta::assert_json_snapshot!("what_cannot_be_changed", problem);
    for (bad, pointer) in [
        (json!([]), ""),
        (json!({"budgets": null}), "/budgets"),
        (
            json!({"budgets": {"optimization": null}}),
            "/budgets/optimization",
        ),
        (
            json!({"budgets": {"optimization": {"usd": 0}}}),
            "/budgets/optimization/usd",
        ),
        (
            json!({"budgets": {"optimization": {"usd": null, "tokens": 5}}}),
            "/budgets/optimization",
        ),
        (
            json!({"budgets": {"optimization": {"tokens": 5}}}),
            "/budgets/optimization",
        ),
        (json!({"limits": {"trials": 0}}), "/limits/trials"),
        (json!({"limits": {"hours": 1}}), "/limits/hours"),
        (json!({"limits": []}), "/limits"),
        (
            json!({"search": {"requests_in_flight": 2000}}),
            "/search/requests_in_flight",
        ),
        (json!({"name": ""}), "/name"),
        (json!({"labels": {"a": 1}}), "/labels/a"),
        (json!({"priority": 10}), "/priority"),
    ] {
        let problem = body(patch(&app, &path, &bad).await, 422).await;
        assert_eq!(pointers(&problem), [pointer], "{bad} {problem}");
        assert_eq!(problem["code"], "invalid_change");
    }
    let typed = app.api.request(Method::PATCH, &path).body("[]");
    let typed = typed.header("content-type", "application/json-patch+json");
    assert_eq!(
        body(app.api.send(typed).await, 415).await["code"],
        "unsupported_media_type"
    );
    assert_eq!(app.api.json(&path).await, before);
    let nobody = "/jobs/019abf3e-5f00-7000-8000-000000000000";
    body(patch(&app, nobody, &json!({})).await, 404).await;
    app.end().await;
}

#[tokio::test]
async fn a_job_that_has_ended_is_continued_under_other_terms() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let going = format!("{path}/continue");
    let more = json!({"limits": {"trials": 200}});
    let problem = body(app.api.post(&going, &more).await, 409).await;
    assert_eq!(problem["code"], "invalid_transition");
    let report = json!({"stop_reason": "trial_limit"});
    let ended_by = claim(&app).await;
    finish(&app, ended_by, &success(Some(report))).await;
    let mut stream = app.api.stream(&path, None).await;
    let mut last = 0;
    while let Some(event) = stream.next().await {
        last = event.id;
    }
    let done = app.api.request(Method::GET, &format!("{path}/events"));
    let done = done
        .header("accept", "text/event-stream")
        .header("last-event-id", last.to_string());
    assert_eq!(app.api.send(done).await.status(), 204);

    // Its terms are settled, its name is not.
    body(patch(&app, &path, &more).await, 409).await;
    body(patch(&app, &path, &json!({"priority": 1})).await, 409).await;
    body(patch(&app, &path, &json!({"name": "ended"})).await, 200).await;
    // It ended for want of trials, so it must get some.
    let problem = body(
        app.api
            .post(&going, &json!({"budgets": {"optimization": {"usd": 3}}}))
            .await,
        422,
    )
    .await;
    assert_eq!(pointers(&problem), ["/limits/trials"]);
    let continued = body(app.api.post(&going, &more).await, 202).await;
    assert_eq!(
        (&continued["state"], &continued["run"]),
        (&json!("queued"), &json!(2))
    );
    assert_eq!(
        (&continued["stop_reason"], &continued["finished_at"]),
        (&Value::Null, &Value::Null)
    );
    body(app.api.post(&going, &more).await, 409).await;
    body(app.api.get(&format!("{path}/report")).await, 409).await;
    body(app.api.get(&format!("{path}/report?run=3")).await, 400).await;

    // Its stream goes on where it ended, without a gap.
    let mut stream = app.api.stream(&path, Some(last)).await;
    let names = ["job.updated", "job.continued"];
    for (seq, name) in (last + 1..).zip(names) {
        let event = stream.next().await.unwrap();
        assert_eq!((event.id, event.name.as_str()), (seq, name));
    }
    drop(stream);
    // From the beginning too: the first end is not the last.
    let second = claim(&app).await;
    append(&app, &path, &[EventBody::JobQueued {}]).await;
    finish(&app, second, &success(None)).await;
    let mut stream = app.api.stream(&path, None).await;
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await {
        seen.push(event.id);
    }
    assert_eq!(
        seen,
        (1..=i64::try_from(seen.len()).unwrap()).collect::<Vec<_>>()
    );
    assert_eq!(
        seen.last().copied(),
        events(&app, &path).await.len().try_into().ok()
    );
    app.end().await;
}

#[tokio::test]
async fn a_job_is_continued_as_often_as_its_owner_wants() {
    let app = start().await;
    for extent in ["searched", "profiled"] {
        let mut posted = job();
        posted["search"] = json!({"extent": extent});
        let path = app.api.submit(&posted).await;
        let going = format!("{path}/continue");
        for run in 1..=4 {
            let ended_by = claim(&app).await;
            finish(&app, ended_by, &success(None)).await;
            let more = json!({"limits": {"trials": 200 + run}});
            let answer = body(app.api.post(&going, &more).await, 202).await;
            assert_eq!(answer["run"], run + 1);
        }
        let ended_by = claim(&app).await;
        finish(&app, ended_by, &success(None)).await;
    }
    app.end().await;
}

#[tokio::test]
async fn jobs_that_wait_or_are_paused_go_by_the_priority_that_they_are_given() {
    let app = start().await;
    let mut paths = Vec::new();
    for _ in 0..3 {
        paths.push(app.api.submit(&job()).await);
    }
    let [first, second, third] = &paths[..] else {
        panic!("three were posted");
    };
    let paused = app.api.post(&format!("{third}/pause"), &json!({})).await;
    assert_eq!(body(paused, 202).await["state"], "paused");
    body(patch(&app, second, &json!({"priority": 3})).await, 200).await;
    let changed = body(patch(&app, third, &json!({"priority": 9})).await, 200).await;
    assert_eq!(changed["priority"], 9);
    assert_eq!(claim(&app).await.job, id(second));
    let resumed = app.api.post(&format!("{third}/resume"), &json!({})).await;
    body(resumed, 202).await;
    assert_eq!(claim(&app).await.job, id(third));
    // Taken back to what it is where a job names none.
    let changed = body(patch(&app, second, &json!({"priority": null})).await, 200).await;
    assert_eq!(changed["priority"], 0);
    assert_eq!(claim(&app).await.job, id(first));
    app.end().await;
}

#[tokio::test]
async fn a_job_that_failed_is_not_continued() {
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
    let ended_by = claim(&app).await;
    finish(&app, ended_by, &failure).await;
    let problem = body(
        app.api.post(&format!("{path}/continue"), &json!({})).await,
        409,
    )
    .await;
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("refuses the key"),
        "{problem}"
    );
    app.end().await;
}
