//! What a scorer said of responses: observed once, and never derived again.

use crate::claim::Claim;
use crate::{Error, Result, to_integer, to_request_key, to_u32};
use chrono::{DateTime, Utc};
use frugal_domain::id::JobId;
use frugal_domain::request::ResponseId;
use frugal_domain::scoring::{AnswerKey, Observation};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// What was scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScoreKey {
    /// The response, the job's own or one that it took over.
    pub response: ResponseId,
    /// The cap that it was cut at, in tokens; absent where it is whole.
    pub max_tokens: Option<u32>,
    /// The row of the data that it was held against, by position within its split.
    pub instance: u32,
}

/// What the scorer said, or why it could not say.
pub type Score = Result<Observation, String>;

/// A score that was just observed.
#[derive(Debug, Clone, PartialEq)]
pub struct NewScore {
    /// What was scored.
    pub key: ScoreKey,
    /// What the scorer said.
    pub score: Score,
}

/// Stores scores, in one statement. One that is there already stays as it is, so storing the same
/// again changes nothing.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn insert(
    connection: &mut PgConnection,
    claim: Claim,
    scores: &[NewScore],
    now: DateTime<Utc>,
) -> Result<()> {
    let mut rows = Columns::default();
    for NewScore { key, score } in scores {
        rows.push(key, score)?;
    }
    // Whether the lease is held is asked apart from what was stored, which may be nothing.
    let held = sqlx::query_scalar!(
        r#"
        WITH held AS (
            SELECT id FROM jobs WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        ), inserted AS (
            INSERT INTO scores (job_id, source_job, purpose, trial, ordinal, position, instance,
                                max_tokens, score, failure, answer, scored_at)
            SELECT held.id, row.*, $3
            FROM held, unnest($4::uuid[], $5::text[], $6::integer[], $7::integer[], $8::integer[],
                              $9::integer[], $10::integer[], $11::float8[], $12::text[],
                              $13::bigint[]) AS row
            ON CONFLICT DO NOTHING
        )
        SELECT EXISTS (SELECT FROM held) AS "held!"
        "#,
        claim.job.0,
        claim.attempt,
        now,
        &rows.source_job as &[Option<sqlx::types::Uuid>],
        &rows.purpose,
        &rows.trial,
        &rows.ordinal,
        &rows.position,
        &rows.instance,
        &rows.max_tokens as &[Option<i32>],
        &rows.score as &[Option<f64>],
        &rows.failure as &[Option<String>],
        &rows.answer as &[Option<i64>]
    )
    .fetch_one(connection)
    .await?;
    if held { Ok(()) } else { Err(Error::LeaseLost) }
}

/// The columns of many scores.
#[derive(Default)]
struct Columns {
    source_job: Vec<Option<sqlx::types::Uuid>>,
    purpose: Vec<String>,
    trial: Vec<i32>,
    ordinal: Vec<i32>,
    position: Vec<i32>,
    instance: Vec<i32>,
    max_tokens: Vec<Option<i32>>,
    score: Vec<Option<f64>>,
    failure: Vec<Option<String>>,
    /// The bits of the answers' keys.
    answer: Vec<Option<i64>>,
}

impl Columns {
    fn push(&mut self, key: &ScoreKey, score: &Score) -> Result<()> {
        let ResponseId {
            job,
            request,
            position,
        } = key.response;
        let max_tokens = key.max_tokens;
        self.source_job.push(job.map(|job| job.0));
        self.purpose.push(request.purpose.as_str().to_owned());
        self.trial
            .push(to_integer("trial number", request.trial.0)?);
        self.ordinal.push(to_integer("ordinal", request.ordinal)?);
        self.position.push(to_integer("position", position)?);
        self.instance.push(to_integer("instance", key.instance)?);
        self.max_tokens.push(
            max_tokens
                .map(|cap| to_integer("max_tokens", cap))
                .transpose()?,
        );
        let observation = score.as_ref().ok();
        self.score
            .push(observation.map(|observation| observation.score));
        let answer = observation.and_then(|observation| observation.answer);
        self.answer
            .push(answer.map(|answer| answer.0.cast_signed()));
        let failure = score.as_ref().err();
        self.failure
            .push(failure.map(|failure| failure.replace('\0', "\u{FFFD}")));
        Ok(())
    }
}

/// All scores of a job.
///
/// # Errors
/// The database is away.
pub async fn load(connection: &mut PgConnection, job: JobId) -> Result<BTreeMap<ScoreKey, Score>> {
    let rows = sqlx::query!(
        r#"
        SELECT source_job, purpose, trial, ordinal, position, instance, max_tokens, score, failure,
               answer
        FROM scores WHERE job_id = $1
        "#,
        job.0
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = ScoreKey {
                response: ResponseId {
                    job: row.source_job.map(JobId),
                    request: to_request_key(&row.purpose, row.trial, row.ordinal)?,
                    position: to_u32("position", row.position)?,
                },
                max_tokens: row
                    .max_tokens
                    .map(|cap| to_u32("max_tokens", cap))
                    .transpose()?,
                instance: to_u32("instance", row.instance)?,
            };
            let answer = row.answer.map(|answer| AnswerKey(answer.cast_unsigned()));
            let observation = row.score.map(|score| Observation { score, answer });
            let score = observation.ok_or(row.failure.unwrap_or_default());
            Ok((key, score))
        })
        .collect()
}
