#![doc = include_str!("../docs/random.md")]

use crate::ask_tell::Origin;
use crate::sequence::{Halton, Points, Sobol};
use crate::strategy::{SearchState, Start, TurnOutcome};
use frugal_domain::configuration::Configuration;
use frugal_domain::job::algorithm::Sequence;
use std::collections::VecDeque;

/// Draws from the space. It learns nothing.
#[derive(Debug, Clone)]
pub struct RandomSearch {
    starts: VecDeque<Start>,
    /// Where the draws come from, if they are not independent of one another.
    points: Option<Points>,
}

impl RandomSearch {
    /// A search that evaluates the given starts first.
    #[must_use]
    pub fn new(ground: &mut SearchState, starts: Vec<Start>, sequence: Sequence) -> Self {
        let dimensions = ground.encoding.slots().len() + ground.encoding.branchings();
        let draws = &mut ground.draws;
        Self {
            starts: starts.into(),
            points: match sequence {
                Sequence::Uniform => None,
                Sequence::Halton => Some(Points::Halton(Halton::new(dimensions, draws))),
                Sequence::Sobol => Some(Points::Sobol(Sobol::new(dimensions, draws))),
            },
        }
    }

    /// One start, or one draw.
    pub fn turn(&mut self, ground: &mut SearchState) -> TurnOutcome {
        let (configuration, origin) = match ground.next_start(&mut self.starts) {
            Some(start) => start,
            None => (self.draw(ground), Origin::Random),
        };
        ground.propose_new(configuration, origin)
    }

    fn draw(&mut self, ground: &mut SearchState) -> Configuration {
        let SearchState {
            encoding, draws, ..
        } = ground;
        match &mut self.points {
            None => encoding.random(draws),
            Some(points) => encoding.at(&points.next(draws)),
        }
    }
}
