//! Hears what a job's owner changes while the job is driven.

use chrono::Utc;
use frugal_store::changes::{self, OwnerChange};
use frugal_store::jobs::Job;
use frugal_store::listen::Notice;
use frugal_store::queue::Claim;
use frugal_store::{PgPool, Result};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How long to wait for a notification before looking without one: it can be lost.
const LOOK: Duration = Duration::from_secs(5);

/// What the owner changes, as it is heard of.
pub(crate) type News = mpsc::UnboundedReceiver<OwnerChange>;

/// A job's clock, which runs while a worker has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// How much of its time it had used by then.
    used: Duration,
    then: Instant,
}

impl Clock {
    pub(crate) fn of(job: &Job) -> Self {
        Self {
            used: job.time_used(Utc::now()),
            then: Instant::now(),
        }
    }

    /// When its time is over, of which it has so many seconds in all.
    pub(crate) fn deadline(&self, seconds: Option<u64>) -> Option<Instant> {
        let left = Duration::from_secs(seconds?).saturating_sub(self.used);
        self.then.checked_add(left)
    }
}

/// Who hears of the changes of a job.
pub(crate) struct Steering {
    pub pool: PgPool,
    pub claim: Claim,
    /// The number of the last change that the job's loop knows of.
    pub last: u32,
    pub clock: Clock,
    /// When the job's time is over.
    pub deadline: watch::Sender<Option<Instant>>,
    /// The job's loop.
    pub news: mpsc::UnboundedSender<OwnerChange>,
}

/// Looks for changes whenever there is news of the job, until dropped.
pub(crate) async fn steer(mut steering: Steering, mut notices: Receiver<Notice>) -> Infallible {
    loop {
        if let Err(error) = look(&mut steering).await {
            tracing::debug!(%error, "no look for changes of the job");
        }
        wait(steering.claim, &mut notices).await;
    }
}

async fn look(steering: &mut Steering) -> Result<()> {
    let mut connection = steering.pool.acquire().await?;
    let changes = changes::after(&mut connection, steering.claim.job, steering.last).await?;
    drop(connection);
    for change in changes {
        let number = change.number();
        steering.last = number;
        match &change {
            OwnerChange::Terms(change) => {
                tracing::info!(number, "the job's owner has changed its terms");
                let deadline = steering.clock.deadline(change.terms.limits.seconds);
                steering.deadline.send_replace(deadline);
            }
            OwnerChange::Trial(_) => {
                tracing::info!(number, "the job's owner has put a configuration in");
            }
        }
        // Where the loop has ended, nobody needs to hear.
        let _ = steering.news.send(change);
    }
    Ok(())
}

/// Waits for news of the job, or until it is time to look.
async fn wait(claim: Claim, notices: &mut Receiver<Notice>) {
    let next = Instant::now() + LOOK;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => return,
            notice = notices.recv() => match notice {
                Ok(Notice::Job(job)) if job != claim.job => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => {
                    tokio::time::sleep_until(next).await;
                    return;
                }
            }
        }
    }
}
