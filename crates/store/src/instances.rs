//! The rows of a job's data.

use crate::{Result, read_json, read_name, to_integer, to_u32, write_json};
use frugal_domain::id::JobId;
use frugal_domain::job::{Data, Instance, Split};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Stores the rows of both splits, in order.
///
/// # Errors
/// The database is away.
pub(crate) async fn insert(connection: &mut PgConnection, job: JobId, data: &Data) -> Result<()> {
    for split in Split::ALL {
        let rows: Vec<_> = data
            .rows(*split)
            .iter()
            .map(|row| write_json("instance", row))
            .collect::<Result<_>>()?;
        sqlx::query!(
            r#"
            INSERT INTO instances (job_id, split, position, data)
            SELECT $1, $2, position - 1, data
            FROM unnest($3::jsonb[]) WITH ORDINALITY AS row (data, position)
            "#,
            job.0,
            split.as_str(),
            &rows
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The rows of both splits, in order.
///
/// # Errors
/// The database is away.
pub async fn load(connection: &mut PgConnection, job: JobId) -> Result<Data> {
    let rows = sqlx::query!(
        "SELECT split, data FROM instances WHERE job_id = $1 ORDER BY split, position",
        job.0
    )
    .fetch_all(connection)
    .await?;
    let mut data = Data::default();
    for row in rows {
        let instance: Instance = read_json("instance", row.data)?;
        match read_name("split", &row.split)? {
            Split::Tuning => data.tuning.push(instance),
            Split::Holdout => data.holdout.push(instance),
        }
    }
    Ok(data)
}

/// Some rows of a split, by their positions.
///
/// # Errors
/// The database is away.
pub async fn some(
    connection: &mut PgConnection,
    job: JobId,
    split: Split,
    positions: &[u32],
) -> Result<BTreeMap<u32, Instance>> {
    let positions = positions.iter();
    let positions: Vec<i32> = positions
        .map(|position| to_integer("position", *position))
        .collect::<Result<_>>()?;
    let rows = sqlx::query!(
        "SELECT position, data FROM instances WHERE job_id = $1 AND split = $2 AND position = ANY($3)",
        job.0,
        split.as_str(),
        &positions
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let position = to_u32("position", row.position)?;
            Ok((position, read_json("instance", row.data)?))
        })
        .collect()
}
