//! Everything of a job, taken away and held against what is stored and shown.

use crate::{World, job};
use flate2::read::GzDecoder;
use frugal_tests::client::ApiClient;
use frugal_tests::contract::contract;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::io::Read;

/// The lines of an export, each of which must be as described.
fn lines(text: &str) -> Vec<Value> {
    assert!(text.ends_with('\n'), "the last line has its end too");
    let lines = text.lines().map(|line| {
        let line = serde_json::from_str(line).unwrap();
        contract().check_export_line(&line).unwrap();
        line
    });
    lines.collect()
}

/// The data of all lines of a type.
fn of<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    let named = lines.iter().filter(|line| line["type"] == name);
    named.map(|line| &line["data"]).collect()
}

/// What a query selects as one JSON array, of a job.
async fn stored(pool: &PgPool, id: &str, query: &str) -> Vec<Value> {
    let query = format!("SELECT coalesce(jsonb_agg(to_jsonb(row)), '[]') FROM ({query}) AS row");
    let rows: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .bind(id.parse::<uuid::Uuid>().unwrap())
        .fetch_one(pool)
        .await
        .unwrap();
    rows.as_array().unwrap().clone()
}

/// Lines with these fields alone, an inner object by its path.
fn with_fields(lines: &[&Value], fields: &[(&str, &str)]) -> Vec<Value> {
    let cut = lines.iter().map(|line| {
        let fields = fields.iter().map(|(name, pointer)| {
            let value = line.pointer(pointer).cloned().unwrap_or_default();
            ((*name).to_owned(), value)
        });
        Value::Object(fields.collect())
    });
    cut.collect()
}

/// Fails with the first row that is not the same. PostgreSQL writes 0 for 0.0.
fn assert_same(what: &str, exported: &[Value], stored: &[Value]) {
    let number = |value: &Value| match value.as_f64() {
        Some(number) => json!(number),
        None => value.clone(),
    };
    let row = |row: &Value| -> Value {
        let fields = row.as_object().unwrap().iter();
        let fields = fields.map(|(name, value)| (name.clone(), number(value)));
        Value::Object(fields.collect())
    };
    assert_eq!(exported.len(), stored.len(), "{what}");
    for (one, other) in exported.iter().zip(stored) {
        assert_eq!(row(one), row(other), "{what}");
    }
}

