//! What the server holds against whoever means it ill, or does not look: names, origins, types, and how much
//! of everything.

use crate::{body, catalog, header, job};
use frugal_api::Guard;
use frugal_domain::access::Scope;
use frugal_tests::app::TestApp;
use futures::StreamExt;
use reqwest::{Method, Response};
use serde_json::json;
use std::num::NonZeroU32;

async fn start(guard: Guard) -> TestApp {
    TestApp::guarded(catalog(), guard).await
}

async fn get(app: &TestApp, path: &str, name: &str, value: &str) -> Response {
    let request = app.api.request(Method::GET, path);
    app.api.send(request.header(name, value)).await
}

#[tokio::test]
async fn a_name_that_was_made_to_lead_here_is_not_answered_to() {
    let app = start(Guard::default()).await;
    for host in ["localhost", "127.0.0.1:8080", "[::1]"] {
        assert_eq!(
            get(&app, "/jobs", "host", host).await.status(),
            200,
            "{host}"
        );
    }
    for path in ["/jobs", "/healthz", "/openapi.yaml"] {
        let problem = body(get(&app, path, "host", "evil.example").await, 421).await;
        assert_eq!(problem["code"], "host_not_allowed");
    }
    app.end().await;

    let named = Guard {
        hosts: vec!["frugal.example".to_owned()],
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Guard::default()
    };
    let app = start(named).await;
    assert_eq!(
        get(&app, "/jobs", "host", "frugal.example:443")
            .await
            .status(),
        200
    );
    assert_eq!(
        get(&app, "/jobs", "host", "evil.example").await.status(),
        421
    );
    let through = get(&app, "/jobs", "x-forwarded-host", "evil.example").await;
    assert_eq!(
        through.status(),
        421,
        "a trusted proxy says what was asked for"
    );
    app.end().await;
}

#[tokio::test]
async fn pages_of_named_origins_may_use_the_api() {
    let page = "https://dashboard.example";
    let guard = Guard {
        cors_origins: vec![page.to_owned()],
        require_keys: true,
        ..Guard::default()
    };
    let app = start(guard).await;
    // Browsers ask without a key first.
    let preflight = async |origin: &str| {
        let request = app.api.request(Method::OPTIONS, "/jobs");
        let request = request
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type,idempotency-key",
            );
        request.send().await.unwrap()
    };
    let answer = preflight(page).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "access-control-allow-origin"), Some(page));
    let headers = header(&answer, "access-control-allow-headers").unwrap();
    for name in [
        "authorization",
        "content-type",
        "idempotency-key",
        "last-event-id",
    ] {
        assert!(headers.contains(name), "{headers}");
    }
    let methods = header(&answer, "access-control-allow-methods").unwrap();
    assert!(
        methods.contains("DELETE") && methods.contains("PATCH"),
        "{methods}"
    );
    let answer = preflight("https://evil.example").await;
    assert_eq!(header(&answer, "access-control-allow-origin"), None);

    let ada = app.client_of("ada", &[Scope::Read]).await;
    let request = ada.request(Method::GET, "/jobs").header("origin", page);
    let answer = ada.send(request).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), Some(page));
    let exposed = header(&answer, "access-control-expose-headers").unwrap();
    assert!(
        exposed.contains("retry-after") && exposed.contains("x-request-id"),
        "{exposed}"
    );
    // A refusal can be read as well.
    let refused = get(&app, "/jobs", "origin", page).await;
    assert_eq!(header(&refused, "access-control-allow-origin"), Some(page));
    assert_eq!(refused.status(), 401);
    app.end().await;
}

#[tokio::test]
async fn what_there_is_not_is_not_given() {
    let app = start(Guard::default()).await;
    let path = app.api.submit(&job()).await;
    for (path, accept, status) in [
        (path.as_str(), "application/json", 200),
        (path.as_str(), "text/html, */*;q=0.1", 200),
        (path.as_str(), "text/html", 406),
        (path.as_str(), "application/json;q=0", 406),
        ("/metrics", "text/plain", 406),
        (
            "/metrics",
            "application/openmetrics-text; version=1.0.0, */*",
            200,
        ),
        ("/openapi.yaml", "application/yaml", 200),
        ("/openapi.yaml", "application/json", 406),
    ] {
        let answer = get(&app, path, "accept", accept).await;
        assert_eq!(answer.status().as_u16(), status, "{path} {accept}");
    }
    let problem = body(get(&app, &path, "accept", "text/html").await, 406).await;
    insta::assert_json_snapshot!("not_acceptable", problem);
    app.end().await;
}

