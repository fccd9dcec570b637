//! A pace that is learned from refusals, where an endpoint says that there are too many requests and
//! not how many would be right: halved when it refuses, and a little faster again with each answer and
//! as time passes.

use crate::limits::{MINUTE, Millis};
use serde::{Deserialize, Serialize};

/// What is left of the rate at which the endpoint refused.
const CUT: f64 = 0.5;
/// No slower than this, per minute: what is refused costs nothing, and of an endpoint that refuses now
/// and then whatever the pace, there is no pace that it would like.
const SLOWEST: f64 = 60.0;
/// By how much of the rate at which it refused the pace rises in [`STEP`]: it is back there after
/// fifty seconds.
const RISE: f64 = 0.1;
const STEP: f64 = 10_000.0;
/// By how much it rises with each answer, so that where many are sent it does not take as long.
const GAIN: f64 = 0.02;
/// At so many times the rate at which it refused, the endpoint is taken to have no limit any more.
const ENOUGH: f64 = 4.0;
/// How far ahead of its moment a request may be sent, since exchanges are as far apart.
const AHEAD: f64 = 1_000.0;

/// The pace of a scope: requests are spread evenly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// Requests per minute at which the endpoint refused.
    refused_at: f64,
    /// When it did.
    since: Millis,
    /// Answers since.
    answers: u64,
    /// When the next request may be sent.
    next: f64,
}

impl Pace {
    /// The pace after a refusal at `rate` requests per minute, under `before` if there was one.
    #[expect(
        clippy::cast_precision_loss,
        reason = "rates and moments are far below 2^53"
    )]
    pub(crate) fn cut(before: Option<Self>, now: Millis, rate: u64) -> Self {
        let rate = (rate as f64).max(SLOWEST / CUT);
        let refused_at = before.map_or(rate, |pace| pace.per_minute(now).min(rate));
        let mut pace = Self {
            refused_at: refused_at.max(SLOWEST / CUT),
            since: now,
            answers: 0,
            next: now as f64,
        };
        // The one that was refused is the last for an interval, or a refusal would let one pass.
        pace.take(now, 1);
        pace
    }

    /// Requests per minute.
    #[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53")]
    pub(crate) fn per_minute(&self, now: Millis) -> f64 {
        let passed = (now - self.since).max(0) as f64;
        self.refused_at * (CUT + RISE * passed / STEP + GAIN * self.answers as f64)
    }

    /// Takes in that requests were answered.
    pub(crate) fn learn(&mut self, answers: u64) {
        self.answers += answers;
    }

    /// Whether it has risen so far without a refusal that there is no need of it.
    pub(crate) fn is_over(&self, now: Millis) -> bool {
        self.per_minute(now) >= ENOUGH * self.refused_at
    }

    #[expect(clippy::cast_precision_loss, reason = "a minute is far below 2^53")]
    fn interval(&self, now: Millis) -> f64 {
        MINUTE as f64 / self.per_minute(now)
    }

    /// How many requests may be sent now.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small number that is not negative"
    )]
    pub(crate) fn available(&self, now: Millis) -> u64 {
        // Half a millisecond is a matter of rounding.
        if self.next > now as f64 + 0.5 {
            0
        } else {
            (AHEAD / self.interval(now)) as u64 + 1
        }
    }

    /// Takes so many of them.
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
    pub(crate) fn take(&mut self, now: Millis, requests: u64) {
        self.next = self.next.max(now as f64) + requests as f64 * self.interval(now);
    }

    /// Gives back what was taken and not used.
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
    pub(crate) fn give_back(&mut self, now: Millis, requests: u64) {
        self.next -= requests as f64 * self.interval(now);
    }

    /// When the next request may be sent.
    #[expect(clippy::cast_possible_truncation, reason = "a moment")]
    pub(crate) fn next(&self) -> Millis {
        self.next.ceil() as Millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many requests of those that want to be sent all the time are, over a span.
    fn sent(pace: &mut Pace, from: Millis, until: Millis) -> u64 {
        let mut sent = 0;
        for now in (from..until).step_by(100) {
            let available = pace.available(now);
            pace.take(now, available);
            sent += available;
        }
        sent
    }

    #[test]
    fn a_refusal_halves_it_and_it_is_back_after_fifty_seconds() {
        let pace = Pace::cut(None, 0, 1_200);
        assert_eq!(pace.per_minute(0), 600.0);
        assert_eq!(pace.per_minute(50_000), 1_200.0);
        let again = Pace::cut(Some(pace), 10_000, 5_000);
        assert_eq!(
            again.per_minute(10_000),
            360.0,
            "of the pace, not of the burst"
        );
        assert!(!again.is_over(350_000) && again.is_over(360_001));
    }

    #[test]
    fn answers_bring_it_back_sooner() {
        let mut pace = Pace::cut(None, 0, 600);
        pace.learn(25);
        assert_eq!(pace.per_minute(0), 600.0);
    }

    #[test]
    fn it_never_stands_still() {
        let mut pace = None;
        for now in 0..50 {
            pace = Some(Pace::cut(pace, now, 1));
        }
        assert!(pace.unwrap().per_minute(50) >= SLOWEST);
    }

    proptest! {
        #[test]
        fn requests_are_spread_evenly(rate in 2_u64..20_000) {
            let mut pace = Pace::cut(None, 0, rate);
            let per_second = pace.per_minute(0) / 60.0;
            let first = sent(&mut pace, 0, 1_000) as f64;
            prop_assert!(first <= 2.0 * per_second + 2.0);
            let ten = first + sent(&mut pace, 1_000, 10_000) as f64;
            prop_assert!((ten - 10.5 * per_second).abs() <= 0.1 * ten + per_second + 2.0, "{ten} {per_second}");
        }

        #[test]
        fn what_is_given_back_is_there_again(rate in 2_u64..20_000, now in 0_i64..100_000) {
            let mut pace = Pace::cut(None, 0, rate);
            let available = pace.available(now);
            pace.take(now, available);
            prop_assert_eq!(pace.available(now), 0);
            pace.give_back(now, available);
            prop_assert_eq!(pace.available(now), available);
        }
    }
}
