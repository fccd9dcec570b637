//! Runs random clients against real programs, and fails where an answer contradicts the model of a job.
#![expect(clippy::print_stdout, reason = "it is what the program is run for")]

use clap::Parser;
use frugal_tests::blackbox::{self, Plan};
use std::process::ExitCode;

/// Asks things of jobs at random while workers and the server are killed, and holds every answer against a
/// model.
#[derive(Debug, Parser)]
struct Arguments {
    /// Decides what is asked and what strikes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How much is asked, over all clients.
    #[arg(long, default_value_t = 5_000)]
    steps: usize,
    /// Clients at the same time.
    #[arg(long, default_value_t = 6)]
    clients: usize,
    /// How often a worker or the server is killed.
    #[arg(long, default_value_t = 30)]
    kills: usize,
    /// One in so many commits breaks its connection; 0 for none.
    #[arg(long, default_value_t = 200)]
    cut_one_in: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments {
        seed,
        steps,
        clients,
        kills,
        cut_one_in,
    } = Arguments::parse();
    println!("seed {seed}");
    let outcome = blackbox::run(Plan {
        seed,
        steps,
        clients: clients.max(1),
        kills,
        cut_one_in: (cut_one_in > 0).then_some(cut_one_in),
    })
    .await;
    println!("{outcome}");
    match outcome.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
