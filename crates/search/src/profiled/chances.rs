//! How likely each chance of a right answer is for an arm, over all rows.

use super::reach::GRID;
use super::reduction::{Manner, reduce};
use super::selection::Selection;
use super::votes::Spread;
use frugal_domain::metric::Metric;
use std::collections::BTreeMap;

/// The mean chances of an arm under one limit: how likely each chance of the grid is, over all rows.
#[derive(Debug, Clone)]
pub(super) struct Chances {
    /// The weight of chance 0.
    pub(super) none: f64,
    /// Those of the chances of the grid.
    pub(super) weights: [f64; GRID],
    pub(super) chances: [f64; GRID],
    /// The weights of the rows whose wrong answers spread alike, where it matters which answer most
    /// responses give.
    pub(super) by_spread: BTreeMap<Spread, [f64; GRID]>,
    /// How the selector takes answers, where it matters which one it prefers.
    pub(super) selection: Option<Selection>,
    /// The chance that each row is out of reach.
    pub(super) unreachable: Vec<f64>,
}

impl Chances {
    /// What n answers come to by a metric of answers, the mean over the rows.
    pub(super) fn mean(&self, metric: Metric, n: f64) -> f64 {
        let total = self.none + self.weights.iter().sum::<f64>();
        let of = |weights: &[f64; GRID], spread: Spread| -> f64 {
            let manner = Manner {
                spreads: &[(spread, 1.0)],
                selection: self.selection.as_ref(),
            };
            let both = weights.iter().zip(&self.chances);
            both.map(|(weight, chance)| weight * reduce(metric, *chance, n, manner))
                .sum()
        };
        let sum: f64 = match metric {
            Metric::Majority => {
                let spreads = self.by_spread.iter();
                spreads.map(|(spread, weights)| of(weights, *spread)).sum()
            }
            _ => of(&self.weights, Spread::default()),
        };
        sum / total.max(1e-300)
    }
}
