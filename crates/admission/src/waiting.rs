//! What attempts wait for at a desk and how long, counted over all jobs.

use crate::limits::Millis;
use frugal_domain::waits::{WaitCause, Waits};
use std::collections::BTreeMap;

/// Attempts that wait in one queue, as a count finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queued {
    /// How many.
    pub attempts: u64,
    /// How many of these came since the last count.
    pub new: u64,
    /// What keeps the first of them, and so all; none where that is not known just now.
    pub cause: Option<WaitCause>,
}

/// The waits at the queues `Q` for the models `M`.
#[derive(Debug)]
pub(crate) struct WaitCounter<Q, M> {
    /// Those that wait, since the last count.
    held: BTreeMap<(Q, M), (WaitCause, u64)>,
    counted_at: Millis,
    untold: BTreeMap<M, Waits>,
}

impl<Q: Copy + Ord, M: Copy + Ord> WaitCounter<Q, M> {
    pub(crate) fn new() -> Self {
        Self {
            held: BTreeMap::new(),
            counted_at: 0,
            untold: BTreeMap::new(),
        }
    }

    /// Counts the time since the last count for what was waited for then, and takes in who waits now.
    pub(crate) fn count(&mut self, now: Millis, queues: impl Iterator<Item = ((Q, M), Queued)>) {
        let elapsed = u64::try_from(now - self.counted_at).unwrap_or(0);
        self.counted_at = now;
        let before = std::mem::take(&mut self.held);
        for ((_, model), (cause, attempts)) in &before {
            let waited = self.untold.entry(*model).or_default();
            waited.entry(*cause).or_default().waited_ms += elapsed * attempts;
        }
        for (key, queued) in queues {
            let held_by = before.get(&key).map(|(cause, _)| *cause);
            // What is not known just now is known at the next exchange: no wait is split for it.
            let cause = queued.cause.or(held_by).unwrap_or(WaitCause::Exchange);
            let begun = match held_by == Some(cause) {
                true => queued.new,
                false => queued.attempts,
            };
            if begun > 0 {
                let waited = self.untold.entry(key.1).or_default();
                waited.entry(cause).or_default().waits += begun;
            }
            self.held.insert(key, (cause, queued.attempts));
        }
    }

    /// What was counted since the last time this was asked for.
    pub(crate) fn take(&mut self) -> BTreeMap<M, Waits> {
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::waits::Waited;

    fn queued(attempts: u64, new: u64, cause: Option<WaitCause>) -> Queued {
        Queued {
            attempts,
            new,
            cause,
        }
    }

    #[test]
    fn time_counts_for_what_was_waited_for_and_who_changes_cause_waits_anew() {
        let mut waits = WaitCounter::new();
        let at = |queued| std::iter::once((("job", "m"), queued));
        waits.count(1_000, at(queued(2, 2, None)));
        waits.count(1_100, at(queued(3, 1, Some(WaitCause::Pace))));
        waits.count(2_100, at(queued(2, 1, None)));
        waits.count(2_600, at(queued(2, 0, Some(WaitCause::Outage))));
        waits.count(2_700, std::iter::empty());
        waits.count(9_000, std::iter::empty());
        let waited = |waits, waited_ms| Waited { waits, waited_ms };
        let expected = Waits::from([
            (WaitCause::Exchange, waited(2, 200)),
            (WaitCause::Pace, waited(4, 4_000)),
            (WaitCause::Outage, waited(2, 200)),
        ]);
        assert_eq!(waits.take(), BTreeMap::from([("m", expected)]));
        assert_eq!(waits.take(), BTreeMap::new());
    }
}
