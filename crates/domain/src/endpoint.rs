//! The operator's catalogue of endpoints: where they are, which models they serve, what those
//! charge; and whether programs are run. It holds no secret: a key is named by its environment variable.

mod deployment;
mod webhook;

use crate::money::{PICO_PER_USD, Prices};
use crate::program::Availability;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub use deployment::{Deployment, FIRST};
pub use webhook::Webhook;

/// Every endpoint that jobs may name, and what else they may ask for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The endpoints by the name that jobs use.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
    /// The hooks that jobs may name, by the name that they use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub webhooks: BTreeMap<String, Webhook>,
    /// Whether programs are run. It is found out when the server starts.
    #[serde(skip)]
    pub programs: Availability,
    /// The endpoints that are configured and cannot be used, each with the environment variable that is not
    /// set. It is found out when the server starts.
    #[serde(skip)]
    pub switched_off: BTreeMap<String, String>,
}

impl Catalog {
    /// An endpoint by name.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.get(name)
    }

    /// A model of an endpoint, or nothing where the endpoint is unknown or does not offer it.
    #[must_use]
    pub fn model(&self, endpoint: &str, model: &str) -> Option<&Model> {
        self.endpoint(endpoint)?.model(model)
    }

    /// The listed models that have no prices, each with its endpoint before it.
    pub fn unpriced(&self) -> impl Iterator<Item = (&str, &str)> {
        self.endpoints.iter().flat_map(|(name, endpoint)| {
            let unpriced = endpoint.models.iter().filter(|(_, it)| it.prices.is_none());
            unpriced.map(|(model, _)| (name.as_str(), model.as_str()))
        })
    }

    /// The same without the endpoints that name environment variables which are not set: these are
    /// [switched off](Self::switched_off).
    #[must_use]
    pub fn usable(mut self, is_set: impl Fn(&str) -> bool) -> Self {
        let switched_off = self.endpoints.iter().filter_map(|(name, endpoint)| {
            let unset = endpoint
                .variables()
                .into_iter()
                .find(|name| !is_set(name))?;
            Some((name.clone(), unset))
        });
        self.switched_off = switched_off.collect();
        self.endpoints
            .retain(|name, _| !self.switched_off.contains_key(name));
        self
    }

    /// The names of all endpoints, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.endpoints.keys().map(String::as_str)
    }

    /// Checks what the shape alone does not.
    ///
    /// # Errors
    /// The first field that makes no sense, with the remedy. Values that may be secrets (a key
    /// in the place of its variable's name, credentials in a URL) are not repeated.
    pub fn validate(&self) -> Result<(), CatalogError> {
        for (name, endpoint) in &self.endpoints {
            let entry = format!("endpoints.{}", toml_key(name));
            endpoint.validate().map_err(|fault| fault.within(&entry))?;
            check_name(name, &entry)?;
        }
        for (name, webhook) in &self.webhooks {
            let entry = format!("webhooks.{}", toml_key(name));
            webhook.validate().map_err(|fault| fault.within(&entry))?;
            check_name(name, &entry)?;
        }
        Ok(())
    }
}

/// Checks the name of an entry of the catalogue.
fn check_name(name: &str, entry: &str) -> Result<(), CatalogError> {
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(CatalogError::new(
            entry,
            "the name must not be empty or hold white space",
        ));
    }
    Ok(())
}

/// One OpenAI-compatible endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The URL that the path is appended to, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// The path below `base_url`, with `{model}` for the model and `{api}` for
    /// `chat/completions` or `completions`; none is `/{api}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Parameters of the query, such as an `api-version`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Further headers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderSource>,
    /// What a text prompt is sent to, unless a model says otherwise.
    #[serde(default)]
    pub api: Api,
    /// The name of the environment variable that holds the key; none for an open endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The file that holds the key, where no environment variable does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<String>,
    /// Further deployments of the same models; requests go to all of them in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<Deployment>,
    /// The models by the names that the endpoint gives them.
    #[serde(default)]
    pub models: BTreeMap<String, Model>,
    /// How hard the endpoint may be driven.
    #[serde(default)]
    pub limits: Limits,
    /// Whether jobs may name models that are not listed. Those have no prices.
    #[serde(default)]
    pub allow_unlisted_models: bool,
}

