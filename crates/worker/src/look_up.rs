//! What other jobs of the owner have for a trial. What was found when the trial looked is stored
//! before anything is derived from it, and is what it has ever after.

use crate::context::Context;
use crate::error::DriveError;
use crate::past;
use crate::prompt::{rendered, reuse_key};
use chrono::Utc;
use frugal_domain::job::Reuse;
use frugal_evaluation::OfferedResponse;
use frugal_evaluation::sharing::share_out;
use frugal_store::requests::ReuseKey;
use frugal_store::reuse::{self, Adopted};
use frugal_tuning::LookUp;
use std::collections::BTreeMap;

/// The most responses of other jobs that one trial takes over.
const MOST_ADOPTED: u32 = 20_000;

/// Looks for responses of other jobs to the trial's prompts, and stores what it found.
///
/// # Errors
/// The database failed, or the lease is lost.
pub(crate) async fn look_up(
    context: &Context,
    wanted: &LookUp,
) -> Result<Vec<OfferedResponse>, DriveError> {
    let sampling = &wanted.settings.sampling;
    let mut rows_of: BTreeMap<ReuseKey, Vec<u32>> = BTreeMap::new();
    let model = &context.spec().models[sampling.model];
    for (row, instance) in context.data.tuning.iter().zip(0_u32..) {
        let prompt = rendered(&context.prompts, row, sampling)?;
        let key = reuse_key(model, sampling, &prompt);
        rows_of.entry(key).or_default().push(instance);
    }
    let keys: Vec<ReuseKey> = rows_of.keys().copied().collect();
    let mut transaction = context.pool.begin().await?;
    let job = context.claim.job;
    // All jobs of the owner where it is to look at these, else the one that it takes over from.
    let only = match context.spec().search.reuse {
        Reuse::Owner => None,
        Reuse::Job => context.spec().warm_start.map(|taken| taken.job),
    };
    let found = reuse::find(&mut transaction, job, only, &keys, MOST_ADOPTED).await?;
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
        wanted.trial,
        &adopted,
        Utc::now(),
    )
    .await?;
    transaction.commit().await?;
    Ok(adopted.iter().map(past::offered).collect())
}
