//! Points of a job's search space: what they ask of an endpoint, and the ones to start from.

use super::settings::{explain_value, stop_texts};
use super::{DEMONSTRATIONS, ExtentChoice, JobSpec, MODEL, PROMPT};
use crate::configuration::{Configuration, Extent, Sampling, Settings};
use crate::grid::rounded;
use crate::id::TrialNumber;
use crate::prompt::Prompt;
use crate::space::{Dimension, Domain, Space};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The settings that are Frugal's own, whether the space has them or not.
const OWN_NAMES: [&str; 5] = ["temperature", "top_p", "max_tokens", "n", "stop"];

/// A configuration that is no point of the job's search space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is missing or has an impossible value")]
pub struct NotAPoint(pub String);

impl JobSpec {
    /// What a configuration asks of an endpoint, in canonical form.
    ///
    /// # Errors
    /// The configuration does not belong to this job.
    pub fn settings(&self, configuration: &Configuration) -> Result<Settings, NotAPoint> {
        let configuration = configuration.canonical();
        let mut values = configuration.0;
        remove_branches(&self.space, &mut values);
        let index = |value: Option<Value>, name: &str, len: usize| {
            let index = value.map_or(Some(0), |value| value.as_u64());
            index
                .and_then(|index| usize::try_from(index).ok())
                .filter(|index| *index < len)
                .ok_or_else(|| NotAPoint(name.to_owned()))
        };
        let model = index(configuration_model(&mut values), MODEL, self.models.len())?;
        let prompt = match values.remove(PROMPT) {
            None => 0,
            Some(name) => self
                .prompts
                .iter()
                .position(|prompt| name == json!(prompt.name))
                .ok_or_else(|| NotAPoint(PROMPT.to_owned()))?,
        };
        let mut whole = |name: &str| {
            values
                .remove(name)
                .and_then(|value| value.as_u64())
                .and_then(|value| u32::try_from(value).ok())
                .filter(|value| *value > 0)
                .ok_or_else(|| NotAPoint(name.to_owned()))
        };
        let (max_tokens, n) = (whole("max_tokens")?, whole("n")?);
        let mut number = |name: &str| match values.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| NotAPoint(name.to_owned())),
        };
        let (temperature, top_p) = (number("temperature")?, number("top_p")?);
        let stop = match values.remove("stop") {
            None => Vec::new(),
            Some(value) => stop_texts(&value).ok_or_else(|| NotAPoint("stop".to_owned()))?,
        };
        Ok(Settings {
            sampling: Sampling {
                model,
                prompt,
                temperature,
                top_p,
                stop,
                extra: values,
            },
            extent: Extent { max_tokens, n },
        })
    }

    /// Whether two configurations, by what they ask of an endpoint, are one trial of the search: a profiled search reads
    /// every extent from the same responses, so there the sampling settings tell.
    #[must_use]
    pub fn are_one_trial(&self, one: &Settings, other: &Settings) -> bool {
        let any_extent = self.search.extent == ExtentChoice::Profiled;
        one.sampling == other.sampling && (any_extent || one.extent == other.extent)
    }

    /// Whether a trial, by its number and what it asks of an endpoint, is the one of some settings. The baseline is
    /// evaluated at its own extent alone.
    #[must_use]
    pub fn is_trial_of(&self, settings: &Settings, trial: TrialNumber, asks: &Settings) -> bool {
        settings == asks || trial.0 > 0 && self.are_one_trial(settings, asks)
    }

    /// What one gets without tuning: the first model and prompt, temperature 1, one response
    /// with as many tokens as the space allows, the first of each choice. Values that the
    /// space does not allow give way to the nearest that it does.
    #[must_use]
    pub fn default_configuration(&self) -> Configuration {
        self.default_configuration_of(0)
    }

    /// The same of another model, by its position.
    #[must_use]
    pub fn default_configuration_of(&self, model: usize) -> Configuration {
        let given = self.with_model(BTreeMap::new(), model);
        let mut values = BTreeMap::new();
        fill(&self.space, &given, &default_value, &mut values);
        Configuration(values)
    }

    /// Settings that name a model: this one where they name none, unless they speak of what only
    /// others have.
    fn with_model(
        &self,
        mut settings: BTreeMap<String, Value>,
        model: usize,
    ) -> BTreeMap<String, Value> {
        let mut dimensions = self.space.dimensions.iter();
        let branches = dimensions.find_map(|dimension| match &dimension.domain {
            Domain::OneOf { branches } if dimension.name == MODEL => Some(branches),
            _ => None,
        });
        let Some(branches) = branches.filter(|_| !settings.contains_key(MODEL)) else {
            return settings;
        };
        let own = |model: &usize| {
            let branch = branches.get(*model);
            branch.is_some_and(|branch| speaks_of(branch, &settings))
        };
        let spoken_of = || (0..branches.len()).find(own);
        let model = Some(model).filter(own).or_else(spoken_of).unwrap_or(model);
        settings.insert(MODEL.to_owned(), json!(model));
        settings
    }

    /// A cheap configuration for each model: the fewest tokens and responses, otherwise the
    /// default. Every model starts from the same point.
    #[must_use]
    pub fn low_cost_starts(&self) -> Vec<Configuration> {
        (0..self.models.len())
            .map(|model| {
                let given = self.with_model(BTreeMap::new(), model);
                let mut values = BTreeMap::new();
                fill(&self.space, &given, &cheap_value, &mut values);
                Configuration(values)
            })
            .collect()
    }

    /// The settings that make a trial cheap, and nothing else: the fewest tokens and responses.
    /// A local search explores them outwards from here.
    #[must_use]
    pub fn low_cost_corner(&self) -> Option<Configuration> {
        let start = self.low_cost_starts().into_iter().next()?;
        // What only some models have is no corner of the whole space.
        let common = |name: &str| self.space.dimensions.iter().any(|own| own.name == name);
        let cheap = start
            .0
            .into_iter()
            .filter(|(name, _)| matches!(name.as_str(), "max_tokens" | "n") && common(name));
        let cheap = Configuration(cheap.collect());
        (!cheap.0.is_empty()).then_some(cheap)
    }

    /// Settings as people read them: the model and the prompt by name, and which demonstrations it shows.
    #[must_use]
    pub fn describe(&self, settings: &Settings) -> Map<String, Value> {
        let mut described = Map::new();
        if let Some(choice) = self.models.get(settings.sampling.model) {
            described.insert("endpoint".to_owned(), json!(choice.endpoint));
            described.insert(MODEL.to_owned(), json!(choice.model));
        }
        if let Some(prompt) = self.prompts.get(settings.sampling.prompt) {
            described.insert(PROMPT.to_owned(), json!(prompt.name));
            if let Some(shown) = prompt.demonstrations {
                described.insert(DEMONSTRATIONS.to_owned(), shown.described());
            }
        }
        if let Some(temperature) = settings.sampling.temperature {
            described.insert("temperature".to_owned(), json!(temperature));
        }
        if let Some(top_p) = settings.sampling.top_p {
            described.insert("top_p".to_owned(), json!(top_p));
        }
        described.insert("max_tokens".to_owned(), json!(settings.extent.max_tokens));
        described.insert("n".to_owned(), json!(settings.extent.n));
        if !settings.sampling.stop.is_empty() {
            described.insert("stop".to_owned(), json!(settings.sampling.stop));
        }
        described.extend(settings.sampling.extra.clone());
        described
    }

    /// The configuration that some settings, given by name, stand for; the rest is as in
    /// [`Self::default_configuration_of`] the model at `default_model`, or of the first one that has
    /// the settings given, where that one has none of them. A model is given by its name, with
    /// `endpoint` next to it where two endpoints have one of the same name.
    ///
    /// # Errors
    /// The name of the setting at fault, and the reason and remedy in words.
    pub fn configuration_of(
        &self,
        settings: &BTreeMap<String, Value>,
        default_model: usize,
    ) -> Result<Configuration, (String, String)> {
        let given = self.with_positions(settings)?;
        let with_model = self.with_model(given.clone(), default_model);
        let mut values = BTreeMap::new();
        fill(&self.space, &with_model, &default_value, &mut values);
        for (name, value) in &given {
            explain_value(name, value).map_err(|detail| (name.clone(), detail))?;
            if values.get(name) != Some(value) {
                let detail = format!("`{name}` is not a setting of the search space at this point");
                return Err((name.clone(), detail));
            }
        }
        let configuration = Configuration(values);
        if self.space.contains(&configuration) {
            return Ok(configuration);
        }
        let outside = given.keys().find(|name| {
            let mut without = with_model.clone();
            without.remove(*name);
            let mut values = BTreeMap::new();
            fill(&self.space, &without, &default_value, &mut values);
            self.space.contains(&Configuration(values))
        });
        let name = outside
            .or_else(|| given.keys().next())
            .cloned()
            .unwrap_or_default();
        let detail =
            format!("`{name}` lies outside the search space; widen the space or change it");
        Err((name, detail))
    }

    /// The same of a baseline. It is what one has today, so its values need not be among those that
    /// the space allows: it may be no point of the space. Its model and prompt are among the job's,
    /// and its settings are Frugal's own or have a name that the space knows.
    ///
    /// # Errors
    /// The name of the setting at fault, and the reason and remedy in words.
    pub fn baseline_of(
        &self,
        settings: &BTreeMap<String, Value>,
        default_model: usize,
    ) -> Result<Configuration, (String, String)> {
        let given = self.with_positions(settings)?;
        let with_model = self.with_model(given.clone(), default_model);
        let mut values = BTreeMap::new();
        fill(&self.space, &with_model, &default_value, &mut values);
        for (name, value) in given {
            explain_value(&name, &value).map_err(|detail| (name.clone(), detail))?;
            match find(&self.space, &name) {
                Some(Domain::OneOf { branches }) => {
                    let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
                    if index.is_none_or(|index| index >= branches.len()) {
                        let detail = format!("`{name}` has no branch {value}");
                        return Err((name, detail));
                    }
                }
                Some(_) => {}
                None if OWN_NAMES.contains(&name.as_str()) => {}
                None => {
                    let detail = format!(
                        "`{name}` is no setting of the search space; give it there, as a constant \
                         if need be, or leave it out"
                    );
                    return Err((name, detail));
                }
            }
            values.insert(name, value);
        }
        Ok(Configuration(values))
    }

    /// Settings as a configuration has them: the model by its position where there are several, and
    /// no name of an only model or prompt.
    fn with_positions(
        &self,
        settings: &BTreeMap<String, Value>,
    ) -> Result<BTreeMap<String, Value>, (String, String)> {
        let mut given = settings.clone();
        let endpoint = given.remove("endpoint");
        if let Some(name) = given.remove(MODEL) {
            let matching = self.models.iter().position(|choice| {
                name == json!(choice.model)
                    && endpoint
                        .as_ref()
                        .is_none_or(|endpoint| endpoint == &json!(choice.endpoint))
            });
            let index = matching.ok_or_else(|| {
                let detail = format!("{name} is not among the job's models");
                (MODEL.to_owned(), detail)
            })?;
            if self.models.len() > 1 {
                given.insert(MODEL.to_owned(), json!(index));
            }
        }
        let shown = given.remove(DEMONSTRATIONS);
        let shown = shown.filter(|shown| !shown.is_null());
        let name = given.remove(PROMPT);
        if name.is_some() || shown.is_some() {
            let is_shown = shown.is_some();
            let name = match &name {
                None => None,
                Some(Value::String(name)) => Some(name.as_str()),
                Some(other) => {
                    let detail = format!("{other} is no name of a prompt");
                    return Err((PROMPT.to_owned(), detail));
                }
            };
            let found = Prompt::find(&self.prompts, name, shown.as_ref());
            let found = found.map_err(|detail| {
                let place = if is_shown { DEMONSTRATIONS } else { PROMPT };
                (place.to_owned(), detail)
            })?;
            if self.prompts.len() > 1 {
                given.insert(PROMPT.to_owned(), json!(self.prompts[found].name));
            }
        }
        Ok(given)
    }
}

