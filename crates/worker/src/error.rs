//! Why a job could not be driven on.

use frugal_domain::request::ResponseId;
use frugal_scoring::{PromptError, ScoreError, ScorerError};
use frugal_tuning::TuningError;

/// Why a job could not be driven on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    /// The lease went to another worker, or the process is to stop: nothing may be written.
    #[error("the job is let go")]
    LetGo,
    /// The job's client wants it paused, and nothing of it is under way any more.
    #[error("the job is to be paused")]
    Paused,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] frugal_store::Error),
    /// The job cannot go on. The text is for its owner.
    #[error("the endpoint is of no use: {0}")]
    Endpoint(String),
    /// The job's scorer runs programs, and this worker does not.
    #[error("the scorer runs programs, and this worker has no sandbox")]
    NoSandbox,
    /// The job's loop cannot go on.
    #[error(transparent)]
    Tuning(#[from] TuningError),
    /// The steps of the job were decided by another version, and this one cannot live through them. What
    /// it lived through of them is in the report.
    #[error("the job was decided by version {version}, and this one decides otherwise")]
    OtherVersion {
        /// The version of the decisions.
        version: u32,
        /// What was found, as far as it was lived through.
        report: Option<serde_json::Value>,
        /// Where the two differ.
        source: TuningError,
    },
    /// A stored prompt no longer makes sense.
    #[error("prompt {prompt} cannot be used")]
    Prompt {
        /// Its position.
        prompt: usize,
        /// Why.
        source: PromptError,
    },
    /// The stored scorer no longer makes sense.
    #[error("the scorer cannot be used")]
    Scorer(#[from] ScorerError),
    /// A row no longer makes sense to the stored scorer.
    #[error("a row cannot be scored")]
    Score(#[from] ScoreError),
    /// There are replies of a judge and no judge.
    #[error("the scorer asks no judge")]
    NoJudge,
    /// A response that was paid for is not there.
    #[error("the text of {0:?} is not there")]
    NoText(ResponseId),
    /// A number from the job's loop does not fit the database.
    #[error("a number is too large")]
    TooLarge(#[from] std::num::TryFromIntError),
    /// The report cannot be written.
    #[error("the report cannot be written")]
    Report(#[from] serde_json::Error),
    /// What drives jobs broke down, with this message.
    #[error("panicked: {0}")]
    Panicked(String),
    /// So many workers in a row were lost over the job with nothing to show for it.
    #[error("{0} workers in a row were lost")]
    WorkersLost(u32),
    /// A task beside the job's own broke down.
    #[error("a task broke down")]
    Task(#[from] tokio::task::JoinError),
}

impl DriveError {
    /// Whether the lease is another worker's, or the job has ended.
    pub(crate) const fn is_lost(&self) -> bool {
        matches!(self, Self::Store(frugal_store::Error::LeaseLost))
    }
}

impl From<sqlx::Error> for DriveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
