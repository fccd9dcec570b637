//! Successive halving (Jamieson and Talwalkar, 2016), to hold the searches against: draws from the whole
//! space, of which the better half is seen on twice as many rows, and so on.

use crate::endpoint::Endpoint;
use crate::worlds::World;
use crate::worlds::job::Winner;
use crate::worlds::space::{MAX_TOKENS, RESPONSES, TEMPERATURES, sampling};
use frugal_domain::configuration::{Extent, Settings};
use frugal_domain::money::{Spend, Usage};
use frugal_domain::seed::mix;
use frugal_evaluation::expected_success;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows that every configuration is seen on first.
pub const FIRST: usize = 4;

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Halved {
    /// What the winner is worth.
    pub winner: Winner,
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

/// Draws in a row whose first call the budget does not cover, after which no more are made.
const MOST_UNPAID: u32 = 100;

/// Halves with an optimization budget of so many dollars, in one bracket after the other as long as there is
/// money: of a bracket, what costs more than the inference budget in the mean of its rows goes no further,
/// so that not all that it may spend is spent. As jobs do, it makes no call whose worst case passes what is
/// left of the budget. The winner is the best of what was seen on all rows, or on the most.
///
/// # Errors
/// The world has no answer.
pub fn halve(world: &World, budget: f64, in_flight: u64, seed: u64) -> anyhow::Result<Halved> {
    let mut halving = Halving {
        world,
        budget,
        in_flight,
        generator: ChaCha8Rng::seed_from_u64(mix(seed)),
        halved: Halved::default(),
    };
    let mut best: Option<Candidate> = None;
    for _ in 0..BRACKETS {
        for candidate in halving.bracket()? {
            let is_better = best
                .as_ref()
                .is_none_or(|best| (candidate.seen, candidate.mean()) > (best.seen, best.mean()));
            if is_better {
                best = Some(candidate);
            }
        }
        if halving.halved.spent >= 0.98 * budget {
            break;
        }
    }
    let winner = Winner::of(world, best.as_ref().map(|best| &best.settings));
    Ok(Halved {
        winner,
        ..halving.halved
    })
}

/// What became of a look at a candidate on the rows of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It was seen on all of them.
    Whole,
    /// It costs more than the inference budget.
    OverBudget,
    /// The optimization budget does not cover its next call.
    Unpaid,
    /// The rung has spent its part.
    RungSpent,
}

/// Successive halving under way.
struct Halving<'w> {
    world: &'w World,
    budget: f64,
    in_flight: u64,
    generator: ChaCha8Rng,
    halved: Halved,
}

