//! Messages to hooks that fail, refuse, take their time, redirect and answer nonsense.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use frugal_domain::endpoint::Webhook;
use frugal_webhook::{Backoff, Hook, Signer, Undelivered};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a hook had: the ids of messages whose signature is right, and how often the message came.
type Had = Arc<Mutex<Vec<String>>>;

/// A hook that gives these answers, one after the other, and then the last of them for ever.
async fn hook(answers: Vec<fn() -> Response>) -> (String, Had) {
    let had = Had::default();
    let seen = Arc::clone(&had);
    let give = move |headers: HeaderMap, body: Bytes| async move {
        let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
        verifier.verify(&body, &headers).unwrap();
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        let count = {
            let mut seen = seen.lock().unwrap();
            seen.push(id);
            seen.len()
        };
        answers[count.min(answers.len()) - 1]()
    };
    let router = Router::new()
        .route("/", post(give))
        .route("/elsewhere", get(|| async { "[1]" }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, had)
}

fn entry(url: &str) -> Webhook {
    Webhook {
        url: url.to_owned(),
        secret_env: "SECRET".to_owned(),
        timeout_seconds: 1,
        batch_size: 8,
        concurrency: 2,
        attempts: 4,
    }
}

async fn deliver(url: &str) -> Result<String, Undelivered> {
    let hook = Hook::new("grader", &entry(url), Signer::new(SECRET).unwrap()).unwrap();
    let quick = Backoff {
        base: Duration::from_millis(1),
        most: Duration::from_millis(1),
        most_asked_for: Duration::from_millis(1),
    };
    let read = |answer: &[u8]| match answer {
        b"nonsense" => Err("its answer makes no sense".to_owned()),
        sense => Ok(String::from_utf8_lossy(sense).into_owned()),
    };
    hook.with_backoff(quick)
        .deliver("msg_1", b"{\"a\": 1}", read)
        .await
}

#[tokio::test]
async fn what_may_pass_is_tried_again_with_the_same_id() {
    let (url, had) = hook(vec![
        || StatusCode::SERVICE_UNAVAILABLE.into_response(),
        || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "9")]).into_response(),
        || "nonsense".into_response(),
        || "[1]".into_response(),
    ])
    .await;
    assert_eq!(deliver(&url).await, Ok("[1]".to_owned()));
    assert_eq!(*had.lock().unwrap(), ["msg_1"; 4]);
}

#[tokio::test]
async fn the_last_fault_is_told_where_no_attempt_succeeds() {
    let (url, had) = hook(vec![|| {
        (StatusCode::BAD_GATEWAY, "the grader sleeps").into_response()
    }])
    .await;
    let told = deliver(&url).await.unwrap_err().to_string();
    assert_eq!(
        told,
        "the webhook `grader` cannot be used: it answers 502: the grader sleeps (after 4 attempts)"
    );
    assert_eq!(had.lock().unwrap().len(), 4);
    // Nobody listens there.
    let told = deliver("http://127.0.0.1:9/")
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("cannot connect to it: "), "{told}");
    assert!(told.ends_with("(after 4 attempts)"), "{told}");
}

#[tokio::test]
async fn what_is_refused_or_redirected_is_not_tried_again() {
    for (answer, told) in [
        (
            (|| (StatusCode::UNAUTHORIZED, "who are you?").into_response()) as fn() -> Response,
            "it answers 401: who are you?",
        ),
        (
            || Redirect::to("/elsewhere").into_response(),
            "it answers 303, which redirects",
        ),
    ] {
        let (url, had) = hook(vec![answer]).await;
        let undelivered = deliver(&url).await.unwrap_err();
        assert!(undelivered.reason.starts_with(told), "{undelivered}");
        assert_eq!(had.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_beyond_its_bounds_is_not_read() {
    let (url, _) = hook(vec![|| "x".repeat(5 << 20).into_response()]).await;
    let undelivered = deliver(&url).await.unwrap_err();
    assert_eq!(undelivered.reason, "its answer is larger than 4 MiB");
}

#[tokio::test]
async fn a_hook_that_does_not_answer_is_given_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // It takes connections and says nothing.
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    let undelivered = deliver(&url).await.unwrap_err();
    assert_eq!(undelivered.reason, "it does not answer in time");
}
