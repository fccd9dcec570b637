//! Requests and their responses: here before they are sent, and before anything is derived.

use crate::claim::Claim;
use crate::responses::StoredResponse;
use crate::{
    Error, Result, read_json, to_bigint, to_integer, to_request_key, to_spend, to_u32, to_u64,
    write_json,
};
use chrono::{DateTime, Utc};
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::money::{Spend, Usage};
use frugal_domain::request::{Purpose, RequestKey, ResponseId, Scope};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a request asked of which model, hashed: requests with the same key have responses of the
/// same distribution, whoever sent them.
pub type ReuseKey = [u8; 32];

/// A request that is about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRequest {
    /// Which request.
    pub key: RequestKey,
    /// The row of the data, by position within its split.
    pub instance: u32,
    /// Responses asked for.
    pub n: u32,
    /// The cap on each of them, in tokens.
    pub max_tokens: u32,
    /// The most that it may cost.
    pub worst_case: Spend,
    /// What it asks of which model, for jobs that may use its answer again.
    pub reuse_key: Option<ReuseKey>,
    /// What a judge is asked about, where it is a question to one.
    pub question: Option<Question>,
}

/// A question to a judge, by what it is about. The row is the request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The answer, the job's own or one that it took over.
    pub response: ResponseId,
    /// The limit that it is cut to; absent where it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The how-manieth question about it, from 0.
    pub number: u32,
}

/// A request that is about to be sent, with the claim of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    /// The fence.
    pub claim: Claim,
    /// The request.
    pub request: NewRequest,
    /// When it is sent.
    pub at: DateTime<Utc>,
}

/// Stores requests of any jobs that are about to be sent, in one statement, and tells of each
/// whether it is stored: those of a job whose lease is lost are left out, and no others. Storing the same
/// once more changes nothing, for whoever did not hear what became of it.
///
/// The rows of the jobs are locked before they are read, as the foreign key of what is stored would do afterwards
/// anyway: a statement that begins while another worker takes a job would else see the lease as it was, and
/// store what nobody counts any more. Whoever takes a job, or ends it, locks its row for update.
///
/// # Errors
/// The database is away, or refuses one of them: then none is stored.
pub async fn send_group(connection: &mut PgConnection, group: &[Sending]) -> Result<Vec<bool>> {
    let mut rows = SentColumns::default();
    for sending in group {
        rows.push(sending)?;
    }
    let stored = sqlx::query!(
        r#"
        WITH held AS (
            SELECT id, attempt FROM jobs
            WHERE id = ANY ($1) AND lease_expires_at IS NOT NULL
            ORDER BY id
            FOR KEY SHARE
        ), inserted AS (
            INSERT INTO requests (job_id, purpose, trial, ordinal, attempt, state, instance, n,
                                  max_tokens, worst_usd_pico, worst_tokens, sent_at, reuse_key,
                                  question)
            SELECT held.id, row.purpose, row.trial, row.ordinal, held.attempt, 'sent',
                   row.instance, row.n, row.max_tokens, row.worst_usd, row.worst_tokens,
                   row.sent_at, row.reuse_key, row.question
            FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::text[], $5::integer[],
                        $6::integer[], $7::integer[], $8::integer[], $9::integer[],
                        $10::bigint[], $11::bigint[], $12::bytea[], $13::jsonb[])
                 AS row (job_id, attempt, sent_at, purpose, trial, ordinal, instance, n,
                         max_tokens, worst_usd, worst_tokens, reuse_key, question)
            JOIN held ON held.id = row.job_id AND held.attempt = row.attempt
            ON CONFLICT DO NOTHING
            RETURNING job_id, purpose, trial, ordinal
        )
        SELECT job_id AS "job_id!", purpose AS "purpose!", trial AS "trial!", ordinal AS "ordinal!"
        FROM inserted
        "#,
        &rows.keys.job,
        &rows.keys.attempt,
        &rows.sent_at,
        &rows.keys.purpose,
        &rows.keys.trial,
        &rows.keys.ordinal,
        &rows.instance,
        &rows.n,
        &rows.max_tokens,
        &rows.worst_usd,
        &rows.worst_tokens,
        &rows.reuse_key as &[Option<Vec<u8>>],
        &rows.question as &[Option<serde_json::Value>]
    )
    .fetch_all(&mut *connection)
    .await?;
    let stored = stored.into_iter().map(|row| {
        let key = to_request_key(&row.purpose, row.trial, row.ordinal)?;
        Ok((JobId(row.job_id), key))
    });
    let stored: BTreeSet<_> = stored.collect::<Result<_>>()?;
    let is_stored = |sending: &Sending| stored.contains(&(sending.claim.job, sending.request.key));
    let mut is_stored: Vec<_> = group.iter().map(is_stored).collect();
    if is_stored.contains(&false) {
        let state = vec!["sent".to_owned(); group.len()];
        rows.keys
            .note_stored(connection, &state, &rows.sent_at, &mut is_stored)
            .await?;
    }
    Ok(is_stored)
}

