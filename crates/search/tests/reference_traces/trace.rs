//! Reading the reference traces: ordered spaces, configurations, draws, and comparison.

use frugal_domain::configuration::Configuration;
use frugal_domain::space::{Dimension, Domain, Scale, Space};
use frugal_search::draws::{Draws, Recorded};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// A JSON object whose members keep their order, which is part of a traced space.
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Ordered<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

/// JSON whose objects keep the order of their members.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Json {
    Object(Ordered<Json>),
    Array(Vec<Json>),
    Plain(Value),
}

/// A traced space: its dimensions in order, each an object with one member that names its kind,
/// or else a constant.
pub type TracedSpace = Ordered<Json>;

pub(crate) fn space(traced: &TracedSpace) -> Space {
    let dimensions = traced
        .0
        .iter()
        .map(|(name, domain)| Dimension {
            name: name.clone(),
            domain: domain_of(domain),
        })
        .collect();
    Space { dimensions }
}

fn domain_of(traced: &Json) -> Domain {
    let members = match traced {
        Json::Object(Ordered(members)) => members,
        Json::Plain(value) => {
            return Domain::Constant {
                value: value.clone(),
            };
        }
        Json::Array(_) => panic!("a domain is an object or a constant"),
    };
    let [(kind, Json::Array(items))] = members.as_slice() else {
        panic!("a domain has one member, a list")
    };
    let plain: Vec<&Value> = items
        .iter()
        .filter_map(|item| match item {
            Json::Plain(value) => Some(value),
            _ => None,
        })
        .collect();
    let float = |index: usize| plain[index].as_f64().unwrap();
    let int = |index: usize| plain[index].as_i64().unwrap();
    let scale = if kind.starts_with("log_") {
        Scale::Log
    } else {
        Scale::Linear
    };
    match kind.as_str() {
        "float" | "log_float" => Domain::Float {
            low: float(0),
            high: float(1),
            scale,
            step: plain.get(2).and_then(|step| step.as_f64()),
        },
        "int" | "log_int" => Domain::Int {
            low: int(0),
            high: int(1),
            scale,
            step: plain.get(2).and_then(|step| step.as_i64()),
        },
        "ordered_choice" | "choice" | "unordered_choice" => Domain::Choice {
            values: plain.into_iter().cloned().collect(),
            ordered: kind == "ordered_choice",
        },
        "one_of" => Domain::OneOf {
            branches: items
                .iter()
                .map(|branch| match branch {
                    Json::Object(branch) => space(branch),
                    _ => panic!("a branch is a space"),
                })
                .collect(),
        },
        other => panic!("unknown domain `{other}`"),
    }
}

/// The traces of one file.
pub(crate) fn traces<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let folder = std::env::var_os("FRUGAL_REFERENCE_DIR").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../tests/reference"
            ))
        },
        PathBuf::from,
    );
    read(&folder.join(file))
}

fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    let traces: Vec<T> = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{} is not as expected: {error}", path.display()));
    assert!(!traces.is_empty(), "{} has no traces", path.display());
    traces
}

/// Further traces of the blend, which lie next to this file: unordered choices, branches, grids,
/// restarts and uniform draws in place of a repeated global proposal.
pub(crate) fn further_traces<T: DeserializeOwned>() -> Vec<T> {
    read(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/reference_traces/further_blendsearch.json"
    )))
}

/// Queues the draws of one step.
pub(crate) fn feed(draws: &mut Draws, step: &[Value], at: &str) {
    let Draws::Recorded(recorded) = draws else {
        panic!("draws are played back")
    };
    for draw in step {
        let members = draw
            .as_object()
            .unwrap_or_else(|| panic!("{at}: a draw is an object: {draw}"));
        for (kind, value) in members {
            let numbers = || -> Vec<f64> {
                match value {
                    Value::Array(items) => items.iter().filter_map(Value::as_f64).collect(),
                    value => value.as_f64().into_iter().collect(),
                }
            };
            let kind = kind.as_str();
            if kind.contains("direction") {
                recorded.directions.push_back(numbers());
            } else if ["choice", "pick"].iter().any(|k| kind.contains(k)) {
                recorded.picks.push_back(value.clone());
            } else if kind.contains("uniform") {
                recorded.uniforms.extend(numbers());
            } else if !kind.contains("std") {
                assert!(
                    !numbers().is_empty(),
                    "{at}: unknown draw `{kind}`: {value}"
                );
                recorded.gaussians.extend(numbers());
            }
        }
    }
}

/// That the draws of a step were enough and were all taken.
pub(crate) fn assert_drawn(draws: &Draws, at: &str) {
    let Draws::Recorded(recorded) = draws else {
        panic!("draws are played back")
    };
    let Recorded {
        directions,
        gaussians,
        picks,
        uniforms,
        missing,
    } = recorded;
    assert_eq!(*missing, 0, "{at}: draws that the trace does not have");
    let left = directions.len() + gaussians.len() + picks.len() + uniforms.len();
    assert_eq!(left, 0, "{at}: draws left over: {recorded:?}");
}

/// Equality to 1e-9 relative (absolute below 1).
pub(crate) fn assert_close(actual: f64, expected: f64, what: &str) {
    let agree = actual == expected
        || (actual.is_nan() && expected.is_nan())
        || (actual - expected).abs() <= 1e-9 * expected.abs().max(1.0);
    assert!(agree, "{what}: {actual}, but the trace has {expected}");
}

/// Equality of configurations, numbers to 1e-9.
pub(crate) fn assert_configuration(actual: &Configuration, expected: &Configuration, what: &str) {
    let names = |configuration: &Configuration| configuration.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(actual),
        names(expected),
        "{what}: {actual:?} for {expected:?}"
    );
    for (name, value) in &expected.0 {
        match (&actual.0[name], value) {
            (Value::Number(a), Value::Number(e)) => assert_close(
                a.as_f64().unwrap(),
                e.as_f64().unwrap(),
                &format!("{what}, {name}"),
            ),
            (a, e) => assert_eq!(a, e, "{what}, {name}"),
        }
    }
}
