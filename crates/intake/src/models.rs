//! The models of a job: read, and looked up in the operator's catalogue.

use crate::limits::MAX_CHOICES;
use frugal_domain::endpoint::{Api, Catalog};
use frugal_domain::fault::{ObjectReader, Reader};
use frugal_domain::job::ModelChoice;
use serde_json::json;

/// A model as the job names it, with the place of its sub-space and what the catalogue says.
pub(crate) struct ModelRead<'a> {
    /// What the job keeps.
    pub choice: ModelChoice,
    /// Whether the operator gave prices.
    pub priced: bool,
    /// What a text prompt is sent to.
    pub api: Api,
    /// Settings that vary for this model only.
    pub space: Option<Reader<'a>>,
}

/// The models; `None` for one with a fault, so that positions stay.
pub(crate) fn models<'a>(job: &ObjectReader<'a>, catalog: &Catalog) -> Vec<Option<ModelRead<'a>>> {
    let places = match (job.get("models"), job.get("model")) {
        (Some(many), Some(one)) => {
            one.fault::<()>("give either `model` or `models`, not both");
            many.filled_array_within("model", MAX_CHOICES)
                .unwrap_or_default()
        }
        (Some(many), None) => many
            .filled_array_within("model", MAX_CHOICES)
            .unwrap_or_default(),
        (None, Some(one)) => vec![one],
        (None, None) => job
            .require(
                "models",
                "give at least one {\"endpoint\": …, \"model\": …}",
            )
            .into_iter()
            .collect(),
    };
    let models: Vec<_> = places.iter().map(|at| read_model(at, catalog)).collect();
    for (index, model) in models.iter().enumerate() {
        let same = |other: &&Option<ModelRead<'_>>| match (other, model) {
            (Some(other), Some(model)) => {
                other.choice.endpoint == model.choice.endpoint
                    && other.choice.model == model.choice.model
            }
            _ => false,
        };
        if models[..index].iter().any(|other| same(&other)) {
            places[index].fault::<()>("is in the list twice; name each model once");
        }
    }
    models
}

fn read_model<'a>(at: &Reader<'a>, catalog: &Catalog) -> Option<ModelRead<'a>> {
    if let Some(name) = at.value.as_str() {
        let Known {
            choice,
            priced,
            api,
        } = named(at, name, catalog)?;
        return Some(ModelRead {
            choice,
            priced,
            api,
            space: None,
        });
    }
    let object = at.object()?;
    let endpoint = object
        .require("endpoint", "name one of the operator's endpoints")
        .and_then(|at| Some((at.clone(), at.filled_string()?)));
    let model = object
        .require("model", "name one of the endpoint's models")
        .and_then(|at| Some((at.clone(), at.filled_string()?)));
    let space = object.get("search_space");
    object.finish();
    let known = known(endpoint?, model?, catalog)?;
    Some(ModelRead {
        choice: known.choice,
        priced: known.priced,
        api: known.api,
        space,
    })
}

/// Looks up a model by its name alone, which only one endpoint may have.
fn named(at: &Reader<'_>, name: &str, catalog: &Catalog) -> Option<Known> {
    let has = catalog
        .endpoints
        .iter()
        .filter(|(_, endpoint)| endpoint.model(name).is_some());
    let having: Vec<&String> = has.map(|(endpoint, _)| endpoint).collect();
    match having.as_slice() {
        [endpoint] => known((at.clone(), endpoint), (at.clone(), name), catalog),
        [] => at.fault(format!(
            "`{name}` is not a model of this server; `GET /endpoints` lists those that are{}",
            switched_off(catalog)
        )),
        [endpoint, ..] => at.fault(format!(
            "`{name}` is a model of several endpoints; say which, as in {}",
            json!({"endpoint": endpoint, "model": name})
        )),
    }
}

/// A model of the operator's.
pub(crate) struct Known {
    /// As a job names it.
    pub choice: ModelChoice,
    /// Whether the operator gave prices.
    pub priced: bool,
    /// What a text prompt is sent to.
    pub api: Api,
}

/// Looks up a model of an endpoint, each with the place where it is named.
pub(crate) fn known(
    (endpoint_at, endpoint): (Reader<'_>, &str),
    (model_at, model): (Reader<'_>, &str),
    catalog: &Catalog,
) -> Option<Known> {
    if let Some(unset) = catalog.switched_off.get(endpoint) {
        return endpoint_at.fault(format!(
            "`{endpoint}` is switched off at this server: its environment variable {unset} is not set; set it and \
             start the server again, or name another endpoint; {}",
            known_names("it has", catalog.endpoints.keys())
        ));
    }
    let Some(known) = catalog.endpoints.get(endpoint) else {
        return endpoint_at.fault(format!(
            "`{endpoint}` is not an endpoint of this server; {}",
            known_names("it has", catalog.endpoints.keys())
        ));
    };
    let Some(entry) = known.model(model) else {
        return model_at.fault(format!(
            "`{model}` is not a model of the endpoint `{endpoint}`; {}",
            known_names("it has", known.models.keys())
        ));
    };
    let prices = entry.prices;
    Some(Known {
        choice: ModelChoice {
            endpoint: endpoint.to_owned(),
            model: model.to_owned(),
            prices: prices.unwrap_or_default(),
        },
        priced: prices.is_some(),
        api: known.api_of(entry),
    })
}

/// Which endpoints are switched off, and what switches them on: the model that is missed may be one of theirs.
fn switched_off(catalog: &Catalog) -> String {
    let all = catalog.switched_off.iter();
    let all = all.map(|(endpoint, unset)| {
        format!("; `{endpoint}` is switched off, as its environment variable {unset} is not set")
    });
    all.collect()
}

/// A list of names for the remedy of a fault.
fn known_names<'a>(lead: &str, names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        format!("{lead} none, ask the operator")
    } else {
        format!("{lead} {}", names.join(", "))
    }
}
