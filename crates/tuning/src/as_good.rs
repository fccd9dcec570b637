//! What a report says where the cheapest configuration was sought that is as good as a reference: what
//! it saves, how much worse its answers may be, and how sure that is.

use crate::amounts;
use crate::ended::{BASELINE, EndedTrial};
use crate::findings::Findings;
use frugal_domain::job::{JobSpec, NonInferiority, Reference};
use frugal_domain::metric::Metric;
use frugal_domain::money::Unit;
use frugal_domain::trial::{
    CostEstimate, Estimate, Evaluation, Improvement, Interval, QualityDifference,
};
use frugal_evaluation::statistics::{PairedDifferences, estimate, mean_bounds};
use serde::Serialize;

/// The winner's answers beside those that they must be as good as.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AsGood {
    /// The metric of the quality of answers, what it is held against, the margin and the confidence.
    #[serde(flatten)]
    pub standard: NonInferiority,
    /// The mean that they must be as good as, on the instances that the search saw; nothing where the
    /// baseline was not evaluated.
    pub reference: Option<f64>,
    /// The winner's mean less that, on the instances that the search saw and chose it by; nothing where
    /// the baseline stays as its own reference.
    pub difference: Option<QualityDifference>,
    /// The same on the instances that the search did not see.
    pub holdout: Option<HeldOutDifference>,
    /// What the winner saves of what the baseline costs.
    pub saving: Option<Saving>,
}

/// The mean of a metric less that of a reference, on instances that nothing was chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeldOutDifference {
    /// Mean, standard error and count.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Its bounds, each with the confidence that the job asks for.
    pub bounds: Interval,
}

/// What one instance costs less under the winner than under the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Saving {
    /// Dollars or tokens.
    pub unit: Unit,
    /// So much, below 0 where it costs more.
    pub per_instance: f64,
    /// Its share of the baseline's cost.
    pub share: f64,
    /// Whether both were measured on the held-out instances.
    pub held_out: bool,
}

/// What the held-out instances show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnHoldout {
    /// Nothing where no instance has a score of both.
    pub(crate) difference: Option<HeldOutDifference>,
    /// The winner's inference cost and the baseline's.
    pub(crate) costs: (CostEstimate, Option<CostEstimate>),
    /// Whether the winner is cheaper than the baseline; nothing where there is no baseline.
    pub(crate) cheaper: Option<Improvement>,
}

/// The quality of the winner's answers on held-out instances less the reference's.
pub(crate) fn on_holdout(
    spec: &JobSpec,
    winner: &EndedTrial,
    baseline: Option<&EndedTrial>,
) -> Option<HeldOutDifference> {
    let standard = spec.objective.cheapest?;
    match standard.as_good_as {
        Reference::Baseline => {
            let (left, right) = (&winner.qualities, &baseline?.qualities);
            let differences = PairedDifferences::of(standard.metric, left, right)?;
            Some(HeldOutDifference {
                estimate: differences.estimate()?,
                bounds: differences.bounds(standard.confidence),
            })
        }
        Reference::Value(value) => {
            let values: Vec<f64> = winner.qualities.values().copied().collect();
            let found = estimate(&values)?;
            let bounds = mean_bounds(standard.metric, &values, standard.confidence)?;
            Some(HeldOutDifference {
                estimate: Estimate {
                    mean: found.mean - value,
                    ..found
                },
                bounds: Interval {
                    low: bounds.low - value,
                    high: bounds.high - value,
                },
            })
        }
    }
}

/// The mean that answers must be as good as, on the instances that the search sees.
fn reference(findings: &Findings<'_>, standard: &NonInferiority) -> Option<f64> {
    match standard.as_good_as {
        Reference::Value(value) => Some(value),
        Reference::Baseline => mean_of(findings.baseline()?.evaluation()?, standard.metric),
    }
}

fn mean_of(found: &Evaluation, metric: Metric) -> Option<f64> {
    Some(found.metrics.get(metric.as_str())?.mean)
}

/// The winner's answers beside those that they must be as good as, where the cheapest was sought.
pub(crate) fn of(findings: &Findings<'_>, holdout: Option<&OnHoldout>) -> Option<AsGood> {
    let standard = findings.spec.objective.cheapest?;
    let baseline_won = findings
        .winner()
        .is_some_and(|winner| winner.number == BASELINE);
    // The baseline beside itself says nothing.
    let beside_itself = baseline_won && standard.as_good_as == Reference::Baseline;
    Some(AsGood {
        standard,
        reference: reference(findings, &standard),
        difference: findings
            .winner()
            .filter(|_| !beside_itself)
            .and_then(|winner| winner.quality_difference),
        holdout: holdout
            .filter(|_| !beside_itself)
            .and_then(|holdout| holdout.difference),
        saving: saving(findings, holdout).filter(|_| !baseline_won),
    })
}

fn saving(findings: &Findings<'_>, holdout: Option<&OnHoldout>) -> Option<Saving> {
    let seen = || {
        let winner = findings.winner()?.evaluation()?;
        let baseline = findings.baseline()?.evaluation()?;
        Some((winner.inference_cost, baseline.inference_cost, false))
    };
    let held_out = holdout.and_then(|holdout| {
        let (winner, baseline) = holdout.costs;
        Some((winner, baseline?, true))
    });
    let (winner, baseline, held_out) = held_out.or_else(seen)?;
    let (winner, own) = (winner.estimate.mean, baseline.estimate.mean);
    (own > 0.0).then_some(Saving {
        unit: baseline.unit,
        per_instance: own - winner,
        share: (own - winner) / own,
        held_out,
    })
}

