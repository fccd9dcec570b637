//! What has been proposed, and what came of it: no configuration is paid for twice.

use frugal_domain::configuration::Configuration;
use std::collections::BTreeMap;

/// What a completed proposal came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// The loss; infinite for a proposal that has none (pruned, infeasible, failed).
    pub loss: f64,
    /// The money spent on it.
    pub cost: f64,
}

/// Proposed configurations by canonical key, with what they came to where it is known.
#[derive(Debug, Clone, Default)]
pub struct Proposed(BTreeMap<String, Option<Told>>);

/// How a configuration stands to what has been proposed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ProposalState {
    /// Not proposed yet.
    New,
    /// Proposed, with no result yet.
    Open,
    /// Completed.
    Told(Told),
}

impl Proposed {
    /// How a configuration stands.
    #[must_use]
    pub fn standing(&self, configuration: &Configuration) -> ProposalState {
        match self.0.get(&configuration.canonical_key()) {
            None => ProposalState::New,
            Some(None) => ProposalState::Open,
            Some(Some(told)) => ProposalState::Told(*told),
        }
    }

    /// Marks a configuration as proposed.
    pub fn open(&mut self, configuration: &Configuration) {
        self.0.entry(configuration.canonical_key()).or_insert(None);
    }

    /// Marks a configuration as completed.
    pub fn tell(&mut self, configuration: &Configuration, told: Told) {
        self.0.insert(configuration.canonical_key(), Some(told));
    }

    /// How many configurations have been proposed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing has been proposed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
