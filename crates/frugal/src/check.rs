//! `frugal endpoints check`: asks every model something cheap, and says what it can do.

use crate::config::Config;
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use frugal_domain::endpoint::{Catalog, Endpoint};
use frugal_llm::{Client, Clients, Completion, CompletionRequest, PromptInput, RequestError};
use futures::future::join_all;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The most tokens of a response. Some endpoints refuse fewer.
const MAX_TOKENS: u32 = 16;

/// What `frugal endpoints check` takes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Check these endpoints only
    #[arg(value_name = "ENDPOINT")]
    pub endpoints: Vec<String>,
    /// What the models are asked
    #[arg(long, default_value = "Say OK.", value_name = "TEXT")]
    pub prompt: String,
    /// How long a request may take with all its attempts, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Print JSON in place of a table
    #[arg(long)]
    pub json: bool,
}

/// What was found of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The endpoint, by the name that jobs use.
    pub endpoint: String,
    /// Which of its deployments, where it has several.
    pub deployment: Option<String>,
    /// The model.
    pub model: String,
    /// Whether it answered.
    pub works: bool,
    /// Why it did not, or not to the second request; one line, without keys.
    pub reason: Option<String>,
    /// How many responses came at once where two were asked for; none where none came.
    pub responses_of_two: Option<u32>,
    /// Its name for `max_tokens`.
    pub max_tokens_name: String,
    /// Whether it takes a `seed`; none where it was not found out.
    pub takes_seed: Option<bool>,
    /// Whether it reports the tokens that it bills; none where it did not answer.
    pub reports_usage: Option<bool>,
    /// How long the first answer took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Whether its price is known.
    pub has_price: bool,
}

impl Found {
    /// The endpoint, with the deployment where it has several.
    fn place(&self) -> String {
        match &self.deployment {
            Some(deployment) => format!("{} ({deployment})", self.endpoint),
            None => self.endpoint.clone(),
        }
    }
}

