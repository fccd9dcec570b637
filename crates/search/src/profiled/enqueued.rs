//! Arms that the job's owner puts in while the search goes on.

use super::assessment::Assessment;
use super::{Profiled, sampling_of};
use crate::ask_tell::Origin;
use frugal_domain::configuration::Configuration;

impl Profiled {
    /// Opens an arm at a point of the space that the job's owner puts in, however many there are. As long as
    /// it can be paid for, the next batch is a first look at it; from then on it is drawn for as any other.
    /// One that batches were decided for before is left as it is.
    pub fn enqueue(&mut self, configuration: &Configuration) {
        let point = sampling_of(configuration.clone());
        if !self.space.space().contains(&point) {
            return;
        }
        let place = self.space.place(&point);
        let Some(arm) = place.and_then(|place| self.open(place, Origin::Owner)) else {
            return;
        };
        if self.arms[arm].asked || self.enqueued.contains(&arm) {
            return;
        }
        self.origins[arm] = Origin::Owner;
        self.enqueued.push_back(arm);
        // It gives way to no other.
        self.proposer.asked(arm);
        self.stale = true;
    }

    /// The arm that is looked at next since the job's owner has put it in, of those that were assessed.
    pub(super) fn next_enqueued(&self, assessment: &Assessment) -> Option<usize> {
        let known = assessment.profiles.len();
        let mut enqueued = self.enqueued.iter().copied();
        enqueued.find(|arm| *arm < known && !self.arms[*arm].closed)
    }
}
