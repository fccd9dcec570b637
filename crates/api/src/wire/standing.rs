//! How a job stands at the moment: how fast it is, what is left, what it waits for.

use super::{Phase, Spend};
use chrono::{DateTime, Utc};
use frugal_domain::event;
use serde::Serialize;
use utoipa::ToSchema;

/// How a job stands at the moment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Standing {
    /// What it is doing; `null` where it is not running, or has told nothing yet.
    pub phase: Option<Phase>,
    /// The share of the optimization budget that is spent.
    #[schema(example = 0.42)]
    pub budget_used: f64,
    /// The trials that are evaluated each by itself at the moment, the baseline (0) among them, and how far they
    /// are, as the job told last.
    pub trials: Vec<TrialAdvance>,
    /// How fast it has been within the last minute or so; `null` where that is not known yet.
    pub rate: Option<Rate>,
    /// What is left of it at this pace; `null` where that cannot be told.
    pub remaining: Option<Remaining>,
    /// What it waits for; `null` where it does not wait.
    pub waits_for: Option<WaitsFor>,
}

/// How fast a job is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Rate {
    /// The seconds that it was measured over.
    #[schema(example = 58.2)]
    pub over_seconds: f64,
    /// Requests begun in a second.
    #[schema(example = 3.1)]
    pub requests_per_second: f64,
    /// Responses received in a second.
    #[schema(example = 12.4)]
    pub responses_per_second: f64,
    /// Spent in a minute.
    pub spend_per_minute: Spend,
}

/// What is left of a job, at most: a search may end before, by itself.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Remaining {
    /// Seconds until the first of its limits is reached, at the pace of the last minute.
    #[schema(example = 340.0)]
    pub seconds: f64,
    /// What it will have spent until then besides.
    pub spend: Spend,
    /// Which of its limits is reached first.
    pub limited_by: Limit,
}

/// A limit of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The optimization budget.
    OptimizationBudget,
    /// `limits.seconds`.
    Seconds,
    /// `limits.trials`.
    Trials,
}

/// What a job waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaitsFor {
    /// What.
    pub what: Awaited,
    /// The same in words.
    #[schema(example = "`local` takes no more requests this minute")]
    pub detail: String,
    /// When it is over at the earliest, where that is known.
    pub until: Option<DateTime<Utc>>,
}

/// What a job may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// The moment before which it is not to be begun.
    NotBefore,
    /// A worker that has room for it.
    Worker,
    /// An endpoint: its limits, or that it answers again.
    Endpoint,
    /// What is in flight, before it is paused or cancelled.
    RequestsInFlight,
    /// Somebody who resumes it.
    Resumption,
}

/// How far a trial that goes on is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct TrialAdvance {
    /// Which trial.
    pub trial: u32,
    /// Responses that it has.
    pub responses: u64,
    /// Responses that it takes to evaluate it in full. It may end before, and one that takes over responses of
    /// other trials does.
    pub of: u64,
}

impl From<event::TrialAdvance> for TrialAdvance {
    fn from(advance: event::TrialAdvance) -> Self {
        Self {
            trial: advance.trial.0,
            responses: advance.responses,
            of: advance.of,
        }
    }
}
