//! Random search: uniform draws, after the start points.

use crate::ask_tell::Origin;
use crate::known::Standing;
use crate::strategy::{Ground, Start, Turn};
use std::collections::VecDeque;

/// Uniform draws from the space. It learns nothing.
#[derive(Debug, Clone)]
pub struct RandomSearch {
    starts: VecDeque<Start>,
}

impl RandomSearch {
    /// A search that evaluates the given starts first.
    #[must_use]
    pub fn new(starts: Vec<Start>) -> Self {
        Self {
            starts: starts.into(),
        }
    }

    /// One start, or one draw.
    pub fn turn(&mut self, ground: &mut Ground) -> Turn {
        let (configuration, origin) = match self.starts.pop_front() {
            Some(start) => (
                ground
                    .encoding
                    .complete(&start.configuration, &mut ground.draws),
                start.origin,
            ),
            None => (ground.encoding.random(&mut ground.draws), Origin::Random),
        };
        if ground.known.standing(&configuration) != Standing::New {
            return Turn::Nothing;
        }
        ground.known.open(&configuration);
        Turn::Proposed {
            configuration,
            origin,
        }
    }
}
