//! What n answers to a row come to, by metric.

use super::votes::{Spread, majority};
use frugal_domain::metric::Metric;

/// Whether a metric is about the quality of answers.
pub(super) const fn is_of_answers(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::ExpectedSuccess | Metric::Success | Metric::Mean | Metric::Min | Metric::Majority
    )
}

/// What n answers come to on a row where each is right with this chance, and wrong ones spread so.
pub(super) fn reduce(metric: Metric, chance: f64, n: f64, spread: Spread) -> f64 {
    match metric {
        Metric::Mean => chance,
        Metric::Min => chance.powf(n),
        Metric::Majority => majority(chance, n, spread),
        _ => -(n * (-chance.min(1.0 - 1e-9)).ln_1p()).exp_m1(),
    }
}
