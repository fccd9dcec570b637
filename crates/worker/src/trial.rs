//! One trial: the evaluator says which requests, they are answered, until it has its ending.

use crate::DriveError;
use crate::context::Context;
use crate::record;
use crate::request::{self, Planned};
use crate::supply;
use chrono::Utc;
use frugal_domain::configuration::Settings;
use frugal_domain::event::EventBody;
use frugal_domain::id::TrialNumber;
use frugal_domain::money::Spend;
use frugal_domain::request::Purpose;
use frugal_domain::request::RequestKey;
use frugal_evaluation::{RequestPlan, Step, Trial};
use frugal_store::events;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

/// What a trial is evaluated for.
pub(crate) struct Assignment {
    pub purpose: Purpose,
    pub number: TrialNumber,
    pub settings: Settings,
}

/// What a trial has used, replayed requests included.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub spend: Spend,
    pub requests: u32,
    pub responses: u32,
}

/// Evaluates a trial to its ending, and counts what it uses on the way.
///
/// # Errors
/// The job is to stop, the database failed, or the endpoint serves nothing at all. Answers that
/// were under way are stored all the same.
pub(crate) async fn evaluate(
    context: &Context,
    assignment: &Assignment,
    trial: &mut Trial,
    tally: &mut Tally,
) -> Result<(), DriveError> {
    // Whether a batch was paid for that no event has told of yet.
    let mut untold = false;
    supply::offer(context, assignment, trial).await?;
    loop {
        match trial.step() {
            Step::Ended(_) => return Ok(()),
            Step::Wait => {
                return Err(DriveError::Internal("a trial waits for nothing".to_owned()));
            }
            Step::Cut(plans) => {
                trial.receive_cuts(supply::cut(context, assignment, plans).await?);
            }
            Step::Request(batch) => {
                // Told here and not before: only now has the trial judged the batch before.
                if untold {
                    tell_progress(context, assignment, trial, *tally).await?;
                }
                untold = answer_all(context, assignment, trial, batch, tally).await?;
            }
        }
    }
}

/// Answers a batch, many at once. Returns whether anything was sent rather than replayed.
async fn answer_all(
    context: &Context,
    assignment: &Assignment,
    trial: &mut Trial,
    batch: Vec<RequestPlan>,
    tally: &mut Tally,
) -> Result<bool, DriveError> {
    let mut pending: FuturesUnordered<_> = batch
        .into_iter()
        .map(|plan| {
            let key = RequestKey {
                purpose: assignment.purpose,
                trial: assignment.number,
                ordinal: plan.ordinal,
            };
            request::answer(
                context,
                Planned {
                    key,
                    plan,
                    settings: &assignment.settings,
                },
            )
        })
        .collect();
    let mut sent = false;
    let mut broken = None;
    while let Some(result) = pending.next().await {
        let done = match result {
            Ok(done) => done,
            // The others of the batch are paid for: they are waited for and stored.
            Err(error) => {
                broken.get_or_insert(error);
                continue;
            }
        };
        tally.spend += done.cost;
        tally.requests += u32::from(done.sent());
        sent |= done.sent() && !done.replayed;
        if let Ok(answer) = &done.reply {
            tally.responses += u32::try_from(answer.responses.len()).unwrap_or(u32::MAX);
        }
        trial
            .receive(done.ordinal, done.reply)
            .map_err(|error| DriveError::Internal(error.to_string()))?;
    }
    broken.map_or(Ok(sent), Err)
}

/// Stores the summary and an event after a step of the evaluation. Validation is not a trial of
/// its own, so it only shows in the summary.
async fn tell_progress(
    context: &Context,
    assignment: &Assignment,
    trial: &Trial,
    tally: Tally,
) -> Result<(), DriveError> {
    let reached = trial.progress();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut bodies = Vec::new();
    if assignment.purpose != Purpose::Validation {
        bodies.push(EventBody::TrialProgress {
            trial: assignment.number,
            n: reached.n,
            instances: count(reached.seen),
            of: count(reached.instances),
            spend: tally.spend,
        });
    }
    let _recording = context.recording.lock().await;
    bodies.push(record::budget_updated(context));
    let now = Utc::now();
    let mut transaction = context.pool.begin().await?;
    record::store_summary(context, &mut transaction).await?;
    events::append(&mut transaction, context.claim.job, &bodies, now).await?;
    Ok(transaction.commit().await?)
}
