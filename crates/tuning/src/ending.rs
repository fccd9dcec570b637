//! How a job ends.

use crate::evaluation_report::EvaluationReport;
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
    /// The same of an evaluation, which has no other.
    pub evaluation: Option<EvaluationReport>,
    /// The terminal event.
    pub event: EventBody,
    /// The job's summary.
    pub summary: Summary,
}

impl JobEnding {
    /// The report as it is stored, whatever kind the job is of.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn stored_report(&self) -> serde_json::Result<Option<serde_json::Value>> {
        match (&self.report, &self.evaluation) {
            (Some(report), _) => serde_json::to_value(report).map(Some),
            (None, Some(evaluation)) => serde_json::to_value(evaluation).map(Some),
            (None, None) => Ok(None),
        }
    }
}
