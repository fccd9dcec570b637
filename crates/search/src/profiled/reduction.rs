//! What n answers to a row come to, by metric.

use super::selection::Selection;
use super::votes::{Spread, weighed};
use frugal_domain::metric::Metric;

/// Whether a metric is about the quality of answers.
pub(super) const fn is_of_answers(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::ExpectedSuccess
            | Metric::Success
            | Metric::Mean
            | Metric::Min
            | Metric::Majority
            | Metric::BestOfN
    )
}

/// What n answers to a row come to by, besides the chance that one is right.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner<'a> {
    /// How wrong answers may spread, where it matters which one most responses give.
    pub(super) spreads: &'a [(Spread, f64)],
    /// How the selector takes right and wrong ones, where it matters which one it prefers.
    pub(super) selection: Option<&'a Selection>,
}

/// What n answers come to on a row where each is right with this chance.
pub(super) fn reduce(metric: Metric, chance: f64, n: f64, manner: Manner<'_>) -> f64 {
    match metric {
        Metric::Mean => chance,
        Metric::Min => chance.powf(n),
        Metric::Majority => weighed(chance, n, manner.spreads),
        Metric::BestOfN => manner
            .selection
            .map_or(chance, |selection| selection.worth(chance, n)),
        _ => -(n * (-chance.min(1.0 - 1e-9)).ln_1p()).exp_m1(),
    }
}
