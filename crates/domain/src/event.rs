//! What a watcher of a job sees, in order and without gaps.

use crate::configuration::{Extent, Settings};
use crate::id::{JobId, TrialNumber};
use crate::money::Spend;
use crate::names::names;
use crate::state::StopReason;
use crate::trial::{CostEstimate, Coverage, Estimate, Progress, PruneReason, TrialRole};
use crate::warm_start::WarmStart;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One event of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 1, 2, 3, … within the job, with no gaps.
    pub seq: i64,
    /// The job.
    pub job_id: JobId,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

names! {
    /// What a job's requests wait for before they are sent.
    pub enum WaitReason: "reason to wait" {
        /// Other jobs have as many requests in flight as the endpoint or the model takes at once.
        RequestsInFlight = "requests_in_flight",
        /// The requests of a minute are used up.
        RequestsPerMinute = "requests_per_minute",
        /// The tokens of a minute are used up.
        TokensPerMinute = "tokens_per_minute",
        /// The endpoint asked to wait.
        RetryAfter = "retry_after",
        /// The endpoint refused requests for being too many, so they are sent more slowly.
        Pace = "pace",
    }
}

names! {
    /// What a job is doing.
    pub enum Phase: "phase" {
        /// Its judges are tried on answers that people have rated.
        Calibration = "calibration",
        /// The baseline is evaluated.
        Baseline = "baseline",
        /// Configurations are searched, or those are evaluated that an evaluation was given.
        Search = "search",
        /// The winner and the baseline are scored on the held-out rows.
        Validation = "validation",
    }
}

/// How far a trial that goes on is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialAdvance {
    /// Which trial.
    pub trial: TrialNumber,
    /// Responses that it has.
    pub responses: u64,
    /// Responses that it takes to evaluate it in full.
    pub of: u64,
}

/// A field of a job that has another value than before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Which: a JSON pointer into the job as it is posted.
    pub pointer: String,
    /// What it was.
    pub old: Value,
    /// What it is.
    pub new: Value,
}

/// The types of events as on the wire.
pub const EVENT_NAMES: &[&str] = &[
    "job.queued",
    "job.running",
    "job.pausing",
    "job.paused",
    "job.resumed",
    "job.updated",
    "job.warm_started",
    "job.continued",
    "job.progress",
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "trial.enqueued",
    "trial.started",
    "trial.progress",
    "trial.evaluated",
    "trial.pruned",
    "trial.infeasible",
    "trial.failed",
    "trial.stopped",
    "best.updated",
    "budget.updated",
    "endpoint.waiting",
    "endpoint.degraded",
    "endpoint.recovered",
    "endpoint.overhead",
    "validation.completed",
];

