//! Retries, deadlines, and how many requests are in flight.

use crate::server::{Server, Turn, client, completed, endpoint, request, serve};
use axum::Router;
use axum::routing::post;
use frugal_domain::endpoint::Endpoint;
use frugal_llm::{Attempts, Backoff, Client, Permission, RequestError, Scope, Secrets, SendGuard};
use futures::future::join_all;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Barrier, Notify};

const LONG: Duration = Duration::from_secs(3600);

fn fine() -> Turn {
    completed(&["one"], 2, 1)
}

#[tokio::test]
async fn what_is_transient_is_tried_again() {
    let json = |status| Turn::Json(status, json!({"error": {"message": "later"}}));
    for (turn, billed) in [
        (json(408), 0),
        (json(409), 0),
        (json(429), 0),
        (json(500), 0),
        (json(502), 1),
        (json(503), 0),
        (json(504), 1),
        (json(498), 0),
        (json(529), 0),
        (json(200), 1),
        (
            Turn::With(200, ("content-type", "text/html"), "<html>Welcome</html>"),
            0,
        ),
        (
            Turn::With(
                200,
                ("content-type", "application/json"),
                "{\"choices\": [{\"te",
            ),
            1,
        ),
        (Turn::Json(200, json!({"choices": []})), 1),
        (Turn::Cut("{\"choices\": [{\"te"), 1),
        (Turn::With(429, ("retry-after", "86400"), ""), 0),
        (Turn::With(429, ("retry-after", "-1"), ""), 0),
    ] {
        let server = Server::new([turn, fine()]).await;
        let completion = server.client().complete(&request(1), None).await.unwrap();
        let asked = server.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0].body, asked[1].body);
        assert_eq!(completion.attempts.made, 2);
        assert_eq!(completion.attempts.possibly_billed, billed);
    }
}

