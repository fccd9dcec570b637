//! What a client may ask of a job that has not ended, besides cancelling it: to pause and to go on.
//!
//! A job's clock stands still from the request to pause to the one to go on, so that its limit on time
//! counts what it could have used.

use crate::claim::Claim;
use crate::{Result, attempts, books, events, queue, read_name, requests};
use chrono::{DateTime, Utc};
use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use frugal_domain::state::{AttemptEnding, JobState};
use sqlx::PgConnection;
use std::ops::ControlFlow;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steered {
    /// There is no such job.
    NotFound,
    /// Its state forbids it.
    Refused(JobState),
    /// It is so, or will be as soon as its worker has stopped.
    Accepted,
}

/// Asks a job to stop until it is asked to go on. One that nobody drives is paused at once; asking
/// again changes nothing.
///
/// # Errors
/// The database is away.
pub async fn pause(
    connection: &mut PgConnection,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<Steered> {
    let next = match next(&mut *connection, id, JobState::on_pause).await? {
        ControlFlow::Continue(next) => next,
        ControlFlow::Break(answer) => return Ok(answer),
    };
    sqlx::query!(
        "UPDATE jobs SET state = $2, paused_at = $3 WHERE id = $1",
        id.0,
        next.as_str(),
        now
    )
    .execute(&mut *connection)
    .await?;
    let event = match next {
        JobState::Paused => {
            // A worker may have had it and given it back.
            requests::abandon(&mut *connection, id, now).await?;
            books::refresh(&mut *connection, id).await?;
            EventBody::JobPaused {}
        }
        _ => EventBody::JobPausing {},
    };
    events::append(&mut *connection, id, &[event], now).await?;
    queue::notify(connection, id).await?;
    Ok(Steered::Accepted)
}

/// Asks a paused job to go on: it waits for a worker again. One whose worker has not stopped yet goes on
/// once it has; one that is not paused does so anyway.
///
/// # Errors
/// The database is away.
pub async fn resume(
    connection: &mut PgConnection,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<Steered> {
    let next = match next(&mut *connection, id, JobState::on_resume).await? {
        ControlFlow::Continue(next) => next,
        ControlFlow::Break(answer) => return Ok(answer),
    };
    // The clock of one that was never started does not run.
    sqlx::query!(
        r#"
        UPDATE jobs SET
            state = $2, paused_at = NULL,
            paused_ms = paused_ms + CASE
                WHEN started_at IS NULL THEN 0
                ELSE greatest(extract(epoch FROM $3::timestamptz - paused_at) * 1000, 0)::bigint
            END
        WHERE id = $1
        "#,
        id.0,
        next.as_str(),
        now
    )
    .execute(&mut *connection)
    .await?;
    events::append(&mut *connection, id, &[EventBody::JobResumed {}], now).await?;
    queue::notify(connection, id).await?;
    Ok(Steered::Accepted)
}

/// Sets a job aside whose client wants it paused: nothing of it is in flight any more as far as its
/// worker knows, and what is stored as sent counts as lost. The lease ends with it. Returns the state:
/// anything but `paused` where the client has thought better of it, and then nothing has changed.
///
/// # Errors
/// [`crate::Error::LeaseLost`], or the database is away.
pub async fn set_aside(
    connection: &mut PgConnection,
    claim: Claim,
    now: DateTime<Utc>,
) -> Result<JobState> {
    let state = queue::hold(&mut *connection, claim).await?;
    if state != JobState::Pausing {
        return Ok(state);
    }
    requests::abandon(&mut *connection, claim.job, now).await?;
    books::refresh(&mut *connection, claim.job).await?;
    sqlx::query!(
        "UPDATE jobs SET state = 'paused', lease_expires_at = NULL, worker = NULL WHERE id = $1",
        claim.job.0
    )
    .execute(&mut *connection)
    .await?;
    attempts::end(&mut *connection, claim, AttemptEnding::Paused, None, now).await?;
    events::append(connection, claim.job, &[EventBody::JobPaused {}], now).await?;
    Ok(JobState::Paused)
}

/// The state that a request leads to, of a job whose row stays as it is until the transaction ends; or what
/// is answered where it changes nothing.
async fn next(
    connection: &mut PgConnection,
    id: JobId,
    leads_to: impl Fn(JobState) -> Option<JobState>,
) -> Result<ControlFlow<Steered, JobState>> {
    let state = sqlx::query_scalar!("SELECT state FROM jobs WHERE id = $1 FOR UPDATE", id.0)
        .fetch_optional(connection)
        .await?;
    let Some(state) = state else {
        return Ok(ControlFlow::Break(Steered::NotFound));
    };
    let state = read_name("job state", &state)?;
    Ok(match leads_to(state) {
        None => ControlFlow::Break(Steered::Refused(state)),
        Some(next) if next == state => ControlFlow::Break(Steered::Accepted),
        Some(next) => ControlFlow::Continue(next),
    })
}
