//! Keys: who is let in, what they reach, and what is told of it.

use crate::{body, catalog, header, job};
use frugal_api::Guard;
use frugal_domain::access::Scope;
use frugal_tests::app::{Limits, Server, TestApp};
use frugal_tests::client::ApiClient;
use futures::{FutureExt, StreamExt};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn start() -> TestApp {
    let guard = Guard {
        require_keys: true,
        ..Guard::default()
    };
    TestApp::guarded(catalog(), guard).await
}

const BOTH: &[Scope] = &[Scope::Read, Scope::Write];

/// A job whose configurations stand in it, so that it needs no other.
fn evaluation() -> Value {
    let mut body = job();
    for other in ["search_space", "budgets"] {
        body.as_object_mut().unwrap().remove(other);
    }
    body["configurations"] = json!([{"temperature": 0.0, "n": 1, "max_tokens": 64}]);
    body
}

async fn dataset(api: &ApiClient, name: &str, rows: &'static str) -> Response {
    let request = api.request(Method::POST, &format!("/datasets?name={name}"));
    api.send(
        request
            .header("content-type", "application/jsonl")
            .body(rows),
    )
    .await
}

/// Every operation of the description: its method, its path, and the scope that it needs.
fn operations() -> Vec<(Method, String, Option<String>)> {
    let document = serde_json::to_value(frugal_api::openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let scope = operation["security"][0]["key"][0].as_str();
            let method = method.to_uppercase().parse().unwrap();
            operations.push((method, path.clone(), scope.map(str::to_owned)));
        }
    }
    assert!(operations.len() > 30, "the description has the routes");
    operations
}

/// A request as the operation takes it, but for what its body says.
async fn ask(api: &ApiClient, method: &Method, path: &str) -> Response {
    let mut request = api.request(method.clone(), path);
    if [Method::POST, Method::PATCH].contains(method) {
        request = request.json(&json!({"name": "mine now"}));
    }
    api.send(request).await
}

#[tokio::test]
async fn no_route_shows_or_changes_what_belongs_to_another() {
    let app = start().await;
    let ada = app.client_of("ada", BOTH).await;
    let eve = app.client_of("eve", BOTH).await;
    let admin = app.client_of("root", &[Scope::Admin]).await;
    let job_path = ada.submit(&job()).await;
    let evaluation_path = ada.evaluate(&evaluation()).await;
    body(
        dataset(
            &ada,
            "sums",
            "{\"question\": \"1 + 1\", \"answer\": \"2\"}\n",
        )
        .await,
        201,
    )
    .await;
    let hook = json!({"url": "https://example.com/hook"});
    let hook = body(ada.post("/webhooks", &hook).await, 201).await;
    let hook_path = format!("/webhooks/{}", hook["id"].as_str().unwrap());
    let before = (ada.json(&job_path).await, ada.json(&evaluation_path).await);

    let mut walked = BTreeSet::new();
    for (method, template, scope) in operations() {
        let path = template
            .replace("/jobs/{id}", &job_path)
            .replace("/evaluations/{id}", &evaluation_path)
            .replace("/webhooks/{id}", &hook_path)
            .replace("/datasets/{name}", "/datasets/sums")
            .replace("{number}", "0");
        if template.contains("{id}") || template.starts_with("/datasets/{name}") {
            let problem = body(ask(&eve, &method, &path).await, 404).await;
            assert_eq!(problem["code"], "not_found", "{method} {template}");
            // What there is not looks the same.
            let nobodys = "019abf3e-5f00-7000-8000-000000000000";
            let id = path.split('/').nth(2).unwrap();
            let absent = ask(&eve, &method, &path.replace(id, nobodys)).await;
            let absent = body(absent, 404).await.to_string();
            assert_eq!(absent.replace(nobodys, id), problem.to_string());
            walked.insert(template.clone());
        }
        // Without a key nothing is answered, and with a scope too few neither.
        let Some(scope) = scope else {
            assert!(app.api.get(&path).await.status().is_success(), "{path}");
            continue;
        };
        let anonymous = ask(&app.api, &method, &path).await;
        let challenge = header(&anonymous, "www-authenticate").unwrap().to_owned();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        let problem = body(anonymous, 401).await;
        assert_eq!(problem["code"], "unauthorized", "{method} {template}");
        let wanted: Scope = scope.parse().unwrap();
        let others = Scope::ALL.iter().copied();
        let others: Vec<_> = others
            .filter(|scope| *scope != wanted && *scope != Scope::Admin)
            .collect();
        let less = app
            .client_of(&format!("{method} {template}"), &others)
            .await;
        let problem = body(ask(&less, &method, &path).await, 403).await;
        assert_eq!(problem["code"], "forbidden", "{method} {template}");
    }
    assert!(walked.len() > 15, "{walked:?}");
    assert_eq!(
        (ada.json(&job_path).await, ada.json(&evaluation_path).await),
        before
    );

    // Lists and names are the owner's, and an admin sees all.
    for list in ["/jobs", "/evaluations", "/datasets"] {
        assert_eq!(eve.all(list).await.len(), 0, "{list}");
        assert_eq!(ada.all(list).await.len(), 1, "{list}");
        assert_eq!(admin.all(list).await.len(), 1, "{list}");
    }
    body(admin.get(&job_path).await, 200).await;
    let other_rows = "{\"question\": \"2 + 2\", \"answer\": \"4\"}\n";
    body(dataset(&eve, "sums", other_rows).await, 201).await;
    body(dataset(&ada, "sums", other_rows).await, 409).await;
    let mine = eve.json("/datasets/sums").await;
    assert_eq!(mine["sample"][0]["question"], "2 + 2");
    assert_eq!(
        ada.json("/datasets/sums").await["sample"][0]["question"],
        "1 + 1"
    );
    assert_eq!(admin.all("/datasets").await.len(), 2);
    app.end().await;
}

