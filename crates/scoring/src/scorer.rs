//! A scorer of responses: what all kinds share, around the rule of one.

use crate::extract::{Extract, Extractor};
use crate::pattern;
use crate::scorer_error::{ScoreError, ScorerError};
use crate::scorers::{self, Common, Rule, Wanted};
use crate::template::Template;
use frugal_domain::fault::ObjectReader;
use frugal_domain::scoring::{AnswerKey, Observation, ScorerSpec};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A scorer whose templates and patterns are compiled.
#[derive(Debug, Clone)]
pub struct Scorer {
    expected: Option<Template>,
    extractor: Extractor,
    rule: Rule,
}

/// Reads a scorer, noting everything that is wrong with its form. What compiling it would find, and
/// whether rows have what it needs, is not looked at.
#[must_use]
pub fn read(object: &ObjectReader<'_>) -> Option<ScorerSpec> {
    let names: Vec<&str> = scorers::ALL.iter().map(|scorer| scorer.name).collect();
    let choices: Vec<(&str, scorers::About)> = scorers::ALL
        .iter()
        .map(|about| (about.name, *about))
        .collect();
    let about = object
        .require("type", &format!("use {}", alternatives(&names)))?
        .one_of(&choices)?;
    let expected = if (about.expected_is_optional)() && !object.has("expected") {
        Some(None)
    } else {
        let at = object.require("expected", "give a template such as \"{{ answer }}\"");
        at.and_then(|at| Some(Some(at.filled_string()?.to_owned())))
    };
    let own = scorers::read(about.name, object);
    let extract = object
        .get("extract")
        .map_or_else(|| Some((about.extract)()), |at| Extract::read(&at));
    object.finish();
    let mut fields = own?;
    fields.insert("type".to_owned(), json!(about.name));
    fields.insert("expected".to_owned(), json!(expected?));
    fields.insert("extract".to_owned(), json!(extract?));
    Some(ScorerSpec(fields))
}

/// Whether responses may be right in part by this scorer. Then the mean of their scores says more than
/// the chance that one of them is right.
#[must_use]
pub fn is_graded(spec: &ScorerSpec) -> bool {
    about(spec).is_some_and(|about| about.is_graded)
}

/// Whether responses give answers by this scorer, so that it can be told which one most of them give.
#[must_use]
pub fn has_answers(spec: &ScorerSpec) -> bool {
    about(spec).is_some_and(|about| about.has_answers)
}

/// The scorers that tell answers apart, by name.
#[must_use]
pub fn with_answers() -> String {
    let all = scorers::ALL.iter().filter(|about| about.has_answers);
    alternatives(&all.map(|about| about.name).collect::<Vec<_>>())
}

fn about(spec: &ScorerSpec) -> Option<&'static scorers::About> {
    let name = spec.0.get("type").and_then(Value::as_str);
    scorers::ALL.iter().find(|about| Some(about.name) == name)
}

/// Names in a sentence: `a`, `b` or `c`.
fn alternatives(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

impl Scorer {
    /// Compiles a scorer.
    ///
    /// # Errors
    /// The first field that is at fault.
    pub fn compile(spec: &ScorerSpec) -> Result<Self, ScorerError> {
        let mut fields = spec.0.clone();
        let name = fields.remove("type");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        let expected: Option<String> = field(&mut fields, "expected")?;
        let extract: Option<Extract> = field(&mut fields, "extract")?;
        let common = Common {
            expected,
            extract: extract.unwrap_or_else(|| default_extract(name)),
        };
        let rule = Rule::compile(name, fields, &common)?;
        let expected = common
            .expected
            .map(|text| Template::compile_for_answers(&text))
            .transpose()
            .map_err(|error| ScorerError {
                field: "expected",
                detail: error.to_string(),
            })?;
        let extractor =
            Extractor::compile(&common.extract, |text| pattern::compile("extract", text))?;
        Ok(Self {
            expected,
            extractor,
            rule,
        })
    }

    /// Scores a response to an instance: 1 for right, 0 for wrong, and between for what is right in part.
    ///
    /// To score several responses to one instance, make its [`Expectation`] once.
    ///
    /// # Errors
    /// As [`Scorer::expectation`]; a response is never an error.
    pub fn score(&self, instance: &Map<String, Value>, response: &str) -> Result<f64, ScoreError> {
        Ok(self.expectation(instance)?.score(response))
    }

    /// Scores a response to an instance, and says which answer it gives.
    ///
    /// # Errors
    /// As [`Scorer::expectation`]; a response is never an error.
    pub fn observe(
        &self,
        instance: &Map<String, Value>,
        response: &str,
    ) -> Result<Observation, ScoreError> {
        Ok(self.expectation(instance)?.observe(response))
    }

    /// What a right response to an instance is.
    ///
    /// # Errors
    /// The instance has no right answer that this scorer could use: `expected` cannot be
    /// rendered, or is no number, choice or JSON where the scorer needs one.
    pub fn expectation(
        &self,
        instance: &Map<String, Value>,
    ) -> Result<Expectation<'_>, ScoreError> {
        let rendered = self
            .expected
            .as_ref()
            .map(|expected| expected.render(instance))
            .transpose()
            .map_err(ScoreError::Template)?;
        Ok(Expectation {
            wanted: self.rule.wanted(rendered.as_deref().map(str::trim))?,
            scorer: self,
        })
    }
}

