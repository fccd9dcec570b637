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
    fn one_value_has_no_standard_error_and_none_has_no_estimate() {
        assert_eq!(estimate(&[0.5]).unwrap().standard_error, None);
        assert_eq!(estimate(&[]), None);
    }
}
