//! The best trial so far, and when another one is significantly worse.

use crate::evaluated::EvaluatedInstance;
use crate::metrics;
use crate::quantiles::{normal_tail, student};
use crate::statistics::{estimate, real};
use frugal_domain::id::TrialNumber;
use frugal_domain::job::{Direction, JobSpec};
use frugal_domain::trial::{Estimate, TrialOutcome};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How likely one look at a trial may take it for worse than its rival by chance, where it is
/// equally good. A trial is looked at a few times: after 8, 16, 32, … instances.
pub const INFERIOR_LEVEL: f64 = 0.005;

/// The fewest instances that are compared. Fewer say too little, whatever they say.
pub const FEWEST_COMPARED: usize = 8;

/// Degrees of freedom from which Student's t is as good as normal here.
pub(crate) const MOST_DEGREES: u32 = 500;

/// The objective on one instance.
pub type Objective = Arc<dyn Fn(&EvaluatedInstance) -> f64 + Send + Sync>;

/// A trial to hold others against: evaluated on every instance, within the budget, and the best
/// so far.
#[derive(Clone)]
pub struct Rival {
    /// Which trial.
    pub trial: TrialNumber,
    /// Its objective on each instance, by the instance's index.
    pub utilities: BTreeMap<usize, f64>,
    /// Whether more is better.
    pub direction: Direction,
    /// How the objective is computed.
    pub objective: Objective,
}

impl fmt::Debug for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rival")
            .field("trial", &self.trial)
            .field("utilities", &self.utilities)
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

/// How a trial stands to its rival on the instances seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    /// The trial's objective less the rival's, by instance.
    pub(crate) difference: Estimate,
    /// By how many of its standard errors the difference is on the wrong side; infinite where
    /// every instance says the same.
    pub(crate) deficit: f64,
}

impl Rival {
    /// A trial as one to hold others against, if it was evaluated and is valid. `utilities` are its
    /// objective on each instance.
    #[must_use]
    pub fn of(
        spec: &JobSpec,
        trial: TrialNumber,
        outcome: &TrialOutcome,
        utilities: &BTreeMap<usize, f64>,
    ) -> Option<Self> {
        match outcome {
            TrialOutcome::Evaluated(evaluation) if evaluation.valid => {}
            _ => return None,
        }
        let (metric, unit) = (spec.objective.metric, spec.cost_unit());
        Some(Self {
            trial,
            utilities: utilities.clone(),
            direction: spec.objective.direction,
            objective: Arc::new(move |one| metrics::value(metric, one, unit)),
        })
    }

    /// Whether it is better than another.
    pub(crate) fn beats(&self, other: &Self) -> bool {
        let mean =
            |rival: &Self| rival.utilities.values().sum::<f64>() / real(rival.utilities.len());
        self.direction.better(mean(self), mean(other))
    }

    /// Compares instance by instance. Nothing below two instances.
    pub(crate) fn compare(
        &self,
        seen: &[EvaluatedInstance],
        population: usize,
    ) -> Option<Comparison> {
        let differences: Vec<f64> = seen
            .iter()
            .filter_map(|one| {
                let other = self.utilities.get(&one.instance)?;
                Some((self.objective)(one) - other)
            })
            .collect();
        let difference = estimate(&differences)?;
        let error = difference.standard_error?;
        // The instances are drawn without replacement from those of the job, so what is still
        // unknown of their mean shrinks as they are used up.
        let unseen = 1.0 - share(differences.len(), population);
        let error = error * unseen.max(0.0).sqrt();
        let worse = self.direction.loss(difference.mean);
        let deficit = if error > 0.0 {
            worse / error
        } else if worse > 0.0 {
            f64::INFINITY
        } else {
            0.0
        };
        Some(Comparison {
            difference,
            deficit,
        })
    }
}

impl Comparison {
    /// Whether the trial is significantly worse (one-sided paired t test at
    /// [`INFERIOR_LEVEL`]).
    pub(crate) fn is_inferior(&self) -> bool {
        let count = self.difference.count as usize;
        count >= FEWEST_COMPARED && self.deficit > critical(count)
    }

    /// How likely the next look finds the trial inferior, judging by this one.
    pub(crate) fn chance_of_inferior(&self) -> f64 {
        let count = (self.difference.count as usize).max(FEWEST_COMPARED);
        tail(critical(count) - self.deficit)
    }
}

/// The deficit from which a trial is inferior, after so many instances.
fn critical(count: usize) -> f64 {
    let degrees = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
    // Beyond, the quantiles no longer change, and take long.
    student(1.0 - INFERIOR_LEVEL, degrees.min(MOST_DEGREES))
}

/// The upper tail of the normal distribution; 1 below 0.
pub(crate) fn tail(deviations: f64) -> f64 {
    if deviations > 0.0 {
        normal_tail(deviations)
    } else {
        1.0
    }
}

fn share(part: usize, whole: usize) -> f64 {
    real(part) / real(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::money::Spend;

    /// Instances whose objective is their prompt's tokens.
    fn seen(values: &[u64]) -> Vec<EvaluatedInstance> {
        let instances = values.iter().enumerate();
        instances
            .map(|(instance, value)| EvaluatedInstance {
                instance,
                responses: Vec::new(),
                prompt_tokens: *value,
                inference_cost: Spend::default(),
            })
            .collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn rival(direction: Direction, utilities: &[f64]) -> Rival {
        Rival {
            trial: TrialNumber(3),
            utilities: utilities.iter().copied().enumerate().collect(),
            direction,
            objective: Arc::new(|one| one.prompt_tokens as f64),
        }
    }

    #[test]
    fn a_trial_that_is_worse_everywhere_is_inferior_from_eight_instances_on() {
        let best = rival(Direction::Maximize, &[1.0; 40]);
        assert!(!best.compare(&seen(&[0; 7]), 40).unwrap().is_inferior());
        let comparison = best.compare(&seen(&[0; 8]), 40).unwrap();
        assert!(comparison.is_inferior());
        assert_eq!(
            (comparison.difference.mean, comparison.difference.count),
            (-1.0, 8)
        );
        // The same numbers are better where less is.
        let best = rival(Direction::Minimize, &[1.0; 40]);
        assert!(!best.compare(&seen(&[0; 8]), 40).unwrap().is_inferior());
    }

    #[test]
    fn equal_trials_are_not_inferior() {
        let best = rival(
            Direction::Maximize,
            &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0],
        );
        let comparison = best.compare(&seen(&[0, 1, 0, 1, 1, 0, 1, 0]), 40).unwrap();
        assert!(!comparison.is_inferior());
        assert!(comparison.chance_of_inferior() < 0.01);
        let same = best.compare(&seen(&[1, 0, 1, 0, 1, 0, 1, 0]), 40).unwrap();
        assert!(!same.is_inferior());
    }

    #[test]
    fn few_instances_left_make_a_difference_certain() {
        let best = rival(Direction::Maximize, &[1.0; 12]);
        let values = [0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0];
        let of = |population| best.compare(&seen(&values), population).unwrap().deficit;
        assert!(of(12) > 3.0 * of(1_000));
    }
}
