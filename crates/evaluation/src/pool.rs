//! The pool: every response that was paid for, to be used by later trials.

use frugal_domain::id::TrialNumber;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest share of the responses drawn under one `max_tokens` that may be of no use under
/// another for the rest to serve there.
///
/// Which responses can serve depends on their lengths, so taking those that can and drawing
/// the rest anew would favour short answers. A limit on the share left out is a limit on that
/// bias.
pub const MOST_UNSERVED_SHARE: f64 = 0.05;

/// Which response: the trial that bought it, the request within the trial, and the position
/// in that request's answer. All count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResponseId {
    /// The trial that bought it.
    pub trial: TrialNumber,
    /// The request within that trial.
    pub ordinal: u32,
    /// The position in the request's answer.
    pub position: u32,
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

#[derive(Debug, Clone)]
struct Draw {
    instance: usize,
    max_tokens: u32,
    response: Held,
}

impl Draw {
    /// Whether it is what the endpoint could have answered under this `max_tokens`.
    fn serves(&self, max_tokens: u32) -> bool {
        self.max_tokens == max_tokens
            || self.response.ended
                && self.response.tokens.min(self.max_tokens.into()) <= u64::from(max_tokens)
    }
}

/// Responses by sampling settings, in the order in which their trials were committed.
///
/// A response depends on the sampling settings and the instance, not on n (the paper's
/// section 3). One that ended by itself within L tokens serves every `max_tokens` ≥ L; one
/// that was cut serves exactly the `max_tokens` that cut it. Cutting a text shorter to serve
/// a smaller `max_tokens` is left out. Across different `max_tokens` the
/// [bias toward short answers](MOST_UNSERVED_SHARE) is kept small.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    draws: BTreeMap<String, Vec<Draw>>,
}

impl Pool {
    pub(crate) fn add(
        &mut self,
        sampling: &str,
        max_tokens: u32,
        bought: impl Iterator<Item = (usize, Held)>,
    ) {
        let mut bought = bought.peekable();
        if bought.peek().is_none() {
            return;
        }
        let draws = self.draws.entry(sampling.to_owned()).or_default();
        draws.extend(bought.map(|(instance, response)| Draw {
            instance,
            max_tokens,
            response,
        }));
    }

    /// The responses that serve under these settings, by instance.
    pub(crate) fn serving(
        &self,
        sampling: &str,
        max_tokens: u32,
        instances: usize,
    ) -> Vec<Vec<Held>> {
        let mut serving = vec![Vec::new(); instances];
        let Some(draws) = self.draws.get(sampling) else {
            return serving;
        };
        // Drawn and of no use here, by the `max_tokens` that they were drawn under.
        let mut unserved: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        for draw in draws {
            let (drawn, useless) = unserved.entry(draw.max_tokens).or_default();
            *drawn += 1;
            *useless += u32::from(!draw.serves(max_tokens));
        }
        for draw in draws {
            let fair = unserved
                .get(&draw.max_tokens)
                .is_some_and(|&(drawn, useless)| {
                    f64::from(useless) <= MOST_UNSERVED_SHARE * f64::from(drawn)
                });
            if fair
                && draw.serves(max_tokens)
                && let Some(responses) = serving.get_mut(draw.instance)
            {
                responses.push(draw.response.clone());
            }
        }
        serving
    }

    pub(crate) fn len(&self) -> usize {
        self.draws.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(position: u32, tokens: u64, ended: bool) -> Held {
        Held {
            id: ResponseId {
                trial: TrialNumber(0),
                ordinal: 0,
                position,
            },
            score: 1.0,
            tokens,
            ended,
            latency_ms: 0,
        }
    }

    fn served(pool: &Pool, max_tokens: u32) -> Vec<u32> {
        let serving = pool.serving("s", max_tokens, 1);
        serving[0].iter().map(|held| held.id.position).collect()
    }

    #[test]
    fn a_response_that_ended_serves_every_limit_that_it_fits() {
        let mut pool = Pool::default();
        pool.add(
            "s",
            100,
            [(0, held(0, 40, true)), (0, held(1, 60, true))].into_iter(),
        );
        assert_eq!(served(&pool, 60), [0, 1]);
        assert_eq!(served(&pool, 100), [0, 1]);
        assert_eq!(served(&pool, 5_000), [0, 1]);
        assert!(pool.serving("other", 100, 1)[0].is_empty());
    }

    #[test]
    fn a_cut_response_serves_its_own_limit_only() {
        let mut pool = Pool::default();
        let responses = (0..20).map(|position| (0, held(position, 50, position > 0)));
        pool.add("s", 50, responses);
        assert_eq!(served(&pool, 50).len(), 20);
        // One of twenty was cut: the others serve without much of a bias.
        assert_eq!(served(&pool, 51), (1..20).collect::<Vec<_>>());
    }

    #[test]
    fn short_answers_are_not_favoured() {
        let mut pool = Pool::default();
        pool.add(
            "s",
            100,
            (0..20).map(|p| (0, held(p, 10 + u64::from(p) * 5, true))),
        );
        // Many would be too long under 60: taking the short ones alone would skew the sample.
        assert_eq!(served(&pool, 60), [0; 0]);
        assert_eq!(served(&pool, 100).len(), 20);
        // What was drawn under 60 itself is fair whatever its length.
        pool.add("s", 60, [(0, held(77, 60, false))].into_iter());
        assert_eq!(served(&pool, 60), [77]);
    }
}