#[tokio::test]
async fn a_job_takes_nothing_of_another_owner() {
    let app = start().await;
    let ada = app.client_of("ada", BOTH).await;
    let eve = app.client_of("eve", BOTH).await;
    body(
        dataset(
            &ada,
            "sums",
            "{\"question\": \"1 + 1\", \"answer\": \"2\"}\n",
        )
        .await,
        201,
    )
    .await;
    let named = ada.json("/datasets/sums").await;
    for name in [json!("sums"), named["id"].clone()] {
        let mut over = job();
        over["data"] = json!({"dataset": name});
        for path in ["/jobs", "/jobs/estimate"] {
            let problem = body(eve.post(path, &over).await, 422).await;
            assert_eq!(
                problem["errors"][0]["pointer"], "/data/dataset",
                "{problem}"
            );
        }
        ada.submit(&over).await;
    }
    let path = ada.submit(&job()).await;
    let mut of_hers = evaluation();
    let id = path.strip_prefix("/jobs/").unwrap();
    of_hers["configurations"] = json!([{"job": id, "trial": 0}]);
    let absent = "019abf3e-5f00-7000-8000-000000000000";
    let refused = body(eve.post("/evaluations", &of_hers).await, 422).await;
    of_hers["configurations"][0]["job"] = json!(absent);
    let unknown = body(eve.post("/evaluations", &of_hers).await, 422).await;
    assert_eq!(refused.to_string().replace(id, absent), unknown.to_string());
    app.end().await;
}

#[tokio::test]
async fn idempotency_keys_are_their_owners() {
    let app = start().await;
    let ada = app.client_of("ada", BOTH).await;
    let eve = app.client_of("eve", BOTH).await;
    let post = async |api: &ApiClient, name: &str| {
        let mut named = job();
        named["name"] = json!(name);
        let request = api.request(Method::POST, "/jobs").json(&named);
        api.send(request.header("idempotency-key", "1")).await
    };
    let hers = body(post(&ada, "hers").await, 201).await;
    let other = post(&eve, "other").await;
    assert!(header(&other, "idempotency-replayed").is_none());
    assert_ne!(body(other, 201).await["id"], hers["id"]);
    let again = post(&ada, "hers").await;
    assert_eq!(header(&again, "idempotency-replayed"), Some("true"));
    assert_eq!(body(again, 201).await["id"], hers["id"]);
    app.end().await;
}

