//! Whether the scorer `code` tells right programs from wrong ones, and how many it gets through in a
//! minute: on the problems of HumanEval (Chen et al., 2021), whose folder is no part of this project.
//!
//! The folder holds `HumanEval.jsonl.gz`, and, where it is at hand, a file of model answers that were run
//! elsewhere, each with whether it passed raw and after it was cut at the usual stops.

use crate::table;
use anyhow::{Context, ensure};
use flate2::read::GzDecoder;
use frugal_domain::fault::{Faults, Reader};
use frugal_domain::job::Instance;
use frugal_sandbox::{Launcher, Limits, Mode, Options, Sandbox};
use frugal_scoring::{Expectation, Scorer};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

const PROBLEMS: &str = "HumanEval.jsonl.gz";
const LABELLED: &str = "humaneval_codegen16b_labelled.jsonl.gz";

/// Where an answer ends: the stops of the paper's authors, and the one more that the labelled answers were
/// cut at.
const STOPS: [&str; 6] = ["\nclass", "\ndef", "\n#", "\nif", "\nprint", "\nassert"];

/// What the paper's authors give a program.
const SECONDS: u32 = 3;

/// How often all problems are run where it is timed.
const ROUNDS: usize = 5;

/// How many wait for the sandbox at a time; it runs fewer.
const IN_HAND: usize = 16;

/// Answers that pass nowhere, and what is wrong with them.
const WRONG: [(&str, &str); 6] = [
    ("gives nothing", "    return None\n"),
    ("breaks down", "    raise ValueError\n"),
    ("is no Python", "    return return\n"),
    ("leaves by sys.exit(0)", "    import sys; sys.exit(0)\n"),
    ("leaves by os._exit(0)", "    import os; os._exit(0)\n"),
    ("leaves before the tests", "    pass\nraise SystemExit(0)\n"),
];

/// What is measured.
pub struct Measure {
    /// Where the problems are.
    pub folder: PathBuf,
    /// Labelled answers to each problem.
    pub answers: usize,
    /// The interpreter.
    pub python: PathBuf,
}

/// A labelled problem. Its prompt has no examples and is another one than HumanEval's.
#[derive(Deserialize)]
struct Labelled {
    #[serde(flatten)]
    row: Instance,
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    text: String,
    correct_without_stop: bool,
    correct_with_stop: bool,
}

/// Of every labelled problem, whether each of its answers passes, cut at the stops.
///
/// # Errors
/// The folder has no labelled answers.
pub fn labels(folder: &Path) -> anyhow::Result<Vec<Vec<bool>>> {
    let problems: Vec<Labelled> = lines(&folder.join(LABELLED))?;
    let passes = |problem: &Labelled| {
        let samples = problem.samples.iter();
        samples.map(|sample| sample.correct_with_stop).collect()
    };
    Ok(problems.iter().map(passes).collect())
}

/// Measures it and prints what came of it.
///
/// # Errors
/// There are no problems, or no sandbox.
pub fn print(out: &mut impl Write, measure: &Measure) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measured(out, measure))
}

