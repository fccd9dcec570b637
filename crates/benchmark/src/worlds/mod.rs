//! Whole searches on worlds whose exact utility is known: what the winner is worth, as a share of the
//! best that there is.

mod cluster;
mod generator;
pub mod job;
pub mod optimum;
mod overlay;
pub mod served;
pub mod space;
pub mod way;
mod world;

pub use generator::{ModelRecipe, Recipe};
pub use overlay::FreeSettings;
pub use world::{Template, World};

use crate::parallel;
use crate::spread::Spread;
use crate::table::{self, Quartiles};
use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use job::{Outcome, WithinReach};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use way::{Way, ways};

/// The worlds that come with the benchmark.
const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/worlds");

/// Fixes what is laid over the worlds.
const OVERLAY_SEED: u64 = 1;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Jobs of each way on each world.
    pub seeds: u64,
    /// The first seed.
    pub first_seed: u64,
    /// Optimization budgets, as multiples of the inference budget over all rows.
    pub factors: Vec<f64>,
    /// The ways, by name; all where there is none.
    pub ways: Vec<String>,
    /// The sampling settings that are free.
    pub settings: FreeSettings,
    /// How many requests a job may have under way; one after the other where this is not said.
    pub requests_in_flight: Option<u32>,
    /// The folder of the worlds; those that come with the benchmark where there is none.
    pub folder: Option<PathBuf>,
}

/// Runs the jobs and prints what they came to.
///
/// # Errors
/// A world cannot be read, or a job makes no sense.
pub fn print(out: &mut impl Write, measure: &Measure) -> anyhow::Result<()> {
    let worlds = load(measure.folder.as_deref(), measure.settings)?;
    let known = ways();
    let ways: Vec<_> = if measure.ways.is_empty() {
        known
    } else {
        for name in &measure.ways {
            if known.iter().all(|known| known.name != name) {
                let names: Vec<&str> = known.iter().map(|known| known.name).collect();
                bail!(
                    "`{name}` is no way to search; there are {}",
                    names.join(", ")
                );
            }
        }
        let wanted = |known: &Way| measure.ways.iter().any(|way| way == known.name);
        known.into_iter().filter(wanted).collect()
    };
    for factor in &measure.factors {
        let mut table = table::new([
            "budget ×",
            "way",
            "mean",
            "mean of medians",
            "mean of lower quartiles",
            "worst median",
            "over budget",
            "no winner",
            "spent",
            "trials",
            "in flight",
        ]);
        let mut losses = table::new([
            "budget ×",
            "way",
            "not begun",
            "not finished",
            "not chosen",
            "extent",
        ]);
        let mut medians = table::new([
            "world",
            "best",
            "way",
            "median",
            "lower quartile",
            "cost",
            "in flight",
        ]);
        for way in &ways {
            let jobs = worlds.len() as u64 * measure.seeds;
            let outcomes = parallel::each(jobs, |index| {
                let which = usize::try_from(index / measure.seeds)?;
                let seed = measure.first_seed + index % measure.seeds;
                job::run(
                    &worlds[which].0,
                    *factor,
                    seed,
                    way,
                    measure.requests_in_flight,
                )
            })?;
            let by_world: Vec<&[Outcome]> =
                outcomes.chunks(usize::try_from(measure.seeds)?).collect();
            let mut of_worlds = Vec::new();
            let mut lost = Vec::new();
            let mut means = Vec::new();
            for ((world, best), outcomes) in worlds.iter().zip(&by_world) {
                let shares: Vec<f64> = outcomes
                    .iter()
                    .map(|one| one.winner.utility / best)
                    .collect();
                means.push(Spread::of(&shares));
                lost.extend(outcomes.iter().map(|one| Lost::of(one, *best)));
                let costs = outcomes.iter().map(|one| one.winner.cost).collect();
                let (Some(shares), Some(costs)) = (Quartiles::of(shares), Quartiles::of(costs))
                else {
                    continue;
                };
                of_worlds.push(shares);
                medians.add_row([
                    world.name.clone(),
                    format!("{best:.4}"),
                    way.name.to_owned(),
                    format!("{:.3}", shares.median),
                    format!("{:.3}", shares.low),
                    format!("{:.2}", costs.median),
                    format!("{:.1}", mean(outcomes, |one| one.in_flight)),
                ]);
            }
            let count =
                |of: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|one| of(one)).count();
            let lost = |of: &dyn Fn(&Lost) -> f64| format!("{:.3}", mean(&lost, of));
            losses.add_row([
                format!("{factor}"),
                way.name.to_owned(),
                lost(&|one| one.not_begun),
                lost(&|one| one.not_finished),
                lost(&|one| one.not_chosen),
                lost(&|one| one.extent),
            ]);
            table.add_row([
                format!("{factor}"),
                way.name.to_owned(),
                pooled(&means),
                format!("{:.3}", mean(&of_worlds, |one| one.median)),
                format!("{:.3}", mean(&of_worlds, |one| one.low)),
                format!("{:.3}", worst_median(&of_worlds)),
                format!(
                    "{} of {}",
                    count(&|one| one.winner.is_over_budget()),
                    outcomes.len()
                ),
                format!("{}", count(&|one| !one.winner.won)),
                format!("{:.2}", mean(&outcomes, |one| one.spent)),
                format!("{:.0}", mean(&outcomes, |one| f64::from(one.trials))),
                format!("{:.1}", mean(&outcomes, |one| one.in_flight)),
            ]);
        }
        writeln!(out, "{medians}\n{table}\n{losses}")?;
    }
    writeln!(
        out,
        "The winner's exact utility as a share of the best, {} jobs on each of {} worlds; seeds from {}.\n\
         What the mean misses, as a share of the best: sampling settings better than all that were drawn for,\n\
         better ones that were not seen on every row, better ones that did not win, and the winner's extent.",
        measure.seeds,
        worlds.len(),
        measure.first_seed
    )?;
    Ok(())
}

