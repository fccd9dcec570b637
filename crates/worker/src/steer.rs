//! Hears what a job's owner changes while the job is driven.

use crate::past;
use chrono::Utc;
use frugal_store::jobs::Job;
use frugal_store::listen::Notice;
use frugal_store::queue::Claim;
use frugal_store::{PgPool, Result, terms};
use frugal_tuning::TermsChange;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How long to wait for a notification before looking without one: it can be lost.
const LOOK: Duration = Duration::from_secs(5);

/// Changes of the terms, as they are heard of.
pub(crate) type News = mpsc::UnboundedReceiver<TermsChange>;

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
    pub news: mpsc::UnboundedSender<TermsChange>,
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
    let changes = terms::after(&mut connection, steering.claim.job, steering.last).await?;
    drop(connection);
    for change in changes {
        tracing::info!(
            number = change.number,
            "the job's owner has changed its terms"
        );
        steering.last = change.number;
        let deadline = steering.clock.deadline(change.terms.limits.seconds);
        steering.deadline.send_replace(deadline);
        // Where the loop has ended, nobody needs to hear.
        let _ = steering.news.send(past::terms_change(&change));
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
