//! Events as clients see them.

use super::{
    Configuration, CostEstimate, Coverage, Estimate, Evaluation, Job, JobSummary, Phase, Progress,
    PruneReasonName, Spend, StopReason, TrialAdvance, TrialRole, WaitReason, WarmStart,
    trial::Prune,
};
use chrono::{DateTime, Utc};
use frugal_domain::event;
use frugal_domain::job::JobSpec;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Something that happened to a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Event {
    /// 1, 2, 3, … within the job, without gaps.
    #[schema(minimum = 1)]
    pub seq: i64,
    /// The job.
    pub job_id: Uuid,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// A field of a job that has another value than before.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldChange {
    /// Which: a JSON pointer into the job as it is posted.
    #[schema(example = "/budgets/optimization")]
    pub pointer: String,
    /// What it was, as it is posted; `null` where there was nothing.
    #[schema(example = json!({"usd": 0.5}))]
    pub old: Value,
    /// What it is.
    #[schema(example = json!({"usd": 2.0}))]
    pub new: Value,
}

impl From<event::FieldChange> for FieldChange {
    fn from(change: event::FieldChange) -> Self {
        Self {
            pointer: change.pointer,
            old: change.old,
            new: change.new,
        }
    }
}

/// What happened: a `type` and its `data`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum EventBody {
    /// The job was accepted.
    #[serde(rename = "job.queued")]
    JobQueued {},
    /// A worker took the job.
    #[serde(rename = "job.running")]
    JobRunning {
        /// 1 for the first worker, 2 for the one that took over, …
        attempt: i32,
    },
    /// The job was asked to pause, and its worker stops: nothing new is sent.
    #[serde(rename = "job.pausing")]
    JobPausing {},
    /// The job is paused: nothing of it is in flight, and no worker holds it.
    #[serde(rename = "job.paused")]
    JobPaused {},
    /// The job was asked to go on.
    #[serde(rename = "job.resumed")]
    JobResumed {},
    /// The job's owner has changed it, by `PATCH`. What the search decides by is changed at this place among
    /// its decisions.
    #[serde(rename = "job.updated")]
    JobUpdated {
        /// What is other.
        changes: Vec<FieldChange>,
    },
    /// How far the job is. Written every few seconds while answers come in (more rarely the longer it goes on),
    /// so that counts move between the events of its trials.
    #[serde(rename = "job.progress")]
    JobProgress {
        /// What it is doing.
        phase: Phase,
        /// Trials by outcome, requests, responses.
        progress: Progress,
        /// What the job has spent so far, all roles together.
        spend: Spend,
        /// The trials that are evaluated each by itself at the moment, the baseline (0) among them, and how far
        /// they are. Of those of a profiled search `trial.progress` tells.
        trials: Vec<TrialAdvance>,
    },
    /// The job begins with what an earlier one knows.
    #[serde(rename = "job.warm_started")]
    JobWarmStarted(WarmStart),
    /// A job that had ended is to go on, by `POST /jobs/{id}/continue`.
    #[serde(rename = "job.continued")]
    JobContinued {
        /// How often it was begun, with this time: 2 where it is continued for the first time.
        #[schema(minimum = 2)]
        run: u32,
        /// What is other than before.
        changes: Vec<FieldChange>,
    },
    /// The job ended by itself. No event follows, unless it is continued.
    #[serde(rename = "job.succeeded")]
    JobSucceeded {
        /// Why the search ended.
        stop_reason: StopReason,
    },
    /// The job could not go on. No event follows.
    #[serde(rename = "job.failed")]
    JobFailed {
        /// Why the search ended.
        stop_reason: StopReason,
        /// The same in words.
        detail: String,
    },
    /// The job was cancelled. No event follows, unless it is continued.
    #[serde(rename = "job.cancelled")]
    JobCancelled {},
    /// The job's owner has put a configuration in, by `POST /jobs/{id}/trials`. It becomes a trial, unless it asks
    /// the same as one that there is.
    #[serde(rename = "trial.enqueued")]
    TrialEnqueued {
        /// Its number among all that the owner has changed.
        #[schema(minimum = 1)]
        number: u32,
        /// What it asks of the endpoint.
        configuration: Configuration,
    },
    /// A configuration is about to be evaluated.
    #[serde(rename = "trial.started")]
    TrialStarted {
        /// Which trial.
        trial: u32,
        /// What it is for.
        role: TrialRole,
        /// What it asks of the endpoint.
        configuration: Configuration,
    },
    /// A step of a trial's evaluation is done.
    #[serde(rename = "trial.progress")]
    TrialProgress {
        /// Which trial.
        trial: u32,
        /// Responses per instance at this step.
        n: u32,
        /// Instances seen at this step.
        instances: u32,
        /// Instances in all.
        of: u32,
        /// What the trial has cost so far.
        spend: Spend,
    },
    /// A configuration was evaluated: on every instance, or as far as `coverage` says.
    #[serde(rename = "trial.evaluated")]
    TrialEvaluated {
        /// Which trial.
        trial: u32,
        /// The objective's mean over the instances.
        utility: Estimate,
        /// What one instance costs.
        inference_cost: CostEstimate,
        /// The names of the metrics whose means violate a constraint of the job, or of that which is
        /// not shown to be as good as it must be.
        violated: Vec<String>,
        /// Whether the inference cost is within the inference budget and nothing is violated.
        valid: bool,
        /// How far it was looked at.
        coverage: Option<Coverage>,
        /// What the trial has cost.
        spend: Spend,
    },
    /// A configuration was thrown out early.
    #[serde(rename = "trial.pruned")]
    TrialPruned {
        /// Which trial.
        trial: u32,
        /// The reason.
        reason: PruneReasonName,
        /// Responses per instance when it showed to be over the budget on the way.
        n: Option<u32>,
        /// Instances seen, where it showed on the way.
        instances: Option<u32>,
        /// The trial that it was significantly worse than.
        than: Option<u32>,
        /// Its objective less that trial's, paired by instance.
        difference: Option<Estimate>,
        /// What the trial has cost.
        spend: Spend,
    },
    /// The endpoint refuses a configuration.
    #[serde(rename = "trial.infeasible")]
    TrialInfeasible {
        /// Which trial.
        trial: u32,
        /// What the endpoint said.
        detail: String,
        /// What the trial has cost.
        spend: Spend,
    },
    /// Requests of a trial failed for good on too many instances.
    #[serde(rename = "trial.failed")]
    TrialFailed {
        /// Which trial.
        trial: u32,
        /// What went wrong.
        detail: String,
        /// What the trial has cost.
        spend: Spend,
    },
    /// A trial was cut off by the end of the job.
    #[serde(rename = "trial.stopped")]
    TrialStopped {
        /// Which trial.
        trial: u32,
        /// What the trial has cost.
        spend: Spend,
    },
    /// A valid configuration is better than all before it.
    #[serde(rename = "best.updated")]
    BestUpdated {
        /// Which trial.
        trial: u32,
        /// What it asks of the endpoint.
        configuration: Configuration,
        /// The objective's mean over the instances.
        utility: Estimate,
        /// What one instance costs.
        inference_cost: CostEstimate,
        /// What the job has spent by then, all roles together; `null` in events of before it was told.
        spend: Option<Spend>,
    },
    /// Money was spent.
    #[serde(rename = "budget.updated")]
    BudgetUpdated {
        /// What the job has spent so far, all roles together.
        spend: Spend,
    },
    /// None of the job's requests to a model can be sent for a while. It is over with the next
    /// event of progress. Written once for a wait, and at most once a minute.
    #[serde(rename = "endpoint.waiting")]
    EndpointWaiting {
        /// The endpoint.
        endpoint: String,
        /// The model.
        model: String,
        /// What they wait for.
        reason: WaitReason,
        /// When it is over at the earliest, where that is known.
        until: Option<DateTime<Utc>>,
    },
    /// A model of the job is out of order: requests failed in a row, over all jobs. The job's are
    /// held back until it answers again.
    #[serde(rename = "endpoint.degraded")]
    EndpointDegraded {
        /// The endpoint.
        endpoint: String,
        /// The model.
        model: String,
        /// What the last failure was.
        reason: String,
    },
    /// A model that was out of order answers again.
    #[serde(rename = "endpoint.recovered")]
    EndpointRecovered {
        /// The endpoint.
        endpoint: String,
        /// The model.
        model: String,
    },
    /// A model bills more than the bounds that worst cases rest on: its endpoint puts a prompt of its
    /// own before the job's, or bills reasoning outside of `max_tokens`. That is expected of it from
    /// now on. Written once for a model.
    #[serde(rename = "endpoint.overhead")]
    EndpointOverhead {
        /// The endpoint.
        endpoint: String,
        /// The model.
        model: String,
        /// Tokens that a prompt had above the bound on them.
        #[schema(example = 1_640)]
        prompt_tokens: u64,
        /// Tokens that a response had above `max_tokens`.
        #[schema(example = 0)]
        response_tokens: u64,
    },
    /// The winner and the baseline were scored on the held-out instances.
    #[serde(rename = "validation.completed")]
    ValidationCompleted {
        /// The winner's trial; `null` in events of before it was told.
        trial: Option<u32>,
        /// The winner's objective there.
        winner: Estimate,
        /// The baseline's, where there is one.
        baseline: Option<Estimate>,
    },
}

