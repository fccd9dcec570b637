//! Leases while they are held: those of a whole process are extended in one statement.

use crate::claim::Claim;
use crate::{Error, Result, read_name};
use frugal_domain::id::JobId;
use frugal_domain::state::JobState;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Extends the leases of some jobs and tells, of those that are still held, the state that the client
/// wants: `running`, `pausing` or `cancelling`. A job that is not among them is lost to its worker.
///
/// A job whose row somebody has locked is left for the next time, so that it keeps no other waiting:
/// its lease runs on, and nobody claims what is locked.
///
/// # Errors
/// The database is away.
pub async fn extend(
    connection: &mut PgConnection,
    claims: &[Claim],
    lease_seconds: u32,
) -> Result<BTreeMap<JobId, JobState>> {
    let (jobs, attempts): (Vec<_>, Vec<_>) = claims
        .iter()
        .map(|claim| (claim.job.0, claim.attempt))
        .unzip();
    // Rows that point to a job lock its key alone, which this does not need.
    let rows = sqlx::query!(
        r#"
        WITH asked AS (
            SELECT * FROM unnest($1::uuid[], $2::integer[]) AS asked (id, attempt)
        ), free AS (
            SELECT jobs.id FROM jobs JOIN asked USING (id, attempt)
            WHERE jobs.lease_expires_at IS NOT NULL
            FOR NO KEY UPDATE OF jobs SKIP LOCKED
        ), extended AS (
            UPDATE jobs SET lease_expires_at = now() + make_interval(secs => $3)
            FROM free WHERE jobs.id = free.id
        )
        SELECT jobs.id AS "id!", jobs.state AS "state!" FROM jobs JOIN asked USING (id, attempt)
        WHERE jobs.lease_expires_at IS NOT NULL
        "#,
        &jobs,
        &attempts,
        f64::from(lease_seconds)
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((JobId(row.id), read_name("job state", &row.state)?)))
        .collect()
}

/// Extends one lease, as [`extend`] does.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn extend_one(
    connection: &mut PgConnection,
    claim: Claim,
    lease_seconds: u32,
) -> Result<JobState> {
    let held = extend(connection, &[claim], lease_seconds).await?;
    held.get(&claim.job).copied().ok_or(Error::LeaseLost)
}
