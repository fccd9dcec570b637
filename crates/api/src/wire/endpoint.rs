//! The operator's endpoints as clients see them, and the server's own health.

use chrono::{DateTime, Utc};
use frugal_admission::Scope;
use frugal_domain::abilities::Abilities;
use frugal_domain::endpoint;
use frugal_domain::money::{self, PICO_PER_USD, Usd};
use frugal_store::endpoint_models::{EndpointModel, Sightings};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// An endpoint that jobs may name. How it is paid for stays with the operator.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Endpoint {
    /// The name that jobs use.
    #[schema(example = "local")]
    pub name: String,
    /// The host that requests go to, with its port where it is not the usual one.
    #[schema(example = "api.openai.com")]
    pub host: String,
    /// The deployments behind its name, where there are several: requests go to all in turn, and what
    /// one of them refuses another answers.
    pub deployments: Vec<EndpointDeployment>,
    /// The models that it is known to serve: those that the operator lists, and those that jobs
    /// used where they may name others.
    pub models: Vec<Model>,
    /// The models among these that have no prices.
    pub unpriced_models: Vec<String>,
    /// Whether jobs may name models that are not listed. Those have no prices.
    pub allow_unlisted_models: bool,
    /// How hard the endpoint may be driven, all models and all jobs together.
    pub limits: EndpointLimits,
}

/// One of several deployments behind the name of an endpoint.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EndpointDeployment {
    /// What the operator calls it; `first` is the one that the endpoint's own entry describes.
    #[schema(example = "first")]
    pub name: String,
    /// The host that its requests go to.
    #[schema(example = "api.openai.com")]
    pub host: String,
}

/// How hard an endpoint or one of its models may be driven.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct EndpointLimits {
    /// The most requests in flight; `null` where there is no limit.
    pub requests_in_flight: Option<u32>,
    /// The most requests within any minute; `null` where there is no limit.
    pub requests_per_minute: Option<u32>,
    /// The most tokens that are asked for within any minute, each request at its worst case; `null`
    /// where there is no limit.
    pub tokens_per_minute: Option<u64>,
}

/// A model of an endpoint.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Model {
    /// The name that jobs use.
    #[schema(example = "gemma-3-270m")]
    pub name: String,
    /// What a text prompt is sent to.
    pub api: Api,
    /// What it charges. Without prices only jobs that budget tokens may use it.
    pub prices: Option<Prices>,
    /// The most responses that one request may ask for, where there is a limit. Frugal splits
    /// larger `n` over several requests. This and what follows is the operator's word, and where
    /// there is none, what the endpoint's refusals told.
    pub max_n: Option<u32>,
    /// The model's name for `max_tokens`.
    #[schema(example = "max_completion_tokens")]
    pub max_tokens_name: String,
    /// Parameters that the model does not take. `seed` and `n` are left out of requests then; a
    /// configuration that sets another one is infeasible.
    pub omit: Vec<String>,
    /// When the endpoint's refusals last told something of it; `null` where none did within a week.
    pub abilities_found_at: Option<DateTime<Utc>>,
    /// How hard the model may be driven, within what its endpoint allows.
    pub limits: EndpointLimits,
    /// How it has been doing; `null` where no job has called it, or as long as the database is away.
    pub health: Option<ModelHealth>,
}

/// How a model has been doing, over all jobs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelHealth {
    /// When it last answered.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When a request last failed.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// Why it did, in the endpoint's words where it had any.
    pub last_failure: Option<String>,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were refused for their configuration or their prompt.
    pub refused: u64,
    /// Requests that failed otherwise.
    pub failed: u64,
    /// Of those answered, how many whose tokens had to be estimated, because the endpoint did not
    /// report them, or not as they can have been.
    pub usage_estimated: u64,
    /// Tokens of the prompts that were answered.
    pub input_tokens: u64,
    /// Tokens of the responses.
    pub output_tokens: u64,
    /// What the answered requests cost, in US dollars.
    pub spend_usd: f64,
    /// What attempts that brought no answer may have cost at most, in US dollars.
    pub uncertain_spend_usd: f64,
    /// How long the answering attempts took on average, in milliseconds.
    pub mean_latency_ms: Option<u64>,
    /// How long the last of them took, in milliseconds.
    pub last_latency_ms: Option<u64>,
    /// Until when the endpoint asked that nothing be sent, where that is still to come.
    pub waits_until: Option<DateTime<Utc>>,
    /// The time during which it answers nobody, while it lasts.
    pub outage: Option<Outage>,
}

/// A time during which a model answers nobody: its requests are held back, and one at a time tries
/// whether it is back.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Outage {
    /// Since when.
    pub since: DateTime<Utc>,
    /// What the endpoint last said or did.
    pub reason: String,
    /// From when on a request tries whether it is back.
    pub next_probe_at: DateTime<Utc>,
}

/// A wire format of OpenAI-compatible endpoints.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `POST /chat/completions` with messages; a text prompt becomes one message of the user.
    Chat,
    /// `POST /completions` with a prompt text.
    Completions,
}

/// What a model charges, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Prices {
    /// Per million tokens of prompts.
    #[schema(example = 0.15)]
    pub input_usd_per_million: f64,
    /// Per million tokens of completions.
    #[schema(example = 0.6)]
    pub output_usd_per_million: f64,
    /// Per request, whatever its size.
    #[schema(example = 0.0)]
    pub usd_per_request: f64,
    /// Per million tokens of prompts that the endpoint read from a cache; `null` where they cost as
    /// much as others.
    #[schema(example = 0.075)]
    pub cached_input_usd_per_million: Option<f64>,
}

