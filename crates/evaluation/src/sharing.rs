//! Sharing one request's completion tokens out over its responses.

use std::cmp::Reverse;

/// Splits `total` in proportion to the weights, in whole numbers that add up to it exactly
/// (largest remainder; equal remainders go to the earlier response).
///
/// An endpoint reports the completion tokens of a request as one sum over all its responses;
/// the weights are estimates of their lengths. Where all weights are zero the shares are as
/// equal as they can be. Without weights there is nothing to share out to.
#[must_use]
pub fn share_out(total: u64, weights: &[u64]) -> Vec<u64> {
    let sum: u128 = weights.iter().copied().map(u128::from).sum();
    let equal = sum == 0;
    let sum = if equal { weights.len() as u128 } else { sum };
    let mut shares = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, &weight) in weights.iter().enumerate() {
        let weight = if equal { 1 } else { u128::from(weight) };
        let product = u128::from(total) * weight;
        // A share is at most the total, since no weight is above the sum.
        shares.push(u64::try_from(product / sum).unwrap_or(total));
        remainders.push((Reverse(product % sum), index));
    }
    remainders.sort_unstable();
    let left = total.saturating_sub(shares.iter().sum());
    let favoured = usize::try_from(left).unwrap_or(usize::MAX);
    for &(_, index) in remainders.iter().take(favoured) {
        shares[index] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn remainders_go_to_the_largest_first() {
        assert_eq!(share_out(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(share_out(7, &[5, 3, 2]), [4, 2, 1]);
        assert_eq!(share_out(5, &[0, 0]), [3, 2]);
        assert_eq!(share_out(5, &[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_stay_within_one_of_the_proportion(
            total in prop_oneof![0..10_000_u64, Just(u64::MAX)],
            weights in prop::collection::vec(prop_oneof![0..5_000_u64, Just(u64::MAX)], 1..40),
        ) {
            let shares = share_out(total, &weights);
            prop_assert_eq!(shares.iter().map(|&s| u128::from(s)).sum::<u128>(), u128::from(total));
            let sum: u128 = weights.iter().map(|&w| u128::from(w)).sum();
            for (share, weight) in shares.iter().zip(&weights) {
                let product = u128::from(total) * u128::from(*weight);
                if let Some(floor) = product.checked_div(sum) {
                    prop_assert!((floor..=floor + 1).contains(&u128::from(*share)));
                }
            }
        }
    }
}