/// Packs as a client does.
fn packed(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

#[tokio::test]
async fn bodies_may_be_packed_and_so_are_answers_for_those_who_take_it() {
    let app = TestApp::with_body_limit(catalog(), 10_000).await;
    let post = async |body: Vec<u8>, coding: &str| {
        let request = app.api.request(Method::POST, "/jobs").body(body);
        let request = request.header("content-type", "application/json");
        app.api
            .send(request.header("content-encoding", coding))
            .await
    };
    let document = job().to_string();
    body(post(packed(&document), "gzip").await, 201).await;
    let bomb = packed(&" ".repeat(5_000_000));
    assert!(bomb.len() < 10_000);
    assert_eq!(
        body(post(bomb, "gzip").await, 413).await["code"],
        "body_too_large"
    );
    body(post(document.clone().into_bytes(), "gzip").await, 400).await;
    body(post(document.into_bytes(), "br").await, 415).await;

    for (accepted, coding) in [
        ("gzip", Some("gzip")),
        ("gzip;q=0", None),
        ("identity", None),
        ("br, gzip;q=0.5", Some("gzip")),
    ] {
        let request = app.api.request(Method::GET, "/openapi.yaml");
        let answer = request
            .header("accept-encoding", accepted)
            .send()
            .await
            .unwrap();
        assert_eq!(header(&answer, "content-encoding"), coding, "{accepted}");
    }
    app.end().await;
}

#[tokio::test]
async fn requests_keep_the_names_that_clients_give_them() {
    let app = start(Guard::default()).await;
    let named = get(&app, "/jobs", "x-request-id", "trace-0192f3a4").await;
    assert_eq!(header(&named, "x-request-id"), Some("trace-0192f3a4"));
    for unfit in ["a b", "x\u{7f}", &"long".repeat(40)] {
        let Ok(value) = reqwest::header::HeaderValue::from_bytes(unfit.as_bytes()) else {
            continue;
        };
        let request = app.api.request(Method::GET, "/jobs");
        let answer = app.api.send(request.header("x-request-id", value)).await;
        assert_ne!(header(&answer, "x-request-id"), Some(unfit));
    }
    app.end().await;
}

#[tokio::test]
async fn answers_say_whether_they_may_be_kept() {
    let app = start(Guard::default()).await;
    let path = app.api.submit(&job()).await;
    let kept = async |path: &str| {
        let answer = app.api.get(path).await;
        header(&answer, "cache-control").unwrap().to_owned()
    };
    assert_eq!(kept(&path).await, "private, no-cache");
    assert_eq!(kept("/jobs").await, "no-store");
    assert_eq!(kept("/nothing").await, "no-store");
    app.end().await;
}

#[tokio::test]
async fn a_key_makes_so_many_requests_and_no_more() {
    let guard = Guard {
        require_keys: true,
        requests_per_minute: NonZeroU32::new(5),
        ..Guard::default()
    };
    let app = start(guard).await;
    let ada = app.client_of("ada", &[Scope::Read]).await;
    let eve = app.client_of("eve", &[Scope::Read]).await;
    for _ in 0..5 {
        body(ada.get("/jobs").await, 200).await;
    }
    let refused = ada.get("/jobs").await;
    let after: u64 = header(&refused, "retry-after").unwrap().parse().unwrap();
    assert!((1..=13).contains(&after), "{after}");
    assert_eq!(body(refused, 429).await["code"], "rate_limited");
    body(eve.get("/jobs").await, 200).await;
    app.end().await;
}

#[tokio::test]
async fn an_owner_has_so_many_jobs_and_no_more() {
    let guard = Guard {
        require_keys: true,
        jobs_per_owner: Some(2),
        ..Guard::default()
    };
    let app = start(guard).await;
    let ada = app.client_of("ada", &[Scope::Read, Scope::Write]).await;
    let eve = app.client_of("eve", &[Scope::Read, Scope::Write]).await;
    // Also where many are posted at once.
    let document = job();
    let posts = (0..6).map(|_| ada.post("/jobs", &document));
    let answers = futures::future::join_all(posts).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answer| answer.status() == 201);
    assert_eq!((made.len(), refused.len()), (2, 4));
    for answer in refused {
        assert!(header(&answer, "retry-after").is_some());
        assert_eq!(body(answer, 429).await["code"], "too_many_jobs");
    }
    eve.submit(&document).await;
    let path = header(&made[0], "location").unwrap();
    body(ada.post(&format!("{path}/cancel"), &json!(null)).await, 202).await;
    ada.submit(&document).await;
    app.end().await;
}

#[tokio::test]
async fn an_owner_has_so_many_streams_and_no_more() {
    let guard = Guard {
        require_keys: true,
        streams_per_owner: Some(1),
        ..Guard::default()
    };
    let app = start(guard).await;
    let ada = app.client_of("ada", &[Scope::Read, Scope::Write]).await;
    let path = ada.submit(&job()).await;
    let mut stream = ada.stream(&path, None).await;
    assert_eq!(stream.next().await.unwrap().name, "job.queued");
    let request = ada.request(Method::GET, &format!("{path}/events"));
    let second = request.header("accept", "text/event-stream");
    let refused = ada.send(second.try_clone().unwrap()).await;
    assert!(header(&refused, "retry-after").is_some());
    assert_eq!(body(refused, 429).await["code"], "too_many_streams");
    // Pages are no streams.
    body(ada.get(&format!("{path}/events")).await, 200).await;
    drop(stream);
    // The server sees that it has gone when it says something next, which the end of the job makes it do.
    body(ada.post(&format!("{path}/cancel"), &json!(null)).await, 202).await;
    while ada.send(second.try_clone().unwrap()).await.status() == 429 {}
    app.end().await;
}

#[tokio::test]
async fn an_owner_has_so_much_data_and_no_more() {
    let guard = Guard {
        require_keys: true,
        dataset_bytes_per_owner: Some(100),
        ..Guard::default()
    };
    let app = start(guard).await;
    let ada = app.client_of("ada", &[Scope::Read, Scope::Write]).await;
    let post = async |name: &str, rows: String| {
        let request = ada.request(Method::POST, &format!("/datasets?name={name}"));
        let request = request.header("content-type", "application/jsonl");
        ada.send(request.body(rows)).await
    };
    let row = format!("{{\"q\": \"{}\"}}\n", "x".repeat(60));
    body(post("first", row.clone()).await, 201).await;
    let refused = body(post("second", row.clone()).await, 413).await;
    assert_eq!(refused["code"], "too_much_data");
    assert_eq!(ada.all("/datasets").await.len(), 1);
    // The same again is no more.
    body(post("first", row).await, 200).await;
    body(post("small", "{\"q\": \"a\"}\n".to_owned()).await, 201).await;
    app.end().await;
}
