//! All that the owner of a job has changed and the search decides by, in the order of the numbers.

use crate::enqueued::EnqueuedTrial;
use crate::terms::TermsChange;
use crate::{Error, Result, read_json, to_integer, to_u32, to_u64};
use chrono::{DateTime, Utc};
use frugal_domain::id::JobId;
use serde_json::Value;
use sqlx::PgConnection;

/// What the owner of a job has changed.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnerChange {
    /// The terms that the search goes by.
    Terms(TermsChange),
    /// A configuration was put in.
    Trial(EnqueuedTrial),
}

impl OwnerChange {
    /// The how-manieth change of the job it is.
    #[must_use]
    pub const fn number(&self) -> u32 {
        match self {
            Self::Terms(change) => change.number,
            Self::Trial(enqueued) => enqueued.number,
        }
    }
}

struct ChangeRow {
    number: i32,
    terms_before: Option<Value>,
    terms: Option<Value>,
    unaffordable: Option<Value>,
    continues: Option<bool>,
    told: Option<bool>,
    configuration: Option<Value>,
    place: Option<i64>,
    created_at: DateTime<Utc>,
}

impl TryFrom<ChangeRow> for OwnerChange {
    type Error = Error;

    fn try_from(row: ChangeRow) -> Result<Self> {
        let number = to_u32("number of a change", row.number)?;
        let place = row.place.map(|place| to_u64("place", place)).transpose()?;
        Ok(match row.configuration {
            Some(configuration) => Self::Trial(EnqueuedTrial {
                number,
                configuration: read_json("configuration", configuration)?,
                place,
                created_at: row.created_at,
            }),
            None => Self::Terms(TermsChange {
                number,
                terms_before: read_json("terms", row.terms_before.unwrap_or_default())?,
                terms: read_json("terms", row.terms.unwrap_or_default())?,
                place,
                unaffordable: read_json("requests", row.unaffordable.unwrap_or_default())?,
                continues: row.continues.unwrap_or_default(),
                told: row.told.unwrap_or_default(),
            }),
        })
    }
}

/// The changes of a job with numbers above one. They are read in one statement, so that none is missing between
/// two others: each gets its number and is committed under the lock of the job's row.
///
/// # Errors
/// The database is away.
pub async fn after(
    connection: &mut PgConnection,
    job: JobId,
    number: u32,
) -> Result<Vec<OwnerChange>> {
    let rows = sqlx::query_as!(
        ChangeRow,
        r#"
        SELECT number AS "number!", terms_before AS "terms_before?", terms AS "terms?",
               unaffordable AS "unaffordable?", continues AS "continues?", told AS "told?",
               NULL::jsonb AS "configuration?", place AS "place?", created_at AS "created_at!"
        FROM terms_changes WHERE job_id = $1 AND number > $2
        UNION ALL
        SELECT number, NULL, NULL, NULL, NULL, NULL, configuration, place, created_at
        FROM enqueued_trials WHERE job_id = $1 AND number > $2
        ORDER BY 1
        "#,
        job.0,
        to_integer("number of a change", number)?
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(OwnerChange::try_from).collect()
}

/// The configurations that were put into a job, in the order of the numbers.
///
/// # Errors
/// The database is away.
pub async fn enqueued(connection: &mut PgConnection, job: JobId) -> Result<Vec<EnqueuedTrial>> {
    let all = after(connection, job, 0).await?.into_iter();
    let enqueued = all.filter_map(|change| match change {
        OwnerChange::Terms(_) => None,
        OwnerChange::Trial(enqueued) => Some(enqueued),
    });
    Ok(enqueued.collect())
}
