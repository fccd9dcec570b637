//! The books of a job, closed from its rows alone.

use crate::{Store, answer, send, settle};
use chrono::Utc;
use frugal_domain::id::TrialNumber;
use frugal_domain::money::Unit;
use frugal_domain::request::RequestKey;
use frugal_domain::spend::SpendCategory;
use frugal_domain::state::{JobState, TrialState};
use frugal_domain::trial::{CostEstimate, Estimate, Evaluation, Progress, TrialOutcome, TrialRole};
use frugal_store::queue::{self, Claim};
use frugal_store::requests::NewRequest;
use frugal_store::trials::{self, NewTrial, TrialEnd};
use frugal_store::{books, jobs};
use std::collections::BTreeMap;

fn evaluated(utility: f64, cost: f64, valid: bool) -> TrialOutcome {
    let estimate = |mean| Estimate {
        mean,
        standard_error: None,
        count: 1,
    };
    TrialOutcome::Evaluated(Evaluation {
        utility: estimate(utility),
        metrics: BTreeMap::new(),
        inference_cost: CostEstimate {
            unit: Unit::Usd,
            estimate: estimate(cost),
        },
        violated: Vec::new(),
        valid,
        coverage: None,
        utility_interval: None,
    })
}

/// Begins a trial and ends it so.
async fn trial(store: &Store, claim: Claim, number: u32, outcome: TrialOutcome) {
    let mut connection = store.pool.acquire().await.unwrap();
    let baseline = trials::find(&mut connection, claim.job, TrialNumber(0))
        .await
        .unwrap()
        .unwrap();
    let new = NewTrial {
        number: TrialNumber(number),
        role: TrialRole::Search,
        origin: "global".to_owned(),
        configuration: baseline.configuration,
        settings: baseline.settings,
    };
    let end = TrialEnd {
        settings: None,
        outcome,
        spend: frugal_domain::money::Spend::default(),
        requests: 0,
        responses: 0,
    };
    let now = Utc::now();
    trials::begin(&mut connection, claim, &new, now)
        .await
        .unwrap();
    trials::finish(&mut connection, claim, new.number, &end, now)
        .await
        .unwrap();
}

/// A job whose second worker has just taken it: of its baseline one request is answered, one was
/// asked again after it was lost, and one is in flight.
async fn taken_over(store: &Store) -> (Claim, NewRequest) {
    store.create_job().await;
    let first = store.claim(0).await.unwrap();
    let request = store.begin_trial(first).await;
    let claim = store.claim(60).await.unwrap();
    let in_flight = NewRequest {
        key: RequestKey {
            ordinal: 1,
            ..request.key
        },
        ..request
    };
    let mut connection = store.pool.acquire().await.unwrap();
    let now = Utc::now();
    send(&mut connection, claim, &[request, in_flight], now)
        .await
        .unwrap();
    settle(&mut connection, claim, request.key, &answer("a"), 1, now)
        .await
        .unwrap();
    (claim, request)
}

/// What the job above comes to, whoever closes its books.
async fn assert_closed(store: &Store, claim: Claim, request: NewRequest) {
    let mut connection = store.pool.acquire().await.unwrap();
    let job = jobs::find(&mut connection, claim.job)
        .await
        .unwrap()
        .unwrap();
    let settled = answer("a").cost();
    assert_eq!(job.spend[&SpendCategory::Baseline], settled);
    assert_eq!(
        job.spend[&SpendCategory::Lost],
        request.worst_case + request.worst_case
    );
    assert_eq!(job.spend.len(), 2);
    assert_eq!((job.progress.running, job.progress.stopped), (0, 1));
    assert_eq!((job.progress.requests, job.progress.responses), (2, 2));
    let baseline = trials::find(&mut connection, claim.job, TrialNumber(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(baseline.state, TrialState::Stopped);
    assert_eq!(baseline.spend, settled);
    assert_eq!((baseline.requests, baseline.responses), (2, 2));
}

#[tokio::test]
async fn what_was_lost_and_what_was_found_is_on_the_books() {
    let store = Store::new().await;
    let (claim, request) = taken_over(&store).await;
    // By itself the best would be the second, which is not valid; of the next two, which are as
    // good, the cheaper one; the last one is as good and as cheap, and later.
    trial(&store, claim, 1, evaluated(0.5, 1.0, true)).await;
    trial(&store, claim, 2, evaluated(0.9, 1.0, false)).await;
    trial(&store, claim, 3, evaluated(0.8, 2.0, true)).await;
    trial(&store, claim, 4, evaluated(0.8, 1.0, true)).await;
    trial(&store, claim, 5, evaluated(0.8, 1.0, true)).await;
    let detail = "no".to_owned();
    trial(&store, claim, 6, TrialOutcome::Infeasible { detail }).await;
    let mut transaction = store.pool.begin().await.unwrap();
    queue::hold(&mut transaction, claim).await.unwrap();
    books::close(&mut transaction, claim.job, Utc::now())
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert_closed(&store, claim, request).await;
    let mut connection = store.pool.acquire().await.unwrap();
    let job = jobs::find(&mut connection, claim.job)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(job.best_trial, Some(TrialNumber(4)));
    let expected = Progress {
        evaluated: 5,
        infeasible: 1,
        stopped: 1,
        requests: 2,
        responses: 2,
        ..Progress::default()
    };
    assert_eq!(job.progress, expected);
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn a_job_that_was_given_back_is_cancelled_with_its_books_closed() {
    let store = Store::new().await;
    let (claim, request) = taken_over(&store).await;
    let mut connection = store.pool.acquire().await.unwrap();
    crate::release(&mut connection, claim).await;
    jobs::cancel(&mut connection, claim.job, Utc::now())
        .await
        .unwrap();
    let job = jobs::find(&mut connection, claim.job).await.unwrap();
    assert_eq!(job.unwrap().state, JobState::Cancelled);
    drop(connection);
    assert_closed(&store, claim, request).await;
    store.end().await;
}
