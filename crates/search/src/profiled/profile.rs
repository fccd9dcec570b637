//! Profiles: what an arm is worth and costs at the extents that it may have, read from what was
//! drawn for it.
//!
//! A response does not depend on n, and one drawn under a large limit of tokens tells of every
//! smaller one; so of an arm's extents only those are looked at that can matter. As limits: the
//! largest, a little above the longest right answer, and quantiles of the right answers' lengths
//! with a little room. For each, the largest n that the inference budget allows.

use super::arm::{Arm, Row};
use super::chances::Chances;
use super::constants::{FEW_ROWS, OWN_UNREACHABLE, WIDE};
use super::goal::Goal;
use super::posterior::{Counts, Posterior, logistic};
use super::problem::Problem;
use super::reach::{GRID, Reach, bell, grid};
use super::reduction::{Manner, reduce};
use super::selection::Selection;
use super::tokens::{Cost, Tokens, mean};
use super::votes::{Spread, Spreads};
use frugal_domain::configuration::Extent;
use frugal_domain::metric::Metric;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// Room above the longest right answer, and above a quantile.
const ABOVE_LONGEST: f64 = 1.15;
const ABOVE_QUANTILE: f64 = 1.03;
/// Quantiles of the lengths of right answers, and those that many right answers allow besides.
const QUANTILES: [f64; 2] = [0.88, 0.95];
const LOW_QUANTILES: [f64; 2] = [0.6, 0.75];
/// Right answers per row for those.
const MANY_RIGHT: f64 = 3.0;
/// Right answers below which their lengths tell nothing.
const FEW_RIGHT: usize = 3;
/// The deviation of the log of right answers' lengths before any was seen, and how many it is worth.
const PRIOR_SPREAD: f64 = 0.4;
const PRIOR_FREEDOM: f64 = 2.0;
/// How sure it is that a row whose right answers were all too long is lost to a limit: one right
/// answer, or more.
const LOST_ONE: f64 = 0.6;
const LOST_MORE: f64 = 0.8;
/// A limit must be better by this to be taken instead of another.
const LEAST_BETTER: f64 = 1e-4;

/// What everything is read from.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) problem: &'a Problem,
    pub(super) goal: &'a Goal,
    pub(super) arms: &'a [Arm],
    pub(super) counts: &'a Counts,
    pub(super) tokens: &'a Tokens,
    pub(super) posterior: &'a Posterior,
    pub(super) reach: &'a Reach,
    /// By arm, how likely each chance of the grid is on each row without the row's own answers.
    pub(super) priors: &'a [OnceCell<Vec<[f64; GRID]>>],
    /// By arm, how the wrong answers to each row may spread.
    pub(super) spreads: &'a [OnceCell<Vec<Spreads>>],
    /// By arm, how the selector takes right and wrong answers.
    pub(super) selections: &'a [OnceCell<Selection>],
}

/// An arm at one extent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Profile {
    /// The objective as [`Goal`] counts it, or that it cannot be had.
    pub(super) standing: Standing,
    /// The extent.
    pub(super) extent: Extent,
    /// The log of the share of right answers that the limit leaves.
    pub(super) kept: f64,
    /// What it costs.
    pub(super) cost: Cost,
}

/// What a profile comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing {
    /// So much, more being better.
    Worth(f64),
    /// One response is over the inference budget.
    TooDear,
    /// A constraint is not kept.
    Violates,
}

impl Standing {
    pub(super) const fn worth(self) -> Option<f64> {
        match self {
            Self::Worth(worth) => Some(worth),
            Self::TooDear | Self::Violates => None,
        }
    }
}

/// A limit of tokens with the share of right answers that it keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limit {
    max_tokens: u32,
    /// The log of the share.
    kept: f64,
}

