//! Breaks a worker at every place of a small job, or at some, and fails where anything is wrong afterwards.
#![expect(clippy::print_stdout, reason = "it is what the program is run for")]

use clap::Parser;
use frugal_tests::breakpoints::{self, Plan};
use std::process::ExitCode;

/// Breaks a worker around every write that it commits and while its requests are in flight, and checks what is
/// left.
#[derive(Debug, Parser)]
struct Arguments {
    /// Decides the jobs, and which places are taken where not all are.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many places are tried; all by default.
    #[arg(long)]
    count: Option<usize>,
    /// How many at the same time.
    #[arg(long, default_value_t = 4)]
    at_once: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments {
        seed,
        count,
        at_once,
    } = Arguments::parse();
    println!("seed {seed}");
    let outcome = breakpoints::run(Plan {
        seed,
        count,
        at_once: at_once.max(1),
    })
    .await;
    println!("{outcome}");
    match outcome.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
