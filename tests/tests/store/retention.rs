//! What goes of jobs that have ended, and what never does.

use crate::Store;
use chrono::{TimeDelta, Utc};
use frugal_domain::id::JobId;
use frugal_domain::state::JobState;
use frugal_store::retention::{self, BATCH, Batch, Before, Deletion, Due};
use frugal_store::{PgConnection, jobs, reuse};
use serde_json::Value;
use std::collections::BTreeMap;

const KEY: [u8; 32] = [9; 32];

/// Tables with rows of jobs.
const TABLES: [&str; 7] = [
    "adopted_responses",
    "events",
    "instances",
    "requests",
    "responses",
    "scores",
    "trials",
];

impl Store {
    /// Runs a statement of a job's id, a number and a key.
    async fn run(&self, statement: &'static str, job: JobId, number: i32) {
        sqlx::query(statement)
            .bind(job.0)
            .bind(number)
            .bind(&KEY[..])
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// A job with two responses and a score for each of so many requests, that many events more, and
    /// something taken over.
    async fn filled(&self, requests: i32) -> JobId {
        let job = self.create_job().await;
        for statement in [
            "INSERT INTO requests (job_id, purpose, trial, ordinal, attempt, state, instance, n,
                 max_tokens, worst_usd_pico, worst_tokens, cost_usd_pico, cost_tokens, prompt_tokens,
                 completion_tokens, latency_ms, sent_at, answered_at, reuse_key)
             SELECT $1, 'search', 1, number, 1, 'answered', 0, 2, 16, 1, 1, 1, 1, 1, 2, 1, now(), now(), $3
             FROM generate_series(1, $2) AS number",
            "INSERT INTO responses SELECT job_id, purpose, trial, ordinal, attempt, position, 'text',
                 'stop', 1
             FROM requests, generate_series(0, 1) AS position
             WHERE job_id = $1 AND ($2, $3) IS NOT NULL",
            "INSERT INTO scores (job_id, purpose, trial, ordinal, position, instance, score, scored_at)
             SELECT job_id, purpose, trial, ordinal, position, 0, 1, now() FROM responses
             WHERE job_id = $1 AND ($2, $3) IS NOT NULL",
            "INSERT INTO events SELECT $1, 1 + number, 'budget.updated',
                 '{\"spend\": {\"usd\": 0, \"tokens\": 1}}', now()
             FROM generate_series(1, $2) AS number WHERE $3 IS NOT NULL",
            "UPDATE jobs SET last_seq = last_seq + $2 WHERE id = $1 AND $3 IS NOT NULL",
            "INSERT INTO trials (job_id, number, role, origin, state, configuration, settings, outcome,
                 started_at, finished_at)
             SELECT $1, 1, 'search', 'start', 'stopped', '{}', '{}', '{}', now(), now()
             WHERE ($2, $3) IS NOT NULL",
            "INSERT INTO adopted_responses SELECT $1, 1, 0, 0, $1, 'search', 1, 1, 0, 16, 1, 1, 1, 1,
                 'text', 'stop'
             WHERE ($2, $3) IS NOT NULL",
        ] {
            self.run(statement, job, requests).await;
        }
        job
    }

    /// Puts a job into a state; one that has ended did so so many days ago.
    async fn put(&self, job: JobId, state: JobState, days: i64) {
        let ended = Utc::now() - TimeDelta::days(days);
        let is_leased = matches!(
            state,
            JobState::Running | JobState::Pausing | JobState::Cancelling
        );
        sqlx::query(
            "UPDATE jobs SET state = $2, finished_at = $3, created_at = $4,
                 lease_expires_at = CASE WHEN $5 THEN now() + interval '1 hour' END
             WHERE id = $1",
        )
        .bind(job.0)
        .bind(state.as_str())
        .bind(state.is_terminal().then_some(ended))
        .bind(Utc::now() - TimeDelta::days(100))
        .bind(is_leased)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// How many rows of a job there are, by table, and the job's own.
    async fn rows(&self, job: JobId) -> (BTreeMap<&'static str, i64>, Value) {
        let mut rows = BTreeMap::new();
        for table in TABLES {
            let query = format!("SELECT count(*) FROM {table} WHERE job_id = $1");
            let count = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
                .bind(job.0)
                .fetch_one(&self.pool)
                .await
                .unwrap();
            rows.insert(table, count);
        }
        let own = sqlx::query_scalar("SELECT to_jsonb(jobs) FROM jobs WHERE id = $1")
            .bind(job.0)
            .fetch_optional(&self.pool)
            .await
            .unwrap();
        (rows, own.unwrap_or_default())
    }

    async fn prune(&self, before: Before) -> Batch {
        let mut transaction = self.pool.begin().await.unwrap();
        let batch = retention::prune(&mut transaction, before, false, Utc::now()).await;
        transaction.commit().await.unwrap();
        batch.unwrap()
    }

    /// All batches but the last one, which finds nothing.
    async fn prune_all(&self, before: Before) -> Vec<Batch> {
        let mut batches = Vec::new();
        loop {
            match self.prune(before).await {
                Batch::Nothing => return batches,
                batch => batches.push(batch),
            }
        }
    }
}