async fn measured(out: &mut impl Write, measure: &Measure) -> anyhow::Result<()> {
    let problems: Vec<Instance> = lines(&measure.folder.join(PROBLEMS))?;
    ensure!(!problems.is_empty(), "{PROBLEMS} holds no problems");
    let sandbox = Sandbox::probe(Options {
        mode: Mode::On,
        python: measure.python.clone(),
        launcher: Launcher::this_program(),
        limits: Limits::default(),
    })
    .await?;
    let (cut, raw) = (scorer(&STOPS)?, scorer(&[])?);
    let mut shown = table::new(["HumanEval", "programs", "pass"]);
    let canonical = problems
        .iter()
        .map(|row| (row, text(row, "canonical_solution")));
    let passed = run(&sandbox, &raw, canonical.clone()).await?;
    for (row, _) in problems.iter().zip(&passed).filter(|(_, passes)| !**passes) {
        writeln!(
            out,
            "{} fails as its authors solve it",
            text(row, "task_id")
        )?;
    }
    shown.add_row([
        "canonical solutions".to_owned(),
        passed.len().to_string(),
        count(&passed),
    ]);
    for (name, answer) in WRONG {
        let answers = problems.iter().map(|row| (row, answer));
        let passed = run(&sandbox, &raw, answers).await?;
        shown.add_row([name.to_owned(), passed.len().to_string(), count(&passed)]);
    }
    writeln!(out, "{shown}")?;

    let began = Instant::now();
    for _ in 0..ROUNDS {
        run(&sandbox, &raw, canonical.clone()).await?;
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let programs = u32::try_from(ROUNDS * problems.len())?;
    writeln!(
        out,
        "canonical solutions, {} at a time: {:.0} programs a minute",
        sandbox.options().limits.programs_at_once,
        f64::from(programs) / minutes
    )?;
    let labelled = measure.folder.join(LABELLED);
    if labelled.exists() {
        against_labels(out, &sandbox, [&raw, &cut], &labelled, measure.answers).await?;
    }
    Ok(())
}

/// Prints where answers pass here and were labelled otherwise, or the other way round.
async fn against_labels(
    out: &mut impl Write,
    sandbox: &Sandbox,
    [raw, cut]: [&Scorer; 2],
    file: &Path,
    most: usize,
) -> anyhow::Result<()> {
    let labelled: Vec<Labelled> = lines(file)?;
    let mut shown = table::new(["labelled answers", "answers", "pass", "as labelled"]);
    let began = Instant::now();
    let mut all = 0;
    for (name, scorer, label) in [
        (
            "as they are",
            raw,
            (|it| it.correct_without_stop) as fn(&Sample) -> bool,
        ),
        ("cut at the stops", cut, |it| it.correct_with_stop),
    ] {
        let answers = labelled.iter().flat_map(|problem| {
            let samples = problem.samples.iter().take(most);
            samples.map(|sample| (&problem.row, sample))
        });
        let told = answers
            .clone()
            .map(|(row, sample)| (row, sample.text.as_str()));
        let passed = run(sandbox, scorer, told).await?;
        let mut agreed = 0;
        let mut otherwise: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for ((row, sample), passes) in answers.zip(&passed) {
            match label(sample) == *passes {
                true => agreed += 1,
                false => {
                    let found = otherwise.entry(text(row, "task_id")).or_default();
                    found[usize::from(*passes)] += 1;
                }
            }
        }
        all += passed.len();
        shown.add_row([
            name.to_owned(),
            passed.len().to_string(),
            count(&passed),
            agreed.to_string(),
        ]);
        for (task, [fail, pass]) in otherwise {
            writeln!(
                out,
                "{name}, {task}: {pass} pass and {fail} fail, unlike their labels"
            )?;
        }
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let rate = f64::from(u32::try_from(all)?) / minutes;
    writeln!(
        out,
        "{shown}\n{rate:.0} answers a minute, endless ones among them"
    )?;
    Ok(())
}

/// HumanEval's way: the prompt, the answer, the tests.
fn scorer(stop_at: &[&str]) -> anyhow::Result<Scorer> {
    let posted = json!({
        "type": "code",
        "prefix": "{{ prompt }}",
        "tests": "{{ test }}",
        "entry_point": "{{ entry_point }}",
        "extract": "all",
        "seconds": SECONDS,
        "stop_at": stop_at,
    });
    let faults = Faults::default();
    let object = Reader::new(&posted, &faults).object();
    let spec = object.and_then(|object| frugal_scoring::read(&object));
    Ok(Scorer::compile(&spec.context("the scorer is not read")?)?)
}

/// Whether each answer passes.
async fn run<'a>(
    sandbox: &Sandbox,
    scorer: &Scorer,
    answers: impl Iterator<Item = (&'a Instance, &'a str)>,
) -> anyhow::Result<Vec<bool>> {
    let passed = answers.enumerate().map(async |(index, (row, answer))| {
        let expectation: Expectation<'_> = scorer.expectation(row)?;
        let mut assessed = expectation.assess(answer);
        if let Some(Ok(observed)) = assessed.outcome() {
            return Ok((index, observed.score > 0.0));
        }
        let run = assessed.run(0).context("the scorer runs no program")?;
        while let Some(program) = run.next() {
            run.ended(&sandbox.run(program).await?);
        }
        anyhow::Ok((index, run.score() > 0.0))
    });
    // One that never ends holds up none of the others.
    let passed = stream::iter(passed).buffer_unordered(IN_HAND);
    let mut passed: Vec<(usize, bool)> = passed.try_collect().await?;
    passed.sort_unstable();
    Ok(passed.into_iter().map(|(_, passes)| passes).collect())
}

/// The lines of a file, unpacked and read.
fn lines<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    let rows = lines.map(|line| {
        let line = line.with_context(|| format!("cannot unpack {name}"))?;
        serde_json::from_str(&line).with_context(|| format!("a line of {name} makes no sense"))
    });
    rows.collect()
}

/// A field of a row; nothing where it is no text.
fn text<'r>(row: &'r Instance, field: &str) -> &'r str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn count(passed: &[bool]) -> String {
    passed.iter().filter(|passes| **passes).count().to_string()
}
