//! What scorers said: stored before anything is derived from it.

use crate::claim::Claim;
use crate::{Error, Result, to_integer, to_request_key, to_u32};
use frugal_domain::id::JobId;
use frugal_domain::request::ResponseId;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// A score to store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewScore {
    /// The response that was scored.
    pub response: ResponseId,
    /// The cap that it was cut to; nothing where it was scored whole.
    pub max_tokens: Option<u32>,
    /// The row that it was held against, by position within its split.
    pub instance: u32,
    /// How good it is, or why that cannot be said.
    pub result: Result<f64, String>,
}

/// Stores scores, in one statement. One that is there already stays as it is.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn insert(
    connection: &mut PgConnection,
    claim: Claim,
    scores: &[NewScore],
) -> Result<()> {
    let mut columns = Columns::default();
    for one in scores {
        columns.push(claim.job, one)?;
    }
    let held = sqlx::query_scalar!(
        r#"
        WITH held AS (
            SELECT id FROM jobs WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        ), inserted AS (
            INSERT INTO scores (job_id, source_job, purpose, trial, ordinal, position, max_tokens,
                                instance, score, failure)
            SELECT held.id, row.source_job, row.purpose, row.trial, row.ordinal, row.position,
                   row.max_tokens, row.instance, row.score, row.failure
            FROM held, unnest($3::uuid[], $4::text[], $5::integer[], $6::integer[], $7::integer[],
                              $8::integer[], $9::integer[], $10::double precision[], $11::text[])
                 AS row (source_job, purpose, trial, ordinal, position, max_tokens, instance, score,
                         failure)
            ON CONFLICT DO NOTHING
        )
        SELECT count(*) AS "count!" FROM held
        "#,
        claim.job.0,
        claim.attempt,
        &columns.source_job,
        &columns.purpose,
        &columns.trial,
        &columns.ordinal,
        &columns.position,
        &columns.max_tokens,
        &columns.instance,
        &columns.score as &[Option<f64>],
        &columns.failure as &[Option<String>]
    )
    .fetch_one(connection)
    .await?;
    if held == 0 {
        return Err(Error::LeaseLost);
    }
    Ok(())
}

/// The columns of many scores.
#[derive(Default)]
struct Columns {
    source_job: Vec<uuid::Uuid>,
    purpose: Vec<String>,
    trial: Vec<i32>,
    ordinal: Vec<i32>,
    position: Vec<i32>,
    max_tokens: Vec<i32>,
    instance: Vec<i32>,
    score: Vec<Option<f64>>,
    failure: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, job: JobId, one: &NewScore) -> Result<()> {
        let ResponseId {
            job: source,
            request,
            position,
        } = one.response;
        self.source_job.push(source.unwrap_or(job).0);
        self.purpose.push(request.purpose.as_str().to_owned());
        self.trial
            .push(to_integer("trial number", request.trial.0)?);
        self.ordinal.push(to_integer("ordinal", request.ordinal)?);
        self.position.push(to_integer("position", position)?);
        self.max_tokens
            .push(to_integer("max_tokens", one.max_tokens.unwrap_or(0))?);
        self.instance.push(to_integer("instance", one.instance)?);
        self.score.push(one.result.as_ref().ok().copied());
        let failure = one.result.as_ref().err();
        self.failure
            .push(failure.map(|failure| failure.replace('\0', "\u{FFFD}")));
        Ok(())
    }
}

/// A response, and the cap that it was cut to if it was.
pub type Scored = (ResponseId, Option<u32>);

/// All scores of a job.
///
/// # Errors
/// The database is away.
pub async fn load(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<BTreeMap<Scored, Result<f64, String>>> {
    let rows = sqlx::query!(
        r#"
        SELECT source_job, purpose, trial, ordinal, position, max_tokens, score, failure
        FROM scores WHERE job_id = $1
        "#,
        job.0
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let response = ResponseId {
                job: (row.source_job != job.0).then_some(JobId(row.source_job)),
                request: to_request_key(&row.purpose, row.trial, row.ordinal)?,
                position: to_u32("position", row.position)?,
            };
            let max_tokens = to_u32("max_tokens", row.max_tokens)?;
            let scored = (response, (max_tokens > 0).then_some(max_tokens));
            let score = row.score.ok_or_else(|| row.failure.unwrap_or_default());
            Ok((scored, score))
        })
        .collect()
}
