//! Which arms there are: one temperature for every model and prompt at first, others where a pair
//! turns out to be worth it, and what a searcher proposes.

use super::arm::{ArmPlace, Feature, Heat};
use super::whole::Allowed;
use frugal_domain::configuration::Configuration;
use frugal_domain::job::{JobSpec, MODEL, PROMPT};
use frugal_domain::space::{Dimension, Domain, Scale, Space};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The settings of the extent.
const MAX_TOKENS: &str = "max_tokens";
const N: &str = "n";
const TEMPERATURE: &str = "temperature";
const TOP_P: &str = "top_p";

/// A job's sampling settings: its space without `n` and `max_tokens`.
#[derive(Debug, Clone)]
pub(super) struct SamplingSpace {
    whole: Space,
    sampling: Space,
    models: usize,
    prompts: Vec<String>,
}

impl SamplingSpace {
    pub(super) fn of(spec: &JobSpec) -> Self {
        Self {
            sampling: spec.space.without(&[MAX_TOKENS, N]),
            whole: spec.space.clone(),
            models: spec.models.len(),
            prompts: spec
                .prompts
                .iter()
                .map(|prompt| prompt.name.clone())
                .collect(),
        }
    }

    /// The space itself.
    pub(super) fn space(&self) -> &Space {
        &self.sampling
    }

    /// Whether anything varies but the model, the prompt and the temperature.
    pub(super) fn has_more_than_temperature(&self) -> bool {
        varies(&self.sampling, &[MODEL, PROMPT, TEMPERATURE])
    }

    /// The names of all settings that an arm may have besides its model, prompt and temperature.
    pub(super) fn others(&self) -> Vec<String> {
        let mut names = Vec::new();
        others(&self.sampling, &mut names);
        names
    }

    /// The arms at one temperature, for every model and prompt.
    pub(super) fn grid(&self, temperature: f64) -> Vec<ArmPlace> {
        let pairs =
            (0..self.models).flat_map(|model| (0..self.prompts.len()).map(move |p| (model, p)));
        let mut places: Vec<ArmPlace> = Vec::new();
        for (model, prompt) in pairs {
            if let Some(place) = self.near(model, prompt, temperature)
                && !places.contains(&place)
            {
                places.push(place);
            }
        }
        places
    }

    /// The arm of a model and a prompt whose temperature is nearest to this; everything else is as
    /// it is without tuning.
    pub(super) fn near(&self, model: usize, prompt: usize, temperature: f64) -> Option<ArmPlace> {
        let mut wanted = BTreeMap::from([(TEMPERATURE.to_owned(), json!(temperature))]);
        if self.models > 1 {
            wanted.insert(MODEL.to_owned(), json!(model));
        }
        wanted.insert(PROMPT.to_owned(), json!(self.prompts.get(prompt)?));
        self.place(&self.sampling.nearest_point(&wanted))
    }

    /// The same arm at another temperature.
    pub(super) fn at(&self, place: &ArmPlace, temperature: f64) -> Option<ArmPlace> {
        let mut wanted = place.configuration.0.clone();
        wanted.insert(TEMPERATURE.to_owned(), json!(temperature));
        self.place(&self.sampling.nearest_point(&wanted))
    }