/// The columns that say which requests are meant, and under which fence.
#[derive(Default)]
struct KeyColumns {
    job: Vec<Uuid>,
    attempt: Vec<i32>,
    purpose: Vec<String>,
    trial: Vec<i32>,
    ordinal: Vec<i32>,
}

impl KeyColumns {
    fn push(&mut self, claim: Claim, key: RequestKey) -> Result<()> {
        self.job.push(claim.job.0);
        self.attempt.push(claim.attempt);
        self.purpose.push(key.purpose.as_str().to_owned());
        self.trial.push(to_integer("trial number", key.trial.0)?);
        self.ordinal.push(to_integer("ordinal", key.ordinal)?);
        Ok(())
    }

    /// Notes which of them are in such states since such times: then the same was stored before, and its
    /// writer has not heard so.
    async fn note_stored(
        &self,
        connection: &mut PgConnection,
        states: &[String],
        times: &[DateTime<Utc>],
        is_stored: &mut [bool],
    ) -> Result<()> {
        let found = sqlx::query_scalar!(
            r#"
            SELECT row.number AS "number!"
            FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::integer[], $5::integer[],
                        $6::text[], $7::timestamptz[]) WITH ORDINALITY
                 AS row (job_id, attempt, purpose, trial, ordinal, state, at, number)
            JOIN requests
              ON requests.job_id = row.job_id AND requests.purpose = row.purpose
             AND requests.trial = row.trial AND requests.ordinal = row.ordinal
             AND requests.attempt = row.attempt AND requests.state = row.state
             AND row.at = CASE row.state
                 WHEN 'sent' THEN requests.sent_at ELSE requests.answered_at END
            "#,
            &self.job,
            &self.attempt,
            &self.purpose,
            &self.trial,
            &self.ordinal,
            states,
            times
        )
        .fetch_all(connection)
        .await?;
        let found: BTreeSet<i64> = found.into_iter().collect();
        for (number, is_stored) in (1..).zip(is_stored) {
            *is_stored |= found.contains(&number);
        }
        Ok(())
    }
}

/// The columns of many requests that are about to be sent.
#[derive(Default)]
struct SentColumns {
    keys: KeyColumns,
    sent_at: Vec<DateTime<Utc>>,
    instance: Vec<i32>,
    n: Vec<i32>,
    max_tokens: Vec<i32>,
    worst_usd: Vec<i64>,
    worst_tokens: Vec<i64>,
    reuse_key: Vec<Option<Vec<u8>>>,
    question: Vec<Option<serde_json::Value>>,
}

impl SentColumns {
    fn push(&mut self, sending: &Sending) -> Result<()> {
        let Sending { claim, request, at } = sending;
        let worst = request.worst_case;
        self.keys.push(*claim, request.key)?;
        self.sent_at.push(*at);
        self.instance
            .push(to_integer("instance", request.instance)?);
        self.n.push(to_integer("n", request.n)?);
        self.max_tokens
            .push(to_integer("max_tokens", request.max_tokens)?);
        self.worst_usd
            .push(to_bigint("worst case", worst.usd.pico())?);
        self.worst_tokens
            .push(to_bigint("worst case", worst.tokens)?);
        self.reuse_key
            .push(request.reuse_key.map(|key| key.to_vec()));
        let question = request.question.as_ref();
        let question = question.map(|question| write_json("question", question));
        self.question.push(question.transpose()?);
        Ok(())
    }
}

