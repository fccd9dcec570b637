//! Worlds for experiments: generated, with the best that each has.

use crate::parallel;
use crate::worlds::{Recipe, World, optimum};

/// Worlds on which little can be found, or everything can, tell searches little apart.
pub const TELLING: std::ops::Range<f64> = 0.15..0.99;

/// The first so many generated worlds of so many rows, by seed from 1, whose best utility lies between
/// 0.15 and 0.99; each with that.
///
/// # Errors
/// A world cannot be made.
pub fn worlds(count: usize, rows: usize) -> anyhow::Result<Vec<(World, f64)>> {
    // Of all generated worlds more than half are telling.
    let tried = parallel::each(2 * count as u64 + 6, |seed| {
        let world = Recipe::drawn(seed + 1, rows).world()?;
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
