//! The search space of a job: the wire form of dimensions, and the paper's default space.

use crate::limits::MAX_CHOICES;
use crate::models::ModelRead;
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::job::settings::explain_value;
use frugal_domain::job::{DEMONSTRATIONS, MODEL, PROMPT};
use frugal_domain::prompt::Prompt;
use frugal_domain::space::{Dimension, Domain, Scale, Space};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};

/// `max_tokens` of a search space that does not speak of it: the top of the paper's range.
const FIXED_MAX_TOKENS: u32 = 1000;
/// How deep `one_of` may nest.
const MAX_DEPTH: usize = 4;

/// Names that cannot be settings, and what to do instead.
const RESERVED: &[(&str, &str)] = &[
    (MODEL, "list the models under `models`"),
    (
        "endpoint",
        "list the models with their endpoints under `models`",
    ),
    (PROMPT, "list the prompts under `prompts`"),
    ("messages", "list the prompts under `prompts`"),
    (
        DEMONSTRATIONS,
        "say beside `search_space` what is searched, as {\"demonstrations\": {\"count\": {\"int\": [0, 8]}}}",
    ),
    ("stream", "answers are not streamed to Frugal; leave it out"),
    (
        "seed",
        "each request gets a seed of its own from `search.seed`",
    ),
    (
        "best_of",
        "it bills responses that are not returned; search over `n` instead",
    ),
    ("max_completion_tokens", "use `max_tokens`"),
];

/// The whole space, or `None` after noting a fault: model, prompt, then the settings.
pub(crate) fn space(
    job: &ObjectReader<'_>,
    models: &[Option<ModelRead<'_>>],
    prompts: &[Option<Prompt>],
) -> Option<Space> {
    let given = job.get("search_space");
    let common = match &given {
        Some(at) => read_settings(at, &BTreeSet::new(), 0),
        None => Some(default_space()),
    };
    let taken = common.as_ref().map(names).unwrap_or_default();
    let always_taken = common.as_ref().map(always).unwrap_or_default();
    let branches: Vec<_> = models
        .iter()
        .map(|model| match &model.as_ref()?.space {
            None => Some(Space::default()),
            Some(at) => read_settings(at, &taken, 0),
        })
        .collect();
    let mut branches: Vec<Space> = branches.into_iter().collect::<Option<_>>()?;
    let mut dimensions = Vec::new();
    let mut all = common?;
    let per_model: Vec<_> = branches.iter().map(names).collect();
    let always_per_model: Vec<_> = branches.iter().map(always).collect();
    if branches.len() == 1 {
        dimensions.append(&mut branches.remove(0).dimensions);
    } else {
        dimensions.push(Dimension {
            name: MODEL.to_owned(),
            domain: Domain::OneOf { branches },
        });
    }
    if prompts.len() > 1 {
        let values = prompts
            .iter()
            .flatten()
            .map(|prompt| json!(prompt.name))
            .collect();
        dimensions.push(Dimension {
            name: PROMPT.to_owned(),
            domain: Domain::Choice {
                values,
                ordered: false,
            },
        });
    }
    dimensions.append(&mut all.dimensions);
    for (name, value) in [("max_tokens", json!(FIXED_MAX_TOKENS)), ("n", json!(1))] {
        let everywhere = always_per_model.iter().all(|names| names.contains(name));
        if !always_taken.contains(name) && !everywhere {
            if taken.contains(name) {
                let at = given.as_ref().unwrap_or(&job.at);
                return at.fault(format!(
                    "`{name}` is in some sub-spaces of a `one_of` only; give it to all of them or beside it"
                ));
            }
            if per_model.iter().any(|names| names.contains(name)) {
                return job.at.fault(format!(
                    "`{name}` is not in the search space of every model in all its sub-spaces; give it to all of them or to `search_space`"
                ));
            }
            dimensions.push(Dimension {
                name: name.to_owned(),
                domain: Domain::Constant { value },
            });
        }
    }
    Some(Space { dimensions })
}

/// The names that have a value at every point of a space.
fn always(space: &Space) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for dimension in &space.dimensions {
        if let Domain::OneOf { branches } = &dimension.domain {
            let in_all = branches.iter().map(always);
            names.extend(
                in_all
                    .reduce(|one, other| &one & &other)
                    .unwrap_or_default(),
            );
        } else {
            names.insert(dimension.name.clone());
        }
    }
    names
}

