//! 95 % intervals of means over few instances.
//!
//! A mean of scores is seldom normal: at utilities near 1 most samples of 15 or 30 instances have
//! no miss at all, and what varies least in the sample (Student's t, the bootstrap) then claims
//! most. These intervals reckon with what the sample does not show, as far as it can be: values
//! have a range.
//!
//! * Where all values are right or wrong: [Wilson's](wilson) interval.
//! * Where they are graded: the mean of the values with random weights, and among them one value
//!   that was not observed, at the end of the range. With uniform weights for all of them, this is
//!   Gaffke's bound (N. Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on
//!   the mean of a nonnegative variable", 2005; E. Learned-Miller and P. Thomas, "A new confidence
//!   interval for the mean of a bounded random variable", arXiv 1905.06208, who conjecture that it
//!   covers 95 % at the least whatever the values), which of values that are 0 or 1 is the exact
//!   interval of Clopper and Pearson.
//! * For paired differences the same, whose lower end is then above 0 exactly where McNemar's exact
//!   test says so, as long as each difference is −1, 0 or 1.
//!
//! `frugal-benchmark certainty` measures what they cover and how wide they are.

use crate::dirichlet_mean::{Atom, atoms, lower_quantile, probability_below};
use crate::quantiles::NORMAL_975;
use crate::statistics::{estimate, real};
use frugal_domain::job::Direction;
use frugal_domain::metric::Metric;
use frugal_domain::trial::{Estimate, Improvement, Interval};
use std::collections::BTreeMap;

/// Half of what a 95 % interval leaves out.
const TAIL: f64 = 0.025;

/// The weight of the value that was not observed, against 1 of each that was. A whole one covers
/// 95 % at the least and mostly 97 to 99 %, as exact intervals do. Half of one covers as often as it
/// says on average rather than at the least, and is about as wide as Wilson's.
const UNSEEN_IN_MEAN: f64 = 0.5;

/// The same where the range of the values is not known either, and of differences, on which a
/// verdict rests: no more than 2.5 % of those without any may be taken for better.
const UNSEEN: f64 = 1.0;

/// The fewest instances that have to differ for a difference to be more than chance. If the two
/// were alike, each difference would as soon have the other sign, so that k differences are all
/// on one side with probability 2⁻ᵏ; six is the first k at which that is below 0.025. It follows
/// from the [interval](PairedDifferences::interval): with fewer it never leaves 0 out.
pub const FEWEST_DIFFERING: usize = 6;

/// The 95 % interval of the mean of a metric over instances, from its values on some of them.
///
/// For metrics from 0 to 1: Wilson's interval where every value is 0 or 1, and otherwise the
/// weighted mean's with half an observation at each end of the range. Metrics without an upper
/// bound (milliseconds, tokens, costs) have a whole one as far beyond the observed values as these
/// reach from the smallest to the largest, but never below 0: that is an assumption, without which
/// no interval of such a mean exists. Where all of them are equal it is as far as their value.
///
/// Nothing of no values. Never of width 0, but for an unbounded metric that is 0 on every instance.
#[must_use]
pub fn mean_interval(metric: Metric, values: &[f64]) -> Option<Interval> {
    let observed = extent(values)?;
    let Some(largest) = metric.largest() else {
        let spread = observed.high - observed.low;
        let reach = if spread > 0.0 { spread } else { observed.high };
        let range = Interval {
            low: (observed.low - reach).max(0.0),
            high: observed.high + reach,
        };
        return Some(weighted_mean_interval(values, range, UNSEEN, TAIL));
    };
    let is_binary = |value: &f64| *value == 0.0 || (*value - largest).abs() < f64::EPSILON;
    if values.iter().all(is_binary) {
        let right = values.iter().filter(|value| **value != 0.0).count();
        let share = wilson(right, values.len());
        return Some(Interval {
            low: largest * share.low,
            high: largest * share.high,
        });
    }
    let range = Interval {
        low: 0.0,
        high: largest,
    };
    Some(weighted_mean_interval(values, range, UNSEEN_IN_MEAN, TAIL))
}

