//! `exact`: the extracted text equals the expected one, up to white space at both ends. Over the
//! extraction `json` it compares values, not texts.

use super::{Common, Kind, right};
use crate::exact_json;
use crate::extract::{Extract, Extractor};
use crate::fold::{FoldFields, Folding};
use crate::json;
use crate::scorer_error::{ScoreError, ScorerError, cut};
use frugal_domain::fault::ObjectReader;

/// The compiled scorer.
#[derive(Debug, Clone)]
pub(crate) struct Exact {
    folding: Folding,
    json: bool,
}

/// What a right response is.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    Text(String),
    Json(exact_json::Exact),
}

impl Kind for Exact {
    type Fields = FoldFields;
    type Wanted = Wanted;
    const NAME: &'static str = "exact";
    const HAS_ANSWERS: bool = true;

    fn read(object: &ObjectReader<'_>) -> Option<FoldFields> {
        FoldFields::read(object)
    }

    fn compile(fields: FoldFields, common: &Common) -> Result<Self, ScorerError> {
        Ok(Self {
            folding: fields.into(),
            json: common.extract == Extract::Json,
        })
    }

    fn wanted(&self, expected: &str) -> Result<Wanted, ScoreError> {
        if !self.json {
            return Ok(Wanted::Text(self.folding.fold(expected)));
        }
        match exact_json::Exact::parse(expected, self.folding) {
            Some(value) if value.is_nested() => Ok(Wanted::Json(value)),
            _ => Err(ScoreError::NotJson {
                text: cut(expected),
            }),
        }
    }

    fn score(&self, wanted: &Wanted, extractor: &Extractor, response: &str) -> f64 {
        right(match wanted {
            Wanted::Text(wanted) => self.text(extractor, response).as_ref() == Some(wanted),
            Wanted::Json(wanted) => self.value(wanted, response).as_ref() == Some(wanted),
        })
    }

    fn answer(&self, wanted: &Wanted, extractor: &Extractor, response: &str) -> Option<String> {
        match wanted {
            Wanted::Text(_) => self
                .text(extractor, response)
                .filter(|text| !text.is_empty()),
            Wanted::Json(wanted) => self.value(wanted, response).map(|value| value.written()),
        }
    }
}

impl Exact {
    /// The text that is compared.
    fn text(&self, extractor: &Extractor, response: &str) -> Option<String> {
        let text = extractor.apply(response)?;
        Some(self.folding.fold(text.trim()))
    }

    /// The value that is compared.
    fn value(&self, wanted: &exact_json::Exact, response: &str) -> Option<exact_json::Exact> {
        // A list in front, such as a reference [1], is not the object that is asked for.
        let text = json::first(response, &[wanted.opening()])?;
        exact_json::Exact::parse(text, self.folding)
    }
}

#[cfg(test)]
mod tests {
    use crate::scorers::testing::check;
    use serde_json::json;

    #[test]
    fn exact_compares_what_is_extracted() {
        check(
            json!({"type": "exact", "expected": "{{ answer }}"}),
            json!("Paris"),
            &[
                ("Paris", true),
                (" Paris\n", true),
                ("paris", false),
                ("Paris.", false),
                ("", false),
            ],
        );
        check(
            json!({"type": "exact", "expected": "{{ answer }}", "extract": "first_line", "ignore_case": true, "ignore_accents": true}),
            json!("Bogotá"),
            &[("\n bogota\nor so", true), ("or\nBogotá", false)],
        );
        check(
            json!({"type": "exact", "expected": "{{ answer }}", "extract": {"regex": "answer is (\\w+)"}}),
            json!(19),
            &[
                ("The answer is 19.", true),
                ("19", false),
                ("answer is 190", false),
            ],
        );
        check(
            json!({"type": "exact", "expected": "{{ answer }}", "extract": "last_number"}),
            json!("19"),
            &[("12 + 7 = 19.", true), ("19 is not 20", false)],
        );
    }

    #[test]
    fn exact_over_json_compares_values() {
        check(
            json!({"type": "exact", "expected": "{{ answer }}", "extract": "json", "ignore_case": true}),
            json!({"name": "Ann Lee", "age": 33}),
            &[
                ("{\"name\": \"Ann Lee\", \"age\": 33}", true),
                (
                    "Sure [1]:\n```json\n{\"AGE\": 33.0, \"name\": \"ann lee\"}\n```",
                    true,
                ),
                ("{\"name\": \"Ann Lee\", \"age\": \"33\"}", false),
                ("{\"name\": \"Ann Lee\"}", false),
                (
                    "{\"name\": \"Ann Lee\", \"age\": 33, \"city\": \"Reno\"}",
                    false,
                ),
                ("{\"name\": \"Ann", false),
                ("Ann Lee, 33", false),
            ],
        );
        check(
            json!({"type": "exact", "expected": "[1, 2]", "extract": "json"}),
            json!(null),
            &[("{} so [1,2]", true), ("[2, 1]", false)],
        );
    }
}