impl Halving<'_> {
    /// One bracket: an equal part of what is left for each rung, of which the first takes as many draws as
    /// its part pays for. Returns what reached the last rung that anything reached.
    fn bracket(&mut self) -> anyhow::Result<Vec<Candidate>> {
        let mut rows: Vec<usize> = (0..self.world.rows()).collect();
        rows.shuffle(&mut self.generator);
        let mut limits = vec![FIRST.min(rows.len())];
        while let Some(last) = limits.last().filter(|last| **last < rows.len()) {
            limits.push((2 * last).min(rows.len()));
        }
        let before = self.halved.spent;
        let part = (self.budget - before) / limits.len() as f64;
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut reached = Vec::new();
        for (rung, limit) in limits.iter().enumerate() {
            let allowed = before + part * (rung + 1) as f64;
            let mut calls = 0_u64;
            let mut unpaid = 0_u32;
            let mut kept = Vec::new();
            let mut waiting = candidates.into_iter();
            while unpaid < MOST_UNPAID {
                let next = match rung {
                    0 => Some(drawn(self.world, &mut self.generator)),
                    _ => waiting.next(),
                };
                let Some(mut candidate) = next else {
                    break;
                };
                // What the rows still to be seen may cost is known from those that were; of a first look
                // nothing is known, so that the last one of a rung may be left unfinished.
                let expected = candidate.cost / candidate.seen.max(1) as f64;
                let ahead = (limit - candidate.seen) as f64;
                if self.halved.spent + expected * ahead > allowed {
                    break;
                }
                let seen = candidate.seen;
                let look = self.look(&mut candidate, &rows[..*limit], allowed)?;
                calls += (candidate.seen - seen) as u64;
                unpaid = match look {
                    Look::Unpaid => unpaid + 1,
                    _ => 0,
                };
                match look {
                    Look::Whole => kept.push(candidate),
                    Look::OverBudget | Look::Unpaid => {}
                    Look::RungSpent => break,
                }
            }
            self.halved.calls += calls.div_ceil(self.in_flight);
            kept.sort_by(|one, other| other.mean().total_cmp(&one.mean()));
            if !kept.is_empty() {
                reached = kept.clone();
            }
            kept.truncate(kept.len().div_ceil(2));
            candidates = kept;
        }
        Ok(reached)
    }

    /// Sees a candidate on those of a rung's rows that it was not seen on.
    fn look(
        &mut self,
        candidate: &mut Candidate,
        rows: &[usize],
        allowed: f64,
    ) -> anyhow::Result<Look> {
        let budget_of = |count: usize| self.world.inference_budget * count as f64;
        for row in &rows[candidate.seen..] {
            // What already cost more than all rows of the rung may is over the budget, whatever follows.
            if candidate.cost > budget_of(rows.len()) {
                return Ok(Look::OverBudget);
            }
            if self.halved.spent >= allowed {
                return Ok(Look::RungSpent);
            }
            let dearest = worst_case(self.world, &candidate.settings, *row);
            if self.halved.spent + dearest > self.budget {
                return Ok(Look::Unpaid);
            }
            let seed = self.generator.random();
            let (success, cost) = ask(self.world, &candidate.settings, *row, seed)?;
            candidate.success += success;
            candidate.cost += cost;
            candidate.seen += 1;
            self.halved.spent += cost;
        }
        Ok(match candidate.cost <= budget_of(candidate.seen) {
            true => Look::Whole,
            false => Look::OverBudget,
        })
    }
}

/// The most that a call for a row may cost, in dollars: every answer as long as it may be.
fn worst_case(world: &World, settings: &Settings, row: usize) -> f64 {
    let Extent { max_tokens, n } = settings.extent;
    let usage = Usage {
        prompt_tokens: world.prompt_tokens(settings, row),
        completion_tokens: u64::from(max_tokens) * u64::from(n),
    };
    let prices = world.models[settings.sampling.model].prices;
    Spend::of(usage, prices).usd.dollars()
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
    let [fewest, most] = MAX_TOKENS.map(|limit| f64::from(limit).ln());
    let tokens = generator.random_range(fewest..most).exp().round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between the two limits"
    )]
    let max_tokens = tokens as u32;
    Candidate {
        settings: Settings {
            sampling: sampling(
                generator.random_range(0..world.models.len()),
                generator.random_range(0..world.templates.len()),
                Some(generator.random_range(TEMPERATURES[0]..=TEMPERATURES[1])),
                None,
            ),
            extent: Extent {
                max_tokens,
                n: generator.random_range(RESPONSES[0]..=RESPONSES[1]),
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
    fn the_budget_is_kept_and_more_money_is_used() {
        let world = Recipe::drawn(1, 30).world().unwrap();
        let rows = world.rows() as f64;
        let mut spent = Vec::new();
        for factor in [1.0, 5.0, 200.0] {
            let budget = factor * world.inference_budget * rows;
            let halved = halve(&world, budget, 32, 3).unwrap();
            assert!(halved.spent <= budget, "{halved:?}");
            assert!(halved.spent > 0.7 * budget, "{halved:?}");
            assert!(halved.calls > 0);
            spent.push(halved);
        }
        assert!(spent[2].winner.utility > 0.0, "{spent:?}");
    }
}
