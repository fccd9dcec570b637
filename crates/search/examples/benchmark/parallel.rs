//! What it costs to have several trials in the air.

use crate::functions::recorded;
use crate::{SEEDS, best_so_far, heading, quartiles};
use std::error::Error;
use std::io::Write;

const TRIALS: usize = 80;

pub(crate) fn print(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    heading(
        out,
        "median regret after 80 trials over 30 seeds: one, four and eight at a time",
    )?;
    writeln!(
        out,
        "{:<22} {:>10} {:>10} {:>10}   four:one eight:one",
        "function/search", "one", "four", "eight"
    )?;
    for function in recorded() {
        for (name, algorithm) in function.algorithms(TRIALS) {
            let regret = |parallel| -> Result<f64, Box<dyn Error>> {
                let mut regrets = Vec::new();
                for seed in 0..SEEDS {
                    let search = function.search(algorithm, seed)?;
                    let curve = best_so_far(&function, search, TRIALS, parallel)?;
                    let best = curve.last().copied().unwrap_or(f64::INFINITY);
                    regrets.push(best - function.least);
                }
                Ok(quartiles(regrets)[1])
            };
            let (one, four, eight) = (regret(1)?, regret(4)?, regret(8)?);
            let search = format!("{}/{name}", function.name);
            writeln!(
                out,
                "{search:<22} {one:>10.5} {four:>10.5} {eight:>10.5}   {:>8.2} {:>9.2}",
                four / one,
                eight / one
            )?;
        }
    }
    Ok(())
}
