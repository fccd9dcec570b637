//! The events of all jobs in one order, for those who follow all that they reach.
//!
//! Each event has a position, drawn from a sequence while its transaction goes on. So a higher one may be in the
//! table before a lower one, and whoever went by the highest that is there would pass over the lower one. Each
//! writer therefore holds a lock until its transaction ends, which says above which position it draws
//! ([`crate::events::append`]); readers go no further than the lowest of these.

use crate::events::{EventRow, LOCKS, POSITION_BITS};
use crate::{Result, read_json, write_json};
use frugal_domain::access::Access;
use frugal_domain::event::Event;
use frugal_domain::id::JobId;
use frugal_domain::job::JobSpec;
use sqlx::PgConnection;
use sqlx::types::Uuid;
use std::collections::BTreeMap;

/// How far the events are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// No event comes at this position or below any more.
    pub through: i64,
    /// Whether somebody is writing above it, and may have drawn further positions.
    pub is_held_back: bool,
}

/// An event with its position among those of all jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Positioned {
    /// Its position.
    pub position: i64,
    /// To whom the job belongs.
    pub owner: Option<String>,
    /// The job's labels as they are now.
    pub labels: BTreeMap<String, String>,
    /// The event.
    pub event: Event,
}

/// Which events. What is absent holds for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of jobs with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Of one of these types.
    pub types: Vec<String>,
}

impl Selection {
    /// Whether an event of a type, of a job with these labels, is one of these.
    #[must_use]
    pub fn has(&self, r#type: &str, labels: &BTreeMap<String, String>) -> bool {
        let named = &self.types;
        let is_of_type = named.is_empty() || named.iter().any(|it| it == r#type);
        let has_label = |(key, value)| labels.get(key) == Some(value);
        is_of_type && self.labels.iter().all(has_label)
    }
}

/// How far the events are settled at this moment. What is read afterwards has all of them.
///
/// # Errors
/// The database is away.
pub async fn settled(connection: &mut PgConnection) -> Result<Settled> {
    // In this order: who has drawn a position up to this one had its lock before, and has it still, or has ended.
    let last = sqlx::query_scalar!(
        r#"SELECT last_value - (NOT is_called)::int AS "last!" FROM events_position"#
    )
    .fetch_one(&mut *connection)
    .await?;
    // The number of an advisory lock stands in two columns, 32 bits in each.
    let floor = sqlx::query_scalar!(
        r#"
        SELECT min(locks.number & ((1::bigint << $2::int) - 1))
        FROM (
            SELECT (classid::bigint << 32) | objid::bigint AS number FROM pg_locks
            WHERE locktype = 'advisory' AND objsubid = 1
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        ) AS locks
        WHERE locks.number >> $2::int = $1
        "#,
        LOCKS >> POSITION_BITS,
        POSITION_BITS
    )
    .fetch_one(connection)
    .await?;
    Ok(Settled {
        through: floor.map_or(last, |floor| floor.min(last)),
        is_held_back: floor.is_some(),
    })
}

/// Some of the events that are reached, after a position and through another, in their order.
///
/// # Errors
/// The database is away.
pub async fn between(
    connection: &mut PgConnection,
    access: &Access,
    selection: &Selection,
    (after, through): (i64, i64),
    limit: u32,
) -> Result<Vec<Positioned>> {
    let rows = sqlx::query!(
        r#"
        SELECT events.position, events.job_id, events.seq, events.type, events.data, events.created_at,
               jobs.owner, jobs.labels
        FROM events JOIN jobs ON jobs.id = events.job_id
        WHERE events.position > $1 AND events.position <= $2 AND ($3 OR jobs.owner = $4)
          AND jobs.labels @> $5 AND (cardinality($6::text[]) = 0 OR events.type = ANY($6))
        ORDER BY events.position LIMIT $7
        "#,
        after,
        through,
        access.everything,
        access.owner,
        write_json("labels", &selection.labels)?,
        &selection.types,
        i64::from(limit)
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let event = EventRow {
            seq: row.seq,
            r#type: row.r#type,
            data: row.data,
            created_at: row.created_at,
        };
        Ok(Positioned {
            position: row.position,
            owner: row.owner,
            labels: read_json("labels", row.labels)?,
            event: event.read(JobId(row.job_id))?,
        })
    });
    rows.collect()
}

/// Through which position events after one are gone, of jobs that are reached and there; nothing where none is.
///
/// # Errors
/// The database is away.
pub async fn gone_through(
    connection: &mut PgConnection,
    access: &Access,
    after: i64,
) -> Result<Option<i64>> {
    let through = sqlx::query_scalar!(
        r#"
        SELECT max(events_pruned_position) FROM jobs
        WHERE events_pruned_position > 0 AND events_pruned_position > $1 AND ($2 OR owner = $3)
        "#,
        after,
        access.everything,
        access.owner
    )
    .fetch_one(connection)
    .await?;
    Ok(through)
}

/// The specifications of jobs, as far as they are there.
///
/// # Errors
/// The database is away.
pub async fn specifications(
    connection: &mut PgConnection,
    jobs: &[JobId],
) -> Result<Vec<(JobId, JobSpec)>> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    let rows = sqlx::query!("SELECT id, spec FROM jobs WHERE id = ANY($1)", &ids)
        .fetch_all(connection)
        .await?;
    let rows = rows
        .into_iter()
        .map(|row| Ok((JobId(row.id), read_json("job specification", row.spec)?)));
    rows.collect()
}
