//! The paper's experiments, and ours: each writes its numbers, its figures and a page that says what
//! they come to. No page says anything that its run did not measure.
//!
//! Start with [`EXPERIMENTS`], which has the questions; [`page`] has what is written.

mod assumption;
mod budgets;
mod choices;
mod decisions;
mod demonstrations;
mod domains;
mod effort;
mod halving;
mod known_configurations;
mod made;
mod page;
mod plot;
mod searches;
mod success;
mod sureness;
mod texts;
mod without_pruning;
mod worth;

use anyhow::{Context, bail};
use effort::Effort;
use page::{Findings, Made};
use serde_json::Value;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The name of an experiment, or `all`.
    pub name: String,
    /// Seeds; each experiment's own number where none is given.
    pub seeds: Option<u64>,
    /// The folder that the pages go to.
    pub out: PathBuf,
    /// The least of everything, to see that it runs.
    pub short: bool,
    /// The folder of HumanEval's labelled answers, where it is at hand.
    pub humaneval: Option<PathBuf>,
}

/// An experiment.
struct Experiment {
    name: &'static str,
    title: &'static str,
    question: &'static str,
    /// Seeds where none are asked for.
    seeds: u64,
    run: fn(Effort<'_>) -> anyhow::Result<Findings>,
}

/// All of them, in the order of their pages.
const EXPERIMENTS: [Experiment; 10] = [
    Experiment {
        name: "without-pruning",
        title: "Without pruning, on small data",
        question: "Where nothing is pruned, does a search evaluate configurations as they are worth, and find the best there is?",
        seeds: 20,
        run: without_pruning::run,
    },
    Experiment {
        name: "pruning",
        title: "Pruning against known configurations",
        question: "How often does pruning throw out what is within the inference budget or better than the best, how often does it keep what is over the budget, and what does it gain?",
        seeds: 4,
        run: known_configurations::run,
    },
    Experiment {
        name: "success",
        title: "Probabilistic against binary success",
        question: "Does 1 − (1 − s/n)ⁿ tell better which configuration is best than whether any of n answers was right?",
        seeds: 20,
        run: success::run,
    },
    Experiment {
        name: "budgets",
        title: "Sensitivity to the two budgets",
        question: "Over a grid of inference and optimization budgets, where do the search and its pruning lose their footing?",
        seeds: 2,
        run: budgets::run,
    },
    Experiment {
        name: "assumption",
        title: "Assumption 3.1 under stress",
        question: "Where lengths depend on the temperature, against the assumption that pruning rests on, how often does it prune wrongly, what does that cost, and how does the profiled search fare, which does not need it?",
        seeds: 3,
        run: assumption::run,
    },
    Experiment {
        name: "domains",
        title: "Other domains",
        question: "What has to be set differently for classification, extraction, question answering, dialogue scored by a judge, and creative writing scored by its diversity?",
        seeds: 8,
        run: domains::run,
    },
    Experiment {
        name: "metrics-and-models",
        title: "The choice of the metric and of the models",
        question: "What do the metric that is optimised, and the family of models to choose from, do to the winner?",
        seeds: 2,
        run: choices::run,
    },
    Experiment {
        name: "demonstrations",
        title: "Demonstrations",
        question: "Does it pay to search the number and choice of demonstrations in the prompt, against fixed ones?",
        seeds: 2,
        run: demonstrations::run,
    },
    Experiment {
        name: "searches",
        title: "Search against search",
        question: "What do the profiled search, BlendSearch, CFO, TPE, random search, grid search and successive halving find under equal budgets, and how long do they take at 200 ms per call?",
        seeds: 2,
        run: searches::run,
    },
    Experiment {
        name: "certainty",
        title: "How sure a report is",
        question: "Do a report's intervals cover the truth, does it call improvements what are none, how far is the winner overestimated, and what do held-out rows cost?",
        seeds: 20,
        run: sureness::run,
    },
];

/// The name that stands for all of them.
const ALL: &str = "all";

/// Runs what is asked for and writes its pages.
///
/// # Errors
/// There is no such experiment, one cannot be run, or nothing can be written.
pub fn run(out: &mut impl std::io::Write, asked: &Asked) -> anyhow::Result<()> {
    let chosen: Vec<&Experiment> = EXPERIMENTS
        .iter()
        .filter(|one| asked.name == ALL || asked.name == one.name)
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = EXPERIMENTS.iter().map(|one| one.name).collect();
        bail!(
            "`{}` is no experiment; there are {ALL}, {}",
            asked.name,
            names.join(", ")
        );
    }
    std::fs::create_dir_all(&asked.out).with_context(|| asked.out.display().to_string())?;
    for one in &chosen {
        let began = Instant::now();
        let effort = Effort {
            seeds: asked
                .seeds
                .unwrap_or(if asked.short { 1 } else { one.seeds }),
            short: asked.short,
            humaneval: asked.humaneval.as_deref(),
        };
        let findings = (one.run)(effort).with_context(|| one.name)?;
        let made = Made {
            command: command(one.name, asked),
            seeds: effort.seeds,
            seconds: began.elapsed().as_secs_f64(),
            threads: std::thread::available_parallelism().map_or(1, NonZero::get),
        };
        page::write(
            &asked.out,
            one.name,
            one.title,
            one.question,
            &findings,
            &made,
        )?;
        writeln!(
            out,
            "{} ({:.0} s): {}",
            one.name,
            made.seconds,
            findings.answer.join(" ")
        )?;
    }
    let path = asked.out.join("README.md");
    std::fs::write(&path, index(&asked.out)?).with_context(|| path.display().to_string())
}

