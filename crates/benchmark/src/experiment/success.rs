//! The probabilistic success against the binary one, as a signal of which configuration is best.

use super::effort::Effort;
use super::made;
use super::page::{Cell, Findings, Table};
use super::plot::{Drawn, Plot, Series};
use crate::endpoint::Endpoint;
use crate::parallel;
use crate::recorded;
use crate::spread::{Sign, Spread, rank_correlation};
use crate::truth;
use frugal_domain::configuration::{Extent, Sampling, Settings};
use frugal_domain::scoring::{Observation, Reducer};
use frugal_domain::seed::mix;
use frugal_evaluation::reduce;
use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

const ROWS: [usize; 3] = [5, 15, 40];
const RESPONSES: [u32; 5] = [1, 2, 4, 8, 16];
const TEMPERATURES: [f64; 6] = [0.0, 0.3, 0.5, 0.7, 1.0, 1.3];
const WORLDS: usize = 5;
const WORLD_ROWS: usize = 60;
/// Draws of the labelled answers, for each seed.
const DRAWS: u64 = 20;
/// The signals: what n answers to a row come to.
const SIGNALS: [Reducer; 2] = [Reducer::ExpectedSuccess, Reducer::Success];

/// A population with configurations that are to be told apart.
struct Task<'e> {
    name: String,
    endpoint: &'e dyn Endpoint,
    candidates: Vec<Settings>,
}

impl Task<'_> {
    /// The chance that one of n answers is right, mean of all rows, by candidate.
    fn truths(&self, n: u32) -> Vec<f64> {
        let of = |settings: &Settings| {
            let mut settings = settings.clone();
            settings.extent.n = n;
            truth::success(self.endpoint, &settings)
        };
        self.candidates.iter().map(of).collect()
    }
}

/// How well each signal told the configurations apart.
type Told = [(Option<f64>, f64); 2];

