//! Measures how many small jobs workers finish in a second.
#![expect(clippy::print_stdout, reason = "it is what the program is run for")]

use clap::Parser;
use frugal_tests::drain::{self, Plan};
use std::path::PathBuf;
use std::time::Duration;

/// How many small jobs workers finish in a second, by the number of workers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program `frugal`; by default the one beside this one.
    #[arg(long)]
    frugal: Option<PathBuf>,
    /// Numbers of worker processes, each with one job at a time.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16")]
    workers: Vec<u32>,
    /// Jobs that each worker is to finish.
    #[arg(long, default_value_t = 20)]
    jobs: u32,
    /// How long each answer of the endpoint takes, in milliseconds.
    #[arg(long, default_value_t = 100)]
    latency: u64,
    /// The most requests that may be in flight at the endpoint, of all workers together. A job here has 8 at once.
    #[arg(long, default_value_t = 512)]
    requests_in_flight: u32,
}

#[tokio::main]
async fn main() {
    let Arguments {
        frugal,
        workers,
        jobs,
        latency,
        requests_in_flight,
    } = Arguments::parse();
    let plan = Plan {
        program: frugal,
        jobs: jobs.max(1),
        latency: Duration::from_millis(latency),
        requests_in_flight: requests_in_flight.max(1),
    };
    println!("answers take {latency} ms; {requests_in_flight} requests may be in flight");
    println!("workers  jobs/s  of one worker's  calls/s  jobs");
    let mut alone = None;
    for workers in workers {
        let drained = drain::run(&plan, workers.max(1)).await;
        let alone = *alone.get_or_insert(drained.per_second / f64::from(drained.workers));
        println!(
            "{:>7}  {:>6.1}  {:>15.1}  {:>7.0}  {:>4}",
            drained.workers,
            drained.per_second,
            drained.per_second / alone,
            drained.calls_per_second,
            drained.jobs
        );
    }
}
