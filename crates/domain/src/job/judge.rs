//! A model that is asked how good answers are.

use crate::configuration::{Extent, Sampling, Settings};
use crate::job::ModelChoice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which model judges answers, and how it is asked. What it is asked stands in the scorer
/// ([`crate::scoring::ScorerSpec`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeSpec {
    /// The model.
    pub model: ModelChoice,
    /// The most tokens of one of its replies.
    pub max_tokens: u32,
    /// How hot it samples; the endpoint's own choice where absent.
    pub temperature: Option<f64>,
    /// Questions about one answer: repetitions, and both orders of a pair.
    pub questions: u32,
}

impl JudgeSpec {
    /// What a request to it asks of the endpoint. `model` is its position: it stands behind the models
    /// that the job chooses from.
    #[must_use]
    pub fn settings(&self, model: usize) -> Settings {
        Settings {
            sampling: Sampling {
                model,
                prompt: 0,
                temperature: self.temperature,
                top_p: None,
                stop: Vec::new(),
                extra: BTreeMap::new(),
            },
            extent: Extent {
                n: 1,
                max_tokens: self.max_tokens,
            },
        }
    }
}
