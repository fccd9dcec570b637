//! What the operator allows of an endpoint or of one of its models.

use frugal_domain::endpoint::{Limits, ModelLimits};

/// Milliseconds: of a clock, or between two of its moments. Which clock it is, the context says.
pub type Millis = i64;

/// A minute, over which rates are counted.
pub const MINUTE: Millis = 60_000;

/// How long a worker that says nothing keeps its slots, or the right to probe.
pub const LEASE: Millis = 10_000;

/// The limits of one scope: an endpoint as a whole, or one of its models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeLimits {
    /// The most requests in flight at once.
    pub in_flight: Option<u32>,
    /// The most requests that are sent within any minute.
    pub requests_per_minute: Option<u32>,
    /// The most tokens that are asked for within any minute.
    pub tokens_per_minute: Option<u64>,
}

impl From<&Limits> for ScopeLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            in_flight: Some(limits.requests_in_flight),
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
        }
    }
}

impl From<&ModelLimits> for ScopeLimits {
    fn from(limits: &ModelLimits) -> Self {
        Self {
            in_flight: limits.requests_in_flight,
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
        }
    }
}

impl ScopeLimits {
    /// What a request counts of the tokens. One that is larger than all of a minute's counts as a
    /// minute's, or it would wait for ever; what the endpoint makes of it, it says itself.
    #[must_use]
    pub fn charge(&self, tokens: u64) -> u64 {
        self.tokens_per_minute.map_or(0, |most| tokens.min(most))
    }
}
