//! Scores that other jobs have of responses that were taken over from them: no program is run and no judge asked
//! for these again.

use crate::context::Context;
use crate::error::DriveError;
use crate::stored::stored_key;
use frugal_domain::job::Split;
use frugal_evaluation::{ScoreKey, ScorePlan};
use frugal_scoring::Outside;
use frugal_store::scores;
use frugal_tuning::Scored;
use std::collections::BTreeSet;

/// Takes those of the responses out that have a score elsewhere. Where the scorer only reads, it is not looked
/// for, since reading costs nothing; and where a hook says it, the service behind it may be another one by now.
pub(crate) async fn take(
    context: &Context,
    split: Split,
    plans: &mut Vec<ScorePlan>,
) -> Result<Vec<Scored>, DriveError> {
    let outside = frugal_scoring::outside(&context.spec().scorer);
    if outside.is_empty() || outside.contains(&Outside::Webhook) {
        return Ok(Vec::new());
    }
    let foreign = plans.iter().map(|plan| plan.key);
    let foreign = foreign.filter(|key| key.response.job.is_some());
    let keys: Vec<(ScoreKey, scores::ScoreKey)> = foreign
        .map(|key| Ok((key, stored_key(key)?)))
        .collect::<Result<_, DriveError>>()?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let stored: Vec<scores::ScoreKey> = keys.iter().map(|(_, stored)| *stored).collect();
    let mut connection = context.pool.acquire().await?;
    let (job, version) = (context.claim.job, frugal_scoring::VERSION);
    let found = scores::of_others(&mut connection, job, split, version, &stored).await?;
    let taken = keys
        .iter()
        .filter_map(|(key, stored)| Some((*key, Ok(*found.get(stored)?))));
    let taken: Vec<Scored> = taken.collect();
    let known: BTreeSet<ScoreKey> = taken.iter().map(|(key, _)| *key).collect();
    plans.retain(|plan| !known.contains(&plan.key));
    Ok(taken)
}
