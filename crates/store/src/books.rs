//! The books of a job that ends although nobody has it in mind: from its rows alone.

use crate::claim::Claim;
use crate::{Result, jobs, read_json, read_name, requests, to_u32, to_u64, trials};
use chrono::{DateTime, Utc};
use frugal_domain::id::JobId;
use frugal_domain::request::Purpose;
use frugal_domain::spend::{SpendByCategory, SpendCategory};
use frugal_domain::state::TrialState;
use frugal_domain::trial::{Progress, PruneReason, TrialOutcome};
use sqlx::PgConnection;

/// Closes the books of a job that ends: requests in flight count as lost, trials under way are cut
/// off, and the summary says what the rows say. To be called within a transaction.
///
/// # Errors
/// [`crate::Error::LeaseLost`], or the database is away.
pub async fn close(
    connection: &mut PgConnection,
    claim: Claim,
    now: DateTime<Utc>,
) -> Result<()> {
    let job = claim.job;
    requests::abandon(&mut *connection, job, now).await?;
    trials::stop_running(&mut *connection, claim, now).await?;
    let (mut progress, spend) = of_requests(&mut *connection, job).await?;
    count_trials(&mut *connection, job, &mut progress).await?;
    let best = sqlx::query_scalar!("SELECT best_trial FROM jobs WHERE id = $1", job.0)
        .fetch_optional(&mut *connection)
        .await?
        .flatten();
    let best = best
        .map(|number| to_u32("trial number", number))
        .transpose()?
        .map(frugal_domain::id::TrialNumber);
    jobs::update_summary(connection, job, claim.attempt, &progress, &spend, best).await
}

/// What was spent, and how many requests and responses there are.
async fn of_requests(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<(Progress, SpendByCategory)> {
    let rows = sqlx::query!(
        r#"
        SELECT purpose, state = 'lost' AS "lost!", count(*) AS "requests!",
               coalesce(sum(cost_usd_pico), 0)::bigint AS "usd!",
               coalesce(sum(cost_tokens), 0)::bigint AS "tokens!"
        FROM requests WHERE job_id = $1
        GROUP BY purpose, state = 'lost'
        "#,
        job.0
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut progress = Progress::default();
    let mut spend = SpendByCategory::new();
    for row in rows {
        let category = if row.lost {
            SpendCategory::Lost
        } else {
            progress.requests += to_u64("requests", row.requests)?;
            read_name::<Purpose>("purpose", &row.purpose)?.into()
        };
        *spend.entry(category).or_default() += crate::to_spend(row.usd, row.tokens)?;
    }
    let responses = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM responses WHERE job_id = $1"#,
        job.0
    )
    .fetch_one(connection)
    .await?;
    progress.responses = to_u64("responses", responses)?;
    Ok((progress, spend))
}

/// How many trials ended in which way.
async fn count_trials(
    connection: &mut PgConnection,
    job: JobId,
    progress: &mut Progress,
) -> Result<()> {
    let rows = sqlx::query!(
        "SELECT state, outcome FROM trials WHERE job_id = $1",
        job.0
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let outcome = row
            .outcome
            .map(|outcome| read_json::<TrialOutcome>("outcome", outcome))
            .transpose()?;
        let before_requests = matches!(
            outcome,
            Some(TrialOutcome::Pruned {
                reason: PruneReason::KnownInvalid
            })
        );
        *match read_name("trial state", &row.state)? {
            TrialState::Running => &mut progress.running,
            TrialState::Evaluated => &mut progress.evaluated,
            TrialState::Pruned if before_requests => &mut progress.pruned_before_requests,
            TrialState::Pruned => &mut progress.pruned_on_the_way,
            TrialState::Infeasible => &mut progress.infeasible,
            TrialState::Failed => &mut progress.failed,
            TrialState::Stopped => &mut progress.stopped,
        } += 1;
    }
    Ok(())
}