/// The mean of a number that each of some things has.
fn mean<T>(of: &[T], number: impl Fn(&T) -> f64) -> f64 {
    of.iter().map(number).sum::<f64>() / of.len() as f64
}

fn worst_median(of_worlds: &[Quartiles]) -> f64 {
    let medians = of_worlds.iter().map(|one| one.median);
    medians.fold(f64::INFINITY, f64::min)
}

/// Where a job lost what its winner misses, as shares of the best.
struct Lost {
    not_begun: f64,
    not_finished: f64,
    not_chosen: f64,
    extent: f64,
}

impl Lost {
    fn of(outcome: &Outcome, best: f64) -> Self {
        let WithinReach {
            begun,
            complete,
            chosen,
        } = outcome.within_reach;
        Self {
            not_begun: 1.0 - begun / best,
            not_finished: (begun - complete) / best,
            not_chosen: (complete - chosen) / best,
            extent: (chosen - outcome.winner.utility) / best,
        }
    }
}

/// The mean over the worlds, with the standard error that stems from the seeds.
fn pooled(of_worlds: &[Spread]) -> String {
    let count = of_worlds.len() as f64;
    // One seed tells nothing of how much others differ from it.
    if of_worlds.iter().any(|one| one.count < 2) {
        return format!("{:.3}", mean(of_worlds, |one| one.mean));
    }
    let pooled = Spread {
        mean: of_worlds.iter().map(|one| one.mean).sum::<f64>() / count,
        error: of_worlds
            .iter()
            .map(|one| one.error.powi(2))
            .sum::<f64>()
            .sqrt()
            / count,
        count: of_worlds.len(),
    };
    pooled.show(3)
}

/// The worlds that come with the benchmark, each with the best utility that its budget allows.
///
/// # Errors
/// They cannot be read.
pub fn bundled() -> anyhow::Result<Vec<(World, f64)>> {
    load(None, FreeSettings::Temperature)
}

/// The worlds of a folder, or those that come with the benchmark, with settings laid over them: each with the
/// best utility that its budget allows.
fn load(folder: Option<&Path>, settings: FreeSettings) -> anyhow::Result<Vec<(World, f64)>> {
    let folder = folder.unwrap_or(Path::new(BUNDLED));
    let at = || format!("the worlds in {}", folder.display());
    let best = folder.join("best.json");
    let written = settings == FreeSettings::Temperature && best.exists();
    let best: BTreeMap<String, f64> = if written {
        serde_json::from_slice(&std::fs::read(&best)?).with_context(at)?
    } else {
        BTreeMap::new()
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(at)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    paths.sort();
    let mut worlds = Vec::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str());
        let bytes = match name.unwrap_or_default() {
            "best.json" => continue,
            name if name.ends_with(".json.gz") => {
                let mut bytes = Vec::new();
                GzDecoder::new(std::fs::File::open(&path)?).read_to_end(&mut bytes)?;
                bytes
            }
            name if name.ends_with(".json") => std::fs::read(&path)?,
            _ => continue,
        };
        let world = World::read(&bytes).with_context(|| path.display().to_string())?;
        worlds.push(world.with(settings, OVERLAY_SEED));
    }
    if worlds.is_empty() {
        bail!("{} has no world", folder.display());
    }
    let found = parallel::each(worlds.len() as u64, |index| {
        let world = &worlds[usize::try_from(index)?];
        let known = best.get(&world.name).copied();
        Ok(known.unwrap_or_else(|| optimum::best(world)))
    })?;
    let worlds = worlds.into_iter().zip(found).collect();
    Ok(worlds)
}

#[cfg(test)]
mod tests;
