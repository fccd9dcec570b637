//! What every optimiser works with and how it answers, one turn at a time. The turns of all
//! optimisers are taken by [`crate::search::Search`], which adds the bookkeeping of proposals.

use crate::ask_tell::Origin;
use crate::draws::Draws;
use crate::encoding::Encoding;
use crate::known::{ProposalState, Proposed};
use frugal_domain::configuration::Configuration;
use std::collections::VecDeque;

/// The space, the draws and what is known: the ground that an optimiser stands on.
#[derive(Debug, Clone)]
pub struct SearchState {
    /// The space.
    pub encoding: Encoding,
    /// The source of random draws.
    pub draws: Draws,
    /// What has been proposed and what came of it.
    pub known: Proposed,
}

impl SearchState {
    /// Nothing proposed yet.
    #[must_use]
    pub fn new(encoding: Encoding, draws: Draws) -> Self {
        Self {
            encoding,
            draws,
            known: Proposed::default(),
        }
    }

    /// The next of the starts, what it leaves open drawn.
    pub(crate) fn next_start(
        &mut self,
        starts: &mut VecDeque<Start>,
    ) -> Option<(Configuration, Origin)> {
        let start = starts.pop_front()?;
        let configuration = self
            .encoding
            .complete(&start.configuration, &mut self.draws);
        Some((configuration, start.origin))
    }

    /// Proposes a configuration unless it has been proposed before.
    pub(crate) fn propose_new(
        &mut self,
        configuration: Configuration,
        origin: Origin,
    ) -> TurnOutcome {
        if self.known.standing(&configuration) != ProposalState::New {
            return TurnOutcome::Nothing;
        }
        self.known.open(&configuration);
        TurnOutcome::Proposed {
            configuration,
            origin,
        }
    }
}

/// A configuration to be evaluated before the optimiser's own, possibly a partial one.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The values that are given; the others are drawn.
    pub configuration: Configuration,
    /// What kind of start it is.
    pub origin: Origin,
}

/// What came of one turn.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnOutcome {
    /// A configuration to evaluate; it has been marked as proposed. Only a restart may come
    /// back to one whose result is known, which is then to be answered from that.
    Proposed {
        /// The configuration.
        configuration: Configuration,
        /// Which rule proposed it.
        origin: Origin,
    },
    /// Nothing: what was found is known already, or not admissible.
    Nothing,
    /// The cost budget has been used up.
    BudgetSpent,
    /// Everything that the optimiser would ever propose has been proposed.
    UsedUp,
}
