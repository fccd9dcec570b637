//! Scorers: whether one response is right.

use crate::choice;
use crate::extract::{Extractor, captured};
use crate::fold::Folding;
use crate::json;
use crate::number::numbers;
use crate::template::{Template, TemplateError};
use frugal_domain::scoring::{Extract, ScorerSpec};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The longest regular expression, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4096;

/// The largest compiled regular expression, in bytes. A search takes time in proportion to
/// this times the length of the response, at worst.
const MAX_COMPILED_PATTERN_BYTES: usize = 1024 * 1024;

/// How far apart two numbers may be that say the same but were computed differently, as a
/// share of the expected one.
const ROUNDING: f64 = 1e-9;

/// A scorer whose templates and patterns are compiled.
#[derive(Debug, Clone)]
pub struct Scorer {
    expected: Option<Template>,
    extractor: Extractor,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    Exact(Folding),
    /// [`ScorerSpec::Exact`] over [`Extract::Json`]: equality of values, not of texts.
    ExactJson(Folding),
    Contains(Folding),
    Regex(Regex),
    Choice(Vec<String>),
    Numeric {
        tolerance: f64,
    },
}

/// Why a scorer cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct ScorerError {
    /// The field of the scorer that is at fault, such as `pattern`.
    pub field: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// Why an instance has no right answer that a response could be held against. It is a fault of
/// the data, not of the response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// `expected` cannot be rendered for this instance.
    #[error("expected: {0}")]
    Template(TemplateError),
    /// Every response would contain it.
    #[error("expected: the text is empty for this instance, and every response contains that")]
    Empty,
    /// It is not one number.
    #[error("expected: `{text}` holds {count} numbers; it must hold one")]
    NotANumber {
        /// What it is, cut short.
        text: String,
        /// How many numbers it holds.
        count: usize,
    },
    /// It is none of the choices.
    #[error("expected: `{text}` is none of the choices")]
    NotAChoice {
        /// What it is, cut short.
        text: String,
    },
    /// It is no JSON object or array.
    #[error(
        "expected: `{text}` is no JSON object or array, which the extraction `json` is held against"
    )]
    NotJson {
        /// What it is, cut short.
        text: String,
    },
}

impl Scorer {
    /// Compiles a scorer.
    ///
    /// # Errors
    /// The first field that is at fault.
    pub fn compile(spec: &ScorerSpec) -> Result<Self, ScorerError> {
        let (expected, extract, rule) = match spec {
            ScorerSpec::Exact {
                expected,
                extract,
                ignore_case,
                ignore_accents,
            } => {
                let folding = folding(*ignore_case, *ignore_accents);
                let rule = match extract {
                    Extract::Json => Rule::ExactJson(folding),
                    _ => Rule::Exact(folding),
                };
                (Some(expected), extract, rule)
            }
            ScorerSpec::Contains {
                expected,
                extract,
                ignore_case,
                ignore_accents,
            } => {
                let rule = Rule::Contains(folding(*ignore_case, *ignore_accents));
                (Some(expected), extract, rule)
            }
            ScorerSpec::Regex {
                pattern,
                expected,
                extract,
            } => {
                let rule = Rule::Regex(compile_pattern("pattern", pattern)?);
                (expected.as_ref(), extract, rule)
            }
            ScorerSpec::Choice {
                expected,
                choices,
                extract,
            } => (
                Some(expected),
                extract,
                Rule::Choice(check_choices(choices)?),
            ),
            ScorerSpec::Numeric {
                expected,
                extract,
                tolerance,
            } => {
                if !tolerance.is_finite() || *tolerance < 0.0 {
                    return Err(ScorerError {
                        field: "tolerance",
                        detail: "must be 0 or above".to_owned(),
                    });
                }
                (
                    Some(expected),
                    extract,
                    Rule::Numeric {
                        tolerance: *tolerance,
                    },
                )
            }
        };
        let expected = expected
            .map(|text| Template::compile(text))
            .transpose()
            .map_err(|error| ScorerError {
                field: "expected",
                detail: error.to_string(),
            })?;
        let extractor = Extractor::compile(extract, |pattern| compile_pattern("extract", pattern))?;
        Ok(Self {
            expected,
            extractor,
            rule,
        })
    }

    /// The variables that the scorer takes from an instance, by name.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<String> {
        self.expected
            .as_ref()
            .map(|expected| expected.variables().clone())
            .unwrap_or_default()
    }

    /// Scores a response to an instance: 1 for right, 0 for wrong.
    ///
    /// To score several responses to one instance, make its [`Expectation`] once.
    ///
    /// # Errors
    /// As [`Scorer::expectation`]; a response is never an error.
    pub fn score(&self, instance: &Map<String, Value>, response: &str) -> Result<f64, ScoreError> {
        Ok(self.expectation(instance)?.score(response))
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
        let text = rendered.as_deref().map(str::trim);
        let wanted = match (&self.rule, text) {
            (_, None) => Wanted::AnyMatch,
            (Rule::Exact(folding), Some(text)) => Wanted::Text(folding.fold(text)),
            (Rule::Contains(folding), Some(text)) => {
                if text.is_empty() {
                    return Err(ScoreError::Empty);
                }
                Wanted::Text(folding.fold(text))
            }
            (Rule::Regex(_), Some(text)) => Wanted::Text(text.to_owned()),
            (Rule::ExactJson(folding), Some(text)) => match serde_json::from_str(text) {
                Ok(value @ (Value::Object(_) | Value::Array(_))) => {
                    Wanted::Json(json::canonical(value, *folding))
                }
                _ => return Err(ScoreError::NotJson { text: cut(text) }),
            },
            (Rule::Choice(choices), Some(text)) => choices
                .iter()
                .position(|choice| choice == text)
                .map(Wanted::Choice)
                .ok_or_else(|| ScoreError::NotAChoice { text: cut(text) })?,
            (Rule::Numeric { .. }, Some(text)) => {
                let found: Vec<f64> = numbers(text).map(|number| number.value).collect();
                match found[..] {
                    [number] => Wanted::Number(number),
                    _ => {
                        return Err(ScoreError::NotANumber {
                            text: cut(text),
                            count: found.len(),
                        });
                    }
                }
            }
        };
        Ok(Expectation {
            scorer: self,
            wanted,
        })
    }
}

