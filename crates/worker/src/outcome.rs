//! From the evaluator's ending to what is stored, shown and told.

use crate::DriveError;
use crate::context::Context;
use frugal_domain::metric::{self, Metric};
use frugal_domain::trial::{CostEstimate, Estimate, Evaluation, TrialOutcome};
use frugal_evaluation::{Ending, EvaluatedInstance, Trial, metrics, statistics};
use frugal_scoring::reduce;
use std::collections::BTreeMap;

/// The objective on each instance, by the instance's position.
pub(crate) type Utilities = BTreeMap<usize, f64>;

/// How a trial ended, and the objective on each instance where it was evaluated.
pub(crate) fn of(
    context: &Context,
    trial: &Trial,
) -> Result<(TrialOutcome, Utilities), DriveError> {
    let outcome = match trial.ending() {
        Some(Ending::Evaluated { within_budget }) => {
            let instances = trial.evaluation().unwrap_or_default();
            return evaluation(context, &instances, *within_budget);
        }
        Some(Ending::Pruned(reason)) => TrialOutcome::Pruned {
            reason: reason.clone(),
        },
        Some(Ending::Infeasible(detail)) => TrialOutcome::Infeasible {
            detail: detail.clone(),
        },
        Some(Ending::Failed(detail)) => TrialOutcome::Failed {
            detail: detail.clone(),
        },
        Some(Ending::BudgetExhausted) => TrialOutcome::Stopped,
        None => return Err(DriveError::Internal("a trial has no ending".to_owned())),
    };
    Ok((outcome, Utilities::new()))
}

/// What the instances came to: every metric, and whether the configuration may win.
fn evaluation(
    context: &Context,
    instances: &[EvaluatedInstance],
    within_budget: bool,
) -> Result<(TrialOutcome, Utilities), DriveError> {
    let spec = context.spec();
    let unit = spec.cost_unit();
    let values = |metric: Metric| metrics::values(metric, instances, unit, reduce);
    let estimate = |metric: Metric| -> Result<Estimate, DriveError> {
        let values: Vec<f64> = values(metric).into_values().collect();
        statistics::estimate(&values)
            .ok_or_else(|| DriveError::Internal("an evaluated trial has no instance".to_owned()))
    };
    let mut metrics = BTreeMap::new();
    for metric in Metric::ALL {
        metrics.insert(metric.as_str().to_owned(), estimate(*metric)?);
    }
    let violated = metric::violated(&spec.constraints, &metrics);
    let evaluation = Evaluation {
        utility: estimate(spec.objective.metric)?,
        inference_cost: CostEstimate {
            unit,
            estimate: estimate(Metric::InferenceCost)?,
        },
        metrics,
        valid: within_budget && violated.is_empty(),
        violated,
    };
    let utilities = values(spec.objective.metric);
    Ok((TrialOutcome::Evaluated(evaluation), utilities))
}
