//! What a job's money goes to.

use crate::money::Spend;
use crate::names::names;
use crate::request::Purpose;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What money was spent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendCategory {
    /// Evaluating configurations that the searcher proposed.
    Search,
    /// Evaluating the configuration that the winner is compared with.
    Baseline,
    /// Scoring the winner and the baseline on held-out instances.
    Validation,
    /// Asking a model to judge answers.
    Judge,
    /// Requests in flight when a worker died, counted at their worst case: they may have been
    /// billed, so the budget could be passed if they were forgotten.
    Lost,
}

names!(SpendCategory, "spend category", {
    Search => "search",
    Baseline => "baseline",
    Validation => "validation",
    Judge => "judge",
    Lost => "lost",
});

impl From<Purpose> for SpendCategory {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Search => Self::Search,
            Purpose::Baseline => Self::Baseline,
            Purpose::Validation => Self::Validation,
            Purpose::Judge => Self::Judge,
        }
    }
}

/// What was spent, by category. Categories on which nothing was spent may be absent.
pub type SpendByCategory = BTreeMap<SpendCategory, Spend>;
