//! A job on a world: what is posted, and what it comes to in truth.

use super::optimum;
use super::space::{MAX_TOKENS, RESPONSES, TEMPERATURES};
use super::way::Way;
use super::world::World;
use crate::run;
use frugal_domain::configuration::Settings;
use frugal_domain::endpoint::{Api, Catalog, Endpoint as CatalogEndpoint, Model};
use frugal_domain::job::JobSpec;
use frugal_domain::trial::TrialOutcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The name by which jobs know the endpoint.
pub const ENDPOINT: &str = "world";

/// A limit on trials that no job reaches: budgets are to end them.
const TRIALS: u32 = 10_000;

/// A winner that costs more than this share of the inference budget counts as over it.
pub const OVER: f64 = 1.03;

/// What the winner of a job is worth in truth; nothing of anything where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Winner {
    /// The exact utility.
    pub utility: f64,
    /// The exact inference cost as a share of the inference budget.
    pub cost: f64,
    /// Whether there is a winner.
    pub won: bool,
}

impl Winner {
    /// That of a winner's settings.
    pub fn of(world: &World, settings: Option<&Settings>) -> Self {
        settings.map_or_else(Self::default, |settings| {
            let (utility, cost) = world.truth(settings);
            Self {
                utility,
                cost: cost / world.inference_budget,
                won: true,
            }
        })
    }

    /// Whether it costs more than the inference budget allows, by more than the rows' draws explain.
    pub fn is_over_budget(self) -> bool {
        self.cost > OVER
    }
}

/// What a job came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// What the winner is worth.
    pub winner: Winner,
    /// What was spent, as a share of the optimization budget.
    pub spent: f64,
    /// Trials begun.
    pub trials: u32,
    /// How many requests were under way, on the average over the job's time.
    pub in_flight: f64,
    /// The most that what was drawn could have come to.
    pub within_reach: WithinReach,
}

/// Exact utilities, each at the best extent that the inference budget allows: what a job could have
/// come to, had it known better. Each is at least the next, and the last is the winner's but for its
/// extent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WithinReach {
    /// The best of the sampling settings that anything was drawn for.
    pub begun: f64,
    /// The best of those that were seen on every row.
    pub complete: f64,
    /// The winner's sampling settings.
    pub chosen: f64,
}

/// Runs a job whose optimization budget is a multiple of the inference budget over all rows, with
/// the changes that a way to search makes to its document: as many requests at once as it says, one after
/// the other where it says nothing.
///
/// # Errors
/// The job makes no sense.
pub fn run(
    world: &World,
    factor: f64,
    seed: u64,
    way: &Way,
    requests_in_flight: Option<u32>,
) -> anyhow::Result<Outcome> {
    let mut spec = spec(world, factor, seed, way)?;
    let (found, in_flight) = match requests_in_flight {
        None => (run::over_all_rows(&spec, world)?, 1.0),
        Some(most) => {
            spec.search.requests_in_flight = most;
            let (found, calls) = run::side_by_side(&spec, world)?;
            let in_flight = found.bought.requests() as f64 / calls as f64;
            (found, in_flight)
        }
    };
    let unit = spec.optimization_budget.unit();
    let spent = unit.of(found.report.spend) as f64 / spec.optimization_budget.amount() as f64;
    let trials = found.report.trials.trials();
    let Some(winner) = found.winner() else {
        return Ok(Outcome {
            spent,
            trials,
            in_flight,
            ..Outcome::default()
        });
    };
    let chosen = optimum::at_best_extent(world, &winner.settings.sampling);
    let mut within_reach = WithinReach {
        begun: chosen,
        complete: chosen,
        chosen,
    };
    for trial in found.search() {
        let complete = match &trial.outcome {
            TrialOutcome::Evaluated(found) => found.coverage.is_none_or(|seen| seen.complete),
            _ => false,
        };
        let best = optimum::at_best_extent(world, &trial.settings.sampling);
        within_reach.begun = within_reach.begun.max(best);
        if complete {
            within_reach.complete = within_reach.complete.max(best);
        }
    }
    Ok(Outcome {
        winner: Winner::of(world, Some(&winner.settings)),
        spent,
        trials,
        in_flight,
        within_reach,
    })
}

/// The job as it is posted, and read as the API does.
///
/// # Errors
/// It has faults.
pub fn spec(world: &World, factor: f64, seed: u64, way: &Way) -> anyhow::Result<JobSpec> {
    let body = document(world, factor, seed, way);
    let (spec, _) = frugal_intake::job(&body, &catalog(world), seed)
        .map_err(|faults| anyhow::anyhow!("the job has faults: {faults:?}"))?;
    Ok(spec)
}

/// The job as it is posted.
pub fn document(world: &World, factor: f64, seed: u64, way: &Way) -> Value {
    let rows = crate::endpoint::Endpoint::rows(world);
    let models: Vec<Value> = world
        .models
        .iter()
        .map(|model| json!({"endpoint": ENDPOINT, "model": model.name}))
        .collect();
    let prompts: Vec<Value> = world
        .templates
        .iter()
        .enumerate()
        .map(|(index, template)| {
            json!({"name": world.prompt_name(index),
                   "text": format!("{}{{{{ question }}}}", template.prefix)})
        })
        .collect();
    let instances: Vec<Value> = (0..rows).map(row).collect();
    let budget = rounded(world.inference_budget);
    let mut body = json!({
        "data": {"instances": instances},
        "models": models,
        "prompts": prompts,
        "search_space": {
            "temperature": {"float": TEMPERATURES},
            "max_tokens": {"int": MAX_TOKENS, "scale": "log"},
            "n": {"int": RESPONSES},
        },
        "scoring": {"scorer": {"type": "exact", "expected": "{{ answer }}"}},
        "budgets": {
            "inference": {"usd": budget},
            "optimization": {"usd": rounded(factor * world.inference_budget * rows as f64)},
        },
        "limits": {"trials": TRIALS},
        "search": {"seed": seed},
    });
    if let Some(overlay) = &world.overlay {
        let settings = if way.at_defaults {
            overlay.defaults()
        } else {
            overlay.search_space()
        };
        merge(&mut body["search_space"], &settings);
    }
    merge(&mut body, &way.changes);
    body
}

/// A row as it is posted, by its number: what the prompt says of it, and what a right answer is.
pub fn row(number: usize) -> Value {
    json!({"question": format!("[[{number}]]"), "answer": "1"})
}

/// Puts members of one document into another.
pub fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, change) in changes {
                merge(into.entry(name.as_str()).or_insert(Value::Null), change);
            }
        }
        (into, changes) => *into = changes.clone(),
    }
}

/// Dollars down to a millionth of a millionth, which is what amounts are counted in.
fn rounded(usd: f64) -> f64 {
    (usd * 1e12).round() / 1e12
}

/// What the operator has: an endpoint with the world's models.
fn catalog(world: &World) -> Catalog {
    let models = world.models.iter().map(|model| {
        let known = Model {
            prices: Some(model.prices),
            ..Model::default()
        };
        (model.name.clone(), known)
    });
    let endpoint = CatalogEndpoint {
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        api: Api::Completions,
        models: models.collect(),
        ..CatalogEndpoint::default()
    };
    Catalog {
        endpoints: BTreeMap::from([(ENDPOINT.to_owned(), endpoint)]),
        ..Catalog::default()
    }
}
