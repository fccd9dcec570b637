//! Webhooks of owners, and the deliveries of events to them.
//!
//! A delivery is made of an event in the transaction that says up to which event this was done, by one process at
//! a time, so each event comes to each webhook's queue once. Whoever sends one holds it until a moment: should the
//! process die, another sends it after that, and the receiver tells by its id that it has had it.

use crate::{Result, positions, read_json, read_name, to_integer, to_u32, write_json};
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::access::Access;
use frugal_domain::delivery::DeliveryState;
use frugal_domain::id::JobId;
use frugal_domain::secret::Secret;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The advisory lock of the process that makes deliveries: "frughook" in ASCII.
const LOCK: i64 = 0x6672_7567_686f_6f6b;

/// An address that an owner's events are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: Uuid,
    /// To whom it belongs.
    pub owner: Option<String>,
    /// Where messages are posted to.
    pub url: String,
    /// The types of events that it hears of, beside those that end jobs.
    pub types: Vec<String>,
    /// It hears of jobs with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

struct WebhookRow {
    id: Uuid,
    owner: Option<String>,
    url: String,
    types: Vec<String>,
    labels: serde_json::Value,
    created_at: DateTime<Utc>,
}

impl TryFrom<WebhookRow> for Webhook {
    type Error = crate::Error;

    fn try_from(row: WebhookRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            owner: row.owner,
            url: row.url,
            types: row.types,
            labels: read_json("labels", row.labels)?,
            created_at: row.created_at,
        })
    }
}

/// Stores a new webhook with its secret, for a transaction that has [counted](count) them. Where it is the only one,
/// deliveries are made from this moment on: as long as there was none, nobody went along with the events.
///
/// # Errors
/// The database is away or refuses.
pub async fn create(
    connection: &mut PgConnection,
    webhook: &Webhook,
    secret: &Secret,
) -> Result<()> {
    if !any(&mut *connection).await? {
        let settled = positions::settled(&mut *connection).await?;
        sqlx::query!(
            "UPDATE deliveries_made SET through = greatest(through, $1)",
            settled.through
        )
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query!(
        r#"
        INSERT INTO webhooks (id, owner, url, secret, types, labels, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        "#,
        webhook.id,
        webhook.owner,
        webhook.url,
        secret.reveal(),
        &webhook.types,
        write_json("labels", &webhook.labels)?,
        webhook.created_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether there are webhooks, of whomever.
///
/// # Errors
/// The database is away.
pub async fn any(connection: &mut PgConnection) -> Result<bool> {
    let any = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM webhooks) AS "any!""#)
        .fetch_one(connection)
        .await?;
    Ok(any)
}

/// How many webhooks an owner has. Until the transaction ends, nobody else makes one, or deliveries.
///
/// # Errors
/// The database is away.
pub async fn count(connection: &mut PgConnection, owner: Option<&str>) -> Result<u64> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK)
        .execute(&mut *connection)
        .await?;
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM webhooks WHERE owner IS NOT DISTINCT FROM $1"#,
        owner
    )
    .fetch_one(connection)
    .await?;
    Ok(count.unsigned_abs())
}

