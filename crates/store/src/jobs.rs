//! Jobs: creating, reading, listing, and what a client may ask of one.

use crate::claim::Claim;
use crate::{
    Error, Result, books, events, instances, queue, read_json, read_name, to_integer, to_u32,
    write_json,
};
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::access::Access;
use frugal_domain::event::EventBody;
use frugal_domain::fault::Fault;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::{Data, JobKind, JobSpec, Priority};
use frugal_domain::spend::SpendByCategory;
use frugal_domain::state::{JobState, StopReason};
use frugal_domain::trial::Progress;
use serde_json::json;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// The error of PostgreSQL for a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A job as stored, without its instances.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What was posted, read and checked.
    pub spec: JobSpec,
    /// Where it is in its life.
    pub state: JobState,
    /// Why its search ended.
    pub stop_reason: Option<StopReason>,
    /// Why it failed, in words.
    pub detail: Option<String>,
    /// Trials by outcome, requests, responses.
    pub progress: Progress,
    /// What was spent, by category.
    pub spend: SpendByCategory,
    /// The best valid trial so far.
    pub best_trial: Option<TrialNumber>,
    /// How urgent it is among those that wait.
    pub priority: Priority,
    /// When it may be begun at the earliest.
    pub not_before: Option<DateTime<Utc>>,
    /// The number of the last event: it changes whenever anything else does.
    pub last_seq: i64,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The number of the last event that is gone; 0 where none is.
    pub events_pruned_through: i64,
    /// Since when its responses are gone, where they are.
    pub responses_pruned_at: Option<DateTime<Utc>>,
    /// When the client asked for the pause that lasts.
    pub paused_at: Option<DateTime<Utc>>,
    /// How long it was paused since its first start, but for a pause that lasts, in milliseconds.
    pub paused_ms: i64,
    /// How often its owner has changed it.
    pub changes: u32,
    /// How often it was begun: once, and again each time that it was continued.
    pub run: u32,
}

impl Job {
    /// How much of its limit on time it has used by a moment: the time since its first start, without
    /// that from each request to pause to the one to go on.
    #[must_use]
    pub fn time_used(&self, now: DateTime<Utc>) -> Duration {
        let Some(started_at) = self.started_at else {
            return Duration::ZERO;
        };
        let until = self.paused_at.unwrap_or(now);
        let used = until - started_at - TimeDelta::milliseconds(self.paused_ms);
        used.to_std().unwrap_or_default()
    }
}

/// What tells one picture of a job from another, read without the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What the job is for.
    pub kind: JobKind,
    /// As in [`Job`].
    pub state: JobState,
    /// As in [`Job`].
    pub last_seq: i64,
    /// As in [`Job`].
    pub changes: u32,
    /// As in [`Job`].
    pub events_pruned_through: i64,
    /// As in [`Job`].
    pub responses_pruned_at: Option<DateTime<Utc>>,
}

impl From<&Job> for Mark {
    fn from(job: &Job) -> Self {
        Self {
            kind: job.spec.kind(),
            state: job.state,
            last_seq: job.last_seq,
            changes: job.changes,
            events_pruned_through: job.events_pruned_through,
            responses_pruned_at: job.responses_pruned_at,
        }
    }
}

struct JobRow {
    id: Uuid,
    spec: serde_json::Value,
    state: String,
    stop_reason: Option<String>,
    detail: Option<String>,
    progress: serde_json::Value,
    spend: serde_json::Value,
    best_trial: Option<i32>,
    priority: i16,
    not_before: Option<DateTime<Utc>>,
    last_seq: i64,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    events_pruned_through: i64,
    responses_pruned_at: Option<DateTime<Utc>>,
    paused_at: Option<DateTime<Utc>>,
    paused_ms: i64,
    changes: i32,
    run: i32,
}

impl TryFrom<JobRow> for Job {
    type Error = Error;

