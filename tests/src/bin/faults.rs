//! Runs a campaign of faults, and fails where anything is wrong afterwards.
#![expect(clippy::print_stdout, reason = "it is what the program is run for")]

use clap::Parser;
use frugal_tests::campaign::{self, Plan};
use std::process::ExitCode;

/// Kills workers and crashes the database while jobs run, and checks what is left.
#[derive(Debug, Parser)]
struct Arguments {
    /// Decides what strikes when, the faults of the endpoint and the jobs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often a worker is killed.
    #[arg(long, default_value_t = 40)]
    kills: usize,
    /// How often the database is stopped or crashes, by turns.
    #[arg(long, default_value_t = 4)]
    crashes: usize,
    /// Worker processes, each with one job at a time.
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// Jobs under way at the same time.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// The share of requests that meet a fault at the endpoint.
    #[arg(long, default_value_t = 0.1)]
    faults: f64,
    /// How long a silent worker keeps its job, in seconds.
    #[arg(long, default_value_t = 4)]
    lease: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments {
        seed,
        kills,
        crashes,
        workers,
        jobs,
        faults,
        lease,
    } = Arguments::parse();
    println!("seed {seed}");
    let outcome = campaign::run(Plan {
        seed,
        kills,
        crashes,
        workers: workers.max(1),
        jobs_at_once: jobs.max(1),
        faults,
        lease_seconds: lease.max(2),
    })
    .await;
    println!("{outcome}");
    match outcome.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
