//! How far a job is, between the steps that it tells of.

use super::{Phase, Tuning};
use crate::active::Active;
use crate::step::{Change, Record};
use frugal_domain::event::{self, EventBody};

impl Tuning {
    /// How far the job is, to be stored as any other record is. It changes nothing, and is no step: whoever
    /// drives the job asks for it now and then.
    #[must_use]
    pub fn progress(&self) -> Record {
        let summary = self.books.summary();
        Record {
            change: Change::Progressed,
            events: vec![EventBody::JobProgress {
                phase: self.phase.shown(),
                progress: summary.progress,
                spend: self.books.ledger.spent(),
                trials: self
                    .active
                    .values()
                    .filter_map(Active::advance_so_far)
                    .collect(),
            }],
            summary,
        }
    }
}

impl Phase {
    const fn shown(self) -> event::Phase {
        match self {
            Self::Calibration => event::Phase::Calibration,
            Self::Baseline => event::Phase::Baseline,
            Self::Search => event::Phase::Search,
            Self::Validation | Self::Over | Self::Finished => event::Phase::Validation,
        }
    }
}