    /// Where a point of the sampling settings lies; nothing where it is none.
    pub(super) fn place(&self, configuration: &Configuration) -> Option<ArmPlace> {
        let configuration = configuration.canonical();
        let values = &configuration.0;
        let model = match values.get(MODEL) {
            None => 0,
            Some(index) => usize::try_from(index.as_u64()?).ok()?,
        };
        let prompt = match values.get(PROMPT) {
            None => 0,
            Some(name) => self.prompts.iter().position(|own| name == own)?,
        };
        let number = |name: &str| values.get(name).and_then(Value::as_f64);
        let heat = match (number(TEMPERATURE), number(TOP_P)) {
            (None, Some(top_p)) => Heat::TopP(top_p),
            (temperature, _) => Heat::Temperature(temperature.unwrap_or(1.0)),
        };
        let mut others = BTreeMap::new();
        let mut extent = BTreeMap::new();
        collect(&self.whole, &configuration, &mut |dimension| {
            let name = dimension.name.as_str();
            if matches!(name, MAX_TOKENS | N) {
                if let Some(allowed) = Allowed::of(&dimension.domain) {
                    extent.insert(name.to_owned(), allowed);
                }
                return;
            }
            let is_heat = name == TEMPERATURE || name == TOP_P && matches!(heat, Heat::TopP(_));
            if matches!(name, MODEL | PROMPT)
                || is_heat
                || matches!(dimension.domain, Domain::Constant { .. })
            {
                return;
            }
            if let Some(value) = values.get(name) {
                others.insert(name.to_owned(), feature(&dimension.domain, value));
            }
        });
        Some(ArmPlace {
            model,
            prompt,
            heat,
            others,
            max_tokens: extent.remove(MAX_TOKENS)?,
            n: extent.remove(N)?,
            configuration,
        })
    }
}

/// Whether a space has more than one value of any setting but these.
fn varies(space: &Space, but: &[&str]) -> bool {
    space.dimensions.iter().any(|dimension| {
        let named = but.contains(&dimension.name.as_str());
        match &dimension.domain {
            // A choice of branches says nothing that their settings do not.
            Domain::OneOf { branches } => branches.iter().any(|branch| varies(branch, but)),
            Domain::Constant { .. } => false,
            Domain::Choice { values, .. } => !named && values.len() > 1,
            Domain::Float { low, high, .. } => !named && low < high,
            Domain::Int { low, high, .. } => !named && low < high,
        }
    })
}

/// Notes the names of what varies but the model, the prompt and the temperature, in every branch.
fn others(space: &Space, names: &mut Vec<String>) {
    for dimension in &space.dimensions {
        match &dimension.domain {
            Domain::OneOf { branches } => {
                for branch in branches {
                    others(branch, names);
                }
            }
            Domain::Constant { .. } => {}
            _ => {
                let own = matches!(dimension.name.as_str(), MODEL | PROMPT | TEMPERATURE);
                if !own && !names.contains(&dimension.name) {
                    names.push(dimension.name.clone());
                }
            }
        }
    }
}

/// Goes through the dimensions that are active in a configuration.
fn collect(space: &Space, configuration: &Configuration, visit: &mut impl FnMut(&Dimension)) {
    for dimension in &space.dimensions {
        if let Domain::OneOf { branches } = &dimension.domain {
            let index = configuration.get(&dimension.name).and_then(Value::as_u64);
            let index = index.and_then(|index| usize::try_from(index).ok());
            if let Some(branch) = branches.get(index.unwrap_or_default()) {
                collect(branch, configuration, visit);
            }
        } else {
            visit(dimension);
        }
    }
}

/// A value as its place between the ends of its domain, in the domain's own scale; what has no order
/// by itself.
fn feature(domain: &Domain, value: &Value) -> Feature {
    let place = match (domain, value.as_f64()) {
        (
            Domain::Float {
                low, high, scale, ..
            },
            Some(value),
        ) => within(*low, *high, *scale, value),
        (
            Domain::Int {
                low, high, scale, ..
            },
            Some(value),
        ) => within(*low as f64, *high as f64, *scale, value),
        (
            Domain::Choice {
                values,
                ordered: true,
            },
            _,
        ) => {
            let place = values.iter().position(|own| own == value);
            let last = values.len().saturating_sub(1) as f64;
            place
                .filter(|_| last > 0.0)
                .map(|place| place as f64 / last)
        }
        _ => None,
    };
    place.map_or_else(|| Feature::Name(value.to_string()), Feature::Number)
}

/// Where a number lies between two others; nothing where they are no range.
fn within(low: f64, high: f64, scale: Scale, value: f64) -> Option<f64> {
    let of = |value: f64| match scale {
        Scale::Linear => value,
        Scale::Log => value.ln(),
    };
    let place = (of(value) - of(low)) / (of(high) - of(low));
    place.is_finite().then_some(place)
}
