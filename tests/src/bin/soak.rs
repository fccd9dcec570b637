//! Soaks real programs, and fails where something grows or an answer contradicts the model of a job.
#![expect(clippy::print_stdout, reason = "it is what the program is run for")]

use clap::Parser;
use frugal_tests::soak::{self, Plan};
use std::process::ExitCode;
use std::time::Duration;

/// Asks things of jobs for a long time while workers are killed and retention removes what is old, and looks
/// whether memory, connections and the database stay as large as they are.
#[derive(Debug, Parser)]
struct Arguments {
    /// Decides what is asked and what strikes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long; things settle within the first five minutes.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Clients at the same time.
    #[arg(long, default_value_t = 6)]
    clients: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments {
        seed,
        minutes,
        clients,
    } = Arguments::parse();
    println!("seed {seed}");
    let soaked = soak::run(Plan {
        seed,
        time: Duration::from_secs(minutes * 60),
        clients: clients.max(1),
    })
    .await;
    println!("{soaked}");
    match soaked.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
