//! What a scorer said of responses: observed once, and never derived again.

use crate::claim::Claim;
use crate::{Error, Result, to_integer, to_request_key, to_u32};
use chrono::{DateTime, Utc};
use frugal_domain::id::JobId;
use frugal_domain::job::Split;
use frugal_domain::request::ResponseId;
use frugal_domain::scoring::{AnswerKey, CorpusCounts, Observation};
use futures::TryStreamExt;
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
    /// The part of a composite that said it, by its number; absent where it is the word of the whole scorer.
    pub part: Option<u32>,
    /// What the scorer said.
    pub score: Score,
}

/// Stores scores, in one statement, with the version of the scorers that said them. One that is there already
/// stays as it is, so storing the same again changes nothing.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn insert(
    connection: &mut PgConnection,
    claim: Claim,
    version: u32,
    scores: &[NewScore],
    now: DateTime<Utc>,
) -> Result<()> {
    let mut rows = Columns::default();
    for score in scores {
        rows.push(score)?;
    }
    // Whether the lease is held is asked apart from what was stored, which may be nothing; and under a lock, which
    // waits for another worker that is taking the job (see `requests::send_group`).
    let held = sqlx::query_scalar!(
        r#"
        WITH held AS (
            SELECT id FROM jobs WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
            FOR KEY SHARE
        ), inserted AS (
            INSERT INTO scores (job_id, source_job, purpose, trial, ordinal, position, instance,
                                max_tokens, score, failure, answer, part, preference, counts, scored_at,
                                version)
            SELECT held.id, row.source_job, row.purpose, row.trial, row.ordinal, row.position,
                   row.instance, row.max_tokens, row.score, row.failure, row.answer, row.part,
                   row.preference, row.counts::integer[], $3, $17
            FROM held, unnest($4::uuid[], $5::text[], $6::integer[], $7::integer[], $8::integer[],
                              $9::integer[], $10::integer[], $11::float8[], $12::text[],
                              $13::bigint[], $14::integer[], $15::float8[], $16::text[])
                 AS row (source_job, purpose, trial, ordinal, position, instance, max_tokens, score,
                         failure, answer, part, preference, counts)
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
        &rows.answer as &[Option<i64>],
        &rows.part as &[Option<i32>],
        &rows.preference as &[Option<f64>],
        &rows.counts as &[Option<String>],
        to_integer("version", version)?
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
    part: Vec<Option<i32>>,
    preference: Vec<Option<f64>>,
    /// Lists, written as the database writes them: it knows no lists of lists of different lengths.
    counts: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, NewScore { key, part, score }: &NewScore) -> Result<()> {
        self.push_key(key)?;
        let observation = score.as_ref().ok();
        self.score
            .push(observation.map(|observation| observation.score));
        let answer = observation.and_then(|observation| observation.answer);
        self.answer
            .push(answer.map(|answer| answer.0.cast_signed()));
        self.preference
            .push(observation.and_then(|observation| observation.preference));
        let counts = observation.and_then(|observation| observation.counts);
        self.counts.push(counts.map(|counts| {
            let counts: Vec<String> = counts.listed().iter().map(u32::to_string).collect();
            format!("{{{}}}", counts.join(","))
        }));
        let failure = score.as_ref().err();
        self.failure
            .push(failure.map(|failure| failure.replace('\0', "\u{FFFD}")));
        let part = part.map(|part| to_integer("part", part));
        self.part.push(part.transpose()?);
        Ok(())
    }

    /// What was scored, and nothing of what was said.
    fn push_key(&mut self, key: &ScoreKey) -> Result<()> {
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
        Ok(())
    }
}

/// All scores of a job, by the whole scorer.
///
/// # Errors
/// The database is away.
pub async fn load(connection: &mut PgConnection, job: JobId) -> Result<BTreeMap<ScoreKey, Score>> {
    let mut rows = sqlx::query_as!(
        Row,
        r#"
        SELECT source_job, purpose, trial, ordinal, position, instance, max_tokens, score, failure,
               answer, part, preference, counts
        FROM scores WHERE job_id = $1 AND part IS NULL
        "#,
        job.0
    )
    .fetch(connection);
    let mut scores = BTreeMap::new();
    while let Some(row) = rows.try_next().await? {
        scores.insert(row.key()?, row.score());
    }
    Ok(scores)
}

/// All scores of a job by parts of its scorer, by their numbers.
///
/// # Errors
/// The database is away.
pub async fn load_parts(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<BTreeMap<(ScoreKey, u32), Score>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT source_job, purpose, trial, ordinal, position, instance, max_tokens, score, failure,
               answer, part, preference, counts
        FROM scores WHERE job_id = $1 AND part IS NOT NULL
        "#,
        job.0
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let part = to_u32("part", row.part.unwrap_or_default())?;
            Ok(((row.key()?, part), row.score()))
        })
        .collect()
}

