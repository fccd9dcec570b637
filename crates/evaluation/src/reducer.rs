//! From the scores of an instance's responses to one number (paper, section 3).
//!
//! Scores lie from 0 (wrong) to 1 (right). A score between counts as that share of a right
//! response where responses are counted, and as itself where the best or the worst is taken.

use crate::majority::majority;
use crate::selected::selected;
use crate::share::{real, within_range};
use frugal_domain::scoring::{Observation, Reducer};

/// What the n responses of an instance are worth together, from 0 to 1.
///
/// - expected success: 1 − (1 − s/n)ⁿ, s being the sum of the scores;
/// - success: the best score, which is 1 if any response is right;
/// - mean: the mean of the scores;
/// - min: the worst score, which is 1 if all responses are right;
/// - majority: the score of the answer that most responses give, of several the mean. Responses that
///   are given as scores alone have no answers, and so no vote;
/// - best of n: the score of the response that the selector prefers, of several the mean.
///
/// A score outside the range is taken for its nearer end, one that is not a number for 0.
/// No response at all is worth 0; whoever wants to tell that apart asks before.
#[must_use]
pub fn reduce<O: Copy + Into<Observation>>(reducer: Reducer, responses: &[O]) -> f64 {
    if responses.is_empty() {
        return 0.0;
    }
    let observations = responses.iter().map(|response| (*response).into());
    let scores = observations.clone();
    let scores = scores.map(|one: Observation| within_range(one.score));
    let n = real(responses.len());
    match reducer {
        Reducer::ExpectedSuccess => expected_success(scores.sum(), n),
        Reducer::Success => scores.fold(0.0, f64::max),
        Reducer::Mean => (scores.sum::<f64>() / n).min(1.0),
        Reducer::Min => scores.fold(1.0, f64::min),
        Reducer::Majority => majority(&observations.collect::<Vec<_>>()),
        Reducer::BestOfN => selected(&observations.collect::<Vec<_>>()),
    }
}

/// 1 − (1 − s/n)ⁿ: the chance that one of `n` draws with replacement is right, where `s` of `n`
/// responses are. 0 where there is no response.
#[must_use]
pub fn expected_success(s: f64, n: f64) -> f64 {
    if n <= 0.0 {
        return 0.0;
    }
    let share = within_range(s / n);
    // The same as the formula, without its loss of digits where s/n is small.
    -(n * (-share).ln_1p()).exp_m1()
}

/// The unbiased estimate of the success of n responses from a pool of m of which s are right:
/// 1 − C(m−s, n)/C(m, n), the share of the n-subsets of the pool that hold a right one.
///
/// `None` where n is 0 or above m, or s is above m: a pool says nothing about more responses
/// than it holds.
#[must_use]
pub fn unbiased_success(m: u32, s: u32, n: u32) -> Option<f64> {
    if n == 0 || n > m || s > m {
        return None;
    }
    let wrong = m - s;
    if n > wrong {
        return Some(1.0);
    }
    // C(m−s, n)/C(m, n) is a product of n factors, and as well of s factors.
    let all_wrong: f64 = if n <= s {
        (0..n)
            .map(|i| f64::from(wrong - i) / f64::from(m - i))
            .product()
    } else {
        (0..s)
            .map(|i| f64::from(m - n - i) / f64::from(m - i))
            .product()
    };
    Some(1.0 - all_wrong)
}

/// The unbiased estimate of the best score among n responses from a pool of m: the mean of the
/// best over all n-subsets. For scores of 0 and 1 it is [`unbiased_success`].
///
/// Scores are brought within range as by [`reduce`]. `None` where n is 0 or above m.
#[must_use]
pub fn pooled_best(scores: &[f64], n: usize) -> Option<f64> {
    let m = scores.len();
    if n == 0 || n > m {
        return None;
    }
    let mut scores: Vec<f64> = scores.iter().copied().map(within_range).collect();
    scores.sort_unstable_by(f64::total_cmp);
    // The i-th smallest is the best of C(i−1, n−1) subsets; from i = m downwards these shrink
    // by (i − n)/(i − 1).
    let mut weight = real(n) / real(m);
    let mut total = 0.0;
    for (index, score) in scores.iter().enumerate().rev() {
        total += weight * score;
        if index < n {
            break;
        }
        weight *= real(index + 1 - n) / real(index);
    }
    Some(within_range(total))
}