#[tokio::test]
async fn idempotency_keys_are_forgotten_in_time() {
    let guard = Guard {
        idempotency_keys: Some(std::time::Duration::from_secs(3_600)),
        ..Guard::default()
    };
    let app = TestApp::guarded(catalog(), guard).await;
    let post = async || {
        let request = app.api.request(Method::POST, "/jobs").json(&job());
        let answer = app.api.send(request.header("idempotency-key", "1")).await;
        let is_replay = header(&answer, "idempotency-replayed").is_some();
        (is_replay, body(answer, 201).await["id"].clone())
    };
    let first = post().await;
    assert_eq!(post().await, (true, first.1.clone()));
    sqlx::query("UPDATE idempotency_keys SET created_at = created_at - interval '2 hours'")
        .execute(&app.pool)
        .await
        .unwrap();
    let second = post().await;
    assert!(!second.0 && second.1 != first.1);
    assert_eq!(post().await, (true, second.1));
    app.end().await;
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let app = start().await;
    let admin = app.client_of("root", &[Scope::Admin]).await;
    let post = json!({"name": "ada's notebook", "owner": "ada"});
    let answer = admin.post("/keys", &post).await;
    let location = header(&answer, "location").unwrap().to_owned();
    let made = body(answer, 201).await;
    let text = made["key"].as_str().unwrap().to_owned();
    assert_eq!(text.len(), "frugal_".len() + 64);
    assert!(text.starts_with(made["hint"].as_str().unwrap()));
    assert_eq!(made["scopes"], json!(["read", "write"]));
    let taken = body(admin.post("/keys", &post).await, 409).await;
    assert_eq!(taken["code"], "key_name_taken");
    for wrong in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "k", "scopes": []}),
        json!({"name": "k", "scopes": ["root"]}),
        json!({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}),
    ] {
        let refused = body(admin.post("/keys", &wrong).await, 422).await;
        assert_eq!(refused["code"], "invalid_key", "{wrong}");
    }

    // The text is nowhere but in that answer.
    let stored: Vec<(String,)> = sqlx::query_as("SELECT api_keys::text FROM api_keys")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert!(stored.iter().all(|(row,)| !row.contains(&text[13..])));
    let ada = app.api.with_key(&text);
    let path = ada.submit(&job()).await;
    let listed = admin.json("/keys").await;
    let listed = listed["data"].as_array().unwrap();
    assert!(listed.iter().all(|key| key.get("key").is_none()));
    let hers = listed.iter().find(|key| key["id"] == made["id"]).unwrap();
    assert!(hers["last_used_at"].is_string(), "{hers}");

    // Revoked, it is of no use at once, and its name is free.
    assert_eq!(
        admin
            .send(admin.request(Method::DELETE, &location))
            .await
            .status(),
        204
    );
    body(ada.get(&path).await, 401).await;
    let again = admin.send(admin.request(Method::DELETE, &location)).await;
    body(again, 404).await;
    let second = body(admin.post("/keys", &post).await, 201).await;
    let second = app.api.with_key(second["key"].as_str().unwrap());
    body(second.get(&path).await, 200).await;
    app.end().await;
}

#[tokio::test]
async fn a_key_ends_when_it_expires() {
    let app = start().await;
    let ada = app.client_of("ada", BOTH).await;
    body(ada.get("/jobs").await, 200).await;
    sqlx::query("UPDATE api_keys SET expires_at = now() - interval '1 second'")
        .execute(&app.pool)
        .await
        .unwrap();
    // Another server does not know it from a moment ago.
    let guard = Guard {
        require_keys: true,
        ..Guard::default()
    };
    let limits = Limits {
        guard,
        ..Default::default()
    };
    let server = Server::start(app.pool.clone(), catalog(), limits).await;
    let request = ada.request(Method::GET, "/jobs").build().unwrap();
    let key = request.headers()["authorization"].to_str().unwrap();
    let key = key.strip_prefix("Bearer ").unwrap();
    let problem = body(server.api.with_key(key).get("/jobs").await, 401).await;
    insta::assert_json_snapshot!("key_is_none", problem);
    server.stop().await;
    app.end().await;
}

