//! What was changed, by whom and when.

use crate::Result;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// With which key; nothing where nobody has to have one, and for what was done at the database.
    pub key_id: Option<Uuid>,
    /// The key's name then.
    pub key_name: Option<String>,
    /// To whom the key belonged.
    pub owner: Option<String>,
    /// The operation, by its name in the API's description.
    pub action: String,
    /// The path of what was changed.
    pub subject: String,
    /// The client's address.
    pub address: Option<String>,
    /// Under which the operator's log has the request.
    pub request_id: Option<String>,
}

/// An entry with its number, which grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// The number.
    pub id: i64,
    /// The entry.
    pub entry: Entry,
}

/// Notes a change.
///
/// # Errors
/// The database is away.
pub async fn note(connection: &mut PgConnection, entry: &Entry) -> Result<()> {
    // What clients wrote may have a NUL character, which the database would not take.
    let whole = |text: &str| text.replace('\0', "\u{FFFD}");
    sqlx::query!(
        r#"
        INSERT INTO audit (at, key_id, key_name, owner, action, subject, address, request_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        entry.at,
        entry.key_id,
        entry.key_name,
        entry.owner,
        entry.action,
        whole(&entry.subject),
        entry.address,
        entry.request_id.as_deref().map(whole),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Entries, newest first, with numbers below `before`.
///
/// # Errors
/// The database is away.
pub async fn list(
    connection: &mut PgConnection,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Numbered>> {
    let rows = sqlx::query!(
        r#"
        SELECT id, at, key_id, key_name, owner, action, subject, address, request_id
        FROM audit WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
        "#,
        before,
        i64::from(limit)
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| Numbered {
        id: row.id,
        entry: Entry {
            at: row.at,
            key_id: row.key_id,
            key_name: row.key_name,
            owner: row.owner,
            action: row.action,
            subject: row.subject,
            address: row.address,
            request_id: row.request_id,
        },
    });
    Ok(rows.collect())
}

/// Removes at most so many entries from before a moment, the oldest first. How many.
///
/// # Errors
/// The database is away.
pub async fn prune(connection: &mut PgConnection, before: DateTime<Utc>, most: i64) -> Result<u64> {
    let removed = sqlx::query!(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)",
        before,
        most
    )
    .execute(connection)
    .await?;
    Ok(removed.rows_affected())
}