impl Known<'_> {
    /// An arm at its best extent, a response's cost being taken so many standard errors above its
    /// estimate.
    pub(super) fn profile(&self, arm: usize, errors: f64) -> Profile {
        let mut best: Option<Profile> = None;
        for limit in self.limits(arm) {
            let cap = f64::from(limit.max_tokens);
            let cost = self.tokens.cost(self.problem, self.arms, arm, cap);
            let profile = self.at(arm, limit, cost, errors);
            let better = best
                .as_ref()
                .is_none_or(|best| match (profile.standing, best.standing) {
                    (Standing::Worth(one), Standing::Worth(other)) => one > other + LEAST_BETTER,
                    (Standing::Worth(_), _) => true,
                    (Standing::Violates, Standing::TooDear) => true,
                    // Of what is too dear, the cheapest.
                    (Standing::TooDear, Standing::TooDear) => {
                        profile.cost.response < best.cost.response
                    }
                    _ => false,
                });
            if better {
                best = Some(profile);
            }
        }
        // Whatever the extent, responses are drawn under one limit.
        if let Some(best) = &mut best {
            let drawing = self
                .tokens
                .cost(self.problem, self.arms, arm, self.arms[arm].cap());
            best.cost.spent_response = drawing.spent_response;
        }
        best.unwrap_or_else(|| {
            let place = &self.arms[arm].place;
            Profile {
                standing: Standing::TooDear,
                extent: Extent {
                    max_tokens: self.arms[arm].limit,
                    n: place.n.smallest(),
                },
                kept: 0.0,
                cost: Cost::default(),
            }
        })
    }

    fn at(&self, arm: usize, limit: Limit, cost: Cost, errors: f64) -> Profile {
        let place = &self.arms[arm].place;
        let high = Cost {
            response: cost.response * (1.0 + errors * cost.error),
            ..cost
        };
        let fits = |n: u32| self.fits(&high, f64::from(n), place.model);
        let profile = |standing, n| Profile {
            standing,
            extent: Extent {
                max_tokens: limit.max_tokens,
                n,
            },
            kept: limit.kept,
            cost,
        };
        let Some(most) = largest_n(place, fits) else {
            return profile(Standing::TooDear, place.n.smallest());
        };
        let chances = self.chances(arm, limit);
        let measures = self
            .goal
            .measures(self.arms, arm, &chances, f64::from(limit.max_tokens));
        let mut best: Option<(f64, u32)> = None;
        for n in self.goal.numbers(&place.n, most) {
            let worth = self.goal.worth(
                &measures,
                f64::from(n),
                cost.of(f64::from(n), self.most(place.model)),
            );
            if let Some(worth) = worth
                && best.is_none_or(|(other, _)| worth > other + self.goal.least_better())
            {
                best = Some((worth, n));
            }
        }
        match best {
            Some((worth, n)) => profile(Standing::Worth(worth), n),
            None => profile(Standing::Violates, most),
        }
    }

    /// The most responses that one request of a model yields.
    pub(super) fn most(&self, model: usize) -> Option<u32> {
        self.problem.models[model].most_per_request
    }

    /// Whether n responses are within the inference budget.
    pub(super) fn fits(&self, cost: &Cost, n: f64, model: usize) -> bool {
        self.problem
            .inference_budget
            .is_none_or(|budget| cost.of(n, self.most(model)) <= budget)
    }

    /// The mean chances of an arm under a limit.
    fn chances(&self, arm: usize, limit: Limit) -> Chances {
        let mut mean = Chances {
            none: 0.0,
            weights: [0.0; GRID],
            chances: grid_under(limit),
            by_spread: BTreeMap::new(),
            selection: None,
            unreachable: Vec::with_capacity(self.problem.rows()),
        };
        let by_spread = self.goal.is_about_votes();
        if self.problem.selects {
            mean.selection = Some(self.selection(arm).clone());
        }
        self.each_row(arm, limit, |none, weights| {
            if by_spread {
                for (spread, likely) in &self.spreads(arm)[mean.unreachable.len()] {
                    let sums = mean.by_spread.entry(*spread).or_insert([0.0; GRID]);
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += (1.0 - none) * likely * weight;
                    }
                }
            }
            mean.none += none;
            for (sum, weight) in mean.weights.iter_mut().zip(weights) {
                *sum += (1.0 - none) * weight;
            }
            mean.unreachable.push(none);
        });
        mean
    }

    /// How the wrong answers to each row of an arm spread.
    pub(super) fn spreads(&self, arm: usize) -> &[Spreads] {
        self.spreads[arm].get_or_init(|| Spread::of_rows(&self.arms[arm], self.arms))
    }

    /// How the selector takes the answers of an arm.
    fn selection(&self, arm: usize) -> &Selection {
        self.selections[arm].get_or_init(|| Selection::of(&self.arms[arm], self.arms))
    }

    /// What n answers to a row of an arm come to by in a metric, besides the chance that one is right.
    pub(super) fn manner(&self, arm: usize, row: usize, metric: Metric) -> Manner<'_> {
        match metric {
            Metric::Majority => Manner {
                spreads: &self.spreads(arm)[row],
                selection: None,
            },
            Metric::BestOfN => Manner {
                spreads: &[],
                selection: Some(self.selection(arm)),
            },
            _ => Manner::default(),
        }
    }

    /// The expected worth of an arm at an extent on each row, by the row's place in the order.
    pub(super) fn row_values(&self, arm: usize, profile: &Profile, metric: Metric) -> Vec<f64> {
        let limit = Limit {
            max_tokens: profile.extent.max_tokens,
            kept: profile.kept,
        };
        let n = f64::from(profile.extent.n);
        let worths = |manner| grid_under(limit).map(|chance| reduce(metric, chance, n, manner));
        let of_all = match metric {
            Metric::Majority => [0.0; GRID],
            _ => worths(self.manner(arm, 0, metric)),
        };
        let mut values = Vec::with_capacity(self.problem.rows());
        self.each_row(arm, limit, |none, weights| {
            let of_row = match metric {
                Metric::Majority => worths(self.manner(arm, values.len(), metric)),
                _ => of_all,
            };
            let both = weights.iter().zip(&of_row);
            let worth: f64 = both.map(|(weight, worth)| weight * worth).sum();
            values.push((1.0 - none) * worth);
        });
        values
    }

    /// Goes through the rows, in order, with the chance that each is out of reach and how likely
    /// each chance of the grid is if not.
    fn each_row(&self, arm: usize, limit: Limit, mut visit: impl FnMut(f64, &[f64; GRID])) {
        let data = &self.arms[arm];
        let place = &data.place;
        let rows = data.rows.len();
        let cap = f64::from(limit.max_tokens);
        let chances = grid_under(limit);
        let logs = chances.map(f64::ln);
        let wrong = chances.map(|chance| (-chance.min(0.9999)).ln_1p());
        let priors = self.priors[arm].get_or_init(|| self.row_priors(arm));
        let within: Vec<f64> = (0..rows)
            .map(|row| match &data.rows[row] {
                Some(data) if cap < self.arms[arm].cap() => data.right_within(cap),
                _ => self.counts.right[arm][row],
            })
            .collect();
        let group = self.reach.chances(place.model, place.prompt);
        // Rows whose right answers are all cut off may be lost to the limit.
        let is_lost = |row: usize| self.counts.right[arm][row] > 0.0 && within[row] <= 0.0;
        let lost = (0..rows).filter(|row| is_lost(*row)).count() as f64;
        let right = (0..rows)
            .filter(|row| self.counts.right[arm][*row] > 0.0)
            .count() as f64;
        let losing = if limit.kept < 0.0 {
            lost / (right + 1.0)
        } else {
            0.0
        };
        // Rows with as many right and wrong answers share their likelihoods.
        let mut likelihoods: Vec<((f64, f64), [f64; GRID])> = Vec::new();
        for row in 0..rows {
            let (all, counted) = (self.counts.all[arm][row], self.counts.right[arm][row]);
            let right = within[row];
            let mut none = if limit.kept < 0.0 && is_lost(row) {
                if counted > 1.0 { LOST_MORE } else { LOST_ONE }
            } else if counted <= 0.0 {
                group[row] + (1.0 - group[row]) * losing
            } else {
                0.0
            };
            let known = likelihoods
                .iter()
                .position(|(counts, _)| *counts == (right, all));
            let known = known.unwrap_or_else(|| {
                let likelihood = std::array::from_fn(|index| {
                    let log = right * logs[index] + (all - right) * wrong[index];
                    log.exp() * (1.0 - OWN_UNREACHABLE)
                });
                likelihoods.push(((right, all), likelihood));
                likelihoods.len() - 1
            });
            let mut weights = priors[row];
            for (weight, likelihood) in weights.iter_mut().zip(&likelihoods[known].1) {
                *weight *= likelihood;
            }
            let total: f64 = weights.iter().sum();
            if right <= 0.0 {
                none += (1.0 - none) * OWN_UNREACHABLE / (total + OWN_UNREACHABLE);
            }
            for weight in &mut weights {
                *weight /= total.max(1e-300);
            }
            visit(none, &weights);
        }
    }

    /// What the model says of each row without the row's own answers, a wide prior mixed in.
    fn row_priors(&self, arm: usize) -> Vec<[f64; GRID]> {
        let wide = bell(self.posterior.level[arm], self.posterior.spread[arm]);
        let rows = self.posterior.without[arm].iter();
        rows.map(|(centre, variance)| {
            let mut weights = bell(*centre, *variance);
            for (weight, wide) in weights.iter_mut().zip(wide) {
                *weight = (1.0 - WIDE) * *weight + WIDE * wide;
            }
            weights
        })
        .collect()
    }

    /// Every metric of an arm at an extent, the inference cost apart; with its standard error where
    /// it is read from rows.
    pub(super) fn metrics(
        &self,
        arm: usize,
        profile: &Profile,
    ) -> BTreeMap<Metric, (f64, Option<f64>)> {
        let n = f64::from(profile.extent.n);
        let cap = f64::from(profile.extent.max_tokens);
        let chances = self.chances(
            arm,
            Limit {
                max_tokens: profile.extent.max_tokens,
                kept: profile.kept,
            },
        );
        let rows: Vec<&Row> = self.arms[arm].data().map(|(_, row)| row).collect();
        let of_rows = |of: &dyn Fn(&Row) -> f64| {
            let values: Vec<f64> = rows.iter().map(|row| of(row)).collect();
            let centre = mean(&values);
            let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
            let count = values.len() as f64;
            let error = (count > 1.0).then(|| (squares / (count - 1.0) / count).sqrt());
            (centre, error)
        };
        let gives_answer = |row: &&Row| row.answers.iter().any(Option::is_some);
        let has_answers = rows.iter().any(gives_answer);
        let metrics = Metric::ALL.iter().filter_map(|metric| {
            let value = match metric {
                Metric::ExpectedSuccess | Metric::Success | Metric::Mean | Metric::Min => {
                    (chances.mean(*metric, n), None)
                }
                Metric::Majority if has_answers || self.goal.is_about_votes() => {
                    (mean(&self.row_values(arm, profile, *metric)), None)
                }
                Metric::Majority => return None,
                Metric::BestOfN if chances.selection.is_some() => (chances.mean(*metric, n), None),
                Metric::BestOfN => return None,
                Metric::CutRate => of_rows(&|row| row.cut_rate(cap)),
                Metric::CompletionTokens => of_rows(&|row| n * row.mean_tokens(cap)),
                Metric::LatencyMs => of_rows(&|row| row.latency()),
                Metric::InferenceCost => return None,
            };
            Some((*metric, value))
        });
        metrics.collect()
    }

    /// The chance that each row is out of reach of an arm at the limit that it is drawn under.
    pub(super) fn unreachable(&self, arm: usize) -> Vec<f64> {
        let max_tokens = self.arms[arm].limit;
        self.chances(
            arm,
            Limit {
                max_tokens,
                kept: 0.0,
            },
        )
        .unreachable
    }

    /// The limits of tokens worth looking at, in rising order.
    fn limits(&self, arm: usize) -> Vec<Limit> {
        let data = &self.arms[arm];
        let allowed = &data.place.max_tokens;
        let drawn = Limit {
            max_tokens: data.limit,
            kept: 0.0,
        };
        if !self.goal.is_about_answers() {
            return self
                .goal
                .limits(allowed)
                .map(|max_tokens| Limit {
                    max_tokens,
                    kept: 0.0,
                })
                .collect();
        }
        let rows = data.rows.len() as f64;
        let group: Vec<&Arm> = self
            .arms
            .iter()
            .filter(|other| {
                (other.place.model, other.place.prompt) == (data.place.model, data.place.prompt)
            })
            .collect();
        let mut right = RightLengths::of(&[data]);
        if data.seen < FEW_ROWS {
            right = RightLengths::of(&group);
        }
        let Some(longest) = right
            .sorted
            .last()
            .filter(|_| right.sorted.len() >= FEW_RIGHT)
        else {
            return vec![drawn];
        };
        let top = allowed.at_least((longest * ABOVE_LONGEST + 1.0).min(data.cap()));
        let mut limits = vec![drawn];
        let mut add = |max_tokens: u32| {
            if limits.iter().all(|limit| limit.max_tokens != max_tokens) {
                let kept = right.kept(f64::from(max_tokens)).ln();
                limits.push(Limit { max_tokens, kept });
            }
        };
        add(top);
        let low = LOW_QUANTILES
            .iter()
            .filter(|_| right.sorted.len() as f64 > MANY_RIGHT * rows);
        for share in low.chain(&QUANTILES) {
            let room = quantile(&right.sorted, *share) * ABOVE_QUANTILE + 1.0;
            add(allowed.at_least(room.min(data.cap())));
        }
        limits.sort_unstable_by_key(|limit| limit.max_tokens);
        limits
    }
}

