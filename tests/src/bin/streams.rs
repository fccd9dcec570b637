//! Measures event streams: how soon each of many followers has an event after its commit, and what it costs.
#![expect(clippy::print_stdout, reason = "it is what the program is run for")]

use clap::Parser;
use frugal_tests::streams::{Plan, measure};
use std::time::Duration;

/// Has many clients follow jobs through one server, on this machine, and prints delays and memory.
#[derive(Debug, Parser)]
struct Arguments {
    /// Clients, each with a connection of its own.
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Jobs that they are spread over.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Events of each job.
    #[arg(long, default_value_t = 50)]
    events: usize,
    /// Milliseconds between them.
    #[arg(long, default_value_t = 200)]
    pause_ms: u64,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let plan = Plan {
        subscribers: arguments.subscribers.max(1),
        jobs: arguments.jobs.max(1),
        events: arguments.events.max(1),
        pause: Duration::from_millis(arguments.pause_ms),
    };
    let measured = measure(plan).await;
    println!(
        "{} subscribers on {} jobs: {} of {} events arrived; from commit to client {}; {:.1} KiB each",
        plan.subscribers,
        plan.jobs,
        measured.delays.count(),
        measured.expected,
        measured.delays,
        measured.kib_each,
    );
}
