//! The operator's endpoints, what is known of them, and what is never told.

use crate::body;
use chrono::{DateTime, Utc};
use frugal_domain::abilities::Abilities;
use frugal_domain::endpoint::Catalog;
use frugal_domain::histogram::Buckets;
use frugal_domain::waits::{WaitCause, Waited, Waits};
use frugal_store::endpoint_models::{self, Sightings};
use frugal_store::{PgPool, admission};
use frugal_tests::app::TestApp;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn catalog() -> Catalog {
    let catalog = json!({"endpoints": {"hosted": {
        "base_url": "https://api.example.com:8443/secret-tenant/v1",
        "api_key_env": "SECRET_VARIABLE",
        "headers": {"x-tenant": "secret-header"},
        "query": {"sig": "secret-query"},
        "allow_unlisted_models": true,
        "models": {
            "free": {},
            "m": {
                "input_usd_per_million": 1.0, "output_usd_per_million": 2.0,
                "cached_input_usd_per_million": 0.25, "max_n": 8, "omit": ["n"],
                "limits": {"requests_per_minute": 60}
            }
        },
        "limits": {"requests_in_flight": 8, "tokens_per_minute": 90_000}
    }}});
    serde_json::from_value(catalog).unwrap()
}

/// What workers tell: one model answers and takes less than was thought, one is out of order.
async fn tell(pool: &PgPool) {
    let now = Utc::now();
    let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0);
    let seen = [
        Sightings {
            endpoint: "hosted".to_owned(),
            model: "m".to_owned(),
            abilities: Some(Abilities {
                max_tokens_name: Some("max_completion_tokens".to_owned()),
                max_n: Some(4),
                omit: ["seed".to_owned()].into(),
            }),
            last_success_at: at(0),
            last_failure_at: at(1),
            last_failure: Some("no capacity just now".to_owned()),
            answered: 4,
            refused: 2,
            failed: 1,
            usage_estimated: 3,
            latency_ms_total: 802,
            last_latency_ms: Some(150),
            latency_buckets: Buckets::new([0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            input_tokens: 48,
            input_token_buckets: Buckets::new([0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            output_tokens: 10,
            output_token_buckets: Buckets::new([0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            cached_input_tokens: 32,
            reasoning_output_tokens: 4,
            spend_pico_usd: 44_000_000,
            uncertain_spend_pico_usd: 30_000_000,
            waits: Waits::from([(
                WaitCause::RetryAfter,
                Waited {
                    waits: 2,
                    waited_ms: 30_500,
                },
            )]),
        },
        Sightings {
            endpoint: "gone".to_owned(),
            model: "m".to_owned(),
            ..Sightings::default()
        },
    ];
    let mut connection = pool.acquire().await.unwrap();
    endpoint_models::add(&mut connection, &seen, now)
        .await
        .unwrap();
    let outage = json!({"since": 1_800_000_000_000_i64, "reason": "502 Bad Gateway", "probes": 1,
                        "probe_at": 1_800_000_004_000_i64, "prober": null});
    let states = BTreeMap::from([
        (String::new(), json!({})),
        (
            "m".to_owned(),
            json!({
                "not_before": 4_000_000_000_000_i64,
                "leases": {
                    "a": {"expires": 4_000_000_000_000_i64, "in_flight": 3},
                    "gone": {"expires": 1_800_000_000_000_i64, "in_flight": 5}
                }
            }),
        ),
        (
            "unlisted".to_owned(),
            json!({"breaker": {"failures": 5, "outage": outage}}),
        ),
    ]);
    let models: Vec<String> = states.keys().cloned().collect();
    admission::lock(&mut connection, "hosted", &models)
        .await
        .unwrap();
    admission::save(&mut connection, "hosted", states)
        .await
        .unwrap();
}

#[tokio::test]
async fn metrics_tell_what_all_workers_saw() {
    let app = TestApp::start(catalog()).await;
    tell(&app.pool).await;
    let response = app.api.get("/metrics").await;
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"].to_str().unwrap();
    assert!(content_type.starts_with("application/openmetrics-text"));
    let text = response.text().await.unwrap();
    // A wait counts down, and how many connections are open is of the moment.
    let (waits, rest): (Vec<_>, Vec<_>) = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("db_client_connection_count"))
        .partition(|line| line.starts_with("frugal_model_wait_seconds"));
    insta::assert_snapshot!("metrics", rest.join("\n"));
    let wait = waits
        .iter()
        .find(|line| line.contains(r#"model="m""#))
        .unwrap();
    let (_, seconds) = wait.rsplit_once(' ').unwrap();
    assert!(seconds.parse::<f64>().unwrap() > 0.0, "{wait}");
    app.end().await;
}

#[tokio::test]
async fn an_endpoint_is_told_with_what_is_known_of_it() {
    let app = TestApp::start(catalog()).await;
    let path = "/endpoints/hosted";
    insta::assert_json_snapshot!("endpoint_unknown", app.api.json(path).await);
    tell(&app.pool).await;
    let known = app.api.json(path).await;
    assert!(known["models"][1]["abilities_found_at"].is_string());
    insta::assert_json_snapshot!("endpoint_known", known, {
        ".models[1].abilities_found_at" => "[a moment]"
    });
    let list = app.api.json("/endpoints").await;
    assert_eq!(list["data"], json!([known]));
    let told = list.to_string().to_lowercase();
    assert!(!told.contains("secret"), "{told}");

    let problem = body(app.api.get("/endpoints/hoisted").await, 404).await;
    let detail = "there is no endpoint `hoisted`; this server has `hosted`";
    assert_eq!(problem["detail"], detail);
    app.end().await;
}

#[tokio::test]
async fn endpoints_are_sent_again_only_when_they_have_changed() {
    let app = TestApp::start(catalog()).await;
    for path in ["/endpoints", "/endpoints/hosted"] {
        let tag = |response: &reqwest::Response| response.headers()["etag"].clone();
        let first = tag(&app.api.get(path).await);
        let again = |tag| {
            let request = app.api.request(Method::GET, path);
            app.api.send(request.header("if-none-match", tag))
        };
        let same = again(first.clone()).await;
        assert_eq!(same.status(), 304);
        assert_eq!(tag(&same), first);
        tell(&app.pool).await;
        let changed = again(first.clone()).await;
        assert_ne!(tag(&changed), first);
        let told: Value = body(changed, 200).await;
        assert!(told.to_string().contains("no capacity just now"));
    }
    app.end().await;
}
