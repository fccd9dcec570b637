//! A point of the search space, and what it means for a request.

use crate::space::{Domain, Space};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
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

/// What a configuration asks of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
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
    /// The most tokens that one response may have.
    pub max_tokens: u32,
    /// Responses per instance.
    pub n: u32,
    /// Texts that end a response; at most four.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Further parameters, sent to the endpoint as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
}

impl Settings {
    /// The key of the distribution that a response is drawn from: all but `n` and `max_tokens`.
    #[must_use]
    pub fn sampling_key(&self) -> String {
        serde_json::json!([
            self.model,
            self.prompt,
            self.temperature,
            self.top_p,
            self.stop,
            self.extra
        ])
        .to_string()
    }

    /// The key of the region within which validity carries over from one `(n, max_tokens)`
    /// to another: model, prompt and stop texts (design: evaluation and pruning).
    #[must_use]
    pub fn region_key(&self) -> String {
        serde_json::json!([self.model, self.prompt, self.stop]).to_string()
    }
}
