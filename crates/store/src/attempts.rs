//! The attempts at a job: which worker had it, from when to when, and how that ended.
//!
//! An attempt begins with its claim ([`crate::queue::claim`]) and ends in the transaction that takes
//! the lease from its worker, whoever takes it.

use crate::claim::Claim;
use crate::{Result, read_name, to_integer, to_u32};
use chrono::{DateTime, Utc};
use frugal_domain::id::JobId;
use frugal_domain::state::AttemptEnding;
use sqlx::PgConnection;

/// One attempt at a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first worker that took the job, 2 for the next, …
    pub number: u32,
    /// The worker's name.
    pub worker: String,
    /// When it took the job.
    pub started_at: DateTime<Utc>,
    /// When it had it no more: of one that was lost, when its lease ran out.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended; nothing where it goes on, or nobody has noticed that it is over.
    pub ending: Option<AttemptEnding>,
    /// Why, in words, where there is more to say.
    pub detail: Option<String>,
}

/// Ends an attempt. Nothing where it has ended before: what was said first stands.
///
/// # Errors
/// The database is away.
pub async fn end(
    connection: &mut PgConnection,
    claim: Claim,
    ending: AttemptEnding,
    detail: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"
        UPDATE attempts SET ended_at = greatest($4, started_at), ending = $3, detail = $5
        WHERE job_id = $1 AND number = $2 AND ending IS NULL
        "#,
        claim.job.0,
        claim.attempt,
        ending.as_str(),
        now,
        detail.map(|detail| detail.replace('\0', "\u{FFFD}"))
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Attempts at a job, newest first, older than `before`.
///
/// # Errors
/// The database is away.
pub async fn list(
    connection: &mut PgConnection,
    job: JobId,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<Attempt>> {
    let before = before
        .map(|number| to_integer("attempt number", number))
        .transpose()?;
    let rows = sqlx::query!(
        r#"
        SELECT number, worker, started_at, ended_at, ending, detail FROM attempts
        WHERE job_id = $1 AND ($2::integer IS NULL OR number < $2)
        ORDER BY number DESC LIMIT $3
        "#,
        job.0,
        before,
        i64::from(limit)
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let ending = row.ending.as_deref();
            Ok(Attempt {
                number: to_u32("attempt number", row.number)?,
                worker: row.worker,
                started_at: row.started_at,
                ended_at: row.ended_at,
                ending: ending
                    .map(|name| read_name("attempt's ending", name))
                    .transpose()?,
                detail: row.detail,
            })
        })
        .collect()
}
