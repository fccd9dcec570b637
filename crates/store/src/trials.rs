//! Trials: begun, ended, listed.

use crate::claim::Claim;
use crate::{
    Error, Result, read_json, read_name, to_bigint, to_integer, to_spend, to_u32, write_json,
};
use chrono::{DateTime, Utc};
use frugal_domain::configuration::{Configuration, Settings};
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::money::Spend;
use frugal_domain::state::TrialState;
use frugal_domain::trial::{Evaluation, TrialOutcome, TrialRole};
use futures::{Stream, StreamExt, TryStreamExt};
use sqlx::PgConnection;

/// A trial as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTrial {
    /// 0 for the baseline, then 1, 2, … in the order of proposal.
    pub number: TrialNumber,
    /// Baseline or search.
    pub role: TrialRole,
    /// Who proposed it.
    pub origin: String,
    /// Where it is in its life.
    pub state: TrialState,
    /// The point of the search space.
    pub configuration: Configuration,
    /// What it asks of the endpoint.
    pub settings: Settings,
    /// How it ended; of one that goes on, what is known so far, where anything is.
    pub outcome: Option<TrialOutcome>,
    /// What it has cost, as of its last record.
    pub spend: Spend,
    /// Requests sent for it.
    pub requests: u32,
    /// Responses received for it.
    pub responses: u32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