/// Raises the worst case of a request under way by what sending it once more may cost.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn raise(
    connection: &mut PgConnection,
    claim: Claim,
    key: RequestKey,
    worst_case: Spend,
) -> Result<()> {
    let raised = sqlx::query!(
        r#"
        UPDATE requests SET
            worst_usd_pico = worst_usd_pico + $6, worst_tokens = worst_tokens + $7
        WHERE job_id = $1 AND purpose = $2 AND trial = $3 AND ordinal = $4 AND attempt = $5
          AND state = 'sent'
        "#,
        claim.job.0,
        key.purpose.as_str(),
        to_integer("trial number", key.trial.0)?,
        to_integer("ordinal", key.ordinal)?,
        claim.attempt,
        to_bigint("worst case", worst_case.usd.pico())?,
        to_bigint("worst case", worst_case.tokens)?,
    )
    .execute(connection)
    .await?;
    if raised.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    Ok(())
}

/// Counts the requests that are still under way as lost, at their worst case: the job ends, or
/// goes to another worker, and they may have been billed. The caller holds the job's row.
///
/// # Errors
/// The database is away.
pub async fn abandon(connection: &mut PgConnection, job: JobId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        r#"
        UPDATE requests SET
            state = 'lost', cost_usd_pico = worst_usd_pico, cost_tokens = worst_tokens,
            answered_at = $2
        WHERE job_id = $1 AND state = 'sent'
        "#,
        job.0,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts the requests that this worker has under way as lost, at their worst case: it waits for
/// them no longer, and they may have been billed. Those of a worker that has taken over are its own.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn give_up_all(
    connection: &mut PgConnection,
    claim: Claim,
    now: DateTime<Utc>,
) -> Result<()> {
    let held = sqlx::query_scalar!(
        r#"
        WITH held AS (
            SELECT id, attempt FROM jobs
            WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
            FOR UPDATE
        ), given_up AS (
            UPDATE requests SET
                state = 'lost', cost_usd_pico = worst_usd_pico, cost_tokens = worst_tokens,
                answered_at = $3
            FROM held
            WHERE requests.job_id = held.id AND requests.attempt = held.attempt
              AND requests.state = 'sent'
        )
        SELECT EXISTS (SELECT FROM held) AS "held!"
        "#,
        claim.job.0,
        claim.attempt,
        now
    )
    .fetch_one(connection)
    .await?;
    if held { Ok(()) } else { Err(Error::LeaseLost) }
}

/// What an endpoint answered to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What was billed.
    pub usage: Usage,
    /// Whether the endpoint left the usage out, so that it is an estimate.
    pub usage_estimated: bool,
    /// What it cost.
    pub cost: Spend,
    /// What attempts before it may have been billed with at worst.
    pub uncertain: Spend,
    /// Its responses.
    pub responses: Vec<StoredResponse>,
}

/// Why a request brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which kind.
    pub kind: FailureKind,
    /// How far a refusal reaches; none where it was none, and in what was stored before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// What happened, in words for the job's owner.
    pub detail: String,
}

/// The kinds of failure that are results of a job's evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The endpoint refuses the configuration.
    Infeasible,
    /// The request failed for good.
    Failed,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It was answered.
    Answered(Answered),
    /// It failed for good. Nothing is known to have been billed.
    Failed {
        /// Why.
        failure: Failure,
        /// What attempts may have been billed with at worst.
        uncertain: Spend,
    },
}

impl Settled {
    /// What was billed.
    #[must_use]
    pub fn cost(&self) -> Spend {
        match self {
            Self::Answered(answer) => answer.cost,
            Self::Failed { .. } => Spend::default(),
        }
    }

    /// What may have been billed besides, at worst.
    #[must_use]
    pub const fn uncertain(&self) -> Spend {
        match self {
            Self::Answered(answer) => answer.uncertain,
            Self::Failed { uncertain, .. } => *uncertain,
        }
    }
}

/// What became of a request, with the claim of its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settling {
    /// The fence.
    pub claim: Claim,
    /// Which request.
    pub key: RequestKey,
    /// What became of it.
    pub settled: Arc<Settled>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// When it is settled.
    pub at: DateTime<Utc>,
}