/// Takes a field that all scorers share; nothing where it is absent or null.
fn field<T: serde::de::DeserializeOwned>(
    fields: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<T>, ScorerError> {
    let value = fields.remove(name).unwrap_or(Value::Null);
    serde_json::from_value(value).map_err(|error| ScorerError {
        field: name,
        detail: error.to_string(),
    })
}

fn default_extract(name: &str) -> Extract {
    let about = scorers::ALL.iter().find(|about| about.name == name);
    about.map_or_else(Extract::default, |about| (about.extract)())
}

/// What a right response to one instance is.
#[derive(Debug, Clone)]
pub struct Expectation<'s> {
    scorer: &'s Scorer,
    wanted: Wanted,
}

impl Expectation<'_> {
    /// Scores a response: 1 for right, 0 for wrong, and between for what is right in part.
    #[must_use]
    pub fn score(&self, response: &str) -> f64 {
        let Scorer {
            extractor, rule, ..
        } = self.scorer;
        rule.score(&self.wanted, extractor, response)
    }

    /// Scores a response, and says which answer it gives.
    #[must_use]
    pub fn observe(&self, response: &str) -> Observation {
        Observation {
            score: self.score(response),
            answer: self.answer(response).map(|answer| key(&answer)),
        }
    }

    /// The answer that a response gives, as the scorer compares it.
    fn answer(&self, response: &str) -> Option<String> {
        let Scorer {
            extractor, rule, ..
        } = self.scorer;
        rule.answer(&self.wanted, extractor, response)
    }
}

/// The first 64 bits of the SHA-256 of an answer. It is stored, so it must be the same in every version.
fn key(answer: &str) -> AnswerKey {
    let digest = Sha256::digest(answer.as_bytes());
    let first = digest.iter().take(8);
    AnswerKey(first.fold(0, |key, byte| key << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the responses give the same answer: each by the first that gives it, none by nothing.
    fn answers(scorer: &Value, answer: &Value, responses: &[&str]) -> Vec<Option<usize>> {
        let spec: ScorerSpec = serde_json::from_value(scorer.clone()).unwrap();
        let scorer = Scorer::compile(&spec).unwrap();
        let instance = json!({"answer": answer}).as_object().cloned().unwrap();
        let of = |response: &&str| scorer.observe(&instance, response).unwrap().answer;
        let keys: Vec<_> = responses.iter().map(of).collect();
        keys.iter()
            .map(|key| key.and_then(|_| keys.iter().position(|other| other == key)))
            .collect()
    }

    #[test]
    fn answers_are_the_same_as_the_scorer_compares_them() {
        let expected = "{{ answer }}";
        let json_text = "{\"a\": 1, \"b\": [\"x\"]}";
        for (scorer, answer, responses, same) in [
            (
                json!({"type": "exact", "expected": expected, "ignore_case": true}),
                json!("Paris"),
                vec!["Paris", " paris\n", "Rome", ""],
                vec![Some(0), Some(0), Some(2), None],
            ),
            (
                json!({"type": "exact", "expected": expected, "extract": "json"}),
                json!({"a": 1, "b": ["x"]}),
                vec![
                    json_text,
                    "so {\"b\": [\"x\"], \"a\": 1.0}",
                    "{\"a\": 2}",
                    "none",
                ],
                vec![Some(0), Some(0), Some(2), None],
            ),
            (
                json!({"type": "json"}),
                json!(null),
                vec![json_text, "{\"b\": [\"x\"], \"a\": 1}", "[1]", "{"],
                vec![Some(0), Some(0), Some(2), None],
            ),
            (
                json!({"type": "choice", "expected": expected, "choices": ["A", "B", "C"]}),
                json!("B"),
                vec!["B", "The answer is (B), not C.", "C", "I am not sure"],
                vec![Some(0), Some(0), Some(2), None],
            ),
            (
                json!({"type": "numeric", "expected": expected}),
                json!(1234),
                vec![
                    "1,234.0",
                    "so $1234",
                    "1234.5",
                    "1234.500000000001",
                    "1.2345e3",
                    "-1234",
                    "1235",
                    "none",
                ],
                vec![
                    Some(0),
                    Some(0),
                    Some(2),
                    Some(2),
                    Some(2),
                    Some(5),
                    Some(6),
                    None,
                ],
            ),
            (
                // What is near enough to be right may still be another answer.
                json!({"type": "numeric", "expected": expected, "tolerance": 0.1}),
                json!(100),
                vec!["100", "101", "12345678901", "12345678902"],
                vec![Some(0), Some(1), Some(2), Some(3)],
            ),
            (
                json!({"type": "regex", "pattern": "is (\\w*)", "expected": expected}),
                json!("red"),
                vec!["it is red", "is red or blue", "is blue", "red", "is !"],
                vec![Some(0), Some(0), Some(2), None, None],
            ),
            (
                json!({"type": "contains", "expected": expected}),
                json!("red"),
                vec!["red", "red"],
                vec![None, None],
            ),
        ] {
            assert_eq!(answers(&scorer, &answer, &responses), same, "{scorer}");
        }
    }

    #[test]
    fn the_key_of_an_answer_never_changes() {
        // The beginning of the SHA-256 of "abc".
        assert_eq!(key("abc"), AnswerKey(0xba78_16bf_8f01_cfea));
    }

    #[test]
    fn scorers_with_answers_are_named() {
        let all = "`exact`, `regex`, `choice`, `numeric` or `json`";
        assert_eq!(with_answers(), all);
    }
}
