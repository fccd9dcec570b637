//! Jobs at a glance, for lists: what is read of a job without its specification.

use crate::{Error, Result, read_json, read_name, to_u32, write_json};
use chrono::{DateTime, Utc};
use frugal_domain::access::Access;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::job::{JobKind, Objective, Priority};
use frugal_domain::money::Budget;
use frugal_domain::spend::SpendByCategory;
use frugal_domain::state::{JobState, StopReason};
use frugal_domain::trial::{Progress, TrialOutcome};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use std::collections::BTreeMap;

/// A job at a glance.
#[derive(Debug, Clone)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// A name for people.
    pub name: Option<String>,
    /// Labels for people and tools.
    pub labels: BTreeMap<String, String>,
    /// Where it is in its life.
    pub state: JobState,
    /// Why its search ended.
    pub stop_reason: Option<StopReason>,
    /// Why it failed, in words.
    pub detail: Option<String>,
    /// How urgent it is among those that wait.
    pub priority: Priority,
    /// When it may be begun at the earliest.
    pub not_before: Option<DateTime<Utc>>,
    /// The number of its last event.
    pub last_seq: i64,
    /// How often it was begun.
    pub run: u32,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Trials by outcome, requests, responses.
    pub progress: Progress,
    /// What was spent, by category.
    pub spend: SpendByCategory,
    /// What it is after.
    pub objective: Objective,
    /// The most that one instance may cost under a configuration.
    pub inference_budget: Option<Budget>,
    /// The most that it may spend.
    pub optimization_budget: Budget,
    /// The best valid trial so far, and what it came to.
    pub best: Option<(TrialNumber, Option<TrialOutcome>)>,
}

/// Which jobs. What is absent holds for all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these states.
    pub states: Vec<JobState>,
    /// With this in their name, in whatever case.
    pub name: Option<String>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Posted at this moment or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Posted before this moment.
    pub created_before: Option<DateTime<Utc>>,
}

/// In which order jobs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Those posted last come first.
    NewestFirst,
    /// Those posted first come first.
    OldestFirst,
}

struct Row {
    id: Uuid,
    name: Option<String>,
    labels: serde_json::Value,
    state: String,
    stop_reason: Option<String>,
    detail: Option<String>,
    priority: i16,
    not_before: Option<DateTime<Utc>>,
    last_seq: i64,
    run: i32,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    progress: serde_json::Value,
    spend: serde_json::Value,
    objective: Option<serde_json::Value>,
    inference_budget: Option<serde_json::Value>,
    optimization_budget: Option<serde_json::Value>,
    best_trial: Option<i32>,
    outcome: Option<serde_json::Value>,
}

impl TryFrom<Row> for JobSummary {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let best = row.best_trial.map(|number| {
            let outcome = row.outcome.map(|outcome| read_json("outcome", outcome));
            let number = TrialNumber(to_u32("trial number", number)?);
            Ok::<_, Error>((number, outcome.transpose()?))
        });
        let stop_reason = row.stop_reason.as_deref();
        Ok(Self {
            id: JobId(row.id),
            name: row.name,
            labels: read_json("labels", row.labels)?,
            state: read_name("job state", &row.state)?,
            stop_reason: stop_reason
                .map(|name| read_name("stop reason", name))
                .transpose()?,
            detail: row.detail,
            priority: Priority::try_from(row.priority).map_err(|error| Error::Corrupt {
                what: "priority",
                source: Box::new(error),
            })?,
            not_before: row.not_before,
            last_seq: row.last_seq,
            run: to_u32("run", row.run)?,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            progress: read_json("progress", row.progress)?,
            spend: read_json("spend", row.spend)?,
            objective: read_json("objective", row.objective.unwrap_or_default())?,
            inference_budget: read_json(
                "inference budget",
                row.inference_budget.unwrap_or_default(),
            )?,
            optimization_budget: read_json(
                "optimization budget",
                row.optimization_budget.unwrap_or_default(),
            )?,
            best: best.transpose()?,
        })
    }
}

/// The one statement of both orders, which differ in where a page begins and in how it is sorted. What is read of
/// the specifications is read of the page's jobs alone.
macro_rules! summaries {
    ($after:tt, $order:tt, $connection:expr, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"
            SELECT jobs.id, jobs.name, jobs.labels, jobs.state, jobs.stop_reason, jobs.detail,
                   jobs.priority, jobs.not_before, jobs.last_seq, jobs.run, jobs.created_at,
                   jobs.started_at, jobs.finished_at, jobs.progress, jobs.spend,
                   jobs.spec -> 'objective' AS objective,
                   jobs.spec -> 'inference_budget' AS inference_budget,
                   jobs.spec -> 'optimization_budget' AS optimization_budget,
                   jobs.best_trial, trials.outcome AS "outcome?"
            FROM (
                SELECT * FROM jobs
                WHERE kind = $1 AND (cardinality($3::text[]) = 0 OR state = ANY($3))
                  AND ($4::text IS NULL OR strpos(lower(name), lower($4)) > 0)
                  AND labels @> $5
                  AND ($6::timestamptz IS NULL OR created_at >= $6)
                  AND ($7::timestamptz IS NULL OR created_at < $7)
                  AND ($9 OR owner = $10)
                  AND ($2::uuid IS NULL OR id "# + $after + " $2) ORDER BY id " + $order + r#" LIMIT $8
            ) AS jobs
            LEFT JOIN trials ON trials.job_id = jobs.id AND trials.number = jobs.best_trial
            ORDER BY jobs.id "# + $order,
            $($argument),+
        )
        .fetch_all($connection)
        .await?
    };
}

/// Jobs of a kind that are reached, in an order, after one of them where that is given.
///
/// # Errors
/// The database is away.
pub async fn list(
    connection: &mut PgConnection,
    access: &Access,
    kind: JobKind,
    filter: &Filter,
    order: Order,
    after: Option<JobId>,
    limit: u32,
) -> Result<Vec<JobSummary>> {
    let after = after.map(|id| id.0);
    let states = filter.states.iter();
    let states: Vec<String> = states.map(|state| state.as_str().to_owned()).collect();
    let labels = write_json("labels", &filter.labels)?;
    let name = filter.name.as_deref();
    let (from, before) = (filter.created_from, filter.created_before);
    let limit = i64::from(limit);
    let rows = match order {
        Order::NewestFirst => summaries!(
            "<",
            "DESC",
            connection,
            kind.as_str(),
            after,
            &states,
            name,
            labels,
            from,
            before,
            limit,
            access.everything,
            access.owner
        ),
        Order::OldestFirst => summaries!(
            ">",
            "ASC",
            connection,
            kind.as_str(),
            after,
            &states,
            name,
            labels,
            from,
            before,
            limit,
            access.everything,
            access.owner
        ),
    };
    rows.into_iter().map(JobSummary::try_from).collect()
}
