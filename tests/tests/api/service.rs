//! What an operator sees: health, the description, a database that is away.

use crate::{body, catalog, header, job, start};
use frugal_store::PgPool;
use frugal_tests::app::{Limits, Server, TestApp};
use frugal_tests::postgres::TestDatabase;
use reqwest::{Method, Response};
use serde_json::Value;
use std::time::Duration;

#[tokio::test]
async fn a_server_with_its_database_is_ready() {
    let app = start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(app.api.json(path).await["status"], "ok");
    }
    app.end().await;
}

#[tokio::test]
async fn the_committed_description_is_served() {
    let app = start().await;
    let response = app.api.get("/openapi.yaml").await;
    assert_eq!(header(&response, "content-type"), Some("application/yaml"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(response.text().await.unwrap() == committed);
    app.end().await;
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let mut names = Vec::new();
    for path in [
        path.as_str(),
        "/jobs",
        "/nothing",
        "/healthz",
        "/jobs?limit=0",
    ] {
        let response = app.api.get(path).await;
        names.push(header(&response, "x-request-id").unwrap().to_owned());
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 5, "each has a name of its own");

    // A name that a proxy gave stays.
    let request = app.api.request(Method::GET, "/nothing");
    let response = app
        .api
        .send(request.header("x-request-id", "proxy-7"))
        .await;
    assert_eq!(header(&response, "x-request-id"), Some("proxy-7"));
    app.end().await;
}

/// A pool for a port at which nobody listens.
fn absent_database() -> PgPool {
    sqlx::postgres::PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(50))
        .connect_lazy("postgres://frugal@127.0.0.1:1/frugal")
        .unwrap()
}

async fn unavailable(response: Response) -> Value {
    assert_eq!(header(&response, "retry-after"), Some("5"));
    body(response, 503).await
}

#[tokio::test]
async fn without_its_database_the_server_lives_and_says_so() {
    let server = Server::start(absent_database(), catalog(), Limits::default()).await;
    let api = &server.api;
    assert_eq!(api.json("/healthz").await["status"], "ok");
    let problem = unavailable(api.get("/readyz").await).await;
    insta::assert_json_snapshot!("database_away", problem);

    let job_path = "/jobs/019abf3e-5f00-7000-8000-000000000000";
    for path in [
        "/jobs".to_owned(),
        job_path.to_owned(),
        format!("{job_path}?wait=60"),
        format!("{job_path}/trials"),
        format!("{job_path}/trials/1"),
        format!("{job_path}/events"),
        format!("{job_path}/report"),
    ] {
        assert_eq!(unavailable(api.get(&path).await).await, problem, "{path}");
    }
    let stream = api.request(Method::GET, &format!("{job_path}/events"));
    let stream = api.send(stream.header("accept", "text/event-stream")).await;
    assert_eq!(unavailable(stream).await, problem);
    assert_eq!(unavailable(api.post("/jobs", &job()).await).await, problem);
    let cancel = api.post(&format!("{job_path}/cancel"), &Value::Null).await;
    assert_eq!(unavailable(cancel).await, problem);

    // What needs no database is answered as ever.
    assert_eq!(api.json("/endpoints").await["data"][0]["name"], "local");
    body(api.get("/jobs?limit=0").await, 400).await;
    server.stop().await;
}

/// A database that answers and takes nothing is no fault of the server: it says so, and goes on when it
/// takes something again, without a restart.
#[tokio::test]
async fn a_database_that_is_full_or_locked_is_away_for_whoever_writes() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    for code in ["53100", "25006", "40P01", "55P03", "58030"] {
        let refuse = format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON jobs
             FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(refuse))
            .execute(&app.pool)
            .await
            .unwrap();
        let problem = unavailable(app.api.post("/jobs", &job()).await).await;
        assert_eq!(problem["code"], "unavailable", "{code}");
        let cancel = app.api.post(&format!("{path}/cancel"), &Value::Null).await;
        unavailable(cancel).await;
        assert_eq!(
            app.api.json(&path).await["state"],
            "queued",
            "reading goes on"
        );
        sqlx::raw_sql("DROP TRIGGER refuse ON jobs; DROP FUNCTION refuse()")
            .execute(&app.pool)
            .await
            .unwrap();
        app.api.submit(&job()).await;
    }
    app.end().await;
}

