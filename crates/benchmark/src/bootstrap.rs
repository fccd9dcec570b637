//! What reports used before: the percentile bootstrap, to hold their intervals against.

use frugal_evaluation::quantiles::{normal_tail, student};
use frugal_evaluation::statistics::FEWEST_DIFFERING;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Half of what a 95 % interval leaves out.
const TAIL: f64 = 0.025;

/// Samples that are drawn from the values.
const RESAMPLES: usize = 1_000;

/// The lower and the upper end of the 95 % interval of the mean: percentiles of the means of
/// samples drawn from the values with replacement, at Φ(−√(n/(n−1))·t), which makes it about as wide
/// as Student's (T. Hesterberg, "What Teachers Should Know About the Bootstrap", 2015). Of equal
/// values it has no width.
pub fn interval(values: &[f64], seed: u64) -> [f64; 2] {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let count = values.len();
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn = (0..count).map(|_| values[generator.random_range(0..count)]);
            drawn.sum::<f64>() / real(count)
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let degrees = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
    let widened = (real(count) / f64::from(degrees)).sqrt() * student(1.0 - TAIL, degrees);
    let share = normal_tail(widened);
    [share, 1.0 - share].map(|share| percentile(&means, share))
}

/// Whether it takes differences for an improvement: its interval above 0, and enough of them not 0.
pub fn is_significant(interval: [f64; 2], differences: &[f64]) -> bool {
    let differing = differences.iter().filter(|value| **value != 0.0).count();
    interval[0] > 0.0 && differing >= FEWEST_DIFFERING
}

/// The value at a share between 0 and 1 of the sorted values, between its neighbours.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    let place = share * real(last);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the slice, cut to a whole one"
    )]
    let below = place as usize;
    sorted[below] + place.fract() * (sorted[(below + 1).min(last)] - sorted[below])
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few thousand")]
const fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_about_as_wide_as_the_interval_of_student() {
        let mut generator = ChaCha8Rng::seed_from_u64(11);
        for (count, quantile) in [(20, 2.093), (60, 2.001), (200, 1.972)] {
            let values: Vec<f64> = (0..count).map(|_| generator.random()).collect();
            let [low, high] = interval(&values, 3);
            // The standard deviation of a uniform number is 1/√12.
            let student = 2.0 * quantile / (12.0 * real(count)).sqrt();
            assert!((0.8..1.2).contains(&((high - low) / student)), "{count}");
        }
        assert_eq!(interval(&[1.0; 15], 1), [1.0, 1.0]);
    }
}
