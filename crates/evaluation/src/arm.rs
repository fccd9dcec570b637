//! An arm: one point of the sampling settings, with all that was drawn for it.
//!
//! A response depends on the sampling settings and the instance, not on n (the paper's section 3),
//! so what was drawn answers what any extent would be worth. One that ended by itself within L
//! tokens serves every `max_tokens` ≥ L; one that was cut serves the `max_tokens` that cut it; and
//! each serves, cut shorter, every smaller one. Under larger ones the
//! [bias toward short answers](MOST_UNSERVED_SHARE) is kept small.

use crate::draw::{DrawnResponse, ScoredResponse, Service};
use crate::draws::Draws;
use crate::inference_cost::inference_spend;
use crate::majority::{expected_majority, pooled_majority};
use crate::reducer::{expected_success, pooled_best, pooled_worst, reduce};
use crate::scores::{Cut, ScoreKey, ScorePlan};
use crate::selected::{expected_selected, pooled_selected};
use crate::statistics::estimate;
use frugal_domain::configuration::Extent;
use frugal_domain::money::{Prices, Unit, Usage};
use frugal_domain::scoring::{Observation, Reducer};
use frugal_domain::trial::Estimate;
use std::collections::BTreeMap;

/// The largest share of the responses drawn under one `max_tokens` that may be of no use under
/// a larger one for the rest to serve there.
///
/// Those that were cut cannot serve a larger limit, so taking those that ended and drawing the
/// rest anew would favour short answers. A limit on the share left out is a limit on that bias.
/// A smaller limit is served by all: those that are too long are cut.
pub const MOST_UNSERVED_SHARE: f64 = 0.05;

/// All that was drawn under the same sampling settings, in the order in which the trials were
/// committed that drew it.
#[derive(Debug, Clone, Default)]
pub struct Arm {
    draws: Draws,
}

/// A response as it is used under a limit of tokens.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// The response, as it was drawn.
    pub draw: DrawnResponse,
    /// What of it is scored: all, or what a limit leaves.
    pub key: ScoreKey,
    /// What was said of that; nothing where it is not scored.
    pub observed: Option<Observation>,
}

impl Used {
    /// Its length in tokens, as it is used.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.key.max_tokens.map_or(self.draw.tokens, u64::from)
    }

    /// Whether it ended by itself, as it is used.
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.draw.ended && self.key.max_tokens.is_none()
    }
}

/// What it takes to price an extent.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// What the model charges.
    pub prices: Prices,
    /// The most responses that one request yields; no limit where absent.
    pub most_per_request: Option<u32>,
    /// What a cost is counted in.
    pub unit: Unit,
}

impl Arm {
    /// An arm of these draws, in the order in which they are used, with what is known of their scores.
    /// Draws that are there twice count once.
    #[must_use]
    pub fn of(
        draws: impl IntoIterator<Item = DrawnResponse>,
        scores: impl IntoIterator<Item = (ScoreKey, Observation)>,
    ) -> Self {
        let mut arm = Self::default();
        for draw in draws {
            arm.add(draw);
        }
        arm.remember(scores);
        arm
    }

    /// The first so many responses of each instance that serve a limit of tokens fairly, each with how it
    /// is cut for that and with what was said of it, in the order in which they are used.
    #[must_use]
    pub fn used(&self, max_tokens: u32, most: usize) -> Vec<Used> {
        let serving = self.serving(max_tokens, most).into_iter();
        let used = serving.filter_map(|(place, service)| {
            let draw = self.draws.get(place)?;
            let key = key(&draw, service, max_tokens)?;
            Some(Used {
                draw,
                key,
                observed: self.draws.observed(place, key.max_tokens),
            })
        });
        used.collect()
    }

    /// What the first so many responses to each instance are worth under an extent, as
    /// [`utility`](Self::utility) has it; without those that are not scored.
    #[must_use]
    pub fn worth_by_instance(
        &self,
        extent: Extent,
        reducer: Reducer,
        most: usize,
    ) -> BTreeMap<usize, f64> {
        let held = self.held(extent.max_tokens, most, |_| true);
        let worth = |(instance, held): (&usize, &Vec<ScoredResponse>)| {
            let pool: Vec<Observation> = held.iter().map(|one| one.observed).collect();
            Some((*instance, worth(reducer, &pool, extent.n)?))
        };
        held.iter().filter_map(worth).collect()
    }

    /// Responses.
    #[must_use]
    pub fn responses(&self) -> usize {
        self.draws.len()
    }

    /// The completion tokens of all responses, and how many these are.
    #[must_use]
    pub fn completion_tokens(&self) -> (u64, u64) {
        let tokens = self.draws.iter().map(|draw| draw.tokens);
        let all = tokens.fold(0, u64::saturating_add);
        (all, self.responses() as u64)
    }

    /// How many responses each instance has, by its index; instances without any are left out.
    #[must_use]
    pub fn responses_by_instance(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for draw in self.draws.iter() {
            *counts.entry(draw.instance).or_default() += 1;
        }
        counts
    }

