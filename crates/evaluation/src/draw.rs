//! A response as it was drawn, and how it stands to a limit of tokens.

use frugal_domain::request::ResponseId;
use frugal_domain::scoring::Observation;

/// A response of another job, with the same endpoint, model, rendered prompt and sampling
/// settings: as good as one's own, and paid for already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferedResponse {
    /// Which one.
    pub id: ResponseId,
    /// The instance of this job whose prompt it answers, by its index.
    pub instance: usize,
    /// The `max_tokens` that it was drawn under.
    pub max_tokens: u32,
    /// Tokens of its prompt, as the endpoint reported them.
    pub prompt_tokens: u64,
    /// Its share of its request's completion tokens.
    pub tokens: u64,
    /// It ended by itself and was not cut at `max_tokens`.
    pub ended: bool,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
    /// Bytes of its text.
    pub bytes: u64,
}

/// A scored response as a trial uses it: whole, or cut to the trial's limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScoredResponse {
    pub(crate) id: ResponseId,
    /// What was said of it.
    pub(crate) observed: Observation,
    /// Its share of the request's completion tokens, or the limit that it was cut to.
    pub(crate) tokens: u64,
    /// It ended by itself.
    pub(crate) ended: bool,
    /// How long its request took.
    pub(crate) latency_ms: u64,
}

/// A response as it was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawnResponse {
    /// Which one.
    pub id: ResponseId,
    /// The instance that it answers, by its index.
    pub instance: usize,
    /// The `max_tokens` that it was drawn under.
    pub max_tokens: u32,
    /// Its share of its request's completion tokens.
    pub tokens: u64,
    /// It ended by itself and was not cut at `max_tokens`.
    pub ended: bool,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
}

/// A response as it was drawn, with what was said of it.
#[derive(Debug, Clone, Copy)]
pub struct ScoredDraw {
    /// The response.
    pub response: DrawnResponse,
    /// What was said of all of it.
    pub observed: Observation,
    /// The fewest of its tokens that are known to score as well.
    pub enough: u64,
}

impl ScoredDraw {
    /// A response of which nothing less than all is known to be as good.
    #[must_use]
    pub const fn whole(response: DrawnResponse, observed: Observation) -> Self {
        Self {
            response,
            observed,
            enough: response.tokens,
        }
    }
}

/// How a draw stands to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// As it is: it is what the endpoint could have answered.
    AsItIs,
    /// Cut to the limit, which is what the endpoint would have made of it.
    Cut,
    /// Not at all: it was cut before the limit.
    None,
}

impl DrawnResponse {
    pub(crate) fn service(&self, max_tokens: u32) -> Service {
        let fits = self.tokens.min(self.max_tokens.into()) <= u64::from(max_tokens);
        if self.max_tokens == max_tokens || self.ended && fits {
            Service::AsItIs
        } else if self.max_tokens > max_tokens {
            Service::Cut
        } else {
            Service::None
        }
    }
}

impl From<OfferedResponse> for DrawnResponse {
    fn from(offered: OfferedResponse) -> Self {
        Self {
            id: offered.id,
            instance: offered.instance,
            max_tokens: offered.max_tokens,
            tokens: offered.tokens,
            ended: offered.ended,
            latency_ms: offered.latency_ms,
        }
    }
}
