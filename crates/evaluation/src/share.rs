//! Scores as shares of what is right, and the counts that they are taken of.

/// A score within 0 and 1; 0 where it is no number.
pub(crate) fn within_range(score: f64) -> f64 {
    if score.is_nan() {
        0.0
    } else {
        score.clamp(0.0, 1.0)
    }
}

/// A count of responses, to reckon with.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of responses lie far below 2^53"
)]
pub(crate) const fn real(count: usize) -> f64 {
    count as f64
}
