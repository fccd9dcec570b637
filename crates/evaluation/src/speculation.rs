//! Steps that are sent before the one before them is judged, where that one is all but sure to
//! come out well: a job waits for fewer answers one after the other, and pays little for it.

use crate::pruning;
use crate::rival::{Comparison, FEWEST_COMPARED, tail};
use frugal_domain::money::Prices;
use std::ops::Range;

/// The most that requests sent ahead may be expected to waste, as a share of what the trial costs
/// without them up to the step under way: their cost times the chance that a step before them ends
/// the trial.
pub const WASTED_SHARE: f64 = 0.02;

/// The fewest instances that a chance is estimated from.
const FEWEST_SEEN: usize = 4;

/// What tokens weigh against one another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights {
    input: f64,
    output: f64,
    request: f64,
}

impl Weights {
    /// The prices; each token alike where the model has none.
    #[expect(clippy::cast_precision_loss, reason = "weights, not books")]
    pub(crate) fn of(prices: Prices) -> Self {
        if prices == Prices::default() {
            return Self {
                input: 1.0,
                output: 1.0,
                request: 0.0,
            };
        }
        Self {
            input: prices.input_pico as f64,
            output: prices.output_pico as f64,
            request: prices.request_pico as f64,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "weights, not books")]
    pub(crate) fn cost(&self, prompt_tokens: u64, completion_tokens: f64) -> f64 {
        self.request + self.input * prompt_tokens as f64 + self.output * completion_tokens
    }
}

/// Up to which instance to send: beyond `limit`, step by step, as long as the expected waste
/// stays below [`WASTED_SHARE`] of `so_far`. `chance_of_end` is that a look after so many
/// instances ends the trial, `cost_of` what the requests of a step cost.
pub(crate) fn horizon(
    limit: usize,
    instances: usize,
    so_far: f64,
    chance_of_end: impl Fn(usize) -> f64,
    cost_of: impl Fn(Range<usize>) -> f64,
) -> usize {
    let (mut horizon, mut chance, mut wasted) = (limit, 0.0, 0.0);
    while horizon < instances {
        chance += chance_of_end(horizon);
        let next = pruning::next_limit(horizon, instances);
        if chance > 0.0 {
            wasted += chance.min(1.0) * cost_of(horizon..next);
        }
        if wasted > WASTED_SHARE * so_far {
            break;
        }
        horizon = next;
    }
    horizon
}

/// The chance that the mean over so many instances is above a threshold, judging by the values
/// of those that are complete; 1 while these are few.
pub(crate) fn chance_over(complete: &[f64], limit: usize, threshold: f64) -> f64 {
    let Some(seen) = crate::statistics::estimate(complete) else {
        return 1.0;
    };
    let Some(error) = seen
        .standard_error
        .filter(|_| complete.len() >= FEWEST_SEEN)
    else {
        return 1.0;
    };
    let margin = threshold - seen.mean;
    // The mean to come is off by its own error and by that of the one it is judged by.
    let count = f64::from(seen.count);
    let unseen = limit.saturating_sub(complete.len()).max(1);
    #[expect(clippy::cast_precision_loss, reason = "a count of instances")]
    let deviation = error * (1.0 + count / unseen as f64).sqrt();
    if deviation > 0.0 {
        tail(margin / deviation)
    } else if margin >= 0.0 {
        0.0
    } else {
        1.0
    }
}

/// The chance that a look after so many instances finds the trial inferior; 1 while too little is
/// seen to tell.
pub(crate) fn chance_inferior(comparison: Option<Comparison>, limit: usize) -> f64 {
    if limit < FEWEST_COMPARED {
        return 0.0;
    }
    comparison
        .filter(|comparison| comparison.difference.count as usize >= FEWEST_SEEN)
        .map_or(1.0, |comparison| comparison.chance_of_inferior())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_cannot_end_the_trial_goes_out_at_once() {
        assert_eq!(horizon(1, 40, 100.0, |_| 0.0, |step| step.len() as f64), 40);
        assert_eq!(horizon(4, 40, 100.0, |_| 1.0, |step| step.len() as f64), 4);
    }

    #[test]
    fn the_expected_waste_adds_up() {
        // 4 more at 30 %, then 8 more at 60 %: 1.2 and 6 of 100.
        let reached = |so_far| horizon(4, 40, so_far, |_| 0.3, |step| step.len() as f64);
        assert_eq!((reached(50.0), reached(100.0), reached(300.0)), (4, 8, 16));
    }

    #[test]
    fn a_mean_far_below_the_threshold_is_all_but_sure_to_stay_there() {
        let seen = [10.0, 12.0, 11.0, 9.0];
        assert!(chance_over(&seen, 8, 20.0) < 1e-6);
        assert!(chance_over(&seen, 8, 10.5) > 0.3);
        assert_eq!(chance_over(&seen[..3], 8, 1e9), 1.0);
        assert_eq!(chance_over(&[5.0; 4], 8, 5.0), 0.0);
        assert_eq!(chance_over(&[5.0; 4], 8, 4.0), 1.0);
    }

    proptest! {
        #[test]
        fn no_more_is_sent_ahead_than_the_share_allows(
            limit in 1..20_usize,
            instances in 20..200_usize,
            chance in 0.0..0.2_f64,
        ) {
            let so_far = instances as f64;
            let reached = horizon(limit, instances, so_far, |_| chance, |step| step.len() as f64);
            prop_assert!((limit..=instances).contains(&reached));
            let (mut at, mut sum, mut wasted) = (limit, 0.0, 0.0);
            while at < reached {
                let next = pruning::next_limit(at, instances);
                sum += chance;
                wasted += f64::min(sum, 1.0) * (next - at) as f64;
                at = next;
            }
            prop_assert!(wasted <= WASTED_SHARE * so_far + 1e-9);
        }
    }
}