/// The unbiased estimate of the worst score among n responses from a pool of m: the mean of the
/// worst over all n-subsets. For scores of 0 and 1, s of them 1, it is C(s, n)/C(m, n).
///
/// Scores are brought within range as by [`reduce`]. `None` where n is 0 or above m.
#[must_use]
pub fn pooled_worst(scores: &[f64], n: usize) -> Option<f64> {
    let lacking: Vec<f64> = scores
        .iter()
        .map(|score| 1.0 - within_range(*score))
        .collect();
    pooled_best(&lacking, n).map(|most| 1.0 - most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::scoring::AnswerKey;
    use proptest::prelude::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    /// Responses with these scores, each with an answer of its own.
    fn apart(scores: &[f64]) -> Vec<Observation> {
        let one = |(score, key): (&f64, u64)| Observation {
            score: *score,
            answer: Some(AnswerKey(key)),
            preference: None,
            counts: None,
        };
        scores.iter().zip(0..).map(one).collect()
    }

    #[test]
    fn the_formulas_of_the_paper() {
        assert!(close(reduce(Reducer::ExpectedSuccess, &[1.0, 0.0]), 0.75));
        assert!(close(
            reduce(Reducer::ExpectedSuccess, &[1.0, 0.0, 0.0]),
            1.0 - 8.0 / 27.0
        ));
        assert!(close(reduce(Reducer::ExpectedSuccess, &[0.5, 0.5]), 0.75));
        assert!(close(reduce(Reducer::Mean, &[1.0, 0.0, 0.5]), 0.5));
        assert!(close(reduce(Reducer::Success, &[0.0, 1.0, 0.0]), 1.0));
        assert!(close(reduce(Reducer::Success, &[0.25, 0.5]), 0.5));
        assert!(close(reduce(Reducer::Min, &[1.0, 0.0, 1.0]), 0.0));
        assert!(close(reduce(Reducer::Min, &[0.75, 0.5]), 0.5));
        for reducer in Reducer::ALL {
            assert!(close(reduce::<f64>(*reducer, &[]), 0.0));
            assert!(close(reduce(*reducer, &apart(&[0.0; 7])), 0.0));
            assert!(close(reduce(*reducer, &apart(&[1.0; 7])), 1.0));
            assert!(close(reduce(*reducer, &apart(&[f64::NAN, -3.0])), 0.0));
            assert!(close(reduce(*reducer, &apart(&[f64::INFINITY])), 1.0));
        }
    }

    #[test]
    fn a_pool_says_nothing_about_more_than_it_holds() {
        assert_eq!(unbiased_success(4, 1, 5), None);
        assert_eq!(unbiased_success(4, 5, 2), None);
        assert_eq!(unbiased_success(4, 1, 0), None);
        assert_eq!(pooled_best(&[1.0], 2), None);
        assert_eq!(pooled_best(&[1.0], 0), None);
        assert_eq!(
            (pooled_worst(&[1.0], 2), pooled_worst(&[1.0], 0)),
            (None, None)
        );
        assert_eq!(unbiased_success(4_000_000_000, 0, 4_000_000_000), Some(0.0));
    }

    /// The mean of a reducer over all subsets of `n`, one by one.
    fn by_subsets(reducer: Reducer, scores: &[f64], n: u32) -> f64 {
        let values: Vec<f64> = (0_u32..1 << scores.len())
            .filter(|subset| subset.count_ones() == n)
            .map(|subset| {
                let of_subset = (0..scores.len()).filter(|index| subset & (1 << index) != 0);
                let scores: Vec<f64> = of_subset.map(|index| scores[index]).collect();
                reduce(reducer, &scores)
            })
            .collect();
        values.iter().sum::<f64>() / real(values.len())
    }

    proptest! {
        #[test]
        fn every_reducer_stays_in_range(scores in prop::collection::vec(0.0..=1.0_f64, 0..60)) {
            for reducer in Reducer::ALL {
                let value = reduce(*reducer, &apart(&scores));
                prop_assert!((0.0..=1.0).contains(&value), "{:?} {}", reducer, value);
            }
        }

        #[test]
        fn a_better_response_never_makes_an_instance_worse(
            scores in prop::collection::vec(0.0..=1.0_f64, 1..30), at: prop::sample::Index, gain in 0.0..=1.0_f64,
        ) {
            let mut better = scores.clone();
            let index = at.index(scores.len());
            better[index] = (better[index] + gain).min(1.0);
            for reducer in Reducer::ALL {
                prop_assert!(reduce(*reducer, &apart(&better)) >= reduce(*reducer, &apart(&scores)) - 1e-12);
            }
        }

        #[test]
        fn expected_success_is_its_formula(n in 1_u32..200, share in 0.0..=1.0_f64) {
            let (n, s) = (f64::from(n), share * f64::from(n));
            prop_assert!(close(expected_success(s, n), 1.0 - (1.0 - s / n).powf(n)));
        }

        #[test]
        fn the_estimates_are_means_over_all_subsets(
            right in prop::collection::vec(any::<bool>(), 1..10), n in 1_u32..10,
        ) {
            let m = u32::try_from(right.len()).unwrap();
            prop_assume!(n <= m);
            let scores: Vec<f64> = right.iter().map(|right| f64::from(u8::from(*right))).collect();
            let s = u32::try_from(right.iter().filter(|right| **right).count()).unwrap();
            let expected = by_subsets(Reducer::Success, &scores, n);
            prop_assert!(close(unbiased_success(m, s, n).unwrap(), expected));
            prop_assert!(close(pooled_best(&scores, n as usize).unwrap(), expected));
        }

        #[test]
        fn the_best_and_the_worst_of_fractions_are_means_over_all_subsets(
            scores in prop::collection::vec(0.0..=1.0_f64, 1..10), n in 1_usize..10,
        ) {
            prop_assume!(n <= scores.len());
            let expected = |reducer| by_subsets(reducer, &scores, u32::try_from(n).unwrap());
            prop_assert!(close(pooled_best(&scores, n).unwrap(), expected(Reducer::Success)));
            prop_assert!(close(pooled_worst(&scores, n).unwrap(), expected(Reducer::Min)));
        }

        #[test]
        fn more_right_responses_and_more_draws_help(m in 1_u32..300, s in 0_u32..300, n in 1_u32..300) {
            prop_assume!(s < m && n < m);
            let here = unbiased_success(m, s, n).unwrap();
            prop_assert!((0.0..=1.0).contains(&here));
            prop_assert!(unbiased_success(m, s + 1, n).unwrap() >= here - 1e-12);
            prop_assert!(unbiased_success(m, s, n + 1).unwrap() >= here - 1e-12);
        }
    }
}