/// What happened: a `type` and its `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum EventBody {
    /// The job was accepted.
    #[serde(rename = "job.queued")]
    JobQueued {},
    /// A worker took the job; `attempt` counts the workers that did.
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
    /// The job's owner has changed it. What the search decides by is changed at this place among its
    /// decisions.
    #[serde(rename = "job.updated")]
    JobUpdated {
        /// What is other.
        changes: Vec<FieldChange>,
    },
    /// How far the job is. Written every few seconds while answers come in, and not for each of them.
    #[serde(rename = "job.progress")]
    JobProgress {
        /// What it is doing.
        phase: Phase,
        /// Trials by outcome, requests, responses.
        progress: Progress,
        /// What the job has spent so far, all roles together.
        spend: Spend,
        /// The trials that are evaluated each by itself at the moment, and how far they are.
        trials: Vec<TrialAdvance>,
    },
    /// The job begins with what an earlier one knows.
    #[serde(rename = "job.warm_started")]
    JobWarmStarted(WarmStart),
    /// A job that had ended is to go on.
    #[serde(rename = "job.continued")]
    JobContinued {
        /// How often it was begun, with this time.
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
        /// Why.
        stop_reason: StopReason,
        /// In words.
        detail: String,
    },
    /// The job was cancelled. No event follows, unless it is continued.
    #[serde(rename = "job.cancelled")]
    JobCancelled {},
    /// The job's owner has put a configuration in.
    #[serde(rename = "trial.enqueued")]
    TrialEnqueued {
        /// Its number among all that the owner has changed.
        number: u32,
        /// What it asks of the endpoint.
        settings: Settings,
    },
    /// A configuration is about to be evaluated.
    #[serde(rename = "trial.started")]
    TrialStarted {
        /// Which trial.
        trial: TrialNumber,
        /// Baseline, or search.
        role: TrialRole,
        /// What it asks of the endpoint.
        settings: Settings,
    },
    /// A step of a trial's evaluation is done.
    #[serde(rename = "trial.progress")]
    TrialProgress {
        /// Which trial.
        trial: TrialNumber,
        /// Responses per instance at this step.
        n: u32,
        /// Instances seen at this step.
        instances: u32,
        /// Instances in all.
        of: u32,
        /// What the trial has cost so far.
        spend: Spend,
    },
    /// A configuration was evaluated: on every instance, or as far as its coverage says.
    #[serde(rename = "trial.evaluated")]
    TrialEvaluated {
        /// Which trial.
        trial: TrialNumber,
        /// The objective.
        utility: Estimate,
        /// What one instance costs.
        inference_cost: CostEstimate,
        /// The names of the metrics whose means violate a constraint of the job.
        #[serde(default)]
        violated: Vec<String>,
        /// Whether the inference cost is within the inference budget and no constraint is
        /// violated.
        valid: bool,
        /// How far it was looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        coverage: Option<Coverage>,
        /// What the trial cost.
        spend: Spend,
    },
    /// A configuration was thrown out early.
    #[serde(rename = "trial.pruned")]
    TrialPruned {
        /// Which trial.
        trial: TrialNumber,
        /// Why.
        #[serde(flatten)]
        reason: PruneReason,
        /// What the trial cost.
        spend: Spend,
    },
    /// The endpoint refuses a configuration.
    #[serde(rename = "trial.infeasible")]
    TrialInfeasible {
        /// Which trial.
        trial: TrialNumber,
        /// What the endpoint said.
        detail: String,
        /// What the trial cost.
        spend: Spend,
    },
    /// Too many requests of a trial failed for good.
    #[serde(rename = "trial.failed")]
    TrialFailed {
        /// Which trial.
        trial: TrialNumber,
        /// What went wrong.
        detail: String,
        /// What the trial cost.
        spend: Spend,
    },
    /// A trial was cut off by the end of the job.
    #[serde(rename = "trial.stopped")]
    TrialStopped {
        /// Which trial.
        trial: TrialNumber,
        /// What the trial cost.
        spend: Spend,
    },
    /// A valid configuration is better than all before it.
    #[serde(rename = "best.updated")]
    BestUpdated {
        /// Which trial.
        trial: TrialNumber,
        /// What it asks of the endpoint.
        settings: Settings,
        /// The objective.
        utility: Estimate,
        /// What one instance costs.
        inference_cost: CostEstimate,
        /// What the job has spent by then, all roles together; absent in what was stored before this was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
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
        #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// A model bills more than the bounds that worst cases rest on, which is expected of it from now
    /// on. Written once for a model.
    #[serde(rename = "endpoint.overhead")]
    EndpointOverhead {
        /// The endpoint.
        endpoint: String,
        /// The model.
        model: String,
        /// Tokens that a prompt had above the bound on them.
        prompt_tokens: u64,
        /// Tokens that a response had above `max_tokens`.
        response_tokens: u64,
    },
    /// The winner and the baseline were scored on the held-out instances.
    #[serde(rename = "validation.completed")]
    ValidationCompleted {
        /// The winner's trial; none where the event was written before it was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trial: Option<TrialNumber>,
        /// The winner's extent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        extent: Option<Extent>,
        /// The winner's objective there.
        winner: Estimate,
        /// The baseline's, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        baseline: Option<Estimate>,
    },
}

impl EventBody {
    /// The event's type as on the wire, such as `trial.evaluated`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::JobQueued {} => "job.queued",
            Self::JobRunning { .. } => "job.running",
            Self::JobPausing {} => "job.pausing",
            Self::JobPaused {} => "job.paused",
            Self::JobResumed {} => "job.resumed",
            Self::JobUpdated { .. } => "job.updated",
            Self::JobWarmStarted(_) => "job.warm_started",
            Self::JobContinued { .. } => "job.continued",
            Self::JobProgress { .. } => "job.progress",
            Self::JobSucceeded { .. } => "job.succeeded",
            Self::JobFailed { .. } => "job.failed",
            Self::JobCancelled {} => "job.cancelled",
            Self::TrialEnqueued { .. } => "trial.enqueued",
            Self::TrialStarted { .. } => "trial.started",
            Self::TrialProgress { .. } => "trial.progress",
            Self::TrialEvaluated { .. } => "trial.evaluated",
            Self::TrialPruned { .. } => "trial.pruned",
            Self::TrialInfeasible { .. } => "trial.infeasible",
            Self::TrialFailed { .. } => "trial.failed",
            Self::TrialStopped { .. } => "trial.stopped",
            Self::BestUpdated { .. } => "best.updated",
            Self::BudgetUpdated { .. } => "budget.updated",
            Self::EndpointWaiting { .. } => "endpoint.waiting",
            Self::EndpointDegraded { .. } => "endpoint.degraded",
            Self::EndpointRecovered { .. } => "endpoint.recovered",
            Self::EndpointOverhead { .. } => "endpoint.overhead",
            Self::ValidationCompleted { .. } => "validation.completed",
        }
    }

    /// Whether no event of the job follows, unless it is continued.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::JobSucceeded { .. } | Self::JobFailed { .. } | Self::JobCancelled {}
        )
    }
}
