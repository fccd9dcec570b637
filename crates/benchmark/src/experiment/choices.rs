//! What the choice of the metric, and of the models, does to the winner.

use super::effort::Effort;
use super::made;
use super::page::{Cell, Findings, Table, list};
use super::plot::{Drawn, Plot, Series};
use super::worth::{Grid, POOL, Worths, cost, worth};
use crate::data_set::CONFIGURATIONS_PAID;
use crate::endpoint::Endpoint;
use crate::parallel;
use crate::recorded;
use crate::run;
use crate::spread::{Sign, Spread};
use crate::worlds::job::OVER;
use crate::worlds::way::Way;
use crate::worlds::{ModelRecipe, Recipe, Template, World, job};
use frugal_domain::job::JobSpec;
use frugal_domain::metric::Metric;
use frugal_domain::scoring::Reducer;
use frugal_domain::seed::mix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// The metrics, by what they are of an instance's n answers.
const METRICS: [Reducer; 4] = [
    Reducer::ExpectedSuccess,
    Reducer::Majority,
    Reducer::Mean,
    Reducer::Min,
];
const FAMILIES: [&str; 4] = [
    "small base",
    "small instruct",
    "large base",
    "large instruct",
];
/// What the inference budget is multiplied by.
const BUDGETS: [f64; 4] = [0.25, 0.5, 1.0, 4.0];
const TEMPERATURES: [f64; 5] = [0.0, 0.3, 0.6, 0.9, 1.2];
const RECORDED_TEMPERATURES: [f64; 4] = [0.0, 0.3, 0.7, 1.0];
const NUMBERS: [u32; 7] = [1, 2, 3, 5, 9, 17, 33];
const ROWS: usize = 40;
const WORLDS: usize = 8;
/// The optimization budget of the jobs, as a multiple of the inference budget over all rows.
const FACTOR: f64 = 10.0;

/// How many times as dear large models are.
const DEAR: f64 = 10.0;
/// A share of the best that jobs are expected to find.
const FOUND: f64 = 0.85;

