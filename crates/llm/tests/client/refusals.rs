//! Refusals that are not tried again, and what must never show.

use crate::server::{Server, Turn, client, completed, endpoint, request};
use frugal_domain::request::FinishReason;
use frugal_llm::{CompletionRequest, RequestError, Scope};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Arc, Mutex};

async fn refused(status: u16, body: Value) -> RequestError {
    let server = Server::new([Turn::Json(status, body), completed(&["one"], 2, 1)]).await;
    let error = server
        .client()
        .complete(&request(2), None)
        .await
        .unwrap_err();
    assert_eq!(server.asked().len(), 1, "it was tried again");
    assert_eq!(
        (error.attempts().made, error.attempts().possibly_billed),
        (1, 0)
    );
    error
}

#[tokio::test]
async fn a_refused_setting_is_infeasible() {
    let message = "n must be 1 when using greedy sampling, got 2.";
    let error = refused(400, json!({"error": {"message": message}})).await;
    assert_eq!(
        error.to_string(),
        format!("the endpoint answered with status 400: {message}")
    );
    let RequestError::Infeasible { parameter, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(parameter.as_deref(), Some("n"));
    let error = refused(400, json!({"error": {"code": "context_length_exceeded"}})).await;
    assert!(
        matches!(error, RequestError::Infeasible { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_no_request_survives_is_fatal() {
    for (status, body) in [
        (401, json!({"error": {"message": "no key"}})),
        (402, json!({"error": {"message": "no credit"}})),
        (403, json!({"error": {"message": "no access"}})),
        (404, json!({"error": {"message": "no model"}})),
        (
            429,
            json!({"error": {"message": "no quota", "code": "insufficient_quota"}}),
        ),
    ] {
        let error = refused(status, body).await;
        assert!(matches!(error, RequestError::Fatal { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_only_this_request_fails_at_is_a_failure() {
    for status in [400, 413, 418, 422] {
        let error = refused(status, json!({"error": {"message": "no"}})).await;
        assert!(
            matches!(
                error,
                RequestError::Failed {
                    transient: false,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn one_prompt_that_is_refused_fails_alone() {
    for (status, body) in [
        (
            403,
            json!({"error": {"message": "the provider refused this input", "code": 403, "metadata": {"raw": "PERMISSION_DENIED", "provider_name": "P"}}}),
        ),
        (
            400,
            json!({"object": "error", "message": "the prompt has 1300 tokens and the context length is 512", "type": "BadRequestError", "param": null, "code": 400}),
        ),
    ] {
        let error = refused(status, body).await;
        assert!(
            matches!(
                error,
                RequestError::Failed {
                    transient: false,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(error.scope(), Some(Scope::Row));
    }
}

#[tokio::test]
async fn a_key_that_is_refused_with_a_bad_request_is_known_as_such() {
    let body = json!([{"error": {
        "message": "the key is not valid",
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    }}]);
    let error = refused(400, body).await;
    assert!(matches!(error, RequestError::Fatal { .. }), "{error:?}");
    assert_eq!(error.scope(), Some(Scope::Key));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::new([completed(&["one"], 2, 1)]).await;
    let turn = Turn::With(307, ("location", "/v1/completions"), "");
    let server = Server::new([turn, completed(&["one"], 2, 1)]).await;
    let error = server
        .client()
        .complete(&request(1), None)
        .await
        .unwrap_err();
    assert!(matches!(error, RequestError::Fatal { .. }), "{error:?}");
    let target = format!("{}/completions", server.base_url);
    assert!(error.to_string().contains(&target), "{error}");
    assert_eq!((server.asked().len(), elsewhere.asked().len()), (1, 0));
}

#[tokio::test]
async fn a_filtered_prompt_is_a_result() {
    let body = json!({"error": {"message": "filtered", "code": "content_filter"}});
    let server = Server::new([Turn::Json(400, body)]).await;
    let completion = server.client().complete(&request(2), None).await.unwrap();
    assert_eq!(completion.choices.len(), 2);
    let is_filtered = |choice: &frugal_llm::Choice| {
        choice.text.is_empty() && choice.finish_reason == FinishReason::ContentFilter
    };
    assert!(completion.choices.iter().all(is_filtered));
    assert_eq!(
        (
            completion.usage.prompt_tokens,
            completion.usage.completion_tokens
        ),
        (2, 0)
    );
    assert!(completion.usage_estimated);
}

#[tokio::test]
async fn an_unlisted_model_and_unsendable_settings_are_refused_before_sending() {
    let server = Server::new([]).await;
    let mut closed = endpoint(&server.base_url);
    closed.allow_unlisted_models = false;
    closed.models.insert("other".to_owned(), Default::default());
    let error = client(&closed, None)
        .complete(&request(1), None)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "endpoint test does not offer model m");
    assert!(matches!(error, RequestError::Fatal { .. }));
    assert_eq!(error.attempts().made, 0);

    let error = server
        .client()
        .complete(&request(0), None)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RequestError::Infeasible { .. }),
        "{error:?}"
    );
    assert_eq!(error.attempts().made, 0);
    assert!(server.asked().is_empty());
}

/// What was logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_key_nor_prompt_shows_anywhere() {
    const KEY: &str = "opaque/hunter2/secret";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("frugal_llm=trace")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole program: a subscriber of one thread misses events whose call site another
    // thread, without a subscriber, happened to reach first.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let message = format!("Incorrect API key provided: {KEY}, asked hello world");
    let server = Server::new([
        Turn::Json(503, json!({"error": {"message": message}})),
        Turn::Json(401, json!({"error": {"message": message}})),
    ])
    .await;
    let client = client(&endpoint(&server.base_url), Some(KEY));
    let request = CompletionRequest {
        max_tokens: 4321,
        ..request(1)
    };
    let error = client.complete(&request, None).await.unwrap_err();
    assert_eq!(
        server.asked()[1].headers["authorization"],
        format!("Bearer {KEY}")
    );

    for text in [
        error.to_string(),
        format!("{error:?}"),
        format!("{client:?}"),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let own = logged
        .lines()
        .filter(|line| line.contains("max_tokens=4321"));
    assert_eq!(own.count(), 2, "{logged}");
    assert!(
        !logged.contains("hunter2") && !logged.contains("hello"),
        "{logged}"
    );
}

#[tokio::test]
async fn reasons_are_short_single_lines() {
    let message = "line\n".repeat(10_000);
    let error = refused(401, json!({"error": {"message": message}}))
        .await
        .to_string();
    assert!(
        error.chars().count() <= 300 && !error.contains('\n'),
        "{error}"
    );
}
