//! Datasets: rows that many jobs may take.

use crate::{Error, Result, read_json, to_bigint, to_integer, to_u32, to_u64, write_json};
use chrono::{DateTime, Utc};
use frugal_domain::access::Access;
use frugal_domain::id::DatasetId;
use frugal_domain::job::Instance;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// How many rows are inserted by one statement, at most.
const ROWS_AT_ONCE: usize = 1_000;

/// How much text is inserted by one statement, but for a single row that is longer.
const BYTES_AT_ONCE: usize = 4 << 20;

/// A dataset without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its id.
    pub id: DatasetId,
    /// Its name, which no other dataset of its owner has.
    pub name: String,
    /// SHA-256 of its rows, in hexadecimal digits.
    pub sha256: String,
    /// How many rows it has.
    pub rows: u32,
    /// How many bytes they have as JSON, a line for each.
    pub bytes: u64,
    /// The fields that they have.
    pub columns: Vec<Column>,
    /// How many jobs were made of it.
    pub jobs: u64,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
}

/// A field that rows have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How many rows have it.
    pub rows: u64,
}

struct DatasetRow {
    id: Uuid,
    name: String,
    sha256: String,
    rows: i32,
    bytes: i64,
    columns: serde_json::Value,
    jobs: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<DatasetRow> for Dataset {
    type Error = Error;

    fn try_from(row: DatasetRow) -> Result<Self> {
        Ok(Self {
            id: DatasetId(row.id),
            name: row.name,
            sha256: row.sha256,
            rows: to_u32("number of rows", row.rows)?,
            bytes: to_u64("number of bytes", row.bytes)?,
            columns: read_json("columns", row.columns)?,
            jobs: to_u64("number of jobs", row.jobs)?,
            created_at: row.created_at,
        })
    }
}

/// What came of storing a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is stored with the transaction.
    New,
    /// The same rows are there under the same name.
    Before(Dataset),
    /// Other rows have the name.
    NameTaken(Dataset),
}

/// Stores a dataset of an owner with its rows, which are JSON objects. One of the same name that is being
/// stored at the same time is waited for.
///
/// # Errors
/// The database is away or refuses.
pub async fn create(
    connection: &mut PgConnection,
    owner: Option<&str>,
    dataset: &Dataset,
    rows: &[String],
) -> Result<Created> {
    while !insert(connection, owner, dataset).await? {
        let own = Access {
            owner: owner.map(str::to_owned),
            everything: false,
        };
        // It may have been deleted in between.
        if let Some(before) = find_by_name(connection, &own, &dataset.name).await? {
            return Ok(match before.sha256 == dataset.sha256 {
                true => Created::Before(before),
                false => Created::NameTaken(before),
            });
        }
    }
    let mut position = 0_i32;
    for page in pages(rows) {
        sqlx::query!(
            r#"
            INSERT INTO dataset_rows (dataset_id, position, data)
            SELECT $1, $2 + (position - 1)::integer, data::jsonb
            FROM unnest($3::text[]) WITH ORDINALITY AS row (data, position)
            "#,
            dataset.id.0,
            position,
            page
        )
        .execute(&mut *connection)
        .await?;
        let length = i32::try_from(page.len()).map_err(|_| Error::TooLarge("number of rows"))?;
        position += length;
    }
    Ok(Created::New)
}

/// Stores a dataset without its rows, unless its name is taken.
async fn insert(
    connection: &mut PgConnection,
    owner: Option<&str>,
    dataset: &Dataset,
) -> Result<bool> {
    let inserted = sqlx::query!(
        r#"
        INSERT INTO datasets (id, name, sha256, rows, bytes, columns, created_at, owner)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (owner, name) DO NOTHING
        "#,
        dataset.id.0,
        dataset.name,
        dataset.sha256,
        to_integer("number of rows", dataset.rows)?,
        to_bigint("number of bytes", dataset.bytes)?,
        write_json("columns", &dataset.columns)?,
        dataset.created_at,
        owner,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Rows in parts that one statement takes each.
fn pages(mut rows: &[String]) -> impl Iterator<Item = &[String]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |row: &&String| {
            let is_first = bytes == 0;
            bytes += row.len();
            is_first || bytes <= BYTES_AT_ONCE
        };
        let length = rows.iter().take(ROWS_AT_ONCE).take_while(fits).count();
        let (page, rest) = rows.split_at(length);
        rows = rest;
        (!page.is_empty()).then_some(page)
    })
}

/// The dataset with this id, or else this name, of those that are reached.
///
/// # Errors
/// The database is away.
pub async fn find(
    connection: &mut PgConnection,
    access: &Access,
    id_or_name: &str,
) -> Result<Option<Dataset>> {
    let Ok(id) = id_or_name.parse::<DatasetId>() else {
        return find_by_name(connection, access, id_or_name).await;
    };
    let row = sqlx::query_as!(
        DatasetRow,
        r#"
        SELECT id, name, sha256, rows, bytes, columns, created_at,
               (SELECT count(*) FROM jobs WHERE dataset_ids @> ARRAY[datasets.id]) AS "jobs!"
        FROM datasets WHERE id = $1 AND ($2 OR owner IS NOT DISTINCT FROM $3)
        "#,
        id.0,
        access.everything,
        access.owner
    )
    .fetch_optional(connection)
    .await?;
    row.map(Dataset::try_from).transpose()
}

