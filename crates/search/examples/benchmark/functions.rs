//! What the searches are run on.

use frugal_domain::configuration::Configuration;
use frugal_domain::job::Algorithm;
use frugal_domain::job::algorithm::{GridOptions, RandomOptions, Sequence};
use frugal_domain::space::{Dimension, Domain, Scale, Space};
use frugal_search::{Search, SearchError, SearchOptions};
use serde_json::{Value, json};

/// A function to minimise.
pub(crate) struct Function {
    pub name: &'static str,
    pub space: Space,
    pub low_cost: Option<Value>,
    /// The loss at the optimum.
    pub least: f64,
    /// Loss and cost.
    pub evaluate: fn(&Configuration) -> (f64, f64),
}

impl Function {
    /// A search for the minimum. The recorded random search had no cheap start, so ours has none.
    pub(crate) fn search(&self, algorithm: Algorithm, seed: u64) -> Result<Search, SearchError> {
        let starts = self.low_cost.iter().filter_map(|start| {
            let known = !matches!(algorithm, Algorithm::Random(_));
            serde_json::from_value(start.clone()).ok().filter(|_| known)
        });
        Search::new(SearchOptions {
            algorithm,
            space: self.space.clone(),
            seed,
            start: Vec::new(),
            low_cost_starts: Vec::new(),
            low_cost: starts.collect(),
            cost_budget: None,
            cost_floor: None,
            patience: None,
        })
    }

    /// Every algorithm by name, the grid with as few points as make the trials, if so many are
    /// permitted.
    pub(crate) fn algorithms(&self, trials: usize) -> Vec<(&'static str, Algorithm)> {
        let sequence = |sequence| {
            Algorithm::Random(RandomOptions {
                sequence,
                ..RandomOptions::default()
            })
        };
        let size = |points: u32| self.space.grid(points).size().unwrap_or(u64::MAX);
        let permitted = (1..100).take_while(|points| size(*points) <= GridOptions::LARGEST_GRID);
        let permitted: Vec<u32> = permitted.collect();
        let enough = permitted
            .iter()
            .find(|points| size(**points) >= trials as u64);
        let points = enough.or(permitted.last()).copied().unwrap_or(1);
        let mut algorithms = Vec::new();
        for algorithm in Algorithm::all() {
            match algorithm {
                Algorithm::Random(_) => algorithms.extend([
                    ("random", algorithm),
                    ("random/halton", sequence(Sequence::Halton)),
                    ("random/sobol", sequence(Sequence::Sobol)),
                ]),
                Algorithm::Grid(grid) => {
                    let grid = GridOptions { points, ..grid };
                    algorithms.push(("grid", Algorithm::Grid(grid)));
                }
                _ => algorithms.push((algorithm.as_str(), algorithm)),
            }
        }
        algorithms
    }
}

/// A space as a job has it: two models, two ways of sampling, prices that grow with what is
/// asked for.
pub(crate) fn job() -> Function {
    let model = || Space {
        dimensions: vec![dimension(
            "sampling",
            Domain::OneOf {
                branches: vec![
                    Space {
                        dimensions: vec![float("temperature", 0.0, 2.0)],
                    },
                    Space {
                        dimensions: vec![float("top_p", 0.0, 1.0)],
                    },
                ],
            },
        )],
    };
    let stop = Domain::Choice {
        values: vec![json!(["\n\n"]), json!(["\n"]), json!([])],
        ordered: false,
    };
    Function {
        name: "job",
        space: Space {
            dimensions: vec![
                dimension(
                    "model",
                    Domain::OneOf {
                        branches: vec![model(), model()],
                    },
                ),
                int("max_tokens", 16, 512, Scale::Log),
                int("n", 1, 64, Scale::Log),
                dimension("stop", stop),
            ],
        },
        low_cost: Some(json!({"max_tokens": 16, "n": 1})),
        least: 0.0,
        evaluate: |c| {
            let (m, n) = (number(c, "max_tokens"), number(c, "n"));
            let sampling = if c.get("temperature").is_some() {
                (number(c, "temperature") - 0.6).abs()
            } else {
                (number(c, "top_p") - 0.8).abs() + 0.1
            };
            let loss = (m / 200.0).ln().abs() + (n / 9.0).ln().abs() + sampling;
            (loss, n * m / 1000.0)
        },
    }
}

fn number(configuration: &Configuration, name: &str) -> f64 {
    configuration
        .get(name)
        .and_then(Value::as_f64)
        .unwrap_or(f64::NAN)
}

/// The functions with recorded curves, as `tests/reference/README.md` defines them.
pub(crate) fn recorded() -> Vec<Function> {
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
            least: 0.0,
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
            least: 0.0,
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
            least: (20_f64.ln() - 3.0).powi(2) / 4.0,
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
            least: 0.0,
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
    ranged(name, low, high, Scale::Linear)
}

fn log_float(name: &str, low: f64, high: f64) -> Dimension {
    ranged(name, low, high, Scale::Log)
}

fn ranged(name: &str, low: f64, high: f64, scale: Scale) -> Dimension {
    let step = None;
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
