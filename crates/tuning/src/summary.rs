//! What a report says to somebody who decides, in a sentence or two: what to set, what that gains and with which
//! certainty, and what it costs.

use crate::amounts;
use crate::ended::BASELINE;
use crate::notes::Note;
use crate::verdict::{Holdout, Verdict};
use frugal_domain::id::TrialNumber;
use frugal_domain::trial::{CostEstimate, Improvement};
use serde_json::{Map, Value};

/// What people look for first in a configuration.
const FIRST: [&str; 5] = ["prompt", "temperature", "top_p", "max_tokens", "n"];
/// What is the same as a rule.
const LEFT_OUT: [&str; 3] = ["endpoint", "model", "stop"];

/// What there is to tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub winner: Option<Side<'a>>,
    pub baseline: Option<Side<'a>>,
    pub holdout: Option<&'a Holdout>,
    pub verdict: &'a Verdict,
    /// Whether the cheapest was sought that is as good as a reference.
    pub is_for_less: bool,
    pub notes: &'a [Note],
}

/// A configuration with its numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub trial: TrialNumber,
    pub configuration: &'a Map<String, Value>,
    pub utility: f64,
    pub cost: &'a CostEstimate,
}

/// The sentences.
pub(crate) fn of(told: &Told<'_>) -> String {
    let Some(winner) = &told.winner else {
        return match told.notes.first() {
            Some(note) => format!(
                "No configuration was found that fits the budgets: {}.",
                note.detail
            ),
            None => "No configuration was found that fits the budgets.".to_owned(),
        };
    };
    let scores = amounts::three_digits(winner.utility);
    if winner.trial == BASELINE {
        return format!(
            "Stay with the baseline ({}): nothing was found to be better. It scores {scores} at {} a row.",
            settings(winner),
            price(winner.cost)
        );
    }
    let usage = format!("Use {} (trial {})", settings(winner), winner.trial);
    if told.is_for_less {
        // What is sought is the cost, and the verdict tells both.
        return format!("{usage}: {}.", told.verdict.improvement_detail);
    }
    if let Some(held_out) = told.holdout
        && let Some(baseline) = &held_out.baseline
        && let Some(difference) = &held_out.difference
    {
        let sure = match told.verdict.improvement {
            Improvement::Significant => "which is more than chance would do (95 % confidence)",
            Improvement::NotSignificant => "which may still be chance",
            Improvement::None => "so nothing shows that it is better",
        };
        let sign = match difference.estimate.mean > 0.0 {
            true => "+",
            false => "",
        };
        return format!(
            "{usage}: on {} rows that the search never saw it scores {} where the baseline scores {} ({sign}{}, 95 % interval {} to {}), {sure}. {}",
            held_out.winner.estimate.count,
            amounts::three_digits(held_out.winner.estimate.mean),
            amounts::three_digits(baseline.estimate.mean),
            amounts::three_digits(difference.estimate.mean),
            amounts::three_digits(difference.interval.low),
            amounts::three_digits(difference.interval.high),
            costs(
                &held_out.winner_inference_cost,
                held_out.baseline_inference_cost.as_ref()
            )
        );
    }
    match &told.baseline {
        Some(baseline) => format!(
            "{usage}: it scores {scores} where the baseline scores {}; {}. {}",
            amounts::three_digits(baseline.utility),
            told.verdict.improvement_detail,
            costs(winner.cost, Some(baseline.cost))
        ),
        None => format!("{usage}: it scores {scores}. {}", costs(winner.cost, None)),
    }
}

