//! The configurations of an evaluation: settings by name, each with a name of its own.

use crate::limits::MAX_CHOICES;
use crate::models::ModelRead;
use crate::rows::Rows;
use crate::taken::{self, Gathered, SourceJobs};
use frugal_domain::configuration::Configuration;
use frugal_domain::endpoint::{Api, Catalog};
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::job::settings::explain_value;
use frugal_domain::job::{
    DEMONSTRATIONS, JobSpec, MODEL, NamedConfiguration, PROMPT, TrialReference,
};
use frugal_domain::prompt::{Prompt, PromptBody};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `max_tokens` and `n` of a configuration that does not speak of them.
const USUAL: [(&str, u32); 2] = [("max_tokens", 1000), ("n", 1)];

/// The most responses that one configuration may ask for on all rows together. Their requests are
/// numbered within it.
const MAX_RESPONSES: u64 = 1 << 30;

/// Names that are no settings, and what to do instead.
const RESERVED: &[(&str, &str)] = &[
    (
        "messages",
        "list the prompts under `prompts`, and name one here",
    ),
    ("stream", "answers are not streamed to Frugal; leave it out"),
    (
        "seed",
        "each request gets a seed of its own from the `seed` of the evaluation",
    ),
    (
        "best_of",
        "it bills responses that are not returned; give `n` instead",
    ),
    ("max_completion_tokens", "use `max_tokens`"),
    (
        "trial",
        "it goes with a `job`, as {\"job\": \"…\", \"trial\": 12}",
    ),
];

/// What configurations may be made of.
struct Among<'a> {
    models: &'a [Option<ModelRead<'a>>],
    prompts: &'a [Option<Prompt>],
}

/// Where configurations of jobs come from, and what they are held against.
pub(crate) struct Sources<'a> {
    pub(crate) jobs: &'a SourceJobs,
    pub(crate) rows: Option<&'a Rows>,
    pub(crate) catalog: &'a Catalog,
}

/// A configuration that was read.
pub(crate) struct ConfigurationRead<'a> {
    pub(crate) at: Reader<'a>,
    pub(crate) named: NamedConfiguration,
}

/// The configurations; `None` for one with a fault.
pub(crate) fn configurations<'a>(
    evaluation: &ObjectReader<'a>,
    gathered: &mut Gathered<'_>,
    sources: &Sources<'_>,
) -> Vec<Option<ConfigurationRead<'a>>> {
    let places = evaluation
        .require(
            "configurations",
            "give at least one, such as {\"temperature\": 0.7, \"max_tokens\": 256}",
        )
        .and_then(|at| at.filled_array("configuration"))
        .unwrap_or_default();
    if places.len() > MAX_CHOICES {
        evaluation
            .at
            .fault::<()>(format!("`configurations` must hold at most {MAX_CHOICES}"));
    }
    // Those of jobs come first, since they bring models and prompts along.
    let taken: Vec<_> = places
        .iter()
        .map(|at| of_job(at, gathered, sources))
        .collect();
    let among = Among {
        models: &gathered.models,
        prompts: &gathered.prompts,
    };
    let all = places.iter().zip(taken).enumerate();
    let read: Vec<_> = all
        .map(|(index, (at, taken))| {
            let (name, configuration, source) = match taken {
                Taking::None => {
                    let (name, configuration) = configuration(at, &among)?;
                    (name, configuration, None)
                }
                Taking::Fault => return None,
                Taking::Done(name, configuration, source) => (name, configuration, Some(source)),
            };
            Some(ConfigurationRead {
                at: at.clone(),
                named: NamedConfiguration {
                    name: name.unwrap_or_else(|| format!("configuration-{index}")),
                    configuration,
                    source,
                },
            })
        })
        .collect();
    for (index, one) in read.iter().enumerate() {
        let Some(one) = one else { continue };
        let mut before = read[..index].iter().flatten();
        if before.any(|other| other.named.name == one.named.name) {
            let name = &one.named.name;
            one.at.fault_below::<()>(
                "/name",
                format!("the name `{name}` is taken by another configuration"),
            );
        }
    }
    read
}

