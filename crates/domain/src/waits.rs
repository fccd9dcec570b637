//! What attempts wait for before they are sent, and how long, over all jobs.

use crate::event::WaitReason;
use crate::names::names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

names! {
    /// What keeps an attempt from being sent: what a job is told of as a [`WaitReason`], an outage,
    /// or the exchange with the other workers.
    pub enum WaitCause: "cause of waiting" {
        /// As many requests are in flight as the endpoint or the model takes at once.
        RequestsInFlight = "requests_in_flight",
        /// The requests of a minute are used up.
        RequestsPerMinute = "requests_per_minute",
        /// The tokens of a minute are used up.
        TokensPerMinute = "tokens_per_minute",
        /// The endpoint asked to wait.
        RetryAfter = "retry_after",
        /// The endpoint refused requests for being too many, so they are sent more slowly.
        Pace = "pace",
        /// The model answers nobody.
        Outage = "outage",
        /// The worker has yet to hear from the database what it may send.
        Exchange = "exchange",
    }
}

impl From<WaitReason> for WaitCause {
    fn from(reason: WaitReason) -> Self {
        match reason {
            WaitReason::RequestsInFlight => Self::RequestsInFlight,
            WaitReason::RequestsPerMinute => Self::RequestsPerMinute,
            WaitReason::TokensPerMinute => Self::TokensPerMinute,
            WaitReason::RetryAfter => Self::RetryAfter,
            WaitReason::Pace => Self::Pace,
        }
    }
}

/// Waits for one cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// How often an attempt began to wait for it.
    pub waits: u64,
    /// How long attempts waited for it, all together, in milliseconds.
    pub waited_ms: u64,
}

/// Waits by what they were for.
pub type Waits = BTreeMap<WaitCause, Waited>;

/// Adds waits that were counted elsewhere.
pub fn add(waits: &mut Waits, others: &Waits) {
    for (cause, other) in others {
        let waited = waits.entry(*cause).or_default();
        waited.waits += other.waits;
        waited.waited_ms += other.waited_ms;
    }
}
