//! What happened to a job before: told to it once, instead of being done again.

use crate::tally::{SettledRequest, Tally};
use frugal_domain::configuration::Configuration;
use frugal_domain::id::TrialNumber;
use frugal_domain::money::Spend;
use frugal_domain::request::RequestKey;
use frugal_domain::scoring::Observation;
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{OfferedResponse, ScoreKey};
use std::collections::BTreeMap;

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
    /// What scorers said.
    pub scores: BTreeMap<ScoreKey, Result<Observation, String>>,
    /// What the requests may have cost that were in flight when a worker died.
    pub lost: Spend,
    /// Whether it was told that the held-out rows are scored.
    pub validation_completed: bool,
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
