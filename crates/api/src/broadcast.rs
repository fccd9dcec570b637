//! One listener per process, many waiting streams: hints that a job has something new.
//!
//! A hint says "look", never what is there: whoever waits reads the table by itself, and reads it
//! now and then without a hint too, because a notification can be lost.

use frugal_domain::id::JobId;
use frugal_store::PgPool;
use frugal_store::listen::{Listener, Notice};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long to wait for a hint before looking without one: a notification can be lost.
pub(crate) const POLL: Duration = Duration::from_secs(2);

/// How long to wait before the listener tries to connect again.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Who waits for which job, and who for any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    jobs: Mutex<Waiting>,
    any: watch::Sender<()>,
}

/// A sender per job that somebody waits for, and no others.
type Waiting = HashMap<JobId, watch::Sender<()>>;

impl Changes {
    /// Waits for changes of a job from now on. Subscribe before reading the table: a change
    /// between the two is then told, not missed.
    pub(crate) fn subscribe(&self, job: JobId) -> Subscription {
        let receiver = self
            .waiting()
            .entry(job)
            .or_insert_with(|| watch::Sender::new(()))
            .subscribe();
        Subscription {
            changes: self.clone(),
            job,
            receiver: Some(receiver),
        }
    }

    /// Waits for changes of any job from now on.
    pub(crate) fn subscribe_to_all(&self) -> watch::Receiver<()> {
        self.0.any.subscribe()
    }

    /// Tells those who wait that there may be something to read.
    fn tell(&self, notice: Notice) {
        self.0.any.send_replace(());
        let waiting = self.waiting();
        match notice {
            Notice::Job(job) => {
                if let Some(sender) = waiting.get(&job) {
                    sender.send_replace(());
                }
            }
            Notice::Missed => waiting.values().for_each(|sender| {
                sender.send_replace(());
            }),
        }
    }

    /// Listens to the database until the shutdown, through every loss of the connection.
    pub(crate) async fn listen(&self, pool: &PgPool, shutdown: &CancellationToken) {
        let listening = async {
            loop {
                let Err(error) = self.listen_once(pool).await;
                tracing::warn!(error = %error, "listening for events failed; trying again");
                tokio::time::sleep(RECONNECT_AFTER).await;
            }
        };
        shutdown.run_until_cancelled(listening).await;
    }

    async fn listen_once(
        &self,
        pool: &PgPool,
    ) -> Result<std::convert::Infallible, frugal_store::Error> {
        let mut listener = Listener::connect(pool, frugal_store::events::CHANNEL).await?;
        // Whatever happened before the listener was there went by unheard.
        self.tell(Notice::Missed);
        loop {
            self.tell(listener.next().await?);
        }
    }

    /// The map. A panic while it was locked leaves it whole: every change to it is one step.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for changes of a job.
#[derive(Debug)]
pub(crate) struct Subscription {
    changes: Changes,
    job: JobId,
    /// Present until the drop, which must let go of it while the map is locked.
    receiver: Option<watch::Receiver<()>>,
}

impl Subscription {
    /// Waits for the next hint, or returns at once where one came since the last call.
    pub(crate) async fn changed(&mut self) {
        let told = match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !told {
            // The sender lives as long as a subscription does, so this is not reached; waiting
            // leaves the caller to its polling.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut waiting = self.changes.waiting();
        self.receiver = None;
        if waiting
            .get(&self.job)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            waiting.remove(&self.job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn job(number: u128) -> JobId {
        JobId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn a_hint_reaches_those_who_wait_for_the_job_and_no_others() {
        let changes = Changes::default();
        let mut first = changes.subscribe(job(1));
        let mut again = changes.subscribe(job(1));
        let mut other = changes.subscribe(job(2));
        changes.tell(Notice::Job(job(1)));
        changes.tell(Notice::Job(job(3)));
        assert!(first.changed().now_or_never().is_some());
        assert!(again.changed().now_or_never().is_some());
        assert!(other.changed().now_or_never().is_none());
        assert!(first.changed().now_or_never().is_none(), "told once");
    }

    #[test]
    fn hints_between_two_looks_are_kept_and_count_as_one() {
        let changes = Changes::default();
        let mut subscription = changes.subscribe(job(1));
        changes.tell(Notice::Job(job(1)));
        changes.tell(Notice::Job(job(1)));
        assert!(subscription.changed().now_or_never().is_some());
        assert!(subscription.changed().now_or_never().is_none());
    }

    #[test]
    fn a_lost_connection_is_a_hint_for_everybody() {
        let changes = Changes::default();
        let mut first = changes.subscribe(job(1));
        let mut other = changes.subscribe(job(2));
        changes.tell(Notice::Missed);
        assert!(first.changed().now_or_never().is_some());
        assert!(other.changed().now_or_never().is_some());
    }

    #[test]
    fn whoever_waits_for_any_job_hears_of_each() {
        let changes = Changes::default();
        let mut any = changes.subscribe_to_all();
        for notice in [Notice::Job(job(1)), Notice::Missed] {
            assert!(!any.has_changed().unwrap());
            changes.tell(notice);
            assert!(any.has_changed().unwrap());
            any.borrow_and_update();
        }
    }

    #[test]
    fn nothing_is_kept_for_those_who_left() {
        let changes = Changes::default();
        let first = changes.subscribe(job(1));
        let second = changes.subscribe(job(1));
        drop(first);
        assert_eq!(changes.waiting().len(), 1);
        drop(second);
        assert!(changes.waiting().is_empty());
    }
}
