//! How sure a mean is, and whether a difference is more than chance.

use crate::quantiles::{normal_tail, student};
use crate::statistics::{estimate, real};
use frugal_domain::job::Direction;
use frugal_domain::trial::{Improvement, Interval};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Half of what a 95 % interval leaves out.
const TAIL: f64 = 0.025;

/// Samples that are drawn from the values.
const RESAMPLES: usize = 4_000;

/// Values from which on the mean is as good as normal, so that Student's interval says the same
/// at once.
const MANY: usize = 5_000;

/// The fewest instances that have to differ for a difference to be more than chance. If the two
/// were alike, each difference would as soon have the other sign, so that k differences are all
/// on one side with probability 2⁻ᵏ; six is the first k at which that is below 0.025.
pub const FEWEST_DIFFERING: usize = 6;

/// A 95 % confidence interval of the mean, by the percentile bootstrap: the mean of as many
/// values, drawn from these with replacement, over and over.
///
/// Plain percentiles are too narrow for few values. They are taken at Φ(−√(n/(n−1))·t), with t
/// the quantile of Student's t at n − 1 degrees of freedom, which makes the interval about as
/// wide as Student's (T. Hesterberg, "What Teachers Should Know About the Bootstrap", 2015).
/// The interval never reaches beyond the smallest and the largest value, so below six values
/// it covers less than 95 %. Of several thousand values it is Student's interval itself.
///
/// Nothing below two values, and nothing where all values are equal: they do not tell how much
/// others might differ. The same values in the same order and the same seed give the same
/// interval.
#[must_use]
pub fn bootstrap_interval(values: &[f64], seed: u64) -> Option<Interval> {
    let (first, rest) = values.split_first()?;
    if rest.iter().all(|value| value == first) {
        return None;
    }
    if values.len() > MANY {
        return student_interval(values);
    }
    let count = real(values.len());
    let degrees = u32::try_from(rest.len()).unwrap_or(u32::MAX);
    let t = student(1.0 - TAIL, degrees);
    let share = normal_tail((count / (count - 1.0)).sqrt() * t);
    let means = resampled_means(values, seed);
    Some(Interval {
        low: percentile(&means, share),
        high: percentile(&means, 1.0 - share),
    })
}

/// Whether one configuration is better than another, by the paired differences of their
/// utilities, the first less the second, on instances that neither was chosen by.
///
/// [`Improvement::None`] where the mean difference is not better than 0 or there is no
/// difference at all. [`Improvement::Significant`] where all of the [interval](bootstrap_interval)
/// is on the better side and at least six of the differences are not 0: with fewer, chance
/// alone has them all on one side with a probability above 0.025, whatever the interval says.
/// Differences that are all equal have no interval; those six are then what counts.
#[must_use]
pub fn improvement(direction: Direction, difference: &[f64], seed: u64) -> Improvement {
    let mean = difference.iter().sum::<f64>() / real(difference.len());
    if difference.is_empty() || !direction.better(mean, 0.0) {
        return Improvement::None;
    }
    let differing = difference.iter().filter(|value| **value != 0.0).count();
    let beyond_chance = bootstrap_interval(difference, seed).is_none_or(|interval| {
        direction.better(interval.low, 0.0) && direction.better(interval.high, 0.0)
    });
    if differing >= FEWEST_DIFFERING && beyond_chance {
        Improvement::Significant
    } else {
        Improvement::NotSignificant
    }
}

/// The means of samples drawn with replacement, in ascending order.
fn resampled_means(values: &[f64], seed: u64) -> Vec<f64> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let count = values.len() as u64;
    let mut draw = || {
        // The upper half of a product with a number of 32 bits: no position is off its fair share
        // by more than one part in 2^32 / count.
        let position = (u64::from(generator.next_u32()) * count) >> 32;
        usize::try_from(position).map_or(0.0, |position| values[position])
    };
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..values.len()).map(|_| draw()).sum::<f64>() / real(values.len()))
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    means
}

/// The value at a share between 0 and 1 of the sorted values, between its neighbours.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * real(sorted.len() - 1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the slice, cut to a whole one"
    )]
    let below = place as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + place.fract() * (sorted[above] - sorted[below])
}