/// What became of a configuration that may be taken from a job.
enum Taking {
    /// It is not.
    None,
    Fault,
    Done(Option<String>, Configuration, TrialReference),
}

fn of_job(at: &Reader<'_>, gathered: &mut Gathered<'_>, sources: &Sources<'_>) -> Taking {
    // That it is no object is told where its settings are read.
    if at.value.get("job").is_none_or(Value::is_null) {
        return Taking::None;
    }
    let taken = at
        .object()
        .and_then(|object| taken::read(&object, sources.jobs));
    let Some(taken) = taken else {
        return Taking::Fault;
    };
    match gathered.take(&taken, sources.rows, sources.catalog) {
        Some(configuration) => Taking::Done(taken.name, configuration, taken.source),
        None => Taking::Fault,
    }
}

/// A configuration by its settings, with its name if it has one.
fn configuration(at: &Reader<'_>, among: &Among<'_>) -> Option<(Option<String>, Configuration)> {
    let object = at.object()?;
    let name = object
        .get("name")
        .map(|at| at.filled_string().map(str::to_owned));
    let model = model(&object, among.models);
    let prompt = prompt(&object, among.prompts);
    if let (Some(model), Some(prompt)) = (model, prompt) {
        takes_the_prompt(&object, among, model, prompt);
    }
    let mut values = BTreeMap::new();
    let mut is_sound = true;
    for (name, at) in object.members() {
        if !is_setting(name, at.value) {
            continue;
        }
        let reserved = RESERVED.iter().find(|(reserved, _)| *reserved == name);
        let fault = match reserved {
            Some((_, remedy)) => Some(format!("is no setting; {remedy}")),
            None => explain_value(name, at.value).err(),
        };
        match fault {
            Some(detail) => {
                at.fault::<()>(detail);
                is_sound = false;
            }
            None => {
                values.insert(name.to_owned(), at.value.clone());
            }
        }
    }
    for (name, value) in USUAL {
        values
            .entry(name.to_owned())
            .or_insert_with(|| json!(value));
    }
    values.insert(MODEL.to_owned(), json!(model?));
    values.insert(
        PROMPT.to_owned(),
        json!(among.prompts.get(prompt?)?.as_ref()?.name),
    );
    let name = match name {
        Some(name) => Some(name?),
        None => None,
    };
    is_sound.then_some((name, Configuration(values)))
}

/// The position of the model that a configuration names, or of the only one that there is.
fn model(object: &ObjectReader<'_>, models: &[Option<ModelRead<'_>>]) -> Option<usize> {
    let endpoint = object.get("endpoint").map(|at| at.filled_string());
    let Some(at) = object.get(MODEL) else {
        if let [_] = models {
            return Some(0);
        }
        // Models with faults are told of where they are.
        return match models.is_empty() {
            true => None,
            false => object
                .require(MODEL, "there are several models; name one of them")
                .and(None),
        };
    };
    let name = at.filled_string()?;
    let endpoint = match endpoint {
        None => None,
        Some(endpoint) => Some(endpoint?),
    };
    let found = models.iter().position(|model| {
        model.as_ref().is_some_and(|model| {
            let choice = &model.choice;
            choice.model == name && endpoint.is_none_or(|endpoint| endpoint == choice.endpoint)
        })
    });
    if found.is_none() && models.iter().all(Option::is_some) {
        let named = models.iter().flatten().map(|model| &model.choice);
        let named = named.map(|choice| format!("`{}` at `{}`", choice.model, choice.endpoint));
        let named: Vec<String> = named.collect();
        return at.fault(format!(
            "`{name}` is not among the models of the evaluation; there is {}",
            named.join(", ")
        ));
    }
    found
}

