//! Questions to a judge: what stands in them, how long they may be, how they are stored.

use crate::context::Context;
use crate::error::DriveError;
use crate::texts::texts;
use frugal_domain::job::Instance;
use frugal_domain::request::Purpose;
use frugal_domain::scoring::Observation;
use frugal_scoring::RenderedPrompt;
use frugal_store::requests;
use frugal_tuning::{Judged, ScoreBatch, Scored};

/// The prompt of a question.
pub(crate) async fn question(
    context: &Context,
    row: &Instance,
    judged: &Judged,
) -> Result<RenderedPrompt, DriveError> {
    let response = judged.plan.key.response;
    if response.request.purpose == Purpose::Labelled {
        let label = context.scorer.judge().map(|judge| judge.label(row));
        let label = label.ok_or(DriveError::NoJudge)??;
        let label = label.ok_or(DriveError::NoText(response))?;
        let expectation = context.scorer.expectation(row)?;
        return Ok(expectation.question(row, &label.answer, judged.number)?);
    }
    // It stays at hand: there may be further questions about it.
    let at_hand = context.arrived().get(&response).cloned();
    let text = match at_hand {
        Some(text) => text,
        None => {
            let stored = texts(context, std::iter::once(response)).await?;
            let text = stored.into_values().next();
            text.ok_or(DriveError::NoText(response))?
        }
    };
    let expectation = context.scorer.expectation(row)?;
    Ok(expectation.question(row, text.as_scored(&judged.plan), judged.number)?)
}

/// A question, as it is stored with its request.
pub(crate) fn stored(judged: &Judged) -> requests::Question {
    let key = judged.plan.key;
    requests::Question {
        response: key.response,
        max_tokens: key.max_tokens,
        number: judged.number,
    }
}

/// What a judge's replies say of the answers that they are about.
pub(crate) async fn read_replies(
    context: &Context,
    batch: ScoreBatch,
) -> Result<Vec<Scored>, DriveError> {
    let replies = batch.replies.values().flatten();
    let found = texts(context, replies.map(|(_, reply)| *reply)).await?;
    let judge = context.scorer.judge().ok_or(DriveError::NoJudge)?;
    let mut scored = Vec::with_capacity(batch.plans.len());
    for plan in batch.plans {
        // Nothing more is asked about it.
        context.arrived().remove(&plan.key.response);
        let replies = batch.replies.get(&plan.key).into_iter().flatten();
        let read = replies.map(|(number, reply)| {
            let text = found.get(reply).ok_or(DriveError::NoText(*reply))?;
            Ok((*number, text.whole()))
        });
        let read: Vec<(u32, &str)> = read.collect::<Result<_, DriveError>>()?;
        scored.push((plan.key, judge.score(read).map(Observation::from)));
    }
    Ok(scored)
}
