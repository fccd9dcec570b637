#![doc = include_str!("../docs/grid.md")]

use crate::ask_tell::Origin;
use crate::encoding::{Encoding, EncodingError};
use crate::strategy::{SearchState, Start, TurnOutcome};
use frugal_domain::job::algorithm::{GridOptions, GridOrder};
use std::collections::VecDeque;

/// Every combination of a few values per setting, each once. It learns nothing.
#[derive(Debug, Clone)]
pub struct GridSearch {
    starts: VecDeque<Start>,
    /// The space with nothing but the grid's values.
    grid: Encoding,
    /// Positions in the grid that are still to come.
    left: VecDeque<u64>,
}

/// A grid that makes no search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// The grid's space cannot be searched.
    #[error(transparent)]
    Space(#[from] EncodingError),
    /// More configurations than are permitted.
    #[error("the grid has {} configurations; at most {} are permitted", .0.map_or_else(|| "too many".to_owned(), |size| size.to_string()), GridOptions::LARGEST_GRID)]
    TooLarge(Option<u64>),
}

impl GridSearch {
    /// A search that evaluates the given starts first, whether the grid has them or not.
    ///
    /// # Errors
    /// Where the grid is larger than [`GridOptions::LARGEST_GRID`].
    pub fn new(
        ground: &mut SearchState,
        starts: Vec<Start>,
        options: GridOptions,
    ) -> Result<Self, GridError> {
        let grid = Encoding::new(ground.encoding.space().grid(options.points))?;
        let size = grid.count();
        let Some(count) = size.filter(|size| *size <= GridOptions::LARGEST_GRID) else {
            return Err(GridError::TooLarge(size));
        };
        let mut left: Vec<u64> = (0..count).collect();
        if options.order == GridOrder::Shuffled {
            ground.draws.shuffle(&mut left);
        }
        Ok(Self {
            starts: starts.into(),
            grid,
            left: left.into(),
        })
    }

    /// One start, or one configuration of the grid.
    pub fn turn(&mut self, ground: &mut SearchState) -> TurnOutcome {
        if let Some((configuration, origin)) = ground.next_start(&mut self.starts) {
            return ground.propose_new(configuration, origin);
        }
        // Some of a grid's configurations may be one to the endpoint: those that differ in what
        // has no effect.
        while let Some(index) = self.left.pop_front() {
            let configuration = self.grid.nth(index);
            // What the grid calls a choice may be a number to the space, and prints as one.
            let normal = ground.encoding.normal_form(&configuration);
            let turn = ground.propose_new(normal.unwrap_or(configuration), Origin::Grid);
            if turn != TurnOutcome::Nothing {
                return turn;
            }
        }
        TurnOutcome::UsedUp
    }
}
