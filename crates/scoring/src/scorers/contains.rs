//! `contains`: the extracted text contains the expected one; of several, any or all.

use super::{Common, Kind, right};
use crate::extract::Extractor;
use crate::fold::{FoldFields, Folding};
use crate::references::References;
use crate::scorer_error::{ScoreError, ScorerError};
use frugal_domain::fault::ObjectReader;
use serde::{Deserialize, Serialize};

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Contains {
    folding: Folding,
    references: References,
    matches: Matches,
}

/// How many of several texts there must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Matches {
    #[default]
    Any,
    All,
}

/// Its own fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fields {
    #[serde(flatten)]
    folding: FoldFields,
    #[serde(default)]
    references: References,
    #[serde(default)]
    matches: Matches,
}

impl Kind for Contains {
    type Fields = Fields;
    type Wanted = Vec<String>;
    const NAME: &'static str = "contains";

    fn read(object: &ObjectReader<'_>) -> Option<Fields> {
        let (folding, references) = (FoldFields::read(object), References::read(object));
        let matches = object.get("matches").map_or(Some(Matches::Any), |at| {
            at.one_of(&[("any", Matches::Any), ("all", Matches::All)])
        });
        Some(Fields {
            folding: folding?,
            references: references?,
            matches: matches?,
        })
    }

    fn compile(fields: Fields, _: &Common) -> Result<Self, ScorerError> {
        Ok(Self {
            folding: fields.folding.into(),
            references: fields.references,
            matches: fields.matches,
        })
    }

    fn wanted(&self, expected: &str) -> Result<Vec<String>, ScoreError> {
        let references = match self.references {
            References::One if expected.is_empty() => return Err(ScoreError::Empty),
            references => references.of(expected)?,
        };
        let folded = references.iter().map(|text| self.folding.fold(text.trim()));
        let folded: Vec<String> = folded.collect();
        match folded.iter().any(String::is_empty) {
            true => Err(ScoreError::Empty),
            false => Ok(folded),
        }
    }

    fn score(&self, wanted: &Vec<String>, extractor: &Extractor, response: &str) -> f64 {
        let Some(text) = extractor.apply(response) else {
            return right(false);
        };
        let text = self.folding.fold(&text);
        let is_there = |wanted: &String| text.contains(wanted.as_str());
        right(match self.matches {
            Matches::Any => wanted.iter().any(is_there),
            Matches::All => wanted.iter().all(is_there),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::scorers::testing::check;
    use serde_json::json;

    #[test]
    fn contains_looks_within_what_is_extracted() {
        check(
            json!({"type": "contains", "expected": "{{ answer }}", "extract": "first_line", "ignore_case": true, "ignore_accents": true}),
            json!("São Paulo"),
            &[
                (" It is SAO PAULO, I think", true),
                ("No.\nSão Paulo", false),
                ("", false),
            ],
        );
        for (matches, one_is_enough) in [("any", true), ("all", false)] {
            check(
                json!({"type": "contains", "expected": "{{ answer | tojson }}", "references": "list", "matches": matches}),
                json!(["red", "green"]),
                &[
                    ("green and red", true),
                    ("red and blue", one_is_enough),
                    ("blue", false),
                ],
            );
        }
    }
}
