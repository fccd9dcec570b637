//! How long to wait before the next attempt.

use rand::{Rng, RngExt};
use std::time::Duration;

/// Waits between attempts: exponential with full jitter, or what the endpoint asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The upper end of the first wait; it doubles with every attempt.
    pub base: Duration,
    /// The upper end of any wait of the client's own.
    pub most: Duration,
    /// The longest wait that an endpoint may ask for; what is longer is cut to this.
    pub most_asked_for: Duration,
}

impl Default for Backoff {
    /// Half a second, doubling up to 30 seconds; up to 60 seconds where the endpoint asks.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            most: Duration::from_secs(30),
            most_asked_for: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait after the `made`-th attempt (1, 2, …). Where the endpoint asked for a wait, it
    /// is at least that, up to the stated limit, with the jitter of a first attempt on top so
    /// that not all requests come back at the same moment.
    pub(crate) fn wait(
        &self,
        made: u32,
        asked_for: Option<Duration>,
        random: &mut impl Rng,
    ) -> Duration {
        let jitter = |upper: Duration, random: &mut dyn Rng| upper.mul_f64(random.random::<f64>());
        match asked_for {
            Some(asked_for) => {
                asked_for.min(self.most_asked_for) + jitter(self.base.min(self.most), random)
            }
            None => {
                let doubled = 2_u32.saturating_pow(made.saturating_sub(1));
                jitter(self.base.saturating_mul(doubled).min(self.most), random)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_day_is_cut_to_the_stated_limit() {
        let backoff = Backoff::default();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let wait = backoff.wait(1, Some(Duration::from_secs(86_400)), &mut random);
        assert!(wait >= backoff.most_asked_for && wait <= backoff.most_asked_for + backoff.base);
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(seed: u64, made in 1_u32..100, asked: Option<u16>) {
            let backoff = Backoff::default();
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let asked = asked.map(|seconds| Duration::from_secs(seconds.into()));
            let wait = backoff.wait(made, asked, &mut random);
            match asked {
                Some(asked) => {
                    let floor = asked.min(backoff.most_asked_for);
                    prop_assert!(wait >= floor && wait <= floor + backoff.base);
                }
                None => {
                    let doubled = backoff.base.saturating_mul(2_u32.saturating_pow(made - 1));
                    prop_assert!(wait <= doubled.min(backoff.most));
                }
            }
        }

        #[test]
        fn the_same_seed_waits_the_same(seed: u64) {
            let waits = || {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                (1..6).map(|made| Backoff::default().wait(made, None, &mut random)).collect::<Vec<_>>()
            };
            prop_assert_eq!(waits(), waits());
        }
    }
}