impl Endpoint {
    /// The environment variables that its keys and headers come from, those of all deployments.
    fn variables(&self) -> BTreeSet<String> {
        let all = self.every_deployment().flat_map(|(_, own)| {
            let headers = own.headers.into_values().filter_map(|source| match source {
                HeaderSource::Variable { env } => Some(env),
                HeaderSource::Value(_) => None,
            });
            own.api_key_env.into_iter().chain(headers)
        });
        all.collect()
    }
}

/// Where the value of a header comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HeaderSource {
    /// The value itself, which is no secret.
    Value(String),
    /// An environment variable, by its name.
    Variable {
        /// The name.
        env: String,
    },
}

/// A model that is offered without being listed.
static UNLISTED: Model = Model {
    prices: None,
    price_name: None,
    api: None,
    path: None,
    max_n: None,
    max_tokens_name: None,
    omit: BTreeSet::new(),
    extra: BTreeMap::new(),
    limits: ModelLimits::NONE,
};

impl Endpoint {
    /// A model by name, or nothing where the endpoint does not offer it.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        let listed = self.models.get(name);
        listed.or_else(|| self.allow_unlisted_models.then_some(&UNLISTED))
    }

    /// The host of the base URL, with its port where it names one.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    }

    /// What a text prompt for this model is sent to.
    #[must_use]
    pub fn api_of(&self, model: &Model) -> Api {
        model.api.unwrap_or(self.api)
    }

    /// The path below the base URL that requests for a model go to, as a template.
    #[must_use]
    pub fn path_of<'a>(&'a self, model: &'a Model) -> Option<&'a str> {
        model.path.as_deref().or(self.path.as_deref())
    }

    /// Checks what the shape alone does not.
    ///
    /// # Errors
    /// The first field that makes no sense, named relative to the endpoint.
    pub fn validate(&self) -> Result<(), CatalogError> {
        check_base_url(&self.base_url).map_err(|problem| CatalogError::new("base_url", problem))?;
        check_path(self.path.as_deref()).map_err(|problem| CatalogError::new("path", problem))?;
        self.check_headers()?;
        if self.api_key_env.is_some() && self.api_key_file.is_some() {
            return Err(CatalogError::new(
                "api_key_file",
                "the key is in api_key_env already; keep one of the two",
            ));
        }
        if let Some(variable) = &self.api_key_env
            && !is_variable_name(variable)
        {
            return Err(CatalogError::new(
                "api_key_env",
                "must be the name of an environment variable (letters, digits, underscores), \
                 not the key itself",
            ));
        }
        if self.models.is_empty() && !self.allow_unlisted_models {
            return Err(CatalogError::new(
                "models",
                "no model is listed; list some or set allow_unlisted_models = true",
            ));
        }
        for (name, model) in &self.models {
            let field = format!("models.{}", toml_key(name));
            if name.is_empty() {
                return Err(CatalogError::new(&field, "the name must not be empty"));
            }
            model.validate().map_err(|fault| fault.within(&field))?;
        }
        self.limits
            .validate()
            .map_err(|fault| fault.within("limits"))?;
        self.check_deployments()
    }

    fn check_headers(&self) -> Result<(), CatalogError> {
        for (name, source) in &self.headers {
            let field = format!("headers.{}", toml_key(name));
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(is_token) {
                return Err(CatalogError::new(&field, "is not the name of a header"));
            }
            match source {
                HeaderSource::Value(value) if !value.chars().all(|c| (' '..='~').contains(&c)) => {
                    let problem = "holds characters that an HTTP header cannot carry";
                    return Err(CatalogError::new(&field, problem));
                }
                HeaderSource::Variable { env } if !is_variable_name(env) => {
                    let problem = "env must be the name of an environment variable";
                    return Err(CatalogError::new(&field, problem));
                }
                HeaderSource::Value(_) | HeaderSource::Variable { .. } => {}
            }
        }
        Ok(())
    }
}

