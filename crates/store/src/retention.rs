//! What goes in time of jobs that have ended: in small batches, each a transaction of its own.
//!
//! A batch removes at most [`BATCH`] rows of one job, whose row it holds meanwhile, so that nothing else
//! begins with the job. Whatever goes is said in the job's row first, and by the same transaction as the
//! first batch: of responses that are on their way out none is used any more, and how far events are gone
//! is known to whoever reads them. A job that has not ended is never touched.

use crate::{Result, events, read_name, to_u64};
use chrono::{DateTime, Utc};
use frugal_domain::id::JobId;
use frugal_domain::state::JobState;
use sqlx::PgConnection;
use sqlx::types::Uuid;

/// The most rows that a batch removes, but for the job's own and its idempotency keys.
pub const BATCH: i64 = 1_000;

/// The advisory lock that a process holds for a batch, so that one prunes at a time: "frugal" in ASCII.
const LOCK: i64 = 0x6672_7567_616c;

/// Before when a job must have ended for parts of it to go; nothing where they stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// For its events.
    pub events: Option<DateTime<Utc>>,
    /// For its responses.
    pub responses: Option<DateTime<Utc>>,
    /// For all of it.
    pub jobs: Option<DateTime<Utc>>,
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// It removed rows of a job, which may have more.
    Part {
        /// So many.
        rows: u64,
    },
    /// It removed the last rows that are to go of a job.
    Whole {
        /// So many.
        rows: u64,
    },
    /// There is no job that anything is to go of.
    Nothing,
    /// Another process is at it.
    Elsewhere,
}

impl Batch {
    /// A batch that removed so many rows.
    fn of(rows: u64, is_whole: bool) -> Self {
        match is_whole {
            true => Self::Whole { rows },
            false => Self::Part { rows },
        }
    }
}

/// Takes the lock that lets one process prune at a time, until the transaction ends; waits for it where
/// that is wanted.
async fn lock(connection: &mut PgConnection, waits: bool) -> Result<bool> {
    if waits {
        sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK)
            .execute(connection)
            .await?;
        return Ok(true);
    }
    let locked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "locked!""#, LOCK)
        .fetch_one(connection)
        .await?;
    Ok(locked)
}

/// Removes a batch of what is to go: of whole jobs first, then of responses, then of events. The caller
/// commits, and calls again until there is nothing.
///
/// # Errors
/// The database is away.
pub async fn prune(
    connection: &mut PgConnection,
    before: Before,
    waits: bool,
    now: DateTime<Utc>,
) -> Result<Batch> {
    if !lock(&mut *connection, waits).await? {
        return Ok(Batch::Elsewhere);
    }
    if let Some(jobs) = before.jobs
        && let Some(job) = ended_before(&mut *connection, jobs).await?
    {
        return delete_batch(connection, job, now).await;
    }
    if let Some(responses) = before.responses
        && let Some(job) = with_responses_before(&mut *connection, responses).await?
    {
        return prune_responses(connection, job, now).await;
    }
    if let Some(events) = before.events {
        return prune_events(connection, events).await;
    }
    Ok(Batch::Nothing)
}