    fn try_from(row: JobRow) -> Result<Self> {
        let stop_reason = row.stop_reason.as_deref();
        Ok(Self {
            id: JobId(row.id),
            spec: read_json("job specification", row.spec)?,
            state: read_name("job state", &row.state)?,
            stop_reason: stop_reason
                .map(|name| read_name("stop reason", name))
                .transpose()?,
            detail: row.detail,
            progress: read_json("progress", row.progress)?,
            spend: read_json("spend", row.spend)?,
            best_trial: row
                .best_trial
                .map(|number| to_u32("trial number", number).map(TrialNumber))
                .transpose()?,
            priority: Priority::try_from(row.priority).map_err(|error| Error::Corrupt {
                what: "priority",
                source: Box::new(error),
            })?,
            not_before: row.not_before,
            last_seq: row.last_seq,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            events_pruned_through: row.events_pruned_through,
            responses_pruned_at: row.responses_pruned_at,
            paused_at: row.paused_at,
            paused_ms: row.paused_ms,
            changes: to_u32("changes", row.changes)?,
            run: to_u32("run", row.run)?,
        })
    }
}

/// An answer to a client's request that was given before under the same key.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The hash of the body that came with the key then.
    pub request_hash: Vec<u8>,
    /// The job that was created.
    pub job_id: JobId,
    /// The answer's body.
    pub response: serde_json::Value,
}

/// Stores a queued job of an owner with its data and its first event, and tells the workers.
///
/// # Errors
/// The database is away or refuses.
pub async fn create(
    connection: &mut PgConnection,
    owner: Option<&str>,
    id: JobId,
    spec: &JobSpec,
    data: &Data,
    now: DateTime<Utc>,
) -> Result<Job> {
    let datasets = [&spec.dataset, &spec.holdout_dataset].into_iter().flatten();
    let dataset_ids: Vec<Uuid> = datasets.map(|dataset| dataset.id.0).collect();
    let row = sqlx::query_as!(
        JobRow,
        r#"
        INSERT INTO jobs (id, name, labels, state, spec, progress, spend, created_at, dataset_ids,
                          priority, not_before, dormant, kind, owner)
        VALUES ($1, $2, $3, 'queued', $4, $5, '{}', $6, $7, $8, $9,
                coalesce($9::timestamptz > now(), false), $10, $11)
        RETURNING id, spec, state, stop_reason, detail, progress, spend, best_trial, priority,
                  not_before, last_seq, created_at, started_at, finished_at, events_pruned_through,
                  responses_pruned_at, paused_at, paused_ms, changes, run
        "#,
        id.0,
        spec.name
            .as_deref()
            .map(|name| name.replace('\0', "\u{FFFD}")),
        write_json("labels", &spec.labels)?,
        write_json("job specification", spec)?,
        write_json("progress", &Progress::default())?,
        now,
        &dataset_ids,
        spec.priority.get(),
        spec.not_before,
        spec.kind().as_str(),
        owner,
    )
    .fetch_one(&mut *connection)
    .await?;
    instances::insert(connection, id, data).await?;
    let mut begun = vec![EventBody::JobQueued {}];
    begun.extend(spec.warm_start.map(EventBody::JobWarmStarted));
    let last_seq = events::append(connection, id, &begun, now).await?;
    queue::notify(connection, id).await?;
    Ok(Job {
        last_seq,
        ..row.try_into()?
    })
}

/// One job.
///
/// # Errors
/// The database is away.
pub async fn find(connection: &mut PgConnection, id: JobId) -> Result<Option<Job>> {
    let row = sqlx::query_as!(
        JobRow,
        r#"
        SELECT id, spec, state, stop_reason, detail, progress, spend, best_trial, priority,
               not_before, last_seq, created_at, started_at, finished_at, events_pruned_through,
               responses_pruned_at, paused_at, paused_ms, changes, run
        FROM jobs WHERE id = $1
        "#,
        id.0
    )
    .fetch_optional(connection)
    .await?;
    row.map(Job::try_from).transpose()
}

