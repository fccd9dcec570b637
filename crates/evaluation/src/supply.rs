//! What a trial takes from the pool before it asks for anything.

use crate::pool::{Draw, Held, MOST_UNSERVED_SHARE, Offered, ResponseId, Service};
use std::collections::{BTreeMap, BTreeSet};

/// A response that is too long for a trial's `max_tokens`, to be cut to it and scored again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutPlan {
    /// Which response.
    pub id: ResponseId,
    /// The instance that it answers, by its index.
    pub instance: usize,
    /// Its length in tokens as billed; the tokenizer at hand may count others.
    pub tokens: u64,
    /// How many of them to keep.
    pub max_tokens: u32,
}

/// A response that was cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// Which response.
    pub id: ResponseId,
    /// How good what is left of it is.
    pub score: f64,
}

/// The draws under a trial's sampling settings, until it is known what they give.
#[derive(Debug, Clone)]
pub(crate) struct Supply {
    instances: usize,
    n: u32,
    max_tokens: u32,
    draws: Vec<Draw>,
    /// Those of all draws, the offered ones too.
    ids: BTreeSet<ResponseId>,
    /// Draws of other jobs, which are the pool's only once the trial is committed.
    offered: Vec<Draw>,
    /// Scores of cut responses: those known before, and those that this trial had cut.
    known_cuts: BTreeMap<ResponseId, f64>,
    new_cuts: BTreeMap<ResponseId, f64>,
}

impl Supply {
    pub(crate) fn new(
        instances: usize,
        n: u32,
        max_tokens: u32,
        draws: Vec<Draw>,
        known_cuts: BTreeMap<ResponseId, f64>,
    ) -> Self {
        Self {
            instances,
            n,
            max_tokens,
            ids: draws.iter().map(|draw| draw.response.id).collect(),
            draws,
            offered: Vec::new(),
            known_cuts,
            new_cuts: BTreeMap::new(),
        }
    }

    pub(crate) fn offer(&mut self, offered: Offered) {
        if offered.instance < self.instances && self.ids.insert(offered.id) {
            self.offered.push(offered.into());
        }
    }

    /// The responses that must be cut before they serve. Of those that are of no use because
    /// enough others serve, none.
    pub(crate) fn wanted(&self) -> Vec<CutPlan> {
        let unknown = |draw: &&Draw| {
            let id = draw.response.id;
            !self.known_cuts.contains_key(&id) && !self.new_cuts.contains_key(&id)
        };
        self.serving()
            .into_iter()
            .flatten()
            .filter(|(_, service)| *service == Service::Cut)
            .map(|(draw, _)| draw)
            .filter(unknown)
            .map(|draw| CutPlan {
                id: draw.response.id,
                instance: draw.instance,
                tokens: draw.response.tokens,
                max_tokens: self.max_tokens,
            })
            .collect()
    }

    pub(crate) fn receive(&mut self, cuts: impl IntoIterator<Item = Cut>) {
        self.new_cuts
            .extend(cuts.into_iter().map(|cut| (cut.id, cut.score)));
    }

    /// What serves, by instance. What was to be cut and was not is left out.
    pub(crate) fn held(&self) -> Vec<Vec<Held>> {
        let held = |(draw, service): (&Draw, Service)| match service {
            Service::AsItIs => Some(draw.response.clone()),
            Service::Cut => {
                let id = &draw.response.id;
                let score = self.new_cuts.get(id).or(self.known_cuts.get(id))?;
                Some(Held {
                    score: *score,
                    tokens: self.max_tokens.into(),
                    ended: false,
                    ..draw.response.clone()
                })
            }
            Service::None => None,
        };
        self.serving()
            .into_iter()
            .map(|serving| serving.into_iter().filter_map(held).collect())
            .collect()
    }

    /// Draws of other jobs that this trial was offered.
    pub(crate) fn offered(&self) -> &[Draw] {
        &self.offered
    }

    /// Scores of the responses that this trial had cut.
    pub(crate) fn new_cuts(&self) -> impl Iterator<Item = (ResponseId, f64)> {
        self.new_cuts.iter().map(|(id, score)| (*id, *score))
    }

    fn all(&self) -> impl Iterator<Item = &Draw> {
        self.draws.iter().chain(&self.offered)
    }

