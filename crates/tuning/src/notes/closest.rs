//! The configuration that comes closest to being as good as it must be.

use super::costs;
use crate::amounts;
use crate::as_good::{beside, reference_in_words};
use crate::books::LEAST_SAVING;
use crate::ended::{BASELINE, EndedTrial};
use crate::findings::Findings;
use frugal_domain::job::{NonInferiority, Reference};
use frugal_domain::trial::{CostEstimate, QualityDifference};

/// A configuration that is not as good as it must be, or not surely.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closest<'a> {
    pub(super) ended: &'a EndedTrial,
    pub(super) difference: QualityDifference,
    pub(super) cost: CostEstimate,
    /// Its cost as a share of the baseline's, where that was evaluated.
    pub(super) cost_ratio: Option<f64>,
}

/// Of the evaluated configurations that only their answers keep from winning, the one whose answers are
/// the best for sure. Where the baseline may win, those are meant that are cheaper.
pub(super) fn find<'a>(
    findings: &Findings<'a>,
    standard: &NonInferiority,
    model: Option<usize>,
) -> Option<Closest<'a>> {
    let baseline = findings.baseline().and_then(EndedTrial::evaluation);
    let own = baseline.map(|found| found.inference_cost.estimate.mean);
    let most = costs::inference_budget(findings).unwrap_or(f64::INFINITY);
    let below = baseline
        .filter(|found| found.valid)
        .and(own)
        .map_or(f64::INFINITY, |own| own * (1.0 - LEAST_SAVING));
    let candidates = findings.ended.values().filter_map(|ended| {
        let found = ended.evaluation()?;
        let cost = found.inference_cost.estimate.mean;
        let other = ended.number != BASELINE
            && model.is_none_or(|model| ended.settings.sampling.model == model);
        let by_answers = found.violated == [standard.metric.as_str()];
        let difference = ended.quality_difference?;
        (other && by_answers && cost <= most && cost < below).then_some(Closest {
            ended,
            difference,
            cost: found.inference_cost,
            cost_ratio: own.filter(|own| *own > 0.0).map(|own| cost / own),
        })
    });
    candidates.max_by(|one, other| {
        let bound = |closest: &Closest<'_>| closest.difference.lower_bound;
        bound(one).total_cmp(&bound(other))
    })
}

/// Why nothing (else) is as good as it must be, with what would change that.
pub(super) fn in_words(
    findings: &Findings<'_>,
    standard: &NonInferiority,
    closest: Option<&Closest<'_>>,
) -> String {
    let reference = reference_in_words(standard);
    let evaluated = findings
        .baseline()
        .is_some_and(|baseline| baseline.evaluation().is_some());
    if standard.as_good_as == Reference::Baseline && !evaluated {
        return "nothing can be as good as the baseline, for that was not evaluated: give another \
                `baseline`, raise `budgets.optimization`, or give a number as \
                `objective.cheapest.as_good_as`"
            .to_owned();
    }
    let cheaper = if findings.winner().is_some() {
        "no cheaper configuration"
    } else {
        "no configuration"
    };
    let confidence = amounts::confidence(standard.confidence);
    let none = format!("{cheaper} is as good as {reference} with {confidence} confidence");
    let Some(closest) = closest else {
        return format!(
            "{none}, and none was evaluated that might have been: widen the search space, or raise \
             `budgets.optimization`"
        );
    };
    let price = match closest.cost_ratio {
        Some(ratio) => format!("at {} of the baseline's cost", amounts::percent(ratio)),
        None => {
            let cost = amounts::cost(closest.cost.unit, closest.cost.estimate.mean);
            format!("at {cost} an instance")
        }
    };
    let (metric, margin) = (
        standard.metric.as_str(),
        amounts::three_digits(standard.margin),
    );
    let QualityDifference {
        mean, lower_bound, ..
    } = closest.difference;
    let found = format!(
        "{none}: trial {} comes closest, {price}, and its `{metric}` is {}",
        closest.ended.number.0,
        beside(mean, &reference)
    );
    if mean < -standard.margin {
        format!(
            "{found}, where {margin} below is allowed; widen the search space, or allow a larger \
             `margin`"
        )
    } else {
        format!(
            "{found}, but may be {}, where {margin} below is allowed; more rows or a larger \
             `budgets.optimization` would tell, a larger `margin` or a smaller `confidence` let it pass",
            beside(lower_bound, &reference)
        )
    }
}
