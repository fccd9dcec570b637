//! The search, then the held-out instances, the report and the end.

use crate::DriveError;
use crate::context::Context;
use crate::drive::let_go;
use crate::outcome;
use crate::record;
use crate::report;
use crate::session::{self, BASELINE, Ended, Findings};
use crate::trial::{self, Assignment, Tally};
use crate::verdict::{self, Compared};
use chrono::Utc;
use frugal_domain::event::EventBody;
use frugal_domain::job::Pruning;
use frugal_domain::request::Purpose;
use frugal_domain::state::{JobState, StopReason};
use frugal_domain::trial::TrialOutcome;
use frugal_evaluation::{Evaluator, EvaluatorOptions, Mode};
use frugal_store::events;
use frugal_store::queue::{self, End};
use std::collections::BTreeMap;

/// Searches, validates, reports and ends the job.
///
/// # Errors
/// The job is let go, the database failed, or the job cannot go on.
pub(crate) async fn play(context: &Context) -> Result<JobState, DriveError> {
    keep_for_validation(context);
    let findings = session::search(context).await?;
    release_kept(context);
    let cancelled = findings.stop_reason == StopReason::Cancelled;
    let compared = if cancelled {
        None
    } else {
        validate(context, &findings).await?
    };
    if let_go(context) {
        return Err(DriveError::LetGo);
    }
    finish(context, &findings, compared).await
}

/// Sets money aside so that the search leaves enough for the winner and the baseline on the
/// held-out instances.
fn keep_for_validation(context: &Context) {
    let rows = context.data.holdout.len() as u64;
    if let Some(kept) = context.spec().kept_for_holdout(rows) {
        let mut books = context.books();
        books.kept = books.ledger.reserve(kept.whole()).ok();
    }
}

/// Makes what was kept back available.
fn release_kept(context: &Context) {
    let mut books = context.books();
    if let Some(kept) = books.kept.take() {
        books.ledger.release(kept);
    }
}

/// Scores the winner and the baseline on the held-out instances, in full.
async fn validate(context: &Context, findings: &Findings) -> Result<Option<Compared>, DriveError> {
    let Some(winner) = report::winner(context, findings) else {
        return Ok(None);
    };
    if context.data.holdout.is_empty() {
        return Ok(None);
    }
    let winner_ended = validate_one(context, winner).await?;
    let baseline = findings.ended.get(&BASELINE);
    let baseline_ended = match baseline {
        Some(baseline) if baseline.number == winner.number => Some(winner_ended.clone()),
        Some(baseline) if baseline.evaluation().is_some() => {
            Some(validate_one(context, baseline).await?)
        }
        _ => None,
    };
    let compared = verdict::compare(context, &winner_ended, baseline_ended.as_ref());
    if let Some(Compared { holdout, .. }) = &compared {
        let completed = EventBody::ValidationCompleted {
            winner: holdout.winner.estimate,
            baseline: holdout.baseline.map(|baseline| baseline.estimate),
        };
        let claim = context.claim;
        let mut transaction = context.pool.begin().await?;
        // A worker before this one may have got as far: the event is written once.
        if !events::has(&mut transaction, claim.job, completed.name()).await? {
            events::append(&mut transaction, claim.job, &[completed], Utc::now()).await?;
        }
        transaction.commit().await?;
    }
    Ok(compared)
}

async fn validate_one(context: &Context, of: &Ended) -> Result<Ended, DriveError> {
    let internal = |error: frugal_evaluation::InvalidPlan| DriveError::Internal(error.to_string());
    let rows = context.data.holdout.len();
    let options = EvaluatorOptions::new(rows, Pruning::Off, context.spec().inference_budget);
    let bounds = session::prompt_bounds(context, Purpose::Validation)?;
    let plan = session::trial_plan(context, of.number, &of.settings, &bounds, Mode::Full);
    let mut trial = Evaluator::new(options).begin(plan).map_err(internal)?;
    let assignment = Assignment {
        purpose: Purpose::Validation,
        number: of.number,
        settings: of.settings.clone(),
    };
    let mut tally = Tally::default();
    let evaluated = tokio::select! {
        evaluated = trial::evaluate(context, &assignment, &mut trial, &mut tally) => evaluated,
        () = session::grace_over(context, Purpose::Validation) => Err(DriveError::LetGo),
    };
    let (outcome, utilities) = match evaluated {
        Ok(()) => outcome::of(context, &trial)?,
        // Cancelled: the report does without.
        Err(DriveError::LetGo) if !let_go(context) => (TrialOutcome::Stopped, BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let Assignment {
        number, settings, ..
    } = assignment;
    Ok(Ended {
        number,
        settings,
        outcome,
        utilities,
        tally,
        trial,
    })
}

/// Stores the report, the last state and the terminal event.
async fn finish(
    context: &Context,
    findings: &Findings,
    compared: Option<Compared>,
) -> Result<JobState, DriveError> {
    let claim = context.claim;
    let now = Utc::now();
    let mut transaction = context.pool.begin().await?;
    record::close_books(context, &mut transaction).await?;
    // A request to cancel that came before this moment is kept; a later one finds the job ended.
    let stop_reason = match queue::hold(&mut transaction, claim).await? {
        JobState::Cancelling => StopReason::Cancelled,
        _ => findings.stop_reason,
    };
    let report = report::build(context, findings, stop_reason, compared);
    let (state, event) = match stop_reason {
        StopReason::Cancelled => (JobState::Cancelled, EventBody::JobCancelled {}),
        stop_reason => (JobState::Succeeded, EventBody::JobSucceeded { stop_reason }),
    };
    let end = End {
        state,
        stop_reason,
        detail: None,
        report: Some(
            serde_json::to_value(report)
                .map_err(|error| DriveError::Internal(error.to_string()))?,
        ),
        event,
    };
    queue::finish(&mut transaction, claim, &end, now).await?;
    transaction.commit().await?;
    Ok(state)
}
