//! A scorer of responses: what all kinds share, around the rule of one.

use crate::extract::{Extract, Extractor};
use crate::pattern;
use crate::scorer_error::{ScoreError, ScorerError};
use crate::scorers::{self, Common, Outside, Rule, Wanted};
use crate::template::Template;
use crate::verdict::Verdict;
use frugal_domain::fault::ObjectReader;
use frugal_domain::scoring::ScorerSpec;
use serde_json::{Map, Value, json};

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
    let is_absent = (about.expected_is_optional)() && !object.has("expected");
    let expected = if is_absent || !about.takes_expected {
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
    about(spec).is_some_and(|about| (about.is_graded)(&spec.0))
}

/// What has to be done outside of this crate before a response has its score; nothing for most scorers.
#[must_use]
pub fn outside(spec: &ScorerSpec) -> Option<Outside> {
    about(spec).and_then(|about| about.outside)
}

/// The fields of the scorer of this name that are templates over an instance.
#[must_use]
pub fn templates(name: &str) -> &'static [&'static str] {
    let about = scorers::ALL.iter().find(|about| about.name == name);
    about.map_or(&["expected"], |about| about.templates)
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
    /// As [`Scorer::expectation`] and [`Expectation::score`]; a response is never an error.
    pub fn score(&self, instance: &Map<String, Value>, response: &str) -> Result<f64, ScoreError> {
        self.expectation(instance)?.score(response)
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
            wanted: self
                .rule
                .wanted(instance, rendered.as_deref().map(str::trim))?,
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
    /// Judges a response: its score, or what has to be done outside of this crate for one.
    #[must_use]
    pub fn judge(&self, response: &str) -> Verdict {
        let Scorer {
            extractor, rule, ..
        } = self.scorer;
        rule.judge(&self.wanted, extractor, response)
    }

    /// Scores a response: 1 for right, 0 for wrong, and between for what is right in part.
    ///
    /// # Errors
    /// The score takes more than this crate can do.
    pub fn score(&self, response: &str) -> Result<f64, ScoreError> {
        match self.judge(response) {
            Verdict::Score(score) => Ok(score),
            Verdict::Pending(_) => Err(ScoreError::Outside),
        }
    }
}
