//! Assumption 3.1 of the paper under stress: lengths that depend on the temperature, which it leaves out.

use super::decisions::{Decisions, share};
use super::effort::Effort;
use super::made;
use super::page::{Cell, Findings, Table};
use super::plot::{Drawn, Plot, Series};
use crate::parallel;
use crate::run;
use crate::spread::{Sign, Spread};
use crate::worlds::job::Winner;
use crate::worlds::space::TEMPERATURES;
use crate::worlds::way::Way;
use crate::worlds::{Recipe, World, job, optimum};
use serde_json::json;

/// By how much the log of an answer's length grows with the temperature.
const DEGREES: [f64; 5] = [0.0, 0.5, 1.0, 1.5, 2.5];
const WORLDS: usize = 8;
const ROWS: usize = 30;
const FACTOR: f64 = 10.0;
/// The ways, of which the first two prune by the assumption.
const WAYS: [&str; 4] = ["reference", "on", "off", "profiled"];
/// A temperature that no text falls apart at, so that nothing but the degree makes lengths depend on it.
const NEVER: f64 = 20.0;

fn ways() -> [Way; 4] {
    WAYS.map(|name| Way {
        name,
        changes: match name {
            "profiled" => json!({}),
            pruning => {
                json!({"search": {"extent": "searched", "pruning": pruning, "parallel_trials": 1}})
            }
        },
        at_defaults: false,
    })
}

/// What one job came to.
#[derive(Debug, Clone, Copy)]
struct One {
    decisions: Decisions,
    winner: Winner,
    share: f64,
    violations: f64,
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let degrees = effort.some(&DEGREES, 2);
    let count = effort.count(WORLDS);
    // The same worlds at every degree.
    let plain = made::telling(count, unbroken)?;
    let ways = ways();
    let mut table = Table::new(
        "stress",
        "By the degree to which the assumption is violated, and by way",
        [
            "degree",
            "hot over cold length",
            "way",
            "tried",
            "valid ones pruned as over the budget",
            "contradictions noticed",
            "lost by wrong pruning",
            "share of the best",
            made::OVER_BUDGET,
        ],
    );
    let mut wrong = [const { Vec::new() }; 2];
    let mut shares = [const { Vec::new() }; 4];
    let mut all: Vec<[Vec<One>; 4]> = Vec::new();
    for degree in degrees {
        let worlds = parallel::each(plain.len() as u64, |index| {
            let (world, best) = &plain[usize::try_from(index)?];
            stressed(world, *best, *degree)
        })?;
        let mut of_degree = [const { Vec::new() }; 4];
        for (which, way) in ways.iter().enumerate() {
            let found = effort.by_seed(worlds.len(), |which, seed| {
                let (world, best) = &worlds[which];
                one(world, *best, 1 + seed, way)
            })?;
            let decisions: Vec<Decisions> = found.iter().map(|one| one.decisions).collect();
            let mean = |of: fn(&One) -> f64| Spread::of(&found.iter().map(of).collect::<Vec<_>>());
            let wrongly = share(
                &decisions,
                |one| one.wrongly_pruned_as_invalid,
                |one| one.pruned_as_invalid,
            );
            let of_best = mean(|one| one.share);
            table.push([
                (*degree).into(),
                hot_over_cold(*degree).into(),
                way.name.into(),
                mean(|one| f64::from(one.decisions.tried)).into(),
                wrongly.into(),
                mean(|one| one.violations).into(),
                mean(|one| one.decisions.price).into(),
                of_best.into(),
                Cell::count(&found, |one| one.winner.is_over_budget()),
            ]);
            if let Some(wrong) = wrong.get_mut(which) {
                wrong.push(wrongly);
            }
            shares[which].push(of_best);
            of_degree[which] = found;
        }
        all.push(of_degree);
    }
    let steps: Vec<String> = degrees
        .iter()
        .map(|degree| format!("{:.1}", hot_over_cold(*degree)))
        .collect();
    let series = |of: &[Vec<Spread>]| -> Vec<Series> {
        let named = WAYS.iter().zip(of);
        named
            .map(|(name, values)| Series {
                name: (*name).to_owned(),
                values: values.iter().map(|value| value.value()).collect(),
            })
            .collect()
    };
    let last = degrees.len() - 1;
    let price = |step: usize, which: usize| {
        Spread::of(
            &all[step][which]
                .iter()
                .map(|one| one.decisions.price)
                .collect::<Vec<_>>(),
        )
    };
    // Paired by world and seed: what each way gains on no pruning, and from the first degree to the last.
    let of = |step: usize, which: usize| -> Vec<f64> {
        all[step][which].iter().map(|one| one.share).collect()
    };
    let against_off = |which: usize| Spread::of_differences(&of(last, which), &of(last, 2));
    let (reference, on) = (against_off(0), against_off(1));
    let profiled = Spread::of_differences(&of(last, 3), &of(0, 3));
    let mut surprises = Vec::new();
    if wrong[0][0].mean > 0.01 {
        surprises.push(format!(
            "Where the assumption holds, {} of what the published schedule prunes as over the budget is within it: it \
             judges by a few rows, and these may be long ones.",
            wrong[0][0].per_cent()
        ));
    }
    match reference.sign() {
        Sign::Above => surprises.push(format!(
            "Pruning by an assumption that is violated most still finds more than not pruning ({} of the best): a valid \
             configuration thrown out is a loss only where nothing as good is left.",
            reference.change(3)
        )),
        Sign::Unclear => surprises.push(format!(
            "Wrong pruning, even at the highest degree, does not show in the winner against no pruning ({} of the best).",
            reference.change(3)
        )),
        Sign::Below => {}
    }
    Ok(Findings {
        set_up: format!(
            "Assumption 3.1 says that of configurations with the same model, prompt and stop texts those with more \
             responses or tokens cost more, whatever the temperature. There are {count} {}; they have {ROWS} rows, and lengths of answers \
             are multiplied by exp(degree · (temperature − 1)), so that at the highest temperature of {} they are up to \
             {:.0} times as long as at 0. The optimization budget is {FACTOR} times the inference budget over all rows. \
             `reference` is the published schedule, `on` Frugal's for a search of every setting, `off` prunes nothing; \
             `profiled` reads costs from each sampling setting's own answers and does not need the assumption. {}",
            made::WORDS,
            TEMPERATURES[1],
            hot_over_cold(degrees[last]),
            made::over_budget()
        ),
        answer: [
            format!(
                "Of what is pruned as over the budget, {} (`reference`) and {} (`on`) is within it where lengths do not \
                 depend on the temperature, and {} and {} where hot answers are {:.0} times as long; in utility wrong \
                 pruning lost {:.4} and {:.4} there against the winner.",
                wrong[0][0].per_cent(),
                wrong[1][0].per_cent(),
                wrong[0][last].per_cent(),
                wrong[1][last].per_cent(),
                hot_over_cold(degrees[last]),
                price(last, 0).mean,
                price(last, 1).mean
            ),
            format!(
                "At the highest degree winners of `reference` and `on` are worth {} and {} of the best against no pruning, \
                 while the profiled search's share {} ({:.3} at the lowest degree, {:.3} at the highest, where {} of its {} \
                 winners are over the inference budget).",
                reference.change(3),
                on.change(3),
                profiled.sign().words("rises", "falls", "does not change within the errors"),
                shares[3][0].mean,
                shares[3][last].mean,
                all[last][3]
                    .iter()
                    .filter(|one| one.winner.is_over_budget())
                    .count(),
                all[last][3].iter().filter(|one| one.winner.won).count()
            ),
        ],
        surprises,
        would_change: "worlds in which long and short answers of one region are worth equally much forgive wrong pruning; \
                       ones in which a single cold configuration is far better than all others would make it dear. \
                       Tables by temperature as well as by region would keep the assumption true, at the price of \
                       knowing less from each trial."
            .to_owned(),
        plots: vec![
            Plot {
                name: "wrong",
                caption: "The share of what was pruned as over the inference budget that is within it, by how many times as long hot answers are as cold ones; the band is two standard errors".to_owned(),
                x: "length of the hottest answers over that of the coldest",
                y: "share of what was pruned",
                drawn: Drawn::Lines {
                    steps: steps.clone(),
                    series: series(&wrong),
                },
            },
            Plot {
                name: "winners",
                caption: "The winner's exact utility as a share of the best; the band is two standard errors".to_owned(),
                x: "length of the hottest answers over that of the coldest",
                y: "share of the best",
                drawn: Drawn::Lines {
                    steps,
                    series: series(&shares),
                },
            },
        ],
        tables: vec![table],
    })
}