/// Mean ± t · standard error.
fn student_interval(values: &[f64]) -> Option<Interval> {
    let found = estimate(values)?;
    let t = student(1.0 - TAIL, found.count.saturating_sub(1));
    let half = t * found.standard_error?;
    Some(Interval {
        low: found.mean - half,
        high: found.mean + half,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::RngExt;

    #[test]
    fn two_values_are_needed_and_they_must_differ() {
        assert_eq!(bootstrap_interval(&[], 1), None);
        assert_eq!(bootstrap_interval(&[0.5], 1), None);
        assert_eq!(bootstrap_interval(&[1.0; 40], 1), None);
        let found = bootstrap_interval(&[0.0, 1.0], 1).unwrap();
        assert_eq!((found.low, found.high), (0.0, 1.0));
    }

    #[test]
    fn it_is_about_as_wide_as_the_interval_of_student() {
        let mut generator = ChaCha8Rng::seed_from_u64(11);
        for count in [20, 60, 200] {
            let values: Vec<f64> = (0..count).map(|_| generator.random()).collect();
            let found = bootstrap_interval(&values, 3).unwrap();
            let known = student_interval(&values).unwrap();
            let ratio = (found.high - found.low) / (known.high - known.low);
            assert!((0.94..1.06).contains(&ratio), "{count}: {ratio}");
        }
    }

    #[test]
    fn many_values_have_the_interval_of_student() {
        let values: Vec<f64> = (0..MANY + 1).map(|i| real(i % 2)).collect();
        let found = bootstrap_interval(&values, 1);
        assert_eq!(found, bootstrap_interval(&values, 2));
        let found = found.unwrap();
        // 1.96 · 0.5 / √5001.
        let half = 0.013_86;
        assert!((found.high - found.low - 2.0 * half).abs() < 1e-4);
    }

    /// The share of samples whose interval has the true mean in it.
    fn coverage(count: usize, mean: f64, mut draw: impl FnMut(&mut ChaCha8Rng) -> f64) -> f64 {
        const SAMPLES: usize = 200;
        let mut generator = ChaCha8Rng::seed_from_u64(2024);
        let covered = (0..SAMPLES)
            .filter(|sample| {
                let values: Vec<f64> = (0..count).map(|_| draw(&mut generator)).collect();
                bootstrap_interval(&values, *sample as u64)
                    .is_some_and(|found| found.low <= mean && mean <= found.high)
            })
            .count();
        real(covered) / real(SAMPLES)
    }

    #[test]
    fn it_covers_the_mean_as_often_as_it_says() {
        let found = [
            coverage(20, 0.3, |generator| {
                f64::from(u8::from(generator.random_bool(0.3)))
            }),
            coverage(20, 0.5, |generator| generator.random()),
            coverage(30, 1.0 / 3.0, |generator| generator.random::<f64>().powi(2)),
        ];
        for share in found {
            // 200 samples: the share found is off by up to 0.03.
            assert!((0.92..=0.98).contains(&share), "{found:?}");
        }
    }

    #[test]
    fn chance_alone_is_seldom_significant() {
        const SAMPLES: u64 = 300;
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        let found = (0..SAMPLES)
            .filter(|sample| {
                // Two configurations that are alike, each right on half of the instances.
                let difference: Vec<f64> = (0..20)
                    .map(|_| {
                        f64::from(u8::from(generator.random::<bool>()))
                            - f64::from(u8::from(generator.random::<bool>()))
                    })
                    .collect();
                improvement(Direction::Maximize, &difference, *sample) == Improvement::Significant
            })
            .count();
        assert!(found <= 13, "{found} of {SAMPLES}, where 7 are due");
    }

    #[test]
    fn what_is_not_better_is_no_improvement() {
        for (direction, difference) in [
            (Direction::Maximize, &[][..]),
            (Direction::Maximize, &[0.0; 30]),
            (Direction::Maximize, &[-1.0; 30]),
            (Direction::Minimize, &[1.0; 30]),
            (Direction::Maximize, &[1.0, -1.0]),
        ] {
            assert_eq!(improvement(direction, difference, 1), Improvement::None);
        }
    }

    #[test]
    fn equal_differences_count_from_six_instances_on() {
        let verdict = |difference: &[f64]| improvement(Direction::Maximize, difference, 1);
        assert_eq!(verdict(&[1.0; 5]), Improvement::NotSignificant);
        assert_eq!(verdict(&[1.0; 6]), Improvement::Significant);
        assert_eq!(verdict(&[1.0]), Improvement::NotSignificant);
    }

    #[test]
    fn few_differing_instances_show_nothing() {
        // The interval alone would be above 0.
        let mut difference = vec![0.0; 95];
        difference.extend([1.0; 5]);
        assert!(bootstrap_interval(&difference, 1).unwrap().low > 0.0);
        let verdict = |difference: &[f64]| improvement(Direction::Maximize, difference, 1);
        assert_eq!(verdict(&difference), Improvement::NotSignificant);
        difference.push(1.0);
        assert_eq!(verdict(&difference), Improvement::Significant);
        assert_eq!(verdict(&[0.1, 0.2, 0.3]), Improvement::NotSignificant);
    }

    #[test]
    fn a_lead_that_chance_could_make_is_not_significant() {
        let mut difference = vec![0.0; 12];
        difference.extend([1.0; 6]);
        difference.extend([-1.0; 3]);
        assert_eq!(
            improvement(Direction::Maximize, &difference, 1),
            Improvement::NotSignificant
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_mean_is_in_its_interval(
            values in prop::collection::vec(-1.0..1.0_f64, 2..60),
            seed in any::<u64>(),
        ) {
            let found = bootstrap_interval(&values, seed).unwrap();
            let mean = estimate(&values).unwrap().mean;
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(least - 1e-12 <= found.low && found.low < mean);
            prop_assert!(mean < found.high && found.high <= most + 1e-12);
            prop_assert_eq!(Some(found), bootstrap_interval(&values, seed));
        }

        #[test]
        fn both_directions_judge_alike(
            difference in prop::collection::vec(-0.5..1.0_f64, 0..40),
            seed in any::<u64>(),
        ) {
            let mirrored: Vec<f64> = difference.iter().map(|value| -value).collect();
            let found = improvement(Direction::Maximize, &difference, seed);
            prop_assert_eq!(found, improvement(Direction::Minimize, &mirrored, seed));
            // Never both better and worse.
            if found != Improvement::None {
                let reverse = improvement(Direction::Maximize, &mirrored, seed);
                prop_assert_eq!(reverse, Improvement::None);
            }
        }

        #[test]
        fn a_significant_improvement_has_its_interval_on_the_better_side(
            difference in prop::collection::vec(-0.5..1.0_f64, 2..40),
            seed in any::<u64>(),
        ) {
            let significant =
                improvement(Direction::Maximize, &difference, seed) == Improvement::Significant;
            let interval = bootstrap_interval(&difference, seed).unwrap();
            prop_assert_eq!(significant, interval.low > 0.0 && difference.len() >= 6);
        }
    }
}
