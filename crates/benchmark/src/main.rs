//! Whole jobs in memory against recorded answers of real models: no database, no network, no clock,
//! thousands of jobs a minute. It measures what pruning is worth and whether what reports say can
//! be trusted. [`throughput`] and [`worlds::served`] alone run the real programs, and [`math`] a Python package.
//!
//! Start with [`run`] (a job from its baseline to its held-out rows) and [`endpoint`] (what answers
//! it); [`pruning`] and [`certainty`] are what is measured.

mod archive;
mod bootstrap;
mod ceiling;
mod certainty;
mod code;
mod corpus;
mod coverage;
mod data_set;
mod endpoint;
mod experiment;
mod http;
mod jhu;
mod math;
mod memory;
mod parallel;
mod processes;
mod pruning;
mod recorded;
mod run;
mod shapes;
mod share;
mod spread;
mod synthetic;
mod table;
mod throughput;
mod truth;
mod worlds;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Whole jobs in memory against recorded answers of real models.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    measured: Measured,
}

#[derive(Debug, Subcommand)]
enum Measured {
    /// How many configurations each way of pruning tries under equal budgets, and what it finds.
    Pruning {
        /// Jobs of each way on each data set.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// The folder of the data of Renze and Guven (2024), where it is at hand.
        #[arg(long, env = "FRUGAL_JHU_DIR")]
        jhu: Option<PathBuf>,
        /// Temperatures in steps of this size; without it they vary freely, and two configurations
        /// rarely share a response.
        #[arg(long, value_parser = step)]
        temperature_step: Option<f64>,
    },
    /// What searches find on worlds whose exact utility is known.
    Worlds {
        /// Jobs of each way on each world.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 11)]
        first_seed: u64,
        /// Optimization budgets, as multiples of the inference budget over all rows.
        #[arg(long, value_delimiter = ',', default_value = "2,5,25")]
        factors: Vec<f64>,
        /// The ways to search, by name; all by default.
        #[arg(long, value_delimiter = ';')]
        ways: Vec<String>,
        /// The sampling settings that are free; `few` and `many` are laid over the worlds.
        #[arg(long, value_enum, default_value_t = worlds::FreeSettings::Temperature)]
        settings: worlds::FreeSettings,
        /// How many requests a job may have under way, all of them answered after the same time; without it
        /// they follow one another.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        requests_in_flight: Option<u32>,
        /// A folder of other worlds.
        #[arg(long, env = "FRUGAL_WORLDS_DIR")]
        worlds: Option<PathBuf>,
    },
    /// The same worlds behind an endpoint over HTTP, jobs posted to the real program: what winners are worth,
    /// and how many requests are under way; on Linux.
    Served(worlds::served::Measure),
    /// Whether significant improvements are ones, and intervals cover the truth.
    Certainty {
        /// Jobs of each kind.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// Samples of each shape of values and each size.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
        samples: u64,
    },
    /// An experiment, or all of them: numbers, figures and a page that says what they come to.
    Experiment {
        /// Its name, or `all`.
        name: String,
        /// Seeds of each; by default as many as the experiment needs.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: Option<u64>,
        /// The folder that the pages go to.
        #[arg(long, default_value = "target/experiments")]
        out: PathBuf,
        /// The least of everything, to see that it runs.
        #[arg(long)]
        short: bool,
        /// The folder of humaneval_codegen16b_labelled.jsonl.gz, where it is at hand.
        #[arg(long, env = "FRUGAL_HUMANEVAL_DIR")]
        humaneval: Option<PathBuf>,
    },
    /// Whether the scorer `code` tells right programs from wrong ones, and how many it gets through: on HumanEval.
    Code {
        /// The folder of HumanEval.jsonl.gz, and of humaneval_codegen16b_labelled.jsonl.gz where it is at hand.
        #[arg(long, env = "FRUGAL_HUMANEVAL_DIR")]
        humaneval: PathBuf,
        /// Labelled answers to each problem.
        #[arg(long, default_value_t = 100)]
        answers: usize,
        /// The interpreter.
        #[arg(long, default_value = "/usr/bin/python3")]
        python: PathBuf,
    },
    /// What the scorer `math` and the Python package math-verify say of the same answers.
    Math {
        /// A Python that has math-verify (`pip install math-verify`).
        #[arg(long, env = "FRUGAL_PYTHON", default_value = "python3")]
        python: PathBuf,
        /// A folder with the folders `gsm8k` and `jhu`, where they are at hand.
        #[arg(long, env = "FRUGAL_DATA_DIR")]
        data: Option<PathBuf>,
    },
    /// How many bytes a job takes in a worker for each of its responses: driven, and lived through again; on Linux.
    Memory {
        /// Responses of each job, about.
        #[arg(long, default_value_t = 200_000)]
        responses: usize,
        /// One kind of job alone.
        #[arg(long, value_enum)]
        kind: Option<memory::Kind>,
        /// In this process, one part alone.
        #[arg(long, value_enum, requires_all = ["kind", "file"], hide = true)]
        part: Option<memory::Part>,
        /// What the parts hand on.
        #[arg(long, hide = true)]
        file: Option<PathBuf>,
    },
    /// How many calls a worker process gets through, and what each costs; real programs, on Linux.
    Throughput {
        /// The program `frugal`; by default the one beside this one.
        #[arg(long)]
        frugal: Option<PathBuf>,
        /// Jobs at once.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
        jobs: u32,
        /// How long each latency is measured.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
    },
}

