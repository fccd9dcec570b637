//! Claims jobs and drives them: ask, evaluate, tell, persist.
//!
//! A job is rebuilt by replay whenever a worker takes it: the searcher is asked and told again
//! what it was asked and told before, and requests that were answered are answered from the
//! database. So there is one path through the code, whether a job begins or goes on, and
//! nothing lives in memory alone.
//!
//! It serves no HTTP; it meets the API in the database. Start with [`run`], then `drive.rs`
//! (one job from claim to end), `session.rs` (the loop over trials), `trial.rs` (the loop
//! within one) and `request.rs` (reserve, store, send, store).

mod context;
mod drive;
mod finale;
mod halt;
mod heartbeat;
mod outcome;
mod record;
pub mod report;
mod request;
mod run;
mod session;
mod supply;
mod trial;
pub mod verdict;

pub use drive::MOST_LOST_ATTEMPTS;
pub use run::{Options, run};

/// Why a job could not be driven on.
#[derive(Debug, thiserror::Error)]
enum DriveError {
    /// The lease went to another worker, or the process is to stop: nothing may be written.
    #[error("the job is let go")]
    LetGo,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] frugal_store::Error),
    /// The job cannot go on. The text is for its owner.
    #[error("the endpoint is of no use: {0}")]
    Endpoint(String),
    /// What is stored and what the search does again do not agree, or a stored specification
    /// no longer makes sense.
    #[error("{0}")]
    Internal(String),
    /// What drives jobs broke down, with this message.
    #[error("panicked: {0}")]
    Panicked(String),
    /// So many workers in a row were lost over the job with nothing to show for it.
    #[error("{0} workers in a row were lost")]
    WorkersLost(u32),
}

impl From<sqlx::Error> for DriveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
