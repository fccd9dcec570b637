//! How many requests in flight an endpoint can make use of, found out by trying: more of them as
//! long as they bring more answers, fewer where that loses none.

use crate::limits::Millis;
use serde::{Deserialize, Serialize};

/// What is tried first.
const START: f64 = 8.0;
/// From one limit that is tried to the next.
const FACTOR: f64 = 1.5;
/// A larger limit is kept where it brings so much of what it could bring, a smaller one where it
/// loses less than that of what it could lose.
const WORTH: f64 = 0.3;
/// Answers that are looked at under one limit, for each request in flight; at least [`LEAST`].
const ANSWERS: f64 = 3.0;
const LEAST: u64 = 24;
/// How long a limit that was found right stays before it is tried again.
const REST: Millis = 30_000;

/// The search for a limit. It keeps the limit at hand and one that is being tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Concurrency {
    limit: f64,
    /// Tokens per millisecond under the limit before the present one; none before the first is known.
    before: Option<(f64, f64)>,
    /// Whether the next limit to try is a smaller one.
    is_down_next: bool,
    rests_until: Millis,
    /// What was counted under the present limit, and since when.
    since: Millis,
    answers: u64,
    work: u64,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self {
            limit: START,
            before: None,
            is_down_next: false,
            rests_until: 0,
            since: 0,
            answers: 0,
            work: 0,
        }
    }
}

impl Concurrency {
    /// The most requests in flight, at least 1 and at most `most`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 1 to the largest limit"
    )]
    pub(crate) fn limit(&self, most: u32) -> u32 {
        (self.limit.round() as u32).clamp(1, most.max(1))
    }

    /// Takes in answers with their work, in tokens. Only times count in which all that is allowed was
    /// in flight and more waited (`is_full`): otherwise a limit has nothing to show.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are far below 2^53, and none is negative"
    )]
    pub(crate) fn learn(&mut self, now: Millis, answers: u64, work: u64, is_full: bool, most: u32) {
        if !is_full || now < self.rests_until {
            self.begin(now);
            return;
        }
        self.answers += answers;
        self.work += work;
        let enough = LEAST.max((self.limit * ANSWERS) as u64);
        if self.answers < enough || now <= self.since {
            return;
        }
        let rate = self.work as f64 / (now - self.since) as f64;
        let limit = f64::from(self.limit(most));
        match self.before {
            None => self.try_next(limit, rate, most),
            Some((other, of_other)) => {
                let (small, of_small, large, of_large) = if limit > other {
                    (other, of_other, limit, rate)
                } else {
                    (limit, rate, other, of_other)
                };
                let is_worth = of_large >= of_small * (1.0 + WORTH * (large / small - 1.0));
                let is_up = limit > other;
                match (is_up, is_worth) {
                    // On in the same direction.
                    (true, true) | (false, false) => {
                        self.is_down_next = !is_up;
                        self.try_next(limit, rate, most);
                    }
                    // Back, and for a while nothing else; then the other direction.
                    (true, false) => self.settle(now, other, true),
                    (false, true) => self.settle(now, other, false),
                }
            }
        }
        self.begin(now);
    }

    fn begin(&mut self, now: Millis) {
        self.since = now;
        self.answers = 0;
        self.work = 0;
    }

    /// Goes on to the next limit, where there is one.
    fn try_next(&mut self, limit: f64, rate: f64, most: u32) {
        let next = match self.is_down_next {
            true => (limit / FACTOR).floor().max(1.0),
            false => (limit * FACTOR).ceil().min(most.into()),
        };
        if (next - limit).abs() < 0.5 {
            // At an end: the other direction is next.
            self.is_down_next = !self.is_down_next;
            self.before = None;
            return;
        }
        self.before = Some((limit, rate));
        self.limit = next;
    }

    fn settle(&mut self, now: Millis, limit: f64, is_down_next: bool) {
        self.limit = limit;
        self.before = None;
        self.is_down_next = is_down_next;
        self.rests_until = now + REST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// A server that works on so many requests at once and lets the others wait; each takes a
    /// second or so of work. Returns the limit over time and the answers in all.
    fn run(slots: u32, most: u32, seconds: i64, seed: u64) -> (Vec<u32>, u64) {
        let mut concurrency = Concurrency::default();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // When each of the requests in flight is done, in the order in which they came.
        let mut free_at = vec![0_i64; slots as usize];
        let mut in_flight: Vec<(i64, u64)> = Vec::new();
        let (mut limits, mut total) = (Vec::new(), 0);
        for now in (0..seconds * 1_000).step_by(50) {
            let done: Vec<_> = in_flight.extract_if(.., |(end, _)| *end <= now).collect();
            let work = done.iter().map(|(_, work)| work).sum();
            total += done.len() as u64;
            let limit = concurrency.limit(most);
            while in_flight.len() < limit as usize {
                let slot = free_at.iter_mut().min().unwrap();
                let tokens = random.random_range(20..180_u64);
                let end = (*slot).max(now) + 10 * i64::try_from(tokens).unwrap();
                *slot = end;
                in_flight.push((end, tokens));
            }
            concurrency.learn(now, done.len() as u64, work, true, most);
            limits.push(limit);
        }
        (limits, total)
    }

    #[test]
    fn four_slots_get_about_four_requests_and_lose_nothing() {
        let (limits, total) = run(4, 64, 600, 1);
        let settled = &limits[limits.len() / 2..];
        let mean =
            settled.iter().map(|limit| f64::from(*limit)).sum::<f64>() / settled.len() as f64;
        assert!((3.5..=9.0).contains(&mean), "{mean}");
        // Four a second at best.
        assert!(total >= 2_150, "{total}");
    }

    #[test]
    fn an_endpoint_that_takes_all_gets_all() {
        let (limits, _) = run(64, 64, 300, 2);
        let settled = &limits[limits.len() / 2..];
        let mean =
            settled.iter().map(|limit| f64::from(*limit)).sum::<f64>() / settled.len() as f64;
        assert!(mean >= 50.0, "{mean}");
    }

    #[test]
    fn what_does_not_fill_the_limit_teaches_nothing() {
        let mut concurrency = Concurrency::default();
        for now in 0..10_000 {
            concurrency.learn(now * 100, 5, 500, false, 64);
        }
        assert_eq!(concurrency.limit(64), 8);
    }

    proptest! {
        #[test]
        fn the_limit_stays_within_its_bounds(
            most in 1_u32..100,
            steps in prop::collection::vec((1_i64..2_000, 0_u64..200, 0_u64..5_000), 1..300),
        ) {
            let mut concurrency = Concurrency::default();
            let mut now = 0;
            for (span, answers, work) in steps {
                now += span;
                concurrency.learn(now, answers, work, true, most);
                prop_assert!((1..=most).contains(&concurrency.limit(most)));
            }
        }
    }
}
