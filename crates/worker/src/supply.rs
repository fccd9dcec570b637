//! What a trial is given before it asks for anything: responses of other jobs, where the job
//! wants them, and earlier responses cut shorter.

use crate::DriveError;
use crate::context::Context;
use crate::request::rendered;
use crate::session::BASELINE;
use crate::trial::Assignment;
use chrono::Utc;
use frugal_domain::configuration::Settings;
use frugal_domain::job::{Pruning, Reuse};
use frugal_domain::request::{self, Purpose, RequestKey};
use frugal_evaluation::sharing::share_out;
use frugal_evaluation::{Cut, CutPlan, Offered, ResponseId, Source, Trial};
use frugal_scoring::RenderedPrompt;
use frugal_store::requests::ReuseKey;
use frugal_store::responses;
use frugal_store::reuse::{self, Adopted};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The most responses of other jobs that one trial takes over.
const MOST_ADOPTED: u32 = 20_000;

/// Billed tokens over those of our own count from which on some of them must have been hidden: no
/// two tokenizers differ by so much on text.
const LARGEST_RATIO: u64 = 3;

/// What a request asks of which model, hashed. The endpoint goes by its name at this server.
pub(crate) fn reuse_key(
    context: &Context,
    settings: &Settings,
    prompt: &RenderedPrompt,
) -> ReuseKey {
    let choice = &context.spec().models[settings.sampling.model];
    let prompt = match prompt {
        RenderedPrompt::Text(text) => json!(text),
        RenderedPrompt::Messages(messages) => json!(messages),
    };
    let asked = json!([
        choice.endpoint,
        choice.model,
        prompt,
        settings.sampling.temperature,
        settings.sampling.top_p,
        settings.sampling.stop,
        settings.sampling.extra
    ]);
    Sha256::digest(asked.to_string()).into()
}