/// The webhooks that are reached, newest first, after one of them where that is given.
///
/// # Errors
/// The database is away.
pub async fn list(
    connection: &mut PgConnection,
    access: &Access,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Webhook>> {
    let rows = sqlx::query_as!(
        WebhookRow,
        r#"
        SELECT id, owner, url, types, labels, created_at FROM webhooks
        WHERE ($1 OR owner = $2) AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4
        "#,
        access.everything,
        access.owner,
        after,
        i64::from(limit)
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Webhook::try_from).collect()
}

/// A webhook by id, if it is reached.
///
/// # Errors
/// The database is away.
pub async fn find(
    connection: &mut PgConnection,
    access: &Access,
    id: Uuid,
) -> Result<Option<Webhook>> {
    let row = sqlx::query_as!(
        WebhookRow,
        r#"
        SELECT id, owner, url, types, labels, created_at FROM webhooks
        WHERE id = $1 AND ($2 OR owner = $3)
        "#,
        id,
        access.everything,
        access.owner
    )
    .fetch_optional(connection)
    .await?;
    row.map(Webhook::try_from).transpose()
}

/// Removes a webhook with its deliveries. Whether it was there.
///
/// # Errors
/// The database is away.
pub async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<bool> {
    let deleted = sqlx::query!("DELETE FROM webhooks WHERE id = $1", id)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

/// All webhooks.
///
/// # Errors
/// The database is away.
pub async fn all(connection: &mut PgConnection) -> Result<Vec<Webhook>> {
    let rows = sqlx::query_as!(
        WebhookRow,
        "SELECT id, owner, url, types, labels, created_at FROM webhooks"
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Webhook::try_from).collect()
}

/// Up to which position deliveries were made, for a process that makes them until its transaction ends; nothing
/// where another one is at it.
///
/// # Errors
/// The database is away.
pub async fn made_through(connection: &mut PgConnection) -> Result<Option<i64>> {
    let locked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "locked!""#, LOCK)
        .fetch_one(&mut *connection)
        .await?;
    if !locked {
        return Ok(None);
    }
    let through = sqlx::query_scalar!("SELECT through FROM deliveries_made")
        .fetch_one(connection)
        .await?;
    Ok(Some(through))
}

/// A delivery to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// To which webhook.
    pub webhook: Uuid,
    /// Of the event at this position.
    pub position: i64,
    /// Of which job it is.
    pub job: JobId,
    /// Its type.
    pub r#type: &'static str,
    /// What is posted.
    pub body: String,
}

/// Makes deliveries of all events up to a position.
///
/// # Errors
/// The database is away.
pub async fn make(
    connection: &mut PgConnection,
    new: &[NewDelivery],
    through: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    if !new.is_empty() {
        let column = |of: fn(&NewDelivery) -> Uuid| new.iter().map(of).collect::<Vec<_>>();
        let positions: Vec<i64> = new.iter().map(|delivery| delivery.position).collect();
        let types: Vec<String> = new.iter().map(|one| one.r#type.to_owned()).collect();
        let bodies: Vec<String> = new.iter().map(|one| one.body.clone()).collect();
        // A webhook may be gone since it was read.
        sqlx::query!(
            r#"
            INSERT INTO deliveries (webhook_id, position, job_id, type, body, state, next_attempt_at, created_at)
            SELECT webhooks.id, made.position, made.job_id, made.type, made.body, 'pending', $6, $6
            FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[])
                AS made (webhook_id, position, job_id, type, body)
            JOIN webhooks ON webhooks.id = made.webhook_id
            FOR KEY SHARE OF webhooks
            "#,
            &column(|delivery| delivery.webhook),
            &positions,
            &column(|delivery| delivery.job.0),
            &types,
            &bodies,
            now
        )
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query!("UPDATE deliveries_made SET through = $1", through)
        .execute(connection)
        .await?;
    Ok(())
}

/// A delivery that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// To which webhook.
    pub webhook: Uuid,
    /// Of the event at this position.
    pub position: i64,
    /// Where it is posted to.
    pub url: String,
    /// What it is signed with.
    pub secret: Secret,
    /// What is posted.
    pub body: String,
    /// The how-manieth attempt this is.
    pub attempt: u32,
}

/// Takes deliveries that are due, of each webhook one: the first of those. Nobody else sends them for a while.
///
/// # Errors
/// The database is away.
pub async fn take(
    connection: &mut PgConnection,
    most: u32,
    held_for: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Vec<Due>> {
    let rows = sqlx::query!(
        r#"
        WITH first AS (
            SELECT DISTINCT ON (webhook_id) webhook_id, position, next_attempt_at FROM deliveries
            WHERE state = 'pending' AND next_attempt_at <= $1 ORDER BY webhook_id, position
        ), due AS (
            SELECT deliveries.webhook_id, deliveries.position
            FROM deliveries JOIN first USING (webhook_id, position)
            WHERE state = 'pending' AND deliveries.next_attempt_at <= $1
            ORDER BY first.next_attempt_at LIMIT $2 FOR UPDATE OF deliveries SKIP LOCKED
        )
        UPDATE deliveries SET next_attempt_at = $3, attempts = attempts + 1
        FROM due JOIN webhooks ON webhooks.id = due.webhook_id
        WHERE deliveries.webhook_id = due.webhook_id AND deliveries.position = due.position
        RETURNING deliveries.webhook_id, deliveries.position, url, secret, body, attempts
        "#,
        now,
        i64::from(most),
        now + held_for
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(Due {
            webhook: row.webhook_id,
            position: row.position,
            url: row.url,
            secret: row.secret.into(),
            body: row.body,
            attempt: to_u32("attempts", row.attempts)?,
        })
    });
    rows.collect()
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    /// Where that leaves the delivery.
    pub state: DeliveryState,
    /// What the receiver answered with.
    pub status: Option<u16>,
    /// Why it is not delivered.
    pub fault: Option<String>,
    /// When it is tried again.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

/// Notes what came of an attempt.
///
/// # Errors
/// The database is away.
pub async fn attempted(
    connection: &mut PgConnection,
    due: &Due,
    attempted: &Attempted,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"
        UPDATE deliveries SET state = $4, status = $5, fault = $6, next_attempt_at = $7, attempted_at = $8
        WHERE webhook_id = $1 AND position = $2 AND attempts = $3 AND state = 'pending'
        "#,
        due.webhook,
        due.position,
        to_integer("attempts", due.attempt)?,
        attempted.state.as_str(),
        attempted.status.map(i32::from),
        attempted
            .fault
            .as_deref()
            .map(|fault| fault.replace('\0', "\u{FFFD}")),
        attempted.next_attempt_at,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A delivery, as its owner reads of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Of the event at this position.
    pub position: i64,
    /// Of which job it is.
    pub job: JobId,
    /// Its type.
    pub r#type: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What the receiver answered with last.
    pub status: Option<u16>,
    /// Why the last attempt failed.
    pub fault: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When the last attempt ended.
    pub attempted_at: Option<DateTime<Utc>>,
}

/// The deliveries to a webhook, newest first, with positions below one where that is given.
///
/// # Errors
/// The database is away.
pub async fn deliveries(
    connection: &mut PgConnection,
    webhook: Uuid,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Delivery>> {
    let rows = sqlx::query!(
        r#"
        SELECT position, job_id, type, state, attempts, next_attempt_at, status, fault, created_at, attempted_at
        FROM deliveries WHERE webhook_id = $1 AND ($2::bigint IS NULL OR position < $2)
        ORDER BY position DESC LIMIT $3
        "#,
        webhook,
        before,
        i64::from(limit)
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(Delivery {
            position: row.position,
            job: JobId(row.job_id),
            r#type: row.r#type,
            state: read_name("delivery's state", &row.state)?,
            attempts: to_u32("attempts", row.attempts)?,
            next_attempt_at: row.next_attempt_at,
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            fault: row.fault,
            created_at: row.created_at,
            attempted_at: row.attempted_at,
        })
    });
    rows.collect()
}

/// Removes at most so many deliveries from before a moment that are not to be sent any more. How many.
///
/// # Errors
/// The database is away.
pub async fn prune(connection: &mut PgConnection, before: DateTime<Utc>, most: i64) -> Result<u64> {
    let removed = sqlx::query!(
        r#"
        DELETE FROM deliveries WHERE (webhook_id, position) IN (
            SELECT webhook_id, position FROM deliveries
            WHERE created_at < $1 AND state <> 'pending' ORDER BY created_at LIMIT $2
        )
        "#,
        before,
        most
    )
    .execute(connection)
    .await?;
    Ok(removed.rows_affected())
}
