//! What proposes arms beyond the first ones.

use super::blend::Blend;
use super::openings::SamplingSpace;
use super::proposals::Proposals;
use crate::search::SearchError;
use frugal_domain::job::{Algorithm, JobSpec};

/// What proposes arms.
#[derive(Debug, Clone)]
pub(super) enum Proposer {
    /// Nothing: the model, the prompt and the temperature are all that varies.
    Nobody,
    /// The blended search.
    Blend(Box<Blend>),
    /// Another searcher.
    Searcher(Box<Proposals>),
}

impl Proposer {
    pub(super) fn of(spec: &JobSpec, space: &SamplingSpace) -> Result<Self, SearchError> {
        Ok(match spec.search.algorithm {
            Algorithm::Blendsearch(_) if !space.has_more_than_temperature() => Self::Nobody,
            Algorithm::Blendsearch(own) => Self::Blend(Box::new(Blend::new(
                space,
                own.step_size,
                spec.search.seed,
            )?)),
            _ => Self::Searcher(Box::new(Proposals::of(spec, space)?)),
        })
    }

    /// Hears that an arm is drawn for.
    pub(super) fn asked(&mut self, arm: usize) {
        if let Self::Blend(blend) = self {
            blend.asked(arm);
        }
    }
}
