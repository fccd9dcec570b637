//! Questions to judges: what stands in them, how long they may be, how they are stored.

use crate::context::Context;
use crate::error::DriveError;
use crate::text::Text;
use crate::texts::texts;
use frugal_domain::job::Instance;
use frugal_domain::request::{Purpose, ResponseId};
use frugal_domain::scoring::Observation;
use frugal_evaluation::{ScoreKey, ScorePlan};
use frugal_scoring::{RenderedPrompt, Scorer};
use frugal_store::requests;
use frugal_tuning::{Judged, ScoreBatch, Scored};
use std::collections::BTreeMap;

/// The prompt of a question.
pub(crate) async fn question(
    context: &Context,
    row: &Instance,
    judged: &Judged,
) -> Result<RenderedPrompt, DriveError> {
    let response = judged.plan.key.response;
    if response.request.purpose == Purpose::Labelled {
        let judge = usize::try_from(response.position)?;
        let judge = context.scorer.judges().nth(judge);
        let label = judge.ok_or(DriveError::NoJudge)?.label(row)?;
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

/// The texts of replies, by the answer that they are about, with the numbers of their questions.
pub(crate) type Replies = BTreeMap<ScoreKey, Vec<(u32, Text)>>;

/// Fetches what judges replied.
pub(crate) async fn replies(context: &Context, batch: &ScoreBatch) -> Result<Replies, DriveError> {
    let all = batch.replies.values().flatten();
    let found = texts(context, all.map(|(_, reply)| *reply)).await?;
    let text = |(number, reply): &(u32, ResponseId)| {
        let text = found.get(reply).ok_or(DriveError::NoText(*reply))?;
        Ok((*number, text.clone()))
    };
    let of_answer = |(key, replies): (&ScoreKey, &Vec<(u32, ResponseId)>)| {
        let texts = replies.iter().map(text);
        Ok((*key, texts.collect::<Result<_, DriveError>>()?))
    };
    batch.replies.iter().map(of_answer).collect()
}

/// What a judge says of an answer, by its replies; nothing where it was not asked about it.
pub(crate) fn said(
    scorer: &Scorer,
    judge: usize,
    replies: Option<&Vec<(u32, Text)>>,
) -> Option<Result<f64, String>> {
    let own = scorer.questions_of(judge);
    let replies = replies.into_iter().flatten();
    let mut own = replies
        .filter(|(number, _)| own.contains(number))
        .peekable();
    own.peek()?;
    Some(scorer.said(judge, own.map(|(number, text)| (*number, text.whole()))))
}

/// What judges say of answers that people have rated, each of its own.
pub(crate) async fn read_labelled(
    context: &Context,
    batch: &ScoreBatch,
) -> Result<Vec<Scored>, DriveError> {
    let replies = replies(context, batch).await?;
    let mut scored = Vec::with_capacity(batch.plans.len());
    for ScorePlan { key, .. } in &batch.plans {
        let judge = usize::try_from(key.response.position)?;
        let said = said(&context.scorer, judge, replies.get(key));
        let said = said.unwrap_or_else(|| Err("the judge did not reply".to_owned()));
        scored.push((*key, said.map(Observation::from)));
    }
    Ok(scored)
}
