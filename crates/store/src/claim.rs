//! The fence of a worker's writes.

use frugal_domain::id::JobId;

/// A job that this worker may drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// The fence: every write names it.
    pub attempt: i32,
}
