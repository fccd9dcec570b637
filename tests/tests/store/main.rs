//! The store against a real PostgreSQL: leases and their fence, the event log, what is paid.
#![expect(
    clippy::unwrap_used,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

mod admission;
mod books;
mod claiming;
mod endpoint_models;
mod enqueued;
mod groups;
mod order;
mod retention;
mod reuse;
mod schema;
mod scores;
mod steering;
mod telling;

use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::endpoint::Catalog;
use frugal_domain::event::EventBody;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::money::{Spend, Usage, Usd};
use frugal_domain::request::{FinishReason, Purpose, RequestKey};
use frugal_domain::state::{AttemptEnding, JobState, StopReason};
use frugal_domain::trial::{Progress, TrialOutcome, TrialRole};
use frugal_store::queue::{self, Claim, Claimant, Claimed, End};
use frugal_store::requests::{self, Answered, NewRequest, Sending, Settled, Settling};
use frugal_store::responses::StoredResponse;
use frugal_store::trials::{self, NewTrial, TrialEnd};
use frugal_store::{Error, PgConnection, PgPool, events, instances, jobs, leases};
use frugal_tests::postgres::TestDatabase;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A worker that takes whatever there is.
fn claimant(lease_seconds: u32) -> Claimant<'static> {
    Claimant::new("test", lease_seconds)
}

/// Gives a job back, as a worker that is stopped does.
async fn release(connection: &mut PgConnection, claim: Claim) {
    let ending = AttemptEnding::GivenBack;
    queue::release(connection, claim, ending, None, Utc::now())
        .await
        .unwrap();
}

/// A migrated database.
struct Store {
    database: TestDatabase,
    pool: PgPool,
}

impl Store {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let pool = frugal_store::connect(database.url(), 8).unwrap();
        frugal_store::migrate(&pool).await.unwrap();
        Self { database, pool }
    }

    async fn end(self) {
        self.pool.close().await;
        self.database.drop().await;
    }

    async fn create_job(&self) -> JobId {
        let catalog: Catalog = serde_json::from_value(json!({"endpoints": {"local": {
            "base_url": "http://127.0.0.1:1/v1",
            "models": {"m": {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0}}
        }}}))
        .unwrap();
        let body = json!({
            "data": {"instances": [{"q": "a", "answer": "b"}, {"q": "c", "answer": "d"}]},
            "model": {"endpoint": "local", "model": "m"},
            "prompt": "{{ q }}",
            "scoring": {"scorer": {"type": "exact", "expected": "{{ answer }}"}}
        });
        let (spec, data) = frugal_intake::job(&body, &catalog, 1).unwrap();
        let id = JobId(Uuid::now_v7());
        let mut transaction = self.pool.begin().await.unwrap();
        jobs::create(&mut transaction, None, id, &spec, &data, Utc::now())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        id
    }

    async fn claim(&self, lease_seconds: u32) -> Option<Claim> {
        let claimed = self.claimed(lease_seconds).await?;
        Some(claimed.claim)
    }

    async fn claimed(&self, lease_seconds: u32) -> Option<Claimed> {
        let mut transaction = self.pool.begin().await.unwrap();
        let claimed = queue::claim(&mut transaction, &claimant(lease_seconds), Utc::now())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        claimed
    }

    /// Waits until a statement waits for a row that another transaction has locked.
    async fn until_one_waits(&self) {
        let asking = async {
            loop {
                let waiting: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'",
                )
                .fetch_one(&self.pool)
                .await
                .unwrap();
                if waiting > 0 {
                    break;
                }
            }
        };
        let waits = tokio::time::timeout(Duration::from_secs(60), asking).await;
        assert!(waits.is_ok(), "nothing waits");
    }

    /// Ends a job without a report.
    async fn finish(&self, claim: Claim, state: JobState, stop_reason: StopReason) {
        let end = End {
            state,
            stop_reason,
            detail: None,
            report: None,
            event: EventBody::JobSucceeded { stop_reason },
        };
        let mut transaction = self.pool.begin().await.unwrap();
        queue::finish(&mut transaction, claim, &end, Utc::now())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }

    /// Ends the job's first trial, with its event, as cut off.
    async fn stop_trial(&self, claim: Claim) {
        let (trial, spend) = (TrialNumber(0), Spend::default());
        let end = TrialEnd {
            settings: None,
            outcome: TrialOutcome::Stopped,
            spend,
            requests: 0,
            responses: 0,
        };
        let stopped = EventBody::TrialStopped { trial, spend };
        let mut transaction = self.pool.begin().await.unwrap();
        trials::finish(&mut transaction, claim, trial, &end, Utc::now())
            .await
            .unwrap();
        events::append(&mut transaction, claim.job, &[stopped], Utc::now())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }

    /// Begins the job's first trial and returns its first request.
    async fn begin_trial(&self, claim: Claim) -> NewRequest {
        let mut connection = self.pool.acquire().await.unwrap();
        let spec = jobs::find(&mut connection, claim.job)
            .await
            .unwrap()
            .unwrap()
            .spec;
        let configuration = spec.default_configuration();
        let trial = NewTrial {
            number: TrialNumber(0),
            role: TrialRole::Baseline,
            origin: "baseline".to_owned(),
            settings: spec.settings(&configuration).unwrap(),
            configuration,
        };
        trials::begin(&mut connection, claim, &trial, Utc::now())
            .await
            .unwrap();
        let request = NewRequest {
            key: RequestKey {
                purpose: Purpose::Baseline,
                trial: TrialNumber(0),
                ordinal: 0,
            },
            instance: 0,
            n: 2,
            max_tokens: 10,
            worst_case: Spend {
                usd: Usd::from_pico(500),
                tokens: 50,
            },
            reuse_key: None,
            question: None,
        };
        send(&mut connection, claim, &[request], Utc::now())
            .await
            .unwrap();
        request
    }
}

