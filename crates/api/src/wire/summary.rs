//! A job at a glance, as lists have it.

use super::{
    Budgets, CostEstimate, Direction, Estimate, Interval, JobLinks, JobSpend, JobState, Metric,
    Progress, StopReason,
};
use chrono::{DateTime, Utc};
use frugal_domain::job::JobKind;
use frugal_domain::money;
use frugal_domain::trial::TrialOutcome;
use frugal_store::summaries;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A job at a glance. All of it is at `links.self`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobSummary {
    /// Its id, a UUIDv7.
    pub id: Uuid,
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
    /// The number of its last event.
    #[schema(minimum = 1)]
    pub last_seq: i64,
    /// How often it was begun.
    #[schema(minimum = 1)]
    pub run: u32,
    /// How urgent it is among those that wait.
    #[schema(minimum = -9, maximum = 9)]
    pub priority: i16,
    /// When it may be begun at the earliest.
    pub not_before: Option<DateTime<Utc>>,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How far it is.
    pub progress: Progress,
    /// What it has spent.
    pub spend: JobSpend,
    /// What it may spend.
    pub budgets: Budgets,
    /// The share of the optimization budget that is spent.
    #[schema(example = 0.42)]
    pub budget_used: f64,
    /// The metric that it is after, and which way.
    pub objective: SummaryObjective,
    /// The best valid configuration so far.
    pub best: Option<SummaryBest>,
    /// Where to go on from here.
    pub links: JobLinks,
}

/// What a job is after.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct SummaryObjective {
    /// The metric.
    pub metric: Metric,
    /// Whether more is better.
    pub direction: Direction,
}

/// The best valid configuration of a job, without its settings.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SummaryBest {
    /// The trial that found it.
    pub trial: u32,
    /// The objective's mean over the instances.
    pub utility: Estimate,
    /// Its 95 % interval; `null` where it is not known.
    pub utility_interval: Option<Interval>,
    /// What one instance costs.
    pub inference_cost: CostEstimate,
}

/// The share of a budget that is spent.
pub(crate) fn share_of(budget: money::Budget, spend: money::Spend) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for display, not for books")]
    let share = budget.unit().of(spend) as f64 / budget.amount().max(1) as f64;
    share
}

impl JobSummary {
    /// A job of a kind.
    #[must_use]
    pub fn new(kind: JobKind, job: summaries::JobSummary) -> Self {
        let spend: money::Spend = job.spend.values().copied().sum();
        let best = job.best.and_then(|(trial, outcome)| match outcome {
            Some(TrialOutcome::Evaluated(evaluation)) => Some(SummaryBest {
                trial: trial.0,
                utility: evaluation.utility.into(),
                utility_interval: evaluation.utility_interval.map(Into::into),
                inference_cost: evaluation.inference_cost.into(),
            }),
            _ => None,
        });
        Self {
            id: job.id.0,
            name: job.name,
            labels: job.labels,
            state: job.state.into(),
            stop_reason: job.stop_reason.map(Into::into),
            detail: job.detail,
            last_seq: job.last_seq,
            run: job.run,
            priority: job.priority.get(),
            not_before: job.not_before,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            progress: job.progress.into(),
            spend: JobSpend::from(&job.spend),
            budgets: Budgets {
                inference: job.inference_budget.map(Into::into),
                optimization: job.optimization_budget.into(),
            },
            budget_used: share_of(job.optimization_budget, spend),
            objective: SummaryObjective {
                metric: job.objective.metric.into(),
                direction: job.objective.direction.into(),
            },
            best,
            links: JobLinks::of(kind, job.id),
        }
    }
}