    /// By instance, the first n draws that serve fairly.
    fn serving(&self) -> Vec<Vec<(&Draw, Service)>> {
        // Drawn and of no use here, by the `max_tokens` that they were drawn under.
        let mut unserved: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        for draw in self.all() {
            let (drawn, useless) = unserved.entry(draw.max_tokens).or_default();
            *drawn += 1;
            *useless += u32::from(draw.service(self.max_tokens) == Service::None);
        }
        let fair = |draw: &Draw| {
            unserved
                .get(&draw.max_tokens)
                .is_some_and(|&(drawn, useless)| {
                    f64::from(useless) <= MOST_UNSERVED_SHARE * f64::from(drawn)
                })
        };
        let n = usize::try_from(self.n).unwrap_or(usize::MAX);
        let mut serving = vec![Vec::new(); self.instances];
        for draw in self.all() {
            let service = draw.service(self.max_tokens);
            if service != Service::None
                && fair(draw)
                && let Some(responses) = serving.get_mut(draw.instance)
                && responses.len() < n
            {
                responses.push((draw, service));
            }
        }
        serving
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Source;
    use frugal_domain::id::TrialNumber;

    fn draw(position: u32, max_tokens: u32, tokens: u64, ended: bool) -> Draw {
        let id = ResponseId {
            source: Source::This,
            trial: TrialNumber(0),
            ordinal: 0,
            position,
        };
        Draw {
            instance: 0,
            max_tokens,
            response: Held {
                id,
                score: 1.0,
                tokens,
                ended,
                latency_ms: 0,
            },
        }
    }

    fn supply(draws: &[Draw], max_tokens: u32) -> Supply {
        Supply::new(1, 1000, max_tokens, draws.to_vec(), BTreeMap::new())
    }

    /// Positions of what serves at once, and of what must be cut.
    fn served(draws: &[Draw], max_tokens: u32) -> (Vec<u32>, Vec<u32>) {
        let supply = supply(draws, max_tokens);
        let held = supply.held();
        let at_once = held[0].iter().map(|held| held.id.position).collect();
        let wanted = supply.wanted();
        (
            at_once,
            wanted.iter().map(|plan| plan.id.position).collect(),
        )
    }

    #[test]
    fn a_response_that_ended_serves_every_limit_that_it_fits() {
        let draws = [draw(0, 100, 40, true), draw(1, 100, 60, true)];
        assert_eq!(served(&draws, 60), (vec![0, 1], vec![]));
        assert_eq!(served(&draws, 100), (vec![0, 1], vec![]));
        assert_eq!(served(&draws, 5_000), (vec![0, 1], vec![]));
    }

    #[test]
    fn every_response_serves_smaller_limits_if_need_be_cut() {
        let draws: Vec<Draw> = (0..20)
            .map(|p| draw(p, 100, 10 + u64::from(p) * 5, p < 18))
            .collect();
        // 10, 15, … 60 fit under 60; the longer ones, ended or not, are cut.
        assert_eq!(served(&draws, 60), ((0..11).collect(), (11..20).collect()));
        let mut supply = supply(&draws, 60);
        let cuts = supply.wanted().into_iter().map(|plan| Cut {
            id: plan.id,
            score: 0.25,
        });
        let cuts: Vec<Cut> = cuts.collect();
        supply.receive(cuts);
        assert!(supply.wanted().is_empty());
        let held = supply.held();
        assert_eq!(held[0].len(), 20);
        let cut = &held[0][11];
        assert_eq!((cut.tokens, cut.ended, cut.score), (60, false, 0.25));
        assert!(held[0][10].ended);
    }

    #[test]
    fn cut_responses_serve_larger_limits_not_at_all_and_others_if_few_are_left_out() {
        let mut draws: Vec<Draw> = (0..20).map(|p| draw(p, 50, 50, p > 0)).collect();
        assert_eq!(served(&draws, 50).0.len(), 20);
        // One of twenty was cut: the others serve without much of a bias.
        assert_eq!(served(&draws, 51), ((1..20).collect(), vec![]));
        draws.push(draw(20, 50, 50, false));
        // Two of twenty-one: taking the short ones alone would skew the sample.
        assert_eq!(served(&draws, 51), (vec![], vec![]));
        assert_eq!(served(&draws, 50).0.len(), 21);
    }

    #[test]
    fn no_more_than_n_are_taken_and_those_drawn_first_come_first() {
        let draws: Vec<Draw> = (0..9).map(|p| draw(p, 100, 90, true)).collect();
        let supply = Supply::new(1, 3, 50, draws, BTreeMap::new());
        let wanted: Vec<u32> = supply
            .wanted()
            .iter()
            .map(|plan| plan.id.position)
            .collect();
        assert_eq!(wanted, [0, 1, 2]);
    }

    #[test]
    fn what_is_offered_twice_or_for_no_instance_is_left_out() {
        let own = draw(0, 50, 10, true);
        let mut supply = supply(std::slice::from_ref(&own), 50);
        let offered = |position: u32, instance: usize| Offered {
            id: draw(position, 50, 10, true).response.id,
            instance,
            max_tokens: 50,
            prompt_tokens: 7,
            tokens: 10,
            ended: true,
            score: 1.0,
            latency_ms: 3,
        };
        for (position, instance) in [(0, 0), (1, 0), (1, 0), (2, 7)] {
            supply.offer(offered(position, instance));
        }
        let positions: Vec<u32> = supply.held()[0].iter().map(|h| h.id.position).collect();
        assert_eq!(positions, [0, 1]);
    }
}
