//! What is measured of a trial, instance by instance.

use crate::evaluated::{EvaluatedInstance, UsedResponse};
use crate::reducer::reduce;
use frugal_domain::metric::Metric;
use frugal_domain::money::Unit;
use frugal_domain::scoring::{Observation, Reducer};
use std::collections::BTreeMap;

/// A metric on each instance, by the instance's index. `unit` is what an inference cost is
/// counted in.
#[must_use]
pub fn values(metric: Metric, instances: &[EvaluatedInstance], unit: Unit) -> BTreeMap<usize, f64> {
    instances
        .iter()
        .map(|one| (one.instance, value(metric, one, unit)))
        .collect()
}

/// A metric on one instance, as by [`values`]. Without any response, what is counted of responses
/// is 0.
#[must_use]
pub fn value(metric: Metric, instance: &EvaluatedInstance, unit: Unit) -> f64 {
    let responses = instance.responses.as_slice();
    let reduced = |reducer: Reducer| {
        let observed: Vec<Observation> = responses.iter().map(|one| one.observed).collect();
        reduce(reducer, &observed)
    };
    match metric {
        Metric::ExpectedSuccess => reduced(Reducer::ExpectedSuccess),
        Metric::Success => reduced(Reducer::Success),
        Metric::Mean => reduced(Reducer::Mean),
        Metric::Min => reduced(Reducer::Min),
        Metric::Majority => reduced(Reducer::Majority),
        Metric::BestOfN => reduced(Reducer::BestOfN),
        Metric::LatencyMs => real(latency_ms(responses)),
        Metric::CutRate => cut_rate(responses),
        Metric::CompletionTokens => real(completion_tokens(responses)),
        Metric::InferenceCost => unit.display(real(unit.of(instance.inference_cost))),
    }
}

/// That of the slowest request: those of one instance go out together.
fn latency_ms(responses: &[UsedResponse]) -> u64 {
    let latencies = responses.iter().map(|one| one.latency_ms);
    latencies.max().unwrap_or_default()
}

fn cut_rate(responses: &[UsedResponse]) -> f64 {
    let cut = responses.iter().filter(|one| !one.ended).count();
    real(cut as u64) / real(responses.len().max(1) as u64)
}

fn completion_tokens(responses: &[UsedResponse]) -> u64 {
    let tokens = responses.iter().map(|one| one.completion_tokens);
    tokens.fold(0, u64::saturating_add)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for display and comparison, not for books"
)]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_domain::id::TrialNumber;
    use frugal_domain::money::{Spend, Usd};
    use frugal_domain::request::{Purpose, RequestKey, ResponseId};
    use frugal_domain::scoring::AnswerKey;

    /// A response of the request with this number.
    fn response(ordinal: u32, score: f64, tokens: u64, ended: bool) -> UsedResponse {
        UsedResponse {
            id: ResponseId {
                job: None,
                request: RequestKey {
                    purpose: Purpose::Search,
                    trial: TrialNumber(1),
                    ordinal,
                },
                position: 0,
            },
            observed: Observation {
                score,
                // The wrong ones give the same answer.
                answer: (score < 0.5).then(|| AnswerKey(score.to_bits())),
                // The worst but one is what the selector likes best.
                preference: Some(if score == 0.25 { 0.9 } else { 0.4 }),
                counts: None,
            },
            completion_tokens: tokens,
            ended,
            latency_ms: 100 + 50 * u64::from(ordinal),
        }
    }

    fn instance(instance: usize, responses: Vec<UsedResponse>) -> EvaluatedInstance {
        EvaluatedInstance {
            instance,
            responses,
            prompt_tokens: 30,
            inference_cost: Spend {
                usd: Usd::from_dollars(0.25).unwrap(),
                tokens: 130,
            },
        }
    }

    #[test]
    fn each_metric_has_its_value() {
        let one = instance(
            0,
            vec![
                response(0, 0.5, 20, true),
                response(2, 0.25, 64, false),
                response(1, 0.0, 16, true),
                response(1, 0.0, 0, true),
            ],
        );
        // 0.75 right of four: 1 − (1 − 0.1875)⁴.
        for (metric, dollars, tokens) in [
            (
                Metric::ExpectedSuccess,
                0.564_193_725_585_937_5,
                0.564_193_725_585_937_5,
            ),
            (Metric::Success, 0.5, 0.5),
            (Metric::Mean, 0.187_5, 0.187_5),
            (Metric::Min, 0.0, 0.0),
            (Metric::Majority, 0.0, 0.0),
            (Metric::BestOfN, 0.25, 0.25),
            (Metric::LatencyMs, 200.0, 200.0),
            (Metric::CutRate, 0.25, 0.25),
            (Metric::CompletionTokens, 100.0, 100.0),
            (Metric::InferenceCost, 0.25, 130.0),
        ] {
            let is = |unit, expected: f64| (value(metric, &one, unit) - expected).abs() < 1e-12;
            assert!(
                is(Unit::Usd, dollars) && is(Unit::Tokens, tokens),
                "{metric:?}"
            );
        }
    }

    #[test]
    fn values_stay_with_their_instances() {
        let instances = [
            instance(3, vec![response(0, 0.0, 8, false)]),
            instance(7, vec![response(4, 0.0, 9, true)]),
        ];
        let of = |metric| values(metric, &instances, Unit::Usd);
        assert_eq!(of(Metric::CutRate), BTreeMap::from([(3, 1.0), (7, 0.0)]));
        assert_eq!(
            of(Metric::LatencyMs),
            BTreeMap::from([(3, 100.0), (7, 300.0)])
        );
    }

    #[test]
    fn no_response_counts_nothing() {
        let none = instance(0, Vec::new());
        for metric in [Metric::LatencyMs, Metric::CutRate, Metric::CompletionTokens] {
            assert_eq!(value(metric, &none, Unit::Usd), 0.0);
        }
    }
}