impl Space {
    /// The same space without the dimensions of these names, in every branch.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let dimensions = self.dimensions.iter();
        let kept = dimensions.filter(|dimension| !names.contains(&dimension.name.as_str()));
        let kept = kept.map(|dimension| Dimension {
            name: dimension.name.clone(),
            domain: match &dimension.domain {
                Domain::OneOf { branches } => Domain::OneOf {
                    branches: branches
                        .iter()
                        .map(|branch| branch.without(names))
                        .collect(),
                },
                domain => domain.clone(),
            },
        });
        Self {
            dimensions: kept.collect(),
        }
    }

    /// The point nearest to some wanted settings: values that the space does not allow give way to
    /// the nearest that it does, and what is not named has its default.
    #[must_use]
    pub fn nearest_point(&self, wanted: &BTreeMap<String, Value>) -> Configuration {
        let mut values = BTreeMap::new();
        fill(self, wanted, &default_value, &mut values);
        pull_in(self, &mut values);
        Configuration(values)
    }
}

/// What the space allows under a name, in the first branch that has it.
fn find<'a>(space: &'a Space, name: &str) -> Option<&'a Domain> {
    space.dimensions.iter().find_map(|dimension| {
        if dimension.name == name {
            return Some(&dimension.domain);
        }
        match &dimension.domain {
            Domain::OneOf { branches } => branches.iter().find_map(|branch| find(branch, name)),
            _ => None,
        }
    })
}

