//! Whole searches on worlds whose exact utility is known: what the winner is worth, as a share of the
//! best that there is.

mod job;
mod world;

use crate::parallel;
use crate::table::{self, Quartiles};
use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use job::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use world::World;

/// A winner that costs more than this share of the inference budget counts as over it.
const OVER: f64 = 1.03;

/// The worlds that come with the benchmark.
const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/worlds");

/// Ways to search, by name, with what they change in a job's document.
fn ways() -> Vec<(&'static str, Value)> {
    let searched =
        |algorithm: &str| json!({"search": {"extent": "searched", "algorithm": algorithm}});
    vec![
        ("profiled", json!({})),
        ("profiled, no baseline", json!({"baseline": false})),
        (
            "profiled, random arms",
            json!({"search": {"algorithm": "random"}}),
        ),
        ("searched", searched("blendsearch")),
        (
            "searched, cheap starts",
            json!({"search": {"extent": "searched", "options": {"low_cost_starts": true}}}),
        ),
        (
            "published",
            json!({"search": {"pruning": "reference", "parallel_trials": 1,
                              "options": {"low_cost_starts": false}}}),
        ),
        ("cfo", searched("cfo")),
        ("tpe", searched("tpe")),
        ("random", searched("random")),
    ]
}

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
    /// The folder of the worlds; those that come with the benchmark where there is none.
    pub folder: Option<PathBuf>,
}

/// Runs the jobs and prints what they came to.
///
/// # Errors
/// A world cannot be read, or a job makes no sense.
pub fn print(out: &mut impl Write, measure: &Measure) -> anyhow::Result<()> {
    let folder = measure.folder.as_deref().unwrap_or(Path::new(BUNDLED));
    let worlds = load(folder)?;
    let known = ways();
    let ways: Vec<_> = if measure.ways.is_empty() {
        known
    } else {
        for name in &measure.ways {
            if known.iter().all(|(known, _)| known != name) {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                bail!(
                    "`{name}` is no way to search; there are {}",
                    names.join(", ")
                );
            }
        }
        let wanted = |(name, _): &(&str, Value)| measure.ways.iter().any(|way| way == name);
        known.into_iter().filter(wanted).collect()
    };
    for factor in &measure.factors {
        let mut table = table::new([
            "budget ×",
            "way",
            "mean of medians",
            "mean of lower quartiles",
            "worst median",
            "over budget",
            "no winner",
            "spent",
            "trials",
        ]);
        let mut medians = table::new(["world", "best", "way", "median", "lower quartile", "cost"]);
        for (name, changes) in &ways {
            let jobs = worlds.len() as u64 * measure.seeds;
            let outcomes = parallel::each(jobs, |index| {
                let which = usize::try_from(index / measure.seeds)?;
                let seed = measure.first_seed + index % measure.seeds;
                job::run(&worlds[which].0, *factor, seed, changes)
            })?;
            let by_world: Vec<&[Outcome]> =
                outcomes.chunks(usize::try_from(measure.seeds)?).collect();
            let mut of_worlds = Vec::new();
            for ((world, best), outcomes) in worlds.iter().zip(&by_world) {
                let shares = outcomes.iter().map(|one| one.utility / best).collect();
                let costs = outcomes.iter().map(|one| one.cost).collect();
                let (Some(shares), Some(costs)) = (Quartiles::of(shares), Quartiles::of(costs))
                else {
                    continue;
                };
                of_worlds.push(shares);
                medians.add_row([
                    world.name.clone(),
                    format!("{best:.4}"),
                    (*name).to_owned(),
                    format!("{:.3}", shares.median),
                    format!("{:.3}", shares.low),
                    format!("{:.2}", costs.median),
                ]);
            }
            let mean = |of: &dyn Fn(&Quartiles) -> f64| {
                of_worlds.iter().map(of).sum::<f64>() / of_worlds.len() as f64
            };
            let worst = of_worlds.iter().map(|one| one.median);
            let count =
                |of: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|one| of(one)).count();
            let average = |of: &dyn Fn(&Outcome) -> f64| {
                outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64
            };
            table.add_row([
                format!("{factor}"),
                (*name).to_owned(),
                format!("{:.3}", mean(&|one| one.median)),
                format!("{:.3}", mean(&|one| one.low)),
                format!("{:.3}", worst.fold(f64::INFINITY, f64::min)),
                format!("{} of {}", count(&|one| one.cost > OVER), outcomes.len()),
                format!("{}", count(&|one| !one.won)),
                format!("{:.2}", average(&|one| one.spent)),
                format!("{:.0}", average(&|one| f64::from(one.trials))),
            ]);
        }
        writeln!(out, "{medians}\n{table}")?;
    }
    writeln!(
        out,
        "The winner's exact utility as a share of the best, {} jobs on each of {} worlds; seeds from {}.",
        measure.seeds,
        worlds.len(),
        measure.first_seed
    )?;
    Ok(())
}

/// The worlds of a folder, each with the best utility that its budget allows.
fn load(folder: &Path) -> anyhow::Result<Vec<(World, f64)>> {
    let at = || format!("the worlds in {}", folder.display());
    let best = folder.join("best.json");
    let best: BTreeMap<String, f64> = if best.exists() {
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
        let best = match best.get(&world.name) {
            Some(best) => *best,
            None => job::best(&world),
        };
        worlds.push((world, best));
    }
    if worlds.is_empty() {
        bail!("{} has no world", folder.display());
    }
    Ok(worlds)
}

#[cfg(test)]
mod tests;
