//! What tells evaluations apart.

use crate::ended::BASELINE;
use frugal_domain::id::TrialNumber;
use frugal_domain::request::{Purpose, RequestKey};

/// Which evaluation: the winner's trial is evaluated once more on the held-out rows, and an arm is
/// drawn for in several batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunKey {
    pub(crate) purpose: Purpose,
    pub(crate) trial: TrialNumber,
    /// The ordinal of its first request.
    pub(crate) first: u32,
}

impl RunKey {
    /// The evaluation of a trial on the rows that the search sees.
    pub(crate) fn of_trial(trial: TrialNumber) -> Self {
        let purpose = if trial == BASELINE {
            Purpose::Baseline
        } else {
            Purpose::Search
        };
        Self {
            purpose,
            trial,
            first: 0,
        }
    }
}

/// The evaluation that would begin with this request.
impl From<RequestKey> for RunKey {
    fn from(key: RequestKey) -> Self {
        Self {
            purpose: key.purpose,
            trial: key.trial,
            first: key.ordinal,
        }
    }
}
