//! How long to wait before the next attempt.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// Waits between attempts: exponential with full jitter, or what the hook asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The upper end of the first wait; it doubles with every attempt.
    pub base: Duration,
    /// The upper end of any wait of the sender's own.
    pub most: Duration,
    /// The longest wait that a hook may ask for; what is longer is cut to this.
    pub most_asked_for: Duration,
}

impl Default for Backoff {
    /// Half a second, doubling up to 30 seconds; up to 60 seconds where the hook asks.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            most: Duration::from_secs(30),
            most_asked_for: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait after the `made`-th attempt (1, 2, …). `seed` keeps those apart that wait at the same time.
    pub(crate) fn wait(&self, made: u32, asked_for: Option<Duration>, seed: u64) -> Duration {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(u64::from(made)));
        let mut jitter = |upper: Duration| upper.mul_f64(random.random::<f64>());
        match asked_for {
            Some(asked_for) => {
                asked_for.min(self.most_asked_for) + jitter(self.base.min(self.most))
            }
            None => {
                let doubled = 2_u32.saturating_pow(made.saturating_sub(1));
                jitter(self.base.saturating_mul(doubled).min(self.most))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_heed_what_is_asked_for() {
        let backoff = Backoff::default();
        for made in 1..40 {
            let doubled = backoff.base * 2_u32.saturating_pow(made - 1).min(1_000);
            assert!(backoff.wait(made, None, 7) <= doubled.min(backoff.most));
            let asked = Duration::from_secs(u64::from(made) * 3);
            let floor = asked.min(backoff.most_asked_for);
            let wait = backoff.wait(made, Some(asked), 7);
            assert!((floor..=floor + backoff.base).contains(&wait));
        }
    }
}
