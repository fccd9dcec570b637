//! From the evaluation's ending to what is stored, shown and told.

use crate::error::TuningError;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobSpec;
use frugal_domain::metric::{self, Metric};
use frugal_domain::trial::{CostEstimate, Estimate, Evaluation, TrialOutcome};
use frugal_evaluation::{Ending, EvaluatedInstance, TrialRun, metrics, statistics};
use std::collections::BTreeMap;

/// The objective on each instance, by the instance's position.
pub(crate) type Utilities = BTreeMap<usize, f64>;

/// How a trial ended, and the objective on each instance where it was evaluated.
pub(crate) fn of(
    spec: &JobSpec,
    run: &TrialRun,
    ending: &Ending,
) -> Result<(TrialOutcome, Utilities), TuningError> {
    let outcome = match ending {
        Ending::Evaluated { within_budget } => {
            let instances = run.evaluation().unwrap_or_default();
            return evaluation(spec, run.plan().number, &instances, *within_budget);
        }
        Ending::Pruned(reason) => TrialOutcome::Pruned {
            reason: reason.clone(),
        },
        Ending::Infeasible(detail) => TrialOutcome::Infeasible {
            detail: detail.clone(),
        },
        Ending::Failed(detail) => TrialOutcome::Failed {
            detail: detail.clone(),
        },
        Ending::BudgetExhausted => TrialOutcome::Stopped,
    };
    Ok((outcome, Utilities::new()))
}

/// What the instances came to: every metric, and whether the configuration may win.
fn evaluation(
    spec: &JobSpec,
    trial: TrialNumber,
    instances: &[EvaluatedInstance],
    within_budget: bool,
) -> Result<(TrialOutcome, Utilities), TuningError> {
    let unit = spec.cost_unit();
    let values = |metric: Metric| metrics::values(metric, instances, unit);
    let estimate = |metric: Metric| -> Result<Estimate, TuningError> {
        let values: Vec<f64> = values(metric).into_values().collect();
        statistics::estimate(&values).ok_or(TuningError::NoInstance(trial))
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