/// What the picture of a job can be told by.
///
/// # Errors
/// The database is away.
pub async fn mark(connection: &mut PgConnection, id: JobId) -> Result<Option<Mark>> {
    let row = sqlx::query!(
        "SELECT kind, state, last_seq, changes, events_pruned_through, responses_pruned_at
         FROM jobs WHERE id = $1",
        id.0
    )
    .fetch_optional(connection)
    .await?;
    let mark = row.map(|row| {
        Ok(Mark {
            kind: read_name("kind of job", &row.kind)?,
            state: read_name("job state", &row.state)?,
            last_seq: row.last_seq,
            changes: to_u32("changes", row.changes)?,
            events_pruned_through: row.events_pruned_through,
            responses_pruned_at: row.responses_pruned_at,
        })
    });
    mark.transpose()
}

/// Whether there is a job with this id that is reached. To whom a job belongs never changes.
///
/// # Errors
/// The database is away.
pub async fn is_reached(connection: &mut PgConnection, access: &Access, id: JobId) -> Result<bool> {
    let found = sqlx::query_scalar!("SELECT owner FROM jobs WHERE id = $1", id.0)
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some_and(|owner| access.reaches(owner.as_deref())))
}

/// How many jobs of an owner have not ended, counted up to `most`. Until the transaction ends no other
/// counts them: what is counted is what will be there.
///
/// # Errors
/// The database is away.
pub async fn count_open(
    connection: &mut PgConnection,
    owner: Option<&str>,
    most: u32,
) -> Result<u32> {
    // Two numbers, so that it is no other advisory lock: "jobs" in ASCII, and the owner.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(1785684595, hashtext(coalesce($1, '')))",
        owner
    )
    .execute(&mut *connection)
    .await?;
    let count = sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!" FROM (
            SELECT FROM jobs
            WHERE finished_at IS NULL AND owner IS NOT DISTINCT FROM $1
              AND owner_key = hashtextextended(coalesce($1, ''), 0) & 9223372036854775807
            LIMIT $2
        ) AS open
        "#,
        owner,
        i64::from(most)
    )
    .fetch_one(connection)
    .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// One job, whose row stays as it is until the transaction ends.
///
/// # Errors
/// The database is away.
pub async fn lock(connection: &mut PgConnection, id: JobId) -> Result<Option<Job>> {
    let row = sqlx::query_as!(
        JobRow,
        r#"
        SELECT id, spec, state, stop_reason, detail, progress, spend, best_trial, priority,
               not_before, last_seq, created_at, started_at, finished_at, events_pruned_through,
               responses_pruned_at, paused_at, paused_ms, changes, run
        FROM jobs WHERE id = $1 FOR UPDATE
        "#,
        id.0
    )
    .fetch_optional(connection)
    .await?;
    row.map(Job::try_from).transpose()
}

