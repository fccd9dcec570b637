//! A configuration to evaluate, as far as the evaluator needs to know it.

use frugal_domain::configuration::Settings;
use frugal_domain::id::TrialNumber;
use frugal_domain::money::{Budget, Prices};
use frugal_domain::request::Purpose;
use std::sync::Arc;

/// What a trial is to evaluate.
#[derive(Debug, Clone)]
pub struct TrialPlan {
    /// The trial's number, which names its responses.
    pub number: TrialNumber,
    /// What its requests are sent for.
    pub purpose: Purpose,
    /// What is evaluated. Both `n` and `max_tokens` are at least 1.
    pub settings: Settings,
    /// The most responses that one request yields; no limit where absent. With a limit no
    /// request asks for more, and the inference cost counts the prompt once per request that
    /// n responses take. The reference's schedule takes no notice of it.
    pub most_per_request: Option<u32>,
    /// What the model charges.
    pub prices: Prices,
    /// An upper bound on the prompt tokens of each instance, for worst cases and sure fits
    /// until the endpoint has told the true number.
    pub prompt_token_bounds: Arc<[u64]>,
    /// Whether the trial may be pruned.
    pub mode: Mode,
}

/// Whether a trial may be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By the evaluator's schedule.
    Scheduled,
    /// Never: all instances at once, for validation.
    Full,
    /// Never, but it may cost only so much: as many instances as that pays for, few first. For
    /// baselines.
    Bounded {
        /// What it may cost.
        allowance: Budget,
        /// Whether it goes on once it is surely over the inference budget.
        beyond_budget: bool,
    },
}

/// A plan that makes no trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// There is nothing to evaluate on.
    #[error("there are no instances")]
    NoInstances,
    /// `n` is 0.
    #[error("n must be at least 1")]
    NoResponses,
    /// `max_tokens` is 0.
    #[error("max_tokens must be at least 1")]
    NoTokens,
    /// The bounds on prompt tokens are not one per instance.
    #[error("{given} bounds on prompt tokens were given for {instances} instances")]
    Bounds {
        /// Bounds given.
        given: usize,
        /// Instances of the job.
        instances: usize,
    },
}