/// The two wire formats of OpenAI-compatible endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `POST /chat/completions` with messages; a text prompt becomes one message of the user.
    #[default]
    Chat,
    /// `POST /completions` with a prompt text.
    Completions,
}

/// What is known of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ModelFields", into = "ModelFields")]
pub struct Model {
    /// What it charges. Without prices only jobs with token budgets may use it.
    /// In the catalogue: `input_usd_per_million`, `output_usd_per_million`, `usd_per_request`,
    /// `cached_input_usd_per_million`.
    pub prices: Option<Prices>,
    /// The model's name in a price list, where it differs from that of the endpoint.
    pub price_name: Option<String>,
    /// What a text prompt is sent to, where it differs from the endpoint's own.
    pub api: Option<Api>,
    /// The path below the base URL, where it differs from the endpoint's own.
    pub path: Option<String>,
    /// The most responses that one request may ask for, where the endpoint has a limit.
    pub max_n: Option<u32>,
    /// The model's name for `max_tokens`, such as `max_completion_tokens`. Left out, it is found
    /// out from the endpoint's refusal.
    pub max_tokens_name: Option<String>,
    /// Parameters that the model does not take. `seed` and `n` are then left out of requests, and a
    /// configuration that sets another one is infeasible.
    pub omit: BTreeSet<String>,
    /// Parameters sent with every request, below those of a job.
    pub extra: BTreeMap<String, Value>,
    /// How hard this model may be driven, within what its endpoint allows.
    pub limits: ModelLimits,
}

impl Model {
    fn validate(&self) -> Result<(), CatalogError> {
        check_path(self.path.as_deref()).map_err(|problem| CatalogError::new("path", problem))?;
        if self.max_n == Some(0) {
            return Err(CatalogError::new(
                "max_n",
                "must be at least 1; leave it out where there is no limit",
            ));
        }
        if self.max_tokens_name.as_ref().is_some_and(String::is_empty) {
            return Err(CatalogError::new(
                "max_tokens_name",
                "must not be empty; leave it out where it is max_tokens",
            ));
        }
        self.limits
            .validate()
            .map_err(|fault| fault.within("limits"))
    }
}

/// [`Model`] as the catalogue writes it, with prices in dollars.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_usd_per_million: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_usd_per_million: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usd_per_request: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cached_input_usd_per_million: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api: Option<Api>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_n: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_tokens_name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    omit: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "ModelLimits::is_none")]
    limits: ModelLimits,
}

impl TryFrom<ModelFields> for Model {
    type Error = CatalogError;

    fn try_from(fields: ModelFields) -> Result<Self, CatalogError> {
        // A price left out is not a price of nothing: half a price list is refused.
        let has_others =
            fields.usd_per_request.is_some() || fields.cached_input_usd_per_million.is_some();
        let prices = match (fields.input_usd_per_million, fields.output_usd_per_million) {
            (Some(input), Some(output)) => {
                let prices = prices(input, output, fields.usd_per_request.unwrap_or(0.0))?;
                let cached = fields.cached_input_usd_per_million;
                Some(cached.map_or(Ok(prices), |cached| cached_input(prices, cached))?)
            }
            (None, None) if !has_others => None,
            (None, _) => return Err(missing_price("input_usd_per_million")),
            (_, None) => return Err(missing_price("output_usd_per_million")),
        };
        if prices.is_some() && fields.price_name.is_some() {
            let problem = "names a price in a list while prices are given; keep one of the two";
            return Err(CatalogError::new("price_name", problem));
        }
        Ok(Self {
            prices,
            price_name: fields.price_name,
            api: fields.api,
            path: fields.path,
            max_n: fields.max_n,
            max_tokens_name: fields.max_tokens_name,
            omit: fields.omit,
            extra: fields.extra,
            limits: fields.limits,
        })
    }
}

