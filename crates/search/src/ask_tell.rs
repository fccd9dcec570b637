//! The one way to talk with an optimiser: ask for a proposal, tell what came of it.

use frugal_domain::configuration::Configuration;
use serde::{Deserialize, Serialize};

/// An optimiser as a state machine. Its state depends on the sequence of asks and tells alone,
/// so it is rebuilt by replaying them; an ask that was answered with [`Ask::Wait`] is part of
/// the sequence too.
pub trait Searcher {
    /// The next configuration to evaluate. Several proposals may be open at once.
    fn ask(&mut self) -> Ask;

    /// Hears what came of a proposal. Proposals are told in the order of their numbers.
    ///
    /// # Errors
    /// Where the number is not that of the open proposal that is next; nothing changes then.
    fn tell(&mut self, proposal: u32, observation: Observation) -> Result<(), TellError>;
}

/// The answer to an ask.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Evaluate this.
    Propose(Proposal),
    /// Nothing until an open proposal has been told. Asking again before that changes nothing.
    Wait,
    /// Nothing more, ever.
    Exhausted(Exhausted),
}

/// A configuration to evaluate.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// 0, 1, 2, … in the order of proposal.
    pub number: u32,
    /// The configuration: in the space, and never one that was proposed before.
    pub configuration: Configuration,
    /// Which rule proposed it.
    pub origin: Origin,
}

/// Which rule proposed a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Origin {
    /// One of the given start points.
    Start,
    /// A cheap start.
    LowCost,
    /// The global searcher.
    Global,
    /// A local search.
    Local {
        /// The thread's number, from 1 in the order of creation; in a profiled search that of the arm
        /// stepped from.
        thread: u32,
    },
    /// A cheap start with noise, where nothing else was admissible.
    Restart,
    /// A draw from the whole space.
    Random,
    /// The next of a grid.
    Grid,
    /// The job's owner, while the search goes on.
    Owner,
}

/// Why there is nothing more to propose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exhausted {
    /// Every configuration of the space, or of the grid over it, has been proposed.
    SpaceUsedUp,
    /// The cost budget has been spent.
    BudgetSpent,
    /// Many draws from a space too large to count out found nothing new.
    NothingNew,
    /// As many trials in a row as the options allow brought nothing better.
    NoImprovement,
}

/// What came of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// How it ended.
    pub outcome: Outcome,
    /// Money spent on it, in any unit that is the same throughout; at least 0 (anything else
    /// counts as 0).
    pub cost: f64,
}

/// How an evaluation ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has a loss.
    Evaluated {
        /// To be minimised. One that is not finite counts as worse than any that is.
        loss: f64,
    },
    /// Ended early as significantly worse than the best. It is never taken for better than what
    /// was told before.
    Inferior {
        /// An estimate of its loss. One that is not finite counts as worse than any that is.
        loss: f64,
    },
    /// Ended early as invalid or not worth its price: worse than anything evaluated.
    Pruned,
    /// The endpoint refuses it: worse than anything evaluated.
    Infeasible,
    /// It could not be evaluated: worse than anything evaluated.
    Failed,
}

impl Outcome {
    /// The loss that the optimisers see: infinite where there is none.
    #[must_use]
    pub fn loss(&self) -> f64 {
        match self {
            Self::Evaluated { loss } | Self::Inferior { loss } if loss.is_finite() => *loss,
            _ => f64::INFINITY,
        }
    }
}

/// A tell that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TellError {
    /// Proposals are told in the order of their numbers.
    #[error("proposal {told} told while proposal {expected} is next")]
    OutOfOrder {
        /// The number told.
        told: u32,
        /// The number of the oldest open proposal.
        expected: u32,
    },
    /// No proposal is open.
    #[error("proposal {told} told while none is open")]
    NoneOpen {
        /// The number told.
        told: u32,
    },
}
