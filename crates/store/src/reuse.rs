//! Responses that a job takes over from other jobs of the same owner.

use crate::claim::Claim;
use crate::requests::ReuseKey;
use crate::responses::StoredResponse;
use crate::{Error, Result, to_bigint, to_integer, to_request_key, to_u32, to_u64};
use chrono::{DateTime, Utc};
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::money::Usage;
use frugal_domain::request::{RequestKey, ResponseId};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// An answered request of another job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which key it was found by.
    pub key: ReuseKey,
    /// The job that sent it.
    pub job: JobId,
    /// Which request of that job.
    pub request: RequestKey,
    /// The cap on each of its responses.
    pub max_tokens: u32,
    /// What was billed.
    pub usage: Usage,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// Its responses, in the order of their positions from 0.
    pub responses: Vec<StoredResponse>,
}

/// The answered requests with one of these keys, of other jobs of the job's owner or of one of them `only`: those
/// answered first come first, and whole requests only, as many as have at most `limit` responses together.
/// Requests whose usage is an estimate are left out, and so are jobs that are still under way: what
/// they have changes while one looks; and jobs whose responses are gone or going: of a request that has a
/// part of its responses left, the usage would be shared out wrongly.
///
/// # Errors
/// The database is away.
pub async fn find(
    connection: &mut PgConnection,
    job: JobId,
    only: Option<JobId>,
    keys: &[ReuseKey],
    limit: u32,
) -> Result<Vec<Found>> {
    let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT request.reuse_key AS "reuse_key!", request.job_id, request.purpose, request.trial,
               request.ordinal, request.max_tokens, request.prompt_tokens AS "prompt_tokens!",
               request.completion_tokens AS "completion_tokens!", request.latency_ms,
               response.text, response.finish_reason, response.estimated_tokens
        FROM requests AS request
        JOIN responses AS response USING (job_id, purpose, trial, ordinal, attempt)
        JOIN jobs AS other ON other.id = request.job_id
        JOIN jobs AS own ON own.id = $1 AND own.owner IS NOT DISTINCT FROM other.owner
        WHERE request.reuse_key = ANY($2) AND request.state = 'answered'
          AND request.job_id <> $1 AND ($4::uuid IS NULL OR request.job_id = $4)
          AND NOT request.usage_estimated
          AND other.finished_at IS NOT NULL AND other.responses_pruned_at IS NULL
        ORDER BY request.answered_at, request.job_id, request.purpose, request.trial,
                 request.ordinal, response.position
        LIMIT $3
        "#,
        job.0,
        &keys,
        i64::from(limit) + 1,
        only.map(|only| only.0)
    )
    .fetch_all(connection)
    .await?;
    // One response more than may be taken: the request that it belongs to goes beyond the limit.
    let beyond = rows.len() > limit as usize;
    let mut found: Vec<Found> = Vec::new();
    for row in rows {
        let key = ReuseKey::try_from(row.reuse_key).map_err(|_| Error::Corrupt {
            what: "reuse key",
            source: "it has another length".into(),
        })?;
        let response = StoredResponse::stored(row.text, row.finish_reason, row.estimated_tokens)?;
        let request = Found {
            key,
            job: JobId(row.job_id),
            request: to_request_key(&row.purpose, row.trial, row.ordinal)?,
            max_tokens: to_u32("max_tokens", row.max_tokens)?,
            usage: Usage {
                prompt_tokens: to_u64("usage", row.prompt_tokens)?,
                completion_tokens: to_u64("usage", row.completion_tokens)?,
            },
            latency_ms: to_u64("latency", row.latency_ms.unwrap_or(0))?,
            responses: vec![response],
        };
        match found.last_mut() {
            Some(last) if is_same(last, &request) => last.responses.extend(request.responses),
            _ => found.push(request),
        }
    }
    // Its usage is that of all its responses, so a part of them would be given too much of it.
    if beyond {
        found.pop();
    }
    Ok(found)
}

fn is_same(one: &Found, other: &Found) -> bool {
    (one.job, one.request) == (other.job, other.request)
}

/// A response of another job, as a trial took it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The row of the data whose prompt it answers.
    pub instance: u32,
    /// The job that bought it.
    pub job: JobId,
    /// Which request of that job it came from.
    pub request: RequestKey,
    /// Its position in what that request brought.
    pub position: u32,
    /// The cap that it was drawn under.
    pub max_tokens: u32,
    /// Tokens of its prompt.
    pub prompt_tokens: u64,
    /// Its share of its request's billed tokens.
    pub completion_tokens: u64,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
    /// The response itself.
    pub response: StoredResponse,
}

impl Adopted {
    /// Which response it is.
    #[must_use]
    pub const fn id(&self) -> ResponseId {
        ResponseId {
            job: Some(self.job),
            request: self.request,
            position: self.position,
        }
    }
}