#[tokio::test]
async fn a_read_only_database_is_read() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let standby = sqlx::postgres::PgPoolOptions::new()
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::query("SET default_transaction_read_only = on")
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .connect_with((*app.pool.connect_options()).clone())
        .await
        .unwrap();
    let server = Server::start(standby.clone(), catalog(), Limits::default()).await;
    assert_eq!(server.api.json(&path).await["state"], "queued");
    unavailable(server.api.post("/jobs", &job()).await).await;
    let cancel = format!("{path}/cancel");
    unavailable(server.api.post(&cancel, &Value::Null).await).await;
    server.stop().await;
    standby.close().await;
    app.end().await;
}

#[tokio::test]
async fn connections_that_others_hold_are_waited_for_and_not_for_long() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    // One for the listener, and one for everything else.
    let narrow = sqlx::postgres::PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(Duration::from_millis(200))
        .connect_with((*app.pool.connect_options()).clone())
        .await
        .unwrap();
    let held = (
        narrow.acquire().await.unwrap(),
        narrow.acquire().await.unwrap(),
    );
    let server = Server::start(narrow.clone(), catalog(), Limits::default()).await;
    assert_eq!(server.api.json("/healthz").await["status"], "ok");
    unavailable(server.api.get("/readyz").await).await;
    unavailable(server.api.get(&path).await).await;
    unavailable(server.api.post("/jobs", &job()).await).await;
    drop(held);
    assert_eq!(server.api.json(&path).await["state"], "queued");
    server.api.submit(&job()).await;
    server.stop().await;
    narrow.close().await;
    app.end().await;
}

/// What a stream says last when its server stops.
#[tokio::test]
async fn a_stream_is_told_that_its_server_stops() {
    let app = start().await;
    let path = app.api.submit(&job()).await;
    let server = Server::start(app.pool.clone(), catalog(), Limits::default()).await;
    let request = server.api.request(Method::GET, &format!("{path}/events"));
    let stream = request.header("accept", "text/event-stream").send().await;
    let (said, ()) = tokio::join!(stream.unwrap().text(), server.stop());
    let said = said.unwrap();
    assert!(said.contains("event: job.queued"), "{said}");
    let farewell = said
        .split("\n\n")
        .filter(|frame| frame.contains("retry: 1000"));
    let farewell: Vec<_> = farewell.collect();
    assert_eq!(farewell.len(), 1, "{said}");
    assert!(farewell[0].contains(": the server stops"), "{said}");
    assert!(!farewell[0].contains("data:"), "it is no event");
    app.end().await;
}

#[tokio::test]
async fn a_database_without_the_schema_is_not_ready() {
    let database = TestDatabase::create().await;
    let pool = frugal_store::connect(database.url(), 4).unwrap();
    let server = Server::start(pool.clone(), catalog(), Limits::default()).await;
    let problem = unavailable(server.api.get("/readyz").await).await;
    insta::assert_json_snapshot!("schema_not_current", problem);
    assert_eq!(server.api.json("/healthz").await["status"], "ok");

    // It becomes ready without a restart.
    frugal_store::migrate(&pool).await.unwrap();
    assert_eq!(server.api.json("/readyz").await["status"], "ok");
    server.api.submit(&job()).await;
    server.stop().await;
    pool.close().await;
    database.drop().await;
}

/// Where a worker of a later version has changed the schema, this one must not serve.
#[tokio::test]
async fn a_newer_schema_is_not_ready() {
    let app: TestApp = start().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99999999999999, 'later', true, '', 0)",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let problem = unavailable(app.api.get("/readyz").await).await;
    assert_eq!(problem["code"], "schema_not_current");
    app.end().await;
}
