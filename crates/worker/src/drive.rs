//! One job, from its claim to its end or to the moment when it is let go.

use crate::context::Context;
use crate::error::DriveError;
use crate::halt::{self, Cause, Halt};
use crate::heartbeat::Keeping;
use crate::options::Options;
use crate::play;
use crate::shared::Shared;
use crate::steer::{Clock, Steering, steer};
use crate::tell;
use chrono::Utc;
use frugal_domain::event::EventBody;
use frugal_domain::state::{AttemptEnding, JobState, StopReason};
use frugal_store::queue::{self, Claim, Claimed, End};
use frugal_store::{attempts, books, steering};
use frugal_tuning::Report;
use futures::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Span;

/// How long a slot rests after a job that a failing database broke off, so that it does not
/// turn in circles.
const REST: Duration = Duration::from_secs(1);

/// How long to wait before a job is given back once more while the database is out of reach.
const RETRY_GIVING_BACK: Duration = Duration::from_millis(250);

/// Drives a job that was claimed after `begun`. Whatever goes wrong, the job either ends with a reason
/// or is given back to be taken up again.
pub(crate) async fn drive(
    options: &Options,
    shared: &Shared,
    claimed: Claimed,
    begun: Instant,
    shutdown: &CancellationToken,
) {
    tracing::info!("driving the job");
    let claim = claimed.claim;
    let halt = Arc::new(Halt::new());
    // Until the job has ended or is given back.
    let keeping = shared.leases.keep(claim, begun, &halt);
    // What the job was driven with goes with the panic; what is shared with others holds no lock
    // across a call that may panic.
    let driving = AssertUnwindSafe(attempt(options, shared, claimed, &halt, &keeping, shutdown));
    let driven = driving.catch_unwind().await;
    // What was under way when it was dropped is stored before the job is closed or goes to another.
    shared.writes.flush().await;
    let ended = match driven {
        Ok(Err(DriveError::Paused)) => set_aside(options, claim).await,
        Ok(Err(error)) => end_failed(options, claim, error).await,
        Ok(ended) => ended,
        Err(panic) => end_failed(options, claim, DriveError::Panicked(message(&*panic))).await,
    };
    shared.watch.tell_soon();
    if let Ok(state) = &ended {
        Span::current().record("state", state.as_str());
    }
    match ended {
        Ok(JobState::Paused) => tracing::info!("the job is paused"),
        Ok(state) => tracing::info!(%state, "the job has ended"),
        Err(error) if halt.cause() == Some(Cause::Lost) || error.is_lost() => {
            tracing::info!("the job is another worker's, and let go");
        }
        Err(DriveError::LetGo) => {
            tracing::info!("the job is let go");
            give_back(options, claim, AttemptEnding::GivenBack, shutdown).await;
        }
        Err(error) => {
            tracing::warn!(%error, "the job is broken off and will be taken up again");
            give_back(options, claim, AttemptEnding::BrokenOff, shutdown).await;
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

/// Loads the job and drives it.
async fn attempt(
    options: &Options,
    shared: &Shared,
    Claimed {
        claim,
        lost_attempts,
        decided_before,
    }: Claimed,
    halt: &Arc<Halt>,
    keeping: &Keeping,
    shutdown: &CancellationToken,
) -> Result<JobState, DriveError> {
    if lost_attempts >= options.terms.most_lost_attempts {
        return Err(DriveError::WorkersLost(lost_attempts));
    }
    let context = Context::load(options, shared, claim, halt, keeping.lease()).await?;
    // In a task of its own, so that it is heard however long the job's loop thinks.
    let clock = Clock::of(&context.job);
    let (changed, deadline) = watch::channel(clock.deadline(context.spec().limits.seconds));
    let watching = halt::watch_time(Arc::clone(halt), deadline, shutdown.clone());
    let _watching = AbortOnDropHandle::new(tokio::spawn(watching));
    let (told, news) = mpsc::unbounded_channel();
    let steering = Steering {
        pool: options.pool.clone(),
        claim,
        last: context.last_change,
        clock,
        deadline: changed,
        news: told,
    };
    let steering = steer(steering, shared.notices.subscribe());
    let _steering = AbortOnDropHandle::new(tokio::spawn(steering));
    let mut hearing = shared.admission.listen(claim.job);
    let played = tokio::select! {
        played = play::play(&context, news) => played,
        never = tell::tell(&options.pool, claim, &mut hearing) => match never {},
    };
    match (played, decided_before) {
        (Err(DriveError::Tuning(source)), Some(version)) => {
            // As far as it was lived through; why it ends is nothing that it knows.
            let report = context.tuning().ending().report.map(|report| Report {
                stop_reason: StopReason::OtherVersion,
                ..report
            });
            Err(DriveError::OtherVersion {
                version,
                report: report.map(serde_json::to_value).transpose()?,
                source,
            })
        }
        (played, _) => played,
    }
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

/// Gives the job back, so that another worker need not wait for the lease to run out. While the
/// database is out of reach it is waited for, or those that wait would count the worker as lost.
async fn give_back(
    options: &Options,
    claim: Claim,
    ending: AttemptEnding,
    shutdown: &CancellationToken,
) {
    let detail = match ending {
        AttemptEnding::BrokenOff => Some("the database was out of reach"),
        _ => None,
    };
    let release = async || {
        let mut transaction = options.pool.begin().await?;
        queue::release(&mut transaction, claim, ending, detail, Utc::now()).await?;
        transaction.commit().await?;
        Ok::<_, frugal_store::Error>(())
    };
    let patience = match shutdown.is_cancelled() {
        true => options.terms.grace,
        false => options.terms.outage,
    };
    let until = Instant::now() + patience;
    while let Err(error) = release().await {
        if !error.is_unavailable() || Instant::now() >= until {
            tracing::warn!(%error, "the job is not given back; its lease runs out");
            return;
        }
        tokio::time::sleep(RETRY_GIVING_BACK).await;
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
        DriveError::OtherVersion { source, .. } => {
            tracing::error!(%error, %source, "the job is ended by a worker of another version");
            let detail = "another version of Frugal had decided the job's steps, no worker of which \
                          took it up again in time, and this version cannot go on from them; what \
                          was found stands, and it can be posted again";
            (StopReason::OtherVersion, detail.to_owned())
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
        report: match &error {
            DriveError::OtherVersion { report, .. } => report.clone(),
            _ => None,
        },
        event: EventBody::JobFailed {
            stop_reason,
            detail,
        },
    };
    let panicked = matches!(error, DriveError::Panicked(_));
    match finish(options, claim, &end, panicked, true).await {
        Err(error) if !error.may_pass() => {
            // Were it not ended all the same, it would come back for ever.
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "the books of the job cannot be closed");
            finish(options, claim, &end, panicked, false).await?;
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
    panicked: bool,
    close_books: bool,
) -> Result<(), frugal_store::Error> {
    let now = Utc::now();
    let mut transaction = options.pool.begin().await?;
    queue::hold(&mut transaction, claim).await?;
    if close_books {
        books::close(&mut transaction, claim.job, now).await?;
    }
    if panicked {
        let ending = AttemptEnding::Panicked;
        attempts::end(&mut transaction, claim, ending, end.detail.as_deref(), now).await?;
    }
    queue::finish(&mut transaction, claim, end, now).await?;
    Ok(transaction.commit().await?)
}
