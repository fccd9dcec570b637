//! Keeps the lease while a job is driven, and hears what its client wants.

use crate::halt::{Cause, Halt};
use frugal_domain::state::JobState;
use frugal_store::listen::Notice;
use frugal_store::queue::{self, Claim};
use frugal_store::{Error, PgPool, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a heart beats for.
pub(crate) struct Heart {
    pub pool: PgPool,
    pub claim: Claim,
    pub lease_seconds: u32,
    pub halt: Arc<Halt>,
    pub shutdown: CancellationToken,
    /// When the job's time is over.
    pub deadline: Option<Instant>,
}

/// Beats until dropped, three times a lease; throws the switch where the job is to stop.
pub(crate) async fn beat(heart: Heart, mut notices: Receiver<Notice>) {
    let lease = Duration::from_secs(heart.lease_seconds.into());
    let mut held_until = Instant::now() + lease;
    loop {
        let begun = Instant::now();
        match once(&heart).await {
            Ok(()) => held_until = begun + lease,
            Err(Error::LeaseLost) => {
                tracing::warn!("the lease is lost");
                heart.halt.throw(Cause::LetGo);
            }
            Err(error) => {
                tracing::warn!(%error, "no heartbeat");
                if Instant::now() >= held_until {
                    heart.halt.throw(Cause::LetGo);
                }
            }
        }
        wait(&heart, &mut notices, lease / 3).await;
    }
}

async fn once(heart: &Heart) -> Result<()> {
    let mut connection = heart.pool.acquire().await?;
    let state = queue::heartbeat(&mut connection, heart.claim, heart.lease_seconds).await?;
    match state {
        JobState::Cancelling => heart.halt.throw(Cause::Cancelled),
        JobState::Pausing => heart.halt.throw(Cause::Paused),
        _ => {}
    }
    Ok(())
}

/// Waits for the next beat, or less where there is news of this job.
async fn wait(heart: &Heart, notices: &mut Receiver<Notice>, pause: Duration) {
    let next = Instant::now() + pause;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => return,
            () = at(heart.deadline), if heart.halt.cause().is_none() => {
                heart.halt.throw(Cause::Deadline);
            }
            () = heart.shutdown.cancelled(), if heart.halt.cause() < Some(Cause::LetGo) => {
                heart.halt.throw(Cause::LetGo);
            }
            notice = notices.recv() => match notice {
                Ok(Notice::Job(job)) if job != heart.claim.job => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => {
                    tokio::time::sleep_until(next).await;
                    return;
                }
            }
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
