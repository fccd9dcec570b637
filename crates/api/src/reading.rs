//! Posted documents are read on threads of their own, a few at a time: a large one takes seconds.

use crate::errors::ApiError;
use tokio::sync::Semaphore;

/// Documents that are read at the same time; others wait for their turn.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Does the work of reading a document, once it is its turn.
pub(crate) async fn in_turn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let turn = TURNS
        .acquire()
        .await
        .map_err(|error| ApiError::internal(&error))?;
    let work = move || {
        // Held to the end of the work, also where the client has gone.
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::internal(&error))
}