/// Stores what became of requests of any jobs, in one statement, and tells of each whether it is
/// stored: those that another worker has counted as lost are left out, and no others. What is stored,
/// and nothing else, may be used. Storing the same once more changes nothing, for whoever did not hear what
/// became of it.
///
/// # Errors
/// The database is away, or refuses one of them: then none is stored.
pub async fn settle_group(connection: &mut PgConnection, group: &[Settling]) -> Result<Vec<bool>> {
    let mut rows = SettledColumns::default();
    for settling in group {
        rows.push(settling)?;
    }
    let responses = &rows.responses;
    let stored = sqlx::query_scalar!(
        r#"
        WITH settled AS (
            UPDATE requests SET
                state = row.state, prompt_tokens = row.prompt_tokens,
                completion_tokens = row.completion_tokens,
                usage_estimated = row.usage_estimated, cost_usd_pico = row.cost_usd,
                cost_tokens = row.cost_tokens, uncertain_usd_pico = row.uncertain_usd,
                uncertain_tokens = row.uncertain_tokens, failure = row.failure,
                latency_ms = row.latency_ms, answered_at = row.answered_at
            FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::integer[], $5::integer[],
                        $6::text[], $7::bigint[], $8::bigint[], $9::boolean[], $10::bigint[],
                        $11::bigint[], $12::bigint[], $13::bigint[], $14::jsonb[],
                        $15::bigint[], $16::timestamptz[]) WITH ORDINALITY
                 AS row (job_id, attempt, purpose, trial, ordinal, state, prompt_tokens,
                         completion_tokens, usage_estimated, cost_usd, cost_tokens,
                         uncertain_usd, uncertain_tokens, failure, latency_ms, answered_at,
                         number)
            WHERE requests.job_id = row.job_id AND requests.purpose = row.purpose
              AND requests.trial = row.trial AND requests.ordinal = row.ordinal
              AND requests.attempt = row.attempt AND requests.state = 'sent'
            RETURNING row.number, requests.job_id, requests.purpose, requests.trial,
                      requests.ordinal, requests.attempt
        ), inserted AS (
            INSERT INTO responses (job_id, purpose, trial, ordinal, attempt, position, text,
                                   finish_reason, estimated_tokens)
            SELECT settled.job_id, settled.purpose, settled.trial, settled.ordinal,
                   settled.attempt, response.position, response.text, response.finish_reason,
                   response.tokens
            FROM settled
            JOIN unnest($17::bigint[], $18::integer[], $19::text[], $20::text[], $21::bigint[])
                 AS response (number, position, text, finish_reason, tokens)
              ON response.number = settled.number
        )
        SELECT number AS "number!" FROM settled
        "#,
        &rows.keys.job,
        &rows.keys.attempt,
        &rows.keys.purpose,
        &rows.keys.trial,
        &rows.keys.ordinal,
        &rows.state,
        &rows.prompt_tokens as &[Option<i64>],
        &rows.completion_tokens as &[Option<i64>],
        &rows.usage_estimated,
        &rows.cost_usd,
        &rows.cost_tokens,
        &rows.uncertain_usd,
        &rows.uncertain_tokens,
        &rows.failure as &[Option<serde_json::Value>],
        &rows.latency_ms,
        &rows.answered_at,
        &responses.number,
        &responses.position,
        &responses.text,
        &responses.finish_reason,
        &responses.tokens,
    )
    .fetch_all(&mut *connection)
    .await?;
    let stored: BTreeSet<i64> = stored.into_iter().collect();
    let is_stored = (1..).zip(group).map(|(number, _)| stored.contains(&number));
    let mut is_stored: Vec<_> = is_stored.collect();
    if is_stored.contains(&false) {
        rows.keys
            .note_stored(connection, &rows.state, &rows.answered_at, &mut is_stored)
            .await?;
    }
    Ok(is_stored)
}

/// The columns of what became of many requests.
#[derive(Default)]
struct SettledColumns {
    keys: KeyColumns,
    state: Vec<String>,
    prompt_tokens: Vec<Option<i64>>,
    completion_tokens: Vec<Option<i64>>,
    usage_estimated: Vec<bool>,
    cost_usd: Vec<i64>,
    cost_tokens: Vec<i64>,
    uncertain_usd: Vec<i64>,
    uncertain_tokens: Vec<i64>,
    failure: Vec<Option<serde_json::Value>>,
    latency_ms: Vec<i64>,
    answered_at: Vec<DateTime<Utc>>,
    responses: ResponseColumns,
}

