//! Aims that cannot be reached with what a job has, or that are perhaps not its owner's.

use crate::estimate::{Basis, cheapest_prompts, estimate, largest_n};
use frugal_domain::fault::Fault;
use frugal_domain::job::{Data, ExtentChoice, JobSpec};
use frugal_domain::metric::Metric;
use serde_json::Value;

/// Rows of which some could well be held out: of fewer, a third would be less than the six that it takes to
/// tell an improvement from luck (McNemar's exact test at 5 %).
const ENOUGH_TO_HOLD_OUT: usize = 20;

/// What may be wrong with a job's rows, scoring and budgets.
pub(super) fn aims(
    document: &Value,
    spec: &JobSpec,
    data: &Data,
    basis: Option<&Basis>,
) -> Vec<Fault> {
    let found = [
        holdout(document, data),
        any_right(document, spec),
        basis.and_then(|basis| inference(document, spec, basis)),
        basis.and_then(|basis| optimization(document, spec, basis)),
    ];
    found.into_iter().flatten().collect()
}

/// Nothing is held out where it could be.
fn holdout(document: &Value, data: &Data) -> Option<Fault> {
    let is_said = document.pointer("/data/holdout").is_some();
    if is_said || data.tuning.len() < ENOUGH_TO_HOLD_OUT {
        return None;
    }
    Some(Fault {
        pointer: "/data".to_owned(),
        detail: "no rows are held out, so the report cannot tell an improvement from luck; add \
                 `\"holdout\": 0.3`, or `\"holdout\": 0` if that is meant"
            .to_owned(),
    })
}

/// Nobody said what counts of several responses, and a row is right where any of them is.
fn any_right(document: &Value, spec: &JobSpec) -> Option<Fault> {
    let said = [
        "/scoring/reduce",
        "/objective/metric",
        "/objective/cheapest/metric",
    ];
    if said
        .iter()
        .any(|pointer| document.pointer(pointer).is_some())
    {
        return None;
    }
    let metric = spec.objective.cheapest.as_ref();
    let metric = metric.map_or(spec.objective.metric, |standard| standard.metric);
    if !matches!(metric, Metric::ExpectedSuccess | Metric::Success) || largest_n(spec)? < 2 {
        return None;
    }
    Some(Fault {
        pointer: "/scoring".to_owned(),
        detail: format!(
            "a row counts as right where any of its `n` responses is (`{}`); that is right where each of \
             them can be checked: say `\"reduce\": \"{0}\"` to keep it, `\"majority\"` where the most \
             frequent answer is used, `\"mean\"` where one is",
            metric.as_str()
        ),
    })
}

/// No configuration is within the inference budget.
fn inference(document: &Value, spec: &JobSpec, basis: &Basis) -> Option<Fault> {
    let pointer = "/budgets/inference";
    document.pointer(pointer)?;
    let budget = spec.inference_budget?;
    let (least, model, prompt) = cheapest_prompts(spec, basis, budget.unit())?;
    if least.amount() <= budget.amount() {
        return None;
    }
    Some(Fault {
        pointer: pointer.to_owned(),
        detail: format!(
            "no configuration can meet it: the prompt alone costs {least} on the average, of the \
             cheapest model `{}` and prompt `{}`; allow more, shorten the prompt, or take a cheaper \
             model",
            spec.models[model].model, spec.prompts[prompt].name
        ),
    })
}

/// Less than half of the optimization budget can be spent.
fn optimization(document: &Value, spec: &JobSpec, basis: &Basis) -> Option<Fault> {
    let pointer = "/budgets/optimization";
    document.pointer(pointer)?;
    let budget = spec.optimization_budget;
    let estimate = estimate(spec, basis).ok()?;
    let searched = match spec.search.extent {
        ExtentChoice::Profiled => spec.space.without(&["n", "max_tokens"]),
        ExtentChoice::Searched => spec.space.clone(),
    };
    let points = searched.size().unwrap_or(u64::MAX);
    let trials = points.min(u64::from(spec.limits.trials));
    let unit = budget.unit();
    let amount = |spend| unit.of(spend);
    let each = amount(estimate.most_expensive.at_most);
    let baseline = estimate.baseline.map_or(0, |point| amount(point.at_most));
    // The winner and the baseline on the held-out rows.
    let held_out = each.saturating_mul(basis.holdout_rows) / basis.tuning_rows.max(1);
    let most = each
        .saturating_mul(trials)
        .saturating_add(baseline)
        .saturating_add(held_out.saturating_mul(2));
    if most >= budget.amount() / 2 {
        return None;
    }
    let most = unit.budget(most);
    Some(Fault {
        pointer: pointer.to_owned(),
        detail: format!(
            "most of it will not be spent: {trials} trials on all rows cost {most} at most; allow more \
             trials or settings, give more rows, or lower it"
        ),
    })
}