/// The space of the paper (section 4): temperature in [0, 2] or `top_p` in [0, 1],
/// `max_tokens` in [50, 1000] logarithmically, `n` in [1, 100].
fn default_space() -> Space {
    let float = |name: &str, low: f64, high: f64| Space {
        dimensions: vec![Dimension {
            name: name.to_owned(),
            domain: Domain::Float {
                low,
                high,
                scale: Scale::Linear,
                step: None,
            },
        }],
    };
    let int = |name: &str, low: i64, high: i64, scale: Scale| Dimension {
        name: name.to_owned(),
        domain: Domain::Int {
            low,
            high,
            scale,
            step: None,
        },
    };
    Space {
        dimensions: vec![
            Dimension {
                name: "temperature_or_top_p".to_owned(),
                domain: Domain::OneOf {
                    branches: vec![float("temperature", 0.0, 2.0), float("top_p", 0.0, 1.0)],
                },
            },
            int("max_tokens", 50, 1000, Scale::Log),
            int("n", 1, 100, Scale::Linear),
        ],
    }
}

/// Every name that can be active somewhere in a space.
fn names(space: &Space) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for dimension in &space.dimensions {
        all.insert(dimension.name.clone());
        if let Domain::OneOf { branches } = &dimension.domain {
            all.extend(branches.iter().flat_map(names));
        }
    }
    all
}

/// An object of dimensions by name. `taken` are the names in use outside of it.
fn read_settings(at: &Reader<'_>, taken: &BTreeSet<String>, depth: usize) -> Option<Space> {
    let object = at.object()?;
    if depth > MAX_DEPTH {
        return at.fault(format!("`one_of` may nest at most {MAX_DEPTH} deep"));
    }
    let members = object.members_within(MAX_CHOICES)?;
    let outside = taken;
    let mut taken = taken.clone();
    taken.extend(members.iter().map(|(name, _)| (*name).to_owned()));
    let mut dimensions = Vec::new();
    let mut complete = true;
    for (name, at) in members {
        let reserved = RESERVED.iter().find(|(reserved, _)| *reserved == name);
        if let Some((_, remedy)) = reserved {
            at.fault::<()>(format!("cannot be searched here; {remedy}"));
            complete = false;
            continue;
        }
        if outside.contains(name) {
            at.fault::<()>(format!(
                "`{name}` is in the search space twice; name it once"
            ));
            complete = false;
            continue;
        }
        match read_domain(name, &at, &taken, depth) {
            Some(domain) => {
                if let Domain::OneOf { branches } = &domain {
                    taken.extend(branches.iter().flat_map(names));
                }
                dimensions.push(Dimension {
                    name: name.to_owned(),
                    domain,
                });
            }
            None => complete = false,
        }
    }
    complete.then_some(Space { dimensions })
}

/// A dimension: an object with one of the four forms, or a constant.
fn read_domain(
    name: &str,
    at: &Reader<'_>,
    taken: &BTreeSet<String>,
    depth: usize,
) -> Option<Domain> {
    const FORMS: [&str; 4] = ["float", "int", "choice", "one_of"];
    let forms: Vec<_> = match at.value {
        Value::Object(map) => FORMS
            .into_iter()
            .filter(|form| map.contains_key(*form))
            .collect(),
        _ => Vec::new(),
    };
    match forms.as_slice() {
        ["float"] => read_float(name, at),
        ["int"] => read_int(name, at),
        ["choice"] => read_choice(name, at),
        ["one_of"] => {
            let object = at.object()?;
            let places = object
                .require("one_of", "list the sub-spaces")?
                .filled_array_within("sub-space", MAX_CHOICES)?;
            object.finish();
            let branches: Vec<_> = places
                .iter()
                .map(|at| read_settings(at, taken, depth + 1))
                .collect();
            Some(Domain::OneOf {
                branches: branches.into_iter().collect::<Option<_>>()?,
            })
        }
        [] => {
            let stray = ["scale", "step", "ordered"];
            if let Value::Object(map) = at.value
                && let Some(key) = stray.into_iter().find(|key| map.contains_key(*key))
            {
                return at.fault(format!(
                    "has `{key}` but none of `float`, `int`, `choice`, `one_of`"
                ));
            }
            check_value(name, at.value, at)?;
            Some(Domain::Constant {
                value: at.value.clone(),
            })
        }
        _ => at.fault("give exactly one of `float`, `int`, `choice`, `one_of`"),
    }
}

