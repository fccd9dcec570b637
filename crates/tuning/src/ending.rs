//! How a job ends.

use crate::report::Report;
use crate::tally::Summary;
use frugal_domain::event::EventBody;
use frugal_domain::state::{JobState, StopReason};

/// How a job ends.
#[derive(Debug, Clone)]
pub struct JobEnding {
    /// `succeeded`, `failed` or `cancelled`.
    pub state: JobState,
    /// Why its search ended.
    pub stop_reason: StopReason,
    /// Why it failed, in words for its owner.
    pub detail: Option<String>,
    /// What was found, and what was paid for it, however the job ended.
    pub report: Option<Report>,
    /// The terminal event.
    pub event: EventBody,
    /// The job's summary.
    pub summary: Summary,
}
