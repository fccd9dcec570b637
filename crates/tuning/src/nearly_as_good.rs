//! The configuration to look at before the winner is taken: nearly as good, and much cheaper.

use crate::ended::EndedTrial;
use crate::findings::Findings;
use crate::interval_estimate::IntervalEstimate;
use frugal_domain::id::TrialNumber;
use frugal_domain::job::JobSpec;
use frugal_domain::metric::Metric;
use frugal_domain::trial::CostEstimate;
use serde::Serialize;
use serde_json::{Map, Value};

/// The most of the winner's inference cost that counts as much cheaper.
const MOST_COST_RATIO: f64 = 0.5;

/// How much worse is still nearly as good, as a share of the metric's range (of the winner's
/// utility, where the metric has no upper bound): what one instance weighs in the mean, since no
/// less than one tells two means of successes apart, within these limits. The lower one counts
/// from 50 instances on: two answers in a hundred. The upper one counts up to 20, where one
/// instance would weigh more than anyone calls nearly.
const MARGIN: std::ops::RangeInclusive<f64> = 0.02..=0.05;

/// A configuration that is nearly as good as the winner and costs at most half as much.
#[derive(Debug, Clone, Serialize)]
pub struct NearlyAsGood {
    /// Its trial.
    pub trial: TrialNumber,
    /// What it asks of the endpoint.
    pub configuration: Map<String, Value>,
    /// Its objective, on the instances that the search saw.
    pub utility: IntervalEstimate,
    /// What one instance costs under it.
    pub inference_cost: CostEstimate,
    /// Its objective less the winner's, paired by instance, on the instances that the search saw.
    /// The winner was chosen by these, which makes it look better than it is, and this no closer.
    pub difference: IntervalEstimate,
    /// How much worse the mean difference was allowed to be.
    pub margin: f64,
    /// Its inference cost as a share of the winner's.
    pub cost_ratio: f64,
    /// The same in words.
    pub detail: String,
}

/// A valid trial within the margin that is much cheaper than the winner.
struct Candidate<'a> {
    ended: &'a EndedTrial,
    cost_ratio: f64,
    /// How much worse it is than the winner, on average.
    loss: f64,
    difference: IntervalEstimate,
}

/// The cheapest valid configuration within the margin, if it costs at most half as much as the
/// winner. Nothing where the objective is itself a cost: what is cheaper is better there.
pub(crate) fn find(findings: &Findings<'_>) -> Option<NearlyAsGood> {
    let spec = findings.spec;
    let winner = findings.winner()?;
    if matches!(
        spec.objective.metric,
        Metric::InferenceCost | Metric::CompletionTokens
    ) {
        return None;
    }
    let (winner_cost, margin) = (cost(winner)?, margin(spec, winner)?);
    let candidates = findings.ended.values().filter_map(|ended| {
        let cost_ratio = cost(ended)? / winner_cost;
        let evaluation = ended.evaluation()?;
        let comparable = evaluation.valid && evaluation.is_complete();
        if !comparable || cost_ratio > MOST_COST_RATIO {
            return None;
        }
        let difference = IntervalEstimate::of_pair(spec, ended, winner)?;
        let loss = spec.objective.direction.loss(difference.estimate.mean);
        (loss <= margin).then_some(Candidate {
            ended,
            cost_ratio,
            loss,
            difference,
        })
    });
    let Candidate {
        ended,
        cost_ratio,
        loss,
        difference,
    } = candidates.min_by(|a, b| {
        a.cost_ratio
            .total_cmp(&b.cost_ratio)
            .then(a.loss.total_cmp(&b.loss))
    })?;
    Some(NearlyAsGood {
        trial: ended.number,
        configuration: spec.describe(&ended.settings),
        utility: IntervalEstimate::of(spec, ended)?,
        inference_cost: ended.evaluation()?.inference_cost,
        difference,
        margin,
        cost_ratio,
        detail: in_words(
            spec.objective.metric,
            ended.number,
            loss,
            &difference,
            cost_ratio,
        ),
    })
}

/// What one instance costs under a trial that was evaluated; nothing where it costs nothing.
fn cost(ended: &EndedTrial) -> Option<f64> {
    let cost = ended.evaluation()?.inference_cost.estimate.mean;
    (cost > 0.0).then_some(cost)
}

fn margin(spec: &JobSpec, winner: &EndedTrial) -> Option<f64> {
    let utility = winner.evaluation()?.utility;
    let range = spec.objective.metric.largest().unwrap_or(utility.mean);
    let instance = 1.0 / f64::from(utility.count);
    Some(range * instance.clamp(*MARGIN.start(), *MARGIN.end()))
}

fn in_words(
    metric: Metric,
    trial: TrialNumber,
    loss: f64,
    difference: &IntervalEstimate,
    cost_ratio: f64,
) -> String {
    // Metrics without a bound are in milliseconds.
    let decimals = if metric.largest().is_some() { 3 } else { 0 };
    let within = if loss > 0.0 {
        format!(" within {loss:.decimals$}")
    } else {
        String::new()
    };
    let interval = difference.interval;
    format!(
        "trial {} is as good as the winner{within} (95 % interval of the difference \
         {:+.decimals$} to {:+.decimals$}) at {} of the cost",
        trial.0,
        interval.low,
        interval.high,
        share_in_words(cost_ratio)
    )
}

/// A share of at most one half: as a fraction where it is close to one that has a name.
fn share_in_words(share: f64) -> String {
    const NAMES: [&str; 9] = [
        "half",
        "a third",
        "a quarter",
        "a fifth",
        "a sixth",
        "a seventh",
        "an eighth",
        "a ninth",
        "a tenth",
    ];
    let named = NAMES.iter().zip(2_u32..).find(|(_, parts)| {
        let fraction = 1.0 / f64::from(*parts);
        (share - fraction).abs() <= 0.05 * fraction
    });
    match named {
        Some((name, _)) => (*name).to_owned(),
        None if share >= 0.01 => format!("{:.0} %", 100.0 * share),
        None => "less than 1 %".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::trial::{Estimate, Interval};

    fn words(metric: Metric, loss: f64, low: f64, high: f64, cost_ratio: f64) -> String {
        let difference = IntervalEstimate {
            estimate: Estimate {
                mean: -loss,
                standard_error: None,
                count: 40,
            },
            interval: Interval { low, high },
        };
        in_words(metric, TrialNumber(12), loss, &difference, cost_ratio)
    }

    #[test]
    fn it_is_said_in_one_sentence() {
        assert_eq!(
            words(Metric::Success, 0.015, -0.04, 0.01, 0.34),
            "trial 12 is as good as the winner within 0.015 (95 % interval of the difference \
             -0.040 to +0.010) at a third of the cost"
        );
        assert_eq!(
            words(Metric::Mean, 0.0, -0.071, 0.071, 0.42),
            "trial 12 is as good as the winner (95 % interval of the difference -0.071 to +0.071) \
             at 42 % of the cost"
        );
        assert_eq!(
            words(Metric::LatencyMs, 12.4, -3.0, 31.2, 0.5),
            "trial 12 is as good as the winner within 12 (95 % interval of the difference -3 to \
             +31) at half of the cost"
        );
    }

    #[test]
    fn shares_near_a_named_fraction_have_its_name() {
        for (share, name) in [
            (0.5, "half"),
            (0.26, "a quarter"),
            (0.1, "a tenth"),
            (0.29, "29 %"),
            (0.04, "4 %"),
            (0.002, "less than 1 %"),
        ] {
            assert_eq!(share_in_words(share), name);
        }
    }
}
