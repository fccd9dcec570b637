//! How likely each chance of a right answer is for an arm, over all rows.

use super::reach::GRID;

/// The mean chances of an arm under one limit: how likely each chance of the grid is, over all rows.
#[derive(Debug, Clone)]
pub(super) struct Chances {
    /// The weight of chance 0.
    pub(super) none: f64,
    /// Those of the chances of the grid.
    pub(super) weights: [f64; GRID],
    pub(super) chances: [f64; GRID],
    /// The chance that each row is out of reach.
    pub(super) unreachable: Vec<f64>,
}

impl Chances {
    /// The mean of something that depends on the chance and is 0 where that is 0.
    pub(super) fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
        let total = self.none + self.weights.iter().sum::<f64>();
        let sum: f64 = self
            .weights
            .iter()
            .zip(&self.chances)
            .map(|(weight, chance)| weight * of(*chance))
            .sum();
        sum / total.max(1e-300)
    }
}
