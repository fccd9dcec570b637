//! How an answer is scored: the scorer of one response, what it says of it, the reducer over the n of
//! an instance.

use crate::names::names;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The scorer of one response, as it was read and checked: its name as `type`, beside its fields.
/// The crate `scoring` has the scorers, each with its fields in a file of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScorerSpec(pub Map<String, Value>);

/// What a scorer says of one response.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// How good it is, from 0 for wrong to 1 for right.
    pub score: f64,
    /// Which answer it gives; nothing where it gives none, or the scorer knows no answers.
    pub answer: Option<AnswerKey>,
    /// How highly the selector thinks of it, from 0 to 1; nothing where the job has no selector.
    pub preference: Option<f64>,
}

impl From<f64> for Observation {
    fn from(score: f64) -> Self {
        Self {
            score,
            answer: None,
            preference: None,
        }
    }
}

/// Stands for an answer: two responses with the same key give the same one, as the scorer compares
/// answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey(pub u64);

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
        /// The score of the answer that most responses give (self-consistency), the mean where several
        /// are given as often; a response without an answer has no vote.
        Majority = "majority",
        /// The score of the response that the selector thinks most highly of, the mean where it does of
        /// several (best of n).
        BestOfN = "best_of_n",
    }
}
