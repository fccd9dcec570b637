//! Which settings mattered: how much of what trials differ in each setting explains by itself.
//!
//! A forest of regression trees is grown on bootstrap samples of the trials (L. Breiman, "Random forests",
//! 2001). For each tree and setting the mean prediction at each value of the setting, over all trials, is its main
//! effect; the variance of these over the trials, as a part of the variance of the tree's predictions, is the
//! setting's share, as in a functional analysis of variance (F. Hutter, H. Hoos and K. Leyton-Brown, "An
//! efficient approach for assessing hyperparameter importance", 2014), but over the configurations that were
//! tried in place of the whole space: a search tries good ones more often. What is left over is what settings
//! do together. How far the forest may be trusted is said by how well it predicts trials that a tree was not
//! grown on.

use frugal_domain::seed::mix;
use std::collections::BTreeMap;

/// With fewer trials nothing is said.
pub const FEWEST_TRIALS: usize = 8;
/// The part of the variance that has to be predicted for shares to be more than chance may bring.
pub const LEAST_EXPLAINED: f64 = 0.1;

const TREES: u64 = 64;
/// The fewest trials in a leaf.
const LEAF: usize = 2;
/// The most trials that effects are taken over.
const MOST_TRIALS: usize = 300;
/// The most values of a setting that its effect is taken at.
const MOST_VALUES: usize = 24;

/// The value of a setting in a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Level {
    /// A number.
    Number(f64),
    /// One of several values that have no order, by its number.
    Category(usize),
    /// The setting is not there.
    Absent,
}

/// A trial: the values of its settings, as many in each, and what it came to.
#[derive(Debug, Clone, PartialEq)]
pub struct TriedPoint {
    /// The values of the settings.
    pub levels: Vec<Level>,
    /// What it came to.
    pub value: f64,
}

/// Which settings mattered.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// Trials that it rests on.
    pub trials: usize,
    /// The part of the variance of trials that is predicted for trials that were left out; below 0 where
    /// their mean predicts them better.
    pub explained: f64,
    /// For each setting its share, and the standard deviation of that over the trees.
    pub shares: Vec<Share>,
}

/// How much of what trials differ in a setting explains by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// From 0 to 1.
    pub mean: f64,
    /// The standard deviation of it over the trees.
    pub deviation: f64,
}

/// Which settings mattered in trials. Nothing where there are fewer than [`FEWEST_TRIALS`], or all came to the
/// same.
#[must_use]
pub fn importance(points: &[TriedPoint], seed: u64) -> Option<Importance> {
    if points.len() < FEWEST_TRIALS {
        return None;
    }
    let step = points.len().div_ceil(MOST_TRIALS);
    let points: Vec<&TriedPoint> = points.iter().step_by(step).collect();
    let values: Vec<f64> = points.iter().map(|point| point.value).collect();
    let spread = variance(&values);
    if spread <= f64::EPSILON {
        return None;
    }
    let settings = points.first().map_or(0, |point| point.levels.len());
    let mut shares = vec![Vec::new(); settings];
    let mut left_out: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for number in 0..TREES {
        let mut draws = Draws(mix(seed ^ mix(number)));
        let sample: Vec<usize> = (0..points.len())
            .map(|_| draws.below(points.len()))
            .collect();
        let tree = Tree::grow(&points, &sample, &mut draws);
        let predicted: Vec<f64> = points.iter().map(|point| tree.at(&point.levels)).collect();
        for (index, value) in predicted.iter().enumerate() {
            if !sample.contains(&index) {
                left_out.entry(index).or_default().push(*value);
            }
        }
        let all = variance(&predicted);
        for (setting, shares) in shares.iter_mut().enumerate() {
            let share = match all > f64::EPSILON * spread {
                true => (variance(&effects(&points, &tree, setting)) / all).min(1.0),
                false => 0.0,
            };
            shares.push(share);
        }
    }
    let error = left_out.iter().map(|(index, predicted)| {
        let error = mean(predicted) - values[*index];
        error * error
    });
    let error: Vec<f64> = error.collect();
    let share = |shares: &Vec<f64>| Share {
        mean: mean(shares),
        deviation: variance(shares).sqrt(),
    };
    Some(Importance {
        trials: points.len(),
        explained: 1.0 - mean(&error) / spread,
        shares: shares.iter().map(share).collect(),
    })
}