/// Everything that ended longer than five days ago.
fn everything() -> Before {
    let before = Some(Utc::now() - TimeDelta::days(5));
    Before {
        events: before,
        responses: before,
        jobs: before,
    }
}

#[tokio::test]
async fn jobs_that_live_or_ended_lately_are_never_touched() {
    let store = Store::new().await;
    let mut kept = Vec::new();
    for state in JobState::ALL {
        let job = store.filled(3).await;
        // However old it is, one that has not ended stays; one that has, as long as it is kept.
        store.put(job, *state, 4).await;
        kept.push((job, store.rows(job).await));
    }
    let gone = store.filled(3).await;
    store.put(gone, JobState::Failed, 6).await;
    assert_eq!(store.prune_all(everything()).await.len(), 1);
    for (job, rows) in kept {
        assert_eq!(store.rows(job).await, rows);
    }
    let (rows, own) = store.rows(gone).await;
    assert!(own.is_null() && rows.values().all(|count| *count == 0));
    store.end().await;
}

#[tokio::test]
async fn what_goes_goes_in_small_batches_and_is_said_first() {
    let store = Store::new().await;
    let job = store.filled(1_300).await;
    store.put(job, JobState::Succeeded, 6).await;
    let asking = store.create_job().await;
    let found = async || {
        let mut connection = store.pool.acquire().await.unwrap();
        let found = reuse::find(&mut connection, asking, None, &[KEY], 10).await;
        found.unwrap().len()
    };
    assert_eq!(found().await, 5);
    let only = |events: bool, responses: bool, jobs: bool| Before {
        events: everything().events.filter(|_| events),
        responses: everything().responses.filter(|_| responses),
        jobs: everything().jobs.filter(|_| jobs),
    };
    let find = async || {
        let mut connection = store.pool.acquire().await.unwrap();
        jobs::find(&mut connection, job).await.unwrap().unwrap()
    };

    // 2,601 responses: the first batch makes them of no use, since some requests have one left.
    let responses = only(false, true, false);
    assert_eq!(store.prune(responses).await, Batch::Part { rows: 1_000 });
    assert_eq!(found().await, 0);
    let since = find().await.responses_pruned_at;
    assert!(since.is_some());
    let rest = [Batch::Part { rows: 1_000 }, Batch::Whole { rows: 601 }];
    assert_eq!(store.prune_all(responses).await, rest);
    assert_eq!(find().await.responses_pruned_at, since);
    let (rows, _) = store.rows(job).await;
    assert_eq!((rows["responses"], rows["adopted_responses"]), (0, 0));
    assert_eq!((rows["requests"], rows["scores"]), (1_300, 2_600));

    // 1,301 events, the first ones first.
    let events = only(true, false, false);
    assert_eq!(store.prune(events).await, Batch::Part { rows: 1_000 });
    assert_eq!(find().await.events_pruned_through, 1_000);
    assert_eq!(store.rows(job).await.0["events"], 301);
    assert_eq!(store.prune_all(events).await, [Batch::Whole { rows: 301 }]);
    assert_eq!(find().await.events_pruned_through, find().await.last_seq);

    // The rest: requests, scores, two rows of data, a trial.
    let batches = store.prune_all(only(false, false, true)).await;
    let rows = |batch: &Batch| match batch {
        Batch::Part { rows } | Batch::Whole { rows } => *rows,
        other => unreachable!("{other:?}"),
    };
    assert!(
        batches
            .iter()
            .all(|batch| rows(batch) <= BATCH.unsigned_abs())
    );
    assert_eq!(batches.iter().map(rows).sum::<u64>(), 1_300 + 2_600 + 2 + 1);
    assert!(store.rows(job).await.1.is_null());
    store.end().await;
}

#[tokio::test]
async fn what_would_go_is_counted_as_it_goes() {
    let store = Store::new().await;
    for (requests, days) in [(4, 20), (3, 8), (2, 3)] {
        let job = store.filled(requests).await;
        store.put(job, JobState::Cancelled, days).await;
    }
    let ago = |days| Some(Utc::now() - TimeDelta::days(days));
    let before = Before {
        events: ago(5),
        responses: ago(2),
        jobs: ago(10),
    };
    let mut connection = store.pool.acquire().await.unwrap();
    let due = retention::due(&mut connection, before).await.unwrap();
    assert!(due.text_bytes > 0);
    let counted = Due {
        jobs: 1,
        requests: 4,
        jobs_with_responses: 2,
        responses: 2 * 3 + 1 + 2 * 2 + 1,
        text_bytes: due.text_bytes,
        jobs_with_events: 1,
        events: 4,
    };
    assert_eq!(due, counted);
    store.prune_all(before).await;
    let due = retention::due(&mut connection, before).await.unwrap();
    assert_eq!(due, Due::default());
    drop(connection);
    store.end().await;
}

