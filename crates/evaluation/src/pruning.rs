//! The rules of the schedule: how many instances, how many responses, and when is it enough.
//!
//! The paper's section 3.2 and the reference implementation agree on these; the two schedules
//! differ in what they keep, not in how they judge.

/// Where a mean stands against the target of the inference budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetPosition {
    /// Above the band around the target: over the budget.
    Above,
    /// Within the band: not enough is known.
    Within,
    /// Below the band, or at its lower edge: within the budget.
    Below,
}

/// The half width of the band around the target, relative to it, after `seen` of `instances`
/// instances: `0.1·√(ρ/m)`, with ρ that of the Hoeffding-Serfling bound for sampling without
/// replacement. It is zero once every instance is seen.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of instances are far below 2^53"
)]
pub fn band(seen: usize, instances: usize) -> f64 {
    let (m, all) = (seen.max(1) as f64, instances.max(1) as f64);
    let rho = if 2 * seen > instances {
        (1.0 - m / all) * (1.0 + 1.0 / m)
    } else {
        1.0 - (m - 1.0) / all
    };
    0.1 * (rho.max(0.0) / m).sqrt()
}

/// Holds a mean against a target with a band of this relative half width. A negative target
/// (the prompt alone is over the budget) is below every mean.
#[must_use]
pub fn position(mean: f64, target: f64, band: f64) -> BudgetPosition {
    if mean > target * (1.0 + band) {
        BudgetPosition::Above
    } else if mean <= target * (1.0 - band) {
        BudgetPosition::Below
    } else {
        BudgetPosition::Within
    }
}

/// How many responses per instance to begin with: the configuration's own number where that is
/// known to fit, else one more than the largest number known to fit (one response is taken to
/// fit for this purpose, as nothing cheaper can be tried).
#[must_use]
pub fn first_n(configured: u32, known_to_fit: u32) -> u32 {
    let known_to_fit = known_to_fit.max(1);
    if configured <= known_to_fit {
        configured
    } else {
        known_to_fit + 1
    }
}

/// The number of responses per instance after `n`: twice as many, up to the configuration's.
#[must_use]
pub fn next_n(n: u32, configured: u32) -> u32 {
    n.saturating_mul(2).min(configured)
}

/// How many instances to look at after `limit` of them: twice as many, up to all.
#[must_use]
pub fn next_limit(limit: usize, instances: usize) -> usize {
    limit.saturating_mul(2).min(instances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_band_closes_at_the_last_instance() {
        assert_eq!(band(1, 1), 0.0);
        assert_eq!(band(20, 20), 0.0);
        assert_eq!(band(1, 20), 0.1);
        // ρ = 1 − 3/20.
        assert!((band(4, 20) - 0.1 * (0.85_f64 / 4.0).sqrt()).abs() < 1e-15);
        // ρ = (1 − 16/20)(1 + 1/16).
        assert!((band(16, 20) - 0.1 * (0.2125_f64 / 16.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_negative_target_is_always_passed() {
        assert_eq!(position(0.0, -1.0, 0.1), BudgetPosition::Above);
        assert_eq!(position(100.0, 100.0, 0.0), BudgetPosition::Below);
        assert_eq!(position(100.0, 100.0, 0.1), BudgetPosition::Within);
    }

    proptest! {
        #[test]
        fn the_schedule_reaches_its_ends(configured in 1..2_000_u32, fit in 0..2_000_u32) {
            let mut n = first_n(configured, fit);
            prop_assert!((1..=configured).contains(&n));
            for _ in 0..12 {
                n = next_n(n, configured);
            }
            prop_assert_eq!(n, configured);
        }

        #[test]
        fn the_band_never_widens(instances in 1..200_usize) {
            let mut limit = 1;
            while limit < instances {
                let next = next_limit(limit, instances);
                prop_assert!(band(next, instances) <= band(limit, instances));
                limit = next;
            }
        }
    }
}