/// Numbers that follow from a seed.
struct Draws(u64);

impl Draws {
    /// The next one, below a count. The bias towards low ones is far below what matters here.
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        usize::try_from(mix(self.0) >> 32).unwrap_or(0) % count.max(1)
    }
}

/// For each trial the mean prediction at its value of a setting, over the other settings of all trials.
fn effects(points: &[&TriedPoint], tree: &Tree, setting: usize) -> Vec<f64> {
    let mut values: Vec<Level> = points.iter().map(|point| point.levels[setting]).collect();
    values.sort_by(|one, other| key(*one).total_cmp(&key(*other)));
    values.dedup();
    let step = values.len().div_ceil(MOST_VALUES).max(1);
    let grid: Vec<(f64, f64)> = values
        .iter()
        .step_by(step)
        .map(|value| {
            let predicted = points.iter().map(|point| {
                let mut levels = point.levels.clone();
                levels[setting] = *value;
                tree.at(&levels)
            });
            (key(*value), mean(&predicted.collect::<Vec<_>>()))
        })
        .collect();
    let at = |point: &&TriedPoint| {
        let wanted = key(point.levels[setting]);
        let nearest = grid
            .iter()
            .min_by(|one, other| (one.0 - wanted).abs().total_cmp(&(other.0 - wanted).abs()));
        nearest.map_or(0.0, |(_, effect)| *effect)
    };
    points.iter().map(at).collect()
}

/// A number by which values of a setting are told apart and, where they have an order, sorted.
#[expect(clippy::cast_precision_loss, reason = "there are few categories")]
const fn key(level: Level) -> f64 {
    match level {
        Level::Number(number) => number,
        Level::Category(number) => number as f64,
        Level::Absent => f64::MIN / 4.0,
    }
}

/// A regression tree.
enum Tree {
    Leaf(f64),
    Split {
        setting: usize,
        test: Test,
        yes: Box<Tree>,
        no: Box<Tree>,
    },
}

/// What a value is asked at a fork.
#[derive(Clone, Copy)]
enum Test {
    AtMost(f64),
    Is(usize),
    IsAbsent,
}

impl Test {
    fn holds(self, level: Level) -> bool {
        match (self, level) {
            (Self::AtMost(limit), Level::Number(number)) => number <= limit,
            (Self::Is(wanted), Level::Category(number)) => number == wanted,
            (Self::IsAbsent, level) => level == Level::Absent,
            _ => false,
        }
    }
}

impl Tree {
    fn grow(points: &[&TriedPoint], sample: &[usize], draws: &mut Draws) -> Self {
        let values: Vec<f64> = sample.iter().map(|index| points[*index].value).collect();
        let Some((setting, test)) = best_split(points, sample, &values, draws) else {
            return Self::Leaf(mean(&values));
        };
        let (yes, no): (Vec<usize>, Vec<usize>) = sample
            .iter()
            .partition(|index| test.holds(points[**index].levels[setting]));
        Self::Split {
            setting,
            test,
            yes: Box::new(Self::grow(points, &yes, draws)),
            no: Box::new(Self::grow(points, &no, draws)),
        }
    }

    fn at(&self, levels: &[Level]) -> f64 {
        let mut tree = self;
        loop {
            match tree {
                Self::Leaf(value) => return *value,
                Self::Split {
                    setting,
                    test,
                    yes,
                    no,
                } => {
                    tree = match test.holds(levels[*setting]) {
                        true => yes,
                        false => no,
                    };
                }
            }
        }
    }
}

/// The split that leaves the least variance, among those of a random part of the settings; nothing where none
/// leaves less.
fn best_split(
    points: &[&TriedPoint],
    sample: &[usize],
    values: &[f64],
    draws: &mut Draws,
) -> Option<(usize, Test)> {
    let all = squares(values);
    if sample.len() < 2 * LEAF || all <= f64::EPSILON {
        return None;
    }
    let settings = points[sample[0]].levels.len();
    let mut best: Option<(f64, usize, Test)> = None;
    for setting in 0..settings {
        // Five of six, so that trees differ and a setting that stands behind another is seen.
        if settings > 1 && draws.below(6) == 0 {
            continue;
        }
        for test in tests(points, sample, setting) {
            let side = |wanted: bool| {
                let of = sample.iter().zip(values);
                let of =
                    of.filter(|(index, _)| test.holds(points[**index].levels[setting]) == wanted);
                of.map(|(_, value)| *value).collect::<Vec<f64>>()
            };
            let (yes, no) = (side(true), side(false));
            if yes.len() < LEAF || no.len() < LEAF {
                continue;
            }
            let left = squares(&yes) + squares(&no);
            if left < all && best.is_none_or(|(least, ..)| left < least) {
                best = Some((left, setting, test));
            }
        }
    }
    best.map(|(_, setting, test)| (setting, test))
}

