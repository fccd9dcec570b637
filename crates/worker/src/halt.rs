//! Why a job is to stop before its search is done, told to everything that works on it.

use frugal_domain::job::Split;
use frugal_domain::request::Purpose;
use frugal_domain::state::StopReason;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why no further request is to be sent, from the mildest to the one that stands above all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// The job's time is over. It ends with what it has; the held-out rows are still scored.
    Deadline,
    /// A client wants the job paused. Another worker goes on with it, once it is to.
    Paused,
    /// A client cancelled the job. It ends with what it has.
    Cancelled,
    /// The process is to stop, or the database is out of reach for too long. Another worker goes on;
    /// what is in flight may still be stored.
    LetGo,
    /// The lease is another worker's: nothing of this one is stored any more.
    Lost,
}

impl Cause {
    /// Whether it keeps requests of this purpose from being sent: the end of a job's time stops the
    /// search, and what that found is still scored on the held-out rows.
    pub(crate) fn stops(self, purpose: Purpose) -> bool {
        self != Self::Deadline || purpose.split() != Split::Holdout
    }

    /// Why the job ends, unless another worker goes on with it.
    pub(crate) const fn stop_reason(self) -> Option<StopReason> {
        match self {
            Self::Deadline => Some(StopReason::Deadline),
            Self::Cancelled => Some(StopReason::Cancelled),
            Self::Paused | Self::LetGo | Self::Lost => None,
        }
    }
}

/// A switch that only ever goes up: a cause above the present one takes its place.
#[derive(Debug)]
pub(crate) struct Halt {
    cause: watch::Sender<Option<Cause>>,
}

impl Halt {
    pub(crate) fn new() -> Self {
        Self {
            cause: watch::Sender::new(None),
        }
    }

    /// Throws the switch, unless a cause stands that is as high.
    pub(crate) fn throw(&self, cause: Cause) {
        self.cause.send_if_modified(|present| {
            let higher = *present < Some(cause);
            if higher {
                *present = Some(cause);
            }
            higher
        });
    }

    /// The highest cause so far.
    pub(crate) fn cause(&self) -> Option<Cause> {
        *self.cause.borrow()
    }

    /// Waits until a cause is thrown that is above this one; with none given, until there is any.
    pub(crate) async fn above(&self, seen: Option<Cause>) -> Option<Cause> {
        let mut watched = self.cause.subscribe();
        let found = watched.wait_for(|cause| *cause > seen).await;
        // The sender is this switch, so it is there.
        found.ok().and_then(|cause| *cause)
    }
}

/// Throws the switch when the process is to stop, and when the job's time is over.
pub(crate) async fn watch_time(
    halt: Arc<Halt>,
    deadline: watch::Receiver<Option<Instant>>,
    shutdown: CancellationToken,
) {
    tokio::select! {
        () = over(deadline) => halt.throw(Cause::Deadline),
        () = shutdown.cancelled() => {}
    }
    shutdown.cancelled().await;
    halt.throw(Cause::LetGo);
}

/// Waits for the end of the job's time, which may be moved meanwhile.
async fn over(mut deadline: watch::Receiver<Option<Instant>>) {
    loop {
        let moment = *deadline.borrow_and_update();
        tokio::select! {
            () = at(moment) => return,
            Ok(()) = deadline.changed() => {}
        }
    }
}

/// Waits until a moment, or for ever.
pub(crate) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn causes_have_an_order_and_none_hides_a_higher_one() {
        let halt = Halt::new();
        assert_eq!(halt.cause(), None);
        halt.throw(Cause::Deadline);
        assert_eq!(halt.above(None).await, Some(Cause::Deadline));
        halt.throw(Cause::Paused);
        assert_eq!(halt.above(Some(Cause::Deadline)).await, Some(Cause::Paused));
        halt.throw(Cause::Deadline);
        assert_eq!(halt.cause(), Some(Cause::Paused));
        let higher = halt.above(Some(Cause::Deadline));
        halt.throw(Cause::LetGo);
        assert_eq!(higher.await, Some(Cause::LetGo));
        halt.throw(Cause::Cancelled);
        assert_eq!(halt.cause(), Some(Cause::LetGo));
    }
}
