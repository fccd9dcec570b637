//! Estimates with their uncertainty.

pub use crate::interval::{FEWEST_DIFFERING, PairedDifferences, mean_bounds, mean_interval};
use frugal_domain::trial::Estimate;

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

/// p-values of several comparisons, each raised so that with all of those at or below a level taken for
/// significant, the chance of a single one among them that is not is no more than the level, whatever the
/// comparisons have to do with one another (S. Holm, "A simple sequentially rejective multiple test
/// procedure", 1979). In the order in which they are given.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|one, other| p_values[*one].total_cmp(&p_values[*other]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        let left = real(p_values.len() - rank);
        largest = largest.max((left * p_values[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
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

    #[test]
    fn the_standard_error_is_that_of_the_sample() {
        let found = estimate(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((found.mean, found.count), (2.5, 4));
        // Sample variance 5/3, over four values.
        assert!((found.standard_error.unwrap() - (5.0_f64 / 12.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn several_comparisons_are_corrected_as_holm_says() {
        let close = |found: Vec<f64>, expected: &[f64]| {
            let pairs = found.iter().zip(expected);
            assert!(
                pairs.clone().all(|(a, b)| (a - b).abs() < 1e-12),
                "{found:?}"
            );
        };
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
        close(holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
        close(holm(&[0.6, 0.9]), &[1.0, 1.0]);
        close(holm(&[0.02]), &[0.02]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn one_value_has_no_standard_error_and_none_has_no_estimate() {
        assert_eq!(estimate(&[0.5]).unwrap().standard_error, None);
        assert_eq!(estimate(&[]), None);
    }
}
