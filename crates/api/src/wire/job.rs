//! A job as clients see it.

use super::{
    Budget, Configuration, CostEstimate, Direction, Estimate, FieldError, Interval, JobState,
    Metric, Search, Spend, SpendCategory, Standing, StopReason, WarmStart,
};
use chrono::{DateTime, Utc};
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_domain::trial::{self, TrialOutcome};
use frugal_domain::{job, metric, money};
use frugal_store::{jobs, trials};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A job: where it is, what it has found, what it has spent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Job {
    /// What is probably a mistake though it was taken: a prompt or an expectation that uses no field of
    /// the rows, a setting that looks like a misspelling or a range. In the answers to `POST /jobs` and
    /// `GET /jobs/{id}`, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub warnings: Vec<FieldError>,
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// A name for people.
    pub name: Option<String>,
    /// Labels for people and tools.
    pub labels: BTreeMap<String, String>,
    /// Where it is in its life.
    pub state: JobState,
    /// The number of its last event by now: a stream that goes on after it misses nothing.
    #[schema(minimum = 1)]
    pub last_seq: i64,
    /// How often it was begun: 1, and one more each time that it was continued after its end.
    #[schema(minimum = 1)]
    pub run: u32,
    /// Why its search ended.
    pub stop_reason: Option<StopReason>,
    /// Why it failed, in words.
    pub detail: Option<String>,
    /// How urgent it is among those that wait: higher ones go first.
    #[schema(minimum = -9, maximum = 9)]
    pub priority: i16,
    /// When it may be begun at the earliest; until then it waits as `queued`.
    pub not_before: Option<DateTime<Utc>>,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What is gone of it by now, as the server keeps some things for a time only after a job has ended;
    /// `null` where nothing is.
    pub pruned: Option<PrunedParts>,
    /// How far it is.
    pub progress: Progress,
    /// What it has spent.
    pub spend: JobSpend,
    /// How it stands at the moment: how fast it is, what is left, what it waits for; `null` in an
    /// export.
    pub standing: Option<Standing>,
    /// What it may spend.
    pub budgets: Budgets,
    /// The best valid configuration so far.
    pub best: Option<Best>,
    /// The dataset that its rows were taken from; `null` where they came with the job. Its rows were
    /// copied, so it may be gone by now.
    pub dataset: Option<JobDataset>,
    /// The dataset that the held-out rows were taken from, where `data.holdout` named one.
    pub holdout_dataset: Option<JobDataset>,
    /// What it took over from an earlier job; `null` where it was not to.
    pub warm_start: Option<WarmStart>,
    /// What the search is after.
    pub objective: Objective,
    /// What a configuration must keep besides to be valid.
    pub constraints: Vec<Constraint>,
    /// Limits other than money.
    pub limits: Limits,
    /// How the search is run, the seed included.
    pub search: Search,
    /// Where to go on from here.
    pub links: JobLinks,
}

/// What is gone of a job that has ended.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct PrunedParts {
    /// The number of the last event that is gone; `null` where none is.
    #[schema(example = 120)]
    pub events_through: Option<i64>,
    /// Since when its responses and their texts are gone; `null` where they are not.
    pub responses_at: Option<DateTime<Utc>>,
}

impl PrunedParts {
    pub(crate) fn of(job: &jobs::Job) -> Option<Self> {
        let parts = Self {
            events_through: (job.events_pruned_through > 0).then_some(job.events_pruned_through),
            responses_at: job.responses_pruned_at,
        };
        (parts.events_through.is_some() || parts.responses_at.is_some()).then_some(parts)
    }
}

/// A dataset as it was when a job took its rows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobDataset {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// SHA-256 of its rows, in hexadecimal digits.
    pub sha256: String,
}

