//! The states of jobs and trials, and why a job stopped.

use crate::names::names;
use serde::{Deserialize, Serialize};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker.
    Queued,
    /// A worker drives it (or its worker died and the lease runs out).
    Running,
    /// Asked to pause; the worker has not stopped yet.
    Pausing,
    /// Stopped, to be resumed.
    Paused,
    /// Asked to cancel; the worker has not stopped yet.
    Cancelling,
    /// Ended by request. The trials so far stand.
    Cancelled,
    /// Ended by itself, with a report.
    Succeeded,
    /// Could not go on.
    Failed,
}

names!(JobState, "job state", {
    Queued => "queued",
    Running => "running",
    Pausing => "pausing",
    Paused => "paused",
    Cancelling => "cancelling",
    Cancelled => "cancelled",
    Succeeded => "succeeded",
    Failed => "failed",
});

impl JobState {
    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Cancelled | Self::Succeeded | Self::Failed)
    }

    /// The state after a request to cancel, or `None` where cancelling is not possible.
    /// A job that nobody drives is cancelled at once; asking twice changes nothing.
    #[must_use]
    pub const fn on_cancel(self) -> Option<Self> {
        match self {
            Self::Queued | Self::Paused => Some(Self::Cancelled),
            Self::Running | Self::Pausing | Self::Cancelling => Some(Self::Cancelling),
            Self::Cancelled | Self::Succeeded | Self::Failed => None,
        }
    }
}

/// Why a job's search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// No further request fits into the optimization budget.
    BudgetExhausted,
    /// The limit on trials is reached.
    TrialLimit,
    /// The limit on time is reached.
    Deadline,
    /// Every configuration of the space, or of the grid over it, has been tried.
    SpaceExhausted,
    /// The search has converged and finds nothing new.
    Converged,
    /// As many trials in a row as the job allows brought nothing better.
    NoImprovement,
    /// A client cancelled it.
    Cancelled,
    /// The endpoint refuses to serve the job at all, for example for want of a valid key.
    EndpointUnusable,
    /// A fault inside Frugal; the operator's log has the cause.
    InternalError,
    /// Every worker that took it was lost, several in a row with nothing to show for it, so no
    /// other is risked.
    WorkerLost,
}

names!(StopReason, "stop reason", {
    BudgetExhausted => "budget_exhausted",
    TrialLimit => "trial_limit",
    Deadline => "deadline",
    SpaceExhausted => "space_exhausted",
    Converged => "converged",
    NoImprovement => "no_improvement",
    Cancelled => "cancelled",
    EndpointUnusable => "endpoint_unusable",
    InternalError => "internal_error",
    WorkerLost => "worker_lost",
});

/// Where a trial is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Being evaluated.
    Running,
    /// Evaluated on every instance.
    Evaluated,
    /// Ended early, or before any request, because it cannot be worth its price.
    Pruned,
    /// The endpoint refuses the configuration.
    Infeasible,
    /// Requests failed for good on too many instances.
    Failed,
    /// Cut off by the end of the job.
    Stopped,
}

names!(TrialState, "trial state", {
    Running => "running",
    Evaluated => "evaluated",
    Pruned => "pruned",
    Infeasible => "infeasible",
    Failed => "failed",
    Stopped => "stopped",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
            assert_eq!(serde_json::json!(state), state.as_str());
        }
        for state in TrialState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
            assert_eq!(serde_json::json!(state), state.as_str());
        }
        for reason in StopReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert_eq!(serde_json::json!(reason), reason.as_str());
        }
    }

    #[test]
    fn terminal_states_cannot_be_cancelled() {
        for state in JobState::ALL {
            assert_eq!(state.is_terminal(), state.on_cancel().is_none());
        }
    }
}
