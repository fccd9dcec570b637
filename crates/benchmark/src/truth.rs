//! What settings are worth in truth: expectations instead of samples.

use crate::endpoint::Endpoint;
use frugal_domain::configuration::Settings;
use frugal_domain::metric::Metric;
use frugal_domain::scoring::Reducer;
use frugal_evaluation::expected_success;

/// The probability that at least one of n fresh answers is right, mean of all rows.
pub fn success(endpoint: &dyn Endpoint, settings: &Settings) -> f64 {
    mean(endpoint, settings, any_right)
}

/// The expected utility, mean of all rows; nothing for a metric that is not one of
/// scores alone.
pub fn utility(endpoint: &dyn Endpoint, settings: &Settings, metric: Metric) -> Option<f64> {
    let reducer = Reducer::ALL
        .iter()
        .find(|reducer| Metric::from(**reducer) == metric)?;
    let expected = expectation(*reducer)?;
    Some(mean(endpoint, settings, expected))
}

/// An expected value over n answers, from the probability that one is right.
type Expected = fn(f64, u32) -> f64;

/// An expected value, mean of all rows.
fn mean(endpoint: &dyn Endpoint, settings: &Settings, expected: Expected) -> f64 {
    let rows = endpoint.rows();
    let total: f64 = (0..rows)
        .map(|row| expected(endpoint.chance(settings, row), settings.extent.n))
        .sum();
    total / real(rows)
}

/// The expected value of a reducer over n answers, each right with this probability and independent
/// of the others; nothing for the majority, which depends on how wrong ones spread.
fn expectation(reducer: Reducer) -> Option<Expected> {
    Some(match reducer {
        Reducer::Mean => |chance, _| chance,
        Reducer::Min => |chance, n| chance.powf(n.into()),
        Reducer::Success => any_right,
        Reducer::ExpectedSuccess => |chance, n| {
            let right = binomial(n, chance).into_iter().zip(0_u32..);
            right
                .map(|(probability, right)| {
                    probability * expected_success(f64::from(right), f64::from(n))
                })
                .sum()
        },
        Reducer::Majority | Reducer::BestOfN => return None,
    })
}

fn any_right(chance: f64, n: u32) -> f64 {
    expected_success(chance * f64::from(n), f64::from(n))
}

/// The probabilities of 0, 1, … n right answers.
fn binomial(n: u32, chance: f64) -> Vec<f64> {
    let mut probabilities = vec![1.0];
    for _ in 0..n {
        let mut next = vec![0.0; probabilities.len() + 1];
        for (right, probability) in probabilities.into_iter().enumerate() {
            next[right] += probability * (1.0 - chance);
            next[right + 1] += probability * chance;
        }
        probabilities = next;
    }
    probabilities
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of rows are far below 2^53"
)]
fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    #[test]
    fn expectations_are_those_of_the_metrics() {
        let of = |reducer, chance, n| expectation(reducer).unwrap()(chance, n);
        assert!(close(of(Reducer::Mean, 0.3, 5), 0.3));
        assert!(close(of(Reducer::Success, 0.5, 3), 0.875));
        assert!(close(of(Reducer::Min, 0.5, 3), 0.125));
        // Of two answers none, one or both are right: 0, 1 − (1/2)², 1.
        let expected = 2.0 * 0.3 * 0.7 * 0.75 + 0.09;
        assert!(close(of(Reducer::ExpectedSuccess, 0.3, 2), expected));
        for reducer in Reducer::ALL {
            let Some(of) = expectation(*reducer) else {
                assert!(matches!(reducer, Reducer::Majority | Reducer::BestOfN));
                continue;
            };
            assert!(close(of(1.0, 7), 1.0));
            assert!(close(of(0.0, 7), 0.0));
            assert!(close(of(0.4, 1), 0.4));
        }
    }

    #[test]
    fn probabilities_add_up() {
        assert!(close(binomial(128, 0.37).iter().sum(), 1.0));
    }
}