/// Offers a trial what other jobs of the owner have, if the job wants that. What was found when
/// the trial first looked is stored before anything is derived from it, and is what it has ever
/// after.
pub(crate) async fn offer(
    context: &Context,
    assignment: &Assignment,
    trial: &mut Trial,
) -> Result<(), DriveError> {
    let search = &context.spec().search;
    if search.reuse != Reuse::Owner
        || search.pruning == Pruning::Reference
        || assignment.purpose == Purpose::Validation
    {
        return Ok(());
    }
    let found;
    let adopted = match context.adopted.get(&assignment.number) {
        Some(adopted) => adopted,
        None => {
            found = adopt(context, assignment).await?;
            &found
        }
    };
    let rows = context.rows(assignment.purpose);
    for one in adopted {
        let instance = one.instance as usize;
        let Some(row) = rows.get(instance) else {
            continue;
        };
        // What cannot be scored does not serve.
        let Ok(score) = context.scorer.score(row, &one.response.text) else {
            continue;
        };
        trial.offer([Offered {
            id: id_of(one),
            instance,
            max_tokens: one.max_tokens,
            prompt_tokens: one.prompt_tokens,
            tokens: one.completion_tokens,
            ended: !one.response.finish_reason.is_cut(),
            score,
            latency_ms: one.latency_ms,
        }]);
        // Many texts take their time; the heart must beat all the same.
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn id_of(adopted: &Adopted) -> ResponseId {
    ResponseId {
        source: Source::Other {
            job: adopted.job,
            purpose: adopted.request.purpose,
        },
        trial: adopted.request.trial,
        ordinal: adopted.request.ordinal,
        position: adopted.position,
    }
}

/// Looks for responses of other jobs to the trial's prompts, and stores what it found.
async fn adopt(context: &Context, assignment: &Assignment) -> Result<Vec<Adopted>, DriveError> {
    let mut rows_of: BTreeMap<ReuseKey, Vec<u32>> = BTreeMap::new();
    for (row, instance) in (0..context.rows(assignment.purpose).len()).zip(0_u32..) {
        let prompt = rendered(context, assignment.purpose, row, &assignment.settings)?;
        let key = reuse_key(context, &assignment.settings, &prompt);
        rows_of.entry(key).or_default().push(instance);
    }
    let keys: Vec<ReuseKey> = rows_of.keys().copied().collect();
    let mut transaction = context.pool.begin().await?;
    let job = context.claim.job;
    let found = reuse::find(&mut transaction, job, &keys, MOST_ADOPTED).await?;
    let mut adopted = Vec::new();
    let mut seen: BTreeMap<ReuseKey, usize> = BTreeMap::new();
    for request in found {
        let Some(rows) = rows_of.get(&request.key) else {
            continue;
        };
        // Rows with the same prompt share what there is: no response answers two of them.
        let turn = seen.entry(request.key).or_default();
        let Some(instance) = rows.get(*turn % rows.len()).copied() else {
            continue;
        };
        *turn += 1;
        let lengths: Vec<u64> = request
            .responses
            .iter()
            .map(|response| response.estimated_tokens)
            .collect();
        let shares = share_out(request.usage.completion_tokens, &lengths);
        for (position, (response, tokens)) in (0..).zip(request.responses.into_iter().zip(shares)) {
            adopted.push(Adopted {
                instance,
                job: request.job,
                request: request.request,
                position,
                max_tokens: request.max_tokens,
                prompt_tokens: request.usage.prompt_tokens,
                completion_tokens: tokens,
                latency_ms: request.latency_ms,
                response,
            });
        }
    }
    reuse::adopt(
        &mut transaction,
        context.claim,
        assignment.number,
        &adopted,
        Utc::now(),
    )
    .await?;
    transaction.commit().await?;
    Ok(adopted)
}

/// Cuts earlier responses to a smaller limit and scores what is left of them.
pub(crate) async fn cut(
    context: &Context,
    assignment: &Assignment,
    plans: Vec<CutPlan>,
) -> Result<Vec<Cut>, DriveError> {
    let whole = texts(context, &plans).await?;
    let missing = || DriveError::Internal("a response that was paid for is not there".to_owned());
    let mut work = Vec::with_capacity(plans.len());
    for plan in plans {
        let (text, estimated) = whole.get(&plan.id).cloned().ok_or_else(missing)?;
        work.push((plan, text, kept(plan, estimated)));
    }
    // Counting tokens of many texts would keep this thread from everything else.
    let cut = tokio::task::spawn_blocking(move || {
        work.into_iter()
            .map(|(plan, text, tokens)| {
                let cut = frugal_tokens::cut(&text, tokens).to_owned();
                (plan, cut)
            })
            .collect::<Vec<_>>()
    })
    .await
    .map_err(|error| DriveError::Internal(error.to_string()))?;
    let rows = context.rows(assignment.purpose);
    let mut cuts = Vec::with_capacity(cut.len());
    for (plan, text) in cut {
        // What cannot be scored does not serve.
        if let Some(row) = rows.get(plan.instance)
            && let Ok(score) = context.scorer.score(row, &text)
        {
            cuts.push(Cut { id: plan.id, score });
        }
        tokio::task::yield_now().await;
    }
    Ok(cuts)
}

/// How many tokens of a text to keep by our tokenizer, which counts `estimated` in all of it.
///
/// Tokenizers differ, so the limit is taken in proportion. Where far more was billed than the text
/// has, the rest was hidden reasoning, which comes first: the limit then leaves the text what it
/// leaves.
fn kept(plan: CutPlan, estimated: u64) -> u64 {
    let (billed, limit) = (plan.tokens, u64::from(plan.max_tokens));
    if billed == 0 {
        return limit;
    }
    if billed / LARGEST_RATIO > estimated {
        return limit.saturating_sub(billed - estimated);
    }
    let kept = u128::from(limit) * u128::from(estimated) / u128::from(billed);
    u64::try_from(kept).unwrap_or(u64::MAX)
}

/// The texts to cut, each with its estimated length.
async fn texts(
    context: &Context,
    plans: &[CutPlan],
) -> Result<BTreeMap<ResponseId, (String, u64)>, DriveError> {
    let mut wanted = BTreeMap::new();
    for CutPlan { id, .. } in plans {
        let (job, purpose) = match id.source {
            Source::This if id.trial == BASELINE => (None, Purpose::Baseline),
            Source::This => (None, Purpose::Search),
            Source::Other { job, purpose } => (Some(job), purpose),
        };
        let request = RequestKey {
            purpose,
            trial: id.trial,
            ordinal: id.ordinal,
        };
        let stored = request::ResponseId {
            job,
            request,
            position: id.position,
        };
        wanted.insert(stored, *id);
    }
    let ids: Vec<_> = wanted.keys().copied().collect();
    let mut connection = context.pool.acquire().await?;
    let found = responses::texts(&mut connection, context.claim.job, &ids).await?;
    Ok(found
        .into_iter()
        .filter_map(|(stored, response)| {
            let id = wanted.get(&stored)?;
            Some((*id, (response.text, response.estimated_tokens)))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::id::TrialNumber;

    fn plan(tokens: u64, max_tokens: u32) -> CutPlan {
        CutPlan {
            id: ResponseId {
                source: Source::This,
                trial: TrialNumber(1),
                ordinal: 0,
                position: 0,
            },
            instance: 0,
            tokens,
            max_tokens,
        }
    }

    #[test]
    fn the_limit_is_taken_in_proportion_where_tokenizers_differ() {
        assert_eq!(kept(plan(100, 50), 100), 50);
        assert_eq!(kept(plan(100, 50), 80), 40);
        assert_eq!(kept(plan(100, 50), 120), 60);
        assert_eq!(kept(plan(0, 50), 7), 50);
    }

    #[test]
    fn hidden_reasoning_uses_the_limit_up_first() {
        // 500 tokens of reasoning and 20 of text.
        assert_eq!(kept(plan(520, 300), 20), 0);
        assert_eq!(kept(plan(520, 510), 20), 10);
        assert_eq!(kept(plan(520, 519), 20), 19);
    }
}
