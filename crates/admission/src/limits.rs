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
    /// Whether fewer are kept in flight where more of them bring no more answers.
    pub is_adaptive: bool,
}

impl From<&Limits> for ScopeLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            in_flight: Some(limits.requests_in_flight),
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            // Each model is served by slots of its own.
            is_adaptive: false,
        }
    }
}

impl ScopeLimits {
    /// Those of a model, within its endpoint's.
    #[must_use]
    pub fn of_model(endpoint: &Limits, model: &ModelLimits) -> Self {
        let most = endpoint.requests_in_flight;
        Self {
            in_flight: match endpoint.adaptive_concurrency {
                true => Some(model.requests_in_flight.unwrap_or(most).min(most)),
                false => model.requests_in_flight,
            },
            requests_per_minute: model.requests_per_minute,
            tokens_per_minute: model.tokens_per_minute,
            is_adaptive: endpoint.adaptive_concurrency,
        }
    }

    /// What a request counts of the tokens. One that is larger than all of a minute's counts as a
    /// minute's, or it would wait for ever; what the endpoint makes of it, it says itself.
    #[must_use]
    pub fn charge(&self, tokens: u64) -> u64 {
        self.tokens_per_minute.map_or(0, |most| tokens.min(most))
    }
}