struct TrialRow {
    number: i32,
    role: String,
    origin: String,
    state: String,
    configuration: serde_json::Value,
    settings: serde_json::Value,
    outcome: Option<serde_json::Value>,
    spend_usd_pico: i64,
    spend_tokens: i64,
    requests: i32,
    responses: i32,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<TrialRow> for StoredTrial {
    type Error = Error;

    fn try_from(row: TrialRow) -> Result<Self> {
        Ok(Self {
            number: TrialNumber(to_u32("trial number", row.number)?),
            role: read_name("trial role", &row.role)?,
            origin: row.origin,
            state: read_name("trial state", &row.state)?,
            configuration: read_json("configuration", row.configuration)?,
            settings: read_json("settings", row.settings)?,
            outcome: row
                .outcome
                .map(|outcome| read_json("outcome", outcome))
                .transpose()?,
            spend: to_spend(row.spend_usd_pico, row.spend_tokens)?,
            requests: to_u32("requests", row.requests)?,
            responses: to_u32("responses", row.responses)?,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

/// A trial that is about to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTrial {
    /// Its number.
    pub number: TrialNumber,
    /// Baseline or search.
    pub role: TrialRole,
    /// Who proposed it.
    pub origin: String,
    /// The point of the search space.
    pub configuration: Configuration,
    /// What it asks of the endpoint.
    pub settings: Settings,
}

/// Stores a trial that is about to begin.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn begin(
    connection: &mut PgConnection,
    claim: Claim,
    trial: &NewTrial,
    now: DateTime<Utc>,
) -> Result<()> {
    let begun = sqlx::query!(
        r#"
        INSERT INTO trials (job_id, number, role, origin, state, configuration, settings, started_at)
        SELECT id, $3, $4, $5, 'running', $6, $7, $8
        FROM jobs WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        "#,
        claim.job.0,
        claim.attempt,
        to_integer("trial number", trial.number.0)?,
        trial.role.as_str(),
        trial.origin,
        write_json("configuration", &trial.configuration)?,
        write_json("settings", &trial.settings)?,
        now
    )
    .execute(connection)
    .await?;
    if begun.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    Ok(())
}

/// What is known of a trial that goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialStanding {
    /// What it asks of the endpoint, at the extent that is best so far.
    pub settings: Settings,
    /// What it comes to so far.
    pub evaluation: Evaluation,
    /// What it cost so far.
    pub spend: Spend,
    /// Requests sent for it so far.
    pub requests: u32,
    /// Responses received for it so far.
    pub responses: u32,
}

/// Stores what is known of a trial that goes on.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn progress(
    connection: &mut PgConnection,
    claim: Claim,
    number: TrialNumber,
    standing: &TrialStanding,
) -> Result<()> {
    let outcome = TrialOutcome::Evaluated(standing.evaluation.clone());
    let stored = sqlx::query!(
        r#"
        UPDATE trials SET
            settings = $4, outcome = $5, spend_usd_pico = $6, spend_tokens = $7, requests = $8,
            responses = $9
        FROM jobs
        WHERE jobs.id = $1 AND jobs.attempt = $2 AND jobs.lease_expires_at IS NOT NULL
          AND trials.job_id = $1 AND trials.number = $3 AND trials.state = 'running'
        "#,
        claim.job.0,
        claim.attempt,
        to_integer("trial number", number.0)?,
        write_json("settings", &standing.settings)?,
        write_json("outcome", &outcome)?,
        to_bigint("spend", standing.spend.usd.pico())?,
        to_bigint("spend", standing.spend.tokens)?,
        to_integer("requests", standing.requests)?,
        to_integer("responses", standing.responses)?
    )
    .execute(connection)
    .await?;
    if stored.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    Ok(())
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialEnd {
    /// What it asked of the endpoint, where its extent was chosen on the way.
    pub settings: Option<Settings>,
    /// How it ended.
    pub outcome: TrialOutcome,
    /// What it cost.
    pub spend: Spend,
    /// Requests sent for it.
    pub requests: u32,
    /// Responses received for it.
    pub responses: u32,
}

/// Stores how a trial ended.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn finish(
    connection: &mut PgConnection,
    claim: Claim,
    number: TrialNumber,
    end: &TrialEnd,
    now: DateTime<Utc>,
) -> Result<()> {
    let state = end.outcome.state();
    let finished = sqlx::query!(
        r#"
        UPDATE trials SET
            state = $4, outcome = $5, spend_usd_pico = $6, spend_tokens = $7, requests = $8,
            responses = $9, finished_at = $10, settings = coalesce($11, settings)
        FROM jobs
        WHERE jobs.id = $1 AND jobs.attempt = $2 AND jobs.lease_expires_at IS NOT NULL
          AND trials.job_id = $1 AND trials.number = $3 AND trials.state = 'running'
        "#,
        claim.job.0,
        claim.attempt,
        to_integer("trial number", number.0)?,
        state.as_str(),
        write_json("outcome", &end.outcome)?,
        to_bigint("spend", end.spend.usd.pico())?,
        to_bigint("spend", end.spend.tokens)?,
        to_integer("requests", end.requests)?,
        to_integer("responses", end.responses)?,
        now,
        end.settings
            .as_ref()
            .map(|settings| write_json("settings", settings))
            .transpose()?
    )
    .execute(connection)
    .await?;
    if finished.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    Ok(())
}

/// Marks the trials that are still under way as cut off, because the job ends, with what was
/// settled for each. Returns how many.
///
/// # Errors
/// The database is away.
pub async fn stop_running(
    connection: &mut PgConnection,
    claim: Claim,
    now: DateTime<Utc>,
) -> Result<u32> {
    let held = sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM jobs WHERE id = $1 AND attempt = $2 AND lease_expires_at IS NOT NULL
        ) AS "held!"
        "#,
        claim.job.0,
        claim.attempt
    )
    .fetch_one(&mut *connection)
    .await?;
    if !held {
        return Ok(0);
    }
    stop(connection, claim.job, now).await
}