fn cached_input(prices: Prices, price: f64) -> Result<Prices, CatalogError> {
    prices.with_cached_input(price).map_err(|_| {
        CatalogError::new(
            "cached_input_usd_per_million",
            "must be a number of dollars from 0 to input_usd_per_million",
        )
    })
}

fn missing_price(field: &str) -> CatalogError {
    CatalogError::new(
        field,
        "is missing while another price is given; set it, to 0 where nothing is charged",
    )
}

fn prices(input: f64, output: f64, request: f64) -> Result<Prices, CatalogError> {
    let named = [
        ("input_usd_per_million", (input, 0.0, 0.0)),
        ("output_usd_per_million", (0.0, output, 0.0)),
        ("usd_per_request", (0.0, 0.0, request)),
    ];
    for (field, (input, output, request)) in named {
        Prices::per_million(input, output, request)
            .map_err(|fault| CatalogError::new(field, &fault.to_string()))?;
    }
    Prices::per_million(input, output, request)
        .map_err(|fault| CatalogError::new("prices", &fault.to_string()))
}

impl From<Model> for ModelFields {
    #[expect(
        clippy::cast_precision_loss,
        reason = "back to the decimals that the prices came from; 15 digits are enough"
    )]
    fn from(model: Model) -> Self {
        let per_million = |pico: u64| pico as f64 / (PICO_PER_USD / 1_000_000) as f64;
        let prices = model.prices;
        Self {
            input_usd_per_million: prices.map(|p| per_million(p.input_pico)),
            output_usd_per_million: prices.map(|p| per_million(p.output_pico)),
            usd_per_request: prices
                .filter(|p| p.request_pico > 0)
                .map(|p| p.request_pico as f64 / PICO_PER_USD as f64),
            cached_input_usd_per_million: prices.and_then(|p| p.cached_input_pico).map(per_million),
            // One that has its prices from a list keeps them.
            price_name: model.price_name.filter(|_| prices.is_none()),
            api: model.api,
            path: model.path,
            max_n: model.max_n,
            max_tokens_name: model.max_tokens_name,
            omit: model.omit,
            extra: model.extra,
            limits: model.limits,
        }
    }
}

/// How hard an endpoint may be driven, by all worker processes of a database together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The most requests in flight at once.
    pub requests_in_flight: u32,
    /// The most requests that are sent within any minute, retries included; none for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// The most tokens that are asked for within any minute, each request at its worst case; none
    /// for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Whether fewer requests are kept in flight where more of them bring no more answers.
    pub adaptive_concurrency: bool,
    /// How long one attempt of a request may take, in seconds.
    pub request_timeout_seconds: u64,
    /// How often a request is tried in all, the first time included. Attempts that were refused
    /// because too much was asked just then cost nothing and do not count, nor do those that failed
    /// because the endpoint was out of order altogether.
    pub max_attempts: u32,
    /// How long a request goes on being tried while the endpoint refuses it because too much is
    /// asked just then, in seconds.
    pub rate_limit_patience_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_in_flight: 64,
            requests_per_minute: None,
            tokens_per_minute: None,
            adaptive_concurrency: false,
            request_timeout_seconds: 120,
            max_attempts: 6,
            rate_limit_patience_seconds: 3_600,
        }
    }
}

impl Limits {
    fn validate(&self) -> Result<(), CatalogError> {
        within(
            "requests_in_flight",
            Some(self.requests_in_flight),
            MOST_IN_FLIGHT,
        )?;
        within(
            "requests_per_minute",
            self.requests_per_minute,
            MOST_REQUESTS_PER_MINUTE,
        )?;
        within(
            "tokens_per_minute",
            self.tokens_per_minute,
            MOST_TOKENS_PER_MINUTE,
        )?;
        within(
            "request_timeout_seconds",
            Some(self.request_timeout_seconds),
            3_600,
        )?;
        within("max_attempts", Some(self.max_attempts), 20)?;
        within(
            "rate_limit_patience_seconds",
            Some(self.rate_limit_patience_seconds),
            86_400,
        )
    }
}

