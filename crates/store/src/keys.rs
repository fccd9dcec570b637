//! Keys of the API: who has which, and until when. A key's text is nowhere in the database; it is found by
//! its SHA-256, which tells nobody else anything, as the text is random.

use crate::{Result, read_name};
use chrono::{DateTime, TimeDelta, Utc};
use frugal_domain::access::Scope;
use sqlx::PgConnection;
use uuid::Uuid;

/// The SHA-256 of a key's text, or of a stream token's.
pub type Hash = [u8; 32];

/// How old the stored last use may be before it is written anew.
const USE_IS_TOLD_EVERY: TimeDelta = TimeDelta::minutes(1);

/// A key without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// To whom belongs what is made with it.
    pub owner: String,
    /// The first characters of its text.
    pub hint: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used last, to a minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

struct KeyRow {
    id: Uuid,
    name: String,
    owner: String,
    hint: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<KeyRow> for Key {
    type Error = crate::Error;

    fn try_from(row: KeyRow) -> Result<Self> {
        let scopes = row.scopes.iter().map(|scope| read_name("scope", scope));
        Ok(Self {
            id: row.id,
            name: row.name,
            owner: row.owner,
            hint: row.hint,
            scopes: scopes.collect::<Result<_>>()?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
    }
}

/// Stores a new key, by the hash of its text. Whether its name was free.
///
/// # Errors
/// The database is away or refuses.
pub async fn create(connection: &mut PgConnection, key: &Key, hash: &Hash) -> Result<bool> {
    let scopes: Vec<String> = key.scopes.iter().map(Scope::to_string).collect();
    let created = sqlx::query!(
        r#"
        INSERT INTO api_keys (id, name, owner, hash, hint, scopes, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
        "#,
        key.id,
        key.name,
        key.owner,
        hash.as_slice(),
        key.hint,
        &scopes,
        key.created_at,
        key.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(created.rows_affected() == 1)
}

/// All keys, newest first, revoked ones as well.
///
/// # Errors
/// The database is away.
pub async fn list(connection: &mut PgConnection) -> Result<Vec<Key>> {
    let rows = sqlx::query_as!(
        KeyRow,
        r#"
        SELECT id, name, owner, hint, scopes, created_at, expires_at, last_used_at, revoked_at
        FROM api_keys ORDER BY id DESC
        "#
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Key::try_from).collect()
}

/// Whether there is a key that is good.
///
/// # Errors
/// The database is away.
pub async fn any(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<bool> {
    let any = sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)
        ) AS "any!"
        "#,
        now
    )
    .fetch_one(connection)
    .await?;
    Ok(any)
}

/// Revokes the key with this id, or else this name; nothing where there is none that is not revoked.
///
/// # Errors
/// The database is away.
pub async fn revoke(
    connection: &mut PgConnection,
    id_or_name: &str,
    now: DateTime<Utc>,
) -> Result<Option<Key>> {
    // No name has a NUL character, which the database would not take.
    if id_or_name.contains('\0') {
        return Ok(None);
    }
    let row = sqlx::query_as!(
        KeyRow,
        r#"
        UPDATE api_keys SET revoked_at = $3
        WHERE revoked_at IS NULL AND (id = $1 OR ($1 IS NULL AND name = $2))
        RETURNING id, name, owner, hint, scopes, created_at, expires_at, last_used_at, revoked_at
        "#,
        Uuid::parse_str(id_or_name).ok(),
        id_or_name,
        now
    )
    .fetch_optional(connection)
    .await?;
    row.map(Key::try_from).transpose()
}

/// The key with this hash, unless it is revoked or has expired.
///
/// # Errors
/// The database is away.
pub async fn find(
    connection: &mut PgConnection,
    hash: &Hash,
    now: DateTime<Utc>,
) -> Result<Option<Key>> {
    let row = sqlx::query_as!(
        KeyRow,
        r#"
        SELECT id, name, owner, hint, scopes, created_at, expires_at, last_used_at, revoked_at
        FROM api_keys
        WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
        "#,
        hash.as_slice(),
        now
    )
    .fetch_optional(connection)
    .await?;
    row.map(Key::try_from).transpose()
}

/// Which of some keys are good.
///
/// # Errors
/// The database is away.
pub async fn good(
    connection: &mut PgConnection,
    keys: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>> {
    let good = sqlx::query_scalar!(
        r#"
        SELECT id FROM api_keys
        WHERE id = ANY($1) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
        "#,
        keys,
        now
    )
    .fetch_all(connection)
    .await?;
    Ok(good)
}

/// Notes that a key was used, once a minute at most.
///
/// # Errors
/// The database is away.
pub async fn note_use(connection: &mut PgConnection, key: &Key, now: DateTime<Utc>) -> Result<()> {
    if key
        .last_used_at
        .is_some_and(|last| now - last < USE_IS_TOLD_EVERY)
    {
        return Ok(());
    }
    // Where servers share a database, the first of them writes.
    sqlx::query!(
        "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)",
        key.id,
        now,
        now - USE_IS_TOLD_EVERY
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores a stream token of a key, and removes those that have expired.
///
/// # Errors
/// The database is away.
pub async fn create_stream_token(
    connection: &mut PgConnection,
    hash: &Hash,
    key: Uuid,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!("DELETE FROM stream_tokens WHERE expires_at <= $1", now)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "INSERT INTO stream_tokens (hash, key_id, expires_at) VALUES ($1, $2, $3)",
        hash.as_slice(),
        key,
        expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The key that a stream token stands for, as long as both are good.
///
/// # Errors
/// The database is away.
pub async fn find_by_stream_token(
    connection: &mut PgConnection,
    hash: &Hash,
    now: DateTime<Utc>,
) -> Result<Option<Key>> {
    let row = sqlx::query_as!(
        KeyRow,
        r#"
        SELECT id, name, owner, hint, scopes, created_at, key.expires_at, last_used_at, revoked_at
        FROM stream_tokens AS token JOIN api_keys AS key ON key.id = token.key_id
        WHERE token.hash = $1 AND token.expires_at > $2
          AND revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > $2)
        "#,
        hash.as_slice(),
        now
    )
    .fetch_optional(connection)
    .await?;
    row.map(Key::try_from).transpose()
}