/// What a task's configurations are worth, and what jobs by each metric found.
struct Task {
    name: String,
    models: Vec<String>,
    worths: Worths,
}

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let count = effort.count(WORLDS);
    let worlds: Vec<World> = (0..count as u64)
        .map(|seed| families(seed).world())
        .collect::<anyhow::Result<_>>()?;
    let tasks = parallel::each(worlds.len() as u64, |index| {
        of_world(&worlds[usize::try_from(index)?])
    })?;
    let sets = recorded::data_sets()?;
    let sets = effort.some(&sets, 1);
    let recorded: Vec<Task> = sets
        .iter()
        .map(|set| {
            let pairs: Vec<(usize, usize)> = set.corpus.shelves.keys().copied().collect();
            let grid = Grid {
                pairs: &pairs,
                temperatures: &RECORDED_TEMPERATURES,
                limits: &[24, 48, 128],
                numbers: &NUMBERS,
            };
            let metrics: Vec<Reducer> = metrics_of(&set.name);
            Ok(Task {
                name: set.name.clone(),
                models: set
                    .spec
                    .models
                    .iter()
                    .map(|choice| choice.model.clone())
                    .collect(),
                worths: Worths::of(&set.corpus, &set.spec, &grid, &metrics)?,
            })
        })
        .collect::<anyhow::Result<_>>()?;

    // What the best by one metric is worth by another.
    let mut crossed = Table::new(
        "metrics",
        "The exact worth of the best configuration by one metric (rows), by another (columns), as a share of what is possible there; means over the generated worlds",
        [
            "best by",
            "expected_success",
            "majority",
            "mean",
            "min",
            "n",
            "temperature",
        ],
    );
    let mut cross = [const { [const { Vec::new() }; 4] }; 4];
    for (by, metric) in METRICS.iter().enumerate() {
        let mut shares = [const { Vec::new() }; 4];
        let (mut numbers, mut temperatures) = (Vec::new(), Vec::new());
        for task in &tasks {
            let Some((settings, worth)) = task.worths.best(by) else {
                continue;
            };
            numbers.push(f64::from(settings.extent.n));
            temperatures.push(settings.sampling.temperature.unwrap_or(1.0));
            for (of, shares) in shares.iter_mut().enumerate() {
                if let Some((_, best)) = task.worths.best(of) {
                    shares.push(worth[of] / best[of].max(f64::MIN_POSITIVE));
                }
            }
        }
        let [success, majority, mean, min] = shares.each_ref().map(|shares| Spread::of(shares));
        cross[by] = shares;
        crossed.push([
            metric.to_string().into(),
            success.into(),
            majority.into(),
            mean.into(),
            min.into(),
            Spread::of(&numbers).into(),
            Spread::of(&temperatures).into(),
        ]);
    }

    // Which model wins, by metric and by inference budget.
    let mut winners = Table::new(
        "models",
        "In how many of the generated worlds a model of each family is in the best configuration",
        [
            "metric",
            "inference ×",
            "small base",
            "small instruct",
            "large base",
            "large instruct",
        ],
    );
    let mut by_budget: Vec<[f64; 4]> = Vec::new();
    let budgets = effort.some(&BUDGETS, 2);
    for scale in budgets {
        let scaled;
        let scaled = if *scale == 1.0 {
            &tasks
        } else {
            scaled = parallel::each(worlds.len() as u64, |index| {
                let world = &worlds[usize::try_from(index)?];
                of_world(&world.with_budget_times(*scale))
            })?;
            &scaled
        };
        for (place, metric) in METRICS.iter().enumerate() {
            let wins = wins(scaled, place);
            if place == 0 {
                by_budget.push(shares_of(wins));
            }
            let [one, two, three, four] = wins.map(Cell::Count);
            winners.push([
                metric.to_string().into(),
                (*scale).into(),
                one,
                two,
                three,
                four,
            ]);
        }
    }

    // What jobs by each metric find.
    let mut found_table = Table::new(
        "jobs",
        "What jobs by each metric found: the winner's exact worth by that metric as a share of the best of the grid, which \
         winners between its points may pass",
        [
            "task",
            "metric",
            "share of the best",
            made::OVER_BUDGET,
            "winner's model, most often",
            "best configuration's model",
        ],
    );
    let mut job_shares = [const { Vec::new() }; 4];
    for (place, metric) in METRICS.iter().enumerate() {
        let found = effort.by_seed(tasks.len(), |which, seed| {
            let world = &worlds[which];
            let way = Way {
                name: "profiled",
                changes: json!({"scoring": {"reduce": metric.as_str()}}),
                at_defaults: false,
            };
            let spec = job::spec(world, FACTOR, 1 + seed, &way)?;
            one(world, &spec, &tasks[which].worths, (place, *metric))
        })?;
        let shares: Vec<f64> = found.iter().map(|one| one.share).collect();
        let models = found.iter().filter_map(|one| one.model);
        let best = tasks
            .iter()
            .filter_map(|task| Some(task.worths.best(place)?.0.sampling.model));
        found_table.push([
            "generated worlds".into(),
            metric.to_string().into(),
            Spread::of(&shares).into(),
            Cell::count(&found, |one| one.cost > OVER),
            most(models, &tasks[0].models).into(),
            most(best, &tasks[0].models).into(),
        ]);
        job_shares[place] = shares;
    }
    for (set, task) in sets.iter().zip(&recorded) {
        for (place, metric) in metrics_of(&set.name).into_iter().enumerate() {
            let found = parallel::each(effort.seeds, |seed| {
                let mut spec: JobSpec = set.spec.clone();
                spec.search.seed = seed;
                spec.objective.metric = Metric::from(metric);
                one(&set.corpus, &spec, &task.worths, (place, metric))
            })?;
            let shares: Vec<f64> = found.iter().map(|one| one.share).collect();
            let best = task
                .worths
                .best(place)
                .map(|(settings, _)| settings.sampling.model);
            found_table.push([
                task.name.as_str().into(),
                metric.to_string().into(),
                Spread::of(&shares).into(),
                Cell::count(&found, |one| one.cost > OVER),
                most(found.iter().filter_map(|one| one.model), &task.models).into(),
                most(best.into_iter(), &task.models).into(),
            ]);
        }
    }

    let pairs = || (0..4).flat_map(|by| (0..4).map(move |of| (by, of)));
    let pairs = || pairs().filter(|(by, of)| by != of);
    // What the best by one metric gives up by another.
    let given_up = |by: usize, of: usize| {
        Spread::of(
            &cross[by][of]
                .iter()
                .map(|share| 1.0 - share)
                .collect::<Vec<_>>(),
        )
    };
    let apart = pairs().filter(|(by, of)| given_up(*by, *of).sign() == Sign::Above);
    let apart = apart.count();
    let worst = pairs().max_by(|one, other| {
        let mean = |(by, of): (usize, usize)| given_up(by, of).mean;
        mean(*one).total_cmp(&mean(*other))
    });
    let worst = worst.map_or_else(String::new, |(by, of)| {
        format!(
            "the most is {} of what is possible by `{}`, of the best by `{}`",
            given_up(by, of).per_cent(),
            METRICS[of],
            METRICS[by]
        )
    });
    let usual = |shares: &[f64; 4]| {
        let places = (0..4).max_by(|one, other| shares[*one].total_cmp(&shares[*other]));
        let place = places.unwrap_or(0);
        (FAMILIES[place], shares[place])
    };
    let by_scale: Vec<String> = budgets
        .iter()
        .zip(&by_budget)
        .map(|(scale, shares)| {
            let (name, share) = usual(shares);
            format!("× {scale} {name} ({:.0} %)", 100.0 * share)
        })
        .collect();
    let by_metric: Vec<&str> = (0..4)
        .map(|place| usual(&shares_of(wins(&tasks, place))).0)
        .collect();
    let is_one_family = by_metric.iter().all(|family| *family == by_metric[0]);
    let families_by_metric = if is_one_family {
        format!("{} by every metric", by_metric[0])
    } else {
        let named = METRICS.iter().zip(&by_metric);
        let named = named.map(|(metric, family)| format!("{family} by `{metric}`"));
        named.collect::<Vec<_>>().join(", ")
    };
    let mut surprises = Vec::new();
    if is_one_family {
        surprises.push(
            "The family that wins most often is the same by every metric at the worlds' own inference budget.".to_owned(),
        );
    }
    // World by world: what the vote's best gives up by success, less the reverse.
    let reverse = Spread::of_differences(&cross[0][1], &cross[1][0]);
    if reverse.sign() == Sign::Above {
        surprises.push(format!(
            "Tuning by the majority vote gives up more of the success of any answer ({}) than the reverse ({}).",
            given_up(1, 0).per_cent(),
            given_up(0, 1).per_cent()
        ));
    }
    for (metric, shares) in METRICS.iter().zip(&job_shares) {
        let share = Spread::of(shares);
        if share.mean < FOUND {
            surprises.push(format!(
                "By `{metric}` jobs find {} of the best, less than {:.0} %.",
                share.per_cent(),
                100.0 * FOUND
            ));
        }
    }
    Ok(Findings {
        set_up: format!(
            "{count} generated worlds of {ROWS} rows with a family of four models each: small and {DEAR} times as dear large \
             ones, base (hotter text falls apart sooner, answers are longer and more varied, instructions are heeded \
             less, more rows are out of reach) and instruction-tuned; and the recorded answers of {}. Right answers to a row are all the same, wrong ones of a cluster too, so majorities \
             can be counted. Every configuration of a grid within the inference budget is worth what is computed: \
             exactly, or for the majority from {POOL} answers to each row. Jobs are profiled, with {FACTOR} times the \
             inference budget over all rows (recorded: {CONFIGURATIONS_PAID}). {}",
            list(&recorded[0].models),
            made::over_budget()
        ),
        answer: [
            format!(
                "The best configuration by one metric gives something up by another beyond two standard errors in {apart} of \
                 {} pairs of metrics; {worst}. The family that wins most often is {families_by_metric}.",
                pairs().count()
            ),
            format!(
                "By the inference budget (expected_success) it is {}; jobs find {} of the best by {}.",
                by_scale.join(", "),
                job_shares
                    .iter()
                    .map(|shares| format!("{:.0} %", 100.0 * Spread::of(shares).mean))
                    .collect::<Vec<_>>()
                    .join(", "),
                METRICS.map(|metric| format!("`{metric}`")).join(", ")
            ),
        ],
        surprises,
        would_change: "other families, since these are generated: how much instruction tuning raises skill and lowers \
                       variety is assumed. The recorded pair differs in size and training at once. \
                       A metric is to be what a user gets: of several answers one, by vote, by choice, or all."
            .to_owned(),
        plots: vec![
            Plot {
                name: "metrics",
                caption: "What the best configuration by one metric is worth by another, as a share of what is possible there; two standard errors".to_owned(),
                x: "best by",
                y: "share of the best",
                drawn: Drawn::Bars {
                    steps: METRICS.map(|metric| metric.to_string()).to_vec(),
                    series: (0..4)
                        .map(|of| Series {
                            name: format!("worth by {}", METRICS[of]),
                            values: (0..4)
                                .map(|by| Spread::of(&cross[by][of]).value())
                                .collect(),
                        })
                        .collect(),
                },
            },
            Plot {
                name: "models",
                caption: "The share of generated worlds in which each family has the best configuration by expected_success, by inference budget".to_owned(),
                x: "inference budget, multiplied by",
                y: "share of worlds",
                drawn: Drawn::Bars {
                    steps: budgets.iter().map(|scale| format!("× {scale}")).collect(),
                    series: (0..4)
                        .map(|family| Series {
                            name: FAMILIES[family].to_owned(),
                            values: by_budget.iter().map(|shares| Some((shares[family], 0.0))).collect(),
                        })
                        .collect(),
                },
            },
        ],
        tables: vec![crossed, winners, found_table],
    })
}

