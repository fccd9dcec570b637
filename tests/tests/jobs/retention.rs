//! What a server and `frugal prune` remove of jobs that ended long ago.

use crate::{World, job};
use frugal_tests::client::ApiClient;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;

/// As if all jobs had ended two days ago.
async fn age(pool: &PgPool) {
    sqlx::query("UPDATE jobs SET finished_at = finished_at - interval '2 days'")
        .execute(pool)
        .await
        .unwrap();
}

/// Waits until a job has neither events nor responses.
async fn pruned(pool: &PgPool) {
    let looking = async {
        let query = "SELECT bool_or(has_events OR has_responses) FROM jobs";
        while sqlx::query_scalar(query).fetch_one(pool).await.unwrap() {}
    };
    let pruned = tokio::time::timeout(Duration::from_secs(60), looking).await;
    assert!(pruned.is_ok(), "the server removes nothing");
}

/// Requests that a job sent for its baseline.
async fn baseline_requests(api: &ApiClient, path: &str) -> Value {
    let trial = api.json(&format!("{path}/trials/0")).await;
    trial["requests"].clone()
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_left_says_so() {
    let mut world = World::new().await;
    let pool = PgPool::connect(world.database.url()).await.unwrap();
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&job(6, 3)).await;
    api.follow(&path, None).await;
    let report = api.json(&format!("{path}/report")).await;
    assert!(server.stop().await);
    age(&pool).await;

    let endpoints = world.setting.endpoints.clone();
    let retention = "[retention]\nevents = \"1d\"\nresponses = \"36h\"\njobs = \"off\"\n";
    world.setting.endpoints = format!("{retention}{endpoints}");
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    pruned(&pool).await;
    let shown = api.json(&path).await;
    let since = &shown["pruned"]["responses_at"];
    assert!(since.is_string() && shown["pruned"]["events_through"].as_i64() > Some(4));
    let trials = api.all(&format!("{path}/trials")).await;
    assert!(
        trials
            .iter()
            .all(|trial| trial["responses_pruned_at"] == *since)
    );
    assert!(trials.iter().all(|trial| trial["state"] != "running"));
    assert_eq!(api.json(&format!("{path}/report")).await, report);
    let events = api.get(&format!("{path}/events")).await;
    assert_eq!(events.status(), 410);

    // There is nothing left to use again, so the same job asks once more.
    let mut body = job(6, 3);
    body["search"]["reuse"] = json!("owner");
    let again = api.submit(&body).await;
    api.follow(&again, None).await;
    assert_eq!(baseline_requests(&api, &again).await, 6);

    // By hand, the jobs themselves.
    let would = world
        .setting
        .run(&["prune", "--dry-run", "--jobs", "1d"])
        .await;
    assert!(would.contains("1 jobs would go"), "{would}");
    assert!(would.contains("0 events of 0 more jobs"), "{would}");
    assert_eq!(api.get(&path).await.status(), 200);
    world.setting.run(&["prune", "--jobs", "1d"]).await;
    assert_eq!(api.get(&path).await.status(), 404);
    let kept = api.json(&again).await;
    assert!(kept["pruned"].is_null());
    assert!(server.stop().await);
    pool.close().await;
    world.end().await;
}

#[tokio::test]
async fn pruning_by_hand_needs_to_be_told_what() {
    let world = World::new().await;
    let refused = world.setting.try_run(&["prune", "--dry-run"]).await;
    assert!(!refused.status.success());
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("say how long what is kept"), "{words}");
    world.end().await;
}
