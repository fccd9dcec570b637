//! Requests and their responses: here before they are sent, and before anything is derived.

use crate::claim::Claim;
use crate::responses::StoredResponse;
use crate::{
    Error, Result, read_json, to_bigint, to_integer, to_request_key, to_spend, to_u32, to_u64,
    write_json,
};
use chrono::{DateTime, Utc};
use frugal_domain::id::JobId;
use frugal_domain::money::{Spend, Usage};
use frugal_domain::request::{RequestKey, Scope};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::BTreeMap;

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
}

/// Stores requests that are about to be sent, in one statement.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn send(
    connection: &mut PgConnection,
    claim: Claim,
    requests: &[NewRequest],
    now: DateTime<Utc>,
) -> Result<()> {
    let mut rows = Columns::default();
    for request in requests {
        rows.purpose.push(request.key.purpose.as_str().to_owned());
        rows.trial
            .push(to_integer("trial number", request.key.trial.0)?);
        rows.ordinal
            .push(to_integer("ordinal", request.key.ordinal)?);
        rows.instance
            .push(to_integer("instance", request.instance)?);
        rows.n.push(to_integer("n", request.n)?);
        rows.max_tokens
            .push(to_integer("max_tokens", request.max_tokens)?);
        rows.worst_usd
            .push(to_bigint("worst case", request.worst_case.usd.pico())?);
        rows.worst_tokens
            .push(to_bigint("worst case", request.worst_case.tokens)?);
        rows.reuse_key
            .push(request.reuse_key.map(|key| key.to_vec()));
    }
    let inserted = sqlx::query!(
        r#"
        INSERT INTO requests (job_id, purpose, trial, ordinal, attempt, state, instance, n, max_tokens,
                              worst_usd_pico, worst_tokens, sent_at, reuse_key)
        SELECT jobs.id, purpose, trial, ordinal, jobs.attempt, 'sent', instance, n, max_tokens,
               worst_usd, worst_tokens, $3, reuse_key
        FROM jobs, unnest($4::text[], $5::integer[], $6::integer[], $7::integer[], $8::integer[],
                          $9::integer[], $10::bigint[], $11::bigint[], $12::bytea[])
             AS row (purpose, trial, ordinal, instance, n, max_tokens, worst_usd, worst_tokens,
                     reuse_key)
        WHERE jobs.id = $1 AND jobs.attempt = $2 AND jobs.lease_expires_at IS NOT NULL
        "#,
        claim.job.0,
        claim.attempt,
        now,
        &rows.purpose,
        &rows.trial,
        &rows.ordinal,
        &rows.instance,
        &rows.n,
        &rows.max_tokens,
        &rows.worst_usd,
        &rows.worst_tokens,
        &rows.reuse_key as &[Option<Vec<u8>>]
    )
    .execute(connection)
    .await?;
    if inserted.rows_affected() != requests.len() as u64 {
        return Err(Error::LeaseLost);
    }
    Ok(())
}

