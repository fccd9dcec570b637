//! What the searches find, in how many trials, and how fast they are.
//!
//! `cargo run --release -p frugal-search --example benchmark [PART]`, where PART is `speed`,
//! `curves`, `parallel` or `decisions`; all of them without one.
//!
//! - `speed`: asks per second and the time of a replay, by trials in the log; memory.
//! - `curves`: the best loss so far on four test functions, over 30 seeds, beside the curves
//!   recorded from the reference implementation.
//! - `decisions`: how long a profiled search takes to decide, by arms and rows.
//! - `parallel`: the regret after 80 trials with eight of them at a time, against one at a time.

mod curves;
mod decisions;
mod functions;
mod parallel;
mod speed;

use frugal_search::{Ask, Observation, Outcome, Search, Searcher};
use functions::Function;
use std::collections::VecDeque;
use std::error::Error;
use std::io::Write;

/// Runs of each search; their seeds are 0, 1, 2, …
const SEEDS: u64 = 30;

fn main() -> Result<(), Box<dyn Error>> {
    let part = std::env::args().nth(1);
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if !["speed", "curves", "parallel", "decisions"]
        .iter()
        .any(|name| wanted(name))
    {
        return Err("the parts are `speed`, `curves`, `parallel` and `decisions`".into());
    }
    let mut out = std::io::stdout().lock();
    // First, while the process has used no memory for anything else.
    if wanted("speed") {
        speed::print(&mut out)?;
    }
    if wanted("curves") {
        curves::print(&mut out)?;
    }
    if wanted("parallel") {
        parallel::print(&mut out)?;
    }
    if wanted("decisions") {
        decisions::print(&mut out)?;
    }
    Ok(())
}

/// Runs a search with that many trials in the air, told in the order of proposal, and gives the
/// best loss after each trial.
fn best_so_far(
    function: &Function,
    mut search: Search,
    trials: usize,
    parallel: usize,
) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut best = f64::INFINITY;
    let mut curve = Vec::new();
    let mut open = VecDeque::new();
    let mut proposed = 0;
    while curve.len() < trials {
        while open.len() < parallel && proposed < trials {
            let Ask::Propose(proposal) = search.ask() else {
                break;
            };
            proposed += 1;
            open.push_back(proposal);
        }
        let Some(proposal) = open.pop_front() else {
            break;
        };
        let (loss, cost) = (function.evaluate)(&proposal.configuration);
        best = best.min(loss);
        curve.push(best);
        let outcome = Outcome::Evaluated { loss };
        search.tell(proposal.number, Observation { outcome, cost })?;
    }
    Ok(curve)
}

/// The quartiles, by linear interpolation.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|share| {
        let position = share * (values.len().saturating_sub(1)) as f64;
        let value = |at: f64| {
            values
                .iter()
                .zip(0_u32..)
                .find(|(_, index)| f64::from(*index) >= at)
                .map_or(f64::NAN, |(value, _)| *value)
        };
        let lower = value(position.floor());
        lower + position.fract() * (value(position.ceil()) - lower)
    })
}

fn heading(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    writeln!(out, "\n{text}\n")
}