/// In how many of some worlds a model of each family is in the best configuration by a metric.
fn wins(tasks: &[Task], metric: usize) -> [u64; 4] {
    let mut wins = [0; 4];
    for (settings, _) in tasks.iter().filter_map(|task| task.worths.best(metric)) {
        wins[settings.sampling.model] += 1;
    }
    wins
}

fn shares_of(wins: [u64; 4]) -> [f64; 4] {
    let of = wins.iter().sum::<u64>().max(1) as f64;
    wins.map(|wins| wins as f64 / of)
}

/// What one job came to.
#[derive(Debug, Clone, Copy, Default)]
struct One {
    /// The winner's worth as a share of the best of the grid; 0 without a winner.
    share: f64,
    /// Its cost as a share of the inference budget.
    cost: f64,
    model: Option<usize>,
}

/// Runs a job over all rows, and says what its winner is worth by the metric, which has this place among those
/// of the worths.
fn one(
    endpoint: &dyn Endpoint,
    spec: &JobSpec,
    worths: &Worths,
    (place, metric): (usize, Reducer),
) -> anyhow::Result<One> {
    let found = run::over_all_rows(spec, endpoint)?;
    let Some(winner) = found.winner() else {
        return Ok(One::default());
    };
    let best = worths.best(place).map_or(0.0, |(_, worth)| worth[place]);
    let value = worth(endpoint, &winner.settings, metric)?;
    Ok(One {
        share: value / best.max(f64::MIN_POSITIVE),
        cost: cost(endpoint, spec, &winner.settings),
        model: Some(winner.settings.sampling.model),
    })
}

