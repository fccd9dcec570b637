//! How a job stands at a model, as far as its owner is told: long waits and outages, each once.

use crate::limits::{MINUTE, Millis};
use frugal_domain::event::WaitReason;

/// A wait of this length is told, at once where it is known to become so long.
const LONG: Millis = 5_000;

/// How a job stands at a model.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Its requests that wait, and those in flight.
    pub waiting: u32,
    pub in_flight: u32,
    /// Since when it has had requests that wait and none in flight.
    held_since: Option<Millis>,
    told_at: Option<Millis>,
    is_told_of_outage: bool,
}

/// What a job's owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// No request can be sent for a while.
    Waiting {
        /// For what.
        reason: WaitReason,
        /// Until when at least, where that is known.
        until: Option<Millis>,
    },
    /// The model is out of order, for this reason.
    Degraded(String),
    /// It is back.
    Recovered,
}

impl Standing {
    /// What is to be told now. `hold` is what keeps a request from being sent, and until when;
    /// `outage` why the model is out of order.
    pub(crate) fn news(
        &mut self,
        now: Millis,
        hold: Option<(WaitReason, Option<Millis>)>,
        outage: Option<&str>,
    ) -> Option<News> {
        if self.waiting == 0 || self.in_flight > 0 {
            self.held_since = None;
        } else {
            self.held_since.get_or_insert(now);
        }
        match outage {
            Some(reason) => {
                // Only who wants something is concerned.
                let is_new = !self.is_told_of_outage && self.waiting > 0;
                self.is_told_of_outage |= is_new;
                // The time of the outage is no wait of another kind.
                self.held_since = None;
                return is_new.then(|| News::Degraded(reason.to_owned()));
            }
            None if self.is_told_of_outage => {
                self.is_told_of_outage = false;
                return Some(News::Recovered);
            }
            None => {}
        }
        let since = self.held_since?;
        let (reason, until) = hold?;
        let is_long = now - since >= LONG || until.is_some_and(|until| until - now >= LONG);
        // Where requests are let through one by one, each of them ends a wait and begins another.
        let is_new = self.told_at.is_none_or(|told_at| now - told_at >= MINUTE);
        if !is_long || !is_new {
            return None;
        }
        self.told_at = Some(now);
        Some(News::Waiting { reason, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Option<(WaitReason, Option<Millis>)> = Some((WaitReason::RequestsInFlight, None));

    fn waiting() -> Standing {
        Standing {
            waiting: 3,
            ..Standing::default()
        }
    }

    #[test]
    fn a_wait_is_told_once_when_it_has_become_long() {
        let mut standing = waiting();
        assert_eq!(standing.news(0, HOLD, None), None);
        assert_eq!(standing.news(LONG - 1, HOLD, None), None);
        assert!(standing.news(LONG, HOLD, None).is_some());
        assert_eq!(standing.news(LONG + 1_000, HOLD, None), None);
        standing.in_flight = 1;
        assert_eq!(standing.news(LONG + 2_000, HOLD, None), None);
        standing.in_flight = 0;
        assert_eq!(standing.news(2 * LONG + 2_000, HOLD, None), None);
        assert!(standing.news(LONG + MINUTE, HOLD, None).is_some());
    }

    #[test]
    fn a_wait_that_will_be_long_is_told_at_once_and_a_short_one_never() {
        let until = |moment| Some((WaitReason::RetryAfter, Some(moment)));
        assert_eq!(waiting().news(0, until(LONG - 1), None), None);
        let news = waiting().news(0, until(LONG), None);
        assert_eq!(
            news,
            Some(News::Waiting {
                reason: WaitReason::RetryAfter,
                until: Some(LONG)
            })
        );
        let mut idle = Standing::default();
        assert_eq!(idle.news(0, until(LONG), None), None);
    }

    #[test]
    fn an_outage_is_told_with_its_end_and_is_no_wait() {
        let mut standing = waiting();
        let degraded = Some(News::Degraded("down".to_owned()));
        assert_eq!(standing.news(0, HOLD, Some("down")), degraded);
        assert_eq!(standing.news(60_000, HOLD, Some("still down")), None);
        assert_eq!(standing.news(61_000, HOLD, None), Some(News::Recovered));
        assert_eq!(standing.news(62_000, HOLD, None), None);
        let mut idle = Standing::default();
        assert_eq!(idle.news(0, None, Some("down")), None);
        assert_eq!(idle.news(1, None, None), None);
    }
}
