//! What a search decided on the way about each configuration, held against what is true of it.

use crate::run::Found;
use crate::spread::Spread;
use crate::worlds::World;
use frugal_domain::configuration::Settings;
use frugal_domain::id::TrialNumber;
use frugal_domain::trial::{PruneReason, TrialOutcome};
use std::collections::BTreeMap;

/// A cost this near to the inference budget, relative to it, is neither within nor over: which of the two
/// it is found to be is a matter of the rows' draws.
pub const BORDER: f64 = 0.02;

/// How often a search decided, and how often wrongly.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Decisions {
    /// Configurations evaluated in full or pruned.
    pub tried: u32,
    /// Evaluated in full.
    pub evaluated: u32,
    /// Evaluated, found within the inference budget, and over it in truth.
    pub wrongly_valid: u32,
    /// Evaluated, found over the budget, and within it in truth.
    pub wrongly_invalid: u32,
    /// Pruned as over the budget, known from others or found on the way.
    pub pruned_as_invalid: u32,
    /// Of these, within it in truth.
    pub wrongly_pruned_as_invalid: u32,
    /// Pruned as worse than the best.
    pub pruned_as_inferior: u32,
    /// Of these, better in truth than what they were compared with.
    pub wrongly_pruned_as_inferior: u32,
    /// The exact utility of the best that was wrongly pruned, beyond that of the winner; 0 where the
    /// winner is as good.
    pub price: f64,
}

impl Decisions {
    /// Those of a job.
    pub fn of(world: &World, found: &Found) -> Self {
        let mut truths: BTreeMap<TrialNumber, (f64, f64)> = BTreeMap::new();
        for (number, trial) in &found.trials {
            let (utility, cost) = world.truth(&trial.settings);
            truths.insert(*number, (utility, cost / world.inference_budget));
        }
        let winner = found
            .winner()
            .map_or(0.0, |winner| exact(world, &winner.settings));
        let mut decisions = Self::default();
        let mut lost = winner;
        for (number, trial) in &found.trials {
            let Some((utility, cost)) = truths.get(number).copied() else {
                continue;
            };
            let (within, over) = (cost < 1.0 - BORDER, cost > 1.0 + BORDER);
            match &trial.outcome {
                TrialOutcome::Evaluated(evaluation) => {
                    decisions.evaluated += 1;
                    decisions.wrongly_valid += u32::from(evaluation.valid && over);
                    decisions.wrongly_invalid += u32::from(!evaluation.valid && within);
                }
                TrialOutcome::Pruned {
                    reason: PruneReason::KnownInvalid | PruneReason::OverBudget { .. },
                } => {
                    decisions.pruned_as_invalid += 1;
                    if within {
                        decisions.wrongly_pruned_as_invalid += 1;
                        lost = lost.max(utility);
                    }
                }
                TrialOutcome::Pruned {
                    reason: PruneReason::Inferior { than, .. },
                } => {
                    decisions.pruned_as_inferior += 1;
                    let other = truths.get(than).map_or(f64::INFINITY, |other| other.0);
                    if within && utility > other {
                        decisions.wrongly_pruned_as_inferior += 1;
                        lost = lost.max(utility);
                    }
                }
                _ => continue,
            }
            decisions.tried += 1;
        }
        decisions.price = lost - winner;
        decisions
    }
}

fn exact(world: &World, settings: &Settings) -> f64 {
    world.truth(settings).0
}

/// A share of counts over many jobs, and its standard error by jobs: the ratio of sums.
pub fn share(all: &[Decisions], part: fn(&Decisions) -> u32, of: fn(&Decisions) -> u32) -> Spread {
    let pairs: Vec<(f64, f64)> = all
        .iter()
        .map(|one| (f64::from(part(one)), f64::from(of(one))))
        .collect();
    let total: f64 = pairs.iter().map(|pair| pair.1).sum();
    if total == 0.0 {
        return Spread::NOTHING;
    }
    let ratio = pairs.iter().map(|pair| pair.0).sum::<f64>() / total;
    // The variance of a ratio of sums over independent jobs (Cochran, 1977, section 2.11).
    let squares: f64 = pairs
        .iter()
        .map(|(part, of)| (part - ratio * of).powi(2))
        .sum();
    let count = pairs.len() as f64;
    Spread {
        mean: ratio,
        error: (squares * count / (count - 1.0).max(1.0)).sqrt() / total,
        count: pairs.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one_of_sums() {
        let one = |tried, evaluated| Decisions {
            tried,
            evaluated,
            ..Decisions::default()
        };
        let all = [one(10, 1), one(30, 3)];
        let found = share(&all, |one| one.evaluated, |one| one.tried);
        assert!((found.mean - 0.1).abs() < 1e-12 && found.error < 1e-12);
        let none = share(&all, |one| one.tried, |one| one.pruned_as_inferior);
        assert_eq!(none.count, 0);
    }
}
