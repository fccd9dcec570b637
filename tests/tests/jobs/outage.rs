//! A database that goes away under a job, or takes nothing for a while.

use crate::job;
use crate::takeover::outcomes;
use frugal::embedded_postgres::{EmbeddedPostgres, Options};
use frugal_simulator::{Simulator, SimulatorOptions};
use frugal_tests::client::ApiClient;
use frugal_tests::postgres;
use frugal_tests::processes::Setting;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// Requests that the jobs here have in flight at once.
const IN_FLIGHT: u64 = 4;

/// A PostgreSQL of the test's own, which may be stopped and started, with an endpoint.
struct World {
    directory: TempDir,
    postgres: EmbeddedPostgres,
    simulator: Simulator,
    setting: Setting,
}

/// Its data outlive it. Nothing is flushed, which only a crash of the machine would show.
fn options(directory: &TempDir) -> Options {
    Options {
        durable: false,
        ..postgres::kept(&directory.path().join("data"))
    }
}

impl World {
    async fn new() -> Self {
        let directory = postgres::directory();
        let postgres = EmbeddedPostgres::start(options(&directory)).await.unwrap();
        let simulator = frugal_simulator::serve(SimulatorOptions::default())
            .await
            .unwrap();
        let setting = Setting::local(postgres.url(), &simulator.base_url());
        Self {
            directory,
            postgres,
            simulator,
            setting,
        }
    }

    async fn end(self) {
        self.simulator.shutdown().await.unwrap();
        self.postgres.stop().await;
    }
}

fn steady_job() -> Value {
    let mut body = job(10, 12);
    body["search"]["requests_in_flight"] = json!(IN_FLIGHT);
    body
}

/// Holds a job that was disturbed against the same one that is not, and the bill against both.
async fn compare(api: &ApiClient, simulator: &Simulator, disturbed: &str) {
    let gate = simulator.gate();
    let asked = gate.progress().arrived;
    let undisturbed = api.submit(&steady_job()).await;
    api.follow(&undisturbed, None).await;
    assert_eq!(
        outcomes(api, disturbed).await,
        outcomes(api, &undisturbed).await
    );
    let (one, two) = (api.json(disturbed).await, api.json(&undisturbed).await);
    assert_eq!(one["spend"], two["spend"], "nothing was lost");
    assert_eq!(
        asked,
        gate.progress().arrived - asked,
        "nothing was asked for twice"
    );
}

#[tokio::test]
async fn a_restart_of_the_database_costs_nothing() {
    let mut world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let mut worker = world.setting.worker().await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let path = api.submit(&steady_job()).await;
    gate.until(|progress| progress.in_flight() == IN_FLIGHT)
        .await;
    let url = world.postgres.url().to_owned();
    world.postgres.stop().await;
    // The answers come while there is nobody to store them.
    gate.open();
    worker.wait_for("an answer waits for the database").await;
    let away = api.get(&path).await;
    assert_eq!(away.status(), 503);
    assert!(away.headers().contains_key("retry-after"));
    assert_eq!(api.get("/healthz").await.status(), 200);
    assert_eq!(api.get("/readyz").await.status(), 503);
    world.postgres = EmbeddedPostgres::start(options(&world.directory))
        .await
        .unwrap();
    assert_eq!(world.postgres.url(), url, "where it was before");
    // The server has come back with it.
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded");
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..).take(ids.len()).collect::<Vec<i64>>());
    compare(&api, &world.simulator, &path).await;
    assert!(worker.stop().await && server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn answers_wait_for_a_disk_that_is_full() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(0).await;
    let mut worker = world.setting.worker().await;
    let api = ApiClient::new(&url);
    let gate = world.simulator.gate();
    gate.hold_after(24);
    let path = api.submit(&steady_job()).await;
    gate.until(|progress| progress.in_flight() == IN_FLIGHT)
        .await;
    let mut operator = PgConnection::connect(world.postgres.url()).await.unwrap();
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON requests
         FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
    )
    .execute(&mut operator)
    .await
    .unwrap();
    gate.open();
    worker.wait_for("an answer waits for the database").await;
    sqlx::raw_sql("DROP TRIGGER refuse ON requests; DROP FUNCTION refuse()")
        .execute(&mut operator)
        .await
        .unwrap();
    let events = api.follow(&path, None).await;
    assert_eq!(events.last().unwrap().name, "job.succeeded");
    compare(&api, &world.simulator, &path).await;
    operator.close().await.unwrap();
    assert!(worker.stop().await && server.stop().await);
    world.end().await;
}
