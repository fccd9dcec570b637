//! All rows of a job, read one after the other as whoever takes them away can follow.
//!
//! Nothing is held here but the row at hand: PostgreSQL sends rows as they are read, and waits where
//! they are not. All of it is one picture, that of the moment when [`begin`] was called.

use crate::requests::{Failure, Question};
use crate::trials::StoredTrial;
use crate::{
    Error, PgPool, Result, events, read_json, read_name, to_request_key, to_spend, to_u32, to_u64,
    trials,
};
use chrono::{DateTime, Utc};
use frugal_domain::event::Event;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::{Instance, Split};
use frugal_domain::money::Spend;
use frugal_domain::request::{RequestKey, ResponseId};
use futures::{Stream, StreamExt};
use sqlx::PgConnection;

/// A row of a job's data.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceRow {
    /// The part of the data.
    pub split: Split,
    /// Its position within that, from 0.
    pub position: u32,
    /// Its fields.
    pub data: Instance,
}

/// A response that a trial took over from another job.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptedRow {
    /// The trial.
    pub trial: TrialNumber,
    /// 0, 1, 2, … in the order in which the trial uses them.
    pub position: u32,
    /// The row of the data whose prompt it answers.
    pub instance: u32,
    /// Where it came from.
    pub source: ResponseId,
    /// The cap that it was drawn under.
    pub max_tokens: u32,
    /// Tokens of its prompt.
    pub prompt_tokens: u64,
    /// Its share of its request's billed tokens.
    pub completion_tokens: u64,
    /// Its own estimated length.
    pub estimated_tokens: u64,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
    /// The text.
    pub text: String,
    /// Why it ended.
    pub finish_reason: String,
}

/// A request, whatever became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRow {
    /// Which request.
    pub key: RequestKey,
    /// Which worker of the job sent it, from 1.
    pub attempt: i32,
    /// `sent`, `answered`, `failed` or `lost`.
    pub state: String,
    /// The row of the data, by position within its split.
    pub instance: u32,
    /// Responses asked for.
    pub n: u32,
    /// The cap on each of them, in tokens.
    pub max_tokens: u32,
    /// What was set aside for it.
    pub worst_case: Spend,
    /// Tokens of the prompt, once answered.
    pub prompt_tokens: Option<u64>,
    /// Tokens of all responses, once answered.
    pub completion_tokens: Option<u64>,
    /// Whether these are an estimate.
    pub usage_estimated: bool,
    /// What was counted against the budget, once it is settled.
    pub cost: Option<Spend>,
    /// What may have been billed besides, at worst.
    pub uncertain: Spend,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// What a judge was asked about.
    pub question: Option<Question>,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// When it was settled.
    pub answered_at: Option<DateTime<Utc>>,
}

/// A response of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseRow {
    /// The request that brought it.
    pub key: RequestKey,
    /// Which worker of the job sent that, from 1.
    pub attempt: i32,
    /// Its position in what the request brought, from 0.
    pub position: u32,
    /// The text.
    pub text: String,
    /// Why it ended.
    pub finish_reason: String,
    /// Its estimated length in tokens.
    pub estimated_tokens: u64,
}

/// What a scorer said of a response.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    /// The response, the job's own or one that it took over.
    pub response: ResponseId,
    /// The row of the data that it was held against.
    pub instance: u32,
    /// The cap that it was cut at; absent where it is whole.
    pub max_tokens: Option<u32>,
    /// The score, or why there is none.
    pub score: Result<f64, String>,
    /// When it was scored.
    pub scored_at: DateTime<Utc>,
}

/// Opens a picture of the database as it is now, on a connection of its own, outside of the pool's
/// number: it lasts as long as whoever reads it takes. Dropping the connection ends it, in the middle
/// of a statement too.
///
/// # Errors
/// The database is away.
pub async fn begin(pool: &PgPool) -> Result<PgConnection> {
    let mut connection = pool.acquire().await?.detach();
    // Not checked at build time: it has no rows and no parameters. A client that reads slowly leaves the
    // transaction idle for as long as it likes.
    sqlx::raw_sql(
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
         SET LOCAL idle_in_transaction_session_timeout = 0",
    )
    .execute(&mut connection)
    .await?;
    Ok(connection)
}

/// The rows of a job's data, by split and position.
pub fn instances(
    connection: &mut PgConnection,
    job: JobId,
) -> impl Stream<Item = Result<InstanceRow>> + Send + '_ {
    sqlx::query!(
        "SELECT split, position, data FROM instances WHERE job_id = $1 ORDER BY split, position",
        job.0
    )
    .fetch(connection)
    .map(|row| {
        let row = row?;
        Ok(InstanceRow {
            split: read_name("split", &row.split)?,
            position: to_u32("position", row.position)?,
            data: read_json("instance", row.data)?,
        })
    })
}

/// Trials, by number.
pub fn trials(
    connection: &mut PgConnection,
    job: JobId,
) -> impl Stream<Item = Result<StoredTrial>> + Send + '_ {
    trials::stream(connection, job)
}

