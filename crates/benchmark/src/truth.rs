//! What settings are worth in truth: expectations instead of samples.

use crate::endpoint::Endpoint;
use frugal_domain::configuration::Settings;
use frugal_domain::metric::Metric;
use frugal_domain::scoring::Reducer;
use frugal_evaluation::expected_success;

/// The probability that at least one of n fresh answers is right, mean of all rows.
pub fn success(endpoint: &dyn Endpoint, settings: &Settings) -> f64 {
    mean(endpoint, settings, Reducer::Success)
}

/// The expected utility, mean of all rows; nothing for a metric that is not one of scores.
pub fn utility(endpoint: &dyn Endpoint, settings: &Settings, metric: Metric) -> Option<f64> {
    let reducer = Reducer::ALL
        .iter()
        .find(|reducer| Metric::from(**reducer) == metric)?;
    Some(mean(endpoint, settings, *reducer))
}

/// The expected value of a reducer, mean of all rows.
fn mean(endpoint: &dyn Endpoint, settings: &Settings, reducer: Reducer) -> f64 {
    let rows = endpoint.rows();
    let total: f64 = (0..rows)
        .map(|row| expectation(reducer, endpoint.chance(settings, row), settings.extent.n))
        .sum();
    total / real(rows)
}

/// The expected value of a reducer over n answers, each right with this probability and
/// independent of the others.
fn expectation(reducer: Reducer, chance: f64, n: u32) -> f64 {
    match reducer {
        Reducer::Mean => chance,
        Reducer::Min => chance.powf(n.into()),
        Reducer::Success => expected_success(chance * f64::from(n), f64::from(n)),
        Reducer::ExpectedSuccess => binomial(n, chance)
            .into_iter()
            .zip(0_u32..)
            .map(|(probability, right)| {
                probability * expected_success(f64::from(right), f64::from(n))
            })
            .sum(),
    }
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
        assert!(close(expectation(Reducer::Mean, 0.3, 5), 0.3));
        assert!(close(expectation(Reducer::Success, 0.5, 3), 0.875));
        // Of two answers none, one or both are right: 0, 1 − (1/2)², 1.
        let expected = 2.0 * 0.3 * 0.7 * 0.75 + 0.09;
        assert!(close(
            expectation(Reducer::ExpectedSuccess, 0.3, 2),
            expected
        ));
        for metric in Reducer::ALL {
            assert!(close(expectation(*metric, 1.0, 7), 1.0));
            assert!(close(expectation(*metric, 0.0, 7), 0.0));
            assert!(close(expectation(*metric, 0.4, 1), 0.4));
        }
        assert!(close(expectation(Reducer::Min, 0.5, 3), 0.125));
    }

    #[test]
    fn probabilities_add_up() {
        assert!(close(binomial(128, 0.37).iter().sum(), 1.0));
    }
}