#[tokio::test]
async fn attempts_run_out() {
    let busy = || Turn::With(500, ("retry-after", "3600"), "busy");
    let server = Server::new([Turn::Cut("{"), busy(), busy(), fine()]).await;
    let error = server
        .client()
        .complete(&request(1), None)
        .await
        .unwrap_err();
    assert_eq!(server.asked().len(), 3);
    let RequestError::Failed {
        reason,
        transient,
        scope,
        retry_after,
        attempts,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        reason,
        "no attempt is left; the endpoint answered with status 500: busy"
    );
    assert!(transient);
    assert_eq!(scope, None);
    assert_eq!(retry_after, Some(LONG));
    assert_eq!((attempts.made, attempts.possibly_billed), (3, 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(&endpoint(&format!("http://{address}/v1")), None);
    let error = client.complete(&request(1), None).await.unwrap_err();
    assert!(
        matches!(
            error,
            RequestError::Failed {
                transient: true,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        (error.attempts().made, error.attempts().possibly_billed),
        (3, 0)
    );
    assert_eq!(error.scope(), Some(Scope::Endpoint));
    let reason = error.to_string().to_lowercase();
    assert!(
        reason.contains("cannot connect") && reason.contains("refused"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_attempt_that_times_out_is_tried_again_and_may_be_billed() {
    let server = Server::new([Turn::Silence, fine()]).await;
    let mut endpoint = endpoint(&server.base_url);
    endpoint.limits.request_timeout_seconds = 1;
    let completion = client(&endpoint, None)
        .complete(&request(1), None)
        .await
        .unwrap();
    assert_eq!(
        (
            completion.attempts.made,
            completion.attempts.possibly_billed
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn the_deadline_ends_an_attempt_and_all_further_ones() {
    let server = Server::new([Turn::Silence, fine()]).await;
    let deadline = Instant::now() + Duration::from_millis(300);
    let error = server
        .client()
        .complete(&request(1), Some(deadline))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            RequestError::Failed {
                transient: true,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        (error.attempts().made, error.attempts().possibly_billed),
        (1, 1)
    );
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let server = Server::new([Turn::With(429, ("retry-after", "86400"), ""), fine()]).await;
    let backoff = Backoff {
        most_asked_for: LONG,
        ..Backoff::default()
    };
    let client = Client::with_backoff(
        "test",
        &endpoint(&server.base_url),
        Secrets::default(),
        backoff,
        1,
    )
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(1800);
    let error = client
        .complete(&request(1), Some(deadline))
        .await
        .unwrap_err();
    let RequestError::Failed {
        retry_after,
        attempts,
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(86_400)));
    assert_eq!(attempts.made, 1);
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let server = Server::new([Turn::Flood, fine()]).await;
    let error = server
        .client()
        .complete(&request(1), None)
        .await
        .unwrap_err();
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
    assert_eq!(
        (error.attempts().made, error.attempts().possibly_billed),
        (1, 1)
    );
}

fn limited(base_url: &str, requests_in_flight: u32) -> Endpoint {
    let mut endpoint = endpoint(base_url);
    endpoint.limits.requests_in_flight = requests_in_flight;
    endpoint
}

#[tokio::test]
async fn as_many_requests_as_allowed_are_in_flight_and_no_more() {
    // Each answer waits for two others, so fewer than three at once would never end.
    let (barrier, now, most) = (
        Arc::new(Barrier::new(3)),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let counts = Arc::new((now, most));
    let seen = Arc::clone(&counts);
    let handler = move || {
        let (barrier, counts) = (Arc::clone(&barrier), Arc::clone(&counts));
        async move {
            let now = counts.0.fetch_add(1, Ordering::SeqCst) + 1;
            counts.1.fetch_max(now, Ordering::SeqCst);
            barrier.wait().await;
            counts.0.fetch_sub(1, Ordering::SeqCst);
            axum::Json(json!({"choices": [{"text": "a", "finish_reason": "stop"}],
                              "usage": {"prompt_tokens": 1, "completion_tokens": 1}}))
        }
    };
    let base_url = serve(Router::new().route("/v1/completions", post(handler))).await;
    let client = client(&limited(&base_url, 3), None);
    let request = request(1);
    let completions = join_all((0..12).map(|_| client.complete(&request, None))).await;
    assert!(completions.iter().all(Result::is_ok));
    assert_eq!(seen.1.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn dropping_a_request_lets_the_next_one_go() {
    let arrived = Arc::new(Notify::new());
    let first = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&arrived);
    let handler = move || {
        let (arrived, first) = (Arc::clone(&told), Arc::clone(&first));
        async move {
            if first.fetch_add(1, Ordering::SeqCst) == 0 {
                arrived.notify_one();
                std::future::pending::<()>().await;
            }
            axum::Json(json!({"choices": [{"text": "a", "finish_reason": "stop"}]}))
        }
    };
    let base_url = serve(Router::new().route("/v1/completions", post(handler))).await;
    let client = client(&limited(&base_url, 1), None);
    let request = request(1);
    tokio::select! {
        outcome = client.complete(&request, None) => panic!("{outcome:?}"),
        () = arrived.notified() => {}
    }
    let completion = client.complete(&request, None).await.unwrap();
    assert_eq!(completion.attempts.made, 1);
}

#[tokio::test]
async fn a_request_that_never_gets_its_turn_was_never_sent() {
    let server = Server::new([Turn::Silence]).await;
    let client = client(&limited(&server.base_url, 1), None);
    let request = request(1);
    // Polled in this order, so the first holds the only permit for good.
    let holder = client.complete(&request, None);
    let late = client.complete(&request, Some(Instant::now() + Duration::from_millis(200)));
    tokio::select! {
        biased;
        outcome = holder => panic!("{outcome:?}"),
        outcome = late => assert_eq!(outcome.unwrap_err().attempts().made, 0),
    }
}

/// Answers what it is asked in turn, and is withdrawn when told.
#[derive(Default)]
struct Guard {
    answers: Mutex<VecDeque<Permission>>,
    asked: Mutex<Vec<(Attempts, bool)>>,
    withdrawn: Notify,
    /// Whether it is withdrawn as soon as its first attempt is let go.
    withdrawn_in_flight: bool,
}

impl Guard {
    fn of(answers: &[Permission]) -> Self {
        Self {
            answers: Mutex::new(answers.iter().copied().collect()),
            ..Self::default()
        }
    }
}

impl SendGuard for Guard {
    async fn may_send(&self, before: Attempts, last_possibly_billed: bool) -> Permission {
        let mut asked = self.asked.lock().unwrap();
        asked.push((before, last_possibly_billed));
        if self.withdrawn_in_flight {
            self.withdrawn.notify_one();
        }
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or(Permission::Granted)
    }

    async fn withdrawn(&self) {
        self.withdrawn.notified().await;
    }
}

#[tokio::test]
async fn every_attempt_asks_its_guard() {
    let json = |status| Turn::Json(status, json!({"error": {"message": "later"}}));
    let attempts = |made, possibly_billed| Attempts {
        made,
        possibly_billed,
    };
    // A gateway's error may have been billed, a refusal for too many requests is not.
    let server = Server::new([json(502), json(429), fine()]).await;
    let guard = Guard::default();
    let sent = server.client();
    let completion = sent.complete_guarded(&request(1), None, &guard).await;
    assert_eq!(completion.unwrap().attempts, attempts(3, 1));
    assert_eq!(
        *guard.asked.lock().unwrap(),
        [
            (attempts(0, 0), false),
            (attempts(1, 1), true),
            (attempts(2, 1), false)
        ]
    );

    let server = Server::new([fine()]).await;
    let guard = Guard::of(&[Permission::Withdrawn]);
    let refused = server.client();
    let refused = refused.complete_guarded(&request(1), None, &guard).await;
    assert_eq!(
        refused.unwrap_err(),
        RequestError::Withdrawn {
            attempts: attempts(0, 0)
        }
    );
    assert!(server.asked().is_empty());

    let server = Server::new([json(502), fine()]).await;
    let guard = Guard::of(&[Permission::Granted, Permission::GivenUp]);
    let given_up = server.client();
    let given_up = given_up.complete_guarded(&request(1), None, &guard).await;
    let error = given_up.unwrap_err();
    assert!(matches!(error, RequestError::Failed { .. }), "{error:?}");
    assert_eq!(error.attempts(), attempts(1, 1));
    assert!(error.to_string().contains("it is not sent again"));
}

#[tokio::test]
async fn a_request_that_waits_is_withdrawn_at_once() {
    // It waits for an hour between two attempts.
    let json = Turn::Json(429, json!({"error": {"message": "later"}}));
    let server = Server::new([json, fine()]).await;
    let slow = Backoff {
        base: LONG,
        most: LONG,
        most_asked_for: LONG,
    };
    let client = Client::with_backoff(
        "test",
        &endpoint(&server.base_url),
        Secrets::default(),
        slow,
        1,
    )
    .unwrap();
    let guard = Guard {
        withdrawn_in_flight: true,
        ..Guard::default()
    };
    let one = request(1);
    let withdrawn = client.complete_guarded(&one, None, &guard).await;
    // What was in flight came home first.
    let attempts = Attempts {
        made: 1,
        possibly_billed: 0,
    };
    assert_eq!(withdrawn.unwrap_err(), RequestError::Withdrawn { attempts });

    // It waits at the gate, which another holds.
    let silent = Server::new([Turn::Silence]).await;
    let client = self::client(&limited(&silent.base_url, 1), None);
    let holder = client.complete(&one, None);
    let guard = Guard::default();
    guard.withdrawn.notify_one();
    let late = client.complete_guarded(&one, None, &guard);
    tokio::select! {
        biased;
        outcome = holder => panic!("{outcome:?}"),
        outcome = late => assert_eq!(
            outcome.unwrap_err(),
            RequestError::Withdrawn { attempts: Attempts::default() }
        ),
    }
}

#[tokio::test]
async fn refusals_for_asking_too_much_do_not_use_attempts_up() {
    let busy = || {
        Turn::Json(
            429,
            json!({"error": {"message": "too many requests", "type": "rate_limit_error"}}),
        )
    };
    let full = || Turn::With(503, ("retry-after", "1"), "full");
    let mut turns: Vec<Turn> = (0..10).map(|_| busy()).collect();
    turns.extend([full(), full(), Turn::Json(500, json!({})), fine()]);
    let server = Server::new(turns).await;
    let completion = server.client().complete(&request(1), None).await.unwrap();
    let attempts = completion.attempts;
    assert_eq!((attempts.made, attempts.possibly_billed), (14, 0));
    assert_eq!(completion.diagnostics.rate_limited, 12);
}

#[tokio::test]
async fn an_endpoint_that_goes_on_refusing_is_given_up_in_the_end() {
    let server = Server::by_rule(|_| Turn::Json(429, json!({"error": {"message": "later"}}))).await;
    let mut impatient = endpoint(&server.base_url);
    impatient.limits.rate_limit_patience_seconds = 1;
    let pause = Duration::from_millis(100);
    let backoff = Backoff {
        base: pause,
        most: pause,
        most_asked_for: pause,
    };
    let client = Client::with_backoff("test", &impatient, Secrets::default(), backoff, 1).unwrap();
    let error = client.complete(&request(1), None).await.unwrap_err();
    assert!(
        error.to_string().contains("for as long as it may wait"),
        "{error}"
    );
    assert!(error.attempts().made > impatient.limits.max_attempts);
    assert_eq!(error.attempts().possibly_billed, 0);
}

#[tokio::test]
async fn a_status_of_a_server_without_room_passes() {
    let full = || {
        let error =
            json!({"error": {"message": "no capacity just now", "type": "capacity_exceeded"}});
        Turn::Json(498, error)
    };
    let server = Server::new([full(), full(), fine()]).await;
    let completion = server.client().complete(&request(1), None).await.unwrap();
    let attempts = completion.attempts;
    assert_eq!((attempts.made, attempts.possibly_billed), (3, 0));
}
