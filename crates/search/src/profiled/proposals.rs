//! Arms that a searcher proposes, beyond the first ones, on the sampling settings alone. BlendSearch
//! has a form of its own here ([`super::blend`]).

use super::arm::ArmPlace;
use super::openings::SamplingSpace;
use crate::ask_tell::{Ask, Observation, Origin, Outcome, Searcher};
use crate::search::{Search, SearchError, SearchOptions};
use frugal_domain::job::JobSpec;
use std::collections::VecDeque;

/// Proposals at most that have not been drawn for.
const MOST_UNSEEN: usize = 4;

/// The searcher with what it has proposed.
#[derive(Debug, Clone)]
pub(super) struct Proposals {
    search: Search,
    /// Proposals without a result, oldest first, with the arm of each.
    open: VecDeque<(u32, Option<usize>)>,
}

impl Proposals {
    /// The job's searcher over its sampling settings.
    pub(super) fn of(spec: &JobSpec, space: &SamplingSpace) -> Result<Self, SearchError> {
        let options = SearchOptions {
            space: space.space().clone(),
            start: Vec::new(),
            low_cost_starts: Vec::new(),
            low_cost: Vec::new(),
            cost_budget: None,
            patience: None,
            ..SearchOptions::for_job(spec)
        };
        Ok(Self {
            search: Search::new(options)?,
            open: VecDeque::new(),
        })
    }

    /// Tells what the open proposals came to, and asks for others while few of them are unseen.
    pub(super) fn next(
        &mut self,
        space: &SamplingSpace,
        room: usize,
        unseen: impl Fn(usize) -> bool,
        worth: impl Fn(usize) -> Option<f64>,
        spent: impl Fn(usize) -> f64,
    ) -> Vec<(u32, ArmPlace, Origin)> {
        // One that was never drawn for is told what is expected of it once others wait behind it.
        while let Some(&(number, arm)) = self.open.front() {
            if arm.is_some_and(&unseen) && self.open.len() < MOST_UNSEEN {
                break;
            }
            let outcome = arm
                .and_then(&worth)
                .map_or(Outcome::Pruned, |worth| Outcome::Evaluated { loss: -worth });
            let cost = arm.map_or(0.0, &spent);
            if self
                .search
                .tell(number, Observation { outcome, cost })
                .is_err()
            {
                break;
            }
            self.open.pop_front();
        }
        let mut proposed = Vec::new();
        while self.open.len() < MOST_UNSEEN && proposed.len() < room {
            let Ask::Propose(proposal) = self.search.ask() else {
                break;
            };
            self.open.push_back((proposal.number, None));
            if let Some(place) = space.place(&proposal.configuration) {
                proposed.push((proposal.number, place, proposal.origin));
            }
        }
        proposed
    }

    /// Notes which arm a proposal became.
    pub(super) fn opened(&mut self, number: u32, arm: Option<usize>) {
        if let Some(open) = self.open.iter_mut().find(|(open, _)| *open == number) {
            open.1 = arm;
        }
    }
}
