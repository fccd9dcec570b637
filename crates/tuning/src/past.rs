//! What happened to a job before: told to it once, instead of being done again.

use crate::tally::{SettledRequest, Tally};
use frugal_domain::configuration::Configuration;
use frugal_domain::id::TrialNumber;
use frugal_domain::money::Spend;
use frugal_domain::request::{Purpose, RequestKey};
use frugal_domain::scoring::Observation;
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{OfferedResponse, ScoreKey};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Everything that happened to a job before, however far it got. Nothing of it is asked for again.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Trials that were begun.
    pub trials: BTreeMap<TrialNumber, PastTrial>,
    /// What the trials found of other jobs' responses when they looked; absent for those that have
    /// not looked.
    pub looked_up: BTreeMap<TrialNumber, Vec<OfferedResponse>>,
    /// Requests that were settled. Those that were in flight when a worker died are not among them:
    /// they are asked again.
    pub requests: BTreeMap<RequestKey, PastRequest>,
    /// What judges were asked, and what came of it.
    pub judgements: BTreeMap<Question, Judgement>,
    /// By purpose and trial, the ordinal that follows those of all questions that judges were ever asked.
    pub judge_ordinals: BTreeMap<(Purpose, TrialNumber), u32>,
    /// What scorers said.
    pub scores: BTreeMap<ScoreKey, Result<Observation, String>>,
    /// What the requests may have cost that were in flight when a worker died.
    pub lost: Spend,
    /// Whether it was told that the held-out rows are scored.
    pub validation_completed: bool,
}

/// A question to a judge, by what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The answer, as it is scored.
    pub score: ScoreKey,
    /// The how-manieth about it, from 0 through those of all judges.
    pub number: u32,
}

impl Question {
    /// All questions about an answer.
    pub(crate) const fn all_about(score: ScoreKey) -> RangeInclusive<Self> {
        let number = u32::MAX;
        Self { score, number: 0 }..=Self { score, number }
    }
}

/// A question to a judge that was settled.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The request.
    pub key: RequestKey,
    /// What came of it.
    pub settled: SettledRequest,
}

/// A trial that was begun.
#[derive(Debug, Clone)]
pub struct PastTrial {
    /// What it evaluates.
    pub configuration: Configuration,
    /// How it ended and what it had used by then, if it has ended.
    pub end: Option<(TrialOutcome, Tally)>,
}

/// A request that was settled.
#[derive(Debug, Clone)]
pub struct PastRequest {
    /// The row that it was about, by position within its split.
    pub instance: usize,
    /// Responses asked for.
    pub n: u32,
    /// The most tokens of each.
    pub max_tokens: u32,
    /// What came of it.
    pub settled: SettledRequest,
}
