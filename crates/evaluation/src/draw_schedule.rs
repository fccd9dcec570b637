//! The schedule of a batch of draws: so many responses for each of some rows, all at once. Those that
//! score are scored again, cut to shorter limits, to see how much of them is enough.

use crate::demand::{Demand, Ending, ScheduleStep};
use crate::draw::ScoredResponse;
use crate::scores::{Cut, ScoreKey, ScorePlan};
use frugal_domain::request::ResponseId;
use frugal_domain::scoring::Observation;
use std::collections::{BTreeMap, BTreeSet};

/// Which rows are asked for, and what became of them.
#[derive(Debug, Clone)]
pub(crate) struct DrawSchedule {
    rows: Vec<usize>,
    /// Responses for each.
    responses: u32,
    most_per_request: Option<u32>,
    asked: bool,
    failed: BTreeSet<usize>,
    /// Limits of tokens below the one that is drawn under, in rising order.
    limits: Vec<u32>,
    shortened: Shortened,
    /// What scorers said of responses cut to these limits.
    cut_scores: BTreeMap<ScoreKey, Observation>,
}

/// Whether responses were scored cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shortened {
    NotYet,
    Scoring,
    Done,
}

impl DrawSchedule {
    pub(crate) fn new(
        rows: Vec<usize>,
        responses: u32,
        most_per_request: Option<u32>,
        limits: Vec<u32>,
    ) -> Self {
        Self {
            limits,
            shortened: Shortened::NotYet,
            cut_scores: BTreeMap::new(),
            rows,
            responses,
            most_per_request,
            asked: false,
            failed: BTreeSet::new(),
        }
    }

    pub(crate) fn next(&mut self) -> ScheduleStep {
        if std::mem::replace(&mut self.asked, true) {
            return ScheduleStep::End(Ending::Drawn);
        }
        let most = self
            .most_per_request
            .map_or(self.responses, |most| most.max(1));
        let mut demands = Vec::new();
        for &instance in &self.rows {
            let mut left = self.responses;
            while left > 0 {
                let n = left.min(most);
                demands.push(Demand { instance, n });
                left -= n;
            }
        }
        if demands.is_empty() {
            ScheduleStep::End(Ending::Drawn)
        } else {
            ScheduleStep::Demand(demands)
        }
    }

    /// What is scored once more of the responses that the batch brought: those that score, cut to
    /// each limit that is shorter than they are. Given once.
    pub(crate) fn shorten(&mut self, bought: &[(usize, ScoredResponse)]) -> Vec<ScorePlan> {
        if self.shortened != Shortened::NotYet {
            return Vec::new();
        }
        let mut wanted = Vec::new();
        for (instance, held) in bought.iter().filter(|(_, held)| held.observed.score > 0.0) {
            for &max_tokens in self.shorter(held.tokens) {
                wanted.push(ScorePlan {
                    key: cut_key(held.id, *instance, max_tokens),
                    cut: Some(Cut {
                        tokens: held.tokens,
                        max_tokens,
                    }),
                });
            }
        }
        self.shortened = if wanted.is_empty() {
            Shortened::Done
        } else {
            Shortened::Scoring
        };
        wanted
    }

    fn shorter(&self, tokens: u64) -> &[u32] {
        let shorter = self
            .limits
            .partition_point(|limit| u64::from(*limit) < tokens);
        &self.limits[..shorter]
    }

    /// Whether scores of cut responses are waited for.
    pub(crate) fn is_shortening(&self) -> bool {
        self.shortened == Shortened::Scoring
    }

    /// Takes the scores of cut responses.
    pub(crate) fn receive_cut_scores(
        &mut self,
        scores: impl IntoIterator<Item = (ScoreKey, Observation)>,
    ) {
        self.cut_scores.extend(scores);
        self.shortened = Shortened::Done;
    }

    /// Scores of cut responses.
    pub(crate) fn cut_scores(&self) -> impl Iterator<Item = (ScoreKey, Observation)> {
        self.cut_scores.iter().map(|(key, score)| (*key, *score))
    }

    /// The fewest tokens of a response that score as well as all of it, as far as was looked.
    pub(crate) fn enough(&self, instance: usize, held: &ScoredResponse) -> u64 {
        let mut enough = held.tokens;
        for &max_tokens in self.shorter(held.tokens).iter().rev() {
            let key = cut_key(held.id, instance, max_tokens);
            match self.cut_scores.get(&key) {
                Some(cut) if cut.score >= held.observed.score => enough = max_tokens.into(),
                _ => break,
            }
        }
        enough
    }

    pub(crate) fn fail(&mut self, instance: usize) {
        self.failed.insert(instance);
    }

    /// Rows with a request that failed.
    pub(crate) const fn failed(&self) -> &BTreeSet<usize> {
        &self.failed
    }

    pub(crate) fn reached(&self) -> (u32, usize) {
        (self.responses, self.rows.len())
    }
}

fn cut_key(response: ResponseId, instance: usize, max_tokens: u32) -> ScoreKey {
    ScoreKey {
        response,
        max_tokens: Some(max_tokens),
        instance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::id::TrialNumber;
    use frugal_domain::request::{Purpose, RequestKey};

    fn held(position: u32, tokens: u64, score: f64) -> (usize, ScoredResponse) {
        let id = ResponseId {
            job: None,
            request: RequestKey {
                purpose: Purpose::Search,
                trial: TrialNumber(1),
                ordinal: 0,
            },
            position,
        };
        let held = ScoredResponse {
            id,
            observed: score.into(),
            tokens,
            ended: true,
            latency_ms: 1,
        };
        (0, held)
    }

    #[test]
    fn what_is_enough_of_a_response_is_where_no_shorter_cut_scores_as_well() {
        let mut schedule = DrawSchedule::new(vec![0], 3, None, vec![10, 20, 40, 80]);
        let bought = [held(0, 50, 1.0), held(1, 60, 0.0), held(2, 20, 0.5)];
        let wanted = schedule.shorten(&bought);
        let cuts: Vec<(u32, u32)> = wanted
            .iter()
            .map(|plan| (plan.key.response.position, plan.key.max_tokens.unwrap_or(0)))
            .collect();
        assert_eq!(cuts, [(0, 10), (0, 20), (0, 40), (2, 10)]);
        assert!(schedule.is_shortening());
        // Cut to 10 it scores by chance: what counts is that 20 does not.
        let scores = [1.0, 0.0, 1.0, 0.4].map(Observation::from);
        schedule.receive_cut_scores(wanted.iter().map(|plan| plan.key).zip(scores));
        assert!(!schedule.is_shortening());
        assert!(schedule.shorten(&bought).is_empty(), "given once");
        let enough = bought
            .each_ref()
            .map(|(row, held)| schedule.enough(*row, held));
        assert_eq!(enough, [40, 60, 20]);
    }
}