/// How hard one model may be driven, by all worker processes of a database together. The limits of
/// its endpoint hold as well, over all its models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelLimits {
    /// As [`Limits::requests_in_flight`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_in_flight: Option<u32>,
    /// As [`Limits::requests_per_minute`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// As [`Limits::tokens_per_minute`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
}

impl ModelLimits {
    /// Whatever the endpoint allows.
    pub const NONE: Self = Self {
        requests_in_flight: None,
        requests_per_minute: None,
        tokens_per_minute: None,
    };

    fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    fn validate(&self) -> Result<(), CatalogError> {
        within(
            "requests_in_flight",
            self.requests_in_flight,
            MOST_IN_FLIGHT,
        )?;
        within(
            "requests_per_minute",
            self.requests_per_minute,
            MOST_REQUESTS_PER_MINUTE,
        )?;
        within(
            "tokens_per_minute",
            self.tokens_per_minute,
            MOST_TOKENS_PER_MINUTE,
        )
    }
}

const MOST_IN_FLIGHT: u64 = 10_000;
const MOST_REQUESTS_PER_MINUTE: u64 = 10_000_000;
const MOST_TOKENS_PER_MINUTE: u64 = 1_000_000_000_000;

/// Refuses a limit that is 0 or beyond reason.
fn within(field: &str, value: Option<impl Into<u64>>, most: u64) -> Result<(), CatalogError> {
    match value.map(Into::into) {
        Some(value) if !(1..=most).contains(&value) => {
            let problem = format!("is {value}; must be from 1 to {most}");
            Err(CatalogError::new(field, &problem))
        }
        _ => Ok(()),
    }
}

/// What is wrong with a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct CatalogError {
    /// The field's path, as in TOML.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

impl CatalogError {
    fn new(field: &str, problem: &str) -> Self {
        Self {
            field: field.to_owned(),
            problem: problem.to_owned(),
        }
    }

    fn within(self, outer: &str) -> Self {
        Self {
            field: format!("{outer}.{}", self.field),
            ..self
        }
    }
}

/// A key of a TOML table, quoted where it must be.
fn toml_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

fn is_variable_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The authority of a URL, and all of it behind the scheme.
fn authority_and_rest(url: &str) -> Result<(&str, &str), &'static str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or("must begin with https:// or http://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    Ok((authority, rest))
}

/// The parts of a URL that matter here. Whether the host resolves is found out on the way.
fn check_base_url(url: &str) -> Result<(), &'static str> {
    let (authority, rest) = authority_and_rest(url)?;
    if authority.contains('@') {
        return Err("must not hold credentials; name the key's variable in api_key_env");
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err("has no host, as in https://api.example.com/v1");
    }
    if rest.contains(['?', '#', '\\']) {
        return Err("must end with its path, without a query or a fragment");
    }
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must not hold white space");
    }
    if rest.trim_end_matches('/').ends_with("/completions") {
        return Err("must end before /chat/completions and /completions, which are appended");
    }
    Ok(())
}

/// A path with nothing in braces but what there is to fill in.
fn check_path(path: Option<&str>) -> Result<(), &'static str> {
    let Some(path) = path else {
        return Ok(());
    };
    if !path.starts_with('/') {
        return Err("must begin with a slash, as in /deployments/{model}/{api}");
    }
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "?#\\".contains(c);
    if path.contains(forbidden) {
        return Err("must not hold white space, a query or a fragment; give the query in `query`");
    }
    if path
        .replace("{model}", "")
        .replace("{api}", "")
        .contains(['{', '}'])
    {
        return Err("may hold {model} and {api} and nothing else in braces");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
