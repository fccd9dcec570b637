//! Losses over trials, beside the recorded ones.

use crate::functions::{Function, recorded};
use crate::{SEEDS, best_so_far, heading, quartiles};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

/// The trials at which curves are held to the recorded ones.
const JUDGED: [usize; 3] = [40, 80, 150];

/// One recorded curve: quartiles of the best loss so far, by number of trials.
#[derive(Deserialize)]
struct Curve {
    trials: Vec<usize>,
    median_best: Vec<f64>,
    q25: Vec<f64>,
    q75: Vec<f64>,
}

impl Curve {
    fn at(&self, trials: usize) -> Option<[f64; 3]> {
        let index = self.trials.iter().position(|own| *own == trials)?;
        let value = |values: &[f64]| values.get(index).copied();
        Some([
            value(&self.q25)?,
            value(&self.median_best)?,
            value(&self.q75)?,
        ])
    }
}

pub(crate) fn print(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let folder = std::env::var_os("FRUGAL_REFERENCE_DIR").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../tests/reference"
            ))
        },
        PathBuf::from,
    );
    let file = std::fs::read_to_string(folder.join("curves.json"))?;
    let curves: BTreeMap<String, Curve> = serde_json::from_str(&file)?;
    heading(out, "best loss so far: quartiles over 30 seeds")?;
    writeln!(
        out,
        "{:<22} {:>6}   {:<26}   recorded",
        "function/search", "trials", "q25      median   q75"
    )?;
    let mut verdicts = Vec::new();
    for function in recorded() {
        let mut medians = BTreeMap::new();
        for (name, algorithm) in function.algorithms(150) {
            let runs = (0..SEEDS)
                .map(|seed| {
                    let search = function.search(algorithm, seed)?;
                    best_so_far(&function, search, 150, 1)
                })
                .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
            let recorded = curves.get(&format!("{}/{name}", function.name));
            for trials in [5, 10, 20, 40, 80, 150] {
                let best = runs.iter().filter_map(|run| run.get(trials - 1).copied());
                let own = quartiles(best.collect());
                let beside = recorded.and_then(|curve| curve.at(trials));
                write_row(out, &function, name, trials, own, beside)?;
                medians.insert((name, trials), own[1]);
                if let Some([_, _, q75]) = beside
                    && JUDGED.contains(&trials)
                    && name != "random"
                {
                    verdicts.push((
                        format!(
                            "{}/{name} at {trials}: within the recorded quartiles or better",
                            function.name
                        ),
                        own[1] <= q75,
                    ));
                }
            }
        }
        for trials in JUDGED {
            let median = |name| medians.get(&(name, trials));
            verdicts.push((
                format!("{}/tpe at {trials}: better than random", function.name),
                median("tpe") < median("random"),
            ));
        }
    }
    heading(out, "medians")?;
    for (what, holds) in verdicts {
        writeln!(out, "{} {what}", if holds { "yes" } else { "NO " })?;
    }
    Ok(())
}

fn write_row(
    out: &mut impl Write,
    function: &Function,
    name: &str,
    trials: usize,
    own: [f64; 3],
    recorded: Option<[f64; 3]>,
) -> std::io::Result<()> {
    let list = |values: [f64; 3]| {
        let [q25, median, q75] = values.map(|value| format!("{value:<8.4}"));
        format!("{q25} {median} {q75}")
    };
    let search = format!("{}/{name}", function.name);
    let recorded = recorded.map(list).unwrap_or_default();
    writeln!(out, "{search:<22} {trials:>6}   {}   {recorded}", list(own))
}
