//! What a job takes over from an earlier one, as clients see it.

use frugal_domain::warm_start;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What a job takes over from an earlier one.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct WarmStart {
    /// The earlier job.
    pub job: Uuid,
    /// Rows to tune on that it had too, and that its responses are about.
    #[schema(minimum = 1)]
    pub rows: u32,
    /// Configurations that it had tried, and that this job tries first.
    pub configurations: u32,
    /// Whether its scores stand too, since both score answers in the same way. Else its responses are scored anew.
    pub scores: bool,
}

impl From<warm_start::WarmStart> for WarmStart {
    fn from(taken: warm_start::WarmStart) -> Self {
        Self {
            job: taken.job.0,
            rows: taken.rows,
            configurations: taken.configurations,
            scores: taken.scores,
        }
    }
}

/// What a job took over from an earlier one, and how much that was in the end.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct WarmStartReport {
    /// What was settled when the job was posted.
    #[serde(flatten)]
    pub settled: WarmStart,
    /// Responses of the earlier job that trials took over, and that cost nothing.
    pub responses: u64,
}
