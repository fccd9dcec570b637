//! Responses that other jobs take over: whole requests, and by which name they are found again.

use crate::{Store, answer, claimant, send, settle};
use chrono::Utc;
use frugal_domain::id::TrialNumber;
use frugal_domain::request::{RequestKey, ResponseId};
use frugal_domain::state::{JobState, StopReason};
use frugal_store::Error;
use frugal_store::queue::{self, Claim};
use frugal_store::requests::{NewRequest, ReuseKey};
use frugal_store::responses;
use frugal_store::reuse::{self, Adopted};

const KEY: ReuseKey = [7; 32];

/// A job that has ended with so many answered requests, of two responses each, under [`KEY`].
async fn source(store: &Store, count: u32) -> Claim {
    store.create_job().await;
    let claim = store.claim(60).await.unwrap();
    let first = store.begin_trial(claim).await;
    let mut connection = store.pool.acquire().await.unwrap();
    for ordinal in 1..=count {
        let key = RequestKey {
            ordinal,
            ..first.key
        };
        let request = NewRequest {
            key,
            reuse_key: Some(KEY),
            question: None,
            ..first
        };
        let now = Utc::now();
        send(&mut connection, claim, &[request], now).await.unwrap();
        settle(&mut connection, claim, key, &answer("a"), 1, now)
            .await
            .unwrap();
    }
    drop(connection);
    store
        .finish(claim, JobState::Succeeded, StopReason::TrialLimit)
        .await;
    claim
}

#[tokio::test]
async fn what_is_taken_over_is_whole_requests() {
    let store = Store::new().await;
    let source = source(&store, 3).await;
    let job = store.create_job().await;
    let mut connection = store.pool.acquire().await.unwrap();
    for (limit, whole) in [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 1),
        (4, 2),
        (5, 2),
        (6, 3),
        (7, 3),
    ] {
        let found = reuse::find(&mut connection, job, None, &[KEY], limit)
            .await
            .unwrap();
        let sizes: Vec<_> = found
            .iter()
            .map(|request| request.responses.len())
            .collect();
        assert_eq!(
            sizes,
            vec![2; whole],
            "the usage of a request is that of all its responses: {limit}"
        );
        let ordinals: Vec<_> = found.iter().map(|found| found.request.ordinal).collect();
        let first: Vec<u32> = (1..).take(whole).collect();
        assert_eq!(ordinals, first, "those answered first come first");
        assert!(found.iter().all(|found| found.job == source.job));
    }
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn texts_are_found_by_what_names_a_response() {
    let store = Store::new().await;
    let source = source(&store, 1).await;
    store.create_job().await;
    let claim = store.claim(60).await.unwrap();
    let own = store.begin_trial(claim).await;
    let mut connection = store.pool.acquire().await.unwrap();
    let now = Utc::now();
    settle(&mut connection, claim, own.key, &answer("own"), 1, now)
        .await
        .unwrap();
    let found = reuse::find(&mut connection, claim.job, None, &[KEY], 10)
        .await
        .unwrap();
    let adopted: Vec<Adopted> = (0..)
        .zip(&found[0].responses)
        .map(|(position, response)| Adopted {
            instance: 1,
            job: found[0].job,
            request: found[0].request,
            position,
            max_tokens: found[0].max_tokens,
            prompt_tokens: 7,
            completion_tokens: 2,
            latency_ms: 1,
            response: response.clone(),
        })
        .collect();
    let mut transaction = store.pool.begin().await.unwrap();
    reuse::adopt(&mut transaction, claim, TrialNumber(0), &adopted, now)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let loaded = reuse::load(&mut connection, claim.job).await.unwrap();
    assert_eq!(loaded[&TrialNumber(0)], adopted);

    let of = |job, request, position| ResponseId {
        job,
        request,
        position,
    };
    let asked = [
        of(None, own.key, 0),
        of(None, own.key, 2),
        of(Some(source.job), adopted[1].request, 1),
        of(Some(claim.job), own.key, 0),
    ];
    let texts = responses::texts(&mut connection, claim.job, &asked)
        .await
        .unwrap();
    let texts: Vec<_> = texts
        .iter()
        .map(|(id, response)| (*id, response.text.as_str()))
        .collect();
    assert_eq!(texts, [(asked[0], "own"), (asked[2], "b")]);
    assert_eq!(adopted[1].id(), asked[2]);
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn nothing_is_taken_over_while_another_takes_the_job() {
    let store = Store::new().await;
    store.create_job().await;
    let claim = store.claim(0).await.unwrap();
    store.begin_trial(claim).await;
    let mut taking_over = store.pool.begin().await.unwrap();
    let taken = queue::claim(&mut taking_over, &claimant(60), Utc::now()).await;
    assert_eq!(taken.unwrap().unwrap().claim.attempt, 2);
    // It begins before the other is committed, and sees the lease as it was.
    let mut connection = store.pool.acquire().await.unwrap();
    let adopting = tokio::spawn(async move {
        reuse::adopt(&mut connection, claim, TrialNumber(0), &[], Utc::now()).await
    });
    store.until_one_waits().await;
    taking_over.commit().await.unwrap();
    assert!(matches!(adopting.await.unwrap(), Err(Error::LeaseLost)));
    store.end().await;
}