/// The same for whoever holds the job's row.
///
/// # Errors
/// The database is away.
pub(crate) async fn stop(
    connection: &mut PgConnection,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<u32> {
    // A trial's role is the purpose of the requests that evaluate it, beside a judge's; scoring it on held-out rows
    // is not its own. What was lost is counted apart.
    let stopped = sqlx::query!(
        r#"
        UPDATE trials SET
            state = 'stopped', outcome = $2, finished_at = $3,
            (spend_usd_pico, spend_tokens, requests) = (
                SELECT coalesce(sum(cost_usd_pico) FILTER (WHERE request.state <> 'lost'), 0),
                       coalesce(sum(cost_tokens) FILTER (WHERE request.state <> 'lost'), 0),
                       count(DISTINCT (request.purpose, ordinal))
                FROM requests AS request
                WHERE request.job_id = trials.job_id AND request.purpose IN (trials.role, 'judge')
                  AND request.trial = trials.number
            ),
            responses = (
                SELECT count(*) FROM responses AS response
                WHERE response.job_id = trials.job_id AND response.purpose = trials.role
                  AND response.trial = trials.number
            )
        WHERE job_id = $1 AND state = 'running'
        "#,
        job.0,
        write_json("outcome", &TrialOutcome::Stopped)?,
        now
    )
    .execute(connection)
    .await?;
    Ok(u32::try_from(stopped.rows_affected()).unwrap_or(u32::MAX))
}

/// All trials of a job, in the order of proposal.
///
/// # Errors
/// The database is away.
pub async fn load(connection: &mut PgConnection, job: JobId) -> Result<Vec<StoredTrial>> {
    stream(connection, job).try_collect().await
}

/// All trials of a job, in the order of proposal, as they are read.
pub(crate) fn stream(
    connection: &mut PgConnection,
    job: JobId,
) -> impl Stream<Item = Result<StoredTrial>> + Send + '_ {
    sqlx::query_as!(
        TrialRow,
        r#"
        SELECT number, role, origin, state, configuration, settings, outcome, spend_usd_pico,
               spend_tokens, requests, responses, started_at, finished_at
        FROM trials WHERE job_id = $1 ORDER BY number
        "#,
        job.0
    )
    .fetch(connection)
    .map(|row| StoredTrial::try_from(row?))
}

/// Trials of a job, newest first, with numbers below `before`, optionally in one state only.
///
/// # Errors
/// The database is away.
pub async fn list(
    connection: &mut PgConnection,
    job: JobId,
    before: Option<TrialNumber>,
    state: Option<TrialState>,
    limit: u32,
) -> Result<Vec<StoredTrial>> {
    let before = before
        .map(|number| to_integer("trial number", number.0))
        .transpose()?;
    let rows = sqlx::query_as!(
        TrialRow,
        r#"
        SELECT number, role, origin, state, configuration, settings, outcome, spend_usd_pico,
               spend_tokens, requests, responses, started_at, finished_at
        FROM trials
        WHERE job_id = $1 AND ($2::integer IS NULL OR number < $2)
          AND ($3::text IS NULL OR state = $3)
        ORDER BY number DESC LIMIT $4
        "#,
        job.0,
        before,
        state.map(TrialState::as_str),
        i64::from(limit)
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(StoredTrial::try_from).collect()
}

/// One trial.
///
/// # Errors
/// The database is away.
pub async fn find(
    connection: &mut PgConnection,
    job: JobId,
    number: TrialNumber,
) -> Result<Option<StoredTrial>> {
    let row = sqlx::query_as!(
        TrialRow,
        r#"
        SELECT number, role, origin, state, configuration, settings, outcome, spend_usd_pico,
               spend_tokens, requests, responses, started_at, finished_at
        FROM trials WHERE job_id = $1 AND number = $2
        "#,
        job.0,
        to_integer("trial number", number.0)?
    )
    .fetch_optional(connection)
    .await?;
    row.map(StoredTrial::try_from).transpose()
}

/// What the trials of a job ask of the endpoint, by number, optionally of those with numbers below one only.
///
/// # Errors
/// The database is away.
pub async fn settings(
    connection: &mut PgConnection,
    job: JobId,
    below: Option<TrialNumber>,
) -> Result<Vec<(TrialNumber, TrialRole, Settings)>> {
    let below = below
        .map(|number| to_integer("trial number", number.0))
        .transpose()?;
    let rows = sqlx::query!(
        r#"
        SELECT number, role, settings FROM trials
        WHERE job_id = $1 AND ($2::integer IS NULL OR number < $2) ORDER BY number
        "#,
        job.0,
        below
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let number = TrialNumber(to_u32("trial number", row.number)?);
            let role = read_name("trial role", &row.role)?;
            Ok((number, role, read_json("settings", row.settings)?))
        })
        .collect()
}
