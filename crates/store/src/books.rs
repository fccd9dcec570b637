//! The books of a job that ends without a worker that knows it: closed from its rows alone.

use crate::{
    Result, read_json, read_name, requests, to_integer, to_spend, to_u32, to_u64, trials,
    write_json,
};
use chrono::{DateTime, Utc};
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::{JobKind, JobSpec};
use frugal_domain::money::Spend;
use frugal_domain::rank::Rank;
use frugal_domain::request::Purpose;
use frugal_domain::spend::{SpendByCategory, SpendCategory};
use frugal_domain::trial::{Progress, TrialOutcome};
use sqlx::PgConnection;

/// Counts what is in flight as lost, cuts off the trials under way, and writes the summary that
/// the rows come to, whatever stood there: a worker that died in the middle of a replay leaves one
/// that knows a part of the trials.
///
/// The caller holds the job's row ([`crate::queue::hold`]) and ends the job in the same transaction.
///
/// # Errors
/// A row cannot be read, or the database is away.
pub async fn close(connection: &mut PgConnection, job: JobId, now: DateTime<Utc>) -> Result<()> {
    requests::abandon(&mut *connection, job, now).await?;
    trials::stop(&mut *connection, job, now).await?;
    let (progress, best) = ended_trials(&mut *connection, job).await?;
    sqlx::query!(
        "UPDATE jobs SET progress = $2, best_trial = $3 WHERE id = $1",
        job.0,
        write_json("progress", &progress)?,
        best.map(|number| to_integer("trial number", number.0))
            .transpose()?
    )
    .execute(&mut *connection)
    .await?;
    refresh(connection, job).await
}

/// Writes what the rows come to of the requests, the responses and the spend of a job that goes on; its
/// trials are as its worker told last.
///
/// The caller holds the job's row.
///
/// # Errors
/// A row cannot be read, or the database is away.
pub async fn refresh(connection: &mut PgConnection, job: JobId) -> Result<()> {
    let progress = sqlx::query_scalar!("SELECT progress FROM jobs WHERE id = $1", job.0)
        .fetch_one(&mut *connection)
        .await?;
    let mut progress: Progress = read_json("progress", progress)?;
    let sent = sqlx::query!(
        r#"
        SELECT (SELECT count(DISTINCT (purpose, trial, ordinal)) FROM requests WHERE job_id = $1)
                   AS "requests!",
               (SELECT count(*) FROM responses
                WHERE job_id = $1 AND purpose NOT IN ('judge', 'validation_judge')) AS "responses!"
        "#,
        job.0
    )
    .fetch_one(&mut *connection)
    .await?;
    progress.requests = to_u64("requests", sent.requests)?;
    progress.responses = to_u64("responses", sent.responses)?;
    let spend = spend(&mut *connection, job).await?;
    sqlx::query!(
        "UPDATE jobs SET progress = $2, spend = $3 WHERE id = $1",
        job.0,
        write_json("progress", &progress)?,
        write_json("spend", &spend)?
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts the trials that have ended.
///
/// # Errors
/// A row cannot be read, or the database is away.
pub(crate) async fn count_ended_trials(
    connection: &mut PgConnection,
    job: JobId,
    progress: &mut Progress,
) -> Result<()> {
    let running = progress.running;
    (*progress, _) = ended_trials(connection, job).await?;
    progress.running = running;
    Ok(())
}

/// How the trials ended, and the best valid one of them.
async fn ended_trials(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<(Progress, Option<TrialNumber>)> {
    let spec = sqlx::query_scalar!("SELECT spec FROM jobs WHERE id = $1", job.0)
        .fetch_one(&mut *connection)
        .await?;
    let spec: JobSpec = read_json("job specification", spec)?;
    let rows = sqlx::query!(
        r#"
        SELECT number, outcome AS "outcome!" FROM trials
        WHERE job_id = $1 AND state <> 'running' AND outcome IS NOT NULL ORDER BY number
        "#,
        job.0
    )
    .fetch_all(connection)
    .await?;
    let mut progress = Progress::default();
    let mut best: Option<Rank> = None;
    for row in rows {
        let number = TrialNumber(to_u32("trial number", row.number)?);
        let outcome: TrialOutcome = read_json("outcome", row.outcome)?;
        progress.count_end(&outcome);
        // An evaluation chooses none.
        let chooses = spec.kind() == JobKind::Tuning;
        let rank = Rank::of(number, &outcome, spec.objective.direction).filter(|_| chooses);
        if let Some(rank) = rank
            && best.is_none_or(|best| rank.beats(&best))
        {
            best = Some(rank);
        }
    }
    Ok((progress, best.map(|best| best.trial())))
}

/// What was spent, by category. A request that was lost may have been billed, whatever it was
/// sent for.
async fn spend(connection: &mut PgConnection, job: JobId) -> Result<SpendByCategory> {
    let rows = sqlx::query!(
        r#"
        SELECT purpose, state = 'lost' AS "lost!",
               coalesce(sum(cost_usd_pico), 0)::bigint AS "usd!",
               coalesce(sum(cost_tokens), 0)::bigint AS "tokens!",
               coalesce(sum(uncertain_usd_pico), 0)::bigint AS "uncertain_usd!",
               coalesce(sum(uncertain_tokens), 0)::bigint AS "uncertain_tokens!"
        FROM requests WHERE job_id = $1 GROUP BY 1, 2
        "#,
        job.0
    )
    .fetch_all(connection)
    .await?;
    let mut spend = SpendByCategory::new();
    for row in rows {
        let purpose: Purpose = read_name("purpose", &row.purpose)?;
        let category = if row.lost {
            SpendCategory::Lost
        } else {
            purpose.into()
        };
        *spend.entry(category).or_default() += to_spend(row.usd, row.tokens)?;
        let uncertain = to_spend(row.uncertain_usd, row.uncertain_tokens)?;
        if uncertain != Spend::default() {
            *spend.entry(SpendCategory::Uncertain).or_default() += uncertain;
        }
    }
    Ok(spend)
}
