//! A model that is asked how good answers are.

use crate::configuration::{Extent, Sampling, Settings};
use crate::job::ModelChoice;
use serde::{Deserialize, Deserializer, Serialize};
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
    /// What a request to it asks of the endpoint. `model` is its position: judges stand behind the models
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

/// Reads the judges of a stored job. One that was stored when there could be one alone has it by itself.
pub(super) fn one_or_several<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<JudgeSpec>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Several(Vec<JudgeSpec>),
        One(JudgeSpec),
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Stored::Several(judges)) => judges,
        Some(Stored::One(judge)) => vec![judge],
        None => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_judge_that_was_stored_by_itself_is_read() {
        let prices = json!({"input_pico": 1, "output_pico": 2, "request_pico": 0});
        let model = json!({"endpoint": "e", "model": "m", "prices": prices});
        let judge = json!({"model": model, "max_tokens": 9, "temperature": 0.0, "questions": 2});
        let one: JudgeSpec = serde_json::from_value(judge.clone()).unwrap();
        assert_eq!(one_or_several(&judge).unwrap(), std::slice::from_ref(&one));
        assert_eq!(
            one_or_several(&json!([judge, judge])).unwrap(),
            [one.clone(), one]
        );
        assert!(one_or_several(&json!(null)).unwrap().is_empty());
    }
}
