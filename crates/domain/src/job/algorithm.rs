//! The optimisers that a job may choose from, each with its options.

use crate::names::names;
use serde::{Deserialize, Serialize};

/// An optimiser and its options. In storage the options lie beside the name, and those that are
/// absent have their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "snake_case")]
pub enum Algorithm {
    /// A global model-based search and cost-frugal local searches, blended.
    Blendsearch(BlendsearchOptions),
    /// Cost-frugal local search with restarts.
    Cfo(CfoOptions),
    /// The tree-structured Parzen estimator alone.
    Tpe(TpeOptions),
    /// Draws from the whole space.
    Random(RandomOptions),
    /// Every combination of a few values per setting.
    Grid(GridOptions),
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::Blendsearch(BlendsearchOptions::default())
    }
}

impl Algorithm {
    /// Every optimiser with its defaults.
    #[must_use]
    pub fn all() -> [Self; 5] {
        [
            Self::Blendsearch(BlendsearchOptions::default()),
            Self::Cfo(CfoOptions::default()),
            Self::Tpe(TpeOptions::default()),
            Self::Random(RandomOptions::default()),
            Self::Grid(GridOptions::default()),
        ]
    }

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Blendsearch(_) => "blendsearch",
            Self::Cfo(_) => "cfo",
            Self::Tpe(_) => "tpe",
            Self::Random(_) => "random",
            Self::Grid(_) => "grid",
        }
    }

    /// Whether it begins with the cheap configurations. A grid never does: it has its own.
    #[must_use]
    pub const fn low_cost_starts(&self) -> bool {
        match self {
            Self::Blendsearch(options) => options.low_cost_starts,
            Self::Cfo(options) => options.low_cost_starts,
            Self::Tpe(options) => options.low_cost_starts,
            Self::Random(options) => options.low_cost_starts,
            Self::Grid(_) => false,
        }
    }
}

/// The options of BlendSearch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlendsearchOptions {
    /// Whether it begins with the cheap configurations. By default not: the fewest tokens cut every
    /// answer, and a search that begins there learns little.
    pub low_cost_starts: bool,
    /// What the global thread proposes by.
    pub global: GlobalSearcher,
    /// As in [`TpeOptions`], for the global thread.
    pub startup_trials: u32,
    /// As in [`TpeOptions`], for the global thread.
    pub candidates: u32,
    /// As in [`CfoOptions`], for the local threads and for the margin of the admissible region.
    pub step_size: f64,
}

impl Default for BlendsearchOptions {
    fn default() -> Self {
        let TpeOptions {
            low_cost_starts,
            startup_trials,
            candidates,
        } = TpeOptions::default();
        Self {
            low_cost_starts,
            global: GlobalSearcher::Tpe,
            startup_trials,
            candidates,
            step_size: CfoOptions::default().step_size,
        }
    }
}

names! {
    /// What BlendSearch's global thread proposes by.
    pub enum GlobalSearcher: "global searcher" {
        /// The tree-structured Parzen estimator.
        Tpe = "tpe",
        /// Uniform draws.
        Random = "random",
    }
}

/// The options of CFO.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CfoOptions {
    /// Whether it begins with the cheap configurations.
    pub low_cost_starts: bool,
    /// The first step's length per square root of a setting, every setting's range being 1; above
    /// 0 and at most 1.
    pub step_size: f64,
}

impl Default for CfoOptions {
    fn default() -> Self {
        Self {
            low_cost_starts: false,
            step_size: 0.1,
        }
    }
}

/// The options of the tree-structured Parzen estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TpeOptions {
    /// Whether it begins with the cheap configurations.
    pub low_cost_starts: bool,
    /// Trials told before the densities are used; uniform draws until then. At least 1.
    pub startup_trials: u32,
    /// Candidates drawn for one proposal, of which the most promising is taken. At least 1.
    pub candidates: u32,
}

impl Default for TpeOptions {
    fn default() -> Self {
        Self {
            low_cost_starts: false,
            startup_trials: 10,
            candidates: 24,
        }
    }
}

/// The options of random search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RandomOptions {
    /// Whether it begins with the cheap configurations.
    pub low_cost_starts: bool,
    /// Where the draws come from.
    pub sequence: Sequence,
}

impl Default for RandomOptions {
    fn default() -> Self {
        Self {
            low_cost_starts: false,
            sequence: Sequence::Uniform,
        }
    }
}

names! {
    /// Where the draws of random search come from.
    pub enum Sequence: "sequence" {
        /// Each draw independent of the others.
        Uniform = "uniform",
        /// Halton's sequence with shuffled digits: draws that keep away from one another.
        Halton = "halton",
        /// Sobol's sequence with a random shift: the same, more even in powers of two.
        Sobol = "sobol",
    }
}

/// The options of grid search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GridOptions {
    /// Values of each numeric setting that has no step of its own, evenly spaced on its scale,
    /// both ends included. At least 1.
    pub points: u32,
    /// In what order the grid is tried.
    pub order: GridOrder,
}

impl GridOptions {
    /// The most configurations of a grid. A larger one would be left unfinished by any budget
    /// that a job is likely to have, and is refused.
    pub const LARGEST_GRID: u64 = 10_000;
}

impl Default for GridOptions {
    fn default() -> Self {
        Self {
            points: 5,
            order: GridOrder::Shuffled,
        }
    }
}

names! {
    /// In what order a grid is tried.
    pub enum GridOrder: "order of a grid" {
        /// Shuffled by the seed, so that a search that ends early has seen something of everywhere.
        Shuffled = "shuffled",
        /// The first setting's values change fastest.
        Sequential = "sequential",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_options_have_their_defaults() {
        for algorithm in Algorithm::all() {
            let bare = json!({"algorithm": algorithm.as_str()});
            assert_eq!(
                serde_json::from_value::<Algorithm>(bare).unwrap(),
                algorithm
            );
        }
    }
}
