//! Money, tokens, and estimates of them.

use super::Unit;
use frugal_domain::{money, trial};
use serde::Serialize;
use utoipa::ToSchema;

/// What was spent.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Spend {
    /// US dollars; 0 for models without a price.
    #[schema(example = 0.0123)]
    pub usd: f64,
    /// Tokens of prompts and completions.
    #[schema(example = 45_678)]
    pub tokens: u64,
}

impl From<money::Spend> for Spend {
    fn from(spend: money::Spend) -> Self {
        Self {
            usd: spend.usd.dollars(),
            tokens: spend.tokens,
        }
    }
}

/// A limit on spending, in one of the two units.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// At most so many US dollars.
    Usd(f64),
    /// At most so many tokens, prompts and completions together.
    Tokens(u64),
}

impl From<money::Budget> for Budget {
    fn from(budget: money::Budget) -> Self {
        match budget {
            money::Budget::Usd(usd) => Self::Usd(usd.dollars()),
            money::Budget::Tokens(tokens) => Self::Tokens(tokens),
        }
    }
}

/// A mean over instances, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Estimate {
    /// The mean.
    #[schema(example = 0.82)]
    pub mean: f64,
    /// The standard deviation of the sample over √count; absent below two instances.
    #[schema(example = 0.03)]
    pub standard_error: Option<f64>,
    /// Instances that the mean is over.
    #[schema(example = 140)]
    pub count: u32,
}

impl From<trial::Estimate> for Estimate {
    fn from(estimate: trial::Estimate) -> Self {
        Self {
            mean: estimate.mean,
            standard_error: estimate.standard_error,
            count: estimate.count,
        }
    }
}

/// What one instance costs under a configuration, prompt and all responses.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct CostEstimate {
    /// What `mean` and `standard_error` are in.
    pub unit: Unit,
    /// The mean over the instances.
    #[schema(example = 0.000_12)]
    pub mean: f64,
    /// The standard deviation of the sample over √count; absent below two instances.
    #[schema(example = 0.000_004)]
    pub standard_error: Option<f64>,
    /// Instances that the mean is over.
    #[schema(example = 140)]
    pub count: u32,
}

impl From<trial::CostEstimate> for CostEstimate {
    fn from(cost: trial::CostEstimate) -> Self {
        Self {
            unit: cost.unit.into(),
            mean: cost.estimate.mean,
            standard_error: cost.estimate.standard_error,
            count: cost.estimate.count,
        }
    }
}

/// A 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Interval {
    /// Its lower end.
    #[schema(example = 0.76)]
    pub low: f64,
    /// Its upper end.
    #[schema(example = 0.88)]
    pub high: f64,
}

impl From<trial::Interval> for Interval {
    fn from(interval: trial::Interval) -> Self {
        let trial::Interval { low, high } = interval;
        Self { low, high }
    }
}
