//! The pool: every response that was paid for, to be used by later trials and to answer what any
//! extent would be worth.

use crate::arm::Arm;
use frugal_domain::configuration::Sampling;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The responses of a job by sampling settings: an [`Arm`] each.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    arms: BTreeMap<Sampling, Arc<Arm>>,
}

impl Pool {
    /// What was drawn under some sampling settings, if anything was.
    #[must_use]
    pub fn arm(&self, sampling: &Sampling) -> Option<&Arm> {
        self.arms.get(sampling).map(Arc::as_ref)
    }

    /// Every arm with its sampling settings, in their order.
    pub fn arms(&self) -> impl Iterator<Item = (&Sampling, &Arm)> {
        self.arms
            .iter()
            .map(|(sampling, arm)| (sampling, arm.as_ref()))
    }

    /// Responses in all arms.
    #[must_use]
    pub fn responses(&self) -> usize {
        self.arms.values().map(|arm| arm.responses()).sum()
    }

    /// The same as it is now, for a trial that what comes later does not concern.
    pub(crate) fn snapshot(&self, sampling: &Sampling) -> Arc<Arm> {
        self.arms.get(sampling).cloned().unwrap_or_default()
    }

    /// The arm of some sampling settings, made where there is none. It is copied where a trial has not yet
    /// taken from it what serves.
    pub(crate) fn arm_mut(&mut self, sampling: &Sampling) -> &mut Arm {
        Arc::make_mut(self.arms.entry(sampling.clone()).or_default())
    }
}
