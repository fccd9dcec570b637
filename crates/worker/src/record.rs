//! What is stored of a job besides its requests: each record in one transaction with its events and
//! the job's summary.

use crate::context::Context;
use crate::error::DriveError;
use chrono::Utc;
use frugal_domain::state::{JobState, StopReason};
use frugal_store::enqueued;
use frugal_store::queue::{self, End};
use frugal_store::terms::{self, Placed};
use frugal_store::trials::{NewTrial, TrialEnd, TrialStanding};
use frugal_store::{PgConnection, events, jobs, trials};
use frugal_tuning::{BegunTrial, Change, Record, Summary, TermsChange};

/// Stores a record.
///
/// # Errors
/// The database failed, or the lease is lost.
pub(crate) async fn store(context: &Context, record: &Record) -> Result<(), DriveError> {
    let claim = context.claim;
    let now = Utc::now();
    let mut transaction = context.pool.begin().await?;
    match &record.change {
        Change::TrialBegun(begun) => {
            trials::begin(&mut transaction, claim, &new_trial(begun), now).await?;
        }
        Change::TrialProgressed {
            trial,
            settings,
            evaluation,
            tally,
        } => {
            let standing = TrialStanding {
                settings: settings.clone(),
                evaluation: evaluation.clone(),
                spend: tally.spend,
                requests: tally.requests,
                responses: tally.responses,
            };
            trials::progress(&mut transaction, claim, *trial, &standing).await?;
        }
        Change::TrialEnded {
            trial,
            settings,
            outcome,
            tally,
        } => {
            let end = TrialEnd {
                settings: settings.clone(),
                outcome: outcome.clone(),
                spend: tally.spend,
                requests: tally.requests,
                responses: tally.responses,
            };
            trials::finish(&mut transaction, claim, *trial, &end, now).await?;
        }
        Change::TermsChanged(change) => {
            terms::place(&mut transaction, claim, change.number, &placed(change)).await?;
        }
        Change::TrialEnqueued(trial) => {
            let place = trial.place.unwrap_or_default();
            enqueued::place(&mut transaction, claim, trial.number, place).await?;
        }
        Change::Progressed | Change::Validated => {}
    }
    store_summary(context, &mut transaction, &record.summary).await?;
    events::append(&mut transaction, claim.job, &record.events, now).await?;
    Ok(transaction.commit().await?)
}

fn placed(change: &TermsChange) -> Placed {
    Placed {
        place: change.place.unwrap_or_default(),
        terms: change.terms,
        unaffordable: change.unaffordable.iter().copied().collect(),
    }
}

fn new_trial(begun: &BegunTrial) -> NewTrial {
    NewTrial {
        number: begun.number,
        role: begun.role,
        origin: begun.origin.clone(),
        configuration: begun.configuration.clone(),
        settings: begun.settings.clone(),
    }
}

async fn store_summary(
    context: &Context,
    connection: &mut PgConnection,
    summary: &Summary,
) -> Result<(), DriveError> {
    let claim = context.claim;
    jobs::update_summary(
        connection,
        claim.job,
        claim.attempt,
        &summary.progress,
        &summary.spend,
        summary.best,
    )
    .await?;
    Ok(())
}

/// Stores the report, the last state and the terminal event of a job that is over.
///
/// # Errors
/// The database failed, or the lease is lost.
pub(crate) async fn finish(context: &Context) -> Result<JobState, DriveError> {
    let claim = context.claim;
    let now = Utc::now();
    let mut transaction = context.pool.begin().await?;
    // A request to cancel that came before this moment is kept; a later one finds the job ended.
    if queue::hold(&mut transaction, claim).await? == JobState::Cancelling {
        context.tuning().halt(StopReason::Cancelled);
    }
    let ending = context.tuning().ending();
    store_summary(context, &mut transaction, &ending.summary).await?;
    let report = ending.stored_report()?;
    let end = End {
        state: ending.state,
        stop_reason: ending.stop_reason,
        detail: ending.detail,
        report,
        event: ending.event,
    };
    queue::finish(&mut transaction, claim, &end, now).await?;
    transaction.commit().await?;
    Ok(end.state)
}
