//! Whether a configuration is as good as a reference, on the instances that a search sees.
//!
//! The bound is Student's, of the differences instance by instance: it takes those that were seen for
//! all that there may be. It chooses among configurations; what it has chosen is judged on held-out
//! instances, where [`PairedDifferences::bounds`](crate::statistics::PairedDifferences::bounds) also
//! reckons with rare instances that a sample does not show.

use crate::quantiles::student;
use crate::rival::{FEWEST_COMPARED, MOST_DEGREES};
use crate::statistics::estimate;
use frugal_domain::job::{NonInferiority, Reference};
use frugal_domain::trial::QualityDifference;
use std::collections::BTreeMap;

/// The mean of the standard's metric less its reference's, from the metric on each instance and, where
/// the reference is the baseline, the same of the baseline; the instances that both have count. Nothing
/// where these are fewer than [`FEWEST_COMPARED`].
#[must_use]
pub fn quality_difference(
    standard: &NonInferiority,
    values: &BTreeMap<usize, f64>,
    baseline: Option<&BTreeMap<usize, f64>>,
) -> Option<QualityDifference> {
    let differences: Vec<f64> = match standard.as_good_as {
        Reference::Value(value) => values.values().map(|own| own - value).collect(),
        Reference::Baseline => {
            let baseline = baseline?;
            let both = values.iter();
            both.filter_map(|(instance, own)| Some(own - baseline.get(instance)?))
                .collect()
        }
    };
    if differences.len() < FEWEST_COMPARED {
        return None;
    }
    let found = estimate(&differences)?;
    let degrees = found.count.saturating_sub(1).min(MOST_DEGREES);
    let quantile = student(standard.confidence, degrees);
    Some(QualityDifference {
        mean: found.mean,
        standard_error: found.standard_error,
        lower_bound: found.mean - quantile * found.standard_error?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::metric::Metric;

    fn standard(as_good_as: Reference) -> NonInferiority {
        NonInferiority {
            metric: Metric::Mean,
            as_good_as,
            margin: 0.05,
            confidence: 0.95,
        }
    }

    fn by_instance(values: &[f64]) -> BTreeMap<usize, f64> {
        values.iter().copied().enumerate().collect()
    }

    #[test]
    fn the_bound_is_that_of_paired_differences() {
        let own = [1.0, 0.0, 1.0, 1.0, 0.5, 1.0, 0.0, 1.0, 1.0];
        let baseline = [1.0, 0.5, 1.0, 0.0, 0.5, 1.0, 0.5, 1.0];
        let against = |values: &[f64]| {
            let standard = standard(Reference::Baseline);
            quality_difference(
                &standard,
                &by_instance(values),
                Some(&by_instance(&baseline)),
            )
        };
        let found = against(&own).unwrap();
        // Differences 0, −½, 0, 1, 0, 0, −½, 0; the ninth instance has no other side.
        assert!(found.mean.abs() < 1e-12);
        let error = (1.5_f64 / 7.0 / 8.0).sqrt();
        assert!((found.standard_error.unwrap() - error).abs() < 1e-12);
        // Student's quantile at 95 % with 7 degrees of freedom.
        assert!((found.lower_bound + 1.894_578_605 * error).abs() < 1e-6);
        assert!(!standard(Reference::Baseline).holds(&found));
        let same = against(&baseline).unwrap();
        assert_eq!((same.mean, same.lower_bound), (0.0, 0.0));
        assert!(standard(Reference::Baseline).holds(&same));
        assert_eq!(against(&own[..7]), None, "too few to tell");
    }

    #[test]
    fn a_value_is_a_reference_without_a_doubt() {
        let standard = standard(Reference::Value(0.7));
        let of = |values: &[f64]| quality_difference(&standard, &by_instance(values), None);
        let even = of(&[0.68; 8]).unwrap();
        assert!((even.mean + 0.02).abs() < 1e-12 && standard.holds(&even));
        assert!(!standard.holds(&of(&[0.64; 8]).unwrap()));
        let spread = of(&[0.3, 1.0, 0.3, 1.0, 0.3, 1.0, 0.3, 1.0, 0.7]).unwrap();
        assert!(
            spread.mean > -0.05 && !standard.holds(&spread),
            "{spread:?}"
        );
    }
}
