//! Rows that are out of reach of a model or a prompt: their chance is 0, however often one asks.
//!
//! Without them the worth of many responses would be overestimated wildly. Whether a row with no
//! right answer is out of reach, or merely hard, is told by a mixture of a mass at 0 and the model's
//! spread of log-odds; the share of the mass by model, with a beta prior, by expectation
//! maximisation from all draws of the model. Half of it is the model's (all of its prompts fail),
//! half that of one prompt.

use super::arm::Arm;
use super::constants::{
    PRIOR_LOG_ODDS, UNREACHABLE_BY_MODEL, UNREACHABLE_SHARE, UNREACHABLE_WEIGHT,
};
use super::posterior::{Counts, Posterior, logistic};
use std::cell::RefCell;

/// The grid of log-odds that chances are summed over.
pub(super) const GRID: usize = 28;
const LOWEST: f64 = -7.5;
const HIGHEST: f64 = 6.0;
/// Rounds of expectation maximisation.
const ROUNDS: usize = 8;
/// The steps by which the log-odds of rows in reach may lie off the posterior's level, to each side,
/// and the deviation of that before anything is known.
const SHIFTS: usize = 8;
const SHIFT: f64 = 0.5;
const SHIFT_DEVIATION: f64 = 1.5;
/// The variance of a model's log-odds before any of its arms was seen.
const PRIOR_SPREAD: f64 = 3.0;

/// The log-odds of the grid.
pub(super) fn grid() -> [f64; GRID] {
    std::array::from_fn(|index| LOWEST + (HIGHEST - LOWEST) * index as f64 / (GRID - 1) as f64)
}

/// What is known of rows out of reach.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    /// By model and prompt.
    groups: Vec<Vec<Group>>,
    /// By model.
    models: Vec<Share>,
    /// The chance that a row is out of reach, by model, prompt and row.
    chance: Vec<Vec<Vec<f64>>>,
}

/// The share of rows out of reach of a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Its best guess.
    pub(super) mean: f64,
    /// The beta distribution of it.
    pub(super) alpha: f64,
    pub(super) beta: f64,
}

/// The draws of one model under one prompt, row by row.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// Whether any arm of the group has been seen.
    seen: bool,
    /// The chance of no right answer of the group, were the row in reach.
    none_right: Vec<f64>,
    /// The same of the model's answers under other prompts.
    none_right_elsewhere: Vec<f64>,
    /// Whether the group has a right answer.
    right: Vec<bool>,
    /// Whether the model has one under another prompt.
    right_elsewhere: Vec<bool>,
}

impl Group {
    /// The chance that a row is out of reach, the share being this.
    pub(super) fn unreachable(&self, share: f64, row: usize) -> f64 {
        if self.right[row] {
            return 0.0;
        }
        let by_prompt = share * (1.0 - UNREACHABLE_BY_MODEL);
        let (model, elsewhere) = if self.right_elsewhere[row] {
            (0.0, 1.0)
        } else {
            let own = share * UNREACHABLE_BY_MODEL;
            let others = by_prompt + (1.0 - by_prompt) * self.none_right_elsewhere[row];
            (own, (1.0 - own) * others)
        };
        let out = model + elsewhere * by_prompt;
        let hard = elsewhere * (1.0 - by_prompt) * self.none_right[row];
        out / (out + hard + 1e-12)
    }
}

impl Reach {
    pub(super) fn new(
        arms: &[Arm],
        counts: &Counts,
        posterior: &Posterior,
        models: usize,
        prompts: usize,
    ) -> Self {
        let rows = counts.all.first().map_or(0, Vec::len);
        let mut reach = Self {
            groups: Vec::with_capacity(models),
            models: Vec::with_capacity(models),
            chance: Vec::with_capacity(models),
        };
        for model in 0..models {
            let groups = groups(arms, counts, posterior, model, prompts, rows);
            let share = share(&groups, rows);
            reach.chance.push(
                groups
                    .iter()
                    .map(|group| {
                        (0..rows)
                            .map(|row| group.unreachable(share.mean, row))
                            .collect()
                    })
                    .collect(),
            );
            reach.groups.push(groups);
            reach.models.push(share);
        }
        reach
    }

    /// The share of a model.
    pub(super) fn share(&self, model: usize) -> Share {
        self.models[model]
    }

    /// The chance that each row is out of reach of a model under a prompt.
    pub(super) fn chances(&self, model: usize, prompt: usize) -> &[f64] {
        &self.chance[model][prompt]
    }

    /// The draws of a model under a prompt.
    pub(super) fn group(&self, model: usize, prompt: usize) -> &Group {
        &self.groups[model][prompt]
    }
}

