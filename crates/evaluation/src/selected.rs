//! The response that a selector prefers of n (best of n), and what it is worth where n are taken of a
//! pool.
//!
//! What is given is the response with the highest preference. Where several have it, one of these is
//! drawn: the mean of their scores counts. A response that the selector said nothing of comes last.
//!
//! What n of a pool come to is exact, by order statistics: the highest preference is at most some level
//! where all n are, which without replacement C(c, n) of the C(m, n) subsets are, c being the responses up
//! to that level, and with replacement (c/m)ⁿ of the draws. Those of one preference stand for one another,
//! so their mean score is what is expected where one of them comes first.

use crate::share::{real, within_range};
use frugal_domain::scoring::Observation;

/// The score of the response that the selector prefers, of several the mean; 0 where there is none.
pub(crate) fn selected(responses: &[Observation]) -> f64 {
    let levels = levels(responses);
    levels.last().map_or(0.0, |level| level.score)
}

/// The mean of the selected score over all n-subsets of a pool. `None` where n is 0 or above m.
#[must_use]
pub fn pooled_selected(pool: &[Observation], n: usize) -> Option<f64> {
    let m = pool.len();
    if n == 0 || n > m {
        return None;
    }
    // The share of the subsets within the c lowest: from c = m downwards it shrinks by (c − n)/c.
    let mut share = 1.0;
    let mut count = m;
    let mut worth = 0.0;
    for level in levels(pool).iter().rev() {
        let above = share;
        for _ in 0..level.responses {
            share *= real(count.saturating_sub(n)) / real(count);
            count -= 1;
        }
        worth += (above - share) * level.score;
    }
    Some(within_range(worth))
}

/// The mean of the selected score over n draws from a pool with replacement; 0 where it is empty.
#[must_use]
pub fn expected_selected(pool: &[Observation], n: usize) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let draws = real(n);
    let (mut count, mut below, mut worth) = (0, 0.0, 0.0);
    for level in levels(pool) {
        count += level.responses;
        let up_to = (real(count) / real(pool.len())).powf(draws);
        worth += (up_to - below) * level.score;
        below = up_to;
    }
    within_range(worth)
}

/// The responses that a selector thinks as highly of.
struct Level {
    responses: usize,
    /// The mean of their scores.
    score: f64,
}

/// The levels of a pool, the lowest first.
fn levels(pool: &[Observation]) -> Vec<Level> {
    // Below all that was said anything of.
    let preference = |one: &Observation| one.preference.map_or(-1.0, within_range);
    let mut sorted: Vec<(f64, f64)> = pool
        .iter()
        .map(|one| (preference(one), within_range(one.score)))
        .collect();
    sorted.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let levels = sorted.chunk_by(|one, other| one.0.total_cmp(&other.0).is_eq());
    levels
        .map(|level| Level {
            responses: level.len(),
            score: level.iter().map(|(_, score)| score).sum::<f64>() / real(level.len()),
        })
        .collect()
}

#[cfg(test)]
mod tests;
