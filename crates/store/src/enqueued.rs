//! Configurations that owners put into jobs while these go on.
//!
//! Each has a place among the decisions of the search as a change of the terms has ([`crate::terms`]), and both
//! are numbered together, by the lock of the job's row.

use crate::claim::Claim;
use crate::{Error, Result, events, queue, to_bigint, to_integer, to_u32, write_json};
use chrono::{DateTime, Utc};
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use sqlx::PgConnection;

/// A configuration that was put in, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct EnqueuedTrial {
    /// The how-manieth change of the job it is.
    pub number: u32,
    /// The point of the search space.
    pub configuration: Configuration,
    /// How many decisions the search had made before; none until it has a place.
    pub place: Option<u64>,
    /// When it was put in.
    pub created_at: DateTime<Utc>,
}

/// Puts a configuration into a job, whose row the caller has locked ([`crate::jobs::lock`]) and which has not ended,
/// and tells of it. `settings` are what it asks of the endpoint.
///
/// # Errors
/// The database is away.
pub async fn insert(
    connection: &mut PgConnection,
    job: JobId,
    configuration: &Configuration,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Result<EnqueuedTrial> {
    let number = sqlx::query_scalar!(
        "UPDATE jobs SET changes = changes + 1 WHERE id = $1 RETURNING changes",
        job.0
    )
    .fetch_one(&mut *connection)
    .await?;
    // As it is read from now on: to the microsecond.
    let created_at = sqlx::query_scalar!(
        r#"
        INSERT INTO enqueued_trials (job_id, number, configuration, created_at)
        VALUES ($1, $2, $3, $4)
        RETURNING created_at
        "#,
        job.0,
        number,
        write_json("configuration", configuration)?,
        now
    )
    .fetch_one(&mut *connection)
    .await?;
    let number = to_u32("number of a change", number)?;
    let event = EventBody::TrialEnqueued {
        number,
        settings: settings.clone(),
    };
    events::append(&mut *connection, job, &[event], now).await?;
    queue::notify(connection, job).await?;
    Ok(EnqueuedTrial {
        number,
        configuration: configuration.clone(),
        place: None,
        created_at,
    })
}

/// Gives a configuration that was put in its place among the decisions.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn place(
    connection: &mut PgConnection,
    claim: Claim,
    number: u32,
    place: u64,
) -> Result<()> {
    let stored = sqlx::query!(
        r#"
        UPDATE enqueued_trials SET place = $4
        FROM jobs
        WHERE jobs.id = $1 AND jobs.attempt = $2 AND jobs.lease_expires_at IS NOT NULL
          AND enqueued_trials.job_id = $1 AND enqueued_trials.number = $3
          AND enqueued_trials.place IS NULL
        "#,
        claim.job.0,
        claim.attempt,
        to_integer("number of a change", number)?,
        to_bigint("place", place)?
    )
    .execute(connection)
    .await?;
    if stored.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    Ok(())
}
