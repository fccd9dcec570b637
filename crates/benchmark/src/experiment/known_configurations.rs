//! Pruning held against what is known of every configuration: which are within the inference budget, and
//! which are worse than the best.

use super::decisions::{BORDER, Decisions, share};
use super::effort::Effort;
use super::made;
use super::page::{Cell, Findings, Table, list};
use super::plot::{Drawn, Plot, Series};
use crate::run;
use crate::spread::{Sign, Spread};
use crate::worlds::job::Winner;
use crate::worlds::way::Way;
use crate::worlds::{World, job};
use serde_json::json;

const ROWS: [usize; 3] = [10, 20, 60];
const FACTORS: [f64; 3] = [2.0, 5.0, 25.0];
const WORLDS: usize = 8;
/// How many times as many configurations the paper says that its pruning tries.
const PAPER: [f64; 2] = [2.0, 27.0];

/// What one job came to.
#[derive(Debug, Clone, Copy)]
struct One {
    decisions: Decisions,
    winner: Winner,
    /// The winner's exact utility as a share of the best.
    share: f64,
}

/// The schedules, by what they change in a job.
fn schedules() -> [Way; 3] {
    let way = |name, pruning| Way {
        name,
        changes: json!({"search": {"extent": "searched", "pruning": pruning, "parallel_trials": 1}}),
        at_defaults: false,
    };
    [
        way("off", "off"),
        way("reference", "reference"),
        way("on", "on"),
    ]
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let (rows, factors) = (effort.some(&ROWS, 1), effort.some(&FACTORS, 1));
    let schedules = schedules();
    let mut table = Table::new(
        "decisions",
        "Decisions by rows, budget and schedule; shares of the decisions of their kind, ± standard errors",
        [
            "rows",
            "budget ×",
            "pruning",
            "tried",
            "evaluated",
            "valid ones pruned as over the budget",
            "better ones pruned as inferior",
            "over the budget, found valid",
            "within it, found invalid",
            "winner's share of the best",
            made::OVER_BUDGET,
            "lost by wrong pruning",
        ],
    );
    let mut ratios = [const { Vec::new() }; 3];
    let mut gains = [const { Vec::new() }; 3];
    let mut by_schedule = [const { Vec::new() }; 3];
    let mut prices = [const { Vec::new() }; 3];
    let mut wrong: Vec<(String, [Spread; 3])> = Vec::new();
    let mut tried: Vec<(String, [Spread; 3])> = Vec::new();
    // What of their prunings is wrong, by schedule, and by rows.
    let wrong_of = |decisions: &[Decisions]| {
        share(
            decisions,
            |one| one.wrongly_pruned_as_invalid + one.wrongly_pruned_as_inferior,
            |one| one.pruned_as_invalid + one.pruned_as_inferior,
        )
    };
    let mut by_rows: Vec<String> = Vec::new();
    for rows in rows {
        let worlds = made::worlds(effort.count(WORLDS), *rows)?;
        let mut of_rows = [const { Vec::new() }; 3];
        for factor in factors {
            let mut of_schedules = Vec::new();
            for way in &schedules {
                of_schedules.push(effort.by_seed(worlds.len(), |which, seed| {
                    let (world, best) = &worlds[which];
                    one(world, *best, *factor, seed, way)
                })?);
            }
            let off: Vec<One> = of_schedules[0].clone();
            let mut wrongs = [Spread::NOTHING; 3];
            let mut counts = [Spread::NOTHING; 3];
            for (which, (way, found)) in schedules.iter().zip(&of_schedules).enumerate() {
                let decisions: Vec<Decisions> = found.iter().map(|one| one.decisions).collect();
                let mean = |of: &dyn Fn(&One) -> f64| {
                    Spread::of(&found.iter().map(of).collect::<Vec<_>>())
                };
                counts[which] = mean(&|one| f64::from(one.decisions.tried));
                wrongs[which] = wrong_of(&decisions);
                table.push([
                    Cell::Count(*rows as u64),
                    (*factor).into(),
                    way.name.into(),
                    counts[which].into(),
                    mean(&|one| f64::from(one.decisions.evaluated)).into(),
                    share(
                        &decisions,
                        |one| one.wrongly_pruned_as_invalid,
                        |one| one.pruned_as_invalid,
                    )
                    .into(),
                    share(
                        &decisions,
                        |one| one.wrongly_pruned_as_inferior,
                        |one| one.pruned_as_inferior,
                    )
                    .into(),
                    share(&decisions, |one| one.wrongly_valid, |one| one.evaluated).into(),
                    share(&decisions, |one| one.wrongly_invalid, |one| one.evaluated).into(),
                    mean(&|one| one.share).into(),
                    Cell::count(found, |one| one.winner.is_over_budget()),
                    mean(&|one| one.decisions.price).into(),
                ]);
                ratios[which].extend(found.iter().zip(&off).map(|(one, off)| {
                    f64::from(one.decisions.tried) / f64::from(off.decisions.tried.max(1))
                }));
                gains[which].extend(
                    found
                        .iter()
                        .zip(&off)
                        .map(|(one, off)| one.share - off.share),
                );
                prices[which].extend(found.iter().map(|one| one.decisions.price));
                of_rows[which].extend(decisions);
            }
            let step = format!("{rows}, {factor}×");
            wrong.push((step.clone(), wrongs));
            tried.push((step, counts));
        }
        let [_, reference, on] = [0, 1, 2].map(|which: usize| wrong_of(&of_rows[which]).per_cent());
        by_rows.push(format!("{reference} and {on} with {rows} rows"));
        for (all, of_rows) in by_schedule.iter_mut().zip(of_rows) {
            all.extend(of_rows);
        }
    }
    let lines = |of: &[(String, [Spread; 3])], from: usize| Drawn::Bars {
        steps: of.iter().map(|(step, _)| step.clone()).collect(),
        series: schedules
            .iter()
            .enumerate()
            .skip(from)
            .map(|(which, way)| Series {
                name: way.name.to_owned(),
                values: of.iter().map(|(_, values)| values[which].value()).collect(),
            })
            .collect(),
    };
    let [_, reference, on] = ratios.map(|ratio| Spread::of(&ratio));
    let [_, reference_gain, on_gain] = gains.map(|gain| Spread::of(&gain));
    let [_, reference_price, on_price] = prices.map(|price| Spread::of(&price));
    let mut surprises = Vec::new();
    for (name, ratio) in [("The published schedule", reference), ("`on`", on)] {
        if !(PAPER[0]..=PAPER[1]).contains(&ratio.mean) {
            surprises.push(format!(
                "{name} tries {:.1} times as many configurations as no pruning, outside of the paper's range of {} to {}.",
                ratio.mean, PAPER[0], PAPER[1]
            ));
        }
    }
    for (name, gain) in [
        ("The published schedule", reference_gain),
        ("`on`", on_gain),
    ] {
        match gain.sign() {
            Sign::Below => surprises.push(format!(
                "{name} finds less than a search without pruning under the same budget ({} of the best).",
                gain.change(3)
            )),
            Sign::Unclear => surprises.push(format!(
                "{name}, whatever it tries, does not change what winners are worth as far as these seeds tell ({} of the \
                 best against no pruning).",
                gain.change(3)
            )),
            Sign::Above => {}
        }
    }
    Ok(Findings {
        set_up: format!(
            "{} {}; with {} rows each. BlendSearch searches over model, prompt, temperature, max_tokens and n, one trial at a \
             time, with optimization budgets of {} times the inference budget over all rows. Schedules: `off` (every \
             configuration on every row), `reference` (the published one) and `on` (Frugal's for a search of every \
             setting). A decision is wrong where the exact cost lies more than {:.0} % on the other side of the \
             inference budget, or where the exact utility of what was pruned as inferior is above that of what it was \
             compared with. {}",
            effort.count(WORLDS),
            made::WORDS,
            list(rows),
            list(factors),
            100.0 * BORDER,
            made::over_budget()
        ),
        answer: [
            format!(
                "Under equal budgets the published schedule tries {} times as many configurations as no \
                 pruning and `on` {} times as many (the paper: {} to {}), and their winners' shares of the best differ \
                 from no pruning's by {} and {}.",
                reference.show(1),
                on.show(1),
                PAPER[0],
                PAPER[1],
                reference_gain.change(3),
                on_gain.change(3)
            ),
            format!(
                "Of what they prune, {} and {} was pruned wrongly ({}), which lost {} and {} of utility against the winner.",
                wrong_of(&by_schedule[1]).per_cent(),
                wrong_of(&by_schedule[2]).per_cent(),
                by_rows.join(", "),
                reference_price.show(4),
                on_price.show(4)
            ),
        ],
        surprises,
        would_change: "a search that begins anywhere instead of within the inference budget (at one response), and worlds \
                       where most of the space is over that budget, since both give pruning more to do; and an \
                       optimization budget that sees the whole space, which leaves pruning nothing to gain."
            .to_owned(),
        plots: vec![
            Plot {
                name: "wrong",
                caption: "The share of pruned configurations that were pruned wrongly, by rows and optimization budget; two standard errors"
                    .to_owned(),
                x: "rows, optimization budget",
                y: "share of what was pruned",
                drawn: lines(&wrong, 1),
            },
            Plot {
                name: "tried",
                caption: "Configurations tried under equal budgets; two standard errors".to_owned(),
                x: "rows, optimization budget",
                y: "configurations",
                drawn: lines(&tried, 0),
            },
        ],
        tables: vec![table],
    })
}

fn one(world: &World, best: f64, factor: f64, seed: u64, way: &Way) -> anyhow::Result<One> {
    let spec = job::spec(world, factor, seed + 1, way)?;
    let found = run::over_all_rows(&spec, world)?;
    let winner = Winner::of(world, found.winner().map(|winner| &winner.settings));
    Ok(One {
        decisions: Decisions::of(world, &found),
        winner,
        share: winner.utility / best,
    })
}
