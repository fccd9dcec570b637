//! Search against search, by budget and by the clock.

use super::effort::Effort;
use super::halving::{self, halve};
use super::made;
use super::page::{Cell, Findings, Table, list};
use super::plot::{Drawn, Plot, Series};
use crate::endpoint::Endpoint;
use crate::run;
use crate::spread::{Sign, Spread};
use crate::worlds::job::Winner;
use crate::worlds::way::Way;
use crate::worlds::{self, World, job};
use anyhow::Context;
use serde_json::json;

const FACTORS: [f64; 5] = [1.0, 2.0, 5.0, 25.0, 100.0];
const WORLDS: usize = 6;
/// How long a call lasts, in milliseconds.
const CALL_MS: u64 = 200;
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
    winner: Winner,
    share: f64,
    seconds: f64,
    spent: f64,
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let all = worlds::bundled()?;
    let all = effort.some(&all, 1);
    let count = all.len().min(WORLDS);
    let worlds = &all[..count];
    let factors = effort.some(&FACTORS, 2);
    let mut table = Table::new(
        "searches",
        format!(
            "The winner's exact utility as a share of the best, how long a job takes at {CALL_MS} ms per call, and what it \
             spent of its optimization budget"
        ),
        [
            "search",
            "budget ×",
            "share of the best",
            "share, lower quartile",
            made::OVER_BUDGET,
            "seconds",
            "spent",
        ],
    );
    let mut shares: Vec<Vec<Spread>> = Vec::new();
    let mut seconds: Vec<Vec<Spread>> = Vec::new();
    let mut logs: Vec<Vec<Spread>> = Vec::new();
    let mut all_found: Vec<Vec<Vec<f64>>> = Vec::new();
    let mut most_spent = 0.0_f64;
    for name in NAMES {
        let way = way(name);
        let (mut of_shares, mut of_seconds) = (Vec::new(), Vec::new());
        let (mut of_logs, mut of_found) = (Vec::new(), Vec::new());
        for factor in factors {
            let found = effort.by_seed(worlds.len(), |which, seed| {
                let (world, best) = &worlds[which];
                one(world, *best, *factor, 1 + seed, way.as_ref())
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
                Cell::count(&found, |one| one.winner.is_over_budget()),
                time.into(),
                Spread::of(&column(|one| one.spent)).into(),
            ]);
            most_spent = column(|one| one.spent)
                .into_iter()
                .fold(most_spent, f64::max);
            of_shares.push(share);
            of_seconds.push(time);
            of_logs.push(Spread::of(&column(|one| {
                one.seconds.max(seconds_of(1)).log10()
            })));
            of_found.push(values);
        }
        shares.push(of_shares);
        seconds.push(of_seconds);
        logs.push(of_logs);
        all_found.push(of_found);
    }
    let steps: Vec<String> = factors.iter().map(|factor| format!("{factor}×")).collect();
    let searched = way("random").context("a search of every setting")?;
    let defaults = job::spec(&worlds[0].0, factors[0], 1, &searched)?;
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
            format!("at {factor}× {} against {}", gain.change(3), NAMES[*second])
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
                "At {}× {} finds less than random search ({} of the best).",
                factors[last],
                NAMES[which],
                gain.change(3)
            ));
        }
    }
    if let Some(step) = compared
        .iter()
        .position(|(_, gain)| gain.sign() != Sign::Above)
    {
        let (second, gain) = compared[step];
        surprises.push(format!(
            "At {}× the profiled search {} {} ({}).",
            factors[step],
            gain.sign()
                .words("is ahead of", "finds less than", "cannot be told from"),
            NAMES[second],
            gain.change(3)
        ));
    }
    let faster = (1..NAMES.len())
        .filter(|which| seconds[*which][last].mean < seconds[0][last].mean)
        .map(|which| NAMES[which])
        .collect::<Vec<_>>();
    Ok(Findings {
        set_up: format!(
            "{count} worlds that come with the benchmark; every search over model, prompt, temperature, max_tokens and n, \
             under equal optimization budgets of {} times the inference budget over all rows, of which none spends more \
             than {most_spent:.2} (by search in the table). Frugal's own searches of every setting run with `extent: \
             searched` and its pruning, {} trials at a time; successive halving is the benchmark's own (draws from the \
             whole space, {} rows first, the better half goes on to twice as many, brackets as long as there is money, and \
             no call whose worst case the budget does not cover). Calls last {CALL_MS} ms each; {IN_FLIGHT} may be under way \
             at once, and what the search itself computes is not counted. {}",
            list(factors),
            defaults.search.parallel_trials,
            halving::FIRST,
            made::over_budget()
        ),
        answer: [
            format!(
                "The profiled search is ahead of the best of the {} others beyond two standard errors at {ahead} of {} \
                 budgets ({}).",
                NAMES.len() - 1,
                factors.len(),
                said.join("; ")
            ),
            format!(
                "At {}× the order is {}; a profiled job takes {:.0} s there at {CALL_MS} ms per call, {}.",
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
        would_change: "a space with many sampling settings leaves the profiled search less of an advantage, since it reads \
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
                caption: format!("How long a job takes where every call lasts {CALL_MS} ms, as the decimal logarithm of seconds; the band is two standard errors"),
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
            winner: halved.winner,
            share: halved.winner.utility / best,
            seconds: seconds_of(halved.calls),
            spent: halved.spent / budget,
        });
    };
    let spec = job::spec(world, factor, seed, way)?;
    let (found, calls) = run::side_by_side(&spec, world)?;
    let unit = spec.optimization_budget.unit();
    let spent = unit.of(found.report.spend) as f64 / spec.optimization_budget.amount() as f64;
    let winner = Winner::of(world, found.winner().map(|winner| &winner.settings));
    Ok(One {
        winner,
        share: winner.utility / best,
        seconds: seconds_of(calls),
        spent,
    })
}

/// How long so many calls last, one after the other.
fn seconds_of(calls: u64) -> f64 {
    (CALL_MS * calls) as f64 / 1000.0
}
