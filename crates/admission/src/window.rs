//! What was sent within the last minute, by all workers together.

use crate::limits::{MINUTE, Millis};
use serde::{Deserialize, Serialize};

/// Uses whose ends fall into the same half second are kept as one, at the end of it, so that a
/// minute takes 121 entries at most. It costs less than a hundredth of the allowance.
const GRAIN: Millis = 500;

/// Uses within the last minute. A sliding window: whatever minute is looked at, no more was sent
/// within it than the limit says. A bucket of tokens that fills up would let twice as much pass in
/// the minute after a quiet one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window(Vec<Use>);

/// Tickets that were used at `until` at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Use {
    until: Millis,
    requests: u64,
    tokens: u64,
}

impl Window {
    /// Forgets what no longer counts at `now`.
    pub(crate) fn forget(&mut self, now: Millis) {
        self.0.retain(|used| used.until > now - MINUTE);
    }

    /// Counts tickets that were used at `until` at the latest.
    pub(crate) fn record(&mut self, until: Millis, requests: u64, tokens: u64) {
        if requests == 0 && tokens == 0 {
            return;
        }
        let until = (until + GRAIN - 1).div_euclid(GRAIN) * GRAIN;
        let at = self.0.partition_point(|used| used.until < until);
        match self.0.get_mut(at) {
            Some(used) if used.until == until => {
                used.requests += requests;
                used.tokens += tokens;
            }
            _ => {
                let used = Use {
                    until,
                    requests,
                    tokens,
                };
                self.0.insert(at, used);
            }
        }
    }

    /// Requests that count.
    pub(crate) fn requests(&self) -> u64 {
        self.0.iter().map(|used| used.requests).sum()
    }

    /// Tokens that count.
    pub(crate) fn tokens(&self) -> u64 {
        self.0.iter().map(|used| used.tokens).sum()
    }

    /// How fast requests were sent of late, per minute: over a second, ten seconds or the minute,
    /// whichever is fastest. A worker that has just begun has no more to show than a burst.
    pub(crate) fn rate(&self, now: Millis) -> u64 {
        let within = |span: Millis| {
            let recent = self.0.iter().filter(|used| used.until > now - span);
            recent.map(|used| used.requests).sum::<u64>()
        };
        let spans = [MINUTE / 60, MINUTE / 6, MINUTE];
        let rates = spans.map(|span| within(span) * (MINUTE / span).unsigned_abs());
        rates.into_iter().max().unwrap_or(0)
    }

    /// When so many of what counts have ceased to; with nothing missing, when the first do. None
    /// where there are not so many.
    pub(crate) fn free_at(&self, requests: u64, tokens: u64) -> Option<Millis> {
        let (mut freed_requests, mut freed_tokens) = (0, 0);
        let enough = self.0.iter().find(|used| {
            freed_requests += used.requests;
            freed_tokens += used.tokens;
            freed_requests >= requests && freed_tokens >= tokens
        });
        enough.map(|used| used.until + MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_use_counts_for_a_minute() {
        let mut window = Window::default();
        window.record(1_000, 3, 30);
        window.record(1_001, 2, 20);
        window.forget(60_999);
        assert_eq!((window.requests(), window.tokens()), (5, 50));
        assert_eq!(window.free_at(1, 0), Some(61_000));
        assert_eq!(window.free_at(4, 0), Some(61_500));
        assert_eq!(window.free_at(6, 0), None);
        window.forget(61_000);
        assert_eq!((window.requests(), window.tokens()), (2, 20));
        window.forget(61_500);
        assert_eq!(window.free_at(0, 0), None);
    }

    #[test]
    fn the_rate_is_that_of_the_busiest_span() {
        let mut window = Window::default();
        window.record(1_000, 30, 0);
        assert_eq!(window.rate(1_500), 1_800);
        assert_eq!(window.rate(2_000), 180);
        assert_eq!(window.rate(12_000), 30);
    }

    proptest! {
        #[test]
        fn uses_never_count_for_less_than_a_minute_and_stay_few(
            uses in prop::collection::vec((0_i64..200_000, 1_u64..5), 1..400),
            now in 0_i64..260_000,
        ) {
            let mut window = Window::default();
            for (until, requests) in &uses {
                window.record(*until, *requests, 0);
            }
            window.forget(now);
            let counted: u64 = uses.iter().filter(|(until, _)| *until > now - MINUTE).map(|(_, r)| r).sum();
            let at_most: u64 = uses.iter().filter(|(until, _)| *until > now - MINUTE - GRAIN).map(|(_, r)| r).sum();
            prop_assert!((counted..=at_most).contains(&window.requests()));
        }
    }
}
