//! Estimates with their uncertainty.

pub use crate::bootstrap::{FEWEST_DIFFERING, bootstrap_interval, improvement};
use frugal_domain::trial::Estimate;
use std::collections::BTreeMap;

/// The mean of the values, its standard error (sample standard deviation over √count) and
/// their count. Nothing where there are no values; no standard error below two.
#[must_use]
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / real(values.len());
    let standard_error = (values.len() > 1).then(|| {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / real(values.len() - 1) / real(values.len())).sqrt()
    });
    Some(Estimate {
        mean,
        standard_error,
        count: u32::try_from(values.len()).unwrap_or(u32::MAX),
    })
}

/// The mean difference `left − right` over the instances that both were evaluated on, by
/// instance. Pairing takes out how hard each instance is, so that two configurations are told
/// apart on fewer instances. Nothing where they share none.
#[must_use]
pub fn paired_difference(
    left: &BTreeMap<usize, f64>,
    right: &BTreeMap<usize, f64>,
) -> Option<Estimate> {
    estimate(&paired_differences(left, right))
}

/// The differences `left − right` on the instances that both were evaluated on, in the order of
/// the instances.
#[must_use]
pub fn paired_differences(left: &BTreeMap<usize, f64>, right: &BTreeMap<usize, f64>) -> Vec<f64> {
    left.iter()
        .filter_map(|(instance, value)| right.get(instance).map(|other| value - other))
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of instances are far below 2^53"
)]
pub(crate) fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_standard_error_is_that_of_the_sample() {
        let found = estimate(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((found.mean, found.count), (2.5, 4));
        // Sample variance 5/3, over four values.
        assert!((found.standard_error.unwrap() - (5.0_f64 / 12.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_value_has_no_standard_error_and_none_has_no_estimate() {
        assert_eq!(estimate(&[0.5]).unwrap().standard_error, None);
        assert_eq!(estimate(&[]), None);
    }

    #[test]
    fn only_common_instances_are_paired() {
        let left = BTreeMap::from([(0, 1.0), (1, 0.0), (2, 1.0)]);
        let right = BTreeMap::from([(1, 1.0), (2, 1.0), (3, 0.0)]);
        let found = paired_difference(&left, &right).unwrap();
        assert_eq!((found.mean, found.count), (-0.5, 2));
        assert_eq!(paired_difference(&left, &BTreeMap::new()), None);
    }

    proptest! {
        #[test]
        fn a_constant_shift_is_found_without_error(
            values in prop::collection::btree_map(0..100_usize, 0.0..1.0_f64, 2..30),
        ) {
            let shifted = values.iter().map(|(&i, v)| (i, v + 0.25)).collect();
            let found = paired_difference(&shifted, &values).unwrap();
            prop_assert!((found.mean - 0.25).abs() < 1e-9);
            prop_assert!(found.standard_error.unwrap() < 1e-9);
        }
    }
}