impl From<job::DatasetReference> for JobDataset {
    fn from(reference: job::DatasetReference) -> Self {
        Self {
            id: reference.id.0,
            name: reference.name,
            sha256: reference.sha256,
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Progress {
    /// Trials by outcome.
    pub trials: TrialCounts,
    /// Requests sent.
    pub requests: u64,
    /// Responses received.
    pub responses: u64,
}

/// Trials by outcome.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct TrialCounts {
    /// Trials begun.
    pub total: u32,
    /// Being evaluated.
    pub running: u32,
    /// Evaluated on every instance.
    pub evaluated: u32,
    /// Pruned before any request.
    pub pruned_before_requests: u32,
    /// Pruned on the way.
    pub pruned_on_the_way: u32,
    /// Refused by the endpoint.
    pub infeasible: u32,
    /// Failed for want of answers.
    pub failed: u32,
    /// Cut off by the end of the job.
    pub stopped: u32,
}

impl From<trial::Progress> for Progress {
    fn from(progress: trial::Progress) -> Self {
        Self {
            trials: TrialCounts {
                total: progress.trials(),
                running: progress.running,
                evaluated: progress.evaluated,
                pruned_before_requests: progress.pruned_before_requests,
                pruned_on_the_way: progress.pruned_on_the_way,
                infeasible: progress.infeasible,
                failed: progress.failed,
                stopped: progress.stopped,
            },
            requests: progress.requests,
            responses: progress.responses,
        }
    }
}

/// What a job has spent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobSpend {
    /// US dollars, all roles together; 0 for models without a price.
    pub usd: f64,
    /// Tokens of prompts and completions, all roles together.
    pub tokens: u64,
    /// The same by what it was spent for. Roles without any spend are left out.
    pub by_role: BTreeMap<SpendCategory, Spend>,
}

impl From<&frugal_domain::spend::SpendByCategory> for JobSpend {
    fn from(spend: &frugal_domain::spend::SpendByCategory) -> Self {
        let total: Spend = spend.values().copied().sum::<money::Spend>().into();
        Self {
            usd: total.usd,
            tokens: total.tokens,
            by_role: spend
                .iter()
                .map(|(role, spend)| ((*role).into(), (*spend).into()))
                .collect(),
        }
    }
}

/// What a job may spend.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Budgets {
    /// The most that one instance may cost under a configuration.
    pub inference: Option<Budget>,
    /// The most that the whole job may spend.
    pub optimization: Budget,
}

/// The best valid configuration so far.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Best {
    /// The trial that found it.
    pub trial: u32,
    /// What it asks of the endpoint.
    pub configuration: Configuration,
    /// The objective's mean over the instances.
    pub utility: Estimate,
    /// Its 95 % interval, on the instances that the search sees; `null` where it is not known. It reckons with the
    /// choice of instances alone: what was chosen for its mean here is as a rule worth less on others.
    pub utility_interval: Option<Interval>,
    /// What one instance costs.
    pub inference_cost: CostEstimate,
}

/// What a search is after.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Objective {
    /// The metric.
    pub metric: Metric,
    /// Whether more is better.
    pub direction: Direction,
    /// How good answers must be, where the least inference cost of answers that are as good as others
    /// is sought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cheapest: Option<NonInferiority>,
}

/// When a configuration is as good as a reference: where the mean of a metric is, with some confidence,
/// no lower than the reference's less a margin.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct NonInferiority {
    /// The metric of the quality of answers.
    pub metric: Metric,
    /// What it is held against.
    pub as_good_as: Reference,
    /// How much lower the mean may be.
    #[schema(example = 0.02)]
    pub margin: f64,
    /// How sure it is to be that it is no lower.
    #[schema(example = 0.95)]
    pub confidence: f64,
}

/// What answers are to be as good as: the baseline's, or a mean of the metric.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Reference {
    /// The baseline's.
    Named(ReferenceName),
    /// A mean of the metric.
    Value(f64),
}

/// What answers are to be as good as, by name.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceName {
    /// The job's baseline.
    Baseline,
}

impl From<job::Objective> for Objective {
    fn from(objective: job::Objective) -> Self {
        Self {
            metric: objective.metric.into(),
            direction: objective.direction.into(),
            cheapest: objective.cheapest.map(|standard| NonInferiority {
                metric: standard.metric.into(),
                as_good_as: match standard.as_good_as {
                    job::Reference::Baseline => Reference::Named(ReferenceName::Baseline),
                    job::Reference::Value(value) => Reference::Value(value),
                },
                margin: standard.margin,
                confidence: standard.confidence,
            }),
        }
    }
}

/// A bound on the mean of a metric: at most so much, or at least. The bound itself is allowed.
/// The mean alone decides, however sure it is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Constraint {
    /// No more than this.
    AtMost {
        /// Any metric but `inference_cost`, which has a budget.
        metric: Metric,
        /// The bound, in the metric's own unit; for a rate, from 0 to 1.
        #[schema(minimum = 0, example = 2000)]
        at_most: f64,
    },
    /// No less than this.
    AtLeast {
        /// Any metric but `inference_cost`, which has a budget.
        metric: Metric,
        /// The bound, in the metric's own unit; for a rate, from 0 to 1.
        #[schema(minimum = 0, example = 0.5)]
        at_least: f64,
    },
}

impl From<metric::Constraint> for Constraint {
    fn from(constraint: metric::Constraint) -> Self {
        let metric = constraint.metric.into();
        match constraint.bound {
            metric::Bound::AtMost(at_most) => Self::AtMost { metric, at_most },
            metric::Bound::AtLeast(at_least) => Self::AtLeast { metric, at_least },
        }
    }
}