#[tokio::test]
async fn an_export_is_everything_of_a_job() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let pool = PgPool::connect(world.database.url()).await.unwrap();
    let first = api.submit(&job(10, 6)).await;
    api.follow(&first, None).await;
    // The second takes responses of the first over, and has held-out rows.
    let mut body = job(10, 6);
    body["search"]["reuse"] = json!("owner");
    body["data"]["holdout"] = json!({"share": 0.3});
    let path = api.submit(&body).await;
    api.follow(&path, None).await;
    let id = path.strip_prefix("/jobs/").unwrap();

    let mut shown = api.json(&path).await;
    // How a job stands is of the moment, and no part of it.
    shown["standing"] = Value::Null;
    let link = shown["links"]["export"].as_str().unwrap();
    let response = api.get(link).await;
    assert_eq!(response.headers()["content-type"], "application/jsonl");
    assert!(response.headers().get("content-encoding").is_none());
    let export = lines(&response.text().await.unwrap());

    // Against the API.
    assert_eq!(of(&export, "job"), [&shown]);
    let mut trials = api.all(&format!("{path}/trials")).await;
    trials.reverse();
    assert_eq!(of(&export, "trial"), trials.iter().collect::<Vec<_>>());
    let events = api.all(&format!("{path}/events")).await;
    assert_eq!(of(&export, "event"), events.iter().collect::<Vec<_>>());
    let report = api.json(&format!("{path}/report")).await;
    assert_eq!(of(&export, "report"), [&report]);
    let attempts = api.all(&format!("{path}/attempts")).await;
    assert_eq!(
        of(&export, "attempt"),
        attempts.iter().rev().collect::<Vec<_>>()
    );

    // Against the database.
    let all = |name: &str| -> Vec<Value> { of(&export, name).into_iter().cloned().collect() };
    let instances = stored(
        &pool,
        id,
        "SELECT split, position, data FROM instances WHERE job_id = $1 ORDER BY split, position",
    );
    assert_same("instances", &all("instance"), &instances.await);
    let specification = stored(&pool, id, "SELECT spec FROM jobs WHERE id = $1").await;
    assert_eq!(of(&export, "specification"), [&specification[0]["spec"]]);
    let requests = stored(
        &pool,
        id,
        "SELECT purpose, trial, ordinal, attempt, state, instance, n, max_tokens, prompt_tokens,
                completion_tokens, usage_estimated, latency_ms, cost_tokens, worst_tokens
         FROM requests WHERE job_id = $1 ORDER BY purpose, trial, ordinal, attempt",
    )
    .await;
    let plain = |names: &[&'static str]| -> Vec<(&'static str, String)> {
        names
            .iter()
            .map(|name| (*name, format!("/{name}")))
            .collect()
    };
    let mut fields = plain(&[
        "purpose",
        "trial",
        "ordinal",
        "attempt",
        "state",
        "instance",
        "n",
        "max_tokens",
        "prompt_tokens",
        "completion_tokens",
        "usage_estimated",
        "latency_ms",
    ]);
    fields.push(("cost_tokens", "/cost/tokens".to_owned()));
    fields.push(("worst_tokens", "/worst_case/tokens".to_owned()));
    let pick = |name: &str, fields: &[(&'static str, String)]| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, at)| (*name, at.as_str()))
            .collect();
        with_fields(&of(&export, name), &fields)
    };
    assert_same("requests", &pick("request", &fields), &requests);
    let responses = stored(
        &pool,
        id,
        "SELECT purpose, trial, ordinal, attempt, position, text, finish_reason, estimated_tokens
         FROM responses WHERE job_id = $1 ORDER BY purpose, trial, ordinal, attempt, position",
    )
    .await;
    assert_same("responses", &all("response"), &responses);
    let adopted = stored(
        &pool,
        id,
        "SELECT trial, position, instance, source_job, source_ordinal, text
         FROM adopted_responses WHERE job_id = $1 ORDER BY trial, position",
    )
    .await;
    assert!(!adopted.is_empty(), "the second job takes something over");
    let mut fields = plain(&["trial", "position", "instance", "text"]);
    fields.push(("source_job", "/source/job".to_owned()));
    fields.push(("source_ordinal", "/source/ordinal".to_owned()));
    assert_same("adopted", &pick("adopted_response", &fields), &adopted);
    let scores = stored(
        &pool,
        id,
        "SELECT source_job, purpose, trial, ordinal, position, instance, max_tokens, score, failure
         FROM scores WHERE job_id = $1
         ORDER BY source_job, purpose, trial, ordinal, position, instance, max_tokens",
    )
    .await;
    assert!(!scores.is_empty());
    let mut fields = plain(&["instance", "max_tokens", "score", "failure"]);
    for (name, at) in [
        ("source_job", "job"),
        ("purpose", "purpose"),
        ("trial", "trial"),
        ("ordinal", "ordinal"),
        ("position", "position"),
    ] {
        fields.push((name, format!("/response/{at}")));
    }
    assert_same("scores", &pick("score", &fields), &scores);

    // In its order, and with its counts.
    let mut types: Vec<_> = export
        .iter()
        .map(|line| line["type"].as_str().unwrap())
        .collect();
    let mut counts = BTreeMap::<_, u64>::new();
    types
        .iter()
        .for_each(|name| *counts.entry(*name).or_default() += 1);
    assert_eq!(counts.remove("end"), Some(1));
    assert_eq!(export.last().unwrap()["data"]["lines"], json!(counts));
    types.dedup();
    assert_eq!(
        types,
        [
            "export",
            "job",
            "specification",
            "attempt",
            "instance",
            "trial",
            "adopted_response",
            "request",
            "response",
            "score",
            "event",
            "report",
            "end"
        ]
    );

    // The same again, packed.
    let request = api.request(Method::GET, link);
    let response = api.send(request.header("accept-encoding", "gzip")).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let mut text = String::new();
    let packed = response.bytes().await.unwrap();
    GzDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .unwrap();
    assert!(lines(&text)[1..] == export[1..]);

    pool.close().await;
    assert!(server.stop().await);
    world.end().await;
}

#[tokio::test]
async fn an_export_has_what_was_changed_of_a_job_and_what_it_found_before() {
    let world = World::new().await;
    let (server, url) = world.setting.serve(1).await;
    let api = ApiClient::new(&url);
    let path = api.submit(&job(10, 3)).await;
    let ended = api.follow(&path, None).await;
    let first = api.json(&format!("{path}/report")).await;
    let more = json!({"limits": {"trials": 5}});
    let going = api.post(&format!("{path}/continue"), &more).await;
    assert_eq!(going.status(), 202);
    api.follow(&path, ended.last().map(|event| event.id)).await;
    let response = api.get(&format!("{path}/export")).await;
    let export = lines(&response.text().await.unwrap());
    let changes = of(&export, "terms_change");
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (&changes[0]["number"], &changes[0]["continues"]),
        (&json!(1), &json!(true))
    );
    let change = json!([{"pointer": "/limits/trials", "old": 3, "new": 5}]);
    assert_eq!(changes[0]["changes"], change);
    assert!(changes[0]["place"].is_u64(), "{}", changes[0]);
    let earlier = of(&export, "earlier_report");
    assert_eq!(earlier.len(), 1);
    assert_eq!(
        (
            &earlier[0]["run"],
            &earlier[0]["state"],
            &earlier[0]["report"]
        ),
        (&json!(1), &json!("succeeded"), &first)
    );
    assert_eq!(of(&export, "attempt").len(), 2);
    assert_eq!(
        of(&export, "report"),
        [&api.json(&format!("{path}/report")).await]
    );
    assert!(server.stop().await);
    world.end().await;
}
