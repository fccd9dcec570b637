//! Writes what a job's owner is to know of its endpoints into the job's events, beside whatever else
//! the job does.

use crate::admission::Hearing;
use chrono::Utc;
use frugal_domain::event::EventBody;
use frugal_store::queue::{self, Claim};
use frugal_store::{PgPool, Result, events};
use std::convert::Infallible;

/// Writes events as they come, until dropped.
pub(crate) async fn tell(pool: &PgPool, claim: Claim, hearing: &mut Hearing<'_>) -> Infallible {
    loop {
        let event = hearing.next().await;
        tracing::info!(
            event = event.name(),
            "the endpoint keeps the job waiting, or no longer"
        );
        if let Err(error) = write(pool, claim, &event).await {
            // It is a hint: the job goes on without it.
            tracing::debug!(%error, event = event.name(), "an event is not written");
        }
    }
}

async fn write(pool: &PgPool, claim: Claim, event: &EventBody) -> Result<()> {
    let mut transaction = pool.begin().await?;
    // A job that has ended, or is another worker's, gets no further event of this one.
    queue::hold(&mut transaction, claim).await?;
    let event = std::slice::from_ref(event);
    events::append(&mut transaction, claim.job, event, Utc::now()).await?;
    Ok(transaction.commit().await?)
}