/// What the scorer of other jobs said of responses that a job took over from them, where it is the same word:
/// the same scorer and selector, by the same version of the rules, against a row with the same fields, digit for
/// digit, of a response that is cut alike. What has no score there has none here.
///
/// # Errors
/// The database is away.
pub async fn of_others(
    connection: &mut PgConnection,
    job: JobId,
    split: Split,
    version: u32,
    keys: &[ScoreKey],
) -> Result<BTreeMap<ScoreKey, Observation>> {
    let mut wanted = Columns::default();
    let mut others = Vec::new();
    for key in keys.iter().filter(|key| key.response.job.is_some()) {
        wanted.push_key(key)?;
        others.push(*key);
    }
    if others.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        r#"
        SELECT wanted.number AS "number!", found.score AS "score!", found.answer, found.preference,
               found.counts
        FROM unnest($4::uuid[], $5::text[], $6::integer[], $7::integer[], $8::integer[],
                    $9::integer[], $10::integer[]) WITH ORDINALITY
             AS wanted (source_job, purpose, trial, ordinal, position, instance, max_tokens, number)
        JOIN jobs AS own ON own.id = $1
        JOIN jobs AS other ON other.id = wanted.source_job
             AND other.owner IS NOT DISTINCT FROM own.owner
             AND other.spec->'scorer' = own.spec->'scorer'
             AND other.spec->'selector' IS NOT DISTINCT FROM own.spec->'selector'
        JOIN scores AS found ON found.job_id = wanted.source_job AND found.source_job IS NULL
             AND found.purpose = wanted.purpose AND found.trial = wanted.trial
             AND found.ordinal = wanted.ordinal AND found.position = wanted.position
             AND found.max_tokens IS NOT DISTINCT FROM wanted.max_tokens
             AND found.part IS NULL AND found.score IS NOT NULL AND found.version = $3
        JOIN instances AS theirs ON theirs.job_id = other.id AND theirs.position = found.instance
             AND theirs.split = CASE found.purpose WHEN 'validation' THEN 'holdout' ELSE 'tuning' END
        JOIN instances AS ours ON ours.job_id = $1 AND ours.split = $2
             AND ours.position = wanted.instance AND ours.data::text = theirs.data::text
        "#,
        job.0,
        split.as_str(),
        to_integer("version", version)?,
        &wanted.source_job as &[Option<sqlx::types::Uuid>],
        &wanted.purpose,
        &wanted.trial,
        &wanted.ordinal,
        &wanted.position,
        &wanted.instance,
        &wanted.max_tokens as &[Option<i32>]
    )
    .fetch_all(connection)
    .await?;
    let found = rows.into_iter().filter_map(|row| {
        let place = usize::try_from(row.number).ok()?.checked_sub(1)?;
        let observed = observation(row.score, row.answer, row.preference, row.counts);
        Some((*others.get(place)?, observed))
    });
    Ok(found.collect())
}

/// A score as it is stored.
pub(crate) struct Row {
    pub(crate) source_job: Option<sqlx::types::Uuid>,
    pub(crate) purpose: String,
    pub(crate) trial: i32,
    pub(crate) ordinal: i32,
    pub(crate) position: i32,
    pub(crate) instance: i32,
    pub(crate) max_tokens: Option<i32>,
    pub(crate) score: Option<f64>,
    pub(crate) failure: Option<String>,
    pub(crate) answer: Option<i64>,
    pub(crate) part: Option<i32>,
    pub(crate) preference: Option<f64>,
    pub(crate) counts: Option<Vec<i32>>,
}

impl Row {
    pub(crate) fn key(&self) -> Result<ScoreKey> {
        let max_tokens = self.max_tokens.map(|cap| to_u32("max_tokens", cap));
        Ok(ScoreKey {
            response: ResponseId {
                job: self.source_job.map(JobId),
                request: to_request_key(&self.purpose, self.trial, self.ordinal)?,
                position: to_u32("position", self.position)?,
            },
            max_tokens: max_tokens.transpose()?,
            instance: to_u32("instance", self.instance)?,
        })
    }

    pub(crate) fn score(self) -> Score {
        match self.score {
            Some(score) => Ok(observation(
                score,
                self.answer,
                self.preference,
                self.counts,
            )),
            None => Err(self.failure.unwrap_or_default()),
        }
    }
}

/// What a scorer said, from its columns.
fn observation(
    score: f64,
    answer: Option<i64>,
    preference: Option<f64>,
    counts: Option<Vec<i32>>,
) -> Observation {
    let counts = counts.map(|all| all.into_iter().map(i32::cast_unsigned).collect::<Vec<_>>());
    Observation {
        score,
        answer: answer.map(|answer| AnswerKey(answer.cast_unsigned())),
        preference,
        counts: counts.as_deref().and_then(CorpusCounts::from_listed),
    }
}