/// The page that names all experiments of a folder, with what came of them.
fn index(folder: &Path) -> anyhow::Result<String> {
    let (mut lines, mut minutes) = (String::new(), 0.0);
    for one in &EXPERIMENTS {
        let path = folder.join(format!("{}.json", one.name));
        if !path.exists() {
            continue;
        }
        let at = || path.display().to_string();
        let text = std::fs::read_to_string(&path).with_context(at)?;
        let document: Value = serde_json::from_str(&text).with_context(at)?;
        let seconds = document["made"]["seconds"].as_f64().unwrap_or_default();
        minutes += seconds / 60.0;
        lines.push_str(&format!(
            "| [{}]({}.md) | {} | {} | {} | {seconds:.0} s |\n",
            one.title,
            one.name,
            one.question,
            document["answer"][0].as_str().unwrap_or_default(),
            document["made"]["seeds"],
        ));
    }
    Ok(format!(
        "# Experiments\n\nThe method's claims, checked by commands that anybody can repeat: on recorded answers of two \
         small models and on generated worlds whose exact utility is known. Every sentence of an answer is made of \
         what its run measured. One command makes all of the pages; these took {minutes:.0} minutes, and name what made each:\n\n```sh\n\
         cargo run --release -p frugal-benchmark -- experiment all --out docs/experiments\n```\n\n\
         | experiment | question | what came of it | seeds | took |\n| --- | --- | --- | --- | --- |\n{lines}"
    ))
}

/// The experiment that reads HumanEval's labelled answers, where they are at hand.
const READS_HUMANEVAL: &str = "success";

/// The command that repeats a run.
fn command(name: &str, asked: &Asked) -> String {
    let mut command = String::new();
    if asked.humaneval.is_some() && name == READS_HUMANEVAL {
        command.push_str("FRUGAL_HUMANEVAL_DIR=… ");
    }
    command.push_str(&format!(
        "cargo run --release -p frugal-benchmark -- experiment {name}"
    ));
    if let Some(seeds) = asked.seeds {
        command.push_str(&format!(" --seeds {seeds}"));
    }
    if asked.short {
        command.push_str(" --short");
    }
    command
}
