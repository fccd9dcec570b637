//! Jobs whose owner changes them: their terms while they go on, and their continuation.
//!
//! The specification in the job's row has what its owner wants last. A change of the terms has a row of its
//! own besides, and gets its place among the decisions of the search from whoever drives the job, in the
//! transaction that writes its event; a replay reads it at that place.

use crate::claim::Claim;
use crate::jobs::Job;
use crate::{
    Error, Result, books, events, queue, read_name, to_bigint, to_integer, to_spend, to_u32,
    write_json,
};
use chrono::{DateTime, Utc};
use frugal_domain::event::EventBody;
use frugal_domain::id::JobId;
use frugal_domain::job::{ExtentChoice, JobSpec, Terms};
use frugal_domain::money::Spend;
use frugal_domain::request::RequestKey;
use frugal_domain::state::{JobState, StopReason};
use frugal_domain::trial::Progress;
use sqlx::PgConnection;

/// A change of a job's terms, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TermsChange {
    /// The how-manieth change of the job.
    pub number: u32,
    /// The terms before it.
    pub terms_before: Terms,
    /// The terms from then on.
    pub terms: Terms,
    /// How many decisions the search had made before; none until it has a place.
    pub place: Option<u64>,
    /// Requests that could not be paid for before, and that trials went on without.
    pub unaffordable: Vec<RequestKey>,
    /// The job had ended and goes on with this.
    pub continues: bool,
    /// Whether an event has told of it.
    pub told: bool,
}

/// Where a change has its place, and what it comes to there.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// How many decisions the search had made before.
    pub place: u64,
    /// The terms from then on.
    pub terms: Terms,
    /// Requests that could not be paid for before, and that trials went on without.
    pub unaffordable: Vec<RequestKey>,
}

/// What a job has spent and what it may still be billed for requests in flight, at most, from its rows.
///
/// # Errors
/// The database is away.
pub async fn committed(connection: &mut PgConnection, job: JobId) -> Result<Spend> {
    let row = sqlx::query!(
        r#"
        SELECT coalesce(sum(coalesce(cost_usd_pico, worst_usd_pico) + uncertain_usd_pico), 0)::bigint AS "usd!",
               coalesce(sum(coalesce(cost_tokens, worst_tokens) + uncertain_tokens), 0)::bigint AS "tokens!"
        FROM requests WHERE job_id = $1
        "#,
        job.0
    )
    .fetch_one(connection)
    .await?;
    to_spend(row.usd, row.tokens)
}

/// Changes a job, whose row the caller has locked ([`crate::jobs::lock`]) and which has not ended, or whose
/// terms stay as they are. Nothing where nothing is other.
///
/// A change of what the search decides by is told of at once where nobody drives the job, since nothing is
/// decided between. Else its worker hears of it, gives it its place, and writes the event there.
///
/// # Errors
/// The database is away.
pub async fn change(
    connection: &mut PgConnection,
    job: &Job,
    new: &JobSpec,
    now: DateTime<Utc>,
) -> Result<()> {
    let (before, terms) = (Terms::of(&job.spec), Terms::of(new));
    let mut changes = job.spec.changes_beside_terms(new);
    let of_terms = before.changes(&terms);
    if changes.is_empty() && of_terms.is_empty() {
        return Ok(());
    }
    let driven = matches!(
        job.state,
        JobState::Running | JobState::Pausing | JobState::Cancelling
    );
    let number = rewrite(&mut *connection, job, new).await?;
    if !of_terms.is_empty() {
        let new = NewChange {
            number,
            before,
            terms,
            continues: false,
            told: !driven,
        };
        insert(&mut *connection, job.id, &new, now).await?;
        if !driven {
            changes.extend(of_terms);
        }
    }
    if !changes.is_empty() {
        let event = EventBody::JobUpdated { changes };
        events::append(&mut *connection, job.id, &[event], now).await?;
    }
    queue::notify(connection, job.id).await
}

struct NewChange {
    number: i32,
    before: Terms,
    terms: Terms,
    continues: bool,
    told: bool,
}

/// Writes a job's new specification and returns the number of the change.
async fn rewrite(connection: &mut PgConnection, job: &Job, new: &JobSpec) -> Result<i32> {
    let number = sqlx::query_scalar!(
        r#"
        UPDATE jobs SET name = $2, labels = $3, spec = $4, priority = $5, changes = changes + 1
        WHERE id = $1 RETURNING changes
        "#,
        job.id.0,
        new.name
            .as_deref()
            .map(|name| name.replace('\0', "\u{FFFD}")),
        write_json("labels", &new.labels)?,
        write_json("job specification", new)?,
        new.priority.get()
    )
    .fetch_one(connection)
    .await?;
    Ok(number)
}

