//! The queue of jobs: claiming, heartbeats, letting go, ending.
//!
//! A job is claimed in one statement and held by a lease: an expiry, a worker's name, and an
//! attempt that every write of the worker names. Times of leases are the database's own, so
//! workers' clocks need not agree.

pub use crate::claim::Claim;
use crate::{Error, Result, events, read_name, requests, to_u32};
use chrono::{DateTime, Utc};
use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use frugal_domain::state::{JobState, StopReason};
use sqlx::PgConnection;

/// The notification channel that carries the id of a job that waits or is to stop.
pub const CHANNEL: &str = "frugal_jobs";

/// Tells the workers that a job waits or is to stop. A hint: they also look by themselves.
///
/// # Errors
/// The database is away.
pub(crate) async fn notify(connection: &mut PgConnection, job: JobId) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, job.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// A job as a worker finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// What its writes name.
    pub claim: Claim,
    /// Attempts in a row before this one whose worker was lost, and that had settled no request
    /// and ended no trial. Attempts that were given back count neither way.
    pub lost_attempts: u32,
}

/// Claims a job: the one whose lease ran out first, or where there is none the oldest that waits.
/// Requests that the last worker had in flight become `lost`, at their worst case: they may have
/// been billed.
///
/// Each way has an index of its own (`jobs_leased`, `jobs_queued`), which has the jobs in order and
/// none that have ended, so that a claim reads a few rows whatever stands in the table. Leases that
/// ran out come first: such a job has been paid for, and its owner has waited. They cannot keep
/// the others waiting for ever, since a job comes back this way only as often as it loses workers,
/// which the caller bounds by [`Claimed::lost_attempts`] where nothing came of it. No claim waits
/// for another: what another one holds is passed over.
///
/// Jobs that one process drove come back together when it is killed, and the one that breaks
/// workers would take the others with it each time. So a job that has lost attempts in a row rests
/// for a while once its lease has run out: each for a time of its own, of up to one lease for each
/// attempt counted.
///
/// # Errors
/// The database is away.
pub async fn claim(
    connection: &mut PgConnection,
    worker: &str,
    lease_seconds: u32,
    now: DateTime<Utc>,
) -> Result<Option<Claimed>> {
    let row = sqlx::query!(
        r#"
        WITH overdue AS (
            SELECT id, worker IS NOT NULL AS lost FROM jobs
            WHERE state IN ('running', 'pausing', 'cancelling') AND lease_expires_at < now()
              AND lease_expires_at < now() - make_interval(secs =>
                  $2::float8 * lost_attempts
                  * (hashtextextended(id::text, attempt) & 1023) / 1024.0)
            ORDER BY lease_expires_at
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        ), queued AS (
            SELECT id FROM jobs
            WHERE state = 'queued' AND NOT EXISTS (SELECT FROM overdue)
            ORDER BY id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE jobs SET
            state = CASE WHEN state = 'queued' THEN 'running' ELSE state END,
            attempt = attempt + 1,
            worker = $1,
            lease_expires_at = now() + make_interval(secs => $2),
            started_at = coalesce(started_at, $3)
        WHERE id = (SELECT id FROM overdue UNION ALL SELECT id FROM queued)
        RETURNING id, attempt, lost_attempts,
                  coalesce((SELECT lost FROM overdue), false) AS "lost!"
        "#,
        worker,
        f64::from(lease_seconds),
        now
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let claim = Claim {
        job: JobId(row.id),
        attempt: row.attempt,
    };
    let lost_attempts = if row.lost {
        count_lost(&mut *connection, claim).await?
    } else {
        row.lost_attempts
    };
    // The first worker finds no requests.
    if claim.attempt > 1 {
        requests::abandon(&mut *connection, claim.job, now).await?;
    }
    let running = EventBody::JobRunning {
        attempt: claim.attempt,
    };
    events::append(connection, claim.job, &[running], now).await?;
    Ok(Some(Claimed {
        claim,
        lost_attempts: to_u32("lost attempts", lost_attempts)?,
    }))
}

/// Counts the attempt before this one as lost, or starts to count anew where it got on: where it
/// settled a request, or told of a step or the end of a trial.
async fn count_lost(connection: &mut PgConnection, claim: Claim) -> Result<i32> {
    let lost_attempts = sqlx::query_scalar!(
        r#"
        UPDATE jobs SET lost_attempts = CASE
            WHEN EXISTS (
                SELECT FROM requests
                WHERE job_id = $1 AND attempt = $2 AND state IN ('answered', 'failed')
            ) OR EXISTS (
                SELECT FROM events
                WHERE job_id = $1 AND type LIKE 'trial.%' AND type <> 'trial.started'
                  AND seq > (
                      SELECT seq FROM events WHERE job_id = $1 AND type = 'job.running'
                      ORDER BY seq DESC LIMIT 1
                  )
            ) THEN 0
            ELSE lost_attempts + 1
        END
        WHERE id = $1
        RETURNING lost_attempts
        "#,
        claim.job.0,
        claim.attempt - 1
    )
    .fetch_one(connection)
    .await?;
    Ok(lost_attempts)
}

/// Extends the lease and tells the state that the client wants: `running`, or `cancelling`.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn heartbeat(
    connection: &mut PgConnection,
    claim: Claim,
    lease_seconds: u32,
) -> Result<JobState> {
    let state = sqlx::query_scalar!(
        r#"
        UPDATE jobs SET lease_expires_at = now() + make_interval(secs => $3)
        WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        RETURNING state
        "#,
        claim.job.0,
        claim.attempt,
        f64::from(lease_seconds)
    )
    .fetch_optional(connection)
    .await?;
    read_name("job state", &state.ok_or(Error::LeaseLost)?)
}

/// The state of a job that this worker drives, held still until the transaction ends: whoever
/// wants to cancel it now waits, and finds it ended.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn hold(connection: &mut PgConnection, claim: Claim) -> Result<JobState> {
    let state = sqlx::query_scalar!(
        r#"
        SELECT state FROM jobs
        WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        FOR UPDATE
        "#,
        claim.job.0,
        claim.attempt
    )
    .fetch_optional(connection)
    .await?;
    read_name("job state", &state.ok_or(Error::LeaseLost)?)
}

