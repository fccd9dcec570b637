//! Several deployments behind one name: what one of them refuses another answers.

use crate::server::{Asked, Server, Turn, completed, endpoint, request};
use frugal_domain::endpoint::{Catalog, Deployment, Endpoint};
use frugal_llm::{ApiKey, Backoff, Client, Clients, RequestError, Scope, Secrets};
use serde_json::{Value, json};
use std::time::Duration;

fn keys(asked: &[Asked]) -> Vec<String> {
    let key = |asked: &Asked| {
        let header = asked.headers.get("authorization").unwrap();
        header.to_str().unwrap().replace("Bearer ", "")
    };
    asked.iter().map(key).collect()
}

/// The endpoint of a server, with a second key.
fn with_second_key(server: &Server) -> Endpoint {
    Endpoint {
        deployments: vec![Deployment {
            name: "second".to_owned(),
            api_key_env: Some("SECOND".to_owned()),
            ..Deployment::default()
        }],
        ..endpoint(&server.base_url)
    }
}

/// A server with two keys, and a rule for what happens with each of them.
async fn two_keys(rule: impl Fn(&str) -> Turn + Send + Sync + 'static) -> (Server, Client) {
    let server = Server::by_rule(move |asked| {
        let key = keys(std::slice::from_ref(asked)).remove(0);
        rule(&key)
    })
    .await;
    let endpoint = with_second_key(&server);
    let secrets = |key: &str| Secrets::from(Some(ApiKey::new(key).unwrap()));
    let secrets = Secrets {
        deployments: vec![secrets("two")],
        ..secrets("one")
    };
    let at_once = Backoff {
        base: Duration::ZERO,
        most: Duration::ZERO,
        most_asked_for: Duration::ZERO,
    };
    let client = Client::with_backoff("test", &endpoint, secrets, at_once, 1).unwrap();
    (server, client)
}

fn fine() -> Turn {
    completed(&["one"], 2, 1)
}

fn refused(status: u16, message: &str) -> Turn {
    Turn::Json(status, json!({"error": {"message": message}}))
}

#[tokio::test]
async fn requests_go_to_each_in_turn() {
    let (server, client) = two_keys(|_| fine()).await;
    for _ in 0..4 {
        client.complete(&request(1), None).await.unwrap();
    }
    assert_eq!(keys(&server.asked()), ["one", "two", "one", "two"]);
}

#[tokio::test]
async fn what_one_refuses_another_answers_and_the_first_rests() {
    type Refusal = fn() -> Turn;
    let refusals: [(Refusal, u32); 5] = [
        (|| Turn::With(429, ("retry-after", "3600"), "slow down"), 0),
        (|| refused(401, "Incorrect API key provided"), 0),
        (|| refused(404, "The model `m` does not exist"), 0),
        (|| refused(503, "overloaded"), 0),
        (|| refused(502, "bad gateway"), 1),
    ];
    for (refusal, billed) in refusals {
        let (server, client) = two_keys(move |key| match key {
            "one" => refusal(),
            _ => fine(),
        })
        .await;
        let completion = client.complete(&request(1), None).await.unwrap();
        assert_eq!(
            (
                completion.attempts.made,
                completion.attempts.possibly_billed
            ),
            (2, billed)
        );
        for _ in 0..3 {
            let completion = client.complete(&request(1), None).await.unwrap();
            assert_eq!(completion.attempts.made, 1);
        }
        assert_eq!(keys(&server.asked()), ["one", "two", "two", "two", "two"]);
    }
}

