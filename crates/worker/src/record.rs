//! What is stored and counted of a trial: its beginning, its end, whether it is the best.

use crate::DriveError;
use crate::context::{Best, Context};
use crate::session::Ended;
use chrono::Utc;
use frugal_domain::event::EventBody;
use frugal_domain::money::Spend;
use frugal_domain::spend::SpendCategory;
use frugal_domain::trial::{Evaluation, PruneReason, TrialOutcome};
use frugal_store::trials::{NewTrial, TrialEnd};
use frugal_store::{PgConnection, events, jobs, requests, trials};

/// Counts the end of a trial on the books. Returns the new best, if it is one.
pub(crate) fn count_end(context: &Context, ended: &Ended) -> Option<Best> {
    let direction = context.spec().objective.direction;
    let mut books = context.books();
    let progress = &mut books.progress;
    progress.running = progress.running.saturating_sub(1);
    match &ended.outcome {
        TrialOutcome::Evaluated(_) => progress.evaluated += 1,
        TrialOutcome::Pruned {
            reason: PruneReason::KnownInvalid,
        } => {
            progress.pruned_before_requests += 1;
        }
        TrialOutcome::Pruned { .. } => progress.pruned_on_the_way += 1,
        TrialOutcome::Infeasible { .. } => progress.infeasible += 1,
        TrialOutcome::Failed { .. } => progress.failed += 1,
        TrialOutcome::Stopped => progress.stopped += 1,
    }
    let evaluation = ended.evaluation().filter(|evaluation| evaluation.valid)?;
    let candidate = Best {
        trial: ended.number,
        settings: ended.settings.clone(),
        utility: evaluation.utility,
        loss: direction.loss(evaluation.utility.mean),
        cost: evaluation.inference_cost.estimate.mean,
    };
    if books
        .best
        .as_ref()
        .is_some_and(|best| !candidate.beats(best))
    {
        return None;
    }
    books.best = Some(candidate.clone());
    Some(candidate)
}

/// Stores that a trial begins, with its event.
pub(crate) async fn begin(context: &Context, new: &NewTrial) -> Result<(), DriveError> {
    let _recording = context.recording.lock().await;
    let now = Utc::now();
    let claim = context.claim;
    let started = EventBody::TrialStarted {
        trial: new.number,
        role: new.role,
        settings: new.settings.clone(),
    };
    let mut transaction = context.pool.begin().await?;
    trials::begin(&mut transaction, claim, new, now).await?;
    store_summary(context, &mut transaction).await?;
    events::append(&mut transaction, claim.job, &[started], now).await?;
    Ok(transaction.commit().await?)
}

/// Stores how a trial ended: its row, the job's summary and the events, in one transaction.
pub(crate) async fn end(context: &Context, ended: &Ended) -> Result<(), DriveError> {
    let Ended {
        number: trial,
        outcome,
        tally,
        ..
    } = ended;
    let trial = *trial;
    let spend = tally.spend;
    let event = match outcome.clone() {
        TrialOutcome::Evaluated(Evaluation {
            utility,
            inference_cost,
            violated,
            valid,
            ..
        }) => EventBody::TrialEvaluated {
            trial,
            utility,
            inference_cost,
            violated,
            valid,
            spend,
        },
        TrialOutcome::Pruned { reason } => EventBody::TrialPruned {
            trial,
            reason,
            spend,
        },
        TrialOutcome::Infeasible { detail } => EventBody::TrialInfeasible {
            trial,
            detail,
            spend,
        },
        TrialOutcome::Failed { detail } => EventBody::TrialFailed {
            trial,
            detail,
            spend,
        },
        TrialOutcome::Stopped => EventBody::TrialStopped { trial, spend },
    };
    let mut bodies = vec![event];
    let _recording = context.recording.lock().await;
    if let Some(best) = count_end(context, ended)
        && let Some(evaluation) = ended.evaluation()
    {
        bodies.push(EventBody::BestUpdated {
            trial,
            settings: best.settings,
            utility: best.utility,
            inference_cost: evaluation.inference_cost,
        });
    }
    bodies.push(budget_updated(context));
    let end = TrialEnd {
        outcome: outcome.clone(),
        spend,
        requests: tally.requests,
        responses: tally.responses,
    };
    let now = Utc::now();
    let claim = context.claim;
    let mut transaction = context.pool.begin().await?;
    trials::finish(&mut transaction, claim, trial, &end, now).await?;
    store_summary(context, &mut transaction).await?;
    events::append(&mut transaction, claim.job, &bodies, now).await?;
    Ok(transaction.commit().await?)
}

/// Closes the books of a job that ends: what is still in flight may be billed and counts as
/// lost, trials under way are cut off, and the summary is stored.
pub(crate) async fn close_books(
    context: &Context,
    connection: &mut PgConnection,
) -> Result<(), DriveError> {
    let claim = context.claim;
    let now = Utc::now();
    let lost = requests::abandon(connection, claim.job, now).await?;
    let cut_off = trials::stop_running(connection, claim, now).await?;
    {
        let mut books = context.books();
        if lost != Spend::default() {
            books.ledger.record(lost, SpendCategory::Lost);
        }
        books.progress.running = 0;
        books.progress.stopped += cut_off;
    }
    store_summary(context, connection).await
}

/// Stores the summary that polling reads, as the books are now. Whoever writes it while other
/// trials run holds [`Context::recording`] until it is committed.
pub(crate) async fn store_summary(
    context: &Context,
    connection: &mut PgConnection,
) -> Result<(), DriveError> {
    let claim = context.claim;
    let (progress, spend, best) = context.summary();
    jobs::update_summary(
        connection,
        claim.job,
        claim.attempt,
        &progress,
        &spend,
        best,
    )
    .await?;
    Ok(())
}

/// What the job has spent so far, as an event.
pub(crate) fn budget_updated(context: &Context) -> EventBody {
    EventBody::BudgetUpdated {
        spend: context.books().ledger.spent(),
    }
}
