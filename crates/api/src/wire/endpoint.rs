//! The operator's endpoints as clients see them, and the server's own health.

use frugal_domain::endpoint;
use frugal_domain::money::{self, PICO_PER_USD};
use serde::Serialize;
use utoipa::ToSchema;

/// An endpoint that jobs may name. Where it is and how it is paid for stays with the operator.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Endpoint {
    /// The name that jobs use.
    #[schema(example = "local")]
    pub name: String,
    /// The models that it is known to serve.
    pub models: Vec<Model>,
    /// Whether jobs may name models that are not listed. Those have no prices.
    pub allow_unlisted_models: bool,
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
    /// larger `n` over several requests.
    pub max_n: Option<u32>,
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
        }
    }
}

impl Endpoint {
    /// An endpoint of the operator's catalogue.
    #[must_use]
    pub fn new(name: &str, endpoint: &endpoint::Endpoint) -> Self {
        let model = |(name, model): (&String, &endpoint::Model)| Model {
            name: name.clone(),
            api: match endpoint.api_of(model) {
                endpoint::Api::Chat => Api::Chat,
                endpoint::Api::Completions => Api::Completions,
            },
            prices: model.prices.map(Prices::from),
            max_n: model.max_n,
        };
        Self {
            name: name.to_owned(),
            models: endpoint.models.iter().map(model).collect(),
            allow_unlisted_models: endpoint.allow_unlisted_models,
        }
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
                usd_per_request: 0.001
            }
        );
    }
}
