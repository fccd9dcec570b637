//! The pool: every response that was paid for, to be used by later trials.

use frugal_domain::configuration::Sampling;
use frugal_domain::id::{JobId, TrialNumber};
use frugal_domain::request::Purpose;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The largest share of the responses drawn under one `max_tokens` that may be of no use under
/// a larger one for the rest to serve there.
///
/// Those that were cut cannot serve a larger limit, so taking those that ended and drawing the
/// rest anew would favour short answers. A limit on the share left out is a limit on that bias.
/// A smaller limit is served by all: those that are too long are cut.
pub const MOST_UNSERVED_SHARE: f64 = 0.05;

/// Which response: where it was bought, the request within the trial, and the position in that
/// request's answer. All count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResponseId {
    /// The job that bought it.
    pub source: Source,
    /// The trial that bought it.
    pub trial: TrialNumber,
    /// The request within that trial.
    pub ordinal: u32,
    /// The position in the request's answer.
    pub position: u32,
}

/// The job that bought a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This one.
    This,
    /// Another one of the same owner.
    Other {
        /// Which.
        job: JobId,
        /// What it bought it for.
        purpose: Purpose,
    },
}

/// A response of another job, with the same endpoint, model, rendered prompt and sampling
/// settings: as good as one's own, and paid for already.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offered {
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
    /// How good it is, by this job's scoring.
    pub score: f64,
    /// How long its request took, in milliseconds.
    pub latency_ms: u64,
}

/// A response with what is needed of it later.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(crate) id: ResponseId,
    pub(crate) score: f64,
    /// Its share of the request's completion tokens.
    pub(crate) tokens: u64,
    /// It ended by itself.
    pub(crate) ended: bool,
    /// How long its request took.
    pub(crate) latency_ms: u64,
}

/// A response as it was drawn.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    pub(crate) instance: usize,
    pub(crate) max_tokens: u32,
    pub(crate) response: Held,
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
        let fits = self.response.tokens.min(self.max_tokens.into()) <= u64::from(max_tokens);
        if self.max_tokens == max_tokens || self.response.ended && fits {
            Service::AsItIs
        } else if self.max_tokens > max_tokens {
            Service::Cut
        } else {
            Service::None
        }
    }
}

impl From<Offered> for Draw {
    fn from(offered: Offered) -> Self {
        Self {
            instance: offered.instance,
            max_tokens: offered.max_tokens,
            response: Held {
                id: offered.id,
                score: offered.score,
                tokens: offered.tokens,
                ended: offered.ended,
                latency_ms: offered.latency_ms,
            },
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
    /// Scores of responses cut to some `max_tokens`.
    cuts: BTreeMap<(ResponseId, u32), f64>,
}

impl Pool {
    /// Takes in what a trial bought or was offered. What the pool has already is left out.
    pub(crate) fn add(&mut self, sampling: &Sampling, draws: impl IntoIterator<Item = Draw>) {
        for draw in draws {
            if self.known.insert(draw.response.id) {
                let held = self.draws.entry(sampling.clone()).or_default();
                held.push(draw);
            }
        }
    }

    /// Keeps the scores of cut responses, so that they need not be cut again.
    pub(crate) fn remember(
        &mut self,
        max_tokens: u32,
        cuts: impl Iterator<Item = (ResponseId, f64)>,
    ) {
        self.cuts
            .extend(cuts.map(|(id, score)| ((id, max_tokens), score)));
    }

    pub(crate) fn draws(&self, sampling: &Sampling) -> &[Draw] {
        self.draws.get(sampling).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn cut(&self, id: ResponseId, max_tokens: u32) -> Option<f64> {
        self.cuts.get(&(id, max_tokens)).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}
