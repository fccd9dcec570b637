//! The objective of trials, and of one less another, with intervals.

use crate::ended::EndedTrial;
use frugal_domain::job::JobSpec;
use frugal_domain::trial::{Estimate, Interval};
use frugal_evaluation::statistics::{self, PairedDifferences};
use serde::Serialize;

/// A mean over instances with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct IntervalEstimate {
    /// Mean, standard error and count.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The [95 % interval](statistics::mean_interval) of the mean, or of the
    /// [mean difference](PairedDifferences::interval).
    pub interval: Interval,
}

impl IntervalEstimate {
    /// The objective of a trial.
    pub(crate) fn of(spec: &JobSpec, ended: &EndedTrial) -> Option<Self> {
        let values: Vec<f64> = ended.utilities.values().copied().collect();
        Some(Self {
            estimate: statistics::estimate(&values)?,
            interval: statistics::mean_interval(spec.objective.metric, &values)?,
        })
    }

    /// The objective of a trial less that of another, on the instances that both have.
    pub(crate) fn of_pair(spec: &JobSpec, left: &EndedTrial, right: &EndedTrial) -> Option<Self> {
        Self::of_differences(&paired(spec, left, right)?)
    }

    pub(crate) fn of_differences(differences: &PairedDifferences) -> Option<Self> {
        Some(Self {
            estimate: differences.estimate()?,
            interval: differences.interval(),
        })
    }
}

/// The objective of two trials on the instances that both have.
pub(crate) fn paired(
    spec: &JobSpec,
    left: &EndedTrial,
    right: &EndedTrial,
) -> Option<PairedDifferences> {
    PairedDifferences::of(spec.objective.metric, &left.utilities, &right.utilities)
}
