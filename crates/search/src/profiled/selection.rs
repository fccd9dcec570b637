//! What the response that a selector prefers of n is worth (best of n).
//!
//! The chance p that an answer is right does not say it: where the selector tells right answers from wrong
//! ones, the best of many is nearly always right if any is, and where it does not it is right with p. So of
//! each arm it is estimated how preferences of right answers and of wrong ones lie to one another, as
//! shares a and b of either on some levels. The one of n that is preferred is then on a level with the
//! chance Cⁿ − C'ⁿ, C being the share of all answers up to that level and C' below it, and right there with
//! pa/(pa + (1 − p)b): those on one level are tied, so one of them is drawn.
//!
//! Only answers to the same row are compared, right ones with wrong ones. That a selector thinks highly of
//! the answers to easy rows says nothing of what it would choose.

use super::arm::{Arm, Row};
use super::chance_table::ChanceTable;
use super::standard::{normal, normal_quantile};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Where a selector tells no more levels apart than these, they are its own: valid or not, say. The
/// preferences of others are taken to be finer than any level.
const MOST_LEVELS: usize = 8;
/// How many comparisons of a right answer with a wrong one, each counted as a row's worth of them, the guess
/// counts for beside those of an arm's model and prompt.
const GUESS_WEIGHT: f64 = 2.0;
/// The same of what is known of its model and prompt, beside an arm's own: a selector tells apart the answers of
/// arms that differ in how they sample much alike, and of many arms one has always been lucky, which the search
/// would choose.
const GROUP_WEIGHT: f64 = 100.0;
/// The guess before any were compared: that the right one is preferred in so many cases, which a selector
/// is chosen for. Were it one half, nobody would ever ask for more than one answer, and find out.
const RIGHT_PREFERRED: f64 = 0.7;
/// The same where levels are few: the power that the share of answers up to a level is raised to for right
/// ones, and that above it for wrong ones.
const TILT: f64 = 1.5;
/// The bounds between levels of finer preferences, in deviations of those of wrong answers. They are the
/// closer the higher, where the best of many lies.
const BOUNDS: [f64; 14] = [
    f64::NEG_INFINITY,
    -0.7,
    0.0,
    0.4,
    0.7,
    0.95,
    1.2,
    1.45,
    1.7,
    2.0,
    2.3,
    2.6,
    2.9,
    f64::INFINITY,
];
/// What is known of a preference must leave so much of doubt.
const LEAST_DOUBT: f64 = 0.01;
/// How many chances worths are computed at.
const POINTS: usize = 129;

/// How an arm's selector takes right answers and wrong ones.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// The lowest first.
    levels: Vec<Level>,
    /// What n answers are worth at the [`POINTS`], by n.
    tables: RefCell<BTreeMap<u32, ChanceTable<POINTS>>>,
}

/// The shares of right and of wrong answers that are on a level.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Level {
    right: f64,
    wrong: f64,
}

impl Selection {
    fn new(levels: Vec<Level>) -> Self {
        Self {
            levels,
            tables: RefCell::default(),
        }
    }

    /// That of an arm. Few comparisons say little, so they are pulled towards what those of its model and
    /// prompt say, and these towards a guess.
    pub(super) fn of(arm: &Arm, arms: &[Arm]) -> Self {
        let group = || {
            let alike = |other: &&Arm| {
                (other.place.model, other.place.prompt) == (arm.place.model, arm.place.prompt)
            };
            let rows = arms.iter().filter(alike).flat_map(Arm::data);
            rows.map(|(_, row)| row)
        };
        let own = || arm.data().map(|(_, row)| row);
        let mut counts: BTreeMap<u64, f64> = BTreeMap::new();
        for preference in group().flat_map(|row| &row.preferences) {
            *counts.entry(place(*preference)).or_default() += 1.0;
            if counts.len() > MOST_LEVELS {
                let of_group = Preferred::sum(group()).towards(RIGHT_PREFERRED, GUESS_WEIGHT);
                let of_group = shaped(group(), finer(of_group), GUESS_WEIGHT);
                return Self::new(shaped(own(), of_group, GROUP_WEIGHT));
            }
        }
        let places: BTreeSet<u64> = counts.keys().copied().collect();
        let guess = tilted(&counts.into_values().collect::<Vec<_>>());
        let of_group = Counted::sum(group(), &places).towards(&guess, GUESS_WEIGHT);
        Self::new(Counted::sum(own(), &places).towards(&of_group, GROUP_WEIGHT))
    }

