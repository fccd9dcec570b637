//! Shares of something that is scarce: each claim gets what it wants or the same as the others by
//! weight, whichever is less.

/// What one of several asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// How much it could use.
    pub want: u64,
    /// How much it counts beside the others; 0 counts as 1.
    pub weight: u64,
}

/// Divides `capacity` among the claims, in whole units. Nobody gets more than it wants, and nothing
/// is left while somebody wants more. The units that do not divide go to the first claims that want
/// more: the caller puts those first whose turn it is.
pub(crate) fn shares(capacity: u64, claims: &[Claim]) -> Vec<u64> {
    let mut shares = vec![0; claims.len()];
    let mut left = u128::from(capacity);
    let mut open: Vec<usize> = (0..claims.len())
        .filter(|&at| claims[at].want > 0)
        .collect();
    while !open.is_empty() && left > 0 {
        let weight = |at: usize| u128::from(claims[at].weight.max(1));
        let weights: u128 = open.iter().map(|&at| weight(at)).sum();
        let is_met = |at: usize| u128::from(claims[at].want) * weights <= left * weight(at);
        let (met, unmet): (Vec<usize>, Vec<usize>) = open.iter().partition(|&&at| is_met(at));
        if met.is_empty() {
            let floors = open.iter().map(|&at| left * weight(at) / weights);
            let floors: Vec<u128> = floors.collect();
            let mut undivided = left - floors.iter().sum::<u128>();
            for (&at, floor) in open.iter().zip(floors) {
                let one = u128::from(undivided > 0);
                undivided -= one;
                // At most what is wanted, which fits.
                shares[at] = u64::try_from(floor + one).unwrap_or(u64::MAX);
            }
            return shares;
        }
        for at in met {
            shares[at] = claims[at].want;
            left -= u128::from(claims[at].want);
        }
        open = unmet;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(want: u64, weight: u64) -> Claim {
        Claim { want, weight }
    }

    #[test]
    fn who_wants_little_gets_it_and_the_rest_is_divided_by_weight() {
        assert_eq!(
            shares(100, &[claim(10, 1), claim(500, 1), claim(500, 2)]),
            [10, 30, 60]
        );
        assert_eq!(shares(100, &[claim(10, 1), claim(20, 1)]), [10, 20]);
    }

    #[test]
    fn what_does_not_divide_goes_by_turns() {
        assert_eq!(shares(1, &[claim(5, 1), claim(5, 9)]), [1, 0]);
        assert_eq!(shares(1, &[claim(5, 1), claim(5, 1)]), [1, 0]);
        assert_eq!(shares(0, &[claim(5, 1)]), [0]);
    }

    proptest! {
        #[test]
        fn nothing_is_wasted_and_nobody_gets_too_much(
            capacity in 0_u64..2_000,
            claims in prop::collection::vec((0_u64..500, 0_u64..20), 0..12),
        ) {
            let claims: Vec<_> = claims.into_iter().map(|(want, weight)| claim(want, weight)).collect();
            let shares = shares(capacity, &claims);
            let wanted: u64 = claims.iter().map(|claim| claim.want).sum();
            prop_assert_eq!(shares.iter().sum::<u64>(), wanted.min(capacity));
            for (share, claim) in shares.iter().zip(&claims) {
                prop_assert!(*share <= claim.want);
            }
        }

        #[test]
        fn equals_differ_by_one_at_most(
            capacity in 0_u64..2_000,
            want in 1_u64..500,
            count in 1_usize..12,
        ) {
            let shares = shares(capacity, &vec![claim(want, 3); count]);
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