/// Keeps what is probably a mistake in a job though it was taken, as its client was told.
///
/// # Errors
/// The database is away.
pub async fn keep_warnings(
    connection: &mut PgConnection,
    id: JobId,
    warnings: &[Fault],
) -> Result<()> {
    let warnings: Vec<_> = warnings
        .iter()
        .map(|fault| json!({"pointer": fault.pointer, "detail": fault.detail}))
        .collect();
    sqlx::query!(
        "UPDATE jobs SET warnings = $2 WHERE id = $1",
        id.0,
        write_json("warnings", &warnings)?
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What was kept by [`keep_warnings`].
///
/// # Errors
/// The database is away.
pub async fn warnings(connection: &mut PgConnection, id: JobId) -> Result<Vec<Fault>> {
    #[derive(serde::Deserialize)]
    struct Warning {
        pointer: String,
        detail: String,
    }
    let warnings = sqlx::query_scalar!("SELECT warnings FROM jobs WHERE id = $1", id.0)
        .fetch_optional(connection)
        .await?;
    let Some(warnings) = warnings else {
        return Ok(Vec::new());
    };
    let warnings: Vec<Warning> = read_json("warnings", warnings)?;
    let fault = |Warning { pointer, detail }| Fault { pointer, detail };
    Ok(warnings.into_iter().map(fault).collect())
}

/// The report of a job that has one.
///
/// # Errors
/// The database is away.
pub async fn report(connection: &mut PgConnection, id: JobId) -> Result<Option<serde_json::Value>> {
    let report = sqlx::query_scalar!("SELECT report FROM jobs WHERE id = $1", id.0)
        .fetch_optional(connection)
        .await?;
    Ok(report.flatten())
}

/// What came of a request to cancel.
#[derive(Debug, Clone)]
pub enum Cancel {
    /// There is no such job.
    NotFound,
    /// It has ended before.
    Ended(JobState),
    /// It is cancelled, or will be as soon as its worker stops.
    Accepted,
}

/// Asks a job to stop for good. One that nobody drives is cancelled at once.
///
/// # Errors
/// The database is away.
pub async fn cancel(
    connection: &mut PgConnection,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<Cancel> {
    let state = sqlx::query_scalar!("SELECT state FROM jobs WHERE id = $1 FOR UPDATE", id.0)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(state) = state else {
        return Ok(Cancel::NotFound);
    };
    let state: JobState = read_name("job state", &state)?;
    match state.on_cancel() {
        None => return Ok(Cancel::Ended(state)),
        Some(JobState::Cancelled) => {
            // A worker may have had it and given it back.
            books::close(&mut *connection, id, now).await?;
            sqlx::query!(
                "UPDATE jobs SET state = 'cancelled', stop_reason = 'cancelled', finished_at = $2 WHERE id = $1",
                id.0,
                now
            )
            .execute(&mut *connection)
            .await?;
            events::append(connection, id, &[EventBody::JobCancelled {}], now).await?;
        }
        Some(_) => {
            sqlx::query!("UPDATE jobs SET state = 'cancelling' WHERE id = $1", id.0)
                .execute(&mut *connection)
                .await?;
        }
    }
    queue::notify(connection, id).await?;
    Ok(Cancel::Accepted)
}

/// Writes the summary of a job that a worker drives.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn update_summary(
    connection: &mut PgConnection,
    id: JobId,
    attempt: i32,
    progress: &Progress,
    spend: &SpendByCategory,
    best_trial: Option<TrialNumber>,
) -> Result<()> {
    let best_trial = best_trial
        .map(|number| to_integer("trial number", number.0))
        .transpose()?;
    let updated = sqlx::query!(
        r#"
        UPDATE jobs SET progress = $3, spend = $4, best_trial = $5
        WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        "#,
        id.0,
        attempt,
        write_json("progress", progress)?,
        write_json("spend", spend)?,
        best_trial,
    )
    .execute(connection)
    .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    Ok(())
}

/// What came of storing an answer under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembered {
    /// The key is new, and the answer is stored with the transaction.
    New,
    /// An answer was stored under the key before.
    Taken,
    /// Another request with the key is still under way. The transaction is of no more use.
    UnderWay,
}

/// A key that a client has sent with a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestName<'a> {
    /// Whose it is.
    pub owner: Option<&'a str>,
    /// As the client wrote it.
    pub key: &'a str,
    /// Before when the answer to it must have been given to be forgotten.
    pub forgotten_before: DateTime<Utc>,
}

