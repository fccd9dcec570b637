//! How long to wait before something is sent again.

use std::time::Duration;

/// Waits between attempts: exponential with full jitter, or what the other side asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The upper end of the first wait; it doubles with every attempt.
    pub base: Duration,
    /// The upper end of any wait of the sender's own.
    pub most: Duration,
    /// The longest wait that may be asked for; what is longer is cut to this.
    pub most_asked_for: Duration,
}

impl Default for Backoff {
    /// Half a second, doubling up to 30 seconds; up to 60 seconds where a wait is asked for.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            most: Duration::from_secs(30),
            most_asked_for: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait after the `made`-th attempt (1, 2, …), by a lot from 0 to 1 that is drawn for it. Where a wait
    /// was asked for, it is at least that, up to the stated limit, with the jitter of a first attempt on top
    /// so that not all come back at the same moment.
    #[must_use]
    pub fn wait(&self, made: u32, asked_for: Option<Duration>, lot: f64) -> Duration {
        let jitter = |upper: Duration| upper.mul_f64(lot.clamp(0.0, 1.0));
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
    use proptest::prelude::*;

    #[test]
    fn a_day_is_cut_to_the_stated_limit() {
        let backoff = Backoff::default();
        let wait = backoff.wait(1, Some(Duration::from_secs(86_400)), 0.7);
        assert!(wait >= backoff.most_asked_for && wait <= backoff.most_asked_for + backoff.base);
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(lot in 0.0..1.0_f64, made in 1_u32..100, asked: Option<u16>) {
            let backoff = Backoff::default();
            let asked = asked.map(|seconds| Duration::from_secs(seconds.into()));
            let wait = backoff.wait(made, asked, lot);
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
        fn the_same_lots_wait_the_same(lots in prop::collection::vec(0.0..1.0_f64, 5)) {
            let waits = || {
                let made = (1..).zip(&lots);
                made.map(|(made, lot)| Backoff::default().wait(made, None, *lot)).collect::<Vec<_>>()
            };
            prop_assert_eq!(waits(), waits());
        }
    }
}