/// The columns of their responses.
#[derive(Default)]
struct ResponseColumns {
    /// The request that brought it, counted from 1 within the group.
    number: Vec<i64>,
    position: Vec<i32>,
    text: Vec<String>,
    finish_reason: Vec<String>,
    tokens: Vec<i64>,
}

impl SettledColumns {
    fn push(&mut self, settling: &Settling) -> Result<()> {
        let settled = &*settling.settled;
        let (state, answer, failure) = match settled {
            Settled::Answered(answer) => ("answered", Some(answer), None),
            Settled::Failed { failure, .. } => {
                ("failed", None, Some(write_json("failure", failure)?))
            }
        };
        let tokens = |count: fn(&Usage) -> u64| {
            answer
                .map(|answer| to_bigint("usage", count(&answer.usage)))
                .transpose()
        };
        let (cost, uncertain) = (settled.cost(), settled.uncertain());
        self.keys.push(settling.claim, settling.key)?;
        self.state.push(state.to_owned());
        self.prompt_tokens
            .push(tokens(|usage| usage.prompt_tokens)?);
        self.completion_tokens
            .push(tokens(|usage| usage.completion_tokens)?);
        self.usage_estimated
            .push(answer.is_some_and(|answer| answer.usage_estimated));
        self.cost_usd.push(to_bigint("cost", cost.usd.pico())?);
        self.cost_tokens.push(to_bigint("cost", cost.tokens)?);
        self.uncertain_usd
            .push(to_bigint("uncertain cost", uncertain.usd.pico())?);
        self.uncertain_tokens
            .push(to_bigint("uncertain cost", uncertain.tokens)?);
        self.failure.push(failure);
        self.latency_ms
            .push(to_bigint("latency", settling.latency_ms)?);
        self.answered_at.push(settling.at);
        let number = to_bigint("a group of requests", self.keys.job.len() as u64)?;
        let responses = answer.map_or(&[][..], |answer| &answer.responses);
        for (position, response) in (0..).zip(responses) {
            self.responses.push(number, position, response)?;
        }
        Ok(())
    }
}

impl ResponseColumns {
    fn push(&mut self, number: i64, position: i32, response: &StoredResponse) -> Result<()> {
        let without_nul = |text: &str| text.replace('\0', "\u{FFFD}");
        self.number.push(number);
        self.position.push(position);
        self.text.push(without_nul(&response.text));
        self.finish_reason
            .push(without_nul(response.finish_reason.as_str()));
        self.tokens
            .push(to_bigint("estimated tokens", response.estimated_tokens)?);
        Ok(())
    }
}

/// Counts a request that was given up between two attempts as lost, at what the attempts so far may
/// have cost.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn give_up(
    connection: &mut PgConnection,
    claim: Claim,
    key: RequestKey,
    cost: Spend,
    now: DateTime<Utc>,
) -> Result<()> {
    let given_up = sqlx::query!(
        r#"
        UPDATE requests SET
            state = 'lost', cost_usd_pico = $6, cost_tokens = $7, answered_at = $8
        WHERE job_id = $1 AND purpose = $2 AND trial = $3 AND ordinal = $4 AND attempt = $5
          AND state = 'sent'
        "#,
        claim.job.0,
        key.purpose.as_str(),
        to_integer("trial number", key.trial.0)?,
        to_integer("ordinal", key.ordinal)?,
        claim.attempt,
        to_bigint("cost", cost.usd.pico())?,
        to_bigint("cost", cost.tokens)?,
        now
    )
    .execute(connection)
    .await?;
    if given_up.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    Ok(())
}

/// A request that was settled, for replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The row of the data.
    pub instance: u32,
    /// Responses asked for.
    pub n: u32,
    /// The cap on each of them.
    pub max_tokens: u32,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// What became of it.
    pub settled: Settled,
    /// What a judge was asked about, where it was a question to one.
    pub question: Option<Question>,
}