/// The columns of many requests.
#[derive(Default)]
struct Columns {
    purpose: Vec<String>,
    trial: Vec<i32>,
    ordinal: Vec<i32>,
    instance: Vec<i32>,
    n: Vec<i32>,
    max_tokens: Vec<i32>,
    worst_usd: Vec<i64>,
    worst_tokens: Vec<i64>,
    reuse_key: Vec<Option<Vec<u8>>>,
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

/// Stores what became of a request. After this, and not before, it may be used.
///
/// # Errors
/// [`Error::LeaseLost`] where another worker has taken over and counted the request as lost;
/// or the database is away.
pub async fn settle(
    connection: &mut PgConnection,
    claim: Claim,
    key: RequestKey,
    settled: &Settled,
    latency_ms: u64,
    now: DateTime<Utc>,
) -> Result<()> {
    let (state, usage, usage_estimated, failure, responses) = match settled {
        Settled::Answered(answer) => (
            "answered",
            Some(answer.usage),
            answer.usage_estimated,
            None,
            answer.responses.as_slice(),
        ),
        Settled::Failed { failure, .. } => (
            "failed",
            None,
            false,
            Some(write_json("failure", failure)?),
            &[][..],
        ),
    };
    let prompt_tokens = usage
        .map(|usage| to_bigint("usage", usage.prompt_tokens))
        .transpose()?;
    let completion_tokens = usage
        .map(|usage| to_bigint("usage", usage.completion_tokens))
        .transpose()?;
    let mut texts = Vec::with_capacity(responses.len());
    let mut finish_reasons = Vec::with_capacity(responses.len());
    let mut tokens = Vec::with_capacity(responses.len());
    for response in responses {
        texts.push(response.text.replace('\0', "\u{FFFD}"));
        finish_reasons.push(response.finish_reason.as_str().replace('\0', "\u{FFFD}"));
        tokens.push(to_bigint("estimated tokens", response.estimated_tokens)?);
    }
    let settled_rows = sqlx::query_scalar!(
        r#"
        WITH settled AS (
            UPDATE requests SET
                state = $6, prompt_tokens = $7, completion_tokens = $8, usage_estimated = $9,
                cost_usd_pico = $10, cost_tokens = $11, failure = $12, latency_ms = $13,
                answered_at = $14, uncertain_usd_pico = $18, uncertain_tokens = $19
            WHERE job_id = $1 AND purpose = $2 AND trial = $3 AND ordinal = $4 AND attempt = $5
              AND state = 'sent'
            RETURNING job_id, purpose, trial, ordinal, attempt
        ), inserted AS (
            INSERT INTO responses (job_id, purpose, trial, ordinal, attempt, position, text,
                                   finish_reason, estimated_tokens)
            SELECT settled.*, row.position - 1, row.text, row.finish_reason, row.tokens
            FROM settled, unnest($15::text[], $16::text[], $17::bigint[]) WITH ORDINALITY
                 AS row (text, finish_reason, tokens, position)
        )
        SELECT count(*) AS "count!" FROM settled
        "#,
        claim.job.0,
        key.purpose.as_str(),
        to_integer("trial number", key.trial.0)?,
        to_integer("ordinal", key.ordinal)?,
        claim.attempt,
        state,
        prompt_tokens,
        completion_tokens,
        usage_estimated,
        to_bigint("cost", settled.cost().usd.pico())?,
        to_bigint("cost", settled.cost().tokens)?,
        failure,
        to_bigint("latency", latency_ms)?,
        now,
        &texts,
        &finish_reasons,
        &tokens,
        to_bigint("uncertain cost", settled.uncertain().usd.pico())?,
        to_bigint("uncertain cost", settled.uncertain().tokens)?,
    )
    .fetch_one(connection)
    .await?;
    if settled_rows == 0 {
        return Err(Error::LeaseLost);
    }
    Ok(())
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
    let rows = sqlx::query!(
        r#"
        SELECT purpose, trial, ordinal, instance, n, max_tokens, prompt_tokens, completion_tokens,
               usage_estimated, cost_usd_pico AS "cost_usd_pico!", cost_tokens AS "cost_tokens!",
               uncertain_usd_pico, uncertain_tokens, failure, latency_ms
        FROM requests WHERE job_id = $1 AND state IN ('answered', 'failed')
        "#,
        job.0
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut requests = BTreeMap::new();
    for row in rows {
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
        };
        requests.insert(key, request);
    }
    let rows = sqlx::query!(
        r#"
        SELECT purpose, trial, ordinal, text, finish_reason, estimated_tokens
        FROM responses WHERE job_id = $1 ORDER BY purpose, trial, ordinal, position
        "#,
        job.0
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let key = to_request_key(&row.purpose, row.trial, row.ordinal)?;
        if let Some(Request {
            settled: Settled::Answered(answer),
            ..
        }) = requests.get_mut(&key)
        {
            answer.responses.push(StoredResponse::stored(
                row.text,
                row.finish_reason,
                row.estimated_tokens,
            )?);
        }
    }
    Ok(requests)
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
