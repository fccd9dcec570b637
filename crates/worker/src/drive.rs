//! One job, from its claim to its end or to the moment when it is let go.

use crate::admission::Admission;
use crate::context::Context;
use crate::error::DriveError;
use crate::heartbeat::{self, Heart};
use crate::options::Options;
use crate::play;
use crate::sightings::Watch;
use crate::tell;
use crate::writes::Writes;
use chrono::Utc;
use frugal_domain::event::EventBody;
use frugal_domain::state::{JobState, StopReason};
use frugal_store::books;
use frugal_store::listen::Notice;
use frugal_store::queue::{self, Claim, Claimed, End};
use frugal_store::steering;
use futures::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long a slot rests after a job that a failing database broke off, so that it does not
/// turn in circles.
const REST: Duration = Duration::from_secs(1);

/// After so many attempts in a row whose worker was lost with nothing to show for it, a job is
/// set aside: it would take every worker with it, one after the other. Attempts that settled a
/// request or ended a trial start the count anew, so that a long job is not set aside for having
/// lived through many restarts.
pub const MOST_LOST_ATTEMPTS: u32 = 5;

/// Drives a claimed job. Whatever goes wrong, the job either ends with a reason or is given
/// back to be taken up again.
pub(crate) async fn drive(
    options: &Options,
    admission: &Admission,
    watch: &Arc<Watch>,
    writes: &Arc<Writes>,
    claimed: Claimed,
    notices: Receiver<Notice>,
    shutdown: &CancellationToken,
) {
    tracing::info!("driving the job");
    let claim = claimed.claim;
    // What the job was driven with goes with the panic; what is shared with others holds no lock
    // across a call that may panic.
    let driving = AssertUnwindSafe(attempt(
        options, admission, watch, writes, claimed, notices, shutdown,
    ));
    let driven = driving.catch_unwind().await;
    // What was under way when it was dropped is stored before the job is closed or goes to another.
    writes.flush().await;
    let ended = match driven {
        Ok(Err(DriveError::Paused)) => set_aside(options, claim).await,
        Ok(Err(error)) => end_failed(options, claim, error).await,
        Ok(ended) => ended,
        Err(panic) => end_failed(options, claim, DriveError::Panicked(message(&*panic))).await,
    };
    watch.tell_soon();
    match ended {
        Ok(JobState::Paused) => tracing::info!("the job is paused"),
        Ok(state) => tracing::info!(%state, "the job has ended"),
        Err(DriveError::LetGo | DriveError::Store(frugal_store::Error::LeaseLost)) => {
            tracing::info!("the job is let go");
            give_back(options, claim).await;
        }
        Err(error) => {
            tracing::warn!(%error, "the job is broken off and will be taken up again");
            give_back(options, claim).await;
            shutdown.run_until_cancelled(tokio::time::sleep(REST)).await;
        }
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Loads the job and drives it, under a beating heart.
async fn attempt(
    options: &Options,
    admission: &Admission,
    watch: &Arc<Watch>,
    writes: &Arc<Writes>,
    Claimed {
        claim,
        lost_attempts,
    }: Claimed,
    notices: Receiver<Notice>,
    shutdown: &CancellationToken,
) -> Result<JobState, DriveError> {
    if lost_attempts >= MOST_LOST_ATTEMPTS {
        return Err(DriveError::WorkersLost(lost_attempts));
    }
    let context = Context::load(options, admission, watch, writes, claim).await?;
    let heart = Heart {
        pool: options.pool.clone(),
        claim,
        lease_seconds: options.lease_seconds,
        halt: Arc::clone(&context.halt),
        shutdown: shutdown.clone(),
        deadline: deadline(&context),
    };
    // In a task of its own, so that it beats however long the job's loop thinks.
    let _beating = AbortOnDropHandle::new(tokio::spawn(heartbeat::beat(heart, notices)));
    let mut hearing = admission.listen(claim.job);
    tokio::select! {
        played = play::play(&context) => played,
        never = tell::tell(&options.pool, claim, &mut hearing) => match never {},
    }
}

/// When the job's time is over, counted from its first start without its pauses.
fn deadline(context: &Context) -> Option<Instant> {
    let seconds = context.spec().limits.seconds?;
    let used = context.job.time_used(Utc::now());
    Some(Instant::now() + Duration::from_secs(seconds).saturating_sub(used))
}

/// Sets the job aside, or gives it back where its client has thought better of it meanwhile.
async fn set_aside(options: &Options, claim: Claim) -> Result<JobState, DriveError> {
    let mut transaction = options.pool.begin().await?;
    let state = steering::set_aside(&mut transaction, claim, Utc::now()).await?;
    transaction.commit().await?;
    match state {
        JobState::Paused => Ok(state),
        _ => Err(DriveError::LetGo),
    }
}

/// Gives the job back, so that another worker need not wait for the lease to run out.
async fn give_back(options: &Options, claim: Claim) {
    let released = async {
        let mut transaction = options.pool.begin().await?;
        queue::release(&mut transaction, claim).await?;
        transaction.commit().await?;
        Ok::<_, frugal_store::Error>(())
    };
    if let Err(error) = released.await {
        tracing::debug!(%error, "not given back; the lease will run out");
    }
}

/// Ends a job that cannot go on, with what it spent. An error that may pass is handed on: the
/// job is then given back and taken up again.
async fn end_failed(
    options: &Options,
    claim: Claim,
    error: DriveError,
) -> Result<JobState, DriveError> {
    let (stop_reason, detail) = match &error {
        DriveError::LetGo | DriveError::Paused => return Err(error),
        DriveError::Store(cause) if cause.may_pass() => return Err(error),
        DriveError::Endpoint(reason) => (StopReason::EndpointUnusable, reason.clone()),
        DriveError::NoSandbox => {
            tracing::error!(%error, "the job has failed; the log says why when the worker starts");
            let detail = "the scorer runs programs, and the worker that took the job cannot run \
                          any; its operator finds out why from its log";
            (StopReason::InternalError, detail.to_owned())
        }
        DriveError::WorkersLost(count) => {
            tracing::error!(%error, "the job is set aside");
            let detail = format!(
                "{count} workers in a row took the job and were lost before any of them got on \
                 with it; its operator finds out why from their logs, and it can be posted again"
            );
            (StopReason::WorkerLost, detail)
        }
        _ => {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "the job has failed");
            let detail = "a fault inside the server; its operator finds the cause in the log";
            (StopReason::InternalError, detail.to_owned())
        }
    };
    let end = End {
        state: JobState::Failed,
        stop_reason,
        detail: Some(detail.clone()),
        report: None,
        event: EventBody::JobFailed {
            stop_reason,
            detail,
        },
    };
    match finish(options, claim, &end, true).await {
        Err(error) if !error.may_pass() => {
            // Were it not ended all the same, it would come back for ever.
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "the books of the job cannot be closed");
            finish(options, claim, &end, false).await?;
        }
        finished => finished?,
    }
    Ok(JobState::Failed)
}

/// Ends a job, its books closed from what is stored: what drove it may have known only a part.
async fn finish(
    options: &Options,
    claim: Claim,
    end: &End,
    close_books: bool,
) -> Result<(), frugal_store::Error> {
    let now = Utc::now();
    let mut transaction = options.pool.begin().await?;
    queue::hold(&mut transaction, claim).await?;
    if close_books {
        books::close(&mut transaction, claim.job, now).await?;
    }
    queue::finish(&mut transaction, claim, end, now).await?;
    Ok(transaction.commit().await?)
}