/// How long right answers have to be: the lengths seen, each spread out as far as so few tell little of
/// those to come.
struct RightLengths {
    /// In rising order.
    sorted: Vec<f64>,
    /// The deviation of the log that each stands for.
    width: f64,
}

impl RightLengths {
    fn of(arms: &[&Arm]) -> Self {
        let mut lengths: Vec<f64> = Vec::new();
        let mut rows = BTreeSet::new();
        for (row, data) in arms.iter().flat_map(|arm| arm.data()) {
            for length in data.right_lengths() {
                lengths.push(length.max(1.0));
                rows.insert(row);
            }
        }
        lengths.sort_unstable_by(f64::total_cmp);
        Self::spread(lengths, rows.len())
    }

    /// Lengths in rising order, of answers to so many rows.
    fn spread(lengths: Vec<f64>, rows: usize) -> Self {
        let logs: Vec<f64> = lengths.iter().map(|tokens| tokens.ln()).collect();
        let centre = mean(&logs);
        let squares: f64 = logs.iter().map(|log| (log - centre).powi(2)).sum();
        let freedom = (logs.len() as f64 - 1.0).max(0.0) + PRIOR_FREEDOM;
        let variance = (squares + PRIOR_FREEDOM * PRIOR_SPREAD * PRIOR_SPREAD) / freedom;
        // Silverman's rule; answers to the same row are no news of other rows.
        let width = 0.9 * variance.sqrt() * (rows.max(1) as f64).powf(-0.2);
        Self {
            sorted: lengths,
            width,
        }
    }

