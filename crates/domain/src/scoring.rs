//! How an answer is scored: the scorer of one response, the reducer over the n of an instance.

use crate::names::names;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The scorer of one response, as it was read and checked: its name as `type`, beside its fields.
/// The crate `scoring` has the scorers, each with its fields in a file of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScorerSpec(pub Map<String, Value>);

names! {
    /// Makes one number of the scores of an instance's n responses (paper, section 3).
    pub enum Reducer: "reducer" {
        /// 1 − (1 − s/n)ⁿ where s of n are right: the chance that one of n draws is.
        ExpectedSuccess = "expected_success",
        /// 1 if any is right.
        Success = "success",
        /// The mean of the scores.
        Mean = "mean",
        /// The worst score: 1 if all are right.
        Min = "min",
    }
}
