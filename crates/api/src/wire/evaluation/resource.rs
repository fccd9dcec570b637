//! An evaluation as clients see it.

use super::super::{
    Budget, Configuration, Constraint, FieldError, JobDataset, JobLinks, JobSpend, JobState,
    Objective, Progress, PrunedParts, Reuse, Standing, StopReason,
};
use chrono::{DateTime, Utc};
use frugal_domain::job::{self, EvaluationSpec, JobKind};
use frugal_store::jobs;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// An evaluation: where it is and what it has spent. It is a job of its own kind, and its life and its events
/// are those of one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Evaluation {
    /// What is probably a mistake though it was taken, and how far the budget is expected to go where it
    /// does not go to the end. In the answers to `POST /evaluations` and `GET /evaluations/{id}`, where there
    /// are any.
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
    /// Why it ended.
    pub stop_reason: Option<StopReason>,
    /// Why it failed, in words.
    pub detail: Option<String>,
    /// How urgent it is among the jobs that wait: higher ones go first.
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
    /// How far it is: a trial for each configuration. How many rows each has been seen on, its trial tells.
    pub progress: Progress,
    /// What it has spent.
    pub spend: JobSpend,
    /// How it stands at the moment: how fast it is, what it waits for; `null` in an
    /// export.
    pub standing: Option<Standing>,
    /// What it may spend.
    pub budgets: EvaluationBudgets,
    /// The configurations, in the order in which they were given.
    pub configurations: Vec<GivenConfiguration>,
    /// The name of the configuration that the others are compared with.
    #[schema(example = "today")]
    pub reference: String,
    /// The dataset that its rows were taken from; `null` where they came with it. Its rows were copied, so
    /// it may be gone by now.
    pub dataset: Option<JobDataset>,
    /// What is gone of it by now, as the server keeps some things for a time only after an evaluation has
    /// ended; `null` where nothing is.
    pub pruned: Option<PrunedParts>,
    /// What the configurations are ranked by.
    pub objective: Objective,
    /// What a configuration must keep besides to be valid.
    pub constraints: Vec<Constraint>,
    /// Limits other than money.
    pub limits: EvaluationLimits,
    /// Whether latency is measured.
    pub measure_latency: bool,
    /// Whose responses may be used again.
    pub reuse: Reuse,
    /// The seed of every random draw.
    pub seed: u64,
    /// Where to go on from here.
    pub links: JobLinks,
}

/// A configuration that an evaluation was given.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct GivenConfiguration {
    /// Its name.
    #[schema(example = "today")]
    pub name: String,
    /// The trial that evaluates it.
    #[schema(example = 1)]
    pub trial: u32,
    /// What it asks of the endpoint.
    pub configuration: Configuration,
    /// The trial of another job that it was taken from, if it was.
    pub source: Option<TrialReference>,
}

/// A trial of a job.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct TrialReference {
    /// The job.
    pub job: Uuid,
    /// Its trial.
    #[schema(example = 12)]
    pub trial: u32,
}

/// What an evaluation may spend.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct EvaluationBudgets {
    /// The most that one instance may cost under a configuration, which the report holds each against.
    pub inference: Option<Budget>,
    /// The most that the whole evaluation may spend.
    pub evaluation: Budget,
}

impl From<&job::JobSpec> for EvaluationBudgets {
    fn from(spec: &job::JobSpec) -> Self {
        Self {
            inference: spec.inference_budget.map(Budget::from),
            evaluation: spec.optimization_budget.into(),
        }
    }
}

/// Limits other than money.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct EvaluationLimits {
    /// The most seconds from the first start.
    pub seconds: Option<u64>,
    /// Requests under way at the same time.
    pub requests_in_flight: u32,
}

impl Evaluation {
    /// An evaluation.
    #[must_use]
    pub fn new(job: jobs::Job) -> Self {
        let spec = &job.spec;
        let evaluation = spec.evaluation.as_ref();
        let named = evaluation.into_iter().flat_map(|it| &it.configurations);
        let configurations = named.enumerate().filter_map(|(position, named)| {
            let settings = spec.settings(&named.configuration).ok()?;
            Some(GivenConfiguration {
                name: named.name.clone(),
                trial: EvaluationSpec::trial_of(position).0,
                configuration: Configuration::new(spec, &settings),
                source: named.source.map(|source| TrialReference {
                    job: source.job.0,
                    trial: source.trial.0,
                }),
            })
        });
        Self {
            warnings: Vec::new(),
            standing: None,
            configurations: configurations.collect(),
            reference: evaluation.map_or_else(String::new, |it| it.reference_name().to_owned()),
            budgets: EvaluationBudgets::from(spec),
            objective: spec.objective.into(),
            constraints: spec.constraints.iter().copied().map(Into::into).collect(),
            limits: EvaluationLimits {
                seconds: spec.limits.seconds,
                requests_in_flight: spec.search.requests_in_flight,
            },
            measure_latency: spec.measures_own_latency(),
            reuse: spec.search.reuse.into(),
            seed: spec.search.seed,
            links: JobLinks::of(JobKind::Evaluation, job.id),
            pruned: PrunedParts::of(&job),
            id: job.id.0,
            dataset: job.spec.dataset.map(Into::into),
            name: job.spec.name,
            labels: job.spec.labels,
            state: job.state.into(),
            last_seq: job.last_seq,
            stop_reason: job.stop_reason.map(StopReason::from),
            detail: job.detail,
            priority: job.priority.get(),
            not_before: job.not_before,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            progress: job.progress.into(),
            spend: JobSpend::from(&job.spend),
        }
    }
}