/// All settled requests of a job with their responses. Lost ones are left out: they are asked
/// again.
///
/// # Errors
/// The database is away.
pub async fn load(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<BTreeMap<RequestKey, Request>> {
    let mut requests = settled(&mut *connection, job).await?;
    let mut responses = responses(connection, job);
    while let Some((key, response)) = responses.try_next().await? {
        if let Some(Request {
            settled: Settled::Answered(answer),
            ..
        }) = requests.get_mut(&key)
        {
            answer.responses.push(response);
        }
    }
    drop(responses);
    Ok(requests)
}

/// All settled requests of a job, without their responses.
pub(crate) async fn settled(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<BTreeMap<RequestKey, Request>> {
    let mut rows = sqlx::query!(
        r#"
        SELECT purpose, trial, ordinal, instance, n, max_tokens, prompt_tokens, completion_tokens,
               usage_estimated, cost_usd_pico AS "cost_usd_pico!", cost_tokens AS "cost_tokens!",
               uncertain_usd_pico, uncertain_tokens, failure, latency_ms, question
        FROM requests WHERE job_id = $1 AND state IN ('answered', 'failed')
        "#,
        job.0
    )
    .fetch(connection);
    let mut requests = BTreeMap::new();
    while let Some(row) = rows.try_next().await? {
        let key = to_request_key(&row.purpose, row.trial, row.ordinal)?;
        let cost = to_spend(row.cost_usd_pico, row.cost_tokens)?;
        let uncertain = to_spend(row.uncertain_usd_pico, row.uncertain_tokens)?;
        let settled = match row.failure {
            Some(failure) => Settled::Failed {
                failure: read_json("failure", failure)?,
                uncertain,
            },
            None => Settled::Answered(Answered {
                usage: Usage {
                    prompt_tokens: to_u64("usage", row.prompt_tokens.unwrap_or(0))?,
                    completion_tokens: to_u64("usage", row.completion_tokens.unwrap_or(0))?,
                },
                usage_estimated: row.usage_estimated,
                cost,
                uncertain,
                responses: Vec::new(),
            }),
        };
        let request = Request {
            instance: to_u32("instance", row.instance)?,
            n: to_u32("n", row.n)?,
            max_tokens: to_u32("max_tokens", row.max_tokens)?,
            latency_ms: to_u64("latency", row.latency_ms.unwrap_or(0))?,
            settled,
            question: row
                .question
                .map(|question| read_json("question", question))
                .transpose()?,
        };
        requests.insert(key, request);
    }
    Ok(requests)
}

/// The responses of a job's requests, in the order of these and of their positions.
pub(crate) fn responses(
    connection: &mut PgConnection,
    job: JobId,
) -> BoxStream<'_, Result<(RequestKey, StoredResponse)>> {
    let rows = sqlx::query!(
        r#"
        SELECT purpose, trial, ordinal, text, finish_reason, estimated_tokens
        FROM responses WHERE job_id = $1 ORDER BY purpose, trial, ordinal, position
        "#,
        job.0
    )
    .fetch(connection);
    rows.map(|row| {
        let row = row?;
        let key = to_request_key(&row.purpose, row.trial, row.ordinal)?;
        let response = StoredResponse::stored(row.text, row.finish_reason, row.estimated_tokens)?;
        Ok((key, response))
    })
    .boxed()
}

/// By purpose and trial, the ordinal after those of all questions that a judge was ever sent: the lost
/// ones are asked again, as requests of their own.
///
/// # Errors
/// The database is away.
pub async fn next_questions(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<BTreeMap<(Purpose, TrialNumber), u32>> {
    let rows = sqlx::query!(
        r#"
        SELECT purpose, trial, max(ordinal) + 1 AS "next!" FROM requests
        WHERE job_id = $1 AND question IS NOT NULL GROUP BY purpose, trial
        "#,
        job.0
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = to_request_key(&row.purpose, row.trial, row.next)?;
            Ok(((key.purpose, key.trial), key.ordinal))
        })
        .collect()
}

/// What was counted for requests that were in flight when a worker died.
///
/// # Errors
/// The database is away.
pub async fn lost(connection: &mut PgConnection, job: JobId) -> Result<Spend> {
    let row = sqlx::query!(
        r#"
        SELECT coalesce(sum(cost_usd_pico), 0)::bigint AS "usd!",
               coalesce(sum(cost_tokens), 0)::bigint AS "tokens!"
        FROM requests WHERE job_id = $1 AND state = 'lost'
        "#,
        job.0
    )
    .fetch_one(connection)
    .await?;
    to_spend(row.usd, row.tokens)
}