#[tokio::test]
async fn one_process_prunes_at_a_time_and_passes_over_what_is_held() {
    let store = Store::new().await;
    let (held, free) = (store.filled(1).await, store.filled(1).await);
    store.put(held, JobState::Succeeded, 9).await;
    store.put(free, JobState::Succeeded, 8).await;
    let mut other = store.pool.begin().await.unwrap();
    let deleted = retention::delete(&mut other, held, Utc::now()).await;
    assert_eq!(deleted.unwrap(), Deletion::Done);
    assert_eq!(store.prune_all(everything()).await.len(), 1);
    assert!(store.rows(free).await.1.is_null());
    other.rollback().await.unwrap();

    let mut first = store.pool.begin().await.unwrap();
    let batch = retention::prune(&mut first, everything(), false, Utc::now()).await;
    assert!(matches!(batch.unwrap(), Batch::Whole { .. }));
    assert_eq!(store.prune(everything()).await, Batch::Elsewhere);
    first.commit().await.unwrap();
    assert_eq!(store.prune(everything()).await, Batch::Nothing);
    store.end().await;
}

/// Rows of jobs and of their idempotency keys that this session has read, since it last told the server's statistics
/// of them: which is once a second at most, so that what came before may be among them.
async fn rows_read(connection: &mut PgConnection) -> i64 {
    let read: Option<i64> = sqlx::query_scalar(
        "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
         FROM pg_stat_xact_user_tables WHERE relname IN ('jobs', 'idempotency_keys')",
    )
    .fetch_one(connection)
    .await
    .unwrap();
    read.unwrap_or(0)
}

#[tokio::test]
async fn what_a_batch_reads_does_not_grow_with_what_is_kept_or_gone() {
    const MANY: i32 = 20_000;
    let store = Store::new().await;
    let job = store.filled(3).await;
    for (days, has) in [(1, true), (20, false)] {
        sqlx::query(
            "INSERT INTO jobs (id, labels, state, spec, progress, spend, created_at, finished_at,
                               has_events, has_responses)
             SELECT gen_random_uuid(), '{}', 'succeeded', '{}', '{}', '{}', $2, $2, $3, $3
             FROM generate_series(1, $1)",
        )
        .bind(MANY)
        .bind(Utc::now() - TimeDelta::days(days))
        .bind(has)
        .execute(&store.pool)
        .await
        .unwrap();
    }
    sqlx::query(
        "INSERT INTO idempotency_keys SELECT gen_random_uuid(), '', id, '{}', now() FROM jobs",
    )
    .execute(&store.pool)
    .await
    .unwrap();
    store.put(job, JobState::Succeeded, 30).await;
    sqlx::query("ANALYZE").execute(&store.pool).await.unwrap();
    let before = |days| Some(Utc::now() - TimeDelta::days(days));
    for before in [
        Before {
            events: before(5),
            ..Before::default()
        },
        Before {
            responses: before(5),
            ..Before::default()
        },
        Before {
            jobs: before(25),
            ..Before::default()
        },
        // There is nothing more.
        Before {
            events: before(5),
            responses: before(5),
            jobs: before(25),
        },
    ] {
        let mut transaction = store.pool.begin().await.unwrap();
        let earlier = rows_read(&mut transaction).await;
        let batch = retention::prune(&mut transaction, before, false, Utc::now()).await;
        let is_last = before.events.is_some() && before.jobs.is_some();
        assert_eq!(batch.unwrap() == Batch::Nothing, is_last);
        let read = rows_read(&mut transaction).await - earlier;
        transaction.commit().await.unwrap();
        assert!(read < 20, "{before:?}: {read}");
    }
    assert!(store.rows(job).await.1.is_null());
    store.end().await;
}

#[tokio::test]
async fn a_job_that_has_not_ended_is_not_deleted() {
    let store = Store::new().await;
    let job = store.filled(2).await;
    let rows = store.rows(job).await;
    let mut connection = store.pool.acquire().await.unwrap();
    let deleted = retention::delete(&mut connection, job, Utc::now()).await;
    assert_eq!(deleted.unwrap(), Deletion::Lives(JobState::Queued));
    assert_eq!(store.rows(job).await, rows);
    store.put(job, JobState::Succeeded, 0).await;
    let deleted = retention::delete(&mut connection, job, Utc::now()).await;
    assert_eq!(deleted.unwrap(), Deletion::Done);
    let deleted = retention::delete(&mut connection, job, Utc::now()).await;
    assert_eq!(deleted.unwrap(), Deletion::NotFound);
    drop(connection);
    store.end().await;
}
