//! The pool: every response that was paid for, to be used by later trials and to answer what any
//! extent would be worth.

use crate::arm::Arm;
use frugal_domain::configuration::Sampling;
use std::collections::BTreeMap;

/// The responses of a job by sampling settings: an [`Arm`] each.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    arms: BTreeMap<Sampling, Arm>,
}

impl Pool {
    /// What was drawn under some sampling settings, if anything was.
    #[must_use]
    pub fn arm(&self, sampling: &Sampling) -> Option<&Arm> {
        self.arms.get(sampling)
    }

    /// Every arm with its sampling settings, in their order.
    pub fn arms(&self) -> impl Iterator<Item = (&Sampling, &Arm)> {
        self.arms.iter()
    }

    /// Responses in all arms.
    #[must_use]
    pub fn responses(&self) -> usize {
        self.arms.values().map(Arm::responses).sum()
    }

    /// The arm of some sampling settings, made where there is none.
    pub(crate) fn arm_mut(&mut self, sampling: &Sampling) -> &mut Arm {
        self.arms.entry(sampling.clone()).or_default()
    }
}