/// How many times as long the hottest answers are as the coldest, at a degree.
fn hot_over_cold(degree: f64) -> f64 {
    ((TEMPERATURES[1] - TEMPERATURES[0]) * degree).exp()
}

/// A world in which nothing makes lengths depend on the temperature.
fn unbroken(seed: u64) -> anyhow::Result<World> {
    let mut recipe = Recipe::drawn(seed, ROWS);
    for model in &mut recipe.models {
        model.breaks = NEVER;
    }
    recipe.world()
}

/// The same world with lengths that depend on the temperature to a degree, and its best.
fn stressed(plain: &World, best: f64, degree: f64) -> anyhow::Result<(World, f64)> {
    if degree == 0.0 {
        return Ok((plain.clone(), best));
    }
    let world = plain.clone().with_length_by_temperature(degree);
    let best = optimum::best(&world);
    Ok((world, best))
}

fn one(world: &World, best: f64, seed: u64, way: &Way) -> anyhow::Result<One> {
    let spec = job::spec(world, FACTOR, seed, way)?;
    let found = run::over_all_rows(&spec, world)?;
    let winner = Winner::of(world, found.winner().map(|winner| &winner.settings));
    Ok(One {
        decisions: Decisions::of(world, &found),
        winner,
        share: winner.utility / best,
        violations: found.report.diagnostics.violation_count as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_change_costs_and_nothing_else() {
        let plain = unbroken(1).unwrap();
        let best = optimum::best(&plain);
        let (same, same_best) = stressed(&plain, best, 0.0).unwrap();
        assert_eq!((same.name, same_best), (plain.name.clone(), best));
        let (hot, _) = stressed(&plain, best, 2.0).unwrap();
        let spec = job::spec(&plain, 2.0, 1, &ways()[3]).unwrap();
        let mut settings = spec.settings(&spec.default_configuration()).unwrap();
        settings.sampling.temperature = Some(0.2);
        settings.extent.max_tokens = 100_000;
        let ((utility, cost), (hot_utility, hot_cost)) =
            (plain.truth(&settings), hot.truth(&settings));
        assert!((utility - hot_utility).abs() < 1e-9);
        assert!(hot_cost < cost);
    }
}
