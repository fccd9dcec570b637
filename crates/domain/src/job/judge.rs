//! A model that is asked how good answers are.

use crate::configuration::{Extent, Sampling, Settings};
use crate::job::{ModelChoice, Split};
use crate::money::Budget;
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
    /// The most of the optimization budget that it may be paid, as a part of it; all of it where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// What of a judge's share is kept for the held-out instances, where there are any: one part in so many.
const PART_KEPT: u64 = 4;

impl JudgeSpec {
    /// The most that it may be paid for answers to a split's instances, in the unit of the optimization budget;
    /// nothing where there is no limit. The search leaves a quarter of the share where instances are held out.
    #[must_use]
    pub fn allowance(&self, budget: Budget, split: Split, has_holdout: bool) -> Option<u64> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a budget, which no rounding matters to"
        )]
        let share = (budget.amount() as f64 * self.share?.clamp(0.0, 1.0)) as u64;
        Some(match split {
            Split::Tuning if has_holdout => share - share / PART_KEPT,
            Split::Tuning | Split::Holdout => share,
        })
    }

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
    fn a_share_is_a_part_of_the_budget_of_which_some_is_kept() {
        let model = json!({"endpoint": "e", "model": "m",
                           "prices": {"input_pico": 1, "output_pico": 2, "request_pico": 0}});
        let judge = json!({"model": model, "max_tokens": 9, "temperature": 0.0, "questions": 2});
        let mut judge: JudgeSpec = serde_json::from_value(judge).unwrap();
        let budget = Budget::Tokens(1_000);
        assert_eq!(judge.allowance(budget, Split::Tuning, true), None);
        judge.share = Some(0.4);
        assert_eq!(judge.allowance(budget, Split::Tuning, true), Some(300));
        assert_eq!(judge.allowance(budget, Split::Tuning, false), Some(400));
        assert_eq!(judge.allowance(budget, Split::Holdout, true), Some(400));
    }

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