    /// The responses that serve a limit of tokens fairly and are scored as they serve it: as they were
    /// drawn or cut, with their scores. None where too many of those that serve are not scored so: they
    /// would be the long ones.
    pub fn serving_with_scores(
        &self,
        max_tokens: u32,
    ) -> impl Iterator<Item = (DrawnResponse, Observation)> {
        let serving = self.serving(max_tokens, usize::MAX);
        let all = serving.len();
        let scored: Vec<(DrawnResponse, Observation)> = serving
            .into_iter()
            .filter_map(|(place, service)| {
                let draw = self.draws.get(place)?;
                let key = key(&draw, service, max_tokens)?;
                Some((draw, self.draws.observed(place, key.max_tokens)?))
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let fair = (all - scored.len()) as f64 <= MOST_UNSERVED_SHARE * all as f64;
        scored.into_iter().filter(move |_| fair)
    }

    /// What was said of the responses as they were drawn, by instance.
    #[must_use]
    pub fn observed(&self) -> BTreeMap<usize, Vec<Observation>> {
        let mut observed: BTreeMap<usize, Vec<Observation>> = BTreeMap::new();
        for (place, draw) in self.draws.iter().enumerate() {
            if let Some(said) = self.draws.observed(place, None) {
                observed.entry(draw.instance).or_default().push(said);
            }
        }
        observed
    }

    /// What was said of a response, whole or cut, if it is here and that is known.
    #[must_use]
    pub fn score(&self, key: &ScoreKey) -> Option<Observation> {
        self.draws
            .observed_of(key.response, key.instance, key.max_tokens)
    }

    /// What must be scored before [`Self::utility`] can tell what a limit of tokens is worth.
    #[must_use]
    pub fn unscored(&self, max_tokens: u32) -> Vec<ScorePlan> {
        self.wanted(max_tokens, usize::MAX)
    }

    /// What the responses to an instance are worth under an extent, the mean over the instances that
    /// have any, and how sure that is. Nothing where no response serves, or some that do are not
    /// [scored](Self::unscored).
    ///
    /// From m responses of mean score p the n of the extent are worth, by the reducer:
    /// - mean: p;
    /// - expected success: 1 − (1 − p)ⁿ, the plug-in estimate, whether m is above n or below;
    /// - success: where m ≥ n the mean of the best over all n-subsets, which is unbiased (for scores
    ///   of 0 and 1, s of them 1: 1 − C(m−s, n)/C(m, n)); below, the plug-in estimate;
    /// - min: where m ≥ n the mean of the worst over all n-subsets; below, the plug-in estimate pⁿ;
    /// - majority, and the best of n by the selector: where m ≥ n the mean over all n-subsets; below,
    ///   that over n draws with replacement.
    #[must_use]
    pub fn utility(&self, extent: Extent, reducer: Reducer) -> Option<Estimate> {
        if !self.unscored(extent.max_tokens).is_empty() {
            return None;
        }
        let worth = self.worth_by_instance(extent, reducer, usize::MAX);
        estimate(&worth.into_values().collect::<Vec<_>>())
    }

    /// What an instance costs under an extent, in the rates' unit as people read it: its prompt once
    /// per request that n responses take, and n responses of the mean length. The mean over the
    /// instances that have any response that serves, and how sure that is. Nothing where none has.
    ///
    /// `prompt_tokens` are those of an instance's prompt.
    #[must_use]
    pub fn cost(
        &self,
        extent: Extent,
        rates: Rates,
        prompt_tokens: impl Fn(usize) -> u64,
    ) -> Option<Estimate> {
        let cap = u64::from(extent.max_tokens);
        let mut lengths: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        let serving = self.serving(extent.max_tokens, usize::MAX).into_iter();
        for draw in serving.filter_map(|(place, _)| self.draws.get(place)) {
            let of_instance = lengths.entry(draw.instance).or_default();
            of_instance.push(draw.tokens.min(cap));
        }
        let cost = |(instance, lengths): (&usize, &Vec<u64>)| {
            let total: u128 = lengths.iter().map(|length| u128::from(*length)).sum();
            let drawn = lengths.len() as u128;
            // Rounded, as books are; the error is below one token in n.
            let completion = (total * u128::from(extent.n) + drawn / 2) / drawn;
            let usage = Usage {
                prompt_tokens: prompt_tokens(*instance),
                completion_tokens: u64::try_from(completion).unwrap_or(u64::MAX),
            };
            let spend = inference_spend(rates.prices, rates.most_per_request, extent.n, usage);
            #[expect(clippy::cast_precision_loss, reason = "for comparison, not for books")]
            rates.unit.display(rates.unit.of(spend) as f64)
        };
        let values: Vec<f64> = lengths.iter().map(cost).collect();
        estimate(&values)
    }

    /// Takes in a response, unless it is there already. Whether it is new.
    pub(crate) fn add(&mut self, draw: DrawnResponse) -> bool {
        self.draws.add(draw)
    }

    /// Keeps scores of responses that are here, so that nothing is scored twice.
    pub(crate) fn remember(&mut self, scores: impl IntoIterator<Item = (ScoreKey, Observation)>) {
        for (key, said) in scores {
            self.draws
                .observe(key.response, key.instance, key.max_tokens, said);
        }
    }

    /// The places of the draws that serve a limit of tokens fairly, the first so many of each instance.
    fn serving(&self, max_tokens: u32, most: usize) -> Vec<(usize, Service)> {
        // Drawn and of no use here, by the `max_tokens` that they were drawn under.
        let mut unserved: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        for draw in self.draws.iter() {
            let (drawn, useless) = unserved.entry(draw.max_tokens).or_default();
            *drawn += 1;
            *useless += u32::from(draw.service(max_tokens) == Service::None);
        }
        let fair = |draw: &DrawnResponse| {
            let of_limit = unserved.get(&draw.max_tokens);
            of_limit.is_some_and(|&(drawn, useless)| {
                f64::from(useless) <= MOST_UNSERVED_SHARE * f64::from(drawn)
            })
        };
        let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
        let draws = self.draws.iter().enumerate();
        let serving = draws.filter_map(|(place, draw)| {
            let service = draw.service(max_tokens);
            let taken = taken.entry(draw.instance).or_default();
            let serves = service != Service::None && *taken < most && fair(&draw);
            *taken += usize::from(serves);
            serves.then_some((place, service))
        });
        serving.collect()
    }

    /// Of the first so many responses of each instance that serve a limit of tokens, those that are
    /// not scored as they serve: whole, or cut first.
    pub(crate) fn wanted(&self, max_tokens: u32, most: usize) -> Vec<ScorePlan> {
        let serving = self.serving(max_tokens, most).into_iter();
        let plans = serving.filter_map(|(place, service)| {
            let draw = self.draws.get(place)?;
            let key = key(&draw, service, max_tokens)?;
            let cut = key.max_tokens.map(|max_tokens| Cut {
                tokens: draw.tokens,
                max_tokens,
            });
            let unknown = self.draws.observed(place, key.max_tokens).is_none();
            unknown.then_some(ScorePlan { key, cut })
        });
        plans.collect()
    }

    /// The first so many responses of each instance that is asked for that serve a limit of tokens, as they
    /// serve it. What is not scored is left out.
    pub(crate) fn held(
        &self,
        max_tokens: u32,
        most: usize,
        is_asked: impl Fn(usize) -> bool,
    ) -> BTreeMap<usize, Vec<ScoredResponse>> {
        let mut held: BTreeMap<usize, Vec<ScoredResponse>> = BTreeMap::new();
        for (place, service) in self.serving(max_tokens, most) {
            let draw = self.draws.get(place);
            let Some(draw) = draw.filter(|draw| is_asked(draw.instance)) else {
                continue;
            };
            let Some(key) = key(&draw, service, max_tokens) else {
                continue;
            };
            let Some(observed) = self.draws.observed(place, key.max_tokens) else {
                continue;
            };
            let (tokens, ended) = match key.max_tokens {
                None => (draw.tokens, draw.ended),
                Some(max_tokens) => (max_tokens.into(), false),
            };
            held.entry(draw.instance).or_default().push(ScoredResponse {
                id: draw.id,
                observed,
                tokens,
                ended,
                latency_ms: draw.latency_ms,
            });
        }
        held
    }
}

/// Which score of a draw counts under a limit of tokens.
fn key(draw: &DrawnResponse, service: Service, max_tokens: u32) -> Option<ScoreKey> {
    let max_tokens = match service {
        Service::AsItIs => None,
        Service::Cut => Some(max_tokens),
        Service::None => return None,
    };
    Some(ScoreKey {
        response: draw.id,
        max_tokens,
        instance: draw.instance,
    })
}

/// What n responses are worth, judged by a pool of them; nothing where the pool is empty.
fn worth(reducer: Reducer, pool: &[Observation], n: u32) -> Option<f64> {
    if pool.is_empty() {
        return None;
    }
    let scores: Vec<f64> = pool.iter().map(|one| one.score).collect();
    let mean = reduce(Reducer::Mean, &scores);
    let plug_in = || expected_success(mean * f64::from(n), f64::from(n));
    let size = usize::try_from(n).unwrap_or(usize::MAX);
    Some(match reducer {
        Reducer::Mean => mean,
        Reducer::ExpectedSuccess => plug_in(),
        Reducer::Success => pooled_best(&scores, size).unwrap_or_else(plug_in),
        Reducer::Min => pooled_worst(&scores, size).unwrap_or_else(|| mean.powf(n.into())),
        Reducer::Majority => {
            pooled_majority(pool, size).unwrap_or_else(|| expected_majority(pool, size))
        }
        Reducer::BestOfN => {
            pooled_selected(pool, size).unwrap_or_else(|| expected_selected(pool, size))
        }
    })
}

#[cfg(test)]
mod tests;
