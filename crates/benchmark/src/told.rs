//! What becomes of a trial that has ended: what the searcher hears, and whether it is the one to
//! beat.

use crate::trial::Ended;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobSpec;
use frugal_domain::money::Unit;
use frugal_domain::trial::{PruneReason, TrialOutcome};
use frugal_evaluation::{Rival, metrics};
use frugal_scoring::reduce;
use frugal_search::{Observation, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the searcher hears of a trial; nothing of one that the end of the job cut off.
pub fn observation(
    spec: &JobSpec,
    ended: &Ended,
    others: &BTreeMap<TrialNumber, Ended>,
) -> Option<Observation> {
    let direction = spec.objective.direction;
    let outcome = match &ended.outcome {
        TrialOutcome::Evaluated(evaluation) if evaluation.valid => Outcome::Evaluated {
            loss: direction.loss(evaluation.utility.mean),
        },
        TrialOutcome::Pruned {
            reason: PruneReason::Inferior { than, difference },
        } => {
            let rival = others.get(than).and_then(Ended::evaluation);
            rival.map_or(Outcome::Pruned, |rival| Outcome::Inferior {
                loss: direction.loss(rival.utility.mean + difference.mean),
            })
        }
        TrialOutcome::Evaluated(_) | TrialOutcome::Pruned { .. } => Outcome::Pruned,
        TrialOutcome::Infeasible { .. } => Outcome::Infeasible,
        TrialOutcome::Failed { .. } => Outcome::Failed,
        TrialOutcome::Stopped => return None,
    };
    let unit = spec.optimization_budget.unit();
    let cost = in_unit(unit, unit.of(ended.spend));
    Some(Observation { outcome, cost })
}

/// An amount as a plain number, for the search, which only compares costs.
#[expect(
    clippy::cast_precision_loss,
    reason = "compared by the search, not booked"
)]
pub fn in_unit(unit: Unit, amount: u64) -> f64 {
    unit.display(amount as f64)
}

/// The trial as the one that others are held against, where it is valid and better than the one
/// that is so far.
pub fn rival(spec: &JobSpec, ended: &Ended, so_far: Option<&Rival>) -> Option<Rival> {
    let evaluation = ended.evaluation().filter(|found| found.valid)?;
    let direction = spec.objective.direction;
    if let Some(rival) = so_far
        && !direction.better(evaluation.utility.mean, mean(&rival.utilities))
    {
        return None;
    }
    let (metric, unit) = (spec.objective.metric, spec.cost_unit());
    Some(Rival {
        trial: ended.number,
        utilities: ended.utilities.clone(),
        direction,
        objective: Arc::new(move |one| metrics::value(metric, one, unit, reduce)),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of instances are far below 2^53"
)]
fn mean(utilities: &BTreeMap<usize, f64>) -> f64 {
    utilities.values().sum::<f64>() / utilities.len().max(1) as f64
}