/// Moves every value into its dimension.
fn pull_in(space: &Space, values: &mut BTreeMap<String, Value>) {
    for dimension in &space.dimensions {
        let Some(value) = values.get(&dimension.name).cloned() else {
            continue;
        };
        let pulled = match (&dimension.domain, value.as_f64()) {
            (Domain::OneOf { branches }, _) => {
                let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
                if let Some(branch) = index.and_then(|index| branches.get(index)) {
                    pull_in(branch, values);
                }
                continue;
            }
            (
                Domain::Float {
                    low, high, step, ..
                },
                Some(wanted),
            ) => json!(rounded(nearest(wanted, *low, *high, *step))),
            (
                Domain::Int {
                    low, high, step, ..
                },
                Some(wanted),
            ) => {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    reason = "a whole number between the bounds"
                )]
                let pulled = nearest(
                    wanted,
                    *low as f64,
                    *high as f64,
                    Some(step.unwrap_or(1) as f64),
                ) as i64;
                json!(pulled)
            }
            (Domain::Choice { values, .. }, _) if values.contains(&value) => continue,
            (Domain::Choice { values, .. }, Some(wanted)) => {
                let distance = |value: &Value| {
                    value
                        .as_f64()
                        .map_or(f64::INFINITY, |value| (value - wanted).abs())
                };
                let nearest = values
                    .iter()
                    .min_by(|one, other| distance(one).total_cmp(&distance(other)));
                nearest.cloned().unwrap_or(Value::Null)
            }
            (Domain::Constant { value }, _) => value.clone(),
            _ => default_value(dimension),
        };
        values.insert(dimension.name.clone(), pulled);
    }
}