    /// The share of right answers that a limit leaves.
    fn kept(&self, cap: f64) -> f64 {
        let within = |tokens: &f64| {
            let z = (cap / tokens).ln() / self.width.max(1e-6);
            0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
        };
        let sum: f64 = self.sorted.iter().map(within).sum();
        (sum / self.sorted.len().max(1) as f64).max(1e-3)
    }
}

/// The chances of the grid under a limit.
fn grid_under(limit: Limit) -> [f64; GRID] {
    let kept = limit.kept.exp();
    grid().map(|odds| logistic(odds) * kept)
}

/// The largest allowed n that fits.
fn largest_n(place: &super::arm::ArmPlace, fits: impl Fn(u32) -> bool) -> Option<u32> {
    let smallest = place.n.smallest();
    if !fits(smallest) {
        return None;
    }
    let (mut low, mut high) = (smallest, place.n.largest());
    while low < high {
        let middle = high - (high - low) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    place.n.at_most(f64::from(low))
}

/// A quantile of sorted values, between neighbours by their share.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = share * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among the values"
    )]
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(sorted: &[f64], rows: usize) -> RightLengths {
        RightLengths::spread(sorted.to_vec(), rows)
    }

    #[test]
    fn few_right_answers_do_not_bound_the_next_ones() {
        let few = lengths(&[80.0, 90.0, 100.0, 110.0, 120.0], 5);
        assert!(few.kept(120.0) < 0.9, "{}", few.kept(120.0));
        assert!(few.kept(300.0) > 0.99);
        let many: Vec<f64> = (0..200).map(|at| 80.0 + 0.2 * f64::from(at)).collect();
        let many = lengths(&many, 200);
        assert!(many.kept(120.0) > 0.93, "{}", many.kept(120.0));
        // Many answers to few rows tell little of others.
        let same: Vec<f64> = (0..200).map(|at| 80.0 + 0.2 * f64::from(at)).collect();
        assert!(lengths(&same, 2).kept(120.0) < many.kept(120.0));
        // More is kept the longer the limit.
        let kept: Vec<f64> = (1..40).map(|at| few.kept(10.0 * f64::from(at))).collect();
        assert!(kept.is_sorted() && kept.iter().all(|share| (0.0..=1.0).contains(share)));
    }
}
