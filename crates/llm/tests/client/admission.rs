//! Whoever admits attempts: asked before each, told how each ended, heard on whom to blame.

use crate::server::{Server, Turn, completed, request};
use frugal_llm::{
    Admission, AttemptEnd, Attempts, Blame, EndpointState, Permission, Permit, SendGuard,
};
use serde_json::json;
use std::sync::Mutex;
use std::time::Duration;

/// Admits everything at once, notes what it is told, and blames the endpoint where it is away.
#[derive(Default)]
struct Ledger {
    asked: Mutex<Vec<bool>>,
    ends: Mutex<Vec<AttemptEnd>>,
}

struct Entry<'a>(&'a Ledger);

impl Admission for &Ledger {
    type Permit = Self;

    async fn admit(&self, is_retry: bool) -> Self {
        self.asked.lock().unwrap().push(is_retry);
        self
    }
}

impl Permit for &Ledger {
    fn ended(self, end: &AttemptEnd) -> Blame {
        self.ends.lock().unwrap().push(end.clone());
        match end.state {
            EndpointState::Unavailable => Blame::Endpoint,
            _ => Blame::Request,
        }
    }
}

impl SendGuard for Entry<'_> {
    async fn may_send(&self, before: Attempts, _: bool) -> Permission {
        let admitted = self.0.asked.lock().unwrap().len();
        assert_eq!(
            admitted,
            before.made as usize + 1,
            "admitted before the guard is asked"
        );
        Permission::Granted
    }

    async fn withdrawn(&self) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn attempts_that_are_the_endpoints_fault_are_not_counted() {
    let away = || Turn::Json(503, json!({"error": {"message": "restarting"}}));
    let turns = [
        away(),
        away(),
        away(),
        away(),
        Turn::Json(500, json!({"error": {"message": "broken"}})),
        away(),
        completed(&["one"], 2, 1),
    ];
    let server = Server::new(turns).await;
    let ledger = Ledger::default();
    let client = server.client();
    // The client has three attempts.
    let completion = client
        .complete_admitted(&request(1), None, &Entry(&ledger), &&ledger)
        .await
        .unwrap();
    assert_eq!(completion.attempts.made, 7);
    let asked = ledger.asked.into_inner().unwrap();
    assert_eq!(asked, [false, true, true, true, true, true, true]);
    let ends = ledger.ends.into_inner().unwrap();
    assert_eq!(ends[4].state, EndpointState::BrokenDown);
    let last = &ends[6];
    assert_eq!(last.state, EndpointState::Working);
    assert_eq!(last.completion_tokens, 1);
}

#[tokio::test]
async fn each_end_says_what_it_means_for_the_endpoint() {
    for (turn, state, asked_for) in [
        (
            Turn::With(429, ("retry-after", "86400"), ""),
            EndpointState::RateLimited,
            Some(86_400),
        ),
        (
            Turn::With(502, ("via", "proxy"), ""),
            EndpointState::Unavailable,
            None,
        ),
        (Turn::Json(529, json!({})), EndpointState::Unavailable, None),
        (Turn::Json(500, json!({})), EndpointState::BrokenDown, None),
        (Turn::Cut("{"), EndpointState::BrokenDown, None),
        (
            Turn::Json(
                400,
                json!({"error": {"message": "no", "param": "temperature"}}),
            ),
            EndpointState::Working,
            None,
        ),
        (Turn::Json(401, json!({})), EndpointState::Working, None),
        (Turn::Json(409, json!({})), EndpointState::Working, None),
    ] {
        let server = Server::new([turn, completed(&["one"], 2, 1)]).await;
        let ledger = Ledger::default();
        let client = server.client();
        let sent = client
            .complete_admitted(&request(1), None, &Entry(&ledger), &&ledger)
            .await;
        let attempts = match sent {
            Ok(completion) => completion.attempts,
            Err(error) => error.attempts(),
        };
        let ends = ledger.ends.into_inner().unwrap();
        assert_eq!(ends.len(), attempts.made as usize);
        assert_eq!(ends[0].state, state);
        assert_eq!(ends[0].asked_for, asked_for.map(Duration::from_secs));
        assert!(ends[0].reason.is_some());
    }
}