/// Checks the models of a configuration's endpoints, and prints what was found.
///
/// # Errors
/// There is nothing to check, a model does not work, or nothing can be printed.
pub async fn run(
    config: &Config,
    args: &CheckArgs,
    print: impl FnOnce(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let catalog = chosen(&config.endpoints, &args.endpoints)?;
    let found = check(&catalog, args).await;
    let text = match args.json {
        true => format!("{}\n", serde_json::to_string_pretty(&found)?),
        false => format!("{}\n{}", table(&found), reasons(&found)),
    };
    print(&text)?;
    let broken = found.iter().filter(|model| !model.works).count();
    if broken > 0 {
        anyhow::bail!("{broken} of {} models do not work", found.len());
    }
    Ok(())
}

/// The endpoints that are to be checked, with their listed models.
fn chosen(catalog: &Catalog, names: &[String]) -> anyhow::Result<Catalog> {
    if let Some(unknown) = names.iter().find(|name| catalog.endpoint(name).is_none()) {
        let known: Vec<_> = catalog.names().collect();
        anyhow::bail!(
            "there is no endpoint `{unknown}`; there is {}",
            known.join(", ")
        );
    }
    let mut chosen = catalog.clone();
    chosen
        .endpoints
        .retain(|name, _| names.is_empty() || names.contains(name));
    if chosen.endpoints.values().all(|it| it.models.is_empty()) {
        anyhow::bail!("no model is listed; list some below [endpoints] in frugal.toml");
    }
    Ok(chosen)
}

/// What is found of each listed model, in the order of the catalogue, by each deployment.
pub async fn check(catalog: &Catalog, args: &CheckArgs) -> Vec<Found> {
    let endpoints = catalog.endpoints.iter().flat_map(|(name, endpoint)| {
        let is_one_of_several = !endpoint.deployments.is_empty();
        endpoint.every_deployment().map(move |(own_name, own)| {
            let deployment = is_one_of_several.then(|| own_name.to_owned());
            check_deployment(name, deployment, own, args)
        })
    });
    join_all(endpoints).await.into_iter().flatten().collect()
}

async fn check_deployment(
    name: &str,
    deployment: Option<String>,
    endpoint: Endpoint,
    args: &CheckArgs,
) -> Vec<Found> {
    let client = client(name, &endpoint);
    let models = endpoint.models.keys().map(async |model| {
        let mut found = match &client {
            Ok(client) => ask(client, name, &endpoint, model, args).await,
            Err(reason) => Found {
                reason: Some(reason.clone()),
                ..nothing_yet(name, &endpoint, model)
            },
        };
        found.deployment.clone_from(&deployment);
        found
    });
    join_all(models).await
}

/// A client for one endpoint alone, so that a key that is missing elsewhere is no matter.
fn client(name: &str, endpoint: &Endpoint) -> Result<Client, String> {
    let alone = Catalog {
        endpoints: BTreeMap::from([(name.to_owned(), endpoint.clone())]),
        ..Catalog::default()
    };
    let clients = Clients::new(&alone, |variable| std::env::var(variable).ok());
    let clients = clients.map_err(|error| error.to_string())?;
    clients
        .get(name)
        .cloned()
        .ok_or_else(|| "it has no client".to_owned())
}

fn nothing_yet(name: &str, endpoint: &Endpoint, model: &str) -> Found {
    let listed = endpoint.model(model);
    Found {
        endpoint: name.to_owned(),
        deployment: None,
        model: model.to_owned(),
        works: false,
        reason: None,
        responses_of_two: None,
        max_tokens_name: String::new(),
        takes_seed: None,
        reports_usage: None,
        latency_ms: None,
        has_price: listed.is_some_and(|listed| listed.prices.is_some()),
    }
}

/// Asks for one response, and where it comes for two and with a seed. What is refused is asked for
/// otherwise by the client, which is how it is found out.
async fn ask(
    client: &Client,
    name: &str,
    endpoint: &Endpoint,
    model: &str,
    args: &CheckArgs,
) -> Found {
    let mut found = nothing_yet(name, endpoint, model);
    let first = send(client, request(model, args, 1, None), args).await;
    if let Ok(completion) = &first {
        found.works = true;
        found.reports_usage = Some(!completion.usage_estimated);
        found.latency_ms = u64::try_from(completion.latency.as_millis()).ok();
        match send(client, request(model, args, 2, Some(1)), args).await {
            Ok(completion) => {
                found.responses_of_two = u32::try_from(completion.choices.len()).ok();
                let abilities = client.abilities(model);
                found.takes_seed = abilities.map(|it| !it.omit.contains("seed"));
            }
            Err(error) => found.reason = Some(error.to_string()),
        }
    }
    if let Err(error) = first {
        found.reason = Some(error.to_string());
    }
    if let Some(abilities) = client.abilities(model) {
        abilities
            .max_tokens_name()
            .clone_into(&mut found.max_tokens_name);
    }
    found
}

fn request(model: &str, args: &CheckArgs, n: u32, seed: Option<i64>) -> CompletionRequest {
    CompletionRequest {
        model: model.to_owned(),
        prompt: PromptInput::Text(args.prompt.clone()),
        n,
        max_tokens: MAX_TOKENS,
        temperature: None,
        top_p: None,
        stop: Vec::new(),
        seed,
        extra: BTreeMap::new(),
    }
}

async fn send(
    client: &Client,
    request: CompletionRequest,
    args: &CheckArgs,
) -> Result<Completion, RequestError> {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    client.complete(&request, Some(deadline)).await
}

/// A line for each model.
fn table(found: &[Found]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "endpoint",
        "model",
        "works",
        "n = 2",
        "max_tokens",
        "seed",
        "usage",
        "latency",
        "price",
    ]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let choose = |is: bool, yes: &str, no: &str| match is {
        true => yes.to_owned(),
        false => no.to_owned(),
    };
    for model in found {
        let responses = |count: u32| match count {
            2 => "yes".to_owned(),
            few => format!("{few} at once"),
        };
        table.add_row([
            model.place(),
            model.model.clone(),
            choose(model.works, "yes", "NO"),
            or_dash(model.responses_of_two.map(responses)),
            or_dash(model.works.then(|| model.max_tokens_name.clone())),
            or_dash(model.takes_seed.map(|it| choose(it, "yes", "left out"))),
            or_dash(
                model
                    .reports_usage
                    .map(|it| choose(it, "reported", "estimated")),
            ),
            or_dash(model.latency_ms.map(|latency| format!("{latency} ms"))),
            choose(model.has_price, "known", "none"),
        ]);
    }
    table
}

/// Below the table, where there is room: what went wrong.
fn reasons(found: &[Found]) -> String {
    found
        .iter()
        .filter_map(|model| {
            let reason = model.reason.as_ref()?;
            Some(format!("{} {}: {reason}\n", model.place(), model.model))
        })
        .collect()
}