fn groups(
    arms: &[Arm],
    counts: &Counts,
    posterior: &Posterior,
    model: usize,
    prompts: usize,
    rows: usize,
) -> Vec<Group> {
    let seen: Vec<usize> = (0..arms.len())
        .filter(|arm| arms[*arm].place.model == model && arms[*arm].seen > 0)
        .collect();
    let (level, spread) = if seen.is_empty() {
        (PRIOR_LOG_ODDS, PRIOR_SPREAD)
    } else {
        let mean = |of: &dyn Fn(usize) -> f64| {
            seen.iter().map(|arm| of(*arm)).sum::<f64>() / seen.len() as f64
        };
        (
            mean(&|arm| posterior.level[arm]),
            mean(&|arm| posterior.spread[arm]),
        )
    };
    let total = |prompt: Option<usize>, row: usize| {
        let of = seen
            .iter()
            .filter(|arm| prompt.is_none_or(|prompt| arms[**arm].place.prompt == prompt));
        of.fold((0.0, 0.0), |(right, all), arm| {
            (right + counts.right[*arm][row], all + counts.all[*arm][row])
        })
    };
    let of_model: Vec<(f64, f64)> = (0..rows).map(|row| total(None, row)).collect();
    let weights = in_reach(&of_model, level, spread);
    let wrong: Vec<f64> = grid()
        .iter()
        .map(|odds| (1.0 - logistic(*odds)).ln())
        .collect();
    // By the number of answers, of which there are few different ones.
    let known: RefCell<Vec<(f64, f64)>> = RefCell::new(vec![(0.0, 1.0)]);
    let none_right = |asked: f64| -> f64 {
        let mut known = known.borrow_mut();
        if let Some((_, chance)) = known.iter().find(|(count, _)| *count == asked) {
            return *chance;
        }
        let chances = weights.iter().zip(&wrong);
        let chance = chances
            .map(|(weight, log)| weight * (asked * log).exp())
            .sum();
        known.push((asked, chance));
        chance
    };
    (0..prompts)
        .map(|prompt| {
            let mut group = Group {
                seen: seen.iter().any(|arm| arms[*arm].place.prompt == prompt),
                ..Group::default()
            };
            for (row, (right_of_model, all_of_model)) in of_model.iter().enumerate() {
                let (right, all) = total(Some(prompt), row);
                group.none_right.push(none_right(all));
                let elsewhere = all_of_model - all;
                group.none_right_elsewhere.push(none_right(elsewhere));
                group.right.push(right > 0.0);
                group.right_elsewhere.push(right_of_model - right > 1e-9);
            }
            group
        })
        .collect()
}

/// How log-odds are spread over the rows in reach, on the grid: as the posterior has it, but moved to
/// where the right answers of the rows that have any are best explained. The posterior takes rows
/// without one for hard, and says little of how easy the others are.
fn in_reach(rows: &[(f64, f64)], level: f64, spread: f64) -> [f64; GRID] {
    let chances = grid().map(logistic);
    let (right_logs, wrong_logs) = (
        chances.map(f64::ln),
        chances.map(|chance| (1.0 - chance).ln()),
    );
    // Rows with as many right and wrong answers, with how many there are, whether none is right, and
    // how likely that is for each chance.
    let mut likelihoods: Vec<((f64, f64), f64, [f64; GRID])> = Vec::new();
    for counts in rows.iter().filter(|(_, all)| *all > 0.0) {
        if let Some((_, count, _)) = likelihoods.iter_mut().find(|(known, ..)| known == counts) {
            *count += 1.0;
            continue;
        }
        let (right, all) = counts;
        let likelihood = std::array::from_fn(|index| {
            (right * right_logs[index] + (all - right) * wrong_logs[index]).exp()
        });
        likelihoods.push((*counts, 1.0, likelihood));
    }
    let rows: f64 = likelihoods.iter().map(|(_, count, _)| count).sum();
    let weighed = |likelihood: &[f64; GRID], weights: &[f64; GRID]| -> f64 {
        likelihood
            .iter()
            .zip(weights)
            .map(|(one, weight)| one * weight)
            .sum()
    };
    let mut best = (f64::NEG_INFINITY, bell(level, spread));
    for step in 0..=2 * SHIFTS {
        let shift = (step as f64 - SHIFTS as f64) * SHIFT;
        let weights = bell(level + shift, spread);
        let reached: Vec<(bool, f64, f64)> = likelihoods
            .iter()
            .map(|((right, _), count, likelihood)| {
                (*right <= 0.0, *count, weighed(likelihood, &weights))
            })
            .collect();
        let mut share = UNREACHABLE_SHARE;
        for _ in 0..ROUNDS {
            let out: f64 = reached
                .iter()
                .filter(|(none, ..)| *none)
                .map(|(_, count, reached)| count * share / (share + (1.0 - share) * reached))
                .sum();
            share = (out + UNREACHABLE_SHARE * UNREACHABLE_WEIGHT) / (rows + UNREACHABLE_WEIGHT);
        }
        let of_rows: f64 = reached
            .iter()
            .map(|(none, count, reached)| {
                let out = if *none { share } else { 0.0 };
                count * (out + (1.0 - share) * reached).max(1e-300).ln()
            })
            .sum();
        let prior = -0.5 * (shift / SHIFT_DEVIATION).powi(2)
            + UNREACHABLE_WEIGHT
                * (UNREACHABLE_SHARE * share.ln() + (1.0 - UNREACHABLE_SHARE) * (1.0 - share).ln());
        if of_rows + prior > best.0 {
            best = (of_rows + prior, weights);
        }
    }
    best.1
}