pub fn run(effort: Effort<'_>) -> anyhow::Result<Findings> {
    let sets = recorded::data_sets()?;
    let worlds = made::worlds(effort.count(WORLDS), WORLD_ROWS)?;
    let mut tasks = Vec::new();
    for set in effort.some(&sets, 1) {
        let default = set.spec.settings(&set.spec.default_configuration())?;
        let points = set
            .corpus
            .shelves
            .iter()
            .flat_map(|((model, prompt), shelf)| {
                let temperatures = shelf.temperatures.iter();
                temperatures.map(|temperature| (*model, *prompt, *temperature))
            });
        tasks.push(Task {
            name: set.name.clone(),
            endpoint: &set.corpus,
            candidates: candidates(points, 128, &default.sampling.stop),
        });
    }
    for (world, _) in &worlds {
        let prompts = world.templates.len();
        let pairs = (0..world.models.len())
            .flat_map(|model| (0..prompts).map(move |prompt| (model, prompt)));
        let points = pairs.flat_map(|(model, prompt)| {
            TEMPERATURES.map(|temperature| (model, prompt, temperature))
        });
        tasks.push(Task {
            name: world.name.clone(),
            endpoint: world,
            candidates: candidates(points, 1000, &[]),
        });
    }
    let (rows, responses) = (effort.some(&ROWS, 1), effort.some(&RESPONSES, 2));
    // What is true depends neither on the rows nor on the seed.
    let truths = parallel::each((tasks.len() * responses.len()) as u64, |index| {
        let index = usize::try_from(index)?;
        Ok(tasks[index / responses.len()].truths(responses[index % responses.len()]))
    })?;
    let mut table = Table::new(
        "signals",
        "Rank correlation with the exact success of n answers, and what the winner is worth as a share of the best, means over tasks and seeds",
        [
            "rows",
            "responses",
            "correlation, probabilistic",
            "correlation, binary",
            "difference",
            "winner, probabilistic",
            "winner, binary",
            "difference",
        ],
    );
    let mut lines: Vec<Series> = Vec::new();
    let mut winners: Vec<Series> = Vec::new();
    let (mut all_ranks, mut all_wins) = (Vec::new(), Vec::new());
    let mut cells: Vec<(usize, u32, Spread)> = Vec::new();
    let mut by_rows: Vec<String> = Vec::new();
    for rows in rows {
        let mut of_rows = [const { Vec::new() }; 4];
        let mut gains = Vec::new();
        for (step, n) in responses.iter().enumerate() {
            let told = effort.by_seed(tasks.len(), |which, seed| {
                let truths = &truths[which * responses.len() + step];
                let seed = mix(mix(which as u64) ^ seed);
                tell(&tasks[which], truths, *rows, *n, seed)
            })?;
            let both: Vec<&Told> = told
                .iter()
                .filter(|told| told.iter().all(|one| one.0.is_some()))
                .collect();
            let ranks = [0, 1].map(|which| -> Vec<f64> {
                both.iter().filter_map(|told| told[which].0).collect()
            });
            let worth =
                [0, 1].map(|which| -> Vec<f64> { told.iter().map(|told| told[which].1).collect() });
            let rank_gain = Spread::of_differences(&ranks[0], &ranks[1]);
            let win_gain = Spread::of_differences(&worth[0], &worth[1]);
            table.push([
                Cell::Count(*rows as u64),
                Cell::Count((*n).into()),
                Spread::of(&ranks[0]).into(),
                Spread::of(&ranks[1]).into(),
                rank_gain.into(),
                Spread::of(&worth[0]).into(),
                Spread::of(&worth[1]).into(),
                win_gain.into(),
            ]);
            for (to, values) in of_rows.iter_mut().zip(ranks.iter().chain(&worth)) {
                to.push(Spread::of(values).value());
            }
            if *n > 1 {
                let pairs = ranks[0].iter().zip(&ranks[1]);
                gains.extend(pairs.map(|(one, other)| one - other));
                let pairs = worth[0].iter().zip(&worth[1]);
                all_wins.extend(pairs.map(|(one, other)| one - other));
                cells.push((*rows, *n, rank_gain));
            }
        }
        by_rows.push(format!("{} with {rows}", Spread::of(&gains).change(3)));
        all_ranks.extend(gains);
        let [ranks, binary_ranks, worth, binary_worth] = of_rows;
        for (name, ranks, worth) in [
            ("probabilistic", ranks, worth),
            ("binary", binary_ranks, binary_worth),
        ] {
            let name = format!("{name}, {rows} rows");
            lines.push(Series {
                name: name.clone(),
                values: ranks,
            });
            winners.push(Series {
                name,
                values: worth,
            });
        }
    }
    let labelled = effort.humaneval.map(crate::code::labels).transpose()?;
    let humaneval = labelled
        .as_deref()
        .map(|problems| of_labelled(problems, rows, responses, DRAWS * effort.seeds));
    let (ranks, wins) = (Spread::of(&all_ranks), Spread::of(&all_wins));
    let steps: Vec<String> = responses.iter().map(ToString::to_string).collect();
    let told = |cell: Option<&(usize, u32, Spread)>| {
        cell.map_or_else(String::new, |(rows, n, gain)| {
            format!("{} with {rows} rows and {n} responses", gain.change(3))
        })
    };
    let by_gain = |one: &&(usize, u32, Spread), other: &&(usize, u32, Spread)| {
        one.2.mean.total_cmp(&other.2.mean)
    };
    let (most, least) = (
        told(cells.iter().max_by(by_gain)),
        told(cells.iter().min_by(by_gain)),
    );
    let mut surprises = Vec::new();
    if wins.sign() != ranks.sign() {
        let words = |sign: Sign| sign.words("ahead", "behind", "neither ahead nor behind");
        surprises.push(format!(
            "By rank correlation the probabilistic success is {}, by what its winner is worth {} ({} of the best).",
            words(ranks.sign()),
            words(wins.sign()),
            wins.change(4)
        ));
    }
    if ranks.sign() == Sign::Below {
        surprises.push(format!(
            "Over all of these rows and responses the paper's signal ranks configurations worse than the binary one; at \
             its best it is ahead by {most}."
        ));
    }
    Ok(Findings {
        set_up: format!(
            "Configurations of the recorded tasks and of {} {}, with {WORLD_ROWS} rows each: every model and prompt at {} \
             temperatures (the recorded ones of the recordings), with n answers and no limit that matters. By seed so many rows are drawn and n answers to \
             each; a signal is the mean over rows of 1 − (1 − s/n)ⁿ (probabilistic) or of whether any is right (binary). \
             The truth is the chance that one of n answers is right, over all rows. Both signals see the same answers.",
            worlds.len(),
            made::WORDS,
            TEMPERATURES.len()
        ),
        answer: [
            format!(
                "With more than one response the probabilistic success ranks configurations {} ({} in rank correlation, \
                 from {least} to {most}; by rows {}); with one response the two are the same.",
                ranks.sign().words(
                    "better than the binary one",
                    "worse than the binary one",
                    "no better than the binary one as far as these seeds tell"
                ),
                ranks.change(4),
                by_rows.join(", ")
            ),
            format!(
                "The configuration that it prefers is worth {} ({} of the best).",
                wins.sign().words(
                    "more than the one that the binary success prefers",
                    "less than the one that the binary success prefers",
                    "as much as the one that the binary success prefers, within the errors"
                ),
                wins.change(4)
            ),
        ],
        surprises,
        would_change: "tasks where most rows are right, or none, under every configuration, since there either signal is \
                       near its end; and limits or budgets that let configurations have different numbers of answers, \
                       since both signals are compared at one number here."
            .to_owned(),
        plots: vec![
            Plot {
                name: "correlation",
                caption: "Rank correlation of the signal with the exact success of n answers; the band is two standard errors".to_owned(),
                x: "responses for each row",
                y: "rank correlation",
                drawn: Drawn::Lines {
                    steps: steps.clone(),
                    series: lines,
                },
            },
            Plot {
                name: "winner",
                caption: "The exact success of the configuration that the signal prefers, as a share of the best; the band is two standard errors".to_owned(),
                x: "responses for each row",
                y: "share of the best",
                drawn: Drawn::Lines {
                    steps,
                    series: winners,
                },
            },
        ],
        tables: std::iter::once(table).chain(humaneval).collect(),
    })
}

