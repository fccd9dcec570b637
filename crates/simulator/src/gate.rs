//! Holds answers back and tells how far things are, so that a test can stop the world at a chosen
//! request instead of sleeping.

use tokio::sync::watch;

/// How many generation requests there have been since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests that arrived whole (or failed to, in their body).
    pub arrived: u64,
    /// Requests that were given an answer, of whatever status.
    pub answered: u64,
    /// Requests whose client went away before the answer.
    pub abandoned: u64,
    /// The most requests that were under way at once.
    pub most_in_flight: u64,
}

impl Progress {
    /// Requests that are under way: arrived, and neither answered nor abandoned.
    pub fn in_flight(&self) -> u64 {
        self.arrived
            .saturating_sub(self.answered)
            .saturating_sub(self.abandoned)
    }
}

/// Holds answers back. Requests are numbered from 1 as they arrive; the gate lets through the
/// answers up to a number, or all. It starts open.
#[derive(Debug)]
pub struct Gate {
    progress: watch::Sender<Progress>,
    /// The number of the last request whose answer may leave; `None` for all.
    open_up_to: watch::Sender<Option<u64>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            progress: watch::Sender::new(Progress::default()),
            open_up_to: watch::Sender::new(None),
        }
    }
}

impl Gate {
    /// Holds the answers of all requests that have not arrived yet.
    pub fn hold(&self) {
        self.hold_after(self.progress().arrived);
    }

    /// Holds the answers of all requests after the k-th since the start. Replaces an earlier hold.
    pub fn hold_after(&self, k: u64) {
        self.open_up_to.send_replace(Some(k));
    }

    /// Lets the answers of the next `count` requests through, in the order of their arrival; those
    /// of requests yet to come count as well. Nothing changes at an open gate.
    pub fn release(&self, count: u64) {
        self.open_up_to.send_modify(|open_up_to| {
            if let Some(last) = open_up_to {
                *last = last.saturating_add(count);
            }
        });
    }

    /// Lets all answers through from now on.
    pub fn open(&self) {
        self.open_up_to.send_replace(None);
    }

    /// How many requests there have been.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until `k` generation requests have arrived since the start.
    pub async fn arrived(&self, k: u64) {
        self.until(|progress| progress.arrived >= k).await;
    }

    /// Waits until `k` generation requests have been given an answer since the start.
    pub async fn answered(&self, k: u64) {
        self.until(|progress| progress.answered >= k).await;
    }

    /// Waits until the clients of `k` requests have gone away before their answer.
    pub async fn abandoned(&self, k: u64) {
        self.until(|progress| progress.abandoned >= k).await;
    }

    /// Waits until the progress is as wanted.
    pub async fn until(&self, wanted: impl FnMut(&Progress) -> bool) {
        let mut wanted = wanted;
        // The sender is `self`, so the channel cannot close while this waits.
        let _ = self
            .progress
            .subscribe()
            .wait_for(|progress| wanted(progress))
            .await;
    }

    /// Counts a request in.
    pub(crate) fn arrive(&self) -> Arrival<'_> {
        let mut number = 0;
        self.progress.send_modify(|progress| {
            progress.arrived += 1;
            progress.most_in_flight = progress.most_in_flight.max(progress.in_flight());
            number = progress.arrived;
        });
        Arrival {
            gate: self,
            number,
            answered: false,
        }
    }
}

/// A request between its arrival and its answer. Dropped before the answer, it counts as abandoned.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    gate: &'a Gate,
    /// Counted from 1.
    pub(crate) number: u64,
    answered: bool,
}

impl Arrival<'_> {
    /// Waits until the answer may leave.
    pub(crate) async fn pass(&self) {
        let mut open_up_to = self.gate.open_up_to.subscribe();
        let _ = open_up_to
            .wait_for(|last| last.is_none_or(|last| self.number <= last))
            .await;
    }

    /// The answer is leaving.
    pub(crate) fn answer(mut self) {
        self.answered = true;
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.gate.progress.send_modify(|progress| {
            if self.answered {
                progress.answered += 1;
            } else {
                progress.abandoned += 1;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// Whether the future is ready when polled once.
    fn ready(future: impl Future) -> bool {
        matches!(
            pin!(future).poll(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(_)
        )
    }

    #[test]
    fn answers_pass_in_the_order_of_arrival() {
        let gate = Gate::default();
        gate.hold_after(1);
        let arrivals: Vec<_> = (0..4).map(|_| gate.arrive()).collect();
        let passing = || {
            arrivals
                .iter()
                .map(|arrival| ready(arrival.pass()))
                .collect::<Vec<_>>()
        };
        assert_eq!(passing(), [true, false, false, false]);
        gate.release(2);
        assert_eq!(passing(), [true, true, true, false]);
        gate.open();
        assert_eq!(passing(), [true; 4]);
        gate.release(1);
        gate.hold();
        assert!(!ready(gate.arrive().pass()));
        assert_eq!(passing(), [true; 4]);
    }

    #[test]
    fn progress_tells_answered_from_abandoned() {
        let gate = Gate::default();
        assert!(!ready(gate.arrived(1)));
        let (first, second) = (gate.arrive(), gate.arrive());
        assert!(ready(gate.arrived(2)));
        first.answer();
        assert!(ready(gate.answered(1)) && !ready(gate.abandoned(1)));
        drop(second);
        assert!(ready(gate.abandoned(1)) && !ready(gate.answered(2)));
        assert_eq!(
            gate.progress(),
            Progress {
                arrived: 2,
                answered: 1,
                abandoned: 1,
                most_in_flight: 2,
            }
        );
    }
}