fn share(groups: &[Group], rows: usize) -> Share {
    let alpha = UNREACHABLE_SHARE * UNREACHABLE_WEIGHT;
    let seen: Vec<&Group> = groups.iter().filter(|group| group.seen).collect();
    let mut share = Share {
        mean: UNREACHABLE_SHARE,
        alpha,
        beta: UNREACHABLE_WEIGHT - alpha,
    };
    for _ in 0..ROUNDS {
        let (mut out, mut weight) = (alpha, UNREACHABLE_WEIGHT);
        for group in &seen {
            for row in 0..rows {
                // A row tells as much as its answers could have been right.
                let told = (1.0 - group.none_right[row]) / seen.len() as f64;
                out += told * group.unreachable(share.mean, row);
                weight += told;
            }
        }
        share = Share {
            mean: out / weight,
            alpha: out,
            beta: weight - out,
        };
    }
    share
}

/// The weights of a normal distribution on the grid, adding up to 1.
///
/// From the point of the grid that is nearest to the mean outwards, each weight is its neighbour's
/// times a ratio, which is its neighbour's times a constant: few exponentials instead of one a point.
pub(super) fn bell(mean: f64, variance: f64) -> [f64; GRID] {
    const STEP: f64 = (HIGHEST - LOWEST) / (GRID - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place on the grid"
    )]
    let peak = ((mean - LOWEST) / STEP)
        .round()
        .clamp(0.0, (GRID - 1) as f64) as usize;
    let off = mean - (LOWEST + STEP * peak as f64);
    let constant = (-STEP * STEP / variance).exp();
    let mut weights = [0.0; GRID];
    weights[peak] = 1.0;
    let first = |side: f64| (STEP * (side * off - 0.5 * STEP) / variance).exp();
    let mut ratio = first(1.0);
    for place in peak + 1..GRID {
        weights[place] = weights[place - 1] * ratio;
        ratio *= constant;
    }
    let mut ratio = first(-1.0);
    for place in (0..peak).rev() {
        weights[place] = weights[place + 1] * ratio;
        ratio *= constant;
    }
    let total = weights.iter().sum::<f64>().max(1e-300);
    for weight in &mut weights {
        *weight /= total;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_the_normal_density_on_the_grid() {
        for (mean, variance) in [(-0.3, 3.0), (4.2, 0.5), (-9.0, 1.0), (12.0, 2.0)] {
            let exact = grid().map(|odds| (-0.5 * (odds - mean).powi(2) / variance).exp());
            let total: f64 = exact.iter().sum();
            for (one, exact) in bell(mean, variance).iter().zip(exact) {
                assert!((one - exact / total).abs() < 1e-12, "{mean} {variance}");
            }
        }
    }

    #[test]
    fn rows_in_reach_lie_where_their_counts_are_likely() {
        // A quarter of the rows are easy and none of the others was ever right.
        let rows: Vec<(f64, f64)> = (0..40)
            .map(|row| {
                if row % 4 == 0 {
                    (12.0, 16.0)
                } else {
                    (0.0, 16.0)
                }
            })
            .collect();
        let mean = |weights: [f64; GRID]| -> f64 {
            weights
                .iter()
                .zip(grid())
                .map(|(weight, odds)| weight * odds)
                .sum()
        };
        let taken = mean(in_reach(&rows, -3.0, 3.0));
        assert!(taken > -1.0, "{taken}");
        // Where rows are right now and then, they are hard and not out of reach.
        let rows: Vec<(f64, f64)> = (0..40)
            .map(|row| (f64::from(u8::from(row % 2 == 0)), 16.0))
            .collect();
        let taken = mean(in_reach(&rows, -3.0, 3.0));
        assert!(taken < -2.0, "{taken}");
    }
}
