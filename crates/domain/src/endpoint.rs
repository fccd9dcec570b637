//! The operator's catalogue of endpoints: where they are, which models they serve, what those
//! charge. It holds no secret: a key is named by its environment variable.

use crate::money::{PICO_PER_USD, Prices};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Every endpoint that jobs may name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The endpoints by the name that jobs use.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
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
            endpoint
                .validate()
                .map_err(|fault| fault.within(&format!("endpoints.{}", toml_key(name))))?;
            if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return Err(CatalogError::new(
                    &format!("endpoints.{}", toml_key(name)),
                    "the name must not be empty or hold white space",
                ));
            }
        }
        Ok(())
    }
}

/// One OpenAI-compatible endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The URL that `/chat/completions` and `/completions` are appended to, such as
    /// `https://api.openai.com/v1`.
    pub base_url: String,
    /// What a text prompt is sent to, unless a model says otherwise.
    #[serde(default)]
    pub api: Api,
    /// The name of the environment variable that holds the key; none for an open endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
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

/// A model that is offered without being listed.
static UNLISTED: Model = Model {
    prices: None,
    api: None,
    max_n: None,
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

    /// What a text prompt for this model is sent to.
    #[must_use]
    pub fn api_of(&self, model: &Model) -> Api {
        model.api.unwrap_or(self.api)
    }

    /// Checks what the shape alone does not.
    ///
    /// # Errors
    /// The first field that makes no sense, named relative to the endpoint.
    pub fn validate(&self) -> Result<(), CatalogError> {
        check_base_url(&self.base_url).map_err(|problem| CatalogError::new("base_url", problem))?;
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
            if model.max_n == Some(0) {
                return Err(CatalogError::new(
                    &format!("{field}.max_n"),
                    "must be at least 1; leave it out where there is no limit",
                ));
            }
            model
                .limits
                .validate()
                .map_err(|fault| fault.within(&format!("{field}.limits")))?;
        }
        self.limits
            .validate()
            .map_err(|fault| fault.within("limits"))
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
    /// In the catalogue: `input_usd_per_million`, `output_usd_per_million`, `usd_per_request`.
    pub prices: Option<Prices>,
    /// What a text prompt is sent to, where it differs from the endpoint's own.
    pub api: Option<Api>,
    /// The most responses that one request may ask for, where the endpoint has a limit.
    pub max_n: Option<u32>,
    /// Parameters sent with every request, below those of a job.
    pub extra: BTreeMap<String, Value>,
    /// How hard this model may be driven, within what its endpoint allows.
    pub limits: ModelLimits,
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
    api: Option<Api>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_n: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "ModelLimits::is_none")]
    limits: ModelLimits,
}

impl TryFrom<ModelFields> for Model {
    type Error = CatalogError;

