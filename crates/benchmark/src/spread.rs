//! What many measurements of one thing come to.

use crate::share::Share;
use frugal_evaluation::statistics::estimate;
use serde::Serialize;

/// The mean of some values, and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Its standard error; 0 of fewer than two values.
    pub error: f64,
    /// How many values there are.
    pub count: usize,
}

impl Spread {
    /// That of no values.
    pub const NOTHING: Self = Self {
        mean: 0.0,
        error: 0.0,
        count: 0,
    };

    /// That of some values.
    pub fn of(values: &[f64]) -> Self {
        estimate(values).map_or(Self::NOTHING, |found| Self {
            mean: found.mean,
            error: found.standard_error.unwrap_or_default(),
            count: values.len(),
        })
    }

    /// That of the differences of values that belong together.
    pub fn of_differences(values: &[f64], others: &[f64]) -> Self {
        let pairs = values.iter().zip(others);
        Self::of(&pairs.map(|(one, other)| one - other).collect::<Vec<_>>())
    }

    /// The mean and its standard error with so many decimals.
    pub fn show(self, decimals: usize) -> String {
        let Self { mean, error, .. } = self;
        format!("{} ± {error:.decimals$}", fixed(mean, decimals))
    }

    /// The same of a change, which has its sign.
    pub fn change(self, decimals: usize) -> String {
        let sign = if fixed(self.mean, decimals).starts_with('-') {
            ""
        } else {
            "+"
        };
        format!("{sign}{}", self.show(decimals))
    }

    /// The mean and its standard error as per cent.
    pub fn per_cent(self) -> String {
        let Self { mean, error, count } = self;
        let (mean, error) = (100.0 * mean, 100.0 * error);
        format!("{} %", Self { mean, error, count }.show(1))
    }

    /// Whether it is above 0, below it, or cannot be told from it within two standard errors.
    pub fn sign(self) -> Sign {
        if self.count < 2 || self.mean.abs() <= 2.0 * self.error {
            Sign::Unclear
        } else if self.mean > 0.0 {
            Sign::Above
        } else {
            Sign::Below
        }
    }

    /// As a figure has it.
    pub const fn value(self) -> Option<(f64, f64)> {
        match self.count {
            0 => None,
            _ => Some((self.mean, self.error)),
        }
    }
}

impl From<Share> for Spread {
    fn from(share: Share) -> Self {
        Self {
            mean: share.value(),
            error: share.standard_error(),
            count: share.of as usize,
        }
    }
}

/// A number with so many decimals, which has no sign where all of its figures are 0.
pub fn fixed(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.bytes().all(|figure| matches!(figure, b'0' | b'.')) => zero.to_owned(),
        _ => text,
    }
}

/// Where a mean lies as far as its standard error tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Above 0 by more than two standard errors.
    Above,
    /// Below 0 by more than two standard errors.
    Below,
    /// Within two standard errors.
    Unclear,
}

impl Sign {
    /// The words that fit.
    pub const fn words<'w>(self, above: &'w str, below: &'w str, unclear: &'w str) -> &'w str {
        match self {
            Self::Above => above,
            Self::Below => below,
            Self::Unclear => unclear,
        }
    }
}

/// Spearman's rank correlation, equal values sharing their mean rank; nothing where all of one side
/// are equal.
pub fn rank_correlation(ones: &[f64], others: &[f64]) -> Option<f64> {
    let (ones, others) = (ranks(ones), ranks(others));
    let mean = (ones.len() as f64 - 1.0) / 2.0;
    let product = |left: &[f64], right: &[f64]| -> f64 {
        let pairs = left.iter().zip(right);
        pairs
            .map(|(left, right)| (left - mean) * (right - mean))
            .sum()
    };
    let scale = (product(&ones, &ones) * product(&others, &others)).sqrt();
    (scale > 0.0).then(|| product(&ones, &others) / scale)
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count();
    let equal = |value: f64| values.iter().filter(|other| **other == value).count();
    let rank = |value: &f64| below(*value) as f64 + (equal(*value) as f64 - 1.0) / 2.0;
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_mean_and_its_error() {
        let found = Spread::of(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(found.show(3), "2.500 ± 0.645");
        assert_eq!(found.sign(), Sign::Above);
        assert_eq!(Spread::of(&[-1.0, 1.5]).sign(), Sign::Unclear);
        assert_eq!(Spread::of_differences(&[1.0, 2.0], &[3.0, 4.0]).mean, -2.0);
        assert_eq!(Spread::of(&[]).value(), None);
    }

    #[test]
    fn what_rounds_to_nothing_has_no_minus() {
        let of = |mean| Spread {
            mean,
            ..Spread::NOTHING
        };
        assert_eq!(of(-0.0).show(3), "0.000 ± 0.000");
        assert_eq!(of(-0.000_4).show(3), "0.000 ± 0.000");
        assert_eq!(of(-0.000_4).change(3), "+0.000 ± 0.000");
        assert_eq!(of(-0.000_6).change(3), "-0.001 ± 0.000");
        assert_eq!(of(0.25).change(2), "+0.25 ± 0.00");
        assert_eq!(of(-0.000_4).per_cent(), "0.0 ± 0.0 %");
        let none = Share::of(std::iter::empty());
        assert_eq!(Spread::from(none), Spread::NOTHING);
    }

    #[test]
    fn ranks_are_correlated_as_spearman_has_it() {
        assert_eq!(
            rank_correlation(&[1.0, 2.0, 9.0], &[3.0, 5.0, 6.0]),
            Some(1.0)
        );
        assert_eq!(
            rank_correlation(&[1.0, 2.0, 9.0], &[3.0, 2.0, 1.0]),
            Some(-1.0)
        );
        assert_eq!(rank_correlation(&[1.0, 1.0], &[3.0, 2.0]), None);
        // 1 − 6 Σd²/(n(n² − 1)) without ties: d = 1, 1, 0, 0.
        let found = rank_correlation(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 3.0, 4.0]).unwrap();
        assert!((found - 0.8).abs() < 1e-12);
    }
}
