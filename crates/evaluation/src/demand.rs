//! What a schedule is given, what it demands, and how a trial ends: the words that schedules and
//! trials share.

use crate::evaluated::Pricing;
use crate::inference_cost::InferenceCost;
use frugal_domain::money::Prices;
use frugal_domain::trial::PruneReason;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ending", content = "detail", rename_all = "snake_case")]
pub enum Ending {
    /// All instances but for a tolerated share of failures have n responses.
    Evaluated {
        /// Whether the mean inference cost is within the inference budget, if there is one.
        /// Only a trial that is not pruned can be evaluated and over the budget.
        within_budget: bool,
    },
    /// A batch of draws has come back, whatever its requests brought.
    Drawn,
    /// Over the inference budget, or significantly worse than the best.
    Pruned(PruneReason),
    /// The endpoint refuses the configuration.
    Infeasible(String),
    /// Requests failed for good on too many instances.
    Failed(String),
    /// The optimization budget does not allow what is left to do.
    BudgetExhausted,
}

/// Responses that an instance is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) instance: usize,
    pub(crate) n: u32,
}

/// What a schedule wants next.
#[derive(Debug)]
pub(crate) enum ScheduleStep {
    Demand(Vec<Demand>),
    End(Ending),
}

/// What a schedule is given at the start of a trial.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) instances: usize,
    pub(crate) n: u32,
    pub(crate) max_tokens: u32,
    pub(crate) most_per_request: Option<u32>,
    pub(crate) cost: Option<InferenceCost>,
    pub(crate) prices: Prices,
    /// The order in which the instances are looked at.
    pub(crate) order: Arc<[usize]>,
}

impl Task {
    pub(crate) fn pricing(&self) -> Pricing {
        Pricing {
            prices: self.prices,
            most_per_request: self.most_per_request,
            n: self.n,
        }
    }
}