fn main() -> anyhow::Result<()> {
    if frugal_sandbox::is_launcher(std::env::args_os()) {
        // Whoever started it sees by the pipes how it ended.
        let _status = frugal_sandbox::launch();
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    match Arguments::parse().measured {
        Measured::Pruning {
            seeds,
            jhu,
            temperature_step,
        } => {
            let mut sets = recorded::data_sets()?;
            if let Some(folder) = jhu {
                sets.push(jhu::data_set(&folder)?);
            }
            if let Some(step) = temperature_step {
                let stepped = sets.into_iter().map(|set| set.with_temperature_step(step));
                sets = stepped.collect();
            }
            pruning::print(&mut out, &sets, seeds)
        }
        Measured::Worlds {
            seeds,
            first_seed,
            factors,
            ways,
            settings,
            requests_in_flight,
            worlds,
        } => worlds::print(
            &mut out,
            &worlds::Measure {
                seeds,
                first_seed,
                factors,
                ways,
                settings,
                requests_in_flight,
                folder: worlds,
            },
        ),
        Measured::Served(measure) => worlds::served::print(&mut out, &measure),
        Measured::Experiment {
            name,
            seeds,
            out: folder,
            short,
            humaneval,
        } => experiment::run(
            &mut out,
            &experiment::Asked {
                name,
                seeds,
                out: folder,
                short,
                humaneval,
            },
        ),
        Measured::Code {
            humaneval,
            answers,
            python,
        } => code::print(
            &mut out,
            &code::Measure {
                folder: humaneval,
                answers,
                python,
            },
        ),
        Measured::Certainty { seeds, samples } => certainty::print(&mut out, seeds, samples),
        Measured::Math { python, data } => math::print(&mut out, &python, data.as_deref()),
        Measured::Memory {
            responses,
            kind,
            part,
            file,
        } => memory::print(
            &mut out,
            &memory::Measure {
                responses,
                kind,
                part: part.zip(file),
            },
        ),
        Measured::Throughput {
            frugal,
            jobs,
            seconds,
        } => throughput::print(
            &mut out,
            &throughput::Measure {
                frugal,
                jobs,
                seconds,
            },
        ),
    }
}

/// A size of steps that fits a range of temperatures.
fn step(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(step) if (0.01..=1.0).contains(&step) => Ok(step),
        _ => Err("give a number from 0.01 to 1".to_owned()),
    }
}
