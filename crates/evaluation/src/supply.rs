//! What a trial takes from the pool before it asks for anything.

use crate::arm::Arm;
use crate::draw::{DrawnResponse, OfferedResponse, ScoredResponse};
use crate::scores::{ScoreKey, ScorePlan};
use frugal_domain::scoring::Observation;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What was drawn under a trial's sampling settings before it, with what other jobs offer it.
#[derive(Debug, Clone)]
pub(crate) struct Supply {
    instances: usize,
    n: usize,
    max_tokens: u32,
    /// As it was when the trial began, and what it was offered since; nothing of it once what serves was
    /// taken.
    arm: Arc<Arm>,
    /// Draws of other jobs, which are the pool's only once the trial is committed.
    offered: Vec<DrawnResponse>,
    /// Scores that the trial asked for.
    new_scores: BTreeMap<ScoreKey, Observation>,
}

impl Supply {
    pub(crate) fn new(instances: usize, n: u32, max_tokens: u32, arm: Arc<Arm>) -> Self {
        Self {
            instances,
            n: usize::try_from(n).unwrap_or(usize::MAX),
            max_tokens,
            arm,
            offered: Vec::new(),
            new_scores: BTreeMap::new(),
        }
    }

    pub(crate) fn offer(&mut self, offered: OfferedResponse) {
        if offered.instance < self.instances && Arc::make_mut(&mut self.arm).add(offered.into()) {
            self.offered.push(offered.into());
        }
    }

    /// The responses that serve and are not scored: whole ones of other jobs, and those that must be
    /// cut first. Of those that are of no use because enough others serve, none.
    pub(crate) fn wanted(&self) -> Vec<ScorePlan> {
        self.arm.wanted(self.max_tokens, self.n)
    }

    pub(crate) fn receive(&mut self, scores: impl IntoIterator<Item = (ScoreKey, Observation)>) {
        self.new_scores.extend(scores);
        if !self.new_scores.is_empty() {
            let new = self.new_scores.iter().map(|(key, score)| (*key, *score));
            Arc::make_mut(&mut self.arm).remember(new);
        }
    }

    /// What serves these instances, by instance. What was to be scored and was not is left out.
    pub(crate) fn held(&self, instances: &[usize]) -> Vec<Vec<ScoredResponse>> {
        let asked: BTreeSet<usize> = instances.iter().copied().collect();
        let is_asked = |instance| asked.contains(&instance);
        let mut held = self.arm.held(self.max_tokens, self.n, is_asked);
        (0..self.instances)
            .map(|instance| held.remove(&instance).unwrap_or_default())
            .collect()
    }

    /// Lets go of what was drawn before, once what serves was taken.
    pub(crate) fn let_go(&mut self) {
        self.arm = Arc::default();
    }

    /// Draws of other jobs that this trial was offered.
    pub(crate) fn offered(&self) -> &[DrawnResponse] {
        &self.offered
    }

    /// The same with their scores, those without left out.
    pub(crate) fn offered_with_scores(&self) -> impl Iterator<Item = (DrawnResponse, Observation)> {
        self.offered.iter().filter_map(|draw| {
            let score = self
                .new_scores
                .get(&ScoreKey::whole(draw.id, draw.instance))?;
            Some((*draw, *score))
        })
    }

