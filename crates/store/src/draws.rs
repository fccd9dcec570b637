//! What was drawn for trials and what was said of it, without the texts: what their numbers rest on.

use crate::scores::{Row as ScoreRow, Score, ScoreKey};
use crate::{Result, to_integer, to_request_key, to_spend, to_u32, to_u64};
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::money::{Spend, Usage};
use frugal_domain::request::{FinishReason, Purpose, RequestKey, ResponseId};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// An answered request.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Which request.
    pub key: RequestKey,
    /// The row of the data, by position within its split.
    pub instance: u32,
    /// The cap on each of its responses, in tokens.
    pub max_tokens: u32,
    /// What was billed.
    pub usage: Usage,
    /// Whether that is an estimate.
    pub usage_estimated: bool,
    /// What was counted against the budget.
    pub cost: Spend,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// Its responses, in the order of their positions from 0.
    pub responses: Vec<DrawnResponse>,
}

/// A response of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnResponse {
    /// Its position in what the request brought.
    pub position: u32,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Its estimated length in tokens.
    pub estimated_tokens: u64,
}

/// A response that a trial took over from another job.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenOver {
    /// The trial.
    pub trial: TrialNumber,
    /// Which response.
    pub id: ResponseId,
    /// The row of the data whose prompt it answers.
    pub instance: u32,
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
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// Of trials, by number, the requests for some purpose that were answered, in their order.
///
/// # Errors
/// The database is away.
pub async fn of_trials(
    connection: &mut PgConnection,
    job: JobId,
    purpose: Purpose,
    trials: &[TrialNumber],
) -> Result<Vec<Drawn>> {
    let rows = sqlx::query!(
        r#"
        SELECT request.purpose, request.trial, request.ordinal, request.instance,
               request.max_tokens, request.prompt_tokens AS "prompt_tokens!",
               request.completion_tokens AS "completion_tokens!", request.usage_estimated,
               request.cost_usd_pico AS "cost_usd_pico!", request.cost_tokens AS "cost_tokens!",
               request.latency_ms, response.position, response.finish_reason,
               response.estimated_tokens
        FROM requests AS request
        JOIN responses AS response USING (job_id, purpose, trial, ordinal, attempt)
        WHERE request.job_id = $1 AND request.purpose = $2 AND request.trial = ANY($3)
          AND request.state = 'answered'
        ORDER BY request.trial, request.ordinal, response.position
        "#,
        job.0,
        purpose.as_str(),
        &numbers(trials)?
    )
    .fetch_all(connection)
    .await?;
    let mut drawn: Vec<Drawn> = Vec::new();
    for row in rows {
        let key = to_request_key(&row.purpose, row.trial, row.ordinal)?;
        let response = DrawnResponse {
            position: to_u32("position", row.position)?,
            finish_reason: row.finish_reason.into(),
            estimated_tokens: to_u64("estimated tokens", row.estimated_tokens)?,
        };
        if let Some(last) = drawn.last_mut().filter(|last| last.key == key) {
            last.responses.push(response);
            continue;
        }
        drawn.push(Drawn {
            key,
            instance: to_u32("instance", row.instance)?,
            max_tokens: to_u32("max_tokens", row.max_tokens)?,
            usage: Usage {
                prompt_tokens: to_u64("usage", row.prompt_tokens)?,
                completion_tokens: to_u64("usage", row.completion_tokens)?,
            },
            usage_estimated: row.usage_estimated,
            cost: to_spend(row.cost_usd_pico, row.cost_tokens)?,
            latency_ms: to_u64("latency", row.latency_ms.unwrap_or(0))?,
            responses: vec![response],
        });
    }
    Ok(drawn)
}

/// Of trials, by number, what they took over from other jobs, in the order in which it is used.
///
/// # Errors
/// The database is away.
pub async fn taken_over(
    connection: &mut PgConnection,
    job: JobId,
    trials: &[TrialNumber],
) -> Result<Vec<TakenOver>> {
    let rows = sqlx::query!(
        r#"
        SELECT trial, instance, source_job, source_purpose, source_trial, source_ordinal,
               source_position, max_tokens, prompt_tokens, completion_tokens, estimated_tokens,
               latency_ms, finish_reason
        FROM adopted_responses WHERE job_id = $1 AND trial = ANY($2) ORDER BY trial, position
        "#,
        job.0,
        &numbers(trials)?
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(TakenOver {
                trial: TrialNumber(to_u32("trial number", row.trial)?),
                id: ResponseId {
                    job: Some(JobId(row.source_job)),
                    request: to_request_key(
                        &row.source_purpose,
                        row.source_trial,
                        row.source_ordinal,
                    )?,
                    position: to_u32("position", row.source_position)?,
                },
                instance: to_u32("instance", row.instance)?,
                max_tokens: to_u32("max_tokens", row.max_tokens)?,
                prompt_tokens: to_u64("usage", row.prompt_tokens)?,
                completion_tokens: to_u64("usage", row.completion_tokens)?,
                estimated_tokens: to_u64("estimated tokens", row.estimated_tokens)?,
                latency_ms: to_u64("latency", row.latency_ms)?,
                finish_reason: row.finish_reason.into(),
            })
        })
        .collect()
}

/// What was said of responses to requests of trials for some purpose, and of all that the job took over
/// from others.
///
/// # Errors
/// The database is away.
pub async fn scores(
    connection: &mut PgConnection,
    job: JobId,
    purpose: Purpose,
    trials: &[TrialNumber],
) -> Result<BTreeMap<ScoreKey, Score>> {
    let rows = sqlx::query_as!(
        ScoreRow,
        r#"
        SELECT source_job, purpose AS "purpose!", trial AS "trial!", ordinal AS "ordinal!",
               position AS "position!", instance AS "instance!", max_tokens, score, failure,
               answer, part, preference, counts
        FROM scores
        WHERE job_id = $1 AND source_job IS NULL AND purpose = $2 AND trial = ANY($3)
          AND part IS NULL
        UNION ALL
        SELECT source_job, purpose, trial, ordinal, position, instance, max_tokens, score, failure,
               answer, part, preference, counts
        FROM scores WHERE job_id = $1 AND source_job IS NOT NULL AND part IS NULL
        "#,
        job.0,
        purpose.as_str(),
        &numbers(trials)?
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| Ok((row.key()?, row.score())))
        .collect()
}

fn numbers(trials: &[TrialNumber]) -> Result<Vec<i32>> {
    let numbers = trials.iter();
    numbers
        .map(|trial| to_integer("trial number", trial.0))
        .collect()
}
