//! Responses as stored, and the texts of single ones for those who have lost sight of them.

use crate::{Result, to_integer, to_request_key, to_u32, to_u64};
use frugal_domain::id::JobId;
use frugal_domain::request::{FinishReason, ResponseId};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// One generated answer as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The text. NUL characters, which PostgreSQL cannot hold, are replaced by U+FFFD.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Its estimated length in tokens.
    pub estimated_tokens: u64,
}

impl StoredResponse {
    /// A response from the columns that hold one.
    pub(crate) fn stored(
        text: String,
        finish_reason: String,
        estimated_tokens: i64,
    ) -> Result<Self> {
        Ok(Self {
            text,
            finish_reason: finish_reason.into(),
            estimated_tokens: to_u64("estimated tokens", estimated_tokens)?,
        })
    }
}

/// The columns of many responses' ids.
#[derive(Default)]
struct Columns {
    job: Vec<sqlx::types::Uuid>,
    purpose: Vec<String>,
    trial: Vec<i32>,
    ordinal: Vec<i32>,
    position: Vec<i32>,
}

impl Columns {
    fn of<'r>(ids: impl Iterator<Item = (JobId, &'r ResponseId)>) -> Result<Self> {
        let mut columns = Self::default();
        for (job, id) in ids {
            let request = id.request;
            columns.job.push(job.0);
            columns.purpose.push(request.purpose.as_str().to_owned());
            columns
                .trial
                .push(to_integer("trial number", request.trial.0)?);
            columns
                .ordinal
                .push(to_integer("ordinal", request.ordinal)?);
            columns.position.push(to_integer("position", id.position)?);
        }
        Ok(columns)
    }
}

/// Responses that a job has, its own and those that it took over from others. Ids without any
/// are left out.
///
/// # Errors
/// The database is away.
pub async fn texts(
    connection: &mut PgConnection,
    job: JobId,
    ids: &[ResponseId],
) -> Result<BTreeMap<ResponseId, StoredResponse>> {
    let own = Columns::of(ids.iter().filter(|id| id.job.is_none()).map(|id| (job, id)))?;
    let adopted = Columns::of(ids.iter().filter_map(|id| Some((id.job?, id))))?;
    // One statement, so that what is asked for at once is read at once. A response that several
    // trials took over is there several times, and the same each time.
    let rows = sqlx::query!(
        r#"
        SELECT NULL::uuid AS source_job, purpose AS "purpose!", trial AS "trial!",
               ordinal AS "ordinal!", position AS "position!", text AS "text!",
               finish_reason AS "finish_reason!", estimated_tokens AS "estimated_tokens!"
        FROM responses
        JOIN unnest($2::text[], $3::integer[], $4::integer[], $5::integer[])
             AS id (purpose, trial, ordinal, position) USING (purpose, trial, ordinal, position)
        WHERE job_id = $1
        UNION ALL
        SELECT source_job, source_purpose, source_trial, source_ordinal, source_position, text,
               finish_reason, estimated_tokens
        FROM adopted_responses
        JOIN unnest($6::uuid[], $7::text[], $8::integer[], $9::integer[], $10::integer[])
             AS id (source_job, source_purpose, source_trial, source_ordinal, source_position)
             USING (source_job, source_purpose, source_trial, source_ordinal, source_position)
        WHERE job_id = $1
        "#,
        job.0,
        &own.purpose,
        &own.trial,
        &own.ordinal,
        &own.position,
        &adopted.job,
        &adopted.purpose,
        &adopted.trial,
        &adopted.ordinal,
        &adopted.position
    )
    .fetch_all(connection)
    .await?;
    let mut found = BTreeMap::new();
    for row in rows {
        let id = ResponseId {
            job: row.source_job.map(JobId),
            request: to_request_key(&row.purpose, row.trial, row.ordinal)?,
            position: to_u32("position", row.position)?,
        };
        let response = StoredResponse::stored(row.text, row.finish_reason, row.estimated_tokens)?;
        found.insert(id, response);
    }
    Ok(found)
}
