//! What is known of a request whatever came of it: what it is sent for, why its responses ended.

use crate::id::{JobId, TrialNumber};
use crate::job::Split;
use crate::names::names;
use crate::trial::TrialRole;
use serde::{Deserialize, Serialize};
use std::fmt;

names! {
    /// What a request is sent for.
    pub enum Purpose: "purpose" {
        /// Evaluating a configuration that the searcher proposed.
        Search = "search",
        /// Evaluating the configuration that the winner is compared with.
        Baseline = "baseline",
        /// Scoring the winner or the baseline on held-out instances.
        Validation = "validation",
        /// Asking a model to judge answers to the instances that the search sees.
        Judge = "judge",
        /// Asking a model to judge answers to held-out instances.
        ValidationJudge = "validation_judge",
        /// Nothing is sent for it: it stands for an answer that an instance brings along, on which a judge
        /// is tried.
        Labelled = "labelled",
        /// Evaluating a configuration that an evaluation was given.
        Evaluation = "evaluation",
    }
}

impl Purpose {
    /// The rows that its instances are numbered in.
    #[must_use]
    pub const fn split(self) -> Split {
        match self {
            Self::Validation | Self::ValidationJudge => Split::Holdout,
            Self::Search | Self::Baseline | Self::Judge | Self::Labelled | Self::Evaluation => {
                Split::Tuning
            }
        }
    }

    /// What a judge is asked for about answers that were asked for this purpose.
    #[must_use]
    pub const fn judging(self) -> Self {
        match self.split() {
            Split::Tuning => Self::Judge,
            Split::Holdout => Self::ValidationJudge,
        }
    }

    /// Whether it asks a judge.
    #[must_use]
    pub const fn is_judging(self) -> bool {
        matches!(self, Self::Judge | Self::ValidationJudge)
    }
}

impl From<TrialRole> for Purpose {
    fn from(role: TrialRole) -> Self {
        match role {
            TrialRole::Search => Self::Search,
            TrialRole::Baseline => Self::Baseline,
            TrialRole::Evaluation => Self::Evaluation,
        }
    }
}

names! {
    /// How far a refusal reaches: which other requests it holds for as well.
    pub enum Scope: "scope of a refusal" {
        /// This prompt: its content, or its length.
        Row = "row",
        /// This configuration: a parameter, or its value.
        Configuration = "configuration",
        /// This model: the endpoint does not have it, or not for this key.
        Model = "model",
        /// This endpoint: whatever is asked of it, it does not answer as one.
        Endpoint = "endpoint",
        /// This key: it is not accepted, or nothing is left to pay with.
        Key = "key",
    }
}

/// Which request of a job: for what, in which trial, the how-manieth of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestKey {
    /// What it is sent for.
    pub purpose: Purpose,
    /// The trial that it belongs to.
    pub trial: TrialNumber,
    /// 0, 1, 2, … within purpose and trial, in the order in which the evaluator plans them.
    pub ordinal: u32,
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            purpose,
            trial,
            ordinal,
        } = self;
        write!(f, "{purpose} request {ordinal} of trial {trial}")
    }
}

/// Which response: the job that bought it, the request that it came from, and its position in
/// what that request brought, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResponseId {
    /// Another job of the same owner that bought it; absent where it is this job's own.
    pub job: Option<JobId>,
    /// The request that it came from.
    pub request: RequestKey,
    /// Its position in what the request brought.
    pub position: u32,
}

/// Why a response ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FinishReason {
    /// By itself or at a stop text.
    Stop,
    /// At `max_tokens`, or where the context ended; also where the endpoint gives no reason.
    Length,
    /// The endpoint's filter refused the prompt or the response.
    ContentFilter,
    /// Something else, in the endpoint's word; empty where it gave none.
    Other(String),
}

impl FinishReason {
    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::Other(word) => word,
        }
    }

    /// Whether the response was cut at `max_tokens` and could have been longer. So is every one that
    /// is not known to be whole: one that ended in a call of a tool is, one that ended for an unknown
    /// reason is not.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        match self {
            Self::Stop | Self::ContentFilter => false,
            Self::Length => true,
            Self::Other(word) => !matches!(
                word.as_str(),
                "tool_calls" | "tool_call" | "tool_use" | "function_call"
            ),
        }
    }
}

impl From<String> for FinishReason {
    fn from(name: String) -> Self {
        match name.as_str() {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "content_filter" => Self::ContentFilter,
            _ => Self::Other(name),
        }
    }
}

impl From<FinishReason> for String {
    fn from(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Other(word) => word,
            known => known.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_stored_by_name() {
        for reason in [
            FinishReason::Stop,
            FinishReason::Length,
            FinishReason::ContentFilter,
            FinishReason::Other("tool_calls".to_owned()),
            FinishReason::Other(String::new()),
        ] {
            assert_eq!(FinishReason::from(String::from(reason.clone())), reason);
            assert_eq!(serde_json::json!(reason), reason.as_str());
        }
        let other = |word: &str| FinishReason::Other(word.to_owned());
        assert!(FinishReason::Length.is_cut() && other("").is_cut() && other("odd").is_cut());
        assert!(!FinishReason::Stop.is_cut() && !other("tool_calls").is_cut());
    }
}
