//! Why a job cannot go on.

use frugal_domain::id::TrialNumber;
use frugal_domain::job::points::NotAPoint;
use frugal_domain::request::RequestKey;
use frugal_evaluation::{InvalidPlan, NotExpected};
use frugal_search::{SearchError, TellError};

/// Why a job cannot go on: its specification no longer makes sense, its past is not what the same
/// decisions lead to now, or its driver told it of what it never asked for.
#[derive(Debug, thiserror::Error)]
pub enum TuningError {
    /// The specification makes no search.
    #[error("the search cannot be set up")]
    Search(#[from] SearchError),
    /// An evaluation is to be searched.
    #[error("there is nothing to search")]
    NoSearch,
    /// A configuration that is none of the job's.
    #[error("trial {trial} has a configuration outside of the search space")]
    Configuration {
        /// The trial.
        trial: TrialNumber,
        /// Which setting is at fault.
        source: NotAPoint,
    },
    /// A configuration that cannot be evaluated.
    #[error("trial {trial} cannot be evaluated")]
    Plan {
        /// The trial.
        trial: TrialNumber,
        /// Why.
        source: InvalidPlan,
    },
    /// The searcher heard of trials in the wrong order.
    #[error("the search lost count of its trials")]
    Tell(#[from] TellError),
    /// An answer that no trial waits for.
    #[error("{key} was answered, and nothing waits for it")]
    NotExpected {
        /// The request.
        key: RequestKey,
        /// What the evaluation says of it, where there is one.
        source: Option<NotExpected>,
    },
    /// A trial waits although everything that it asked for has arrived.
    #[error("trial {0} waits for nothing")]
    Stuck(TrialNumber),
    /// The search proposed another configuration than the one that is stored under this number.
    #[error("replay proposed another configuration for trial {0} than the one stored")]
    OtherConfiguration(TrialNumber),
    /// A trial ended in another way than the one that is stored.
    #[error("replay of trial {0} ended in another way than the one stored")]
    OtherOutcome(TrialNumber),
    /// The evaluation planned another request than the one that is stored under this key.
    #[error("replay planned another {0} than the one stored")]
    OtherRequest(RequestKey),
    /// An evaluated trial without any instance.
    #[error("trial {0} was evaluated on no instance")]
    NoInstance(TrialNumber),
}
