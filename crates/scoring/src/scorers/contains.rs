//! `contains`: the extracted text contains the expected one.

use super::{Common, Kind, right};
use crate::extract::Extractor;
use crate::fold::{FoldFields, Folding};
use crate::scorer_error::{ScoreError, ScorerError};
use frugal_domain::fault::ObjectReader;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Contains {
    folding: Folding,
}

impl Kind for Contains {
    type Fields = FoldFields;
    type Wanted = String;
    const NAME: &'static str = "contains";

    fn read(object: &ObjectReader<'_>) -> Option<FoldFields> {
        FoldFields::read(object)
    }

    fn compile(fields: FoldFields, _: &Common) -> Result<Self, ScorerError> {
        Ok(Self {
            folding: fields.into(),
        })
    }

    fn wanted(&self, expected: &str) -> Result<String, ScoreError> {
        if expected.is_empty() {
            return Err(ScoreError::Empty);
        }
        Ok(self.folding.fold(expected))
    }

    fn score(&self, wanted: &String, extractor: &Extractor, response: &str) -> f64 {
        let text = extractor.apply(response);
        right(text.is_some_and(|text| self.folding.fold(text).contains(wanted)))
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
    }
}