impl Event {
    /// An event with the names of its job.
    #[must_use]
    pub fn new(spec: &JobSpec, event: event::Event) -> Self {
        Self {
            seq: event.seq,
            job_id: event.job_id.0,
            created_at: event.created_at,
            body: EventBody::new(spec, event.body),
        }
    }
}

impl EventBody {
    fn new(spec: &JobSpec, body: event::EventBody) -> Self {
        use event::EventBody as Domain;
        match body {
            Domain::JobQueued {} => Self::JobQueued {},
            Domain::JobRunning { attempt } => Self::JobRunning { attempt },
            Domain::JobPausing {} => Self::JobPausing {},
            Domain::JobPaused {} => Self::JobPaused {},
            Domain::JobResumed {} => Self::JobResumed {},
            Domain::JobUpdated { changes } => Self::JobUpdated {
                changes: changes.into_iter().map(FieldChange::from).collect(),
            },
            Domain::JobProgress {
                phase,
                progress,
                spend,
                trials,
            } => Self::JobProgress {
                phase: phase.into(),
                progress: progress.into(),
                spend: spend.into(),
                trials: trials.into_iter().map(TrialAdvance::from).collect(),
            },
            Domain::JobWarmStarted(taken) => Self::JobWarmStarted(taken.into()),
            Domain::JobContinued { run, changes } => Self::JobContinued {
                run,
                changes: changes.into_iter().map(FieldChange::from).collect(),
            },
            Domain::JobSucceeded { stop_reason } => Self::JobSucceeded {
                stop_reason: stop_reason.into(),
            },
            Domain::JobFailed {
                stop_reason,
                detail,
            } => Self::JobFailed {
                stop_reason: stop_reason.into(),
                detail,
            },
            Domain::JobCancelled {} => Self::JobCancelled {},
            Domain::TrialEnqueued { number, settings } => Self::TrialEnqueued {
                number,
                configuration: Configuration::new(spec, &settings),
            },
            Domain::TrialStarted {
                trial,
                role,
                settings,
            } => Self::TrialStarted {
                trial: trial.0,
                role: role.into(),
                configuration: Configuration::new(spec, &settings),
            },
            Domain::TrialProgress {
                trial,
                n,
                instances,
                of,
                spend,
            } => Self::TrialProgress {
                trial: trial.0,
                n,
                instances,
                of,
                spend: spend.into(),
            },
            Domain::TrialEvaluated {
                trial,
                utility,
                inference_cost,
                violated,
                valid,
                coverage,
                spend,
            } => Self::TrialEvaluated {
                trial: trial.0,
                utility: utility.into(),
                inference_cost: inference_cost.into(),
                violated,
                valid,
                coverage: coverage.map(Into::into),
                spend: spend.into(),
            },
            Domain::TrialPruned {
                trial,
                reason,
                spend,
            } => {
                let Prune {
                    reason,
                    n,
                    instances,
                    than,
                    difference,
                } = Prune::from(&reason);
                Self::TrialPruned {
                    trial: trial.0,
                    reason,
                    n,
                    instances,
                    than,
                    difference,
                    spend: spend.into(),
                }
            }
            Domain::TrialInfeasible {
                trial,
                detail,
                spend,
            } => Self::TrialInfeasible {
                trial: trial.0,
                detail,
                spend: spend.into(),
            },
            Domain::TrialFailed {
                trial,
                detail,
                spend,
            } => Self::TrialFailed {
                trial: trial.0,
                detail,
                spend: spend.into(),
            },
            Domain::TrialStopped { trial, spend } => Self::TrialStopped {
                trial: trial.0,
                spend: spend.into(),
            },
            Domain::BestUpdated {
                trial,
                settings,
                utility,
                inference_cost,
                spend,
            } => Self::BestUpdated {
                trial: trial.0,
                configuration: Configuration::new(spec, &settings),
                utility: utility.into(),
                inference_cost: inference_cost.into(),
                spend: spend.map(Into::into),
            },
            Domain::BudgetUpdated { spend } => Self::BudgetUpdated {
                spend: spend.into(),
            },
            Domain::EndpointWaiting {
                endpoint,
                model,
                reason,
                until,
            } => Self::EndpointWaiting {
                endpoint,
                model,
                reason: reason.into(),
                until,
            },
            Domain::EndpointDegraded {
                endpoint,
                model,
                reason,
            } => Self::EndpointDegraded {
                endpoint,
                model,
                reason,
            },
            Domain::EndpointRecovered { endpoint, model } => {
                Self::EndpointRecovered { endpoint, model }
            }
            Domain::EndpointOverhead {
                endpoint,
                model,
                prompt_tokens,
                response_tokens,
            } => Self::EndpointOverhead {
                endpoint,
                model,
                prompt_tokens,
                response_tokens,
            },
            Domain::ValidationCompleted {
                trial,
                extent: _,
                winner,
                baseline,
            } => Self::ValidationCompleted {
                trial: trial.map(|trial| trial.0),
                winner: winner.into(),
                baseline: baseline.map(Into::into),
            },
        }
    }
}