fn tests(points: &[&TriedPoint], sample: &[usize], setting: usize) -> Vec<Test> {
    let levels = sample.iter().map(|index| points[*index].levels[setting]);
    let (mut numbers, mut categories, mut absent) = (Vec::new(), Vec::new(), false);
    for level in levels {
        match level {
            Level::Number(number) => numbers.push(number),
            Level::Category(number) => categories.push(number),
            Level::Absent => absent = true,
        }
    }
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    categories.sort_unstable();
    categories.dedup();
    let step = numbers.len().div_ceil(MOST_VALUES).max(1);
    let between = numbers.windows(2).step_by(step);
    let between = between.map(|pair| Test::AtMost(f64::midpoint(pair[0], pair[1])));
    let mut tests: Vec<Test> = between.collect();
    tests.extend(categories.into_iter().map(Test::Is));
    tests.extend(absent.then_some(Test::IsAbsent));
    tests
}

#[expect(clippy::cast_precision_loss, reason = "counts of trials are small")]
fn mean(values: &[f64]) -> f64 {
    match values.len() {
        0 => 0.0,
        count => values.iter().sum::<f64>() / count as f64,
    }
}

fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of trials are small")]
fn variance(values: &[f64]) -> f64 {
    squares(values) / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trials of a temperature, a model and a setting without effect.
    fn points(count: u64, value: impl Fn(f64, usize, f64) -> f64) -> Vec<TriedPoint> {
        let point = |number: u64| {
            let unit = |salt: u64| {
                #[expect(clippy::cast_precision_loss, reason = "a number below 2^53")]
                let share = (mix(number ^ mix(salt)) >> 11) as f64 / (1_u64 << 53) as f64;
                share
            };
            let model = usize::try_from(mix(number) % 3).unwrap();
            let (temperature, idle) = (unit(1), unit(2));
            TriedPoint {
                levels: vec![
                    Level::Number(temperature),
                    Level::Category(model),
                    Level::Number(idle),
                ],
                value: value(temperature, model, unit(3) - 0.5),
            }
        };
        (0..count).map(point).collect()
    }

    #[test]
    fn what_made_the_difference_has_the_largest_share() {
        let of = points(120, |temperature, model, noise| {
            let model = if model == 1 { 1.0 } else { 0.0 };
            model + 0.3 * temperature + 0.1 * noise
        });
        let found = importance(&of, 7).unwrap();
        let shares: Vec<f64> = found.shares.iter().map(|share| share.mean).collect();
        assert!(found.explained > 0.8, "{found:?}");
        assert!(
            shares[1] > 0.75 && shares[0] < 0.2 && shares[0] > 0.01,
            "{found:?}"
        );
        assert!(shares[2] < 0.02, "{found:?}");
        assert_eq!(importance(&of, 7).unwrap(), found, "the same every time");
    }

    #[test]
    fn noise_is_not_explained() {
        let of = points(60, |_, _, noise| noise);
        let found = importance(&of, 7).unwrap();
        assert!(found.explained < LEAST_EXPLAINED, "{found:?}");
    }

    #[test]
    fn few_trials_and_trials_that_are_all_the_same_say_nothing() {
        assert_eq!(importance(&points(7, |_, _, noise| noise), 1), None);
        assert_eq!(importance(&points(30, |_, _, _| 0.5), 1), None);
    }

    #[test]
    fn a_setting_that_is_not_always_there_is_told_from_its_values() {
        let mut of = points(80, |_, _, noise| 0.01 * noise);
        for (number, point) in of.iter_mut().enumerate() {
            if number % 2 == 0 {
                point.levels[0] = Level::Absent;
                point.value += 1.0;
            }
        }
        let found = importance(&of, 3).unwrap();
        assert!(found.shares[0].mean > 0.9, "{found:?}");
    }
}
