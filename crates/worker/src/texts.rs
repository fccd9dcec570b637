//! The texts of responses, from memory or the database.

use crate::context::Context;
use crate::error::DriveError;
use crate::text::Text;
use frugal_domain::request::ResponseId;
use frugal_store::responses;
use std::collections::{BTreeMap, BTreeSet};

/// The texts of responses: those that have just arrived are at hand, others are in the database. A
/// response that is scored at several limits is there once.
pub(crate) async fn texts(
    context: &Context,
    responses: impl Iterator<Item = ResponseId>,
) -> Result<BTreeMap<ResponseId, Text>, DriveError> {
    let wanted: BTreeSet<ResponseId> = responses.collect();
    let mut found = BTreeMap::new();
    let mut stored = Vec::new();
    {
        let mut arrived = context.arrived();
        for id in wanted {
            match arrived.remove(&id) {
                Some(text) => _ = found.insert(id, text),
                None => stored.push(id),
            }
        }
    }
    if !stored.is_empty() {
        let mut connection = context.pool.acquire().await?;
        let job = context.claim.job;
        for (id, response) in responses::texts(&mut connection, job, &stored).await? {
            found.insert(id, response.into());
        }
    }
    Ok(found)
}
