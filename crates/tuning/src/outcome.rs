//! From the evaluation's ending to what is stored, shown and told.

use crate::error::TuningError;
use frugal_domain::job::JobSpec;
use frugal_domain::metric::{self, Metric};
use frugal_domain::trial::{CostEstimate, Coverage, Estimate, Evaluation, TrialOutcome};
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
            return evaluation(spec, run, &instances, *within_budget);
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
        Ending::BudgetExhausted | Ending::Drawn => TrialOutcome::Stopped,
    };
    Ok((outcome, Utilities::new()))
}

/// What the instances came to: every metric, and whether the configuration may win.
fn evaluation(
    spec: &JobSpec,
    run: &TrialRun,
    instances: &[EvaluatedInstance],
    within_budget: bool,
) -> Result<(TrialOutcome, Utilities), TuningError> {
    let unit = spec.cost_unit();
    let values = |metric: Metric| metrics::values(metric, instances, unit);
    let estimate = |metric: Metric| -> Result<Estimate, TuningError> {
        let values: Vec<f64> = values(metric).into_values().collect();
        statistics::estimate(&values).ok_or(TuningError::NoInstance(run.plan().number))
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
        coverage: Some(coverage(run, instances)),
    };
    let utilities = values(spec.objective.metric);
    Ok((TrialOutcome::Evaluated(evaluation), utilities))
}

/// How far a trial looked.
fn coverage(run: &TrialRun, instances: &[EvaluatedInstance]) -> Coverage {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let responses = instances.iter().map(|one| one.responses.len());
    let progress = run.progress();
    Coverage {
        instances: count(instances.len()),
        of: count(progress.instances),
        responses: count(responses.min().unwrap_or_default()),
        complete: instances.len() + progress.missing >= progress.instances,
    }
}