/// The job that ended first of those that ended before, held; ones that others hold are passed over.
async fn ended_before(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<Option<JobId>> {
    let id = sqlx::query_scalar!(
        r#"
        SELECT id FROM jobs WHERE finished_at < $1
        ORDER BY finished_at LIMIT 1 FOR UPDATE SKIP LOCKED
        "#,
        before
    )
    .fetch_optional(connection)
    .await?;
    Ok(id.map(JobId))
}

/// The same of those that have responses.
async fn with_responses_before(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<Option<JobId>> {
    let id = sqlx::query_scalar!(
        r#"
        SELECT id FROM jobs WHERE has_responses AND finished_at < $1
        ORDER BY finished_at LIMIT 1 FOR UPDATE SKIP LOCKED
        "#,
        before
    )
    .fetch_optional(connection)
    .await?;
    Ok(id.map(JobId))
}

/// Removes events of the job that ended first, in their order.
async fn prune_events(connection: &mut PgConnection, before: DateTime<Utc>) -> Result<Batch> {
    let job = sqlx::query!(
        r#"
        SELECT id, events_pruned_through, last_seq FROM jobs WHERE has_events AND finished_at < $1
        ORDER BY finished_at LIMIT 1 FOR UPDATE SKIP LOCKED
        "#,
        before
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(job) = job else {
        return Ok(Batch::Nothing);
    };
    // They are numbered without gaps.
    let through = job.last_seq.min(job.events_pruned_through + BATCH);
    let is_whole = through == job.last_seq;
    sqlx::query!(
        r#"
        UPDATE jobs SET
            events_pruned_through = $2, has_events = $3,
            events_pruned_position = coalesce(
                (SELECT max(position) FROM events WHERE job_id = $1 AND seq <= $2), events_pruned_position
            )
        WHERE id = $1
        "#,
        job.id,
        through,
        !is_whole
    )
    .execute(&mut *connection)
    .await?;
    let deleted = sqlx::query!(
        "DELETE FROM events WHERE job_id = $1 AND seq <= $2",
        job.id,
        through
    )
    .execute(connection)
    .await?;
    Ok(Batch::of(deleted.rows_affected(), is_whole))
}

/// Removes responses of a job that the caller holds.
async fn prune_responses(
    connection: &mut PgConnection,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Batch> {
    let left = delete_of(&mut *connection, &Table::OF_RESPONSES, job, BATCH).await?;
    sqlx::query!(
        r#"
        UPDATE jobs SET
            responses_pruned_at = coalesce(responses_pruned_at, $2), has_responses = $3
        WHERE id = $1
        "#,
        job.0,
        // Of a job that had none, none are gone.
        (left < BATCH).then_some(now),
        left == 0
    )
    .execute(connection)
    .await?;
    Ok(Batch::of((BATCH - left).unsigned_abs(), left > 0))
}

/// Removes rows of a job that the caller holds, from the leaves on, and the job with the last of them.
async fn delete_batch(
    connection: &mut PgConnection,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Batch> {
    sqlx::query!(
        r#"
        UPDATE jobs SET
            responses_pruned_at = coalesce(responses_pruned_at, $2),
            events_pruned_through = last_seq
        WHERE id = $1
        "#,
        job.0,
        now
    )
    .execute(&mut *connection)
    .await?;
    let left = delete_of(&mut *connection, &Table::OF_RESPONSES, job, BATCH).await?;
    let left = delete_of(&mut *connection, &Table::OF_THE_REST, job, left).await?;
    if left > 0 {
        sqlx::query!("DELETE FROM jobs WHERE id = $1", job.0)
            .execute(&mut *connection)
            .await?;
        events::tell(connection, job).await?;
    }
    Ok(Batch::of((BATCH - left).unsigned_abs(), left > 0))
}

/// Removes at most so many rows of a job from tables, one after the other; how many fewer than that they
/// were.
async fn delete_of(
    connection: &mut PgConnection,
    tables: &[Table],
    job: JobId,
    limit: i64,
) -> Result<i64> {
    let mut left = limit;
    for table in tables {
        left = left.saturating_sub_unsigned(table.delete(&mut *connection, job.0, left).await?);
    }
    Ok(left)
}

/// A table with rows of jobs.
#[derive(Debug, Clone, Copy)]
enum Table {
    Responses,
    AdoptedResponses,
    Scores,
    Requests,
    Events,
    Instances,
    Trials,
}

/// The query that removes at most so many rows of a job from a table.
macro_rules! delete_from {
    ($table:tt, $job:expr, $limit:expr) => {
        sqlx::query!(
            "DELETE FROM "
                + $table
                + " WHERE ctid = ANY (ARRAY(SELECT ctid FROM "
                + $table
                + " WHERE job_id = $1 LIMIT $2))",
            $job,
            $limit
        )
    };
}

impl Table {
    /// What a job was answered, and what it took over from others.
    const OF_RESPONSES: [Self; 2] = [Self::Responses, Self::AdoptedResponses];
    /// All else, in an order in which nothing refers to what is removed.
    const OF_THE_REST: [Self; 5] = [
        Self::Scores,
        Self::Requests,
        Self::Events,
        Self::Instances,
        Self::Trials,
    ];

    /// Removes at most so many rows of a job, and tells how many.
    async fn delete(self, connection: &mut PgConnection, job: Uuid, limit: i64) -> Result<u64> {
        let deleting = match self {
            Self::Responses => delete_from!("responses", job, limit),
            Self::AdoptedResponses => delete_from!("adopted_responses", job, limit),
            Self::Scores => delete_from!("scores", job, limit),
            Self::Requests => delete_from!("requests", job, limit),
            Self::Events => delete_from!("events", job, limit),
            Self::Instances => delete_from!("instances", job, limit),
            Self::Trials => delete_from!("trials", job, limit),
        };
        Ok(deleting.execute(connection).await?.rows_affected())
    }
}

/// What came of a request to delete a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// There is no such job.
    NotFound,
    /// It has not ended.
    Lives(JobState),
    /// A part of it is gone, so the caller commits and goes on.
    Part,
    /// All of it is gone.
    Done,
}

/// Removes a batch of a job's rows, and the job with the last of them.
///
/// # Errors
/// The database is away.
pub async fn delete(
    connection: &mut PgConnection,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<Deletion> {
    let state = sqlx::query_scalar!("SELECT state FROM jobs WHERE id = $1 FOR UPDATE", job.0)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(state) = state else {
        return Ok(Deletion::NotFound);
    };
    let state: JobState = read_name("job state", &state)?;
    if !state.is_terminal() {
        return Ok(Deletion::Lives(state));
    }
    Ok(match delete_batch(connection, job, now).await? {
        Batch::Part { .. } => Deletion::Part,
        _ => Deletion::Done,
    })
}

/// What is to go, as [`prune`] would find it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// Jobs that go as a whole.
    pub jobs: u64,
    /// Their requests.
    pub requests: u64,
    /// Jobs that stay without their responses.
    pub jobs_with_responses: u64,
    /// These responses, and those that these jobs took over from others.
    pub responses: u64,
    /// The bytes of their texts, as they are stored.
    pub text_bytes: u64,
    /// Jobs that stay without their events.
    pub jobs_with_events: u64,
    /// These events.
    pub events: u64,
}

/// Counts what is to go. It reads all of that.
///
/// # Errors
/// The database is away.
pub async fn due(connection: &mut PgConnection, before: Before) -> Result<Due> {
    let row = sqlx::query!(
        r#"
        WITH gone AS (
            SELECT id FROM jobs WHERE finished_at < $1
        ), silent AS (
            SELECT id FROM jobs
            WHERE has_responses AND finished_at < $2
              AND ($1::timestamptz IS NULL OR finished_at >= $1)
        ), unheard AS (
            SELECT last_seq - events_pruned_through AS events FROM jobs
            WHERE has_events AND finished_at < $3
              AND ($1::timestamptz IS NULL OR finished_at >= $1)
        ), texts AS (
            SELECT text FROM responses JOIN silent ON silent.id = job_id
            UNION ALL
            SELECT text FROM adopted_responses JOIN silent ON silent.id = job_id
        )
        SELECT (SELECT count(*) FROM gone) AS "jobs!",
               (SELECT count(*) FROM requests JOIN gone ON gone.id = job_id) AS "requests!",
               (SELECT count(*) FROM silent) AS "jobs_with_responses!",
               (SELECT count(*) FROM texts) AS "responses!",
               (SELECT coalesce(sum(pg_column_size(text)), 0)::bigint FROM texts) AS "text_bytes!",
               (SELECT count(*) FROM unheard) AS "jobs_with_events!",
               (SELECT coalesce(sum(events), 0)::bigint FROM unheard) AS "events!"
        "#,
        before.jobs,
        before.responses,
        before.events
    )
    .fetch_one(connection)
    .await?;
    Ok(Due {
        jobs: to_u64("number of jobs", row.jobs)?,
        requests: to_u64("number of requests", row.requests)?,
        jobs_with_responses: to_u64("number of jobs", row.jobs_with_responses)?,
        responses: to_u64("number of responses", row.responses)?,
        text_bytes: to_u64("number of bytes", row.text_bytes)?,
        jobs_with_events: to_u64("number of jobs", row.jobs_with_events)?,
        events: to_u64("number of events", row.events)?,
    })
}
