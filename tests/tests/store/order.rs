//! Which of the jobs that wait comes first, and who may take it.

use crate::{Store, claimant, release};
use chrono::Utc;
use frugal_domain::id::JobId;
use frugal_store::queue::{self, Claimant, Claimed};
use frugal_store::{PgConnection, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// Stores jobs of an owner that wait, and returns them, the oldest first.
async fn insert(pool: &PgPool, owner: &str, priority: i16, count: usize) -> Vec<JobId> {
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "INSERT INTO jobs (id, labels, state, spec, progress, spend, created_at, owner, priority)
         SELECT id, '{}', 'queued', '{}', '{}', '{}', now(), nullif($2, ''), $3
         FROM unnest($1::uuid[]) AS id",
    )
    .bind(&ids)
    .bind(owner)
    .bind(priority)
    .execute(pool)
    .await
    .unwrap();
    ids.into_iter().map(JobId).collect()
}

async fn claim(pool: &PgPool, claimant: &Claimant<'_>) -> Option<Claimed> {
    let mut transaction = pool.begin().await.unwrap();
    let claimed = queue::claim(&mut transaction, claimant, Utc::now()).await;
    transaction.commit().await.unwrap();
    claimed.unwrap()
}

/// Rows of jobs that the connection has read.
async fn rows_read(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
         WHERE relname = 'jobs'",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

async fn next(pool: &PgPool) -> Option<JobId> {
    claim(pool, &claimant(60))
        .await
        .map(|claimed| claimed.claim.job)
}

#[tokio::test]
async fn higher_priorities_come_first_and_then_the_oldest() {
    let store = Store::new().await;
    let low = insert(&store.pool, "", -9, 1).await;
    let usual = insert(&store.pool, "", 0, 2).await;
    let high = insert(&store.pool, "", 9, 1).await;
    let mut taken = Vec::new();
    while let Some(job) = next(&store.pool).await {
        taken.push(job);
    }
    assert_eq!(taken, [high, usual, low].concat());
    store.end().await;
}

#[tokio::test]
async fn the_owner_with_the_fewest_running_jobs_comes_first() {
    let store = Store::new().await;
    let busy = insert(&store.pool, "busy", 0, 6).await;
    for expected in &busy[..3] {
        assert_eq!(next(&store.pool).await, Some(*expected));
    }
    let late = insert(&store.pool, "late", 0, 5).await;
    let nobody = insert(&store.pool, "", 0, 1).await;
    let mut taken = Vec::new();
    while let Some(job) = next(&store.pool).await {
        taken.push(job);
    }
    // Each time the one with the fewest, of equal ones that with the oldest job that waits.
    let expected = [
        late[0], nobody[0], late[1], late[2], busy[3], late[3], busy[4], late[4], busy[5],
    ];
    assert_eq!(taken, expected);
    store.end().await;
}

#[tokio::test]
async fn an_owner_at_the_limit_waits_and_keeps_no_other_waiting() {
    let store = Store::new().await;
    let urgent = insert(&store.pool, "many", 5, 4).await;
    let other = insert(&store.pool, "other", 0, 1).await;
    let limited = Claimant {
        most_running_per_owner: Some(2),
        ..claimant(60)
    };
    let mut claims = Vec::new();
    while let Some(claimed) = claim(&store.pool, &limited).await {
        claims.push(claimed.claim);
    }
    let jobs: Vec<_> = claims.iter().map(|claim| claim.job).collect();
    assert_eq!(jobs, [urgent[0], urgent[1], other[0]]);
    // At once, none passes the limit.
    let mut connection = store.pool.acquire().await.unwrap();
    release(&mut connection, claims[0]).await;
    let claims = (0..4).map(|_| claim(&store.pool, &limited));
    let claimed = futures::future::join_all(claims).await;
    let jobs: Vec<_> = claimed.into_iter().flatten().collect();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].claim.job, urgent[0], "what was begun goes first");
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn a_job_is_not_begun_before_its_moment() {
    let store = Store::new().await;
    let [job] = insert(&store.pool, "", 9, 1).await[..] else {
        unreachable!("one was asked for");
    };
    let set = async |seconds: f64| {
        sqlx::query(
            "UPDATE jobs SET dormant = true, not_before = now() + make_interval(secs => $1)",
        )
        .bind(seconds)
        .execute(&store.pool)
        .await
        .unwrap();
    };
    set(3_600.0).await;
    let mut connection = store.pool.acquire().await.unwrap();
    assert_eq!(queue::wake(&mut connection).await.unwrap(), 0);
    assert_eq!(next(&store.pool).await, None);
    let due = queue::next_due(&mut connection, &claimant(60)).await;
    let due = due.unwrap().unwrap();
    assert!(due > Duration::from_secs(3_500) && due <= Duration::from_secs(3_600));
    set(0.0).await;
    assert_eq!(queue::wake(&mut connection).await.unwrap(), 1);
    assert_eq!(next(&store.pool).await, Some(job));
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn a_job_is_taken_by_the_version_that_decided_it() {
    let store = Store::new().await;
    insert(&store.pool, "", 0, 1).await;
    let newer = Claimant {
        decisions: 2,
        ..claimant(60)
    };
    let begun = claim(&store.pool, &claimant(60)).await.unwrap();
    let mut connection = store.pool.acquire().await.unwrap();
    release(&mut connection, begun.claim).await;
    assert_eq!(claim(&store.pool, &newer).await, None);
    let of_others = async |waited| {
        let mut transaction = store.pool.begin().await.unwrap();
        let waited = Duration::from_secs(waited);
        let claimed = queue::claim_of_others(&mut transaction, &newer, waited, Utc::now()).await;
        transaction.commit().await.unwrap();
        claimed.unwrap()
    };
    assert_eq!(of_others(3_600).await, None, "one of its own may come");
    let again = claim(&store.pool, &claimant(0)).await.unwrap();
    assert_eq!((again.claim.attempt, again.decided_before), (2, None));
    // Its lease has run out, and no worker of its version takes it up.
    assert_eq!(claim(&store.pool, &newer).await, None);
    let taken_over = of_others(0).await.unwrap();
    assert_eq!(
        (taken_over.claim.attempt, taken_over.decided_before),
        (3, Some(1))
    );
    // From now on it is the newer one's, which is told what it is.
    release(&mut connection, taken_over.claim).await;
    assert_eq!(claim(&store.pool, &claimant(60)).await, None);
    let next = claim(&store.pool, &newer).await.unwrap();
    assert_eq!((next.claim.attempt, next.decided_before), (4, Some(1)));
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn what_a_claim_reads_does_not_grow_with_owners_priorities_or_jobs_that_sleep() {
    let store = Store::new().await;
    for owner in 0..400 {
        let priority = i16::try_from(owner % 19).unwrap() - 9;
        insert(&store.pool, &format!("owner {owner}"), priority, 5).await;
    }
    insert(&store.pool, "asleep", 9, 2_000).await;
    sqlx::query("UPDATE jobs SET dormant = true, not_before = now() + interval '1 day' WHERE owner = 'asleep'")
        .execute(&store.pool)
        .await
        .unwrap();
    sqlx::query("ANALYZE jobs")
        .execute(&store.pool)
        .await
        .unwrap();
    let plain = claimant(60);
    let limited = Claimant {
        most_running_per_owner: Some(1),
        ..plain
    };
    for claimant in [plain, limited] {
        for _ in 0..30 {
            let mut transaction = store.pool.begin().await.unwrap();
            // What the connection did before may not be told to the server yet, and then counts too.
            let before = rows_read(&mut transaction).await;
            let claimed = queue::claim(&mut transaction, &claimant, Utc::now()).await;
            assert!(claimed.unwrap().is_some());
            queue::wake(&mut transaction).await.unwrap();
            queue::next_due(&mut transaction, &claimant).await.unwrap();
            let read = rows_read(&mut transaction).await - before;
            transaction.commit().await.unwrap();
            // 32 owners are compared, by the oldest of their jobs that wait and their running ones; those
            // at the limit, of which there are as many as jobs run, are passed by on the way.
            assert!(read < 1_000, "{read} rows");
        }
    }
    store.end().await;
}

#[tokio::test]
async fn a_worker_of_one_job_takes_that_one_whatever_waits_before_it() {
    let store = Store::new().await;
    let urgent = insert(&store.pool, "", 9, 1).await;
    let wanted = insert(&store.pool, "", -9, 1).await;
    let of_one = |lease_seconds| Claimant {
        only: Some(wanted[0]),
        ..claimant(lease_seconds)
    };
    let first = claim(&store.pool, &of_one(0)).await.unwrap().claim;
    assert_eq!(first.job, wanted[0]);
    // Its lease is over at once, so it may be taken again; what its first worker was, is lost.
    let second = claim(&store.pool, &of_one(60)).await.unwrap();
    assert_eq!(
        (second.claim.job, second.claim.attempt),
        (wanted[0], first.attempt + 1)
    );
    assert_eq!(second.lost_attempts, 1);
    assert_eq!(claim(&store.pool, &of_one(60)).await, None);
    assert_eq!(next(&store.pool).await, Some(urgent[0]));
    store.end().await;
}