/// The position of the prompt that a configuration names, or of the only one that there is.
fn prompt(object: &ObjectReader<'_>, prompts: &[Option<Prompt>]) -> Option<usize> {
    let (named, shown) = (object.get(PROMPT), object.get(DEMONSTRATIONS));
    if named.is_none() && shown.is_none() {
        if let [_] = prompts {
            return Some(0);
        }
        return match prompts.is_empty() {
            true => None,
            false => object
                .require(PROMPT, "there are several prompts; name one of them")
                .and(None),
        };
    }
    let name = match &named {
        None => None,
        Some(at) => Some(at.filled_string()?),
    };
    // Prompts with faults are told of where they are.
    let prompts: Vec<Prompt> = prompts.iter().cloned().collect::<Option<_>>()?;
    if prompts.is_empty() {
        return None;
    }
    let found = Prompt::find(&prompts, name, shown.as_ref().map(|at| at.value));
    found
        .map_err(|detail| shown.or(named).map(|at| at.fault::<()>(detail)))
        .ok()
}

/// Notes a fault where a model is to be sent messages and takes none.
fn takes_the_prompt(object: &ObjectReader<'_>, among: &Among<'_>, model: usize, prompt: usize) {
    let (Some(Some(model)), Some(Some(prompt))) =
        (among.models.get(model), among.prompts.get(prompt))
    else {
        return;
    };
    if model.api == Api::Completions && matches!(prompt.body, PromptBody::Messages(_)) {
        let (model, prompt) = (&model.choice.model, &prompt.name);
        object.at.fault::<()>(format!(
            "the model `{model}` takes no messages, and the prompt `{prompt}` is messages; give it as \
             `text`"
        ));
    }
}

/// Notes a fault for each configuration that asks the same of the endpoint as one before it, or for more
/// responses than can be numbered.
pub(crate) fn are_told_apart(
    read: &[ConfigurationRead<'_>],
    spec: &JobSpec,
    rows: usize,
) -> Option<()> {
    let mut seen: Vec<(&str, _)> = Vec::new();
    let mut are = Some(());
    for one in read {
        let settings = match spec.settings(&one.named.configuration) {
            Ok(settings) => settings,
            Err(error) => {
                are = one.at.fault(error.to_string());
                continue;
            }
        };
        if rows as u64 * u64::from(settings.extent.n) > MAX_RESPONSES {
            are = one.at.fault_below(
                "/n",
                format!(
                    "makes more than {MAX_RESPONSES} responses on {rows} rows; take fewer rows, or a smaller `n`"
                ),
            );
        }
        if let Some((other, _)) = seen.iter().find(|(_, other)| *other == settings) {
            are = one.at.fault(format!(
                "asks the same of the endpoint as `{other}`, so there is nothing to compare; leave one of \
                 them out"
            ));
        }
        seen.push((&one.named.name, settings));
    }
    are
}

/// Which configuration the others are compared with, by position: the first, if none is named.
pub(crate) fn reference(
    at: Option<&Reader<'_>>,
    read: &[Option<ConfigurationRead<'_>>],
) -> Option<usize> {
    let Some(at) = at else { return Some(0) };
    let name = at.filled_string()?;
    let named = read.iter().flatten().map(|one| one.named.name.as_str());
    if let Some(position) = named.clone().position(|other| other == name) {
        return Some(position);
    }
    if read.iter().any(Option::is_none) {
        return None;
    }
    let named: Vec<String> = named.map(|name| format!("`{name}`")).collect();
    at.fault(format!(
        "`{name}` is the name of no configuration; there is {}",
        named.join(", ")
    ))
}

/// Whether a member of a configuration is one of its settings.
pub(crate) fn is_setting(name: &str, value: &Value) -> bool {
    !["name", "endpoint", MODEL, PROMPT, DEMONSTRATIONS].contains(&name) && !value.is_null()
}
