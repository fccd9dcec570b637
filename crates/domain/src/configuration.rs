//! A point of the search space, and what it means for a request.

use crate::space::{Domain, Space};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One point of the search space: a value for every dimension that is active, constants
/// included, by name. A [`Domain::OneOf`] dimension holds the index of its branch under its
/// own name, next to the settings of that branch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Configuration(pub BTreeMap<String, Value>);

impl Configuration {
    /// The value of a dimension, if it is active here.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The configuration in the form in which two that ask the same of an endpoint are equal:
    /// at temperature 0 the answer is the likeliest one whatever `top_p` says.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut values = self.0.clone();
        if values.get("temperature").and_then(Value::as_f64) == Some(0.0) {
            values.remove("top_p");
        }
        Self(values)
    }

    /// A text that is equal exactly for configurations that are equal in canonical form.
    #[must_use]
    pub fn canonical_key(&self) -> String {
        Value::Object(
            self.canonical()
                .0
                .into_iter()
                .collect::<Map<String, Value>>(),
        )
        .to_string()
    }
}

impl Space {
    /// Whether a configuration has a permitted value for every active dimension and nothing else.
    #[must_use]
    pub fn contains(&self, configuration: &Configuration) -> bool {
        let mut seen = 0;
        self.accepts(configuration, &mut seen) && seen == configuration.0.len()
    }

    fn accepts(&self, configuration: &Configuration, seen: &mut usize) -> bool {
        self.dimensions.iter().all(|dimension| {
            let Some(value) = configuration.get(&dimension.name) else {
                return false;
            };
            *seen += 1;
            match &dimension.domain {
                Domain::Float {
                    low, high, step, ..
                } => value.as_f64().is_some_and(|v| {
                    (*low..=*high).contains(&v) && step.is_none_or(|s| on_grid(v - low, s))
                }),
                Domain::Int {
                    low, high, step, ..
                } => value.as_i64().is_some_and(|v| {
                    (*low..=*high).contains(&v)
                        && step
                            .is_none_or(|s| (i128::from(v) - i128::from(*low)) % i128::from(s) == 0)
                }),
                Domain::Choice { values, .. } => values.contains(value),
                Domain::OneOf { branches } => value
                    .as_u64()
                    .and_then(|index| usize::try_from(index).ok())
                    .and_then(|index| branches.get(index))
                    .is_some_and(|branch| branch.accepts(configuration, seen)),
                Domain::Constant { value: constant } => constant == value,
            }
        })
    }
}

/// Whether `offset` is a whole number of steps, up to the rounding of `low + k·step`.
fn on_grid(offset: f64, step: f64) -> bool {
    let steps = offset / step;
    (steps - steps.round()).abs() < 1e-6
}

/// What a configuration asks of an endpoint, in two parts: which distribution responses are drawn
/// from, and what is taken from it (the paper, section 3: a response depends on neither `n` nor, but
/// for where it is cut, `max_tokens`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What a response is drawn from.
    #[serde(flatten)]
    pub sampling: Sampling,
    /// What is taken from it.
    #[serde(flatten)]
    pub extent: Extent,
}

/// The settings that fix the distribution of a response. Two that ask the same are equal, and they
/// have an order, so that what is known of them can be kept by them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sampling {
    /// Which of the job's models, by position.
    pub model: usize,
    /// Which of the job's prompts, by position.
    pub prompt: usize,
    /// The sampling temperature, where it is set. At 0 `top_p` is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The nucleus sampling mass, where it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts that end a response; at most four.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Further parameters, sent to the endpoint as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
}

/// How much is taken of a distribution of responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Extent {
    /// The most tokens that one response may have.
    pub max_tokens: u32,
    /// Responses per instance.
    pub n: u32,
}

/// The settings within which it carries over from one extent to another whether the inference
/// budget holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Region {
    /// Which of the job's models, by position.
    pub model: usize,
    /// Which of the job's prompts, by position.
    pub prompt: usize,
    /// Texts that end a response.
    pub stop: Vec<String>,
}

impl Sampling {
    /// The region that it lies in.
    #[must_use]
    pub fn region(&self) -> Region {
        Region {
            model: self.model,
            prompt: self.prompt,
            stop: self.stop.clone(),
        }
    }
}

impl Ord for Sampling {
    fn cmp(&self, other: &Self) -> Ordering {
        // −0 and 0 ask the same.
        let real = |one: Option<f64>, two: Option<f64>| match (one, two) {
            (Some(one), Some(two)) => (one + 0.0).total_cmp(&(two + 0.0)),
            _ => one.is_some().cmp(&two.is_some()),
        };
        let texts = |extra: &BTreeMap<String, Value>| -> Vec<(String, String)> {
            let texts = extra
                .iter()
                .map(|(name, value)| (name.clone(), value.to_string()));
            texts.collect()
        };
        (self.model, self.prompt)
            .cmp(&(other.model, other.prompt))
            .then_with(|| real(self.temperature, other.temperature))
            .then_with(|| real(self.top_p, other.top_p))
            .then_with(|| self.stop.cmp(&other.stop))
            .then_with(|| texts(&self.extra).cmp(&texts(&other.extra)))
    }
}

impl PartialOrd for Sampling {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sampling {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Sampling {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sampling(temperature: Option<f64>, extra: &[(&str, Value)]) -> Sampling {
        Sampling {
            model: 0,
            prompt: 1,
            temperature,
            top_p: None,
            stop: vec!["\n".to_owned()],
            extra: extra
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        }
    }

    #[test]
    fn settings_are_stored_as_one_object() {
        let settings = Settings {
            sampling: sampling(Some(0.1), &[("seed", json!(7))]),
            extent: Extent {
                max_tokens: 50,
                n: 3,
            },
        };
        let stored = json!(settings);
        assert_eq!(
            stored,
            json!({"model": 0, "prompt": 1, "temperature": 0.1, "stop": ["\n"],
                   "extra": {"seed": 7}, "max_tokens": 50, "n": 3})
        );
        assert_eq!(
            serde_json::from_value::<Settings>(stored).unwrap(),
            settings
        );
    }

    #[test]
    fn samplings_are_equal_where_they_ask_the_same() {
        assert_eq!(sampling(Some(0.0), &[]), sampling(Some(-0.0), &[]));
        assert_ne!(sampling(None, &[]), sampling(Some(1.0), &[]));
        let with = |value: Value| sampling(Some(1.0), &[("penalty", value)]);
        assert_eq!(with(json!(1.5)), with(json!(1.5)));
        assert_ne!(with(json!(1.5)), with(json!("1.5")));
        assert!(sampling(Some(0.2), &[]) < sampling(Some(1.0), &[]));
        assert!(sampling(None, &[]) < sampling(Some(0.0), &[]));
    }
}
