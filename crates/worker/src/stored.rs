//! Scores, as they are stored.

use crate::context::Context;
use crate::error::DriveError;
use chrono::Utc;
use frugal_evaluation::ScoreKey;
use frugal_store::scores::{self, NewScore};

/// What was scored, as it is stored.
pub(crate) fn stored_key(key: ScoreKey) -> Result<scores::ScoreKey, DriveError> {
    Ok(scores::ScoreKey {
        response: key.response,
        max_tokens: key.max_tokens,
        instance: u32::try_from(key.instance)?,
    })
}

/// Stores scores.
pub(crate) async fn store(context: &Context, new: &[NewScore]) -> Result<(), DriveError> {
    let mut connection = context.pool.acquire().await?;
    let version = frugal_scoring::VERSION;
    scores::insert(&mut connection, context.claim, version, new, Utc::now()).await?;
    Ok(())
}
