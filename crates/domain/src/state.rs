//! The states of jobs and trials, and why a job stopped.

use crate::names::names;

names! {
    /// Where a job is in its life.
    pub enum JobState: "job state" {
        /// Waits for a worker.
        Queued = "queued",
        /// A worker drives it (or its worker died and the lease runs out).
        Running = "running",
        /// Asked to pause; the worker has not stopped yet.
        Pausing = "pausing",
        /// Stopped, to be resumed.
        Paused = "paused",
        /// Asked to cancel; the worker has not stopped yet.
        Cancelling = "cancelling",
        /// Ended by request. The trials so far stand.
        Cancelled = "cancelled",
        /// Ended by itself, with a report.
        Succeeded = "succeeded",
        /// Could not go on.
        Failed = "failed",
    }
}

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

    /// The state after a request to pause, or `None` where pausing is not possible. A job that nobody
    /// drives is paused at once; asking twice changes nothing.
    #[must_use]
    pub const fn on_pause(self) -> Option<Self> {
        match self {
            Self::Queued | Self::Paused => Some(Self::Paused),
            Self::Running | Self::Pausing => Some(Self::Pausing),
            Self::Cancelling | Self::Cancelled | Self::Succeeded | Self::Failed => None,
        }
    }

    /// The state after a request to resume, or `None` where resuming is not possible. One that is not
    /// paused goes on as it does, so asking twice changes nothing.
    #[must_use]
    pub const fn on_resume(self) -> Option<Self> {
        match self {
            Self::Queued | Self::Paused => Some(Self::Queued),
            Self::Running | Self::Pausing => Some(Self::Running),
            Self::Cancelling | Self::Cancelled | Self::Succeeded | Self::Failed => None,
        }
    }
}

names! {
    /// Why a job's search ended.
    pub enum StopReason: "stop reason" {
        /// No further request fits into the optimization budget, or what is left of it would bring next to nothing.
        BudgetExhausted = "budget_exhausted",
        /// The limit on trials is reached.
        TrialLimit = "trial_limit",
        /// The limit on time is reached.
        Deadline = "deadline",
        /// Every configuration of the space, or of the grid over it, has been tried.
        SpaceExhausted = "space_exhausted",
        /// The search has converged and finds nothing new.
        Converged = "converged",
        /// Every configuration of an evaluation was evaluated on every row.
        Completed = "completed",
        /// As many trials in a row as the job allows brought nothing better.
        NoImprovement = "no_improvement",
        /// A client cancelled it.
        Cancelled = "cancelled",
        /// The endpoint refuses to serve the job at all, for example for want of a valid key, or never
        /// answered.
        EndpointUnusable = "endpoint_unusable",
        /// No configuration could be evaluated: the endpoint refused them all, or failed at them.
        NothingEvaluated = "nothing_evaluated",
        /// A fault inside Frugal; the operator's log has the cause.
        InternalError = "internal_error",
        /// Another version of Frugal had decided its steps, this one decides others, and no worker of
        /// that version took it up again in time.
        OtherVersion = "other_version",
        /// Every worker that took it was lost, several in a row with nothing to show for it, so no
        /// other is risked.
        WorkerLost = "worker_lost",
    }
}

names! {
    /// How an attempt at a job ended: that is, why its worker has it no more.
    pub enum AttemptEnding: "attempt's ending" {
        /// The job ended with it, by itself.
        Succeeded = "succeeded",
        /// The job could not go on.
        Failed = "failed",
        /// A client cancelled the job.
        Cancelled = "cancelled",
        /// A client paused the job.
        Paused = "paused",
        /// The worker was stopped, and gave the job back.
        GivenBack = "given_back",
        /// The database was out of reach; the worker gave the job back.
        BrokenOff = "broken_off",
        /// What drove the job panicked, which ended the job.
        Panicked = "panicked",
        /// The worker was not heard of until its lease ran out.
        Lost = "lost",
    }
}

names! {
    /// Where a trial is in its life.
    pub enum TrialState: "trial state" {
        /// Being evaluated.
        Running = "running",
        /// Evaluated: on every instance, or as far as a profiled search looked.
        Evaluated = "evaluated",
        /// Ended early, or before any request, because it cannot be worth its price.
        Pruned = "pruned",
        /// The endpoint refuses the configuration.
        Infeasible = "infeasible",
        /// Requests failed for good on too many instances.
        Failed = "failed",
        /// Cut off by the end of the job.
        Stopped = "stopped",
    }
}

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
        for ending in AttemptEnding::ALL {
            assert_eq!(ending.as_str().parse(), Ok(*ending));
            assert_eq!(serde_json::json!(ending), ending.as_str());
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

    #[test]
    fn a_job_that_is_to_end_can_be_neither_paused_nor_resumed() {
        for state in JobState::ALL {
            let ends = state.is_terminal() || *state == JobState::Cancelling;
            assert_eq!(ends, state.on_pause().is_none());
            assert_eq!(ends, state.on_resume().is_none());
            for next in [state.on_pause(), state.on_resume()].into_iter().flatten() {
                assert!(next.on_pause().is_some() && next.on_resume().is_some());
            }
            assert_eq!(
                state.on_pause().and_then(JobState::on_pause),
                state.on_pause()
            );
            assert_eq!(
                state.on_resume().and_then(JobState::on_resume),
                state.on_resume()
            );
        }
    }
}
