//! Long polls: an answer that waits for something to tell.

use crate::broadcast::POLL;
use crate::errors::ApiError;
use crate::etag::{self, Seen};
use crate::found;
use crate::state::AppState;
use frugal_domain::id::JobId;
use frugal_domain::job::JobKind;
use frugal_store::jobs::Mark;
use std::time::Duration;
use tokio::time::Instant;

/// What a job can be told by, once it differs from what the client has (or from what it is now, where the
/// client does not say), or as it is when the time is over, it has ended, or the server stops.
pub(crate) async fn for_change(
    state: &AppState,
    kind: JobKind,
    id: JobId,
    seen: Option<&Seen>,
    patience: Duration,
) -> Result<Mark, ApiError> {
    let deadline = Instant::now() + patience;
    // Subscribed before the first look: a change between the two is told.
    let mut subscription = state.changes().subscribe(id);
    let mut job = look(state, kind, id).await?;
    let first = etag::of(job);
    loop {
        let tag = etag::of(job);
        let changed = seen.map_or(tag != first, |seen| !seen.holds(&tag));
        if changed || job.state.is_terminal() || Instant::now() >= deadline {
            return Ok(job);
        }
        tokio::select! {
            () = subscription.changed() => {}
            () = tokio::time::sleep(POLL) => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = state.shutdown().cancelled() => return Ok(job),
        }
        job = look(state, kind, id).await?;
    }
}

async fn look(state: &AppState, kind: JobKind, id: JobId) -> Result<Mark, ApiError> {
    let mut connection = state.connection().await?;
    found::mark(&mut connection, kind, id).await
}
