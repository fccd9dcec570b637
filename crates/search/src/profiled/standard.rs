//! What answers must be as good as, where the cheapest of these are sought.
//!
//! A configuration is as good where the mean of a metric is no lower than the reference's less a
//! margin. `qualities.rs` draws how far an arm may be from that.

use super::tokens::mean;
use frugal_domain::configuration::Extent;
use frugal_domain::job::{NonInferiority, Reference};
use frugal_domain::metric::Metric;
use frugal_domain::trial::QualityDifference;

/// How far an arm's difference from the reference may be off before any of it was drawn.
const UNKNOWN: f64 = 0.2;
/// The least deviation that a chance is computed with.
const LEAST_DEVIATION: f64 = 1e-6;
/// What quality is worth within the margin, cost being worth 1: as much as 4 % of the baseline's cost.
/// So the margin is not given away for next to nothing.
const WITHIN_MARGIN: f64 = 0.01;
/// Halvings of the interval that a quantile lies in.
const HALVINGS: u32 = 60;

/// What answers must be as good as, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Standard {
    rule: NonInferiority,
    /// The quantile of the normal distribution at the confidence.
    quantile: f64,
    /// The mean of the reference and how far that may be off; none where nothing is known of it.
    reference: Option<(f64, f64)>,
    /// The arm that the baseline's responses are of, and the baseline's extent.
    arm: Option<(usize, Extent)>,
    /// By arm, the deviation of its mean less the reference's, and what is to be added to the model's
    /// estimate of its mean.
    known: Vec<Option<(f64, f64)>>,
    /// Whether only what is sure enough is worth something.
    strict: bool,
}

impl Standard {
    /// The rule before anything was drawn. `baseline` is what is known of the baseline: its mean and
    /// the standard error.
    pub(super) fn new(rule: NonInferiority, baseline: Option<(f64, f64)>) -> Self {
        Self {
            rule,
            quantile: normal_quantile(rule.confidence),
            reference: match rule.as_good_as {
                Reference::Value(value) => Some((value, 0.0)),
                Reference::Baseline => baseline,
            },
            arm: None,
            known: Vec::new(),
            strict: false,
        }
    }

    /// The metric of the quality of answers.
    pub(super) const fn metric(&self) -> Metric {
        self.rule.metric
    }

    /// The baseline's responses are those of an arm, cut at the baseline's extent.
    pub(super) fn set_arm(&mut self, arm: usize, extent: Extent) {
        if self.rule.as_good_as == Reference::Baseline {
            self.arm = Some((arm, extent));
        }
    }

    /// The same rule, by which only what is sure enough is worth something.
    pub(super) fn strictly(&self) -> Self {
        Self {
            strict: true,
            ..self.clone()
        }
    }

    /// The chance that a mean of an arm is as good; none where it is to be sure and is not.
    pub(super) fn chance(&self, arm: usize, quality: f64) -> Option<f64> {
        let Some((reference, _)) = self.reference else {
            return (!self.strict).then_some(0.0);
        };
        let known = self.known.get(arm).copied().flatten();
        let (deviation, offset) = known.unwrap_or((UNKNOWN, 0.0));
        let (deviation, quality) = (deviation.max(LEAST_DEVIATION), quality + offset);
        let room = quality - reference + self.rule.margin;
        if !self.strict {
            return Some(normal(room / deviation));
        }
        let difference = self.difference_of(quality - reference, deviation);
        self.rule.holds(&difference).then_some(1.0)
    }

    /// What this quality is worth besides, where it is as good: the more of the margin it leaves, the
    /// more.
    pub(super) fn bonus(&self, quality: f64) -> f64 {
        let Some((reference, _)) = self.reference.filter(|_| self.rule.margin > 0.0) else {
            return 0.0;
        };
        let room = (quality - reference) / self.rule.margin + 1.0;
        WITHIN_MARGIN * room.clamp(0.0, 1.0)
    }

    /// A difference of this mean and deviation.
    pub(super) fn difference_of(&self, mean: f64, deviation: f64) -> QualityDifference {
        QualityDifference {
            mean,
            standard_error: Some(deviation),
            lower_bound: mean - self.quantile * deviation,
        }
    }