    /// Scores that this trial asked for.
    pub(crate) fn new_scores(&self) -> impl Iterator<Item = (ScoreKey, Observation)> {
        self.new_scores.iter().map(|(key, score)| (*key, *score))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::id::TrialNumber;
    use frugal_domain::request::{Purpose, RequestKey, ResponseId};

    fn draw(position: u32, max_tokens: u32, tokens: u64, ended: bool) -> DrawnResponse {
        let request = RequestKey {
            purpose: Purpose::Search,
            trial: TrialNumber(0),
            ordinal: 0,
        };
        DrawnResponse {
            id: ResponseId {
                job: None,
                request,
                position,
            },
            instance: 0,
            max_tokens,
            tokens,
            ended,
            latency_ms: 0,
        }
    }

    /// An arm of these, all of them scored whole.
    fn arm(draws: &[DrawnResponse]) -> Arm {
        let mut arm = Arm::default();
        for draw in draws {
            assert!(arm.add(*draw));
            arm.remember([(ScoreKey::whole(draw.id, draw.instance), 1.0.into())]);
        }
        arm
    }

    fn supply(draws: &[DrawnResponse], max_tokens: u32) -> Supply {
        Supply::new(1, 1000, max_tokens, Arc::new(arm(draws)))
    }

    /// Positions of what serves at once, and of what must be cut.
    fn served(draws: &[DrawnResponse], max_tokens: u32) -> (Vec<u32>, Vec<u32>) {
        let supply = supply(draws, max_tokens);
        let held = supply.held(&[0]);
        let at_once = held[0].iter().map(|held| held.id.position).collect();
        let wanted = supply.wanted();
        (
            at_once,
            wanted
                .iter()
                .map(|plan| plan.key.response.position)
                .collect(),
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
        let draws: Vec<DrawnResponse> = (0..20)
            .map(|p| draw(p, 100, 10 + u64::from(p) * 5, p < 18))
            .collect();
        // 10, 15, … 60 fit under 60; the longer ones, ended or not, are cut.
        assert_eq!(served(&draws, 60), ((0..11).collect(), (11..20).collect()));
        let mut supply = supply(&draws, 60);
        let wanted = supply.wanted();
        supply.receive(wanted.into_iter().map(|plan| (plan.key, 0.25.into())));
        assert!(supply.wanted().is_empty());
        let held = supply.held(&[0]);
        assert_eq!(held[0].len(), 20);
        let cut = &held[0][11];
        assert_eq!(
            (cut.tokens, cut.ended, cut.observed.score),
            (60, false, 0.25)
        );
        assert!(held[0][10].ended);
    }

    #[test]
    fn cut_responses_serve_larger_limits_not_at_all_and_others_if_few_are_left_out() {
        let mut draws: Vec<DrawnResponse> = (0..20).map(|p| draw(p, 50, 50, p > 0)).collect();
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
        let draws: Vec<DrawnResponse> = (0..9).map(|p| draw(p, 100, 90, true)).collect();
        let supply = Supply::new(1, 3, 50, Arc::new(arm(&draws)));
        let wanted: Vec<u32> = supply
            .wanted()
            .iter()
            .map(|plan| plan.key.response.position)
            .collect();
        assert_eq!(wanted, [0, 1, 2]);
    }

    #[test]
    fn what_is_offered_twice_or_for_no_instance_is_left_out() {
        let own = draw(0, 50, 10, true);
        let mut supply = supply(std::slice::from_ref(&own), 50);
        let offered = |position: u32, instance: usize| OfferedResponse {
            id: ResponseId {
                job: "019abf3e-5f00-7000-8000-000000000000".parse().ok(),
                ..draw(position, 50, 10, true).id
            },
            instance,
            max_tokens: 50,
            prompt_tokens: 7,
            tokens: 10,
            ended: true,
            latency_ms: 3,
            bytes: 0,
        };
        for (position, instance) in [(1, 0), (1, 0), (2, 7)] {
            supply.offer(offered(position, instance));
        }
        // It serves once it is scored.
        let wanted = supply.wanted();
        let of = |plan: &ScorePlan| (plan.key.response.position, plan.cut);
        assert_eq!(wanted.iter().map(of).collect::<Vec<_>>(), [(1, None)]);
        assert_eq!(supply.held(&[0])[0].len(), 1);
        supply.receive(wanted.into_iter().map(|plan| (plan.key, 0.5.into())));
        let held = &supply.held(&[0])[0];
        assert_eq!((held.len(), held[1].observed.score), (2, 0.5));
    }
}
