#![doc = include_str!("../docs/tpe.md")]

use crate::ask_tell::Origin;
use crate::encoding::Encoding;
use crate::known::{ProposalState, Told};
use crate::parzen::{Density, Point};
use crate::strategy::{SearchState, Start, TurnOutcome};
use frugal_domain::configuration::Configuration;
use std::collections::VecDeque;

/// The most observations that count as good; they are a tenth of all up to there.
const LARGEST_GOOD: usize = 25;
/// The most kernels of the density of the others, which are thinned out evenly by rank: so
/// the time for a proposal does not grow with the number of trials.
const LARGEST_OTHERS: usize = 128;

/// The estimator and what it has seen. The better observations give a density l, the others a
/// density g; the candidate with the highest l/g is proposed.
#[derive(Debug, Clone)]
pub struct Tpe {
    /// Observations before the densities are used at all.
    startup: usize,
    /// Candidates drawn for one proposal.
    candidates: usize,
    /// Sorted by loss, equal ones in the order of their telling.
    observations: Vec<Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    point: Point,
    loss: f64,
}

impl Tpe {
    /// An estimator that has seen nothing. It draws uniformly until `startup` observations are
    /// there, and then `candidates` (at least 1) for each proposal.
    #[must_use]
    pub fn new(startup: u32, candidates: u32) -> Self {
        Self {
            startup: startup as usize,
            candidates: candidates.max(1) as usize,
            observations: Vec::new(),
        }
    }

    /// A configuration: a uniform draw at first, then the most promising of some candidates
    /// that has not been proposed, if there is one.
    pub fn suggest(&self, ground: &mut SearchState) -> Configuration {
        let SearchState {
            encoding,
            draws,
            known,
        } = ground;
        let finite = self
            .observations
            .partition_point(|seen| seen.loss.is_finite());
        if self.observations.len() < self.startup || finite == 0 {
            return encoding.random(draws);
        }
        let good_count = self
            .observations
            .len()
            .div_ceil(10)
            .min(LARGEST_GOOD)
            .min(finite);
        let (good, others) = self.observations.split_at(good_count);
        let stride = others.len().div_ceil(LARGEST_OTHERS).max(1);
        let good = Density::new(encoding, good.iter().map(|seen| &seen.point).collect());
        let others = Density::new(
            encoding,
            others
                .iter()
                .step_by(stride)
                .map(|seen| &seen.point)
                .collect(),
        );
        let mut candidates: Vec<(f64, Configuration)> = (0..self.candidates)
            .map(|_| {
                let configuration = good.draw(encoding, draws);
                let point = Point::of(encoding, &configuration);
                (good.log(&point) - others.log(&point), configuration)
            })
            .collect();
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        let new = candidates
            .iter()
            .position(|(_, candidate)| known.standing(candidate) == ProposalState::New)
            .unwrap_or(0);
        candidates.swap_remove(new).1
    }

    /// Hears of a loss; an infinite one ranks behind every other.
    pub fn learn(&mut self, encoding: &Encoding, configuration: &Configuration, loss: f64) {
        let at = self.observations.partition_point(|seen| seen.loss <= loss);
        let point = Point::of(encoding, configuration);
        self.observations.insert(at, Seen { point, loss });
    }
}

/// TPE as a search of its own: the starts first, then one suggestion after the other.
#[derive(Debug, Clone)]
pub struct TpeSearch {
    starts: VecDeque<Start>,
    estimator: Tpe,
}

impl TpeSearch {
    /// A search that evaluates the given starts first.
    #[must_use]
    pub fn new(starts: Vec<Start>, estimator: Tpe) -> Self {
        Self {
            starts: starts.into(),
            estimator,
        }
    }

    /// One start, or one suggestion.
    pub fn turn(&mut self, ground: &mut SearchState) -> TurnOutcome {
        let (configuration, origin) = match ground.next_start(&mut self.starts) {
            Some(start) => start,
            None => (self.estimator.suggest(ground), Origin::Global),
        };
        ground.propose_new(configuration, origin)
    }

    /// Hears the result of an open proposal.
    pub fn complete(
        &mut self,
        ground: &mut SearchState,
        configuration: &Configuration,
        told: Told,
    ) {
        ground.known.tell(configuration, told);
        self.estimator
            .learn(&ground.encoding, configuration, told.loss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use frugal_domain::space::{Dimension, Domain, Scale, Space};
    use serde_json::Value;

    fn dimension(name: &str, domain: Domain) -> Dimension {
        Dimension {
            name: name.into(),
            domain,
        }
    }

    fn unit(name: &str) -> Dimension {
        dimension(
            name,
            Domain::Float {
                low: 0.0,
                high: 1.0,
                scale: Scale::Linear,
                step: None,
            },
        )
    }

    fn ground(dimensions: Vec<Dimension>, seed: u64) -> SearchState {
        SearchState::new(
            Encoding::new(Space { dimensions }).unwrap(),
            Draws::seeded(seed),
        )
    }

    #[test]
    fn proposals_gather_where_losses_are_low_and_avoid_what_has_none() {
        for seed in 0..5 {
            let mut ground = ground(vec![unit("x"), unit("y")], seed);
            let mut tpe = Tpe::new(10, 24);
            let mut late = Vec::new();
            for trial in 0..80 {
                let configuration = tpe.suggest(&mut ground);
                let x = configuration.get("x").and_then(Value::as_f64).unwrap();
                // The left half has no utility at all; in the right half 0.7 is best.
                let loss = if x < 0.5 {
                    f64::INFINITY
                } else {
                    (x - 0.7).abs()
                };
                tpe.learn(&ground.encoding, &configuration, loss);
                if trial >= 40 {
                    late.push(x);
                }
            }
            let near = late.iter().filter(|x| (*x - 0.7).abs() < 0.2).count();
            assert!(near > 25, "seed {seed}: only {near} of 40 near the optimum");
        }
    }

    #[test]
    fn the_better_branch_is_found() {
        let branch = |name| Space {
            dimensions: vec![unit(name)],
        };
        for seed in 0..5 {
            let one_of = dimension(
                "kind",
                Domain::OneOf {
                    branches: vec![branch("x"), branch("x"), branch("z")],
                },
            );
            let mut ground = ground(vec![one_of], seed);
            let mut tpe = Tpe::new(10, 24);
            let mut late = 0;
            for trial in 0..60 {
                let configuration = tpe.suggest(&mut ground);
                assert!(ground.encoding.space().contains(&configuration));
                let kind = configuration.get("kind").and_then(Value::as_u64).unwrap();
                tpe.learn(
                    &ground.encoding,
                    &configuration,
                    if kind == 1 { 0.0 } else { 1.0 },
                );
                late += usize::from(trial >= 30 && kind == 1);
            }
            assert!(
                late > 18,
                "seed {seed}: only {late} of 30 in the better branch"
            );
        }
    }
}
