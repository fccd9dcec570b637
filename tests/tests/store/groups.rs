//! Writes of several jobs in one statement: each job's fence is its own.

use crate::{Store, answer, claimant};
use chrono::Utc;
use frugal_domain::money::Spend;
use frugal_domain::request::{Purpose, RequestKey};
use frugal_store::queue::{self, Claim};
use frugal_store::requests::{self, Failure, FailureKind, NewRequest, Sending, Settled, Settling};
use frugal_store::{Error, connect_for_groups};
use std::sync::Arc;

fn next(request: NewRequest) -> NewRequest {
    NewRequest {
        key: RequestKey {
            ordinal: request.key.ordinal + 1,
            ..request.key
        },
        ..request
    }
}

fn settling(claim: Claim, key: RequestKey, settled: Settled) -> Settling {
    Settling {
        claim,
        key,
        settled: Arc::new(settled),
        latency_ms: 1,
        at: Utc::now(),
    }
}

#[tokio::test]
async fn a_group_with_a_job_that_is_lost_stores_all_others() {
    let store = Store::new().await;
    for _ in 0..3 {
        store.create_job().await;
    }
    let lost = store.claim(0).await.unwrap();
    let first = store.begin_trial(lost).await;
    let taken_over = store.claim(60).await.unwrap();
    assert_eq!((taken_over.job, taken_over.attempt), (lost.job, 2));
    let (one, other) = (
        store.claim(60).await.unwrap(),
        store.claim(60).await.unwrap(),
    );
    for claim in [one, other] {
        store.begin_trial(claim).await;
    }
    let mut connection = connect_for_groups(&store.pool).await.unwrap();

    let second = next(first);
    let sending = |claim, request| Sending {
        claim,
        request,
        at: Utc::now(),
    };
    let group = [
        sending(one, second),
        sending(lost, second),
        sending(other, second),
        sending(one, next(second)),
    ];
    let stored = requests::send_group(&mut connection, &group).await.unwrap();
    assert_eq!(stored, [true, false, true, true]);

    // Whoever did not hear so may store the same once more; one that is there already is not sent again.
    let once_more = requests::send_group(&mut connection, &group).await.unwrap();
    assert_eq!(once_more, [true, false, true, true]);
    let again = [sending(one, second)];
    let stored = requests::send_group(&mut connection, &again).await.unwrap();
    assert_eq!(stored, [false]);

    // A judge's request without a question is refused, and nothing of its group is stored.
    let mut stray = next(second);
    stray.key.purpose = Purpose::Judge;
    let group = [sending(other, next(second)), sending(one, stray)];
    let refused = requests::send_group(&mut connection, &group).await;
    assert!(matches!(refused, Err(Error::Database(_))));

    let failed = Settled::Failed {
        failure: Failure {
            kind: FailureKind::Failed,
            scope: None,
            detail: "gone".to_owned(),
        },
        uncertain: Spend::default(),
    };
    let group = [
        settling(one, first.key, answer("x")),
        settling(lost, first.key, answer("late")),
        settling(other, second.key, answer("y")),
        settling(one, second.key, failed.clone()),
        // It was refused with its group.
        settling(other, next(second).key, answer("never sent")),
    ];
    let stored = requests::settle_group(&mut connection, &group)
        .await
        .unwrap();
    assert_eq!(stored, [true, false, true, true, false]);
    let once_more = requests::settle_group(&mut connection, &group)
        .await
        .unwrap();
    assert_eq!(once_more, stored);
    let other_answer = [settling(one, first.key, answer("z"))];
    let stored = requests::settle_group(&mut connection, &other_answer)
        .await
        .unwrap();
    assert_eq!(stored, [false]);

    let of_one = requests::load(&mut connection, one.job).await.unwrap();
    assert_eq!(of_one.len(), 2, "the third is still under way");
    assert_eq!(of_one[&first.key].settled, answer("x"));
    assert_eq!(of_one[&second.key].settled, failed);
    let of_other = requests::load(&mut connection, other.job).await.unwrap();
    assert_eq!(of_other.len(), 1);
    assert_eq!(of_other[&second.key].settled, answer("y"));
    let of_lost = requests::load(&mut connection, lost.job).await.unwrap();
    assert!(of_lost.is_empty());
    let counted = requests::lost(&mut connection, lost.job).await.unwrap();
    assert_eq!(
        counted, first.worst_case,
        "what was not stored is not counted"
    );
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn what_is_about_to_be_sent_while_another_takes_the_job_is_not_stored() {
    let store = Store::new().await;
    store.create_job().await;
    let claim = store.claim(0).await.unwrap();
    let request = next(store.begin_trial(claim).await);
    let mut taking_over = store.pool.begin().await.unwrap();
    let taken = queue::claim(&mut taking_over, &claimant(60), Utc::now()).await;
    assert_eq!(taken.unwrap().unwrap().claim.attempt, 2);
    // It begins before the other is committed, and sees the lease as it was.
    let mut connection = connect_for_groups(&store.pool).await.unwrap();
    let sending = tokio::spawn(async move {
        let group = [Sending {
            claim,
            request,
            at: Utc::now(),
        }];
        requests::send_group(&mut connection, &group).await.unwrap()
    });
    store.until_one_waits().await;
    taking_over.commit().await.unwrap();
    assert_eq!(sending.await.unwrap(), [false]);
    let in_flight: i64 =
        sqlx::query_scalar("SELECT count(*) FROM requests WHERE job_id = $1 AND state = 'sent'")
            .bind(claim.job.0)
            .fetch_one(&store.pool)
            .await
            .unwrap();
    assert_eq!(in_flight, 0);
    store.end().await;
}