/// Stores an answer to be given again to the same key. Another request with the same key that
/// is under way is waited for, but not for long.
///
/// # Errors
/// The database is away.
pub async fn remember(
    connection: &mut PgConnection,
    name: RequestName<'_>,
    request_hash: &[u8],
    job_id: JobId,
    response: &serde_json::Value,
    now: DateTime<Utc>,
) -> Result<Remembered> {
    sqlx::query!("SET LOCAL lock_timeout = '5s'")
        .execute(&mut *connection)
        .await?;
    let inserted = sqlx::query!(
        r#"
        INSERT INTO idempotency_keys (owner, key, request_hash, job_id, response, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (owner, key) DO UPDATE SET
            request_hash = excluded.request_hash, job_id = excluded.job_id,
            response = excluded.response, created_at = excluded.created_at
        WHERE idempotency_keys.created_at < $7
        "#,
        name.owner,
        name.key,
        request_hash,
        job_id.0,
        response,
        now,
        name.forgotten_before
    )
    .execute(connection)
    .await;
    match inserted {
        Ok(inserted) if inserted.rows_affected() == 1 => Ok(Remembered::New),
        Ok(_) => Ok(Remembered::Taken),
        Err(sqlx::Error::Database(error))
            if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) =>
        {
            Ok(Remembered::UnderWay)
        }
        Err(error) => Err(error.into()),
    }
}

/// The answer that was given to a key before.
///
/// # Errors
/// The database is away.
pub async fn recall(
    connection: &mut PgConnection,
    name: RequestName<'_>,
) -> Result<Option<Replay>> {
    let row = sqlx::query!(
        r#"
        SELECT request_hash, job_id, response FROM idempotency_keys
        WHERE owner IS NOT DISTINCT FROM $1 AND key = $2 AND created_at >= $3
        "#,
        name.owner,
        name.key,
        name.forgotten_before
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Replay {
        request_hash: row.request_hash,
        job_id: JobId(row.job_id),
        response: row.response,
    }))
}

/// Forgets at most so many keys that came before a moment. How many.
///
/// # Errors
/// The database is away.
pub async fn forget(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    most: i64,
) -> Result<u64> {
    let forgotten = sqlx::query!(
        r#"
        DELETE FROM idempotency_keys WHERE ctid IN (
            SELECT ctid FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2
        )
        "#,
        before,
        most
    )
    .execute(connection)
    .await?;
    Ok(forgotten.rows_affected())
}

/// The jobs that have not ended and ask an endpoint, be it for answers or for a judge's word on them.
///
/// # Errors
/// The database is away.
pub async fn unfinished_at(connection: &mut PgConnection, endpoint: &str) -> Result<Vec<JobId>> {
    let found = sqlx::query_scalar!(
        r#"
        SELECT id FROM jobs
        WHERE state IN ('queued', 'running', 'pausing', 'paused', 'cancelling')
          AND (jsonb_path_query_array(spec, '$.models[*].endpoint') ? $1
               OR jsonb_path_query_array(spec, '$.judges[*].model.endpoint') ? $1)
        ORDER BY created_at, id
        "#,
        endpoint
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(JobId).collect())
}

/// By the model's position, the most responses that one request yielded when the job was begun; nothing
/// where it was not begun, or before that was kept.
///
/// # Errors
/// The database is away.
pub async fn most_per_request(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<Option<Vec<Option<u32>>>> {
    let kept = sqlx::query_scalar!(r#"SELECT most_per_request FROM jobs WHERE id = $1"#, job.0)
        .fetch_optional(connection)
        .await?;
    let kept = kept.flatten();
    kept.map(|kept| read_json("most per request", kept))
        .transpose()
}

/// Keeps what a job is begun with, see [`most_per_request`]. What was kept before stands.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn keep_most_per_request(
    connection: &mut PgConnection,
    claim: Claim,
    most_per_request: &[Option<u32>],
) -> Result<()> {
    let kept = sqlx::query!(
        r#"
        UPDATE jobs SET most_per_request = coalesce(most_per_request, $3)
        WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        "#,
        claim.job.0,
        claim.attempt,
        write_json("most per request", &most_per_request)?
    )
    .execute(connection)
    .await?;
    match kept.rows_affected() {
        0 => Err(Error::LeaseLost),
        _ => Ok(()),
    }
}