/// Stores requests of one job that are about to be sent.
async fn send(
    connection: &mut PgConnection,
    claim: Claim,
    new: &[NewRequest],
    at: DateTime<Utc>,
) -> Result<(), Error> {
    let sending = |request: &NewRequest| Sending {
        claim,
        request: *request,
        at,
    };
    let group: Vec<_> = new.iter().map(sending).collect();
    let stored = requests::send_group(connection, &group).await?;
    held(&stored)
}

/// Stores what became of a request.
async fn settle(
    connection: &mut PgConnection,
    claim: Claim,
    key: RequestKey,
    settled: &Settled,
    latency_ms: u64,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    let settling = Settling {
        claim,
        key,
        settled: Arc::new(settled.clone()),
        latency_ms,
        at,
    };
    let stored = requests::settle_group(connection, &[settling]).await?;
    held(&stored)
}

fn held(stored: &[bool]) -> Result<(), Error> {
    match stored.contains(&false) {
        true => Err(Error::LeaseLost),
        false => Ok(()),
    }
}

fn answer(text: &str) -> Settled {
    Settled::Answered(Answered {
        uncertain: Spend::default(),
        usage: Usage {
            prompt_tokens: 7,
            completion_tokens: 5,
        },
        usage_estimated: false,
        cost: Spend {
            usd: Usd::from_pico(17),
            tokens: 12,
        },
        responses: vec![
            StoredResponse {
                text: text.to_owned(),
                finish_reason: FinishReason::Stop,
                estimated_tokens: 2,
            },
            StoredResponse {
                text: "b".to_owned(),
                finish_reason: FinishReason::Length,
                estimated_tokens: 3,
            },
        ],
    })
}

#[tokio::test]
async fn workers_at_once_claim_different_jobs_and_each_job_once() {
    let store = Store::new().await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(store.create_job().await);
    }
    let claims = futures::future::join_all((0..8).map(|_| store.claim(60))).await;
    let mut claimed: Vec<_> = claims
        .into_iter()
        .flatten()
        .map(|claim| claim.job)
        .collect();
    claimed.sort();
    // A claim that looked while others held the rows may have come away with nothing.
    while let Some(claim) = store.claim(60).await {
        claimed.push(claim.job);
        claimed.sort();
    }
    assert_eq!(claimed, created, "every job once, none twice");
    store.end().await;
}