impl From<money::Prices> for Prices {
    #[expect(
        clippy::cast_precision_loss,
        reason = "back to the decimals that the prices came from; 15 digits are enough"
    )]
    fn from(prices: money::Prices) -> Self {
        let per_million = (PICO_PER_USD / 1_000_000) as f64;
        Self {
            input_usd_per_million: prices.input_pico as f64 / per_million,
            output_usd_per_million: prices.output_pico as f64 / per_million,
            usd_per_request: prices.request_pico as f64 / PICO_PER_USD as f64,
            cached_input_usd_per_million: prices
                .cached_input_pico
                .map(|pico| pico as f64 / per_million),
        }
    }
}

impl From<&endpoint::Limits> for EndpointLimits {
    fn from(limits: &endpoint::Limits) -> Self {
        Self {
            requests_in_flight: Some(limits.requests_in_flight),
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
        }
    }
}

impl From<&endpoint::ModelLimits> for EndpointLimits {
    fn from(limits: &endpoint::ModelLimits) -> Self {
        Self {
            requests_in_flight: limits.requests_in_flight,
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
        }
    }
}

/// What is known of a model besides the operator's word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// What was seen of it.
    pub(crate) seen: Option<EndpointModel>,
    /// What workers share of it.
    pub(crate) scope: Scope,
}

impl Endpoint {
    /// An endpoint of the operator's catalogue, with what is known of its models by their names.
    pub(crate) fn new(
        name: &str,
        endpoint: &endpoint::Endpoint,
        known: &BTreeMap<String, Known>,
        now: DateTime<Utc>,
    ) -> Self {
        let nothing = Known::default();
        let names: BTreeSet<&String> = endpoint.models.keys().chain(known.keys()).collect();
        let models = names.into_iter().filter_map(|name| {
            let model = endpoint.model(name)?;
            let known = known.get(name).unwrap_or(&nothing);
            Some(Model::new(name, model, endpoint.api_of(model), known, now))
        });
        let models: Vec<Model> = models.collect();
        let unpriced = models.iter().filter(|model| model.prices.is_none());
        let deployments = endpoint.every_deployment();
        let deployments = deployments.map(|(name, own)| EndpointDeployment {
            name: name.to_owned(),
            host: own.host().to_owned(),
        });
        Self {
            name: name.to_owned(),
            host: endpoint.host().to_owned(),
            deployments: match endpoint.deployments.is_empty() {
                true => Vec::new(),
                false => deployments.collect(),
            },
            unpriced_models: unpriced.map(|model| model.name.clone()).collect(),
            models,
            allow_unlisted_models: endpoint.allow_unlisted_models,
            limits: EndpointLimits::from(&endpoint.limits),
        }
    }
}

impl Model {
    fn new(
        name: &str,
        model: &endpoint::Model,
        api: endpoint::Api,
        known: &Known,
        now: DateTime<Utc>,
    ) -> Self {
        let found = known.seen.as_ref();
        let learned = found.and_then(|found| found.seen.abilities.clone());
        let abilities = Abilities::stated(model).or(learned.unwrap_or_default());
        Self {
            name: name.to_owned(),
            api: match api {
                endpoint::Api::Chat => Api::Chat,
                endpoint::Api::Completions => Api::Completions,
            },
            prices: model.prices.map(Prices::from),
            max_n: abilities.max_n,
            max_tokens_name: abilities.max_tokens_name().to_owned(),
            omit: abilities.omit.into_iter().collect(),
            abilities_found_at: found.and_then(|found| found.abilities_found_at),
            limits: EndpointLimits::from(&model.limits),
            health: ModelHealth::new(known, now),
        }
    }
}

impl ModelHealth {
    /// Nothing where nobody called it.
    fn new(known: &Known, now: DateTime<Utc>) -> Option<Self> {
        let moment = |millis| DateTime::from_timestamp_millis(millis).unwrap_or(now);
        let waits_until = known.scope.waits_until(now.timestamp_millis());
        let outage = known.scope.outage();
        if known.seen.is_none() && waits_until.is_none() && outage.is_none() {
            return None;
        }
        let nothing = Sightings::default();
        let seen = known.seen.as_ref().map_or(&nothing, |known| &known.seen);
        Some(Self {
            last_success_at: seen.last_success_at,
            last_failure_at: seen.last_failure_at,
            last_failure: seen.last_failure.clone(),
            answered: seen.answered,
            refused: seen.refused,
            failed: seen.failed,
            usage_estimated: seen.usage_estimated,
            input_tokens: seen.input_tokens,
            output_tokens: seen.output_tokens,
            spend_usd: Usd::from_pico(seen.spend_pico_usd).dollars(),
            uncertain_spend_usd: Usd::from_pico(seen.uncertain_spend_pico_usd).dollars(),
            mean_latency_ms: seen.latency_ms_total.checked_div(seen.answered),
            last_latency_ms: seen.last_latency_ms,
            waits_until: waits_until.map(moment),
            outage: outage.map(|outage| Outage {
                since: moment(outage.since),
                reason: outage.reason,
                next_probe_at: moment(outage.probe_at),
            }),
        })
    }
}

/// How the server is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// The version of Frugal.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
}

impl Health {
    /// A server that is well.
    pub const OK: Self = Self {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_come_back_as_they_were_given() {
        let prices = money::Prices::per_million(0.15, 0.6, 0.001).unwrap();
        assert_eq!(
            Prices::from(prices),
            Prices {
                input_usd_per_million: 0.15,
                output_usd_per_million: 0.6,
                usd_per_request: 0.001,
                cached_input_usd_per_million: None
            }
        );
    }
}