/// What a right response to one instance is.
#[derive(Debug, Clone)]
pub struct Expectation<'s> {
    scorer: &'s Scorer,
    wanted: Wanted,
}

#[derive(Debug, Clone)]
enum Wanted {
    /// Nothing in particular: that the pattern matches is enough.
    AnyMatch,
    Text(String),
    Json(Value),
    Choice(usize),
    Number(f64),
}

impl Expectation<'_> {
    /// Scores a response: 1 for right, 0 for wrong.
    #[must_use]
    pub fn score(&self, response: &str) -> f64 {
        if self.is_met_by(response) { 1.0 } else { 0.0 }
    }

    fn is_met_by(&self, response: &str) -> bool {
        if let (Rule::ExactJson(folding), Wanted::Json(wanted)) = (&self.scorer.rule, &self.wanted)
        {
            // A list in front, such as a reference [1], is not the object that is asked for.
            let opening = if wanted.is_object() { '{' } else { '[' };
            return json::first(response, &[opening])
                .and_then(|text| serde_json::from_str(text).ok())
                .is_some_and(|value| json::canonical(value, *folding) == *wanted);
        }
        let Some(text) = self.scorer.extractor.apply(response) else {
            return false;
        };
        match (&self.scorer.rule, &self.wanted) {
            (Rule::Exact(folding), Wanted::Text(wanted)) => folding.fold(text.trim()) == *wanted,
            (Rule::Contains(folding), Wanted::Text(wanted)) => folding.fold(text).contains(wanted),
            (Rule::Regex(regex), Wanted::Text(wanted)) => regex
                .captures(text)
                .and_then(|captures| captured(&captures))
                .is_some_and(|capture| capture.trim() == wanted),
            (Rule::Regex(regex), _) => regex.is_match(text),
            (Rule::Choice(choices), Wanted::Choice(wanted)) => {
                choice::first_named(text, choices) == Some(*wanted)
            }
            (Rule::Numeric { tolerance }, Wanted::Number(wanted)) => numbers(text)
                .last()
                .is_some_and(|number| near(number.value, *wanted, *tolerance)),
            _ => false,
        }
    }
}

/// Whether a number is the expected one, up to `tolerance` as a share of it or of 1, whichever
/// is larger. Without tolerance integers must be equal; otherwise rounding never decides.
fn near(value: f64, expected: f64, tolerance: f64) -> bool {
    let difference = (value - expected).abs();
    let integers = value.fract() == 0.0 && expected.fract() == 0.0;
    if integers && tolerance == 0.0 {
        return difference == 0.0;
    }
    let rounding = ROUNDING * value.abs().max(expected.abs());
    difference <= tolerance * expected.abs().max(1.0) + rounding
}

const fn folding(ignore_case: bool, ignore_accents: bool) -> Folding {
    Folding {
        ignore_case,
        ignore_accents,
    }
}

fn check_choices(choices: &[String]) -> Result<Vec<String>, ScorerError> {
    let fault = |detail: &str| {
        Err(ScorerError {
            field: "choices",
            detail: detail.to_owned(),
        })
    };
    let choices: Vec<String> = choices
        .iter()
        .map(|choice| choice.trim().to_owned())
        .collect();
    if choices.is_empty() {
        return fault("must name at least one choice");
    }
    if choices.iter().any(String::is_empty) {
        return fault("a choice must not be blank");
    }
    if choices.iter().collect::<BTreeSet<_>>().len() < choices.len() {
        return fault("names a choice twice");
    }
    Ok(choices)
}

fn compile_pattern(field: &'static str, pattern: &str) -> Result<Regex, ScorerError> {
    let fault = |detail: String| ScorerError { field, detail };
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(fault(format!(
            "the pattern is {} bytes long; at most {MAX_PATTERN_BYTES} are allowed",
            pattern.len()
        )));
    }
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_PATTERN_BYTES)
        .dfa_size_limit(2 * MAX_COMPILED_PATTERN_BYTES)
        .nest_limit(100)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => fault(
                "the pattern is too large once compiled; use smaller repetition counts".to_owned(),
            ),
            error => {
                // The message shows the pattern with a mark over several lines; its last one
                // says what is wrong.
                let message = error.to_string();
                let last = message.lines().last().unwrap_or_default();
                fault(format!(
                    "not a regular expression: {}",
                    last.trim_start_matches("error: ")
                ))
            }
        })
}

/// A text for a message: its first 80 characters.
fn cut(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
