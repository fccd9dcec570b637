//! What a trial finds on one instance.

use crate::draw::ScoredResponse;
use crate::inference_cost::inference_spend;
use frugal_domain::money::{Prices, Spend, Usage};
use frugal_domain::request::ResponseId;
use frugal_domain::scoring::Observation;

/// What a trial found on one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluatedInstance {
    /// The instance, by its index.
    pub instance: usize,
    /// Its n responses (the reference's schedule may have got fewer), those of the pool first.
    pub responses: Vec<UsedResponse>,
    /// Tokens of its prompt.
    pub prompt_tokens: u64,
    /// What it costs under the configuration: the prompt once and these responses, whatever
    /// requests they came from.
    pub inference_cost: Spend,
}

/// A response as a trial's evaluation uses it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsedResponse {
    /// Which one; of another trial where it came from the pool.
    pub id: ResponseId,
    /// What was said of it.
    pub observed: Observation,
    /// Its share of its request's completion tokens; `max_tokens` where it was cut to that.
    pub completion_tokens: u64,
    /// It ended by itself and was not cut at `max_tokens`.
    pub ended: bool,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
}

/// What it takes to price an instance under a configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pricing {
    pub(crate) prices: Prices,
    pub(crate) most_per_request: Option<u32>,
    pub(crate) n: u32,
}

impl Pricing {
    pub(crate) fn evaluated(
        self,
        instance: usize,
        prompt_tokens: u64,
        used: &[ScoredResponse],
    ) -> EvaluatedInstance {
        let usage = Usage {
            prompt_tokens,
            completion_tokens: used
                .iter()
                .fold(0, |sum, held| sum.saturating_add(held.tokens)),
        };
        let Self {
            prices,
            most_per_request,
            n,
        } = self;
        EvaluatedInstance {
            instance,
            responses: used
                .iter()
                .map(|held| UsedResponse {
                    id: held.id,
                    observed: held.observed,
                    completion_tokens: held.tokens,
                    ended: held.ended,
                    latency_ms: held.latency_ms,
                })
                .collect(),
            prompt_tokens,
            inference_cost: inference_spend(prices, most_per_request, n, usage),
        }
    }
}