    /// What n answers are worth, each being right with this chance.
    pub(super) fn worth(&self, chance: f64, n: f64) -> f64 {
        let chance = chance.clamp(0.0, 1.0);
        if n <= 1.0 || self.levels.len() <= 1 {
            return chance;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number"
        )]
        let whole = n as u32;
        let mut tables = self.tables.borrow_mut();
        let table = tables.entry(whole);
        let table = table.or_insert_with(|| ChanceTable::of(|chance| self.exact(chance, n)));
        table.at(chance)
    }

    fn exact(&self, chance: f64, n: f64) -> f64 {
        let (mut share, mut below, mut worth) = (0.0_f64, 0.0, 0.0);
        for level in &self.levels {
            let right = chance * level.right;
            let all = right + (1.0 - chance) * level.wrong;
            if all <= 0.0 {
                continue;
            }
            share += all;
            let up_to = share.min(1.0).powf(n);
            worth += (up_to - below) * right / all;
            below = up_to;
        }
        worth.clamp(0.0, 1.0)
    }
}

/// Preferences in their order, to be told apart; one that nothing was said of comes first.
fn place(preference: Option<f64>) -> u64 {
    // Numbers that are not negative have the order of their bits.
    preference.map_or(0, |preference| preference.max(0.0).to_bits() + 1)
}

/// How right and wrong answers lie on the levels of finer preferences, a right one being preferred to a wrong
/// one with this chance: as two normal distributions of the same deviation do (the binormal model of signal
/// detection).
fn finer(right_preferred: f64) -> Vec<Level> {
    let sure = right_preferred.clamp(LEAST_DOUBT, 1.0 - LEAST_DOUBT);
    // Their difference has √2 times the deviation.
    let apart = std::f64::consts::SQRT_2 * normal_quantile(sure);
    let between = |bounds: &[f64]| Level {
        right: normal(bounds[1] - apart) - normal(bounds[0] - apart),
        wrong: normal(bounds[1]) - normal(bounds[0]),
    };
    BOUNDS.windows(2).map(between).collect()
}

/// Levels drawn towards where the right answers of rows lie among the wrong ones, what was known before counting
/// for so many comparisons. One that is above j of w
/// wrong ones is above the share u of all wrong ones as likely as u has brought that about, uʲ(1 − u)ʷ⁻ʲ, times
/// how likely it was before.
fn shaped<'a>(
    rows: impl Iterator<Item = &'a Row>,
    mut levels: Vec<Level>,
    weight_before: f64,
) -> Vec<Level> {
    let shares: Vec<f64> = BOUNDS.iter().map(|bound| normal(*bound)).collect();
    let shares: Vec<f64> = shares
        .windows(2)
        .map(|ends| f64::midpoint(ends[0], ends[1]))
        .collect();
    let before: Vec<f64> = levels.iter().map(|level| level.right).collect();
    let mut sums = vec![0.0; levels.len()];
    let mut all = 0.0;
    for row in rows {
        let (pairs, answers) = comparisons(row);
        if pairs <= 0.0 {
            continue;
        }
        let weight = pairs / answers;
        let right: f64 = row.scores.iter().sum();
        let mut sorted: Vec<(u64, f64, f64)> = weighed(row).collect();
        sorted.sort_unstable_by_key(|(place, ..)| *place);
        let wrong: f64 = answers - right;
        let mut below = 0.0;
        for tied in sorted.chunk_by(|one, other| one.0 == other.0) {
            let beside: f64 = tied.iter().map(|(.., wrong)| wrong).sum();
            for (_, of_right, of_wrong) in tied.iter().filter(|one| one.1 > 0.0) {
                let others = wrong - of_wrong;
                let passed = below + 0.5 * (beside - of_wrong);
                let missed = (others - passed).max(0.0);
                let likely = |share: f64| share.powf(passed) * (1.0 - share).powf(missed);
                let both = shares.iter().zip(&before);
                let masses: Vec<f64> = both.map(|(share, mass)| mass * likely(*share)).collect();
                let total: f64 = masses.iter().sum();
                for (sum, mass) in sums.iter_mut().zip(masses) {
                    *sum += weight * of_right / right * mass / total.max(1e-300);
                }
            }
            below += beside;
        }
        all += weight;
    }
    for (level, sum) in levels.iter_mut().zip(sums) {
        level.right = (sum + weight_before * level.right) / (all + weight_before);
    }
    levels
}

