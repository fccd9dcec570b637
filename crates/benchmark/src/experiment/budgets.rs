//! How a search fares by its two budgets: what one instance may cost, and what the job may spend.

use super::effort::Effort;
use super::made;
use super::page::{Cell, Findings, Table, list};
use super::plot::{Drawn, Plot, Series};
use crate::parallel;
use crate::run;
use crate::spread::{Sign, Spread};
use crate::worlds::job::Winner;
use crate::worlds::way::Way;
use crate::worlds::{self, World, job, optimum};
use serde_json::json;

/// What the worlds' inference budgets are multiplied by.
const INFERENCE: [f64; 4] = [0.25, 0.5, 1.0, 4.0];
/// Optimization budgets, as multiples of the inference budget over all rows.
const OPTIMIZATION: [f64; 4] = [1.0, 2.0, 5.0, 25.0];
const WORLDS: usize = 8;
/// A share of the best below which a search is said to have lost its footing.
const FOOTING: f64 = 0.8;
/// A world whose best is below this at some inference budget is left out there.
const LEAST: f64 = 0.05;

fn ways() -> [Way; 3] {
    let way = |name, changes| Way {
        name,
        changes,
        at_defaults: false,
    };
    [
        way("profiled", json!({})),
        way(
            "published",
            json!({"search": {"pruning": "reference", "parallel_trials": 1,
                              "options": {"low_cost_starts": false}}}),
        ),
        way(
            "published, not pruned",
            json!({"search": {"pruning": "off", "parallel_trials": 1,
                              "options": {"low_cost_starts": false}}}),
        ),
    ]
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let all = worlds::bundled()?;
    let all = effort.some(&all, 1);
    let inference = effort.some(&INFERENCE, 2);
    let optimization = effort.some(&OPTIMIZATION, 2);
    let ways = ways();
    let mut table = Table::new(
        "grid",
        "The winner's exact utility as a share of the best that the inference budget allows, by budgets and way; jobs without a winner count 0",
        [
            "inference ×",
            "optimization ×",
            "way",
            "worlds",
            "share of the best",
            "jobs without a winner",
            made::OVER_BUDGET,
            "trials",
        ],
    );
    let mut shares: Vec<Vec<[Spread; 3]>> = Vec::new();
    let mut pruning = Vec::new();
    for scale in inference {
        let scaled = parallel::each(all.len().min(WORLDS) as u64, |index| {
            let (world, best) = &all[usize::try_from(index)?];
            // The best at their own budgets came with the worlds.
            if *scale == 1.0 {
                return Ok((world.clone(), *best));
            }
            let world = world.with_budget_times(*scale);
            let best = optimum::best(&world);
            Ok((world, best))
        })?;
        let possible: Vec<(World, f64)> = scaled
            .into_iter()
            .filter(|(_, best)| *best >= LEAST)
            .collect();
        let mut of_scale = Vec::new();
        for factor in optimization {
            let mut cell = [Spread::NOTHING; 3];
            let mut of_ways = Vec::new();
            for (way, spread) in ways.iter().zip(&mut cell) {
                let found = effort.by_seed(possible.len(), |which, seed| {
                    let (world, best) = &possible[which];
                    one(world, *best, *factor, 1 + seed, way)
                })?;
                let values: Vec<f64> = found.iter().map(|one| one.share).collect();
                *spread = Spread::of(&values);
                let trials: Vec<f64> = found.iter().map(|one| f64::from(one.trials)).collect();
                table.push([
                    (*scale).into(),
                    (*factor).into(),
                    way.name.into(),
                    Cell::Count(possible.len() as u64),
                    (*spread).into(),
                    Cell::count(&found, |one| !one.winner.won),
                    Cell::count(&found, |one| one.winner.is_over_budget()),
                    Spread::of(&trials).into(),
                ]);
                of_ways.push(values);
            }
            pruning.push((
                (*scale, *factor),
                Spread::of_differences(&of_ways[1], &of_ways[2]),
            ));
            of_scale.push(cell);
        }
        shares.push(of_scale);
    }
    let steps: Vec<String> = optimization
        .iter()
        .map(|factor| format!("{factor}×"))
        .collect();
    let plot = |which: usize, name: &'static str| Plot {
        name,
        caption: format!(
            "{}: the winner's exact utility as a share of the best, by optimization budget, a line for each inference \
             budget; the band is two standard errors",
            ways[which].name
        ),
        x: "optimization budget, × inference budget × rows",
        y: "share of the best",
        drawn: Drawn::Lines {
            steps: steps.clone(),
            series: inference
                .iter()
                .zip(&shares)
                .map(|(scale, of_scale)| Series {
                    name: format!("inference budget × {scale}"),
                    values: of_scale.iter().map(|cell| cell[which].value()).collect(),
                })
                .collect(),
        },
    };
    // By inference budget, the least optimization budget from which on a way keeps its footing.
    let footed = |which: usize| -> String {
        let of = inference.iter().zip(&shares).map(|(scale, of_scale)| {
            let holds = |step: usize| of_scale[step][which].mean >= FOOTING;
            let from = (0..optimization.len()).find(|step| (*step..optimization.len()).all(holds));
            match from {
                Some(step) => format!("from {}× on at inference × {scale}", optimization[step]),
                None => format!("nowhere at inference × {scale}"),
            }
        });
        of.collect::<Vec<_>>().join(", ")
    };
    let mut worst: Option<(f64, f64, f64)> = None;
    for (scale, of_scale) in inference.iter().zip(&shares) {
        for (factor, cell) in optimization.iter().zip(of_scale) {
            let share = cell[0].mean;
            if worst.is_none_or(|(_, _, least)| share < least) {
                worst = Some((*scale, *factor, share));
            }
        }
    }
    let worst = worst.map_or_else(String::new, |(scale, factor, share)| {
        format!(
            "; the profiled search's weakest place is inference × {scale} with optimization {factor}×, where it finds {:.0} %",
            100.0 * share
        )
    });
    let named = |sign: Sign| -> Vec<String> {
        pruning
            .iter()
            .filter(|(_, gain)| gain.sign() == sign)
            .map(|((scale, factor), gain)| format!("{scale}/{factor}× ({})", gain.change(3)))
            .collect()
    };
    let (helps, harms) = (named(Sign::Above), named(Sign::Below));
    let listed = |what: &[String]| match what {
        [] => "nowhere".to_owned(),
        some => format!("at {}", some.join(", ")),
    };
    let mut surprises = Vec::new();
    if !harms.is_empty() {
        surprises.push(format!(
            "The published pruning costs more than it gains (inference/optimization) {}.",
            listed(&harms)
        ));
    }
    let falling = inference.iter().zip(&shares).find(|(_, of_scale)| {
        let profiled: Vec<Spread> = of_scale.iter().map(|cell| cell[0]).collect();
        profiled
            .windows(2)
            .any(|pair| pair[1].mean + 2.0 * pair[1].error < pair[0].mean - 2.0 * pair[0].error)
    });
    if let Some((scale, _)) = falling {
        surprises.push(format!(
            "With the inference budget × {scale} a larger optimization budget once found less than a smaller one, beyond \
             two standard errors."
        ));
    }
    Ok(Findings {
        set_up: format!(
            "{} worlds that come with the benchmark (`crates/benchmark/worlds`), their inference budgets multiplied by {}, \
             and optimization budgets of {} times the inference budget over all rows. Each way searches model, prompt, \
             temperature, max_tokens and n: `profiled` is Frugal's own, `published` the paper's (BlendSearch with its \
             pruning, one trial at a time), and the third the same without pruning. The best at each inference budget \
             is looked for with the truth at hand; worlds whose best is below {LEAST} there are left out. {}",
            all.len().min(WORLDS),
            list(inference),
            list(optimization),
            made::over_budget()
        ),
        answer: [
            format!(
                "The profiled search finds {:.0} % of the best or more {}; the published one {}{worst}.",
                100.0 * FOOTING,
                footed(0),
                footed(1)
            ),
            format!(
                "The published pruning pays (inference/optimization, beyond two standard errors) {}, and costs more than \
                 it gains {}.",
                listed(&helps),
                listed(&harms)
            ),
        ],
        surprises,
        would_change: format!(
            "another threshold than {FOOTING}, and other worlds: where one answer of a good model costs nearly the inference \
             budget, an optimization budget of 1× pays for one pass of one configuration, and no search can compare \
             two. More seeds would tell smaller differences between pruned and not pruned searches."
        ),
        plots: vec![
            plot(0, "profiled"),
            plot(1, "published"),
            plot(2, "not-pruned"),
        ],
        tables: vec![table],
    })
}

/// What one job came to.
#[derive(Debug, Clone, Copy)]
struct One {
    winner: Winner,
    share: f64,
    trials: u32,
}

fn one(world: &World, best: f64, factor: f64, seed: u64, way: &Way) -> anyhow::Result<One> {
    let spec = job::spec(world, factor, seed, way)?;
    let found = run::over_all_rows(&spec, world)?;
    let winner = Winner::of(world, found.winner().map(|winner| &winner.settings));
    Ok(One {
        winner,
        share: winner.utility / best,
        trials: found.report.trials.trials(),
    })
}
