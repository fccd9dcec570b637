//! Search against search, by budget and by the clock.

use super::effort::Effort;
use super::halving::halve;
use super::page::{Findings, Table};
use super::plot::{Drawn, Plot, Series};
use super::spread::{Sign, Spread};
use crate::endpoint::Endpoint;
use crate::parallel;
use crate::run::{self, Job};
use crate::worlds::way::Way;
use crate::worlds::{self, World, job};
use serde_json::json;

const FACTORS: [f64; 5] = [1.0, 2.0, 5.0, 25.0, 100.0];
const WORLDS: usize = 6;
/// How long a call lasts.
const CALL_SECONDS: f64 = 0.2;
/// Requests under way at once, which is what jobs have where they name none.
const IN_FLIGHT: u64 = 32;

const NAMES: [&str; 7] = [
    "profiled",
    "blendsearch",
    "cfo",
    "tpe",
    "random",
    "grid",
    "successive halving",
];

/// What a search of a name changes in a job; nothing where it is none of Frugal's.
fn way(name: &'static str) -> Option<Way> {
    let changes = match name {
        "profiled" => json!({}),
        "successive halving" => return None,
        algorithm => json!({"search": {"extent": "searched", "algorithm": algorithm}}),
    };
    Some(Way {
        name,
        changes,
        at_defaults: false,
    })
}

