//! The pool: every response that was paid for, to be used by later trials.

use crate::scores::ScoreKey;
use frugal_domain::configuration::Sampling;
use frugal_domain::request::ResponseId;
use std::collections::{BTreeMap, BTreeSet};

/// The largest share of the responses drawn under one `max_tokens` that may be of no use under
/// a larger one for the rest to serve there.
///
/// Those that were cut cannot serve a larger limit, so taking those that ended and drawing the
/// rest anew would favour short answers. A limit on the share left out is a limit on that bias.
/// A smaller limit is served by all: those that are too long are cut.
pub const MOST_UNSERVED_SHARE: f64 = 0.05;

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
}

/// A scored response as a trial uses it: whole, or cut to the trial's limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) id: ResponseId,
    pub(crate) score: f64,
    /// Its share of the request's completion tokens, or the limit that it was cut to.
    pub(crate) tokens: u64,
    /// It ended by itself.
    pub(crate) ended: bool,
    /// How long its request took.
    pub(crate) latency_ms: u64,
}

/// A response as it was drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub(crate) id: ResponseId,
    pub(crate) instance: usize,
    pub(crate) max_tokens: u32,
    pub(crate) tokens: u64,
    pub(crate) ended: bool,
    pub(crate) latency_ms: u64,
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

impl Draw {
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

impl From<OfferedResponse> for Draw {
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

/// Responses by sampling settings, in the order in which their trials were committed.
///
/// A response depends on the sampling settings and the instance, not on n (the paper's
/// section 3). One that ended by itself within L tokens serves every `max_tokens` ≥ L; one
/// that was cut serves the `max_tokens` that cut it; and each serves, cut shorter, every smaller
/// one. Under larger ones the [bias toward short answers](MOST_UNSERVED_SHARE) is kept small.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    draws: BTreeMap<Sampling, Vec<Draw>>,
    known: BTreeSet<ResponseId>,
    /// What scorers said of them, whole or cut.
    scores: BTreeMap<ScoreKey, f64>,
}

impl Pool {
    /// Takes in what a trial bought or was offered. What the pool has already is left out.
    pub(crate) fn add(&mut self, sampling: &Sampling, draws: impl IntoIterator<Item = Draw>) {
        for draw in draws {
            if self.known.insert(draw.id) {
                let held = self.draws.entry(sampling.clone()).or_default();
                held.push(draw);
            }
        }
    }

    /// Keeps scores, so that nothing is scored twice.
    pub(crate) fn remember(&mut self, scores: impl Iterator<Item = (ScoreKey, f64)>) {
        self.scores.extend(scores);
    }

    pub(crate) fn draws(&self, sampling: &Sampling) -> &[Draw] {
        self.draws.get(sampling).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn score(&self, key: ScoreKey) -> Option<f64> {
        self.scores.get(&key).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}
