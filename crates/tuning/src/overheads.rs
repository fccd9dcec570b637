//! What models bill beyond the bounds that worst cases rest on, learned from their answers; and of
//! which pairs of a model and a prompt nothing is known yet.
//!
//! Two bounds can be too low. A prompt's is the bytes of its text, and an endpoint may put a text of
//! its own before it. That of a response is `max_tokens`, and an endpoint may bill reasoning outside of
//! it. Neither shows before the first answer, so of a pair that nothing is known of one request is
//! sent first, and others wait for it. What that answer has above its bounds is then expected of all:
//!
//! - of a prompt that was not counted yet, its bound and all tokens of the prompt that was most above
//!   its own. What the endpoint adds is a part of these, so the sum is no less than the truth where the
//!   same is added to all;
//! - of each response, `max_tokens` and twice the most tokens that were not seen of any, since some
//!   think for longer than others. What is seen of a response is taken at half of what its text is
//!   estimated at, which no tokenizer is below.

use crate::job::{Job, PromptTokenBounds};
use crate::past::Past;
use crate::step::RequestToSend;
use crate::tally::SettledRequest;
use frugal_domain::event::EventBody;
use frugal_domain::job::JobSpec;
use frugal_domain::money::{Prices, Spend, Usage};
use frugal_domain::request::RequestKey;
use std::collections::BTreeMap;

/// So many tokens above a bound are kept in mind and not told of: endpoints count the end of a text
/// differently.
const NEGLIGIBLE: u64 = 16;

/// How many times the most that responses had beside their texts is expected.
const MARGIN: u64 = 2;

/// Once so many requests of a pair in a row have ended without telling what they cost, the others wait
/// no longer.
const MOST_ALONE: u32 = 3;

/// A model and a prompt, by position.
pub(crate) type Pair = (usize, usize);

/// What is known of each model's bills.
#[derive(Debug)]
pub(crate) struct Overheads {
    models: Vec<Overhead>,
    prices: Vec<Prices>,
    bounds: PromptTokenBounds,
    pairs: BTreeMap<Pair, Acquaintance>,
}

/// How well a pair is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acquaintance {
    /// So many requests in a row did not tell what they cost.
    Asked(u32),
    /// One has told, or is waited for no longer.
    Made,
}

/// What one model bills beyond the bounds, and how it tells what it bills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Overhead {
    /// The most tokens that a prompt had above its bound.
    pub(crate) prompt_above: u64,
    /// The tokens of that prompt.
    prompt_tokens: u64,
    /// The most tokens above `max_tokens` that a response had, on the mean of one answer.
    pub(crate) response_above: u64,
    /// The most that a response had and that is not in its text, on the mean of one answer.
    response_unseen: u64,
    /// Answers, and those of them whose usage was not told, or told in part, and was estimated.
    pub(crate) answers: u64,
    pub(crate) estimated: u64,
    told: bool,
}

impl Overhead {
    /// Whether it is worth telling.
    pub(crate) fn is_notable(&self) -> bool {
        self.prompt_above.max(self.response_above) > NEGLIGIBLE
    }

    fn learn(&mut self, asked: &Asked, settled: &SettledRequest) {
        let Ok(receipt) = &settled.result else {
            return;
        };
        self.answers += 1;
        self.estimated += u64::from(settled.usage_estimated);
        let Usage {
            prompt_tokens,
            completion_tokens,
        } = receipt.usage;
        let above = prompt_tokens.saturating_sub(asked.prompt_bound);
        // Of those that are as much above, the one that tells more precisely: then the order of
        // arrival makes no difference.
        if above > self.prompt_above
            || above > 0 && above == self.prompt_above && prompt_tokens < self.prompt_tokens
        {
            self.prompt_above = above;
            self.prompt_tokens = prompt_tokens;
        }
        let responses = (receipt.responses.len() as u64).clamp(1, u64::from(asked.n).max(1));
        let capped = responses.saturating_mul(asked.max_tokens.into());
        let above = completion_tokens.saturating_sub(capped);
        self.response_above = self.response_above.max(above.div_ceil(responses));
        let seen = receipt.responses.iter().fold(0_u64, |sum, one| {
            sum.saturating_add(one.estimated_tokens.min(asked.max_tokens.into()))
        });
        let unseen = completion_tokens.saturating_sub(seen / 2);
        self.response_unseen = self.response_unseen.max(unseen.div_ceil(responses));
    }

    /// The tokens that a response may have beside `max_tokens`.
    fn beside_response(&self) -> u64 {
        let beside = if self.response_above > NEGLIGIBLE {
            self.response_unseen
        } else {
            self.response_above
        };
        beside.saturating_mul(MARGIN)
    }
}

