//! Successive halving (Jamieson and Talwalkar, 2016), to hold the searches against: draws from the whole
//! space, of which the better half is seen on twice as many rows, and so on.

use crate::endpoint::Endpoint;
use crate::worlds::World;
use frugal_domain::configuration::{Extent, Sampling, Settings};
use frugal_domain::money::Spend;
use frugal_domain::seed::mix;
use frugal_evaluation::expected_success;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Rows that every configuration is seen on first.
const FIRST: usize = 4;

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Halved {
    /// The winner's exact utility; 0 without one.
    pub utility: f64,
    /// What was spent, in dollars.
    pub spent: f64,
    /// How long it takes in calls that all last equally long, so many being under way at once.
    pub calls: u64,
}

/// A configuration with what it came to on the rows that it was seen on.
#[derive(Debug, Clone)]
struct Candidate {
    settings: Settings,
    success: f64,
    cost: f64,
    seen: usize,
}

impl Candidate {
    fn mean(&self) -> f64 {
        self.success / self.seen.max(1) as f64
    }
}

/// Brackets after which no more are begun: what is left is little.
const BRACKETS: u32 = 12;

/// Halves with an optimization budget of so many dollars, in one bracket after the other as long as there is
/// money: of a bracket, what costs more than the inference budget in the mean of its rows goes no further,
/// so that not all that it may spend is spent. The winner is the best of what was seen on all rows, or on
/// the most.
///
/// # Errors
/// The world has no answer.
pub fn halve(world: &World, budget: f64, in_flight: u64, seed: u64) -> anyhow::Result<Halved> {
    let mut generator = ChaCha8Rng::seed_from_u64(mix(seed));
    let mut halved = Halved::default();
    let mut best: Option<Candidate> = None;
    for _ in 0..BRACKETS {
        let left = budget - halved.spent;
        let found = bracket(world, left, in_flight, &mut halved, &mut generator)?;
        for candidate in found {
            let is_better = best
                .as_ref()
                .is_none_or(|best| (candidate.seen, candidate.mean()) > (best.seen, best.mean()));
            if is_better {
                best = Some(candidate);
            }
        }
        if halved.spent >= 0.98 * budget {
            break;
        }
    }
    halved.utility = best.map_or(0.0, |best| world.truth(&best.settings).0);
    Ok(halved)
}

/// One bracket: an equal part of its budget for each rung, of which the first takes as many draws as its
/// part pays for. Returns what reached the last rung that anything reached.
fn bracket(
    world: &World,
    budget: f64,
    in_flight: u64,
    halved: &mut Halved,
    generator: &mut ChaCha8Rng,
) -> anyhow::Result<Vec<Candidate>> {
    let mut rows: Vec<usize> = (0..world.rows()).collect();
    rows.shuffle(generator);
    let mut limits = vec![FIRST.min(rows.len())];
    while let Some(last) = limits.last().filter(|last| **last < rows.len()) {
        limits.push((2 * last).min(rows.len()));
    }
    let before = halved.spent;
    let part = budget / limits.len() as f64;
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut reached = Vec::new();
    for (rung, limit) in limits.iter().enumerate() {
        let allowed = before + part * (rung + 1) as f64;
        let mut calls = 0_u64;
        let mut kept = Vec::new();
        let mut waiting = candidates.into_iter();
        loop {
            let next = match rung {
                0 => Some(drawn(world, generator)),
                _ => waiting.next(),
            };
            let Some(mut candidate) = next else {
                break;
            };
            // What the rows still to be seen may cost is known from those that were; of a first look
            // nothing is known, so that the last one of a rung may be left unfinished.
            let expected = candidate.cost / candidate.seen.max(1) as f64;
            let ahead = (limit - candidate.seen) as f64;
            if halved.spent + expected * ahead > allowed {
                break;
            }
            let (mut paid, mut over) = (true, false);
            for row in &rows[candidate.seen..*limit] {
                // What already cost more than all rows of the rung may is over the budget, whatever follows.
                if candidate.cost > world.inference_budget * *limit as f64 {
                    over = true;
                    break;
                }
                if halved.spent >= allowed {
                    paid = false;
                    break;
                }
                let (success, cost) = ask(world, &candidate.settings, *row, generator.random())?;
                candidate.success += success;
                candidate.cost += cost;
                candidate.seen += 1;
                halved.spent += cost;
                calls += 1;
            }
            let valid = !over && candidate.cost <= world.inference_budget * candidate.seen as f64;
            if paid && valid {
                kept.push(candidate);
            }
            if !paid {
                break;
            }
        }
        halved.calls += calls.div_ceil(in_flight);
        kept.sort_by(|one, other| other.mean().total_cmp(&one.mean()));
        if !kept.is_empty() {
            reached = kept.clone();
        }
        kept.truncate(kept.len().div_ceil(2));
        candidates = kept;
    }
    Ok(reached)
}

/// What the answers to a row come to, and what they cost in dollars.
fn ask(world: &World, settings: &Settings, row: usize, seed: u64) -> anyhow::Result<(f64, f64)> {
    let Extent { max_tokens, n } = settings.extent;
    let answered = world
        .answer(settings, row, n, max_tokens, seed)
        .map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
    let right: f64 = answered.responses.iter().map(|one| one.score).sum();
    let prices = world.models[settings.sampling.model].prices;
    let cost = Spend::of(answered.usage, prices).usd.dollars();
    Ok((expected_success(right, n.into()), cost))
}

/// A draw from the space that the jobs of worlds have.
fn drawn(world: &World, generator: &mut ChaCha8Rng) -> Candidate {
    let tokens = generator
        .random_range(10_f64.ln()..1000_f64.ln())
        .exp()
        .round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 10 to 1,000"
    )]
    let max_tokens = tokens as u32;
    Candidate {
        settings: Settings {
            sampling: Sampling {
                model: generator.random_range(0..world.models.len()),
                prompt: generator.random_range(0..world.templates.len()),
                temperature: Some(generator.random_range(0.0..=1.5)),
                top_p: None,
                stop: Vec::new(),
                extra: BTreeMap::new(),
            },
            extent: Extent {
                max_tokens,
                n: generator.random_range(1..=100),
            },
        },
        success: 0.0,
        cost: 0.0,
        seen: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worlds::Recipe;

    #[test]
    fn more_money_is_used_and_not_passed_by_more_than_a_call() {
        let world = Recipe::drawn(1, 30).world().unwrap();
        let rows = world.rows() as f64;
        let mut utilities = Vec::new();
        for factor in [5.0, 200.0] {
            let budget = factor * world.inference_budget * rows;
            let halved = halve(&world, budget, 32, 3).unwrap();
            // A call of 100 responses may cost some hundred times what an instance may.
            let dearest = 1_000.0 * world.inference_budget;
            assert!(halved.spent <= budget + dearest, "{halved:?}");
            assert!(halved.spent > 0.7 * budget, "{halved:?}");
            assert!(halved.calls > 0);
            utilities.push(halved.utility);
        }
        assert!(utilities[1] > 0.0, "{utilities:?}");
    }
}
