//! Jobs that break what drives them, or that nobody can drive any more.

use crate::{World, job};
use chrono::Utc;
use frugal_domain::endpoint::Catalog;
use frugal_llm::Clients;
use frugal_store::PgPool;
use frugal_store::queue::{self, Claimant};
use frugal_tests::client::ApiClient;
use frugal_webhook::Hooks;
use frugal_worker::{Options, Terms};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far longer than a job takes that comes to its end.
const ENOUGH: Duration = Duration::from_secs(120);

/// A worker with one slot in the test's own process.
struct Worker {
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Worker {
    fn start(world: &World, pool: PgPool) -> Self {
        let catalog: Catalog = toml::from_str(&world.setting.endpoints).unwrap();
        let clients = Clients::new(&catalog, |_| None).unwrap();
        let shutdown = CancellationToken::new();
        let options = Options {
            pool,
            catalog: Arc::new(catalog),
            clients: Arc::new(clients),
            sandbox: None,
            hooks: Hooks::default(),
            name: "test".to_owned(),
            slots: 1,
            only: None,
            terms: Terms::default(),
        };
        let running = tokio::spawn(frugal_worker::run(options, shutdown.clone()));
        Self { shutdown, running }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }
}

/// Waits for a job's end and returns it.
async fn ended(api: &ApiClient, path: &str) -> Value {
    let events = tokio::time::timeout(ENOUGH, api.follow(path, None)).await;
    assert!(events.is_ok(), "the job does not end");
    api.json(path).await
}

/// Connections of which one panics when it is asked for while the job has its first answers: in
/// the middle of what drives it, and once.
async fn breaking_pool(world: &World) -> PgPool {
    let armed = Arc::new(AtomicBool::new(true));
    PgPoolOptions::new()
        .max_connections(8)
        .before_acquire(move |connection, _| {
            let armed = armed.clone();
            Box::pin(async move {
                if armed.load(Ordering::SeqCst) {
                    let begun: bool = sqlx::query_scalar(
                        "SELECT EXISTS (SELECT FROM requests WHERE state = 'answered')",
                    )
                    .fetch_one(connection)
                    .await?;
                    assert!(
                        !(begun && armed.swap(false, Ordering::SeqCst)),
                        "broken on purpose"
                    );
                }
                Ok(true)
            })
        })
        .connect(world.database.url())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_panic_ends_its_job_and_not_the_slot() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let pool = breaking_pool(&world).await;
    let worker = Worker::start(&world, pool.clone());
    let broken = api.submit(&job(10, 6)).await;
    let job_ended = ended(&api, &broken).await;
    assert_eq!(
        (&job_ended["state"], &job_ended["stop_reason"]),
        (&json!("failed"), &json!("internal_error"))
    );
    assert!(job_ended["detail"].as_str().unwrap().contains("operator"));
    assert!(job_ended["spend"]["tokens"].as_u64().unwrap() > 0);
    assert_eq!(job_ended["progress"]["trials"]["running"], 0);
    // The same slot takes the next one.
    let next = api.submit(&job(4, 2)).await;
    assert_eq!(ended(&api, &next).await["state"], "succeeded");
    worker.stop().await;
    pool.close().await;
    assert!(server.stop().await);
    world.end().await;
}

/// Takes the job that waits so many times, as workers do that die at once.
async fn abandon(pool: &PgPool, times: u32) {
    for _ in 0..times {
        let mut transaction = pool.begin().await.unwrap();
        let claimant = Claimant::new("lost", 0);
        let claimed = queue::claim(&mut transaction, &claimant, Utc::now()).await;
        assert!(claimed.unwrap().is_some());
        transaction.commit().await.unwrap();
    }
    // As if its last worker had been lost long ago.
    sqlx::query(
        "UPDATE jobs SET lease_expires_at = now() - interval '1 day'
         WHERE lease_expires_at IS NOT NULL",
    )
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_job_that_breaks_worker_after_worker_is_set_aside() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let pool = frugal_store::connect(world.database.url(), 8).unwrap();
    let most_lost_attempts = Terms::default().most_lost_attempts;
    let unlucky = api.submit(&job(4, 2)).await;
    abandon(&pool, most_lost_attempts - 1).await;
    let worker = Worker::start(&world, pool.clone());
    assert_eq!(ended(&api, &unlucky).await["state"], "succeeded");
    worker.stop().await;

    let breaking = api.submit(&job(4, 2)).await;
    abandon(&pool, most_lost_attempts).await;
    let asked = world.simulator.gate().progress().arrived;
    let worker = Worker::start(&world, pool.clone());
    let set_aside = ended(&api, &breaking).await;
    assert_eq!(
        (&set_aside["state"], &set_aside["stop_reason"]),
        (&json!("failed"), &json!("worker_lost"))
    );
    let words = format!("{most_lost_attempts} workers in a row");
    assert!(set_aside["detail"].as_str().unwrap().contains(&words));
    assert_eq!(world.simulator.gate().progress().arrived, asked);
    worker.stop().await;
    pool.close().await;
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn a_job_that_cannot_be_loaded_ends_with_its_books_closed() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let first = world.setting.worker().await;
    let path = api.submit(&job(10, 12)).await;
    gate.arrived(25).await;
    first.kill().await;
    gate.open();
    // The operator takes the endpoint out of the catalogue before the next worker comes.
    let mut without = world.setting.clone();
    without.endpoints = without
        .endpoints
        .replace("[endpoints.local", "[endpoints.other");
    let second = without.worker().await;
    let job = ended(&api, &path).await;
    assert_eq!(
        (&job["state"], &job["stop_reason"]),
        (&json!("failed"), &json!("endpoint_unusable"))
    );
    let trials = api.all(&format!("{path}/trials")).await;
    assert!(trials.iter().all(|trial| trial["state"] != "running"));
    let stopped = trials
        .iter()
        .filter(|trial| trial["state"] == "stopped")
        .count();
    assert!(stopped > 0, "the worker died in the middle of them");
    let counted = &job["progress"]["trials"];
    assert_eq!(
        (&counted["running"], &counted["stopped"]),
        (&json!(0), &json!(stopped))
    );
    let tokens = |spend: &Value| spend["tokens"].as_u64().unwrap_or(0);
    let lost = tokens(&job["spend"]["by_role"]["lost"]);
    assert!(lost > 0, "what was in flight may have been billed");
    let by_trial: u64 = trials.iter().map(|trial| tokens(&trial["spend"])).sum();
    assert!(by_trial > 0);
    assert_eq!(tokens(&job["spend"]), by_trial + lost);
    assert!(second.stop().await && server.stop().await);
    world.end().await;
}