/// Stores what a trial takes over, and that it has looked: from then on this is what it has. To
/// be called within a transaction.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn adopt(
    connection: &mut PgConnection,
    claim: Claim,
    trial: TrialNumber,
    adopted: &[Adopted],
    now: DateTime<Utc>,
) -> Result<()> {
    let number = to_integer("trial number", trial.0)?;
    // Under a lock, which waits for another worker that is taking the job (see `requests::send_group`).
    let marked = sqlx::query!(
        r#"
        WITH held AS (
            SELECT id FROM jobs WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
            FOR KEY SHARE
        )
        UPDATE trials SET adopted_at = $4
        FROM held
        WHERE trials.job_id = held.id AND trials.number = $3
        "#,
        claim.job.0,
        claim.attempt,
        number,
        now
    )
    .execute(&mut *connection)
    .await?;
    if marked.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    let mut columns = Columns::default();
    for one in adopted {
        columns.instance.push(to_integer("instance", one.instance)?);
        columns.job.push(one.job.0);
        let request = one.request;
        columns.purpose.push(request.purpose.as_str().to_owned());
        columns
            .trial
            .push(to_integer("trial number", request.trial.0)?);
        columns
            .ordinal
            .push(to_integer("ordinal", request.ordinal)?);
        columns.position.push(to_integer("position", one.position)?);
        columns
            .max_tokens
            .push(to_integer("max_tokens", one.max_tokens)?);
        columns
            .prompt_tokens
            .push(to_bigint("usage", one.prompt_tokens)?);
        columns
            .completion_tokens
            .push(to_bigint("usage", one.completion_tokens)?);
        columns.estimated_tokens.push(to_bigint(
            "estimated tokens",
            one.response.estimated_tokens,
        )?);
        columns
            .latency_ms
            .push(to_bigint("latency", one.latency_ms)?);
        columns.text.push(one.response.text.clone());
        columns
            .finish_reason
            .push(one.response.finish_reason.as_str().to_owned());
    }
    sqlx::query!(
        r#"
        INSERT INTO adopted_responses
            (job_id, trial, position, instance, source_job, source_purpose, source_trial,
             source_ordinal, source_position, max_tokens, prompt_tokens, completion_tokens,
             estimated_tokens, latency_ms, text, finish_reason)
        SELECT $1, $2, row.number - 1, row.instance, row.job, row.purpose, row.trial, row.ordinal,
               row.position, row.max_tokens, row.prompt_tokens, row.completion_tokens,
               row.estimated_tokens, row.latency_ms, row.text, row.finish_reason
        FROM unnest($3::integer[], $4::uuid[], $5::text[], $6::integer[], $7::integer[],
                    $8::integer[], $9::integer[], $10::bigint[], $11::bigint[], $12::bigint[],
                    $13::bigint[], $14::text[], $15::text[]) WITH ORDINALITY
             AS row (instance, job, purpose, trial, ordinal, position, max_tokens, prompt_tokens,
                     completion_tokens, estimated_tokens, latency_ms, text, finish_reason, number)
        "#,
        claim.job.0,
        number,
        &columns.instance,
        &columns.job,
        &columns.purpose,
        &columns.trial,
        &columns.ordinal,
        &columns.position,
        &columns.max_tokens,
        &columns.prompt_tokens,
        &columns.completion_tokens,
        &columns.estimated_tokens,
        &columns.latency_ms,
        &columns.text,
        &columns.finish_reason
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The columns of many adopted responses.
#[derive(Default)]
struct Columns {
    instance: Vec<i32>,
    job: Vec<sqlx::types::Uuid>,
    purpose: Vec<String>,
    trial: Vec<i32>,
    ordinal: Vec<i32>,
    position: Vec<i32>,
    max_tokens: Vec<i32>,
    prompt_tokens: Vec<i64>,
    completion_tokens: Vec<i64>,
    estimated_tokens: Vec<i64>,
    latency_ms: Vec<i64>,
    text: Vec<String>,
    finish_reason: Vec<String>,
}

/// What the trials of a job have taken over, by trial: those that have looked, even if they found
/// nothing.
///
/// # Errors
/// The database is away.
pub async fn load(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<BTreeMap<TrialNumber, Vec<Adopted>>> {
    let looked = sqlx::query_scalar!(
        "SELECT number FROM trials WHERE job_id = $1 AND adopted_at IS NOT NULL",
        job.0
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut by_trial = BTreeMap::new();
    for number in looked {
        by_trial.insert(
            TrialNumber(to_u32("trial number", number)?),
            Vec::<Adopted>::new(),
        );
    }
    let rows = sqlx::query!(
        r#"
        SELECT trial, instance, source_job, source_purpose, source_trial, source_ordinal,
               source_position, max_tokens, prompt_tokens, completion_tokens, estimated_tokens,
               latency_ms, text, finish_reason
        FROM adopted_responses WHERE job_id = $1 ORDER BY trial, position
        "#,
        job.0
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let adopted = Adopted {
            instance: to_u32("instance", row.instance)?,
            job: JobId(row.source_job),
            request: to_request_key(&row.source_purpose, row.source_trial, row.source_ordinal)?,
            position: to_u32("position", row.source_position)?,
            max_tokens: to_u32("max_tokens", row.max_tokens)?,
            prompt_tokens: to_u64("usage", row.prompt_tokens)?,
            completion_tokens: to_u64("usage", row.completion_tokens)?,
            latency_ms: to_u64("latency", row.latency_ms)?,
            response: StoredResponse::stored(row.text, row.finish_reason, row.estimated_tokens)?,
        };
        let trial = TrialNumber(to_u32("trial number", row.trial)?);
        by_trial.entry(trial).or_default().push(adopted);
    }
    Ok(by_trial)
}