/// The 95 % interval of the mean of values within a range, with a whole observation more at either end.
#[must_use]
pub(crate) fn interval_within(values: &[f64], range: Interval) -> Interval {
    weighted_mean_interval(values, range, UNSEEN, TAIL)
}

/// Bounds of the mean of a metric from 0 to 1 over instances, each at a confidence of its own: the
/// mean is above the lower one in at least this share of cases, and below the upper one in as many. With
/// a whole observation more at the end of the range they are Clopper and Pearson's where all values are
/// right or wrong. Nothing of no values, or of a metric without an upper bound.
#[must_use]
pub fn mean_bounds(metric: Metric, values: &[f64], confidence: f64) -> Option<Interval> {
    extent(values)?;
    let range = Interval {
        low: 0.0,
        high: metric.largest()?,
    };
    Some(weighted_mean_interval(
        values,
        range,
        UNSEEN,
        1.0 - confidence,
    ))
}

/// Wilson's interval of a share, `right` of `count`, which is to be at least 1.
///
/// Plain, it covers far less than 95 % where the true share is so close to an end that one or two
/// exceptions are expected (85 % at 1/200 and 30 instances). There, up to two exceptions (three
/// from 51 instances on), its inner end is Poisson's at 5 %, after L. Brown, T. Cai and A. DasGupta,
/// "Interval estimation for a binomial proportion" (2001), 4.1.1.
fn wilson(right: usize, count: usize) -> Interval {
    let lower = |right: usize| {
        let most_rare = if count > 50 { 3 } else { 2 };
        if (1..=most_rare).contains(&right) {
            return POISSON_5_PERCENT[right - 1] / real(count);
        }
        let (share, count) = (real(right) / real(count), real(count));
        let square = NORMAL_975 * NORMAL_975;
        let variance = share * (1.0 - share) / count + square / (4.0 * count * count);
        let low = share + square / (2.0 * count) - NORMAL_975 * variance.sqrt();
        (low / (1.0 + square / count)).max(0.0)
    };
    Interval {
        low: lower(right),
        high: 1.0 - lower(count - right),
    }
}

/// The mean of a Poisson distribution that reaches 1, 2, 3 with probability 0.05: half the 5 %
/// quantile of χ² with twice as many degrees of freedom.
const POISSON_5_PERCENT: [f64; 3] = [0.051_293_294, 0.355_361_510, 0.817_691_447];

/// The interval of the mean of values of which one more, of this weight, is at the lower end of the
/// range for the lower end of the interval, and at the upper end for the upper. Each end leaves out
/// a tail.
fn weighted_mean_interval(values: &[f64], range: Interval, unseen: f64, tail: f64) -> Interval {
    let lower = |mut atoms: Vec<Atom>, end: f64| {
        atoms.push(Atom {
            value: end,
            parameter: unseen,
        });
        lower_quantile(&atoms, tail)
    };
    Interval {
        low: lower(atoms(values.iter().copied()), range.low),
        high: -lower(atoms(values.iter().map(|value| -value)), -range.high),
    }
}

