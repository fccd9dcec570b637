//! Worlds for experiments: generated, with the best that each has.

use crate::parallel;
use crate::worlds::job::OVER;
use crate::worlds::{Recipe, World, optimum};

/// The best utilities of worlds that tell searches apart: where little can be found, or everything, they do
/// not.
const TELLING: std::ops::Range<f64> = 0.15..0.99;

/// The first so many generated worlds of so many rows, by seed from 1, that tell searches apart; each with
/// the best utility that it has.
///
/// # Errors
/// A world cannot be made.
pub fn worlds(count: usize, rows: usize) -> anyhow::Result<Vec<(World, f64)>> {
    telling(count, |seed| Recipe::drawn(seed, rows).world())
}

/// The same of worlds that are made otherwise.
///
/// # Errors
/// A world cannot be made.
pub fn telling(
    count: usize,
    world: impl Fn(u64) -> anyhow::Result<World> + Sync,
) -> anyhow::Result<Vec<(World, f64)>> {
    // Of all generated worlds more than half are telling.
    let tried = parallel::each(2 * count as u64 + 6, |seed| {
        let world = world(seed + 1)?;
        let best = optimum::best(&world);
        Ok((world, best))
    })?;
    let telling = tried.into_iter().filter(|(_, best)| TELLING.contains(best));
    Ok(telling.take(count).collect())
}

/// The words that pages have for them.
pub const WORDS: &str = "generated worlds (`crates/benchmark/src/worlds/generator.rs`: models of different skill and price, \
                         prompts that help or harm, answers in clusters that the temperature sharpens or flattens), \
                         of which the exact utility and cost of every configuration are known";

/// The name of the column that counts winners over the inference budget.
pub const OVER_BUDGET: &str = "winners over the inference budget";

/// What pages say of these.
pub fn over_budget() -> String {
    format!(
        "A search knows costs from the answers that it drew, so a winner can be over the inference budget in truth: \
         each counts with what it is worth, which may be more than the best within the budget, and those that cost over \
         {:.0} % more than the budget are counted.",
        100.0 * (OVER - 1.0)
    )
}