/// Whether the baseline stays: it won, or what asks the same of the endpoint.
pub(crate) fn baseline_stays(findings: &Findings<'_>) -> bool {
    findings.winner().is_some_and(|winner| {
        let same = |baseline: &EndedTrial| winner.settings == baseline.settings;
        winner.number == BASELINE || findings.baseline().is_some_and(same)
    })
}

/// Whether the winner is cheaper than the baseline and as good as it must be, in a word and in all.
pub(crate) fn judge(
    findings: &Findings<'_>,
    standard: &NonInferiority,
    holdout: Option<&OnHoldout>,
) -> (Improvement, String) {
    let confidence = amounts::confidence(standard.confidence);
    let reference = reference_in_words(standard);
    let none = |detail: String| (Improvement::None, detail);
    let Some(winner) = findings.winner() else {
        return none(match self::reference(findings, standard) {
            None => "the baseline was not evaluated, so nothing can be held against it".to_owned(),
            Some(_) => format!(
                "no valid configuration was found that is as good as {reference} with {confidence} \
                 confidence"
            ),
        });
    };
    if baseline_stays(findings) {
        return none(format!(
            "no cheaper configuration was found that is as good as {reference} with {confidence} \
             confidence: the baseline stays"
        ));
    }
    let Some(cost) = winner.evaluation().map(|found| found.inference_cost) else {
        return none("the winner was not evaluated".to_owned());
    };
    let saving = saving(findings, holdout);
    let price = price_in_words(cost, saving);
    let dearer = saving.is_some_and(|saving| saving.per_instance <= 0.0);
    let metric = standard.metric.as_str();
    let margin = amounts::three_digits(standard.margin);
    let Some(HeldOutDifference { estimate, bounds }) =
        holdout.and_then(|holdout| holdout.difference)
    else {
        let seen = winner.quality_difference.map_or_else(String::new, |seen| {
            format!(
                "; its `{metric}` is {} on the instances of the search, and {} at the least with \
                 {confidence} confidence",
                beside(seen.mean, &reference),
                beside(seen.lower_bound, &reference)
            )
        });
        let why = match (findings.holdout_rows > 0, findings.unusable) {
            (true, Some(reason)) => format!(
                "the held-out instances were not scored for both, as the endpoint could not be \
                 asked any more ({reason})"
            ),
            (true, None) => "the held-out instances were not scored for both".to_owned(),
            (false, _) => "no held-out instances; give data.holdout".to_owned(),
        };
        let detail = format!(
            "{price}{seen}; the search chose it by these, so it looks better than it is: {why}"
        );
        return if dearer {
            none(detail)
        } else {
            (Improvement::NotSignificant, detail)
        };
    };
    let found = format!(
        "{price}; its `{metric}` is {} on {} held-out instances (with {confidence} confidence at \
         each end between {:+.3} and {:+.3})",
        beside(estimate.mean, &reference),
        estimate.count,
        bounds.low,
        bounds.high
    );
    let surely_cheaper = holdout
        .and_then(|holdout| holdout.cheaper)
        .is_none_or(|cheaper| cheaper == Improvement::Significant);
    if dearer {
        none(format!("{found}, but it is no cheaper than the baseline"))
    } else if estimate.mean < -standard.margin {
        none(format!("{found}: worse than the margin of {margin} allows"))
    } else if bounds.low < -standard.margin {
        (
            Improvement::NotSignificant,
            format!(
                "{found}: it may be worse than the margin of {margin} allows, and more held-out \
                 instances would tell"
            ),
        )
    } else if surely_cheaper {
        (
            Improvement::Significant,
            format!("{found}: as good within the margin of {margin}"),
        )
    } else {
        (
            Improvement::NotSignificant,
            format!(
                "{found}: as good within the margin of {margin}, but that it is cheaper may be \
                 chance"
            ),
        )
    }
}

/// What answers must be as good as.
pub(crate) fn reference_in_words(standard: &NonInferiority) -> String {
    match standard.as_good_as {
        Reference::Baseline => "the baseline".to_owned(),
        Reference::Value(value) => {
            let (metric, value) = (standard.metric.as_str(), amounts::three_digits(value));
            format!("a `{metric}` of {value}")
        }
    }
}

/// How far a mean is from that of a reference.
pub(crate) fn beside(difference: f64, reference: &str) -> String {
    let side = if difference < 0.0 { "below" } else { "above" };
    if difference.abs() < 0.0005 {
        return format!("that of {reference}");
    }
    format!("{:.3} {side} that of {reference}", difference.abs())
}

fn price_in_words(cost: CostEstimate, saving: Option<Saving>) -> String {
    match saving {
        None => format!(
            "the winner costs {} an instance",
            amounts::cost(cost.unit, cost.estimate.mean)
        ),
        Some(Saving {
            unit,
            per_instance,
            share,
            ..
        }) => {
            let (word, joined) = if per_instance > 0.0 {
                ("saves", "of what the baseline costs")
            } else {
                ("costs", "more than the baseline")
            };
            format!(
                "the winner {word} {} an instance, {} {joined}",
                amounts::cost(unit, per_instance.abs()),
                amounts::percent(share.abs())
            )
        }
    }
}