/// The metrics that a recorded task can be judged by: its scorer has to tell answers apart for a vote.
fn metrics_of(task: &str) -> Vec<Reducer> {
    let votes = task != "capitals";
    let metrics = METRICS.into_iter();
    metrics
        .filter(|metric| votes || *metric != Reducer::Majority)
        .collect()
}

fn of_world(world: &World) -> anyhow::Result<Task> {
    let way = Way {
        name: "profiled",
        changes: json!({}),
        at_defaults: false,
    };
    let spec = job::spec(world, FACTOR, 1, &way)?;
    let pairs: Vec<(usize, usize)> = (0..world.models.len())
        .flat_map(|model| (0..world.templates.len()).map(move |prompt| (model, prompt)))
        .collect();
    let grid = Grid {
        pairs: &pairs,
        temperatures: &TEMPERATURES,
        limits: &[200, 1000],
        numbers: &NUMBERS,
    };
    Ok(Task {
        name: world.name.clone(),
        models: world
            .models
            .iter()
            .map(|model| model.name.clone())
            .collect(),
        worths: Worths::of(world, &spec, &grid, &METRICS)?,
    })
}

/// A world with a family of models.
fn families(seed: u64) -> Recipe {
    let generator = &mut ChaCha8Rng::seed_from_u64(mix(0x6661_6d69 ^ mix(seed)));
    let mut around = |middle: f64, width: f64| middle + generator.random_range(-width..width);
    let small = (0.000_05, 0.000_2);
    let large = (small.0 * DEAR, small.1 * DEAR);
    let hard = around(0.0, 1.2);
    let models = FAMILIES.map(|name| {
        let (is_large, is_base) = (name.starts_with("large"), name.ends_with("base"));
        let (size, training) = (f64::from(u8::from(is_large)), f64::from(u8::from(is_base)));
        ModelRecipe {
            name: name.to_owned(),
            price: if is_large { large } else { small },
            skill: hard - 1.0 + 1.8 * size - 0.7 * training + around(0.0, 0.4),
            discrimination: around(1.4, 0.4),
            blind: 0.2 - 0.15 * size + 0.1 * training,
            verbosity: 1.0 + 0.4 * training,
            t0: 1.1 - 0.35 * training,
            breaks: 1.5 - 0.4 * training,
            heeds: 1.0 - 0.6 * training,
        }
    });
    let length = around(80.0, 30.0);
    // A prompt and some ten short answers of a small model, or one of a large one.
    let prompt_tokens = 120.0;
    let dear = (prompt_tokens * large.0 + length * large.1) / 1e3;
    Recipe {
        seed,
        rows: ROWS,
        models: models.to_vec(),
        templates: vec![
            Template::plain("plain"),
            Template::plain("explained").adding(0.8, 60),
        ],
        prompt_tokens,
        length,
        length_spread: 0.4,
        inference_budget: 1.6 * dear,
    }
}

/// The name of the model that comes most often.
fn most(models: impl Iterator<Item = usize>, names: &[String]) -> String {
    let mut counts = vec![0_u32; names.len()];
    for model in models {
        counts[model] += 1;
    }
    let most = (0..names.len()).max_by_key(|model| counts[*model]);
    most.and_then(|model| names.get(model))
        .cloned()
        .unwrap_or_default()
}
