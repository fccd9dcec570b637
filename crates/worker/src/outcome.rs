//! From the evaluator's ending to what is stored, shown and told.

use crate::DriveError;
use crate::context::Context;
use frugal_domain::scoring::Reducer;
use frugal_domain::trial::{CostEstimate, Evaluation, TrialOutcome};
use frugal_evaluation::{Ending, EvaluatedInstance, Trial, statistics};
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

fn evaluation(
    context: &Context,
    instances: &[EvaluatedInstance],
    valid: bool,
) -> Result<(TrialOutcome, Utilities), DriveError> {
    let nothing = || DriveError::Internal("an evaluated trial has no instance".to_owned());
    let objective = context.spec().objective.metric;
    let by_reducer = |reducer: Reducer| -> Utilities {
        instances
            .iter()
            .map(|instance| {
                let scores: Vec<f64> = instance.responses.iter().map(|one| one.score).collect();
                (instance.instance, reduce(reducer, &scores))
            })
            .collect()
    };
    let mut metrics = BTreeMap::new();
    for reducer in Reducer::ALL {
        let values: Vec<f64> = by_reducer(*reducer).into_values().collect();
        let estimate = statistics::estimate(&values).ok_or_else(nothing)?;
        metrics.insert(reducer.as_str().to_owned(), estimate);
    }
    let unit = context.spec().cost_unit();
    #[expect(
        clippy::cast_precision_loss,
        reason = "for display and comparison, not for books"
    )]
    let costs: Vec<f64> = instances
        .iter()
        .map(|instance| unit.display(unit.of(instance.inference_cost) as f64))
        .collect();
    let utilities = by_reducer(objective);
    let values: Vec<f64> = utilities.values().copied().collect();
    let evaluation = Evaluation {
        utility: statistics::estimate(&values).ok_or_else(nothing)?,
        metrics,
        inference_cost: CostEstimate {
            unit,
            estimate: statistics::estimate(&costs).ok_or_else(nothing)?,
        },
        valid,
    };
    Ok((TrialOutcome::Evaluated(evaluation), utilities))
}