async fn insert(
    connection: &mut PgConnection,
    job: JobId,
    new: &NewChange,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO terms_changes (job_id, number, terms_before, terms, continues, told, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        "#,
        job.0,
        new.number,
        write_json("terms", &new.before)?,
        write_json("terms", &new.terms)?,
        new.continues,
        new.told,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a change its place among the decisions, with the terms that it comes to there, and with the
/// requests that trials went on without. The caller writes the event in the same transaction, unless it
/// was told of before.
///
/// # Errors
/// [`Error::LeaseLost`], or the database is away.
pub async fn place(
    connection: &mut PgConnection,
    claim: Claim,
    number: u32,
    placed: &Placed,
) -> Result<()> {
    let number = to_integer("number of a change", number)?;
    let terms = write_json("terms", &placed.terms)?;
    let stored = sqlx::query!(
        r#"
        UPDATE terms_changes SET place = $4, terms = $5, unaffordable = $6, told = true
        FROM jobs
        WHERE jobs.id = $1 AND jobs.attempt = $2 AND jobs.lease_expires_at IS NOT NULL
          AND terms_changes.job_id = $1 AND terms_changes.number = $3
          AND terms_changes.place IS NULL
        "#,
        claim.job.0,
        claim.attempt,
        number,
        to_bigint("place", placed.place)?,
        terms,
        write_json("requests", &placed.unaffordable)?
    )
    .execute(&mut *connection)
    .await?;
    if stored.rows_affected() == 0 {
        return Err(Error::LeaseLost);
    }
    // It may come to more than what was asked for, unless something else was asked for since.
    sqlx::query!(
        r#"
        UPDATE jobs SET spec = jsonb_set(spec, '{optimization_budget}', $3::jsonb -> 'optimization_budget')
        WHERE id = $1 AND NOT EXISTS (
            SELECT FROM terms_changes WHERE job_id = $1 AND number > $2
        )
        "#,
        claim.job.0,
        number,
        terms
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Has a job go on that has ended, under other terms: it waits for a worker, which lives through all that is
/// stored and goes on behind it. Trials that the end cut short go on too; what was reported stands among
/// [the earlier reports](earlier_report). The caller has locked the job's row ([`crate::jobs::lock`]).
///
/// # Errors
/// The database is away.
pub async fn go_on(
    connection: &mut PgConnection,
    job: &Job,
    new: &JobSpec,
    now: DateTime<Utc>,
) -> Result<()> {
    let (before, terms) = (Terms::of(&job.spec), Terms::of(new));
    sqlx::query!(
        r#"
        INSERT INTO earlier_reports (job_id, run, state, stop_reason, report, finished_at)
        SELECT id, run, state, stop_reason, report, finished_at FROM jobs
        WHERE id = $1 AND finished_at IS NOT NULL
        "#,
        job.id.0
    )
    .execute(&mut *connection)
    .await?;
    let number = rewrite(&mut *connection, job, new).await?;
    let run = sqlx::query_scalar!(
        r#"
        UPDATE jobs SET
            state = 'queued', stop_reason = NULL, detail = NULL, report = NULL, run = run + 1,
            lost_attempts = 0,
            paused_ms = paused_ms + CASE
                WHEN started_at IS NULL THEN 0
                ELSE greatest(
                    extract(epoch FROM $2::timestamptz - coalesce(paused_at, finished_at)) * 1000, 0
                )::bigint
            END,
            paused_at = NULL, finished_at = NULL, has_events = true, has_responses = true
        WHERE id = $1 RETURNING run
        "#,
        job.id.0,
        now
    )
    .fetch_one(&mut *connection)
    .await?;
    let changes = before.changes(&terms);
    let new = NewChange {
        number,
        before,
        terms,
        continues: true,
        told: true,
    };
    insert(&mut *connection, job.id, &new, now).await?;
    reopen_trials(&mut *connection, job).await?;
    let event = EventBody::JobContinued {
        run: to_u32("run", run)?,
        changes,
    };
    events::append(&mut *connection, job.id, &[event], now).await?;
    queue::notify(connection, job.id).await
}

/// Trials that were cut off are under way again, and those of arms, which end with the job alone.
async fn reopen_trials(connection: &mut PgConnection, job: &Job) -> Result<()> {
    let profiled = job.spec.search.extent == ExtentChoice::Profiled;
    let reopened = sqlx::query!(
        r#"
        UPDATE trials SET
            state = 'running', finished_at = NULL,
            outcome = CASE WHEN state = 'evaluated' THEN outcome END
        WHERE job_id = $1 AND (state = 'stopped' OR $2 AND role = 'search')
        "#,
        job.id.0,
        profiled
    )
    .execute(&mut *connection)
    .await?;
    let mut progress = Progress {
        running: u32::try_from(reopened.rows_affected()).unwrap_or(u32::MAX),
        ..Progress::default()
    };
    books::count_ended_trials(&mut *connection, job.id, &mut progress).await?;
    sqlx::query!(
        "UPDATE jobs SET progress = $2 WHERE id = $1",
        job.id.0,
        write_json("progress", &progress)?
    )
    .execute(&mut *connection)
    .await?;
    books::refresh(connection, job.id).await
}

/// What a job had found when it ended and was then continued.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierReport {
    /// The how-manieth end it was.
    pub run: u32,
    /// How it ended.
    pub state: JobState,
    /// Why its search ended.
    pub stop_reason: Option<StopReason>,
    /// Its report; none where it left none.
    pub report: Option<serde_json::Value>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

/// What a job reported each time that it ended before it was continued, in that order.
///
/// # Errors
/// The database is away.
pub async fn earlier_reports(
    connection: &mut PgConnection,
    job: JobId,
) -> Result<Vec<EarlierReport>> {
    let rows = sqlx::query!(
        r#"
        SELECT run, state, stop_reason, report, finished_at FROM earlier_reports
        WHERE job_id = $1 ORDER BY run
        "#,
        job.0
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let stop_reason = row.stop_reason.as_deref();
            Ok(EarlierReport {
                run: to_u32("run", row.run)?,
                state: read_name("job state", &row.state)?,
                stop_reason: stop_reason
                    .map(|name| read_name("stop reason", name))
                    .transpose()?,
                report: row.report,
                finished_at: row.finished_at,
            })
        })
        .collect()
}

/// What a job reported when it ended for the `run`-th time and was then continued: none where it was not,
/// and `null` where it left no report.
///
/// # Errors
/// The database is away.
pub async fn earlier_report(
    connection: &mut PgConnection,
    job: JobId,
    run: u32,
) -> Result<Option<serde_json::Value>> {
    let row = sqlx::query!(
        "SELECT report FROM earlier_reports WHERE job_id = $1 AND run = $2",
        job.0,
        to_integer("run", run)?
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.report.unwrap_or_default()))
}