/// Responses taken over, by trial and position.
pub fn adopted(
    connection: &mut PgConnection,
    job: JobId,
) -> impl Stream<Item = Result<AdoptedRow>> + Send + '_ {
    sqlx::query!(
        r#"
        SELECT trial, position, instance, source_job, source_purpose, source_trial, source_ordinal,
               source_position, max_tokens, prompt_tokens, completion_tokens, estimated_tokens,
               latency_ms, text, finish_reason
        FROM adopted_responses WHERE job_id = $1 ORDER BY trial, position
        "#,
        job.0
    )
    .fetch(connection)
    .map(|row| {
        let row = row?;
        Ok(AdoptedRow {
            trial: TrialNumber(to_u32("trial number", row.trial)?),
            position: to_u32("position", row.position)?,
            instance: to_u32("instance", row.instance)?,
            source: ResponseId {
                job: Some(JobId(row.source_job)),
                request: to_request_key(&row.source_purpose, row.source_trial, row.source_ordinal)?,
                position: to_u32("position", row.source_position)?,
            },
            max_tokens: to_u32("max_tokens", row.max_tokens)?,
            prompt_tokens: to_u64("usage", row.prompt_tokens)?,
            completion_tokens: to_u64("usage", row.completion_tokens)?,
            estimated_tokens: to_u64("estimated tokens", row.estimated_tokens)?,
            latency_ms: to_u64("latency", row.latency_ms)?,
            text: row.text,
            finish_reason: row.finish_reason,
        })
    })
}

/// Requests, by purpose, trial, ordinal and attempt.
pub fn requests(
    connection: &mut PgConnection,
    job: JobId,
) -> impl Stream<Item = Result<RequestRow>> + Send + '_ {
    sqlx::query!(
        r#"
        SELECT purpose, trial, ordinal, attempt, state, instance, n, max_tokens, worst_usd_pico,
               worst_tokens, prompt_tokens, completion_tokens, usage_estimated, cost_usd_pico,
               cost_tokens, uncertain_usd_pico, uncertain_tokens, failure, latency_ms, question,
               sent_at, answered_at
        FROM requests WHERE job_id = $1 ORDER BY purpose, trial, ordinal, attempt
        "#,
        job.0
    )
    .fetch(connection)
    .map(|row| {
        let row = row?;
        let number = |what, number: Option<i64>| number.map(|it| to_u64(what, it)).transpose();
        let cost = row.cost_usd_pico.zip(row.cost_tokens);
        Ok(RequestRow {
            key: to_request_key(&row.purpose, row.trial, row.ordinal)?,
            attempt: row.attempt,
            state: row.state,
            instance: to_u32("instance", row.instance)?,
            n: to_u32("n", row.n)?,
            max_tokens: to_u32("max_tokens", row.max_tokens)?,
            worst_case: to_spend(row.worst_usd_pico, row.worst_tokens)?,
            prompt_tokens: number("usage", row.prompt_tokens)?,
            completion_tokens: number("usage", row.completion_tokens)?,
            usage_estimated: row.usage_estimated,
            cost: cost
                .map(|(usd, tokens)| to_spend(usd, tokens))
                .transpose()?,
            uncertain: to_spend(row.uncertain_usd_pico, row.uncertain_tokens)?,
            failure: row
                .failure
                .map(|failure| read_json("failure", failure))
                .transpose()?,
            latency_ms: number("latency", row.latency_ms)?,
            question: row
                .question
                .map(|question| read_json("question", question))
                .transpose()?,
            sent_at: row.sent_at,
            answered_at: row.answered_at,
        })
    })
}

/// Responses, by request and position.
pub fn responses(
    connection: &mut PgConnection,
    job: JobId,
) -> impl Stream<Item = Result<ResponseRow>> + Send + '_ {
    sqlx::query!(
        r#"
        SELECT purpose, trial, ordinal, attempt, position, text, finish_reason, estimated_tokens
        FROM responses WHERE job_id = $1 ORDER BY purpose, trial, ordinal, attempt, position
        "#,
        job.0
    )
    .fetch(connection)
    .map(|row| {
        let row = row?;
        Ok(ResponseRow {
            key: to_request_key(&row.purpose, row.trial, row.ordinal)?,
            attempt: row.attempt,
            position: to_u32("position", row.position)?,
            text: row.text,
            finish_reason: row.finish_reason,
            estimated_tokens: to_u64("estimated tokens", row.estimated_tokens)?,
        })
    })
}

/// Scores, by response, row and cap.
pub fn scores(
    connection: &mut PgConnection,
    job: JobId,
) -> impl Stream<Item = Result<ScoreRow>> + Send + '_ {
    sqlx::query!(
        r#"
        SELECT source_job, purpose, trial, ordinal, position, instance, max_tokens, score, failure,
               scored_at
        FROM scores WHERE job_id = $1
        ORDER BY source_job, purpose, trial, ordinal, position, instance, max_tokens
        "#,
        job.0
    )
    .fetch(connection)
    .map(|row| {
        let row = row?;
        Ok(ScoreRow {
            response: ResponseId {
                job: row.source_job.map(JobId),
                request: to_request_key(&row.purpose, row.trial, row.ordinal)?,
                position: to_u32("position", row.position)?,
            },
            instance: to_u32("instance", row.instance)?,
            max_tokens: row
                .max_tokens
                .map(|cap| to_u32("max_tokens", cap))
                .transpose()?,
            score: row.score.ok_or(row.failure.unwrap_or_default()),
            scored_at: row.scored_at,
        })
    })
}

/// Events, by number.
pub fn events(
    connection: &mut PgConnection,
    job: JobId,
) -> impl Stream<Item = Result<Event, Error>> + Send + '_ {
    events::stream(connection, job)
}