#[tokio::test]
async fn what_was_changed_is_told_to_admins() {
    let app = start().await;
    let ada = app.client_of("ada", BOTH).await;
    let admin = app.client_of("root", &[Scope::Admin]).await;
    let path = ada.submit(&job()).await;
    body(ada.post(&format!("{path}/cancel"), &Value::Null).await, 202).await;
    // What is refused, asked or only looked at changes nothing.
    body(ada.post(&format!("{path}/cancel"), &Value::Null).await, 409).await;
    body(ada.post("/jobs/estimate", &job()).await, 200).await;
    let request = ada.request(Method::DELETE, &path);
    let deleted = ada.send(request.header("x-request-id", "mine-7")).await;
    assert_eq!(deleted.status(), 204);
    let told = admin.all("/audit").await;
    let told: Vec<_> = told
        .iter()
        .map(|entry| {
            assert_eq!(entry["owner"], "ada");
            assert_eq!(entry["address"], "127.0.0.1");
            (
                entry["action"].as_str().unwrap(),
                entry["subject"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("delete_job", path.clone()),
        ("cancel_job", format!("{path}/cancel")),
        ("create_job", path.clone()),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(action, path)| (*action, path.as_str()))
        .collect();
    assert_eq!(told, expected);
    let first = &admin.json("/audit?limit=1").await["data"][0];
    assert_eq!(first["request_id"], "mine-7");
    app.end().await;
}

#[tokio::test]
async fn a_change_that_cannot_be_noted_is_not_made() {
    let app = start().await;
    let ada = app.client_of("ada", BOTH).await;
    let path = ada.submit(&job()).await;
    sqlx::query("ALTER TABLE audit ADD CHECK (action = 'create_job')")
        .execute(&app.pool)
        .await
        .unwrap();
    let before = ada.json(&path).await;
    body(ada.post(&format!("{path}/cancel"), &Value::Null).await, 500).await;
    body(ada.post(&format!("{path}/pause"), &Value::Null).await, 500).await;
    assert_eq!(ada.json(&path).await, before);
    app.end().await;
}

#[tokio::test]
async fn a_revoked_key_ends_its_streams_at_every_server() {
    let app = start().await;
    let limits = || Limits {
        guard: Guard {
            require_keys: true,
            ..Guard::default()
        },
        ..Limits::default()
    };
    let other = Server::start(app.pool.clone(), catalog(), limits()).await;
    let admin = app.client_of("root", &[Scope::Admin]).await;
    let issued = async |name: &str| {
        let post = json!({"name": name, "owner": "ada"});
        let made = body(admin.post("/keys", &post).await, 201).await;
        (made["id"].clone(), made["key"].as_str().unwrap().to_owned())
    };
    let (id, key) = issued("first").await;
    let (_, second) = issued("second").await;
    let (here, elsewhere) = (app.api.with_key(&key), other.api.with_key(&key));
    let path = here.submit(&job()).await;
    let token = body(here.post("/stream-tokens", &json!({})).await, 201).await;
    let by_token = format!("{path}/events?token={}", token["token"].as_str().unwrap());
    let mut ended = vec![
        here.stream(&path, None).await.boxed(),
        elsewhere.stream(&path, None).await.boxed(),
        here.open(here.request(Method::GET, "/events?after=0"))
            .await
            .boxed(),
        app.api
            .open(app.api.request(Method::GET, &by_token))
            .await
            .boxed(),
    ];
    let mut goes_on = app.api.with_key(&second).stream(&path, None).await;
    for stream in &mut ended {
        assert_eq!(stream.next().await.unwrap().name, "job.queued");
    }
    let revoke = admin.request(Method::DELETE, &format!("/keys/{}", id.as_str().unwrap()));
    assert_eq!(admin.send(revoke).await.status(), 204);
    for mut stream in ended {
        assert!(stream.next().await.is_none());
    }
    assert_eq!(goes_on.next().await.unwrap().name, "job.queued");
    assert!(
        goes_on.next().now_or_never().is_none(),
        "the owner's other key is good"
    );
    other.stop().await;
    app.end().await;
}

#[tokio::test]
async fn a_stream_token_follows_events_and_nothing_else() {
    let app = start().await;
    let ada = app.client_of("ada", BOTH).await;
    let eve = app.client_of("eve", BOTH).await;
    let path = ada.submit(&job()).await;
    let token = async |api: &ApiClient, query: &str| {
        let request = api.request(Method::POST, &format!("/stream-tokens{query}"));
        let answer = body(api.send(request).await, 201).await;
        answer["token"].as_str().unwrap().to_owned()
    };
    let hers = token(&ada, "").await;
    let open = async |path: &str, token: &str| {
        let url = format!("{path}/events?token={token}");
        let request = app.api.request(Method::GET, &url);
        app.api
            .send(request.header("accept", "text/event-stream"))
            .await
    };
    assert_eq!(open(&path, &hers).await.status(), 200);
    // It goes with other parameters, and again as often as it is asked for.
    let page = format!("{path}/events?limit=1&token={hers}&after=0");
    assert_eq!(app.api.json(&page).await["data"][0]["type"], "job.queued");
    body(open(&path, &token(&eve, "").await).await, 404).await;
    body(app.api.get(&format!("{path}?token={hers}")).await, 401).await;
    body(open(&path, &hers.replace("stream_", "stream_0")).await, 401).await;
    body(
        ada.send(ada.request(Method::POST, "/stream-tokens?seconds=3601"))
            .await,
        400,
    )
    .await;

    let short = token(&ada, "?seconds=1").await;
    sqlx::query("UPDATE stream_tokens SET expires_at = now() WHERE expires_at < now() + interval '2 seconds'")
        .execute(&app.pool)
        .await
        .unwrap();
    body(open(&path, &short).await, 401).await;
    app.end().await;
}

#[tokio::test]
async fn who_tries_many_keys_has_to_wait() {
    let app = start().await;
    let ada = app.client_of("ada", BOTH).await;
    let wrong = app.api.with_key(&format!("frugal_{}", "0".repeat(64)));
    body(ada.get("/jobs").await, 200).await;
    let mut statuses = Vec::new();
    for _ in 0..70 {
        statuses.push(wrong.get("/jobs").await.status().as_u16());
    }
    assert_eq!(statuses[0], 401);
    let barred = wrong.get("/jobs").await;
    assert!(header(&barred, "retry-after").is_some());
    assert_eq!(body(barred, 429).await["code"], "rate_limited");
    // Who was let in before is let in as ever, also from the same address.
    body(ada.get("/jobs").await, 200).await;
    let eve = app.client_of("eve", BOTH).await;
    body(eve.get("/jobs").await, 429).await;
    app.end().await;
}
