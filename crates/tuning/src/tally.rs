//! What was used and counted: of a request, of a trial, of the job.

use frugal_domain::id::TrialNumber;
use frugal_domain::money::Spend;
use frugal_domain::spend::SpendByCategory;
use frugal_domain::trial::Progress;
use frugal_evaluation::{Receipt, RequestFailure};

/// What came of a request, and what it is counted at.
#[derive(Debug, Clone)]
pub struct SettledRequest {
    /// The responses, or why there are none.
    pub result: Result<Receipt, RequestFailure>,
    /// What was billed.
    pub cost: Spend,
    /// What attempts that brought nothing may have cost besides, at most.
    pub uncertain: Spend,
    /// Whether the endpoint left the usage out, so that it is an estimate.
    pub usage_estimated: bool,
    /// How many of the responses hold no text.
    pub empty_responses: u32,
    /// Bytes of the longest text of the responses.
    pub longest_text: u64,
}

/// What a trial has used so far, whether it was done anew or taken from the past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// What its requests cost, without what is uncertain.
    pub spend: Spend,
    /// Requests settled.
    pub requests: u32,
    /// Responses received.
    pub responses: u32,
}

impl Tally {
    /// Adds what was used besides.
    pub(crate) fn add(&mut self, other: Self) {
        self.spend += other.spend;
        self.requests = self.requests.saturating_add(other.requests);
        self.responses = self.responses.saturating_add(other.responses);
    }
}

/// A job at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Trials by outcome, requests, responses.
    pub progress: Progress,
    /// What was spent.
    pub spend: SpendByCategory,
    /// The best valid trial.
    pub best: Option<TrialNumber>,
}