/// What a request asks for, as far as its bill depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) pair: Pair,
    prompt_bound: u64,
    n: u32,
    max_tokens: u32,
}

impl Overheads {
    /// What a job's past tells.
    pub(crate) fn new(job: &Job, past: &Past) -> Self {
        let spec = &job.spec;
        let mut overheads = Self {
            models: vec![Overhead::default(); spec.asked_models().count()],
            prices: spec.asked_models().map(|model| model.prices).collect(),
            bounds: job.prompt_token_bounds.clone(),
            pairs: BTreeMap::new(),
        };
        let mut pairs = BTreeMap::new();
        for (key, request) in &past.requests {
            let pair = pairs.entry(key.trial).or_insert_with(|| {
                let trial = past.trials.get(&key.trial)?;
                let sampling = spec.settings(&trial.configuration).ok()?.sampling;
                Some((sampling.model, sampling.prompt))
            });
            if let Some(pair) = *pair {
                let asked = Asked {
                    pair,
                    prompt_bound: overheads.prompt_bound(*key, pair.1, request.instance),
                    n: request.n,
                    max_tokens: request.max_tokens,
                };
                overheads.learn(&asked, &request.settled);
            }
        }
        for overhead in &mut overheads.models {
            overhead.told = overhead.is_notable();
        }
        overheads
    }

    fn prompt_bound(&self, key: RequestKey, prompt: usize, instance: usize) -> u64 {
        let rows = self.bounds.of(key.purpose.split()).get(prompt);
        let bound = rows.and_then(|rows| rows.get(instance));
        bound.copied().unwrap_or(u64::MAX)
    }

    /// What a request asks for.
    pub(crate) fn asked(&self, request: &RequestToSend) -> Asked {
        let pair = pair(request);
        Asked {
            pair,
            prompt_bound: match request.judged {
                Some(judged) => judged.prompt_bound,
                None => self.prompt_bound(request.key, pair.1, request.instance),
            },
            n: request.n,
            max_tokens: request.max_tokens,
        }
    }

    /// Learns from what came of a request.
    pub(crate) fn learn(&mut self, asked: &Asked, settled: &SettledRequest) {
        if let Some(overhead) = self.models.get_mut(asked.pair.0) {
            overhead.learn(asked, settled);
        }
        // What a filter answered for the model tells nothing.
        let tells = settled
            .result
            .as_ref()
            .is_ok_and(|receipt| receipt.usage.completion_tokens > 0);
        let pair = self
            .pairs
            .entry(asked.pair)
            .or_insert(Acquaintance::Asked(0));
        *pair = match *pair {
            Acquaintance::Asked(times) if !tells && times + 1 < MOST_ALONE => {
                Acquaintance::Asked(times + 1)
            }
            _ => Acquaintance::Made,
        };
    }

    /// Whether requests of a pair may be sent side by side.
    pub(crate) fn is_acquainted(&self, pair: Pair) -> bool {
        self.pairs.get(&pair) == Some(&Acquaintance::Made)
    }

    /// The most prompt tokens of a request, and the most that sending it once can cost.
    pub(crate) fn worst_case(&self, request: &RequestToSend) -> (u64, Spend) {
        let model = request.settings.sampling.model;
        let overhead = self.models.get(model).copied().unwrap_or_default();
        let beyond = Usage {
            prompt_tokens: if request.prompt_is_counted {
                0
            } else {
                overhead.prompt_tokens
            },
            completion_tokens: overhead.beside_response().saturating_mul(request.n.into()),
        };
        let prices = self.prices.get(model).copied().unwrap_or_default();
        let prices = Prices {
            request_pico: 0,
            ..prices
        };
        (
            request.prompt_tokens.saturating_add(beyond.prompt_tokens),
            request.worst_case + Spend::of(beyond, prices),
        )
    }

    /// What is known of a model, by its position.
    pub(crate) fn of(&self, model: usize) -> Overhead {
        self.models.get(model).copied().unwrap_or_default()
    }

    /// The events that tell of overheads that were not told of yet.
    pub(crate) fn tell(&mut self, spec: &JobSpec) -> Vec<EventBody> {
        let untold = self
            .models
            .iter_mut()
            .zip(spec.asked_models())
            .filter(|(overhead, _)| overhead.is_notable() && !overhead.told);
        let events = untold.map(|(overhead, choice)| {
            overhead.told = true;
            EventBody::EndpointOverhead {
                endpoint: choice.endpoint.clone(),
                model: choice.model.clone(),
                prompt_tokens: overhead.prompt_above,
                response_tokens: overhead.response_above,
            }
        });
        events.collect()
    }
}

/// The pair that a request is about.
pub(crate) fn pair(request: &RequestToSend) -> Pair {
    let sampling = &request.settings.sampling;
    (sampling.model, sampling.prompt)
}
