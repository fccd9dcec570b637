//! How long an ask takes and how much memory a search needs.

use crate::functions::{Function, job};
use crate::heading;
use frugal_search::{Ask, Observation, Outcome, Search, Searcher};
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

/// Trials in the log, and over how many seeds and how many asks each the time is a mean.
const LOGS: [(usize, u64, usize); 4] = [
    (1, 500, 1),
    (100, 25, 20),
    (1_000, 5, 100),
    (10_000, 1, 500),
];

pub(crate) fn print(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let function = job();
    heading(out, "speed, on a space as a job has it")?;
    writeln!(
        out,
        "{:<15} {:>8} {:>12} {:>10} {:>12}",
        "search", "trials", "asks per s", "ask", "replay"
    )?;
    let before = memory("VmRSS");
    for (name, algorithm) in function.algorithms(9_000) {
        for (trials, seeds, asks) in LOGS {
            let (mut asking, mut replaying) = (Duration::ZERO, Duration::ZERO);
            let mut asked = 0_u32;
            for seed in 0..seeds {
                let mut search = function.search(algorithm, seed)?;
                let begun = Instant::now();
                let told = advance(&function, &mut search, trials)?;
                replaying += begun.elapsed();
                if told < trials {
                    // A grid has an end.
                    continue;
                }
                for _ in 0..asks {
                    let begun = Instant::now();
                    let ask = search.ask();
                    asking += begun.elapsed();
                    asked += 1;
                    if !tell(&function, &mut search, ask)? {
                        break;
                    }
                }
            }
            if asked == 0 {
                continue;
            }
            let ask = asking.as_secs_f64() / f64::from(asked);
            let replay = replaying.as_secs_f64() / seeds as f64;
            writeln!(
                out,
                "{name:<15} {trials:>8} {:>12.0} {:>7.3} ms {:>9.1} ms",
                1.0 / ask,
                ask * 1e3,
                replay * 1e3
            )?;
        }
    }
    let resident = |name| {
        memory(name).map_or_else(
            || "unknown".to_owned(),
            |kib| format!("{:.1} MiB", kib / 1024.0),
        )
    };
    let before = before.map_or_else(
        || "unknown".to_owned(),
        |kib| format!("{:.1} MiB", kib / 1024.0),
    );
    writeln!(
        out,
        "memory of the whole process: {before} before, at most {} since",
        resident("VmHWM")
    )?;
    Ok(())
}

/// Lives through so many trials, or as many as there are; how many.
fn advance(
    function: &Function,
    search: &mut Search,
    trials: usize,
) -> Result<usize, Box<dyn Error>> {
    for told in 0..trials {
        let ask = search.ask();
        if !tell(function, search, ask)? {
            return Ok(told);
        }
    }
    Ok(trials)
}

/// Tells the result of what was asked; false where nothing was proposed.
fn tell(function: &Function, search: &mut Search, ask: Ask) -> Result<bool, Box<dyn Error>> {
    let Ask::Propose(proposal) = ask else {
        return Ok(false);
    };
    let (loss, cost) = (function.evaluate)(&proposal.configuration);
    let outcome = Outcome::Evaluated { loss };
    search.tell(proposal.number, Observation { outcome, cost })?;
    Ok(true)
}

/// A figure of this process in KiB, where the system tells it.
fn memory(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