/// What a stream begins with where the client asks for it: the job as it is. It is no event of the job, and
/// the stream goes on with the one after `seq`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Snapshot {
    /// Always `snapshot`.
    #[schema(example = "snapshot", pattern = "^snapshot$")]
    pub r#type: &'static str,
    /// The number of the job's last event.
    #[schema(minimum = 1)]
    pub seq: i64,
    /// The job; `null` where an evaluation is followed.
    pub job: Option<Job>,
    /// The evaluation, where one is followed.
    pub evaluation: Option<Evaluation>,
}

impl Snapshot {
    pub(crate) const fn of_job(seq: i64, job: Job) -> Self {
        Self {
            r#type: "snapshot",
            seq,
            job: Some(job),
            evaluation: None,
        }
    }

    pub(crate) const fn of_evaluation(seq: i64, evaluation: Evaluation) -> Self {
        Self {
            r#type: "snapshot",
            seq,
            job: None,
            evaluation: Some(evaluation),
        }
    }
}

/// What a stream of all jobs' events begins with where the client asks for it: the jobs and evaluations that
/// have not ended, each at a glance. The stream goes on with what comes after the frame's `id`; some of it may be
/// in what is shown here already, which each job's `last_seq` tells.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobsSnapshot {
    /// Always `snapshot`.
    #[schema(example = "snapshot", pattern = "^snapshot$")]
    pub r#type: &'static str,
    /// The jobs that have not ended, those posted last first.
    pub jobs: Vec<JobSummary>,
    /// The evaluations that have not ended, those posted last first.
    pub evaluations: Vec<JobSummary>,
    /// Whether there are more of either than the 100 that are shown.
    pub has_more: bool,
}

/// A page of events.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventPage {
    /// Always `list`.
    #[schema(example = "list", pattern = "^list$")]
    pub object: &'static str,
    /// The events, oldest first.
    pub data: Vec<Event>,
    /// Whether there are more events already.
    pub has_more: bool,
    /// The `after` of the next page. It is there at the end of the list too: events that are
    /// written later come after it.
    pub next: i64,
}