/// The smallest and the largest value.
fn extent(values: &[f64]) -> Option<Interval> {
    (!values.is_empty()).then(|| Interval {
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

/// The differences of two configurations on the instances that both were evaluated on. Pairing
/// takes out how hard each instance is.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedDifferences {
    /// Left less right, in the order of the instances; at least one.
    values: Vec<f64>,
    /// How large a difference can be, to either side.
    largest: f64,
}

impl PairedDifferences {
    /// The differences `left − right` of a metric, both by instance. Nothing where they share none.
    #[must_use]
    pub fn of(
        metric: Metric,
        left: &BTreeMap<usize, f64>,
        right: &BTreeMap<usize, f64>,
    ) -> Option<Self> {
        let pairs = || left.iter().filter_map(|(i, l)| Some((*l, *right.get(i)?)));
        let values: Vec<f64> = pairs().map(|(left, right)| left - right).collect();
        if values.is_empty() {
            return None;
        }
        // A metric without an upper bound says nothing of how large a difference can be. The
        // largest one is taken for it, and where none differs the largest value.
        let most = |found: f64, one: f64| found.max(one.abs());
        let largest =
            metric
                .largest()
                .unwrap_or_else(|| match values.iter().copied().fold(0.0, most) {
                    0.0 => pairs().map(|(left, _)| left).fold(0.0, most),
                    largest => largest,
                });
        Some(Self { values, largest })
    }

    /// The differences of what rows stand for in a metric of a corpus, which may be beyond 1 either way.
    /// Nothing where there are none.
    #[must_use]
    pub(crate) fn of_row_values(
        left: &BTreeMap<usize, f64>,
        right: &BTreeMap<usize, f64>,
    ) -> Option<Self> {
        let pairs = left.iter().filter_map(|(i, l)| Some((*l, *right.get(i)?)));
        let values: Vec<f64> = pairs.map(|(left, right)| left - right).collect();
        let largest = values
            .iter()
            .fold(1.0, |most: f64, one| most.max(one.abs()));
        (!values.is_empty()).then_some(Self { values, largest })
    }

    /// The differences themselves.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Their mean, its standard error and their count.
    #[must_use]
    pub fn estimate(&self) -> Option<Estimate> {
        estimate(&self.values)
    }

    /// How many of them are not 0.
    #[must_use]
    pub fn differing(&self) -> usize {
        self.values.iter().filter(|value| **value != 0.0).count()
    }

    /// The 95 % interval of their mean, with one difference more, as large as one can be, to the
    /// left for its lower end and to the right for its upper. So it is wide where few instances
    /// differ (and of width 0 only for an unbounded metric that is 0 on every instance), and it never
    /// leaves 0 out where fewer than [`FEWEST_DIFFERING`] do. Of differences
    /// that are −1, 0 or 1 it leaves 0 out exactly where McNemar's exact test rejects at 2.5 % on
    /// one side.
    #[must_use]
    pub fn interval(&self) -> Interval {
        let range = Interval {
            low: -self.largest,
            high: self.largest,
        };
        weighted_mean_interval(&self.values, range, UNSEEN, TAIL)
    }

    /// The same with each end at a confidence of its own: the mean is above the lower end in at least
    /// this share of cases, and below the upper end in as many.
    #[must_use]
    pub fn bounds(&self, confidence: f64) -> Interval {
        let range = Interval {
            low: -self.largest,
            high: self.largest,
        };
        weighted_mean_interval(&self.values, range, UNSEEN, 1.0 - confidence)
    }

    /// The two-sided p-value of a mean difference of 0: the largest share of cases that an interval of
    /// the kind of [`Self::interval`] may leave out and still reach 0. So it is below 0.05 exactly where
    /// that interval leaves 0 out, and of differences that are −1, 0 or 1 it is McNemar's exact one.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        // Whichever side the mean is on, the question is how far the other one reaches.
        let sum: f64 = self.values.iter().sum();
        let side = if sum < 0.0 { -1.0 } else { 1.0 };
        let mut atoms = atoms(self.values.iter().map(|value| side * value));
        atoms.push(Atom {
            value: -self.largest,
            parameter: UNSEEN,
        });
        if side * sum <= UNSEEN * self.largest {
            return 1.0;
        }
        (2.0 * probability_below(&atoms, 0.0)).clamp(0.0, 1.0)
    }

    /// Whether the left configuration is better than the right one, on instances that neither was
    /// chosen by.
    ///
    /// [`Improvement::None`] where the mean difference is not better than 0.
    /// [`Improvement::Significant`] where all of the [interval](Self::interval) is on the better
    /// side.
    #[must_use]
    pub fn improvement(&self, direction: Direction) -> Improvement {
        let mean = self.values.iter().sum::<f64>() / real(self.values.len());
        if !direction.better(mean, 0.0) {
            return Improvement::None;
        }
        let interval = self.interval();
        if direction.better(interval.low, 0.0) && direction.better(interval.high, 0.0) {
            Improvement::Significant
        } else {
            Improvement::NotSignificant
        }
    }
}

#[cfg(test)]
mod tests;