/// How right and wrong answers lie on levels by a guess, from how many of all are on each.
fn tilted(counts: &[f64]) -> Vec<Level> {
    let all: f64 = counts.iter().sum();
    let mut up_to = 0.0;
    let level = |count: &f64| {
        let below = up_to;
        up_to += count / all.max(1.0);
        let above = |share: f64| (1.0 - share).max(0.0).powf(TILT);
        Level {
            right: up_to.powf(TILT) - f64::powf(below, TILT),
            wrong: above(below) - above(up_to),
        }
    };
    counts.iter().map(level).collect()
}

/// The answers to a row: where each is, how right it is, how wrong.
fn weighed(row: &Row) -> impl Iterator<Item = (u64, f64, f64)> {
    let both = row.preferences.iter().zip(&row.scores);
    both.map(|(preference, score)| (place(*preference), *score, 1.0 - score))
}

/// How many comparisons of a right answer with another, wrong one a row has, and how many answers.
fn comparisons(row: &Row) -> (f64, f64) {
    let (mut right, mut wrong, mut with_itself) = (0.0, 0.0, 0.0);
    for (_, of_right, of_wrong) in weighed(row) {
        right += of_right;
        wrong += of_wrong;
        with_itself += of_right * of_wrong;
    }
    ((right * wrong - with_itself).max(0.0), right + wrong)
}

/// How often a right answer was preferred to a wrong one, ties counting half.
#[derive(Debug, Clone, Copy, Default)]
struct Preferred {
    right: f64,
    all: f64,
}

impl Preferred {
    fn sum<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        rows.fold(Self::default(), |mut sum, row| {
            let (pairs, answers) = comparisons(row);
            if pairs <= 0.0 {
                return sum;
            }
            let mut sorted: Vec<(u64, f64, f64)> = weighed(row).collect();
            sorted.sort_unstable_by_key(|(place, ..)| *place);
            let (mut below, mut preferred) = (0.0, 0.0);
            for tied in sorted.chunk_by(|one, other| one.0 == other.0) {
                let right: f64 = tied.iter().map(|(_, right, _)| right).sum();
                let wrong: f64 = tied.iter().map(|(.., wrong)| wrong).sum();
                let with_itself: f64 = tied.iter().map(|(_, right, wrong)| right * wrong).sum();
                preferred += right * below + 0.5 * (right * wrong - with_itself);
                below += wrong;
            }
            // A row counts by how many answers it has to compare, and not by their square.
            sum.right += preferred / answers;
            sum.all += pairs / answers;
            sum
        })
    }

    fn towards(self, usual: f64, weight: f64) -> f64 {
        (self.right + weight * usual) / (self.all + weight)
    }
}

/// How right and wrong answers to the same rows lie on levels, added up.
#[derive(Debug, Clone)]
struct Counted {
    levels: Vec<Level>,
    all: f64,
}

impl Counted {
    fn sum<'a>(rows: impl Iterator<Item = &'a Row>, places: &BTreeSet<u64>) -> Self {
        let mut sum = Self {
            levels: vec![Level::default(); places.len()],
            all: 0.0,
        };
        let numbers: BTreeMap<u64, usize> = places.iter().copied().zip(0..).collect();
        for row in rows {
            let (pairs, answers) = comparisons(row);
            if pairs <= 0.0 {
                continue;
            }
            let right: f64 = row.scores.iter().sum();
            let weight = pairs / answers;
            for (place, of_right, of_wrong) in weighed(row) {
                let Some(number) = numbers.get(&place) else {
                    continue;
                };
                let level = &mut sum.levels[*number];
                level.right += weight * of_right / right;
                level.wrong += weight * of_wrong / (answers - right);
            }
            sum.all += weight;
        }
        sum
    }

    fn towards(&self, usual: &[Level], weight: f64) -> Vec<Level> {
        let pulled = |seen: f64, usual: f64| (seen + weight * usual) / (self.all + weight);
        let both = self.levels.iter().zip(usual);
        let pulled = both.map(|(seen, usual)| Level {
            right: pulled(seen.right, usual.right),
            wrong: pulled(seen.wrong, usual.wrong),
        });
        pulled.collect()
    }
}

#[cfg(test)]
mod tests;
