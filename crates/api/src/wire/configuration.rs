//! A configuration as people read it.

use frugal_domain::configuration::Settings;
use frugal_domain::job::JobSpec;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The settings of a configuration, by name. In this form it can be posted as the `baseline` or
/// in `start` of another job.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "endpoint": "local", "model": "gemma-3-270m", "prompt": "direct",
    "temperature": 0.7, "max_tokens": 128, "n": 5, "stop": ["\n\n"], "presence_penalty": 0
}))]
pub struct Configuration {
    /// The operator's name of the endpoint.
    pub endpoint: String,
    /// The model's name at that endpoint.
    pub model: String,
    /// The prompt's name.
    pub prompt: String,
    /// The sampling temperature, where it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub temperature: Option<f64>,
    /// The nucleus sampling mass, where it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub top_p: Option<f64>,
    /// The most tokens that one response may have.
    #[schema(minimum = 1)]
    pub max_tokens: u32,
    /// Responses per instance.
    #[schema(minimum = 1)]
    pub n: u32,
    /// Texts that end a response, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 4)]
    pub stop: Vec<String>,
    /// Further parameters, sent to the endpoint as they are.
    #[serde(flatten)]
    #[schema(additional_properties)]
    pub extra: BTreeMap<String, Value>,
}

impl Configuration {
    /// Settings with the names of the job that they belong to. A position that the job does not
    /// have, which no worker stores, reads as an empty name.
    #[must_use]
    pub fn new(spec: &JobSpec, settings: &Settings) -> Self {
        let model = spec.models.get(settings.sampling.model);
        Self {
            endpoint: model
                .map(|model| model.endpoint.clone())
                .unwrap_or_default(),
            model: model.map(|model| model.model.clone()).unwrap_or_default(),
            prompt: spec
                .prompts
                .get(settings.sampling.prompt)
                .map(|prompt| prompt.name.clone())
                .unwrap_or_default(),
            temperature: settings.sampling.temperature,
            top_p: settings.sampling.top_p,
            max_tokens: settings.extent.max_tokens,
            n: settings.extent.n,
            stop: settings.sampling.stop.clone(),
            extra: settings.sampling.extra.clone(),
        }
    }
}
