//! The queue of jobs: claiming, letting go, ending. Which job comes first is in `claiming.rs`; leases are
//! extended in [`crate::leases`].
//!
//! A job is claimed in one statement and held by a lease: an expiry, a worker's name, and an
//! attempt that every write of the worker names. Times of leases are the database's own, so
//! workers' clocks need not agree.

pub use crate::claim::Claim;
pub use crate::claiming::{Claimant, Claimed, claim, claim_of_others, next_due, wake};
use crate::{Error, Result, attempts, events, read_name};
use chrono::{DateTime, Utc};
use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use frugal_domain::state::{AttemptEnding, JobState, StopReason};
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

/// Gives a job back, so that another worker takes it at once, and says of the attempt how it ended.
/// Nothing where the lease is lost.
///
/// # Errors
/// The database is away.
pub async fn release(
    connection: &mut PgConnection,
    claim: Claim,
    ending: AttemptEnding,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
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
        attempts::end(&mut *connection, claim, ending, detail, now).await?;
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

/// Ends a job: its last state, its report and its terminal event. The lease ends with it, and the
/// attempt, which ended as the job did unless something else was said of it ([`attempts::end`]).
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
    let ending = match end.state {
        JobState::Succeeded => AttemptEnding::Succeeded,
        JobState::Cancelled => AttemptEnding::Cancelled,
        _ => AttemptEnding::Failed,
    };
    attempts::end(&mut *connection, claim, ending, end.detail.as_deref(), now).await?;
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
        SELECT (SELECT count(*) FROM jobs WHERE state = 'queued' AND NOT dormant)
                   + (SELECT count(*) FROM jobs WHERE state = 'queued' AND dormant) AS "queued!",
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

/// Jobs in one state that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InState {
    /// The state.
    pub state: JobState,
    /// How many there are.
    pub jobs: i64,
    /// Those of them whose lease has run out: their worker is gone, and no other has come yet.
    pub overdue: i64,
}

/// Counts the jobs that have not ended by their states; states that no job is in are left out.
///
/// # Errors
/// The database is away.
pub async fn by_state(connection: &mut PgConnection) -> Result<Vec<InState>> {
    let rows = sqlx::query!(
        r#"
        SELECT state, count(*) AS "jobs!",
               count(*) FILTER (WHERE lease_expires_at < now()) AS "overdue!"
        FROM jobs WHERE finished_at IS NULL GROUP BY state
        "#
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(InState {
            state: read_name("job state", &row.state)?,
            jobs: row.jobs,
            overdue: row.overdue,
        })
    });
    rows.collect()
}

/// What the jobs that somebody drives may spend and have spent, those with budgets of each unit together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Budgets {
    /// What those may spend that budget dollars.
    pub usd: f64,
    /// What they have spent.
    pub usd_spent: f64,
    /// What those may spend that budget tokens.
    pub tokens: f64,
    /// What they have spent.
    pub tokens_spent: f64,
}

/// Adds up the optimization budgets of the jobs that somebody drives, and what they have spent of them.
///
/// # Errors
/// The database is away.
pub async fn budgets(connection: &mut PgConnection) -> Result<Budgets> {
    let row = sqlx::query_as!(
        Budgets,
        r#"
        WITH driven AS (
            SELECT (spec->'optimization_budget'->>'usd')::float8 AS usd,
                   (spec->'optimization_budget'->>'tokens')::float8 AS tokens,
                   (SELECT sum((part.value->>'usd')::float8) FROM jsonb_each(spend) AS part) AS usd_spent,
                   (SELECT sum((part.value->>'tokens')::float8) FROM jsonb_each(spend) AS part)
                       AS tokens_spent
            FROM jobs WHERE lease_expires_at IS NOT NULL
        )
        SELECT coalesce(sum(usd), 0) AS "usd!", coalesce(sum(tokens), 0) AS "tokens!",
               coalesce(sum(usd_spent) FILTER (WHERE usd IS NOT NULL), 0) AS "usd_spent!",
               coalesce(sum(tokens_spent) FILTER (WHERE tokens IS NOT NULL), 0) AS "tokens_spent!"
        FROM driven
        "#
    )
    .fetch_one(connection)
    .await?;
    Ok(row)
}