#[tokio::test]
async fn what_all_refuse_is_refused() {
    let (server, client) = two_keys(|_| refused(401, "Incorrect API key provided: one, two")).await;
    let error = client.complete(&request(1), None).await.unwrap_err();
    assert_eq!(error.scope(), Some(Scope::Key));
    assert!(matches!(error, RequestError::Fatal { .. }));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_refused_key_is_not_the_last_word_while_another_only_rests() {
    let turns = std::sync::atomic::AtomicUsize::new(0);
    let (server, client) = two_keys(move |key| {
        let turn = turns.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        match key {
            "one" => refused(401, "Incorrect API key provided"),
            _ if turn < 2 => Turn::With(429, ("retry-after", "3600"), "slow down"),
            _ => fine(),
        }
    })
    .await;
    let completion = client.complete(&request(1), None).await.unwrap();
    assert_eq!(completion.diagnostics.rate_limited, 1);
    assert_eq!(keys(&server.asked()), ["one", "two", "two"]);
}

#[tokio::test]
async fn a_request_that_breaks_one_down_is_tried_with_the_other() {
    let (server, client) = two_keys(|key| match key {
        "one" => refused(500, "internal error"),
        _ => fine(),
    })
    .await;
    for _ in 0..8 {
        client.complete(&request(1), None).await.unwrap();
    }
    let keys = keys(&server.asked());
    let broken = keys.iter().filter(|key| *key == "one").count();
    assert_eq!((broken, keys.len() - broken), (3, 8));
}

#[tokio::test]
async fn one_that_is_not_there_costs_nothing() {
    let server = Server::by_rule(|_| fine()).await;
    let catalog: Catalog = serde_json::from_value(json!({"endpoints": {"local": {
        "base_url": "http://127.0.0.1:1/v1",
        "api": "completions",
        "allow_unlisted_models": true,
        "deployments": [{"name": "second", "base_url": server.base_url}]
    }}}))
    .unwrap();
    let clients = Clients::new(&catalog, |_| None).unwrap();
    let client = clients.get("local").unwrap();
    let completion = client.complete(&request(1), None).await.unwrap();
    assert_eq!(
        (
            completion.attempts.made,
            completion.attempts.possibly_billed
        ),
        (2, 0)
    );
}

#[tokio::test]
async fn each_has_its_own_key_path_and_query_and_none_that_belong_elsewhere() {
    let server = Server::by_rule(|_| fine()).await;
    let elsewhere = Server::by_rule(|_| fine()).await;
    let catalog: Catalog = serde_json::from_value(json!({"endpoints": {"azure": {
        "base_url": server.base_url,
        "api": "completions",
        "api_key_env": "ONE",
        "headers": {"x-title": {"env": "TITLE"}},
        "query": {"api-version": "1"},
        "allow_unlisted_models": true,
        "deployments": [
            {"name": "key", "api_key_env": "TWO", "path": "/deployments/{model}/{api}"},
            {"name": "region", "base_url": elsewhere.base_url, "query": {"api-version": "2"}}
        ]
    }}}))
    .unwrap();
    catalog.validate().unwrap();
    let clients = Clients::new(&catalog, |name| Some(format!("{name}-secret"))).unwrap();
    assert!(!format!("{clients:?}").contains("secret"));
    let client = clients.get("azure").unwrap();
    for _ in 0..3 {
        client.complete(&request(1), None).await.unwrap();
    }
    let seen: Vec<Value> = server
        .asked()
        .into_iter()
        .chain(elsewhere.asked())
        .map(|asked| {
            let header = |name| {
                asked
                    .headers
                    .get(name)
                    .and_then(|value| value.to_str().ok())
            };
            json!([
                asked.path,
                asked.query,
                header("authorization"),
                header("x-title")
            ])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!([
                "/v1/completions",
                "api-version=1",
                "Bearer ONE-secret",
                "TITLE-secret"
            ]),
            json!([
                "/v1/deployments/m/completions",
                "api-version=1",
                "Bearer TWO-secret",
                "TITLE-secret"
            ]),
            json!(["/v1/completions", "api-version=2", null, null]),
        ]
    );
}

#[tokio::test]
async fn no_key_of_any_of_them_shows_in_an_error() {
    let server = Server::by_rule(|_| refused(400, "no such thing as second-secret-key")).await;
    let endpoint = with_second_key(&server);
    let secrets = Secrets {
        deployments: vec![Some(ApiKey::new("second-secret-key").unwrap()).into()],
        ..Secrets::default()
    };
    let client = Client::new("test", &endpoint, secrets).unwrap();
    let error = client.complete(&request(1), None).await.unwrap_err();
    assert!(!error.to_string().contains("second-secret-key"), "{error}");
}
