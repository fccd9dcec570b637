//! `regex`: the extracted text matches a pattern; with `expected`, the first capture group (or the
//! whole match where there is none) must equal it.

use super::{Common, Kind, right};
use crate::extract::{Extractor, captured};
use crate::fold::{FoldFields, Folding};
use crate::pattern;
use crate::scorer_error::{ScoreError, ScorerError};
use frugal_domain::fault::ObjectReader;
use serde::{Deserialize, Serialize};

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Regex {
    pattern: regex::Regex,
    folding: Folding,
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    /// A regular expression in the syntax of the Rust crate `regex`.
    pattern: String,
    /// For what it captures; the pattern itself says what it matches.
    #[serde(flatten)]
    folding: FoldFields,
}

impl Kind for Regex {
    type Fields = Fields;
    /// What the capture must be; nothing in particular where `expected` is not given.
    type Wanted = Option<String>;
    const NAME: &'static str = "regex";
    const HAS_ANSWERS: bool = true;

    fn without_expected() -> Option<Option<String>> {
        Some(None)
    }

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let pattern = object.require("pattern", "give a regular expression");
        let folding = FoldFields::read(object);
        Some(Fields {
            pattern: pattern?.filled_string()?.to_owned(),
            folding: folding?,
        })
    }

    fn compile(fields: Fields, _: &Common) -> Result<Self, ScorerError> {
        Ok(Self {
            pattern: pattern::compile("pattern", &fields.pattern)?,
            folding: fields.folding.into(),
        })
    }

    fn wanted(&self, expected: &str) -> Result<Option<String>, ScoreError> {
        Ok(Some(self.folding.fold(expected)))
    }

    fn score(&self, wanted: &Option<String>, extractor: &Extractor, response: &str) -> f64 {
        let Some(text) = extractor.apply(response) else {
            return right(false);
        };
        right(match wanted {
            None => self.pattern.is_match(&text),
            Some(wanted) => self.capture(&text).as_ref() == Some(wanted),
        })
    }

    fn answer(&self, _: &Option<String>, extractor: &Extractor, response: &str) -> Option<String> {
        let text = extractor.apply(response)?;
        self.capture(&text).filter(|capture| !capture.is_empty())
    }
}

impl Regex {
    /// What the pattern captures, as it is compared.
    fn capture(&self, text: &str) -> Option<String> {
        let captures = self.pattern.captures(text)?;
        Some(self.folding.fold(captured(&captures)?.trim()))
    }
}

#[cfg(test)]
mod tests {
    use crate::scorers::testing::check;
    use serde_json::json;

    #[test]
    fn regex_matches_or_captures() {
        check(
            json!({"type": "regex", "pattern": "(?i)^\\s*yes\\b"}),
            json!(null),
            &[("Yes, sure", true), ("yesterday", false)],
        );
        check(
            json!({"type": "regex", "pattern": "####\\s*(\\S+)", "expected": "{{ answer }}"}),
            json!(72),
            &[("so\n#### 72", true), ("#### 71", false), ("72", false)],
        );
        check(
            json!({"type": "regex", "pattern": "[a-z]+", "expected": "{{ answer }}", "extract": "last_line"}),
            json!("so"),
            &[("no\n so 1", true), ("so\nno", false)],
        );
        check(
            json!({"type": "regex", "pattern": "is (.+)", "expected": "{{ answer }}", "ignore_case": true, "ignore_punctuation": true}),
            json!("New York"),
            &[("It is NEW YORK.", true), ("It is York.", false)],
        );
    }
}