/// What one search came to.
#[derive(Debug, Clone, Copy)]
struct One {
    share: f64,
    seconds: f64,
    spent: f64,
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let all = worlds::bundled()?;
    let all = effort.some(&all, 1);
    let count = all.len().min(WORLDS);
    // Of each kind of world as many: they alternate.
    let worlds = &all[..count];
    let factors = effort.some(&FACTORS, 2);
    let mut table = Table::new(
        "searches",
        "The winner's exact utility as a share of the best, and how long a job takes at 200 ms per call",
        [
            "search",
            "budget ×",
            "share of the best",
            "share, lower quartile",
            "seconds",
            "spent",
        ],
    );
    let mut shares: Vec<Vec<Spread>> = Vec::new();
    let mut seconds: Vec<Vec<Spread>> = Vec::new();
    let mut logs: Vec<Vec<Spread>> = Vec::new();
    let mut all_found: Vec<Vec<Vec<f64>>> = Vec::new();
    for name in NAMES {
        let way = way(name);
        let (mut of_shares, mut of_seconds) = (Vec::new(), Vec::new());
        let (mut of_logs, mut of_found) = (Vec::new(), Vec::new());
        for factor in factors {
            let jobs = worlds.len() as u64 * effort.seeds;
            let found = parallel::each(jobs, |index| {
                let (world, best) = &worlds[usize::try_from(index / effort.seeds)?];
                one(
                    world,
                    *best,
                    *factor,
                    1 + index % effort.seeds,
                    way.as_ref(),
                )
            })?;
            let column = |of: fn(&One) -> f64| -> Vec<f64> { found.iter().map(of).collect() };
            let values = column(|one| one.share);
            let (share, time) = (Spread::of(&values), Spread::of(&column(|one| one.seconds)));
            let quartiles = crate::table::Quartiles::of(values.clone());
            table.push([
                name.into(),
                (*factor).into(),
                share.into(),
                quartiles.map_or(0.0, |of| of.low).into(),
                time.into(),
                Spread::of(&column(|one| one.spent)).into(),
            ]);
            of_shares.push(share);
            of_seconds.push(time);
            of_logs.push(Spread::of(&column(|one| {
                one.seconds.max(CALL_SECONDS).log10()
            })));
            of_found.push(values);
        }
        shares.push(of_shares);
        seconds.push(of_seconds);
        logs.push(of_logs);
        all_found.push(of_found);
    }
    let steps: Vec<String> = factors.iter().map(|factor| format!("{factor}×")).collect();
    let series = |of: &[Vec<Spread>]| -> Vec<Series> {
        let named = NAMES.iter().zip(of);
        named
            .map(|(name, values)| Series {
                name: (*name).to_owned(),
                values: values.iter().map(|value| value.value()).collect(),
            })
            .collect()
    };
    // The best of the others at each budget, and the difference to it job by job.
    let compared: Vec<(usize, Spread)> = (0..factors.len())
        .map(|step| {
            let others = 1..NAMES.len();
            let second = others.max_by(|one, other| {
                shares[*one][step]
                    .mean
                    .total_cmp(&shares[*other][step].mean)
            });
            let second = second.unwrap_or(1);
            let gain = Spread::of_differences(&all_found[0][step], &all_found[second][step]);
            (second, gain)
        })
        .collect();
    let said: Vec<String> = factors
        .iter()
        .zip(&compared)
        .map(|(factor, (second, gain))| {
            format!(
                "at {factor}× {:+.3} ± {:.3} against {}",
                gain.mean, gain.error, NAMES[*second]
            )
        })
        .collect();
    let ahead = compared
        .iter()
        .filter(|(_, gain)| gain.sign() == Sign::Above)
        .count();
    let last = factors.len() - 1;
    let order = |step: usize| {
        let mut order: Vec<usize> = (0..NAMES.len()).collect();
        order.sort_by(|one, other| {
            shares[*other][step]
                .mean
                .total_cmp(&shares[*one][step].mean)
        });
        let named = order
            .iter()
            .map(|which| format!("{} {:.2}", NAMES[*which], shares[*which][step].mean));
        named.collect::<Vec<_>>().join(", ")
    };
    let mut surprises = Vec::new();
    let random = 4;
    for which in [1, 2, 3, 6] {
        let gain = Spread::of_differences(&all_found[which][last], &all_found[random][last]);
        if gain.sign() == Sign::Below {
            surprises.push(format!(
                "At {}× {} finds less than random search ({:+.3} ± {:.3} of the best).",
                factors[last], NAMES[which], gain.mean, gain.error
            ));
        }
    }
    if let Some(step) = compared
        .iter()
        .position(|(_, gain)| gain.sign() != Sign::Above)
    {
        let (second, gain) = compared[step];
        surprises.push(format!(
            "At {}× the profiled search cannot be told from {} ({:+.3} ± {:.3}).",
            factors[step], NAMES[second], gain.mean, gain.error
        ));
    }
    let faster = (1..NAMES.len())
        .filter(|which| seconds[*which][last].mean < seconds[0][last].mean)
        .map(|which| NAMES[which])
        .collect::<Vec<_>>();
    Ok(Findings {
        set_up: format!(
            "{count} worlds that come with the benchmark, half of them with answers in clusters and half with listed \
             ones; every search over model, prompt, temperature, max_tokens and n, under equal optimization budgets of {} \
             times the inference budget over all rows. Frugal's own five searches of every setting run with `extent: \
             searched` and its pruning, four trials at a time; successive halving is the benchmark's own (draws from the \
             whole space, 4 rows first, the better half goes on to twice as many, brackets as long as there is money). Calls last 200 ms each; {IN_FLIGHT} \
             may be under way at once, and what the search itself computes is not counted.",
            factors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ),
        answer: [
            format!(
                "The profiled search is ahead of the best of the six others beyond two standard errors at {ahead} of {} \
                 budgets ({}).",
                factors.len(),
                said.join("; ")
            ),
            format!(
                "At {}× the order is {}; a profiled job takes {:.0} s there at 200 ms per call, {}.",
                factors[last],
                order(last),
                seconds[0][last].mean,
                match faster.as_slice() {
                    [] => "less than every other".to_owned(),
                    some => format!("and {} less", some.join(", ")),
                }
            ),
        ],
        surprises,
        would_change: "A space with many sampling settings leaves the profiled search less of an advantage, since it reads \
                       only n and max_tokens from what it drew. More requests under way at once shorten grid, random \
                       search and successive halving most, whose trials do not wait for each other's results. With the \
                       budget of a large data set and few configurations to choose from, all of them find the best."
            .to_owned(),
        plots: vec![
            Plot {
                name: "budgets",
                caption: "The winner's exact utility as a share of the best; the band is two standard errors".to_owned(),
                x: "optimization budget, × inference budget × rows",
                y: "share of the best",
                drawn: Drawn::Lines {
                    steps: steps.clone(),
                    series: series(&shares),
                },
            },
            Plot {
                name: "seconds",
                caption: "How long a job takes where every call lasts 200 ms, as the decimal logarithm of seconds; the band is two standard errors".to_owned(),
                x: "optimization budget, × inference budget × rows",
                y: "log10 of seconds",
                drawn: Drawn::Lines {
                    steps,
                    series: series(&logs),
                },
            },
        ],
        tables: vec![table],
    })
}

fn one(world: &World, best: f64, factor: f64, seed: u64, way: Option<&Way>) -> anyhow::Result<One> {
    let Some(way) = way else {
        let budget = factor * world.inference_budget * world.rows() as f64;
        let halved = halve(world, budget, IN_FLIGHT, seed)?;
        return Ok(One {
            share: halved.utility / best,
            seconds: CALL_SECONDS * halved.calls as f64,
            spent: halved.spent / budget,
        });
    };
    let spec = job::spec(world, factor, seed, way)?;
    let rows: Vec<usize> = (0..world.rows()).collect();
    let (found, calls) = run::run_side_by_side(Job {
        spec: &spec,
        endpoint: world,
        tuning: &rows,
        holdout: &[],
        earlier: None,
    })?;
    let unit = spec.optimization_budget.unit();
    let spent = unit.of(found.report.spend) as f64 / spec.optimization_budget.amount() as f64;
    let winner = found.winner();
    Ok(One {
        share: winner.map_or(0.0, |winner| world.truth(&winner.settings).0) / best,
        seconds: CALL_SECONDS * calls as f64,
        spent,
    })
}
