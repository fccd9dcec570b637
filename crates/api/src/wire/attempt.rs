//! An attempt at a job as clients see it.

use super::AttemptEnding;
use chrono::{DateTime, Utc};
use frugal_store::attempts;
use serde::Serialize;
use utoipa::ToSchema;

/// One worker's time with a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Attempt {
    /// 1 for the first worker that took the job, 2 for the next, …
    pub number: u32,
    /// The worker's name: its machine and process.
    #[schema(example = "worker-7/4711")]
    pub worker: String,
    /// When it took the job.
    pub started_at: DateTime<Utc>,
    /// When it had the job no more; of one that was lost, when its lease ran out. `null` while it goes
    /// on, and where nobody has noticed yet that it does not.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub ending: Option<AttemptEnding>,
    /// Why, in words, where there is more to say.
    pub detail: Option<String>,
}

impl From<attempts::Attempt> for Attempt {
    fn from(attempt: attempts::Attempt) -> Self {
        let attempts::Attempt {
            number,
            worker,
            started_at,
            ended_at,
            ending,
            detail,
        } = attempt;
        Self {
            number,
            worker,
            started_at,
            ended_at,
            ending: ending.map(AttemptEnding::from),
            detail,
        }
    }
}