fn read_scale(object: &ObjectReader<'_>, low: Option<f64>) -> Option<Scale> {
    let Some(at) = object.get("scale") else {
        return Some(Scale::Linear);
    };
    let scale = at.one_of(&[("linear", Scale::Linear), ("log", Scale::Log)])?;
    if scale == Scale::Log && low.is_some_and(|low| low <= 0.0) {
        return at.fault("a logarithmic scale needs a low end above 0");
    }
    if scale == Scale::Log && object.has("step") {
        return at.fault("a step needs the linear scale; leave one of them out");
    }
    Some(scale)
}

/// The two ends of a range, in order.
fn read_ends<'a, T: PartialOrd>(
    at: &Reader<'a>,
    read: impl Fn(&Reader<'a>) -> Option<T>,
) -> Option<(T, T)> {
    let places = at.array()?;
    let [low, high] = places.as_slice() else {
        return at.fault("must be [low, high]");
    };
    let (low, high) = (read(low), read(high));
    let (low, high) = (low?, high?);
    if low > high {
        return at.fault("has its low end above its high end; swap them");
    }
    Some((low, high))
}

fn read_float(name: &str, at: &Reader<'_>) -> Option<Domain> {
    if matches!(name, "n" | "max_tokens") {
        return at.fault("must be whole numbers; use `int`");
    }
    let object = at.object()?;
    let ends = object.require("float", "give [low, high]").and_then(|at| {
        let ends = read_ends(&at, Reader::number)?;
        check_value(name, &json!(ends.0), &at)?;
        check_value(name, &json!(ends.1), &at)?;
        if !(ends.1 - ends.0).is_finite() {
            return at.fault("is too wide; the ends must be less than 1.8e308 apart");
        }
        Some(ends)
    });
    let scale = read_scale(&object, ends.map(|(low, _)| low));
    let step = object.get("step").map(|at| {
        let step = at.number()?;
        if step <= 0.0 {
            return at.fault("must be above 0");
        }
        Some(step)
    });
    object.finish();
    let (low, high) = ends?;
    Some(Domain::Float {
        low,
        high,
        scale: scale?,
        step: step.map_or(Some(None), |s| s.map(Some))?,
    })
}

fn read_int(name: &str, at: &Reader<'_>) -> Option<Domain> {
    let object = at.object()?;
    let ends = object.require("int", "give [low, high]").and_then(|at| {
        let ends = read_ends(&at, |at| at.integer_within(-(1 << 53), 1 << 53))?;
        check_value(name, &json!(ends.0), &at)?;
        check_value(name, &json!(ends.1), &at)?;
        Some(ends)
    });
    #[expect(clippy::cast_precision_loss, reason = "only compared with 0")]
    let scale = read_scale(&object, ends.map(|(low, _)| low as f64));
    let step = object.get("step").map(|at| at.integer_within(1, 1 << 53));
    object.finish();
    let (low, high) = ends?;
    Some(Domain::Int {
        low,
        high,
        scale: scale?,
        step: step.map_or(Some(None), |s| s.map(Some))?,
    })
}

fn read_choice(name: &str, at: &Reader<'_>) -> Option<Domain> {
    let object = at.object()?;
    let values = object.require("choice", "list the values").and_then(|at| {
        let places = at.filled_array("value")?;
        let mut values: Vec<Value> = Vec::new();
        let mut seen = HashSet::new();
        let mut complete = true;
        for place in &places {
            // As texts: values have no order and no hash, and each is held against all before it.
            if !seen.insert(place.value.to_string()) {
                place.fault::<()>("is in the list twice; name each value once");
                complete = false;
            }
            complete &= check_value(name, place.value, place).is_some();
            values.push(place.value.clone());
        }
        complete.then_some(values)
    });
    let ordered = object.get("ordered").map_or(Some(false), |at| at.boolean());
    object.finish();
    Some(Domain::Choice {
        values: values?,
        ordered: ordered?,
    })
}

/// Whether a value can be the setting of this name; names that are not Frugal's own go to the
/// endpoint as they are.
fn check_value(name: &str, value: &Value, at: &Reader<'_>) -> Option<()> {
    match explain_value(name, value) {
        Ok(()) => Some(()),
        Err(detail) => at.fault(detail),
    }
}
