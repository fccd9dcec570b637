//! The points of a search space that an estimate is made for.

use frugal_domain::configuration::Configuration;
use frugal_domain::grid::rounded;
use frugal_domain::job::MODEL;
use frugal_domain::space::{Dimension, Domain, Space};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The middle of a space: every numeric setting in the middle of its scale, the first of each
/// choice, the first branch.
pub(crate) fn middle(space: &Space) -> Configuration {
    let mut values = BTreeMap::new();
    fill_middle(space, &mut values);
    Configuration(values)
}

fn fill_middle(space: &Space, values: &mut BTreeMap<String, Value>) {
    for dimension in &space.dimensions {
        values.insert(dimension.name.clone(), middle_value(dimension));
        if let Domain::OneOf { branches } = &dimension.domain
            && let Some(first) = branches.first()
        {
            fill_middle(first, values);
        }
    }
}

/// The middle value of a numeric setting (of those on its steps, if it has any; the higher one
/// where there are two), else the first.
fn middle_value(dimension: &Dimension) -> Value {
    let alone = Space {
        dimensions: vec![dimension.clone()],
    };
    match alone.grid(1).dimensions.first().map(|own| &own.domain) {
        Some(Domain::Int {
            low, high, step, ..
        }) => {
            let step = step.unwrap_or(1).max(1);
            let steps = (high - low) / step;
            json!(low + (steps + 1) / 2 * step)
        }
        Some(Domain::Float {
            low, high, step, ..
        }) => {
            let step = step.unwrap_or(f64::INFINITY);
            // A step such as 0.1 may miss the high end by a rounding error.
            let steps = rounded((high - low) / step).floor();
            let middle = if steps > 0.0 {
                low + ((steps + 1.0) / 2.0).floor() * step
            } else {
                *low
            };
            json!(rounded(middle).clamp(*low, *high))
        }
        Some(Domain::Choice { values, .. }) => values.first().cloned().unwrap_or_default(),
        Some(Domain::Constant { value }) => value.clone(),
        Some(Domain::OneOf { .. }) | None => json!(0),
    }
}

/// A way through the branches of a space, with the largest `n` and `max_tokens` on it.
#[derive(Debug, Clone, Default)]
struct Way {
    n: Option<u32>,
    max_tokens: Option<u32>,
    values: BTreeMap<String, Value>,
}

impl Way {
    /// Of one setting alone.
    fn of(name: &str, value: Value) -> Self {
        let whole = value.as_u64().and_then(|whole| u32::try_from(whole).ok());
        Self {
            n: whole.filter(|_| name == "n"),
            max_tokens: whole.filter(|_| name == "max_tokens"),
            values: BTreeMap::from([(name.to_owned(), value)]),
        }
    }

    /// Both together; what both have is the other's.
    fn with(&self, other: &Self) -> Self {
        let mut values = self.values.clone();
        values.extend(other.values.clone());
        Self {
            n: other.n.or(self.n),
            max_tokens: other.max_tokens.or(self.max_tokens),
            values,
        }
    }
}

/// The configurations of a model with the largest `n` and `max_tokens`: more than one where some
/// branches have more of the one and others more of the other. All else is as in the middle.
pub(crate) fn largest(space: &Space, model: usize) -> Vec<(u32, u32, Configuration)> {
    largest_ways(space, model)
        .into_iter()
        .filter_map(|way| Some((way.n?, way.max_tokens?, Configuration(way.values))))
        .collect()
}

fn largest_ways(space: &Space, model: usize) -> Vec<Way> {
    let mut ways = vec![Way::default()];
    for dimension in &space.dimensions {
        let options = match &dimension.domain {
            Domain::OneOf { branches } => {
                let admitted = branches
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| dimension.name != MODEL || *index == model);
                let through = admitted.flat_map(|(index, branch)| {
                    let chosen = Way::of(&dimension.name, json!(index));
                    let ways = largest_ways(branch, model);
                    ways.into_iter().map(move |way| way.with(&chosen))
                });
                undominated(through.collect())
            }
            _ => vec![Way::of(&dimension.name, largest_value(dimension))],
        };
        let together = ways
            .iter()
            .flat_map(|way| options.iter().map(|option| way.with(option)));
        ways = undominated(together.collect());
    }
    ways
}

/// The ways than which no other has as much of both; the first of equals.
fn undominated(mut ways: Vec<Way>) -> Vec<Way> {
    ways.sort_by_key(|way| Reverse((way.n, way.max_tokens)));
    let mut most = None;
    ways.retain(|way| {
        let more = most.is_none_or(|most| way.max_tokens > most);
        if more {
            most = Some(way.max_tokens);
        }
        more
    });
    ways
}

fn largest_value(dimension: &Dimension) -> Value {
    if !matches!(dimension.name.as_str(), "n" | "max_tokens") {
        return middle_value(dimension);
    }
    match &dimension.domain {
        Domain::Int {
            low, high, step, ..
        } => json!(high - (high - low) % step.unwrap_or(1).max(1)),
        Domain::Choice { values, .. } => {
            let largest = values.iter().filter_map(Value::as_i64).max();
            largest.map_or(Value::Null, |largest| json!(largest))
        }
        _ => middle_value(dimension),
    }
}