/// A configuration as one would set it.
fn settings(side: &Side<'_>) -> String {
    let configuration = side.configuration;
    let model = configuration
        .get("model")
        .map_or_else(|| "the model".to_owned(), value);
    let others = configuration.keys().map(String::as_str);
    let others = others.filter(|name| !LEFT_OUT.contains(name) && !FIRST.contains(name));
    let told: Vec<String> = FIRST
        .into_iter()
        .chain(others)
        .filter_map(|name| Some(format!("{name} {}", value(configuration.get(name)?))))
        .collect();
    match told.as_slice() {
        [] => model,
        told => format!("{model} with {}", told.join(", ")),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(float)) => amounts::three_digits(float),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn price(cost: &CostEstimate) -> String {
    amounts::cost(cost.unit, cost.estimate.mean)
}

/// What a row costs, beside what it costs under the baseline.
fn costs(cost: &CostEstimate, baseline: Option<&CostEstimate>) -> String {
    let beside = baseline
        .filter(|baseline| baseline.estimate.mean > 0.0)
        .map(|baseline| {
            let ratio = cost.estimate.mean / baseline.estimate.mean;
            match (ratio - 1.0).abs() < 0.005 {
                true => ", as much as under the baseline".to_owned(),
                false => format!(", {} as much as under the baseline", amounts::times(ratio)),
            }
        });
    format!("A row costs {}{}.", price(cost), beside.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval_estimate::IntervalEstimate;
    use frugal_domain::money::Unit;
    use frugal_domain::trial::{Estimate, Interval};
    use serde_json::json;

    fn estimate(mean: f64) -> IntervalEstimate {
        IntervalEstimate {
            estimate: Estimate {
                mean,
                standard_error: Some(0.1),
                count: 20,
            },
            interval: Interval {
                low: mean - 0.125,
                high: mean + 0.125,
            },
        }
    }

    fn cost(mean: f64) -> CostEstimate {
        CostEstimate {
            unit: Unit::Usd,
            estimate: Estimate {
                mean,
                standard_error: None,
                count: 20,
            },
        }
    }

    #[test]
    fn it_tells_what_to_set_what_that_gains_how_sure_it_is_and_what_it_costs() {
        let (cheap, dear) = (cost(0.001), cost(0.0024));
        let configuration = |value: Value| value.as_object().unwrap().clone();
        let best = configuration(json!({
            "endpoint": "local", "model": "small", "prompt": "think", "temperature": 0.4375, "max_tokens": 58,
            "n": 6, "stop": ["\n"], "presence_penalty": 0.5,
        }));
        let today = configuration(json!({"endpoint": "local", "model": "small"}));
        let winner = Side {
            trial: TrialNumber(12),
            configuration: &best,
            utility: 0.875,
            cost: &dear,
        };
        let baseline = Side {
            trial: BASELINE,
            configuration: &today,
            utility: 0.5,
            cost: &cheap,
        };
        let held_out = Holdout {
            instances: 20,
            winner: estimate(0.75),
            winner_inference_cost: dear,
            baseline: Some(estimate(0.5)),
            baseline_inference_cost: Some(cheap),
            difference: Some(estimate(0.25)),
        };
        let [significant, open, worse] = [
            Improvement::Significant,
            Improvement::NotSignificant,
            Improvement::None,
        ]
        .map(|improvement| Verdict {
            improvement,
            improvement_detail: "the verdict in words".to_owned(),
        });
        let without_pairs = Holdout {
            difference: None,
            ..held_out
        };
        let told = Told {
            winner: Some(winner),
            baseline: Some(baseline),
            holdout: Some(&held_out),
            verdict: &significant,
            is_for_less: false,
            notes: &[],
        };
        let all = [
            told,
            Told {
                verdict: &open,
                ..told
            },
            Told {
                verdict: &worse,
                ..told
            },
            Told {
                holdout: None,
                ..told
            },
            Told {
                holdout: Some(&without_pairs),
                ..told
            },
            Told {
                is_for_less: true,
                ..told
            },
            Told {
                winner: Some(baseline),
                ..told
            },
            Told {
                baseline: None,
                holdout: None,
                ..told
            },
            Told {
                winner: None,
                ..told
            },
        ];
        let said: Vec<String> = all.iter().map(of).collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