/// The index under the model's own name.
fn configuration_model(values: &mut BTreeMap<String, Value>) -> Option<Value> {
    values.remove(MODEL)
}

/// Removes the indices that `one_of` dimensions hold, but for the model's, which is needed.
fn remove_branches(space: &Space, values: &mut BTreeMap<String, Value>) {
    for dimension in &space.dimensions {
        if let Domain::OneOf { branches } = &dimension.domain {
            if dimension.name != MODEL {
                values.remove(&dimension.name);
            }
            for branch in branches {
                remove_branches(branch, values);
            }
        }
    }
}

/// Gives every active dimension a value: the given one, else what `pick` says.
fn fill(
    space: &Space,
    given: &BTreeMap<String, Value>,
    pick: &dyn Fn(&Dimension) -> Value,
    values: &mut BTreeMap<String, Value>,
) {
    for dimension in &space.dimensions {
        if let Domain::OneOf { branches } = &dimension.domain {
            let named = given.get(&dimension.name).and_then(Value::as_u64);
            let named = named.and_then(|index| usize::try_from(index).ok());
            let index = named
                .or_else(|| branches.iter().position(|branch| speaks_of(branch, given)))
                .unwrap_or(0);
            values.insert(dimension.name.clone(), json!(index));
            if let Some(branch) = branches.get(index) {
                fill(branch, given, pick, values);
            }
        } else {
            let value = given.get(&dimension.name).cloned();
            values.insert(
                dimension.name.clone(),
                value.unwrap_or_else(|| pick(dimension)),
            );
        }
    }
}

/// Whether one of the given names is a dimension of the space.
fn speaks_of(space: &Space, given: &BTreeMap<String, Value>) -> bool {
    space
        .dimensions
        .iter()
        .any(|dimension| given.contains_key(&dimension.name))
}

fn default_value(dimension: &Dimension) -> Value {
    match &dimension.domain {
        Domain::Float {
            low, high, step, ..
        } => {
            let wanted = match dimension.name.as_str() {
                "temperature" | "top_p" | "repetition_penalty" => 1.0,
                "frequency_penalty" | "presence_penalty" => 0.0,
                _ => f64::midpoint(*low, *high),
            };
            json!(nearest(wanted, *low, *high, *step))
        }
        Domain::Int {
            low, high, step, ..
        } => match dimension.name.as_str() {
            "max_tokens" => json!(high - (high - low) % step.unwrap_or(1)),
            _ => json!(low),
        },
        Domain::Choice { values, .. } => values.first().cloned().unwrap_or(Value::Null),
        Domain::OneOf { .. } => json!(0),
        Domain::Constant { value } => value.clone(),
    }
}

fn cheap_value(dimension: &Dimension) -> Value {
    match &dimension.domain {
        Domain::Int { low, .. } if dimension.name == "max_tokens" => json!(low),
        Domain::Choice { values, .. } if matches!(dimension.name.as_str(), "max_tokens" | "n") => {
            let cheapest = values.iter().filter_map(Value::as_i64).min();
            cheapest.map_or_else(|| default_value(dimension), |value| json!(value))
        }
        _ => default_value(dimension),
    }
}

/// The value of a float dimension that is nearest to `wanted`.
fn nearest(wanted: f64, low: f64, high: f64, step: Option<f64>) -> f64 {
    let clamped = wanted.clamp(low, high);
    let Some(step) = step else { return clamped };
    let last = ((high - low) / step).floor();
    low + ((clamped - low) / step).round().min(last) * step
}
