//! Runs the searches on the test functions of `tests/reference/curves.json` and prints the best
//! loss so far (quartiles over 30 seeds) beside the recorded ones.
//!
//! `cargo run --release -p frugal-search --example curves [path to curves.json]`

use frugal_domain::configuration::Configuration;
use frugal_domain::space::{Dimension, Domain, Scale, Space};
use frugal_search::{Algorithm, Ask, Observation, Outcome, Search, SearchOptions, Searcher};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

const SEEDS: u64 = 30;

#[derive(Deserialize)]
struct Curve {
    trials: Vec<usize>,
    median_best: Vec<f64>,
    q25: Vec<f64>,
    q75: Vec<f64>,
}

struct Function {
    name: &'static str,
    space: Space,
    low_cost: Option<Value>,
    evaluate: fn(&Configuration) -> (f64, f64),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| {
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/reference/curves.json"
        )
        .to_owned()
    });
    let curves: BTreeMap<String, Curve> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "function/search      trials   q25      median   q75      recorded q25 median q75"
    )?;
    for function in functions() {
        for (algorithm, name) in [
            (Algorithm::BlendSearch, "blendsearch"),
            (Algorithm::Cfo, "cfo"),
            (Algorithm::Tpe, "tpe"),
            (Algorithm::Random, "random"),
        ] {
            let recorded = curves.get(&format!("{}/{name}", function.name));
            let trials = recorded.map_or_else(
                || vec![5, 10, 20, 40, 80, 150],
                |curve| curve.trials.clone(),
            );
            let length = trials.iter().copied().max().unwrap_or(0);
            let runs = (0..SEEDS)
                .map(|seed| best_so_far(&function, algorithm, seed, length))
                .collect::<Result<Vec<_>, _>>()?;
            for (index, count) in trials.iter().enumerate() {
                let mut best: Vec<f64> = runs
                    .iter()
                    .filter_map(|run| run.get(count - 1).or(run.last()).copied())
                    .collect();
                best.sort_by(f64::total_cmp);
                let quantile = |share: f64| quantile(&best, share);
                write!(
                    out,
                    "{:<20} {count:>6}   {:<8.4} {:<8.4} {:<8.4}",
                    format!("{}/{name}", function.name),
                    quantile(0.25),
                    quantile(0.5),
                    quantile(0.75)
                )?;
                if let Some(curve) = recorded {
                    let at = |values: &[f64]| values.get(index).copied().unwrap_or(f64::NAN);
                    write!(
                        out,
                        " {:<8.4} {:<8.4} {:<8.4}",
                        at(&curve.q25),
                        at(&curve.median_best),
                        at(&curve.q75)
                    )?;
                }
                writeln!(out)?;
            }
        }
    }
    Ok(())
}

fn best_so_far(
    function: &Function,
    algorithm: Algorithm,
    seed: u64,
    length: usize,
) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let low_cost = function
        .low_cost
        .iter()
        .map(|start| serde_json::from_value(start.clone()))
        .collect::<Result<Vec<Configuration>, _>>()?;
    let mut search = Search::new(SearchOptions {
        algorithm,
        space: function.space.clone(),
        seed,
        start: Vec::new(),
        // The recorded random search has no cheap start.
        low_cost: if algorithm == Algorithm::Random {
            Vec::new()
        } else {
            low_cost
        },
        cost_budget: None,
        cost_floor: None,
    })?;
    let mut best = f64::INFINITY;
    let mut curve = Vec::new();
    while curve.len() < length {
        let Ask::Propose(proposal) = search.ask() else {
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

/// By linear interpolation.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len().saturating_sub(1)) as f64;
    let lower = position.floor();
    let value = |at: f64| {
        sorted
            .iter()
            .zip(0_u32..)
            .find(|(_, index)| f64::from(*index) >= at)
            .map_or(f64::NAN, |(value, _)| *value)
    };
    value(lower) + (position - lower) * (value(position.ceil()) - value(lower))
}

fn number(configuration: &Configuration, name: &str) -> f64 {
    configuration
        .get(name)
        .and_then(Value::as_f64)
        .unwrap_or(f64::NAN)
}

fn functions() -> Vec<Function> {
    let branches = vec![
        Space {
            dimensions: vec![float("x", 0.0, 1.0), float("y", 0.0, 1.0)],
        },
        Space {
            dimensions: vec![log_float("z", 1e-3, 1.0)],
        },
    ];
    vec![
        Function {
            name: "floats",
            space: Space {
                dimensions: vec![float("a", -2.0, 3.0), float("b", 0.0, 1.0)],
            },
            low_cost: Some(json!({"a": -1.5, "b": 0.9})),
            evaluate: |c| {
                let (a, b) = (number(c, "a"), number(c, "b"));
                ((a - 1.2).powi(2) + 2.0 * (b - 0.3).powi(2), 1.0)
            },
        },
        Function {
            name: "llm",
            space: Space {
                dimensions: vec![
                    int("max_tokens", 50, 999, Scale::Log),
                    int("n", 1, 99, Scale::Linear),
                    float("temperature", 0.0, 2.0),
                ],
            },
            low_cost: Some(json!({"max_tokens": 60, "n": 2, "temperature": 1.5})),
            evaluate: |c| {
                let (m, n, t) = (
                    number(c, "max_tokens"),
                    number(c, "n"),
                    number(c, "temperature"),
                );
                let loss = (m / 300.0).ln().abs() + (t - 0.7).powi(2) + (n - 20.0).abs() / 50.0;
                (loss, n * m / 1000.0)
            },
        },
        Function {
            name: "log",
            space: Space {
                dimensions: vec![
                    log_float("lr", 1e-4, 1.0),
                    int("k", 1, 499, Scale::Log),
                    int("m", 0, 9, Scale::Linear),
                ],
            },
            low_cost: Some(json!({"lr": 0.5, "k": 2, "m": 0})),
            evaluate: |c| {
                let (lr, k, m) = (number(c, "lr"), number(c, "k"), number(c, "m"));
                let loss = (lr.log10() + 2.0).powi(2)
                    + (k.ln() - 3.0).powi(2) / 4.0
                    + (m - 6.0).abs() / 5.0;
                (loss, 1.0)
            },
        },
        Function {
            name: "hier",
            space: Space {
                dimensions: vec![
                    float("w", -1.0, 1.0),
                    dimension("branch", Domain::OneOf { branches }),
                ],
            },
            low_cost: None,
            evaluate: |c| {
                let branch = if c.get("branch") == Some(&json!(0)) {
                    (number(c, "x") - 0.8).powi(2) + (number(c, "y") - 0.1).powi(2) + 0.05
                } else {
                    (number(c, "z").log10() + 1.5).powi(2) / 4.0
                };
                ((number(c, "w") - 0.25).powi(2) + branch, 1.0)
            },
        },
    ]
}

fn dimension(name: &str, domain: Domain) -> Dimension {
    Dimension {
        name: name.to_owned(),
        domain,
    }
}

fn int(name: &str, low: i64, high: i64, scale: Scale) -> Dimension {
    let step = None;
    dimension(
        name,
        Domain::Int {
            low,
            high,
            scale,
            step,
        },
    )
}

fn float(name: &str, low: f64, high: f64) -> Dimension {
    let (scale, step) = (Scale::Linear, None);
    dimension(
        name,
        Domain::Float {
            low,
            high,
            scale,
            step,
        },
    )
}

fn log_float(name: &str, low: f64, high: f64) -> Dimension {
    let (scale, step) = (Scale::Log, None);
    dimension(
        name,
        Domain::Float {
            low,
            high,
            scale,
            step,
        },
    )
}