/// Gives a job back, so that another worker takes it at once. Nothing where the lease is lost.
///
/// # Errors
/// The database is away.
pub async fn release(connection: &mut PgConnection, claim: Claim) -> Result<()> {
    let released = sqlx::query!(
        r#"
        UPDATE jobs SET
            state = CASE WHEN state = 'running' THEN 'queued' ELSE state END,
            lease_expires_at = CASE WHEN state = 'running' THEN NULL ELSE now() - interval '1 second' END,
            worker = NULL
        WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        "#,
        claim.job.0,
        claim.attempt
    )
    .execute(&mut *connection)
    .await?;
    if released.rows_affected() == 1 {
        notify(connection, claim.job).await?;
    }
    Ok(())
}

/// How a job ended.
#[derive(Debug, Clone)]
pub struct End {
    /// `succeeded`, `failed` or `cancelled`.
    pub state: JobState,
    /// Why its search ended.
    pub stop_reason: StopReason,
    /// Why it failed, in words for its owner.
    pub detail: Option<String>,
    /// What was found, unless it failed.
    pub report: Option<serde_json::Value>,
    /// The terminal event.
    pub event: EventBody,
}

/// Ends a job: its last state, its report and its terminal event. The lease ends with it.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn finish(
    connection: &mut PgConnection,
    claim: Claim,
    end: &End,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut report = end.report.clone();
    report.iter_mut().for_each(crate::replace_nul);
    let finished = sqlx::query!(
        r#"
        UPDATE jobs SET
            state = $3, stop_reason = $4, detail = $5, report = $6, finished_at = $7,
            lease_expires_at = NULL, worker = NULL
        WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        "#,
        claim.job.0,
        claim.attempt,
        end.state.as_str(),
        end.stop_reason.as_str(),
        end.detail
            .as_deref()
            .map(|detail| detail.replace('\0', "\u{FFFD}")),
        report,
        now
    )
    .execute(&mut *connection)
    .await?;
    if finished.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    events::append(connection, claim.job, std::slice::from_ref(&end.event), now).await?;
    Ok(())
}

/// How many jobs wait and how many are driven or overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Jobs that wait for a worker.
    pub queued: i64,
    /// Jobs that a worker drives.
    pub leased: i64,
}

/// Counts the jobs that are not done, each kind by the index that has it and no other.
///
/// # Errors
/// The database is away.
pub async fn depth(connection: &mut PgConnection) -> Result<Depth> {
    let row = sqlx::query!(
        r#"
        SELECT (SELECT count(*) FROM jobs WHERE state = 'queued') AS "queued!",
               (SELECT count(*) FROM jobs WHERE state IN ('running', 'pausing', 'cancelling'))
                   AS "leased!"
        "#
    )
    .fetch_one(connection)
    .await?;
    Ok(Depth {
        queued: row.queued,
        leased: row.leased,
    })
}
