//! Measures how soon a server answers under load.
#![expect(clippy::print_stdout, reason = "it is what the program is run for")]

use clap::Parser;
use frugal_tests::load::{Plan, measure};
use std::path::PathBuf;
use std::time::Duration;

/// How soon a server answers those who poll jobs that run, post a large one, and list among many.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program `frugal`; by default the one beside this one.
    #[arg(long)]
    frugal: Option<PathBuf>,
    /// How often a second a job is asked for.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Jobs that run meanwhile.
    #[arg(long, default_value_t = 4)]
    running: usize,
    /// Rows of a large job.
    #[arg(long, default_value_t = 10_000)]
    rows: usize,
    /// Jobs that have ended, among which the lists look.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(i32).range(250..))]
    ended: i32,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let plan = Plan {
        program: arguments.frugal,
        rate: arguments.rate,
        period: Duration::from_secs(arguments.seconds.max(1)),
        running: arguments.running.max(1),
        rows: arguments.rows.max(1),
        ended: arguments.ended,
    };
    let measured = measure(&plan).await;
    println!(
        "GET /jobs/{{id}} beside {} running jobs, {:.0} a second: {}",
        plan.running, measured.polls_per_second, measured.polls
    );
    println!("POST /jobs with {} rows: {}", plan.rows, measured.posts);
    for (path, times) in measured.lists {
        println!("GET {path} among {} jobs: {times}", plan.ended);
    }
}