    fn try_from(fields: ModelFields) -> Result<Self, CatalogError> {
        // A price left out is not a price of nothing: half a price list is refused.
        let prices = match (fields.input_usd_per_million, fields.output_usd_per_million) {
            (Some(input), Some(output)) => Some(prices(
                input,
                output,
                fields.usd_per_request.unwrap_or(0.0),
            )?),
            (None, None) if fields.usd_per_request.is_none() => None,
            (None, _) => return Err(missing_price("input_usd_per_million")),
            (_, None) => return Err(missing_price("output_usd_per_million")),
        };
        Ok(Self {
            prices,
            api: fields.api,
            max_n: fields.max_n,
            extra: fields.extra,
            limits: fields.limits,
        })
    }
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
            api: model.api,
            max_n: model.max_n,
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
    /// How often a request is tried in all, the first time included. Attempts that failed because
    /// the endpoint was out of order altogether do not count.
    pub max_attempts: u32,
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
        within("max_attempts", Some(self.max_attempts), 20)
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

/// The parts of a URL that matter here. Whether the host resolves is found out on the way.
fn check_base_url(url: &str) -> Result<(), &'static str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or("must begin with https:// or http://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn catalog(endpoint: Value) -> Catalog {
        serde_json::from_value(json!({"endpoints": {"local": endpoint}})).unwrap()
    }

    fn fault(endpoint: Value) -> String {
        catalog(endpoint).validate().unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_filled_in() {
        let catalog = catalog(json!({
            "base_url": "http://127.0.0.1:8080/v1",
            "models": {"small": {"input_usd_per_million": 0.02, "output_usd_per_million": 0.04}}
        }));
        catalog.validate().unwrap();
        let endpoint = catalog.endpoint("local").unwrap();
        assert_eq!(endpoint.limits, Limits::default());
        let model = catalog.model("local", "small").unwrap();
        assert_eq!(endpoint.api_of(model), Api::Chat);
        let prices = model.prices.unwrap();
        assert_eq!((prices.input_pico, prices.output_pico), (20_000, 40_000));
    }

    #[test]
    fn only_offered_models_are_found() {
        let listed = json!({"base_url": "http://h/v1", "models": {"a": {"api": "completions"}}});
        let closed = catalog(listed.clone());
        assert!(closed.model("local", "a").is_some());
        assert!(closed.model("local", "b").is_none());
        assert!(closed.model("elsewhere", "a").is_none());

        let mut open = listed;
        open["allow_unlisted_models"] = json!(true);
        let open = catalog(open);
        assert_eq!(open.model("local", "b"), Some(&Model::default()));
        assert_eq!(
            open.model("local", "a").unwrap().api,
            Some(Api::Completions)
        );
    }

    #[test]
    fn a_catalogue_survives_json() {
        let before = catalog(json!({
            "base_url": "https://host/v1", "api_key_env": "KEY",
            "models": {"m": {
                "input_usd_per_million": 0.15, "output_usd_per_million": 0.6,
                "usd_per_request": 0.001, "max_n": 4, "extra": {"reasoning_effort": "low"},
                "limits": {"requests_per_minute": 60, "tokens_per_minute": 100_000}
            }}
        }));
        let after = serde_json::to_value(&before).unwrap();
        assert_eq!(serde_json::from_value::<Catalog>(after).unwrap(), before);
    }

    #[test]
    fn unknown_and_half_given_fields_are_refused() {
        for (model, word) in [
            (json!({"input_usd_per_millon": 1.0}), "input_usd_per_millon"),
            (
                json!({"input_usd_per_million": 1.0}),
                "output_usd_per_million",
            ),
            (json!({"usd_per_request": 1.0}), "input_usd_per_million"),
            (
                json!({"input_usd_per_million": -1.0, "output_usd_per_million": 1.0}),
                "input_usd_per_million",
            ),
            (
                json!({"input_usd_per_million": 1.0, "output_usd_per_million": 1e9}),
                "output_usd_per_million",
            ),
        ] {
            let error = serde_json::from_value::<Model>(model)
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn faults_name_the_field_and_the_remedy() {
        let url = |url: &str| json!({"base_url": url, "allow_unlisted_models": true});
        for (endpoint, expected) in [
            (
                url("ftp://host"),
                "endpoints.local.base_url: must begin with https://",
            ),
            (url("https://"), "endpoints.local.base_url: has no host"),
            (
                url("https://:80/v1"),
                "endpoints.local.base_url: has no host",
            ),
            (
                url("http://host/v1?key=x"),
                "endpoints.local.base_url: must end with its path",
            ),
            (
                url("http://host /v1"),
                "endpoints.local.base_url: must not hold white space",
            ),
            (
                json!({"base_url": "http://h"}),
                "endpoints.local.models: no model is listed",
            ),
            (
                json!({"base_url": "http://h", "models": {"a/b": {"max_n": 0}}}),
                "endpoints.local.models.\"a/b\".max_n: must be at least 1",
            ),
            (
                json!({"base_url": "http://h", "allow_unlisted_models": true,
                       "limits": {"max_attempts": 0}}),
                "endpoints.local.limits.max_attempts: is 0; must be from 1 to 20",
            ),
            (
                json!({"base_url": "http://h", "allow_unlisted_models": true,
                       "limits": {"requests_per_minute": 0}}),
                "endpoints.local.limits.requests_per_minute: is 0; must be from 1 to 10000000",
            ),
            (
                json!({"base_url": "http://h", "models": {"m": {
                    "limits": {"tokens_per_minute": 0}}}}),
                "endpoints.local.models.m.limits.tokens_per_minute: is 0; must be from 1",
            ),
        ] {
            let found = fault(endpoint);
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn secrets_in_the_wrong_place_are_not_repeated() {
        for endpoint in [
            json!({"base_url": "https://user:hunter2@host/v1", "allow_unlisted_models": true}),
            json!({"base_url": "https://host/v1", "allow_unlisted_models": true,
                   "api_key_env": "sk-hunter2"}),
        ] {
            let found = fault(endpoint);
            assert!(!found.contains("hunter2"), "{found}");
        }
    }
}