/// Limits other than money.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Limits {
    /// The most trials that the searcher may propose.
    pub trials: u32,
    /// The most seconds from the first start, those not counted for which it is paused.
    pub seconds: Option<u64>,
    /// The number of trials in a row without a better one after which the search ends.
    pub trials_without_improvement: Option<u32>,
}

/// Where to go on from a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobLinks {
    /// The job.
    #[serde(rename = "self")]
    #[schema(example = "/jobs/019abf3e-5f00-7000-8000-000000000000")]
    pub this: String,
    /// The attempts at it.
    pub attempts: String,
    /// Its trials.
    pub trials: String,
    /// Its events.
    pub events: String,
    /// Its report, once it has ended.
    pub report: String,
    /// The same as a page to read, print or send. Of a tuning job, as are the next four.
    pub report_page: Option<String>,
    /// Its trials by quality and cost.
    pub pareto: Option<String>,
    /// Which settings mattered.
    pub importance: Option<String>,
    /// Where trials are compared, with `?trials=0,1`.
    pub compare: Option<String>,
    /// The best configuration, in forms that can be pasted.
    pub winner: Option<String>,
    /// Everything of it, as lines of JSON.
    pub export: String,
    /// Where to ask it to pause (`POST`).
    pub pause: String,
    /// Where to ask it to go on (`POST`).
    pub resume: String,
    /// Where to ask it to stop for good (`POST`).
    pub cancel: String,
    /// Where to ask it to go on after its end (`POST`).
    pub r#continue: String,
}

impl JobLinks {
    /// Those of a job of a kind.
    pub(crate) fn of(kind: JobKind, id: JobId) -> Self {
        let this = path_of(kind, id);
        let of_tuning = |name| (kind == JobKind::Tuning).then(|| format!("{this}/{name}"));
        Self {
            report_page: of_tuning("report.html"),
            pareto: of_tuning("pareto"),
            importance: of_tuning("importance"),
            compare: of_tuning("compare"),
            winner: of_tuning("winner"),
            attempts: format!("{this}/attempts"),
            trials: format!("{this}/trials"),
            events: format!("{this}/events"),
            report: format!("{this}/report"),
            export: format!("{this}/export"),
            pause: format!("{this}/pause"),
            resume: format!("{this}/resume"),
            cancel: format!("{this}/cancel"),
            r#continue: format!("{this}/continue"),
            this,
        }
    }
}

/// The path of a job of a kind.
pub(crate) fn path_of(kind: JobKind, id: JobId) -> String {
    match kind {
        JobKind::Tuning => format!("/jobs/{id}"),
        JobKind::Evaluation => format!("/evaluations/{id}"),
    }
}

impl Job {
    /// A job with its best trial, if it has one.
    #[must_use]
    pub fn new(job: jobs::Job, best: Option<&trials::StoredTrial>) -> Self {
        let spec = &job.spec;
        let best = best.and_then(|trial| match &trial.outcome {
            Some(TrialOutcome::Evaluated(evaluation)) => Some(Best {
                trial: trial.number.0,
                configuration: Configuration::new(spec, &trial.settings),
                utility: evaluation.utility.into(),
                utility_interval: evaluation.utility_interval.map(Into::into),
                inference_cost: evaluation.inference_cost.into(),
            }),
            _ => None,
        });
        Self {
            warnings: Vec::new(),
            standing: None,
            pruned: PrunedParts::of(&job),
            best,
            objective: spec.objective.into(),
            constraints: spec.constraints.iter().copied().map(Into::into).collect(),
            limits: Limits {
                trials: spec.limits.trials,
                seconds: spec.limits.seconds,
                trials_without_improvement: spec.limits.trials_without_improvement,
            },
            search: spec.search.into(),
            budgets: Budgets {
                inference: spec.inference_budget.map(Budget::from),
                optimization: spec.optimization_budget.into(),
            },
            id: job.id.0,
            dataset: job.spec.dataset.map(Into::into),
            holdout_dataset: job.spec.holdout_dataset.map(Into::into),
            warm_start: job.spec.warm_start.map(WarmStart::from),
            name: job.spec.name,
            labels: job.spec.labels,
            state: job.state.into(),
            last_seq: job.last_seq,
            run: job.run,
            stop_reason: job.stop_reason.map(StopReason::from),
            detail: job.detail,
            priority: job.priority.get(),
            not_before: job.not_before,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            progress: job.progress.into(),
            spend: JobSpend::from(&job.spend),
            links: JobLinks::of(JobKind::Tuning, job.id),
        }
    }
}
