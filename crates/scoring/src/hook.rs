//! What a hook is told of responses, and what its answer says of them.
//!
//! A message is a JSON object in the form that Standard Webhooks recommends: `type`, `timestamp` and `data`,
//! which names the job and holds the `items`. The answer holds `scores`, one for each item in the same order:
//! `{"score": 0.5}`, or `{"score": null, "reason": "…"}` where there is none.

use crate::scorer_error::cut;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What messages are about.
const TYPE: &str = "score.requested";

/// A response that a hook is asked to score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HookItem {
    /// The operator's name of the hook.
    #[serde(skip)]
    pub hook: String,
    /// The row that it is a response to.
    pub instance: Map<String, Value>,
    /// The response, as far as it is looked at.
    pub response: String,
    /// What is expected, where the scorer says that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

impl HookItem {
    /// The bytes that it takes in a message.
    #[must_use]
    pub fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }

    /// A message about items. `job` is where they come from, if it is a job; `timestamp` is in the form of RFC 3339.
    #[must_use]
    pub fn message<'i>(
        job: Option<&str>,
        timestamp: &str,
        items: impl IntoIterator<Item = &'i Self>,
    ) -> String {
        let items: Vec<&Self> = items.into_iter().collect();
        let data = json!({"job": job, "items": items});
        json!({"type": TYPE, "timestamp": timestamp, "data": data}).to_string()
    }
}

/// What a hook answers.
#[derive(Deserialize)]
struct Answer {
    scores: Vec<Said>,
}

/// What it says of one item.
#[derive(Deserialize)]
struct Said {
    score: Option<f64>,
    reason: Option<String>,
}

/// The scores of an answer about so many items, or why one has none.
///
/// # Errors
/// It is no answer to that, and why not.
pub fn read_scores(answer: &[u8], items: usize) -> Result<Vec<Result<f64, String>>, String> {
    let nonsense = |why: String| format!("its answer makes no sense: {why}");
    let Answer { scores } = serde_json::from_slice(answer).map_err(|error| {
        let begins = cut(String::from_utf8_lossy(answer).trim());
        nonsense(format!("{error}; it begins with `{begins}`"))
    })?;
    if scores.len() != items {
        let given = scores.len();
        return Err(nonsense(format!("it has {given} scores for {items} items")));
    }
    let read = scores.into_iter().enumerate().map(|(number, said)| {
        let reason = said.reason.as_deref().map(|reason| cut(reason.trim()));
        match said.score {
            Some(score) if (0.0..=1.0).contains(&score) => Ok(Ok(score)),
            Some(score) => Err(nonsense(format!(
                "scores[{number}] is {score}, which is not from 0 to 1"
            ))),
            None => Ok(Err(match reason {
                Some(reason) if !reason.is_empty() => {
                    format!("the webhook gives no score: {reason}")
                }
                _ => "the webhook gives no score and no reason".to_owned(),
            })),
        }
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &Value, items: usize) -> Result<Vec<Result<f64, String>>, String> {
        read_scores(answer.to_string().as_bytes(), items)
    }

    #[test]
    fn an_item_says_what_a_hook_needs_to_know() {
        let item = HookItem {
            hook: "grader".to_owned(),
            instance: json!({"q": "1+1"}).as_object().cloned().unwrap(),
            response: "2".to_owned(),
            expected: Some("2".to_owned()),
        };
        let message = HookItem::message(Some("j"), "2026-11-27T00:00:00Z", [&item]);
        let message: Value = serde_json::from_str(&message).unwrap();
        assert_eq!(
            message,
            json!({
                "type": "score.requested", "timestamp": "2026-11-27T00:00:00Z",
                "data": {"job": "j", "items": [{"instance": {"q": "1+1"}, "response": "2", "expected": "2"}]}
            })
        );
        assert_eq!(item.bytes(), message["data"]["items"][0].to_string().len());
    }

    #[test]
    fn each_item_has_a_score_or_a_reason() {
        let answer = json!({"scores": [
            {"score": 1}, {"score": 0.25, "reason": "half"}, {"score": null, "reason": " no compiler "}, {"score": null}
        ], "by": "grader 7"});
        assert_eq!(
            read(&answer, 4).unwrap(),
            [
                Ok(1.0),
                Ok(0.25),
                Err("the webhook gives no score: no compiler".to_owned()),
                Err("the webhook gives no score and no reason".to_owned()),
            ]
        );
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for (answer, told) in [
            (
                json!({"scores": [{"score": 1}]}),
                "it has 1 scores for 2 items",
            ),
            (
                json!({"scores": [{"score": 1}, {"score": 1.5}]}),
                "scores[1] is 1.5, which is not from 0 to 1",
            ),
            (
                json!({"scores": [{"score": -1}, {"score": 1}]}),
                "scores[0] is -1, which is not from 0 to 1",
            ),
            (json!({"scores": [1, "x"]}), "invalid type"),
            (json!("yes"), "it begins with `\"yes\"`"),
        ] {
            let fault = read(&answer, 2).unwrap_err();
            assert!(
                fault.starts_with("its answer makes no sense: ") && fault.contains(told),
                "{fault}"
            );
        }
    }
}