    /// Takes in draws of the reference and, by arm, of differences from it, and what is to be added to
    /// the model's estimates. What was known of an arm stands while it has no draws.
    pub(super) fn learn(
        &mut self,
        reference: &[f64],
        differences: &[Option<Vec<f64>>],
        offsets: &[f64],
    ) {
        if self.arm.is_some() {
            self.reference = Some((mean(reference), deviation(reference)));
        }
        self.known.resize(differences.len(), None);
        let draws = differences.iter().zip(offsets);
        for (known, (differences, offset)) in self.known.iter_mut().zip(draws) {
            if let Some(differences) = differences {
                *known = Some((deviation(differences), *offset));
            }
        }
    }

    /// What is known of the reference's mean, and how far that may be off.
    pub(super) const fn reference(&self) -> Option<(f64, f64)> {
        self.reference
    }

    /// The arm that the baseline's responses are of, and the baseline's extent.
    pub(super) const fn arm(&self) -> Option<(usize, Extent)> {
        self.arm
    }

    /// How much lower than the reference's a mean may be.
    pub(super) const fn margin(&self) -> f64 {
        self.rule.margin
    }

    /// Whether a difference shows that an arm is as good.
    pub(super) fn holds(&self, difference: &QualityDifference) -> bool {
        self.rule.holds(difference)
    }
}

/// The standard deviation of draws.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

/// The chance of a standard normal below x.
pub(super) fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

/// The quantile of the standard normal for a probability between 0 and 1.
pub(super) fn normal_quantile(probability: f64) -> f64 {
    let (mut below, mut above) = (-40.0, 40.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (below + above);
        if normal(middle) < probability {
            below = middle;
        } else {
            above = middle;
        }
    }
    0.5 * (below + above)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standard(as_good_as: Reference, baseline: Option<(f64, f64)>) -> Standard {
        let rule = NonInferiority {
            metric: Metric::ExpectedSuccess,
            as_good_as,
            margin: 0.05,
            confidence: 0.95,
        };
        Standard::new(rule, baseline)
    }

    /// So many draws, half of them so far below the mean and half above.
    fn around(mean: f64, off: f64) -> Vec<f64> {
        let at = |sample| {
            if sample % 2 == 0 {
                mean - off
            } else {
                mean + off
            }
        };
        (0..48).map(at).collect()
    }

    #[test]
    fn quantiles_are_the_inverse_of_the_distribution() {
        assert!((normal_quantile(0.95) - 1.644_853_627).abs() < 1e-8);
        assert!((normal_quantile(0.5)).abs() < 1e-12);
        assert!((normal(normal_quantile(0.999)) - 0.999).abs() < 1e-12);
    }

    #[test]
    fn a_chance_grows_with_quality_and_is_even_at_the_margin() {
        let standard = standard(Reference::Value(0.8), None);
        let chance = |quality| standard.chance(0, quality).unwrap();
        assert!((chance(0.75) - 0.5).abs() < 1e-12);
        assert!(chance(0.7) < chance(0.75) && chance(0.75) < chance(0.85));
        // One deviation of what is not known before anything was drawn.
        assert!((chance(0.95) - normal(1.0)).abs() < 1e-12);
    }

    #[test]
    fn strictly_only_what_is_sure_enough_counts() {
        let mut standard = standard(Reference::Baseline, Some((0.8, 0.02)));
        let draws = |off| Some(around(0.0, off));
        standard.learn(
            &around(0.8, 0.02),
            &[draws(0.01), draws(0.1), None],
            &[0.0; 3],
        );
        let strict = standard.strictly();
        // 1.64 deviations of 0.01 above the margin, and of 0.1.
        assert_eq!(strict.chance(0, 0.77), Some(1.0));
        assert_eq!(strict.chance(0, 0.765), None);
        assert_eq!(
            (strict.chance(1, 0.77), strict.chance(1, 0.92)),
            (None, Some(1.0))
        );
        assert_eq!(strict.chance(2, 0.85), None, "nothing was drawn of it");
        assert!(standard.chance(1, 0.77).unwrap() > 0.5);
    }

    #[test]
    fn quality_within_the_margin_counts_a_little() {
        let standard = standard(Reference::Value(0.8), None);
        let bonuses = [0.7, 0.75, 0.775, 0.8, 0.9].map(|quality| standard.bonus(quality));
        let expected = [0.0, 0.0, 0.005, 0.01, 0.01];
        for (bonus, expected) in bonuses.iter().zip(expected) {
            assert!((bonus - expected).abs() < 1e-12, "{bonuses:?}");
        }
    }

    #[test]
    fn without_a_reference_nothing_is_as_good() {
        let standard = standard(Reference::Baseline, None);
        assert_eq!(standard.chance(0, 1.0), Some(0.0));
        assert_eq!(standard.strictly().chance(0, 1.0), None);
    }
}
