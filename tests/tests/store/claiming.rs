//! Claiming: what it reads, which job comes first, and attempts whose worker was lost.

use crate::{Store, answer, claimant, release, send, settle};
use chrono::Utc;
use frugal_store::PgPool;
use frugal_store::queue::{self, Depth};
use uuid::Uuid;

/// Jobs of each kind in a table that has seen many.
const MANY: i32 = 5_000;

/// Stores jobs in a state, newer than those that are there.
async fn insert(pool: &PgPool, state: &str, count: i32) {
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "INSERT INTO jobs (id, labels, state, spec, progress, spend, created_at, finished_at)
         SELECT id, '{}', $2, '{}', '{}', '{}', now(), CASE WHEN $2 = 'succeeded' THEN now() END
         FROM unnest($1::uuid[]) AS id",
    )
    .bind(&ids)
    .bind(state)
    .execute(pool)
    .await
    .unwrap();
    sqlx::query("ANALYZE jobs").execute(pool).await.unwrap();
}

#[tokio::test]
async fn what_a_claim_reads_does_not_grow_with_what_has_ended_or_waits() {
    let store = Store::new().await;
    insert(&store.pool, "succeeded", MANY).await;
    insert(&store.pool, "queued", MANY).await;
    let rows_read = async |lease_seconds: u32| {
        let mut transaction = store.pool.begin().await.unwrap();
        let claimed = queue::claim(&mut transaction, &claimant(lease_seconds), Utc::now())
            .await
            .unwrap();
        let read: i64 = sqlx::query_scalar(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
             WHERE relname = 'jobs'",
        )
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
        (claimed.unwrap().claim, read)
    };
    let (waited, read) = rows_read(0).await;
    assert!(read < 20, "{read} rows for a job that waited");
    let (overdue, read) = rows_read(60).await;
    assert_eq!((overdue.job, overdue.attempt), (waited.job, 2));
    assert!(read < 20, "{read} rows for a job whose lease ran out");

    let mut connection = store.pool.acquire().await.unwrap();
    let depth = queue::depth(&mut connection).await.unwrap();
    let queued = i64::from(MANY) - 1;
    assert_eq!(depth, Depth { queued, leased: 1 });
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn a_job_whose_lease_ran_out_comes_first_and_keeps_no_other_waiting() {
    let store = Store::new().await;
    let first = store.create_job().await;
    let second = store.create_job().await;
    let third = store.create_job().await;
    store.claim(0).await.unwrap();
    // Two at once: neither waits for the other, and what one holds the other passes over.
    let mut one = store.pool.begin().await.unwrap();
    let mut two = store.pool.begin().await.unwrap();
    let mut claimed = Vec::new();
    for transaction in [&mut one, &mut two] {
        let found = queue::claim(transaction, &claimant(60), Utc::now()).await;
        claimed.push(found.unwrap().unwrap().claim.job);
    }
    assert_eq!(claimed, [first, second]);
    one.commit().await.unwrap();
    two.rollback().await.unwrap();
    assert_eq!(store.claim(60).await.unwrap().job, second);
    assert_eq!(store.claim(60).await.unwrap().job, third);
    assert_eq!(store.claim(60).await, None);
    store.end().await;
}

#[tokio::test]
async fn attempts_count_as_lost_until_one_gets_on() {
    let store = Store::new().await;
    store.create_job().await;
    let lost = async || store.claimed(0).await.unwrap().lost_attempts;
    assert_eq!((lost().await, lost().await, lost().await), (0, 1, 2));

    // Given back: it counts neither way.
    let claimed = store.claimed(0).await.unwrap();
    assert_eq!(claimed.lost_attempts, 3);
    let mut connection = store.pool.acquire().await.unwrap();
    release(&mut connection, claimed.claim).await;
    let claimed = store.claimed(0).await.unwrap();
    assert_eq!(claimed.lost_attempts, 3);

    // A request that was only sent is nothing to show; one that was settled is.
    let request = store.begin_trial(claimed.claim).await;
    let claimed = store.claimed(0).await.unwrap();
    assert_eq!(claimed.lost_attempts, 4);
    let now = Utc::now();
    send(&mut connection, claimed.claim, &[request], now)
        .await
        .unwrap();
    settle(
        &mut connection,
        claimed.claim,
        request.key,
        &answer("a"),
        1,
        now,
    )
    .await
    .unwrap();
    assert_eq!((lost().await, lost().await), (0, 1));

    // So is the end of a trial that needed no request.
    let claimed = store.claimed(0).await.unwrap();
    assert_eq!(claimed.lost_attempts, 2);
    store.stop_trial(claimed.claim).await;
    assert_eq!(lost().await, 0);
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn a_job_that_loses_workers_again_and_again_rests_between_them() {
    let store = Store::new().await;
    let job = store.create_job().await;
    for _ in 0..4 {
        store.claim(0).await.unwrap();
    }
    // Its lease has run out, yet a worker whose leases are long leaves it alone for a while.
    assert_eq!(store.claim(1_000_000).await, None);
    let other = store.create_job().await;
    assert_eq!(store.claim(1_000_000).await.unwrap().job, other);
    let age = "UPDATE jobs SET lease_expires_at = now() - interval '1 year' WHERE id = $1";
    sqlx::query(age)
        .bind(job.0)
        .execute(&store.pool)
        .await
        .unwrap();
    assert_eq!(store.claim(1_000_000).await.unwrap().job, job);
    store.end().await;
}
