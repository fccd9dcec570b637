//! What a job takes over from an earlier one.

use crate::id::JobId;
use serde::{Deserialize, Serialize};

/// What a job takes over from an earlier one of the same owner, as far as both agree. It is settled when the
/// job is posted; which responses there are for a trial is looked up when the trial begins, and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmStart {
    /// The earlier job.
    pub job: JobId,
    /// Rows to tune on that it had too, and that its responses are about.
    pub rows: u32,
    /// Configurations that it had tried, and that this job tries first.
    pub configurations: u32,
    /// Whether its scores stand too, since both score answers in the same way.
    pub scores: bool,
}