#[tokio::test]
async fn a_lease_that_ran_out_goes_to_another_and_fences_the_first() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let first = store.claim(0).await.unwrap();
    let request = store.begin_trial(first).await;
    let second = store.claim(60).await.unwrap();
    assert_eq!((second.job, second.attempt), (id, 2));
    assert_eq!(
        store.claim(60).await,
        None,
        "a lease that holds is left alone"
    );

    let mut connection = store.pool.acquire().await.unwrap();
    let now = Utc::now();
    let beat = leases::extend_one(&mut connection, first, 60).await;
    assert!(matches!(beat, Err(Error::LeaseLost)));
    let settled = settle(&mut connection, first, request.key, &answer("a"), 1, now).await;
    assert!(
        matches!(settled, Err(Error::LeaseLost)),
        "the late answer is not taken"
    );
    let sent = send(&mut connection, first, &[request], now).await;
    assert!(matches!(sent, Err(Error::LeaseLost)));
    let (progress, spend) = (Progress::default(), BTreeMap::new());
    let summary = jobs::update_summary(&mut connection, id, 1, &progress, &spend, None).await;
    assert!(matches!(summary, Err(Error::LeaseLost)));
    release(&mut connection, first).await;
    assert_eq!(
        leases::extend_one(&mut connection, second, 60)
            .await
            .unwrap(),
        JobState::Running
    );

    // What the second one has in flight is its own.
    let again = NewRequest {
        key: RequestKey {
            ordinal: request.key.ordinal + 1,
            ..request.key
        },
        worst_case: Spend {
            usd: Usd::from_pico(700),
            tokens: 70,
        },
        ..request
    };
    send(&mut connection, second, &[again], now).await.unwrap();
    let given_up = requests::give_up_all(&mut connection, first, now).await;
    assert!(matches!(given_up, Err(Error::LeaseLost)));
    let lost = requests::lost(&mut connection, id).await.unwrap();
    assert_eq!(lost, request.worst_case);
    requests::give_up_all(&mut connection, second, now)
        .await
        .unwrap();
    let lost = requests::lost(&mut connection, id).await.unwrap();
    assert_eq!(lost, request.worst_case + again.worst_case);
    let settled = settle(&mut connection, second, again.key, &answer("a"), 1, now).await;
    assert!(matches!(settled, Err(Error::LeaseLost)), "it is given up");

    // What was in flight counts at its worst case and is asked for again.
    assert!(
        requests::load(&mut connection, id)
            .await
            .unwrap()
            .is_empty()
    );
    send(&mut connection, second, &[request], now)
        .await
        .unwrap();
    settle(&mut connection, second, request.key, &answer("a"), 1, now)
        .await
        .unwrap();
    assert_eq!(requests::load(&mut connection, id).await.unwrap().len(), 1);
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn an_answer_is_stored_once_and_comes_back_as_it_was() {
    let store = Store::new().await;
    store.create_job().await;
    let claim = store.claim(60).await.unwrap();
    let request = store.begin_trial(claim).await;
    let mut connection = store.pool.acquire().await.unwrap();
    let now = Utc::now();
    requests::raise(&mut connection, claim, request.key, request.worst_case)
        .await
        .unwrap();
    settle(&mut connection, claim, request.key, &answer("a\0b"), 1, now)
        .await
        .unwrap();
    let later = now + TimeDelta::seconds(1);
    let again = settle(&mut connection, claim, request.key, &answer("x"), 1, later).await;
    assert!(matches!(again, Err(Error::LeaseLost)));
    let stored = requests::load(&mut connection, claim.job).await.unwrap();
    assert_eq!(stored[&request.key].settled, answer("a\u{FFFD}b"));
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn events_have_no_gaps_however_many_write_at_once() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let write = async |round: i32| {
        let mut transaction = store.pool.begin().await.unwrap();
        let bodies = vec![EventBody::JobRunning { attempt: round }; 3];
        events::append(&mut transaction, id, &bodies, Utc::now())
            .await
            .unwrap();
        // Every third change is taken back, and its events with it.
        if round % 3 != 0 {
            transaction.commit().await.unwrap();
        }
    };
    futures::future::join_all((0..24).map(write)).await;
    let mut connection = store.pool.acquire().await.unwrap();
    let stored = events::after(&mut connection, id, 0, 1000).await.unwrap();
    let seqs: Vec<_> = stored.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=1 + 16 * 3).collect::<Vec<i64>>());
    assert_eq!(
        events::after(&mut connection, id, 40, 5).await.unwrap()[0].seq,
        41
    );
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn a_job_keeps_its_rows_and_ends_once() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let claim = store.claim(60).await.unwrap();
    let mut connection = store.pool.acquire().await.unwrap();
    let data = instances::load(&mut connection, id).await.unwrap();
    assert_eq!(data.tuning.len(), 2);
    assert_eq!(data.tuning[1]["q"], "c");
    let stop_reason = StopReason::TrialLimit;
    let end = End {
        state: JobState::Succeeded,
        stop_reason,
        detail: None,
        report: Some(json!({"note": "a\0b"})),
        event: EventBody::JobSucceeded { stop_reason },
    };
    queue::finish(&mut connection, claim, &end, Utc::now())
        .await
        .unwrap();
    let again = queue::finish(&mut connection, claim, &end, Utc::now()).await;
    assert!(matches!(again, Err(Error::LeaseLost)));
    let job = jobs::find(&mut connection, id).await.unwrap().unwrap();
    assert_eq!(
        (job.state, job.stop_reason),
        (JobState::Succeeded, Some(stop_reason))
    );
    assert_eq!(
        jobs::report(&mut connection, id).await.unwrap(),
        Some(json!({"note": "a\u{FFFD}b"}))
    );
    assert!(matches!(
        jobs::cancel(&mut connection, id, Utc::now()).await.unwrap(),
        jobs::Cancel::Ended(JobState::Succeeded)
    ));
    drop(connection);
    assert_eq!(store.claim(0).await, None);
    store.end().await;
}

#[tokio::test]
async fn a_cancelled_job_is_still_its_workers_to_end() {
    let store = Store::new().await;
    let id = store.create_job().await;
    let claim = store.claim(60).await.unwrap();
    let mut connection = store.pool.acquire().await.unwrap();
    let accepted = jobs::cancel(&mut connection, id, Utc::now()).await.unwrap();
    assert!(matches!(accepted, jobs::Cancel::Accepted));
    assert_eq!(
        leases::extend_one(&mut connection, claim, 60)
            .await
            .unwrap(),
        JobState::Cancelling
    );
    // Given back in the middle: the next worker hears of it too.
    release(&mut connection, claim).await;
    let next = store.claim(60).await.unwrap();
    assert_eq!(
        leases::extend_one(&mut connection, next, 60).await.unwrap(),
        JobState::Cancelling
    );
    drop(connection);
    store.end().await;
}
