//! The event log: (job, seq) with no gaps, written in the transaction of the change told of.

use crate::{Error, Result, write_json};
use chrono::{DateTime, Utc};
use frugal_domain::event::{Event, EventBody};
use frugal_domain::id::JobId;
use futures::{Stream, StreamExt};
use serde_json::json;
use sqlx::PgConnection;

/// What the locks of writers begin with, above [`POSITION_BITS`] for the position that they draw above.
pub(crate) const LOCKS: i64 = 0x46_52_47 << POSITION_BITS;
/// How many bits of a lock's number are the position.
pub(crate) const POSITION_BITS: i32 = 40;

/// The notification channel that carries the id of a job with new events.
pub const CHANNEL: &str = "frugal_events";

/// Appends events in order, tells those who follow the job, and returns the last one's number. The job's row
/// is locked until the transaction ends, so numbers have no gaps and appear in order. So is what says above which
/// position these events are drawn among those of all jobs ([`crate::positions`]).
///
/// # Errors
/// The database is away.
pub async fn append(
    connection: &mut PgConnection,
    job: JobId,
    bodies: &[EventBody],
    now: DateTime<Utc>,
) -> Result<i64> {
    let last = append_untold(connection, job, bodies, now).await?;
    tell(connection, job).await?;
    Ok(last)
}

/// The same without a word to those who follow the job, who are to be [told](tell) after the transaction.
pub(crate) async fn append_untold(
    connection: &mut PgConnection,
    job: JobId,
    bodies: &[EventBody],
    now: DateTime<Utc>,
) -> Result<i64> {
    let count = i64::try_from(bodies.len()).map_err(|_| Error::TooLarge("a list of events"))?;
    let last = sqlx::query!(
        r#"
        UPDATE jobs SET last_seq = last_seq + $2, has_events = true WHERE id = $1
        RETURNING last_seq, (
            SELECT pg_advisory_xact_lock_shared($3 | (last_value - (NOT is_called)::int))::text
            FROM events_position
        ) AS locked
        "#,
        job.0,
        count,
        LOCKS
    )
    .fetch_one(&mut *connection)
    .await?
    .last_seq;
    let mut types = Vec::with_capacity(bodies.len());
    let mut data = Vec::with_capacity(bodies.len());
    for body in bodies {
        types.push(body.name().to_owned());
        data.push(write_json("event", body)?["data"].take());
    }
    sqlx::query!(
        r#"
        INSERT INTO events (job_id, seq, type, data, created_at)
        SELECT $1, $2 + number, type, data, $5
        FROM unnest($3::text[], $4::jsonb[]) WITH ORDINALITY AS event (type, data, number)
        ORDER BY number
        "#,
        job.0,
        last - count,
        &types,
        &data,
        now
    )
    .execute(&mut *connection)
    .await?;
    Ok(last)
}

/// Tells those who follow a job that there is something to see, once the transaction is committed. It is a hint:
/// they also look by themselves. PostgreSQL commits one transaction at a time of those that tell anything, so many
/// that commit at once had better tell it afterwards.
///
/// # Errors
/// The database is away.
pub async fn tell(connection: &mut PgConnection, job: JobId) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, job.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether events of a job after a number are gone, or the job is.
///
/// # Errors
/// The database is away.
pub async fn are_gone(connection: &mut PgConnection, job: JobId, after: i64) -> Result<bool> {
    let pruned = sqlx::query_scalar!(
        "SELECT events_pruned_through FROM jobs WHERE id = $1",
        job.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(pruned.is_none_or(|through| through > after))
}

/// Events of a job after a number, in order.
///
/// # Errors
/// The database is away.
pub async fn after(
    connection: &mut PgConnection,
    job: JobId,
    seq: i64,
    limit: u32,
) -> Result<Vec<Event>> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"
        SELECT seq, type, data, created_at FROM events
        WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
        "#,
        job.0,
        seq,
        i64::from(limit)
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| row.read(job)).collect()
}

/// The events of some types that a job has after a number and since it was last taken up, in order. Of its progress
/// only what a pace is read from: the first, the last up to a moment, and the last.
///
/// # Errors
/// The database is away.
pub async fn latest(
    connection: &mut PgConnection,
    job: JobId,
    after: i64,
    types: &[&str],
    moment: DateTime<Utc>,
) -> Result<Vec<Event>> {
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    // A running job tells of its progress some times a second: to read all of that takes longer than all else.
    let rows = sqlx::query_as!(
        EventRow,
        r#"
        WITH told AS MATERIALIZED (
            SELECT seq, type, created_at FROM events WHERE job_id = $1 AND seq > $2 AND type = ANY($3)
        ), taken_up AS (
            SELECT coalesce(max(seq), 0) AS seq FROM told WHERE type = 'job.running'
        ), progress AS (
            SELECT min(told.seq) AS first, max(told.seq) FILTER (WHERE created_at <= $4) AS earlier,
                   max(told.seq) AS last
            FROM told, taken_up WHERE type = 'job.progress' AND told.seq > taken_up.seq
        ), kept AS (
            SELECT told.seq FROM told, taken_up, progress
            WHERE told.seq >= taken_up.seq
              AND (type <> 'job.progress' OR told.seq IN (first, earlier, last))
        )
        SELECT seq, type, data, created_at FROM events
        WHERE job_id = $1 AND seq IN (SELECT seq FROM kept) ORDER BY seq
        "#,
        job.0,
        after,
        &types,
        moment
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| row.read(job)).collect()
}

/// All events of a job, in order, as they are read.
pub(crate) fn stream(
    connection: &mut PgConnection,
    job: JobId,
) -> impl Stream<Item = Result<Event>> + Send + '_ {
    sqlx::query_as!(
        EventRow,
        "SELECT seq, type, data, created_at FROM events WHERE job_id = $1 ORDER BY seq",
        job.0
    )
    .fetch(connection)
    .map(move |row| row?.read(job))
}

pub(crate) struct EventRow {
    pub(crate) seq: i64,
    pub(crate) r#type: String,
    pub(crate) data: serde_json::Value,
    pub(crate) created_at: DateTime<Utc>,
}

impl EventRow {
    pub(crate) fn read(self, job: JobId) -> Result<Event> {
        let body = json!({ "type": self.r#type, "data": self.data });
        Ok(Event {
            seq: self.seq,
            job_id: job,
            created_at: self.created_at,
            body: crate::read_json("event", body)?,
        })
    }
}

/// The events of a type that a job has, each with how often the job was continued after it. Earlier ones may
/// be gone.
///
/// # Errors
/// The database is away.
pub async fn of_type(
    connection: &mut PgConnection,
    job: JobId,
    name: &str,
) -> Result<Vec<(u32, EventBody)>> {
    let rows = sqlx::query!(
        r#"
        SELECT type, data, (
                   SELECT count(*) FROM events AS continued
                   WHERE continued.job_id = $1 AND continued.type = 'job.continued'
                     AND continued.seq > events.seq
               ) AS "after!"
        FROM events WHERE job_id = $1 AND type = $2 ORDER BY seq
        "#,
        job.0,
        name
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let body = json!({ "type": row.r#type, "data": row.data });
            let after = u32::try_from(row.after).unwrap_or(u32::MAX);
            Ok((after, crate::read_json("event", body)?))
        })
        .collect()
}