/// How far each signal is off on HumanEval's labelled answers, where problems and answers are drawn anew so
/// many times.
fn of_labelled(problems: &[Vec<bool>], sizes: &[usize], responses: &[u32], draws: u64) -> Table {
    let mut table = Table::new(
        "humaneval",
        format!(
            "HumanEval, {} problems with labelled answers of CodeGen-16B at temperature 0.8, cut at the stops: signals of \
             problems and answers of {draws} draws, less the chance that one of n answers passes over all problems",
            problems.len()
        ),
        [
            "rows",
            "responses",
            "exact",
            "probabilistic, mean error",
            "probabilistic, root of the mean square",
            "binary, mean error",
            "binary, root of the mean square",
        ],
    );
    let share = |passes: &[bool]| {
        passes.iter().filter(|pass| **pass).count() as f64 / passes.len().max(1) as f64
    };
    for rows in sizes {
        for n in responses {
            let chance = |passes: &Vec<bool>| 1.0 - (1.0 - share(passes)).powf((*n).into());
            let exact = problems.iter().map(chance).sum::<f64>() / problems.len() as f64;
            let mut errors = [Vec::new(), Vec::new()];
            for draw in 0..draws {
                let mut generator = ChaCha8Rng::seed_from_u64(mix(draw));
                let chosen = index::sample(&mut generator, problems.len(), *rows);
                let mut sums = [0.0, 0.0];
                for problem in chosen {
                    let passes = &problems[problem];
                    let drawn: Vec<Observation> = (0..*n)
                        .map(|_| passes[generator.random_range(0..passes.len())])
                        .map(|pass| f64::from(u8::from(pass)).into())
                        .collect();
                    for (sum, signal) in sums.iter_mut().zip(SIGNALS) {
                        *sum += reduce(signal, &drawn);
                    }
                }
                for (errors, sum) in errors.iter_mut().zip(sums) {
                    errors.push(sum / *rows as f64 - exact);
                }
            }
            let square = |errors: &[f64]| {
                let squares = errors.iter().map(|error| error * error).sum::<f64>();
                (squares / errors.len().max(1) as f64).sqrt()
            };
            table.push([
                Cell::Count(*rows as u64),
                Cell::Count((*n).into()),
                exact.into(),
                Spread::of(&errors[0]).into(),
                square(&errors[0]).into(),
                Spread::of(&errors[1]).into(),
                square(&errors[1]).into(),
            ]);
        }
    }
    table
}

fn candidates(
    points: impl Iterator<Item = (usize, usize, f64)>,
    max_tokens: u32,
    stop: &[String],
) -> Vec<Settings> {
    points
        .map(|(model, prompt, temperature)| Settings {
            sampling: Sampling {
                model,
                prompt,
                temperature: Some(temperature),
                top_p: None,
                stop: stop.to_vec(),
                extra: BTreeMap::new(),
            },
            extent: Extent { max_tokens, n: 1 },
        })
        .collect()
}

/// How well each signal of so many rows with n answers each tells the configurations apart, whose exact
/// success is known: the rank correlation, and what the preferred one is worth as a share of the best.
fn tell(task: &Task<'_>, truths: &[f64], rows: usize, n: u32, seed: u64) -> anyhow::Result<Told> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let population = task.endpoint.rows();
    let chosen = index::sample(&mut generator, population, rows.min(population)).into_vec();
    let mut signals = [Vec::new(), Vec::new()];
    for settings in &task.candidates {
        let mut sums = [0.0, 0.0];
        for row in &chosen {
            let answered = task.endpoint.answer(
                settings,
                *row,
                n,
                settings.extent.max_tokens,
                generator.random(),
            );
            let answered =
                answered.map_err(|failure| anyhow::anyhow!("{}: {failure:?}", task.name))?;
            let scores: Vec<Observation> = answered
                .responses
                .iter()
                .map(|one| one.score.into())
                .collect();
            for (sum, signal) in sums.iter_mut().zip(SIGNALS) {
                *sum += reduce(signal, &scores);
            }
        }
        for (signal, sum) in signals.iter_mut().zip(sums) {
            signal.push(sum / chosen.len() as f64);
        }
    }
    let best = truths.iter().copied().fold(0.0, f64::max);
    Ok(signals.map(|signal| {
        // Of equal ones nothing says which is preferred: the mean of what they are worth.
        let top = signal.iter().copied().fold(0.0, f64::max);
        let preferred: Vec<f64> = signal
            .iter()
            .zip(truths)
            .filter(|(signal, _)| **signal == top)
            .map(|(_, truth)| truth / best.max(f64::MIN_POSITIVE))
            .collect();
        (
            rank_correlation(&signal, truths),
            Spread::of(&preferred).mean,
        )
    }))
}
