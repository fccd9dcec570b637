//! An undisturbed job: what a client sees from the first to the last event.

use crate::{World, job};
use frugal_tests::client::ApiClient;
use futures::StreamExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn a_job_runs_from_its_post_to_its_report() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&job(10, 12)).await;

    // Read some, break off, and go on after what was read.
    let mut seen = Vec::new();
    let mut stream = api.stream(&path, None).await;
    while seen.len() < 7 {
        seen.push(stream.next().await.unwrap());
    }
    drop(stream);
    let rest = api.follow(&path, seen.last().map(|event| event.id)).await;
    seen.extend(rest);

    let ids: Vec<_> = seen.iter().map(|event| event.id).collect();
    let expected: Vec<_> = (1..=i64::try_from(ids.len()).unwrap()).collect();
    assert_eq!(ids, expected, "no event is missing or comes twice");
    assert_eq!(seen[0].name, "job.queued");
    assert_eq!(seen.last().unwrap().name, "job.succeeded");
    let pages = api.all(&format!("{path}/events")).await;
    let streamed: Vec<_> = seen.iter().map(|event| event.payload.clone()).collect();
    assert_eq!(pages, streamed, "pages and stream tell the same");

    // What is said in the end agrees with what was said on the way.
    let job = api.json(&path).await;
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&"succeeded".into(), &"trial_limit".into())
    );
    let trials = api.all(&format!("{path}/trials")).await;
    assert_eq!(trials.len(), 13, "twelve trials and the baseline");
    let begun = seen
        .iter()
        .filter(|event| event.name == "trial.started")
        .count();
    assert_eq!(begun, trials.len());
    let report = api.json(&format!("{path}/report")).await;
    assert_eq!(report["winner"]["trial"], job["best"]["trial"]);
    let best = seen
        .iter()
        .rfind(|event| event.name == "best.updated")
        .unwrap();
    assert_eq!(best.payload["data"]["trial"], job["best"]["trial"]);
    let winner = trials
        .iter()
        .find(|trial| trial["number"] == report["winner"]["trial"])
        .unwrap();
    assert_eq!(winner["utility"], report["winner"]["utility"]);
    for trial in trials
        .iter()
        .filter(|trial| trial["valid"] == Value::Bool(true))
    {
        // A winner has the largest mean less half its deviation: what is known better counts for more.
        let of = |trial: &Value, what: &str| trial["utility"][what].as_f64().unwrap();
        let worth = |trial: &Value| of(trial, "mean") - 0.5 * of(trial, "standard_error");
        assert!(
            worth(trial) <= worth(winner) + 1e-9,
            "no valid trial is better than the winner: {trial}, {winner}"
        );
    }

    // The money: what was booked is what the endpoint billed.
    let billed = world.simulator.statistics().billed();
    assert_eq!(
        job["spend"]["tokens"],
        billed.prompt_tokens + billed.completion_tokens
    );
    assert!(job["spend"]["usd"].as_f64().unwrap() <= 0.1);
    let requests = world.simulator.statistics().requests;
    assert_eq!(job["progress"]["requests"], requests);

    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn the_same_seed_makes_the_same_trials() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(2).await;
    let api = ApiClient::new(&url);
    let body = job(8, 10);
    let (one, two) = tokio::join!(api.submit(&body), api.submit(&body));
    tokio::join!(api.follow(&one, None), api.follow(&two, None));
    assert_eq!(
        crate::takeover::outcomes(&api, &one).await,
        crate::takeover::outcomes(&api, &two).await
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn the_winner_is_scored_on_rows_that_the_search_did_not_see() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = job(20, 6);
    body["data"]["holdout"] = json!({"share": 0.5});
    let path = api.submit(&body).await;
    let events = api.follow(&path, None).await;
    assert_eq!(
        events
            .iter()
            .filter(|event| event.name == "validation.completed")
            .count(),
        1
    );
    let report = api.json(&format!("{path}/report")).await;
    let holdout = &report["holdout"];
    assert_eq!(holdout["instances"], 10);
    assert_eq!(holdout["winner"]["count"], 10);
    assert_eq!(holdout["difference"]["count"], 10);
    assert_eq!(report["winner"]["utility"]["count"], 10);
    assert!(
        report["spend_by_role"]["validation"]["tokens"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_chat_endpoint_is_asked_with_messages() {
    let mut world = World::new().await;
    world.setting.endpoints = world
        .setting
        .endpoints
        .replace("\"completions\"", "\"chat\"");
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = job(5, 5);
    let template = body["prompts"][0]["text"].take();
    body["prompts"] = json!([
        {"name": "message", "messages": [{"role": "user", "content": template}]},
        {"name": "text", "text": template}
    ]);
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let trials = api.all(&format!("{path}/trials")).await;
    assert!(
        trials.iter().all(|trial| trial["state"] == "evaluated"),
        "{trials:?}"
    );
    let prompts: BTreeSet<_> = trials
        .iter()
        .map(|trial| trial["configuration"]["prompt"].to_string())
        .collect();
    assert_eq!(prompts.len(), 2, "both kinds of prompt were tried");
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_job_ends_when_its_time_is_over() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let mut body = job(40, 100_000);
    body["limits"]["seconds"] = json!(1);
    body["data"]["holdout"] = json!({"share": 0.5});
    body["budgets"]["optimization"] = json!({"usd": 1000});
    let path = api.submit(&body).await;
    let events = api.follow(&path, None).await;
    assert_eq!(
        events.last().unwrap().payload["data"]["stop_reason"],
        "deadline"
    );
    let job = api.json(&path).await;
    assert_eq!(
        (&job["state"], &job["progress"]["trials"]["running"]),
        (&json!("succeeded"), &json!(0))
    );
    let report = api.json(&format!("{path}/report")).await;
    let scored = !report["holdout"].is_null();
    assert_eq!(
        scored,
        !report["winner"].is_null(),
        "what was found is scored all the same"
    );
    assert!(server.stop().await);
    world.end().await;
}
