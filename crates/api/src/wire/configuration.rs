//! A configuration as people read it.

use frugal_domain::configuration::Settings;
use frugal_domain::job::JobSpec;
use frugal_domain::prompt::{DemonstrationChoice, Demonstrations};
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
    /// Which demonstrations the prompt shows, where it shows any in some way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub demonstrations: Option<ShownDemonstrations>,
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

/// A way of showing demonstrations. Of none it does not matter how they are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"count": 4, "choice": "similar"}))]
pub struct ShownDemonstrations {
    /// How many; fewer where the pool has fewer others than the row itself.
    #[schema(maximum = 64)]
    pub count: u32,
    /// Which of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub choice: Option<ShownChoice>,
    /// Which of the draws that `search` compares, where it is not the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub draw: Option<u32>,
}

/// Which demonstrations are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShownChoice {
    /// The first of the pool.
    First,
    /// Drawn once for all rows.
    Random,
    /// Those that have most words in common with the row.
    Similar,
}

impl From<Demonstrations> for ShownDemonstrations {
    fn from(Demonstrations { count, choice }: Demonstrations) -> Self {
        let (choice, draw) = match choice {
            DemonstrationChoice::First => (ShownChoice::First, None),
            DemonstrationChoice::Random { draw } => {
                (ShownChoice::Random, Some(draw).filter(|draw| *draw > 0))
            }
            DemonstrationChoice::Similar => (ShownChoice::Similar, None),
        };
        Self {
            count,
            choice: Some(choice).filter(|_| count > 0),
            draw: draw.filter(|_| count > 0),
        }
    }
}

impl Configuration {
    /// Settings with the names of the job that they belong to. A position that the job does not
    /// have, which no worker stores, reads as an empty name.
    #[must_use]
    pub fn new(spec: &JobSpec, settings: &Settings) -> Self {
        let model = spec.models.get(settings.sampling.model);
        let prompt = spec.prompts.get(settings.sampling.prompt);
        Self {
            endpoint: model
                .map(|model| model.endpoint.clone())
                .unwrap_or_default(),
            model: model.map(|model| model.model.clone()).unwrap_or_default(),
            prompt: prompt.map(|prompt| prompt.name.clone()).unwrap_or_default(),
            demonstrations: prompt
                .and_then(|prompt| prompt.demonstrations)
                .map(ShownDemonstrations::from),
            temperature: settings.sampling.temperature,
            top_p: settings.sampling.top_p,
            max_tokens: settings.extent.max_tokens,
            n: settings.extent.n,
            stop: settings.sampling.stop.clone(),
            extra: settings.sampling.extra.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn demonstrations_are_shown_as_the_report_has_them() {
        for choice in [
            DemonstrationChoice::First,
            DemonstrationChoice::Similar,
            DemonstrationChoice::Random { draw: 0 },
            DemonstrationChoice::Random { draw: 2 },
        ] {
            for count in [0, 3] {
                let way = Demonstrations { count, choice };
                assert_eq!(json!(ShownDemonstrations::from(way)), way.described());
            }
        }
    }
}