/// The caller's own dataset of this name, or else the newest of others that are reached.
async fn find_by_name(
    connection: &mut PgConnection,
    access: &Access,
    name: &str,
) -> Result<Option<Dataset>> {
    // No name has a NUL character, which the database would not take.
    if name.contains('\0') {
        return Ok(None);
    }
    let row = sqlx::query_as!(
        DatasetRow,
        r#"
        SELECT id, name, sha256, rows, bytes, columns, created_at,
               (SELECT count(*) FROM jobs WHERE dataset_ids @> ARRAY[datasets.id]) AS "jobs!"
        FROM datasets
        WHERE name = $1 AND ($2 OR owner IS NOT DISTINCT FROM $3)
        ORDER BY owner IS NOT DISTINCT FROM $3 DESC, id DESC
        LIMIT 1
        "#,
        name,
        access.everything,
        access.owner
    )
    .fetch_optional(connection)
    .await?;
    row.map(Dataset::try_from).transpose()
}

/// How many bytes the datasets of an owner have together. Until the transaction ends no other counts them:
/// what is counted is what will be there.
///
/// # Errors
/// The database is away.
pub async fn bytes_of(connection: &mut PgConnection, owner: Option<&str>) -> Result<u64> {
    // Two numbers, so that it is no other advisory lock: "data" in ASCII, and the owner.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(1684108385, hashtext(coalesce($1, '')))",
        owner
    )
    .execute(&mut *connection)
    .await?;
    let bytes = sqlx::query_scalar!(
        r#"
        SELECT coalesce(sum(bytes), 0)::bigint AS "bytes!" FROM datasets
        WHERE owner IS NOT DISTINCT FROM $1
        "#,
        owner
    )
    .fetch_one(connection)
    .await?;
    to_u64("number of bytes", bytes)
}

/// Datasets that are reached, newest first, older than `before`.
///
/// # Errors
/// The database is away.
pub async fn list(
    connection: &mut PgConnection,
    access: &Access,
    before: Option<DatasetId>,
    limit: u32,
) -> Result<Vec<Dataset>> {
    let rows = sqlx::query_as!(
        DatasetRow,
        r#"
        SELECT id, name, sha256, rows, bytes, columns, created_at,
               (SELECT count(*) FROM jobs WHERE dataset_ids @> ARRAY[datasets.id]) AS "jobs!"
        FROM datasets
        WHERE ($1::uuid IS NULL OR id < $1) AND ($3 OR owner IS NOT DISTINCT FROM $4)
        ORDER BY id DESC
        LIMIT $2
        "#,
        before.map(|id| id.0),
        i64::from(limit),
        access.everything,
        access.owner
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Dataset::try_from).collect()
}

/// Rows of a dataset with their positions, in order, from a position on.
///
/// # Errors
/// The database is away.
pub async fn rows(
    connection: &mut PgConnection,
    id: DatasetId,
    from: u32,
    limit: u32,
) -> Result<Vec<(u32, Instance)>> {
    let rows = sqlx::query!(
        r#"
        SELECT position, data FROM dataset_rows
        WHERE dataset_id = $1 AND position >= $2
        ORDER BY position
        LIMIT $3
        "#,
        id.0,
        i32::try_from(from).unwrap_or(i32::MAX),
        i64::from(limit)
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let position = to_u32("position", row.position)?;
        Ok((position, read_json("row of a dataset", row.data)?))
    });
    rows.collect()
}

/// All rows of a dataset, in order.
///
/// # Errors
/// The database is away.
pub async fn all_rows(connection: &mut PgConnection, id: DatasetId) -> Result<Vec<Instance>> {
    let rows = sqlx::query_scalar!(
        "SELECT data FROM dataset_rows WHERE dataset_id = $1 ORDER BY position",
        id.0
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    rows.map(|row| read_json("row of a dataset", row)).collect()
}

/// Removes a dataset with its rows; whether there was one. Jobs that took rows of it have copies.
///
/// # Errors
/// The database is away.
pub async fn delete(connection: &mut PgConnection, id: DatasetId) -> Result<bool> {
    let deleted = sqlx::query!("DELETE FROM datasets WHERE id = $1", id.0)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded_in_rows_and_bytes() {
        let lengths = |rows: &[String]| pages(rows).map(<[String]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), [0; 0]);
        let short = vec!["{}".to_owned(); 2 * ROWS_AT_ONCE + 1];
        assert_eq!(lengths(&short), [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]);
        let half = "h".repeat(BYTES_AT_ONCE / 2);
        let large = "l".repeat(BYTES_AT_ONCE + 1);
        let mixed = [large.clone(), half.clone(), half.clone(), half, large];
        assert_eq!(lengths(&mixed), [1, 2, 1, 1]);
    }
}
