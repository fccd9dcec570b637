//! The search space: which settings vary, and over what.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An ordered list of dimensions. The order is part of the space: a random direction of a
/// local search takes its components in this order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space {
    /// The dimensions. Names are unique among those that can be active at the same time.
    pub dimensions: Vec<Dimension>,
}

/// One named setting and the values that it may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dimension {
    /// The setting's name, such as `temperature`.
    pub name: String,
    /// What it may be.
    pub domain: Domain,
}

/// The values that a dimension may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Floats from `low` to `high`, both included.
    Float {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
        /// How distances are measured. `low` is above 0 where it is logarithmic.
        scale: Scale,
        /// Values are `low + k·step`, where given (linear scale only).
        step: Option<f64>,
    },
    /// Integers from `low` to `high`, both included.
    Int {
        /// The smallest value.
        low: i64,
        /// The largest value.
        high: i64,
        /// How distances are measured. `low` is above 0 where it is logarithmic.
        scale: Scale,
        /// Values are `low + k·step`, where given (linear scale only).
        step: Option<i64>,
    },
    /// One of several values, at least one, no two equal.
    Choice {
        /// The values.
        values: Vec<Value>,
        /// Whether neighbours in the list are alike.
        ordered: bool,
    },
    /// One of several sub-spaces; the settings of the others are absent. In a configuration
    /// the dimension's own name holds the index of the branch (0, 1, …).
    OneOf {
        /// The branches, at least one; a branch may be empty.
        branches: Vec<Space>,
    },
    /// Always this value.
    Constant {
        /// The value.
        value: Value,
    },
}

/// How distances between the values of a numeric dimension are measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// By difference.
    #[default]
    Linear,
    /// By ratio.
    Log,
}
